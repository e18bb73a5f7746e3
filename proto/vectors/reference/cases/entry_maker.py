"""Makes the cases of entries.json: statements that are right but for what is changed."""

import copy

from .. import canon, crypto
from .builder import CREATED, files, statement, without_none

DOCUMENT = files(a="1")
LEDGER = crypto.sha256(b"ledger").hex()
PREVIOUS = crypto.sha256(b"previous").hex()


def release(**others):
    predicate = {
        "action": "release",
        "createdAt": CREATED,
        "environment": "prod/web",
        "ledger": LEDGER,
        "previous": PREVIOUS,
        "schema": "cairn.release/v1",
        "sequence": 2,
        **others,
    }
    subject = predicate["environment"] or "prod/web"
    return statement("release", DOCUMENT, subject, without_none(predicate))


def changed(value, **others):
    """A copy with members set, or left out where None."""
    return without_none({**copy.deepcopy(value), **others})


def case(name, leaf, reason=None, **expected):
    refused = {"ok": False, "reason": reason} if reason else {"ok": True}
    return {"name": name, "entry_text": leaf.decode()}, {**refused, **expected}


def payload_case(name, value, reason=None):
    """A case told by its payload: a statement, or the bytes of one."""
    payload = value if isinstance(value, bytes) else canon.encode(value)
    inputs, expected = case(name, payload, reason)
    return {"name": name, "payload_text": inputs["entry_text"]}, expected
