"""witness.json: what a witness answers to a submission, and what a log takes from an answer."""

from .. import notes, witness
from ..names import base64_bytes
from .answer_cases import answers
from .submission_cases import submissions
from .submission_forms import forms
from .submission_maker import WITNESS

DESCRIPTION = (
    "Witnesses, two `kind`s of cases; `ok` is always true. `submission`: `body_base64` is the body "
    "of a request to a witness, which knows `logs`: each has its origin, the vkeys of its keys, "
    "and `latest`, size and root of what the witness cosigned last, or null where it never did. "
    "`status` is that of the answer. Where it is 409, `size` is the one in the answer's body, "
    "which is the size and a line feed. Where it is 200, `origin_text`, `size` and `root_hex` are "
    "of the checkpoint, now the latest of its log, and `line_text` is the answer's body, made "
    "at `time` (unix seconds) with the key `witness_vkey`, whose seed is `witness_seed_hex`. "
    "Sizes and times go up to 2^64 - 1. `answer`: what the log takes from an answer of `status` "
    "with `body_base64`, at the time `now`, by the witness with the vkey `key`, which was asked to "
    "cosign the note `note_text` (text and signatures). `outcome` is `cosigned`, with the line "
    "taken, `line_text`, and its `time`; `from`, with the `size` that a 409 names; `contradicts`, "
    "a 422; `busy`, a 429 or 503, to be asked again later; `useless`, all else."
)
SPEC = "6.1"


def build():
    yield from submissions()
    yield from forms()
    yield from answers()


def logs_of(case):
    """What the witness knows, by origin."""
    logs = {}
    for item in case["logs"]:
        listed = [notes.parse_vkey(text) for text in item["vkeys"]]
        log = witness.Log(listed)
        if item["latest"]:
            found = item["latest"]
            log = witness.Log(listed, found["size"], bytes.fromhex(found["root_hex"]))
        logs[item["origin_text"]] = log
    return logs


def run(case, _earlier):
    body = base64_bytes(case["body_base64"])
    return (submitted if case["kind"] == "submission" else answered)(case, body)


def submitted(case, body):
    logs = logs_of(case)
    status, given = witness.judge(logs, body)
    if status == 409:
        return {"status": 409, "size": logs[given.origin].size}
    if status != 200:
        return {"status": status}
    key = notes.parse_vkey(case["witness_vkey"])
    assert (case["witness_seed_hex"], key.public) == (WITNESS.seed.hex(), WITNESS.public)
    line = notes.cosigner_line(WITNESS, key.name, given.text, case["time"])
    checkpoint = {"origin_text": given.origin, "size": given.size, "root_hex": given.root.hex()}
    return {"status": 200, **checkpoint, "line_text": line.decode()}


def answered(case, body):
    status = case["status"]
    if status == 200:
        key = notes.parse_vkey(case["key"])
        found = witness.taken(body, case["note_text"].encode(), key, case["now"])
        if found:
            return {"outcome": "cosigned", "line_text": found[0].decode(), "time": found[1]}
    if status == 409:
        size = witness.named_size(body)
        if size is not None:
            return {"outcome": "from", "size": size}
    if status in witness.BUSY:
        return {"outcome": "busy"}
    return {"outcome": "contradicts" if status == 422 else "useless"}
