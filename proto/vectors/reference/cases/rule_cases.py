"""rules.json: small ledgers, leaf by leaf."""

from .. import rules
from ..canon import Refused
from . import approved_ledgers, edits
from .approved_ledgers import approvals, enrolments
from .named_ledger import immutable_names
from .ordered_ledgers import broken_glass, glass_bounds, redactions
from .refused_releases import refused_releases
from .revoked_ledger import genesis_that_revokes, revocations
from .rule_ledgers import NAMES as RULE_NAMES
from .rule_ledgers import genesis_ledgers, life, map_records, policies
from .succeeded_ledgers import first_leaves, successions
from .told_ledger import documents_of, leaf_of, told_case

DESCRIPTION = (
    "Ledgers. `leaves` in order, each with what the rules say of it. A leaf is told as it is "
    "(`leaf_text`) or by its payload and signatures (`by` a name in `keyids_hex`, in this order): "
    "it is the canonical envelope of these. `payload_base` is the number of an earlier leaf of the "
    "ledger, 0 the first. `document` is an index into `documents`, where `document_base` is one "
    "too. A refused leaf changes nothing but the count of leaves. Beside a map "
    "record, accepted or not, stand the root and the number of rows that hold there; `rows_after` "
    "is the whole map after the last leaf. `valid_sizes`: sizes at which a checkpoint may stand,"
    " after the empty log." + edits.HOW_TO_READ
)
SPEC = "7, 8"

NAMES = {**RULE_NAMES, **approved_ledgers.NAMES}
OBSERVED = ("ok", "reason", "map_root_hex", "map_rows")


def build():
    yield told_case("what is allowed", life(), NAMES, valid_sizes=None)
    yield told_case("refused releases", refused_releases(), NAMES)
    yield told_case("policies and thresholds", policies(), NAMES)
    yield told_case("map records", map_records(), NAMES, valid_sizes=None)
    yield told_case("revocations", revocations(), NAMES)
    yield told_case("immutable names", immutable_names(), NAMES)
    yield told_case("orders: redactions", redactions(), NAMES)
    yield told_case("orders: how long the glass is broken", glass_bounds(), NAMES)
    yield told_case("orders: under broken glass", broken_glass(), NAMES)
    yield told_case("orders: successions", successions(), NAMES)
    yield told_case("approvals", approvals(), NAMES)
    yield told_case("enrolments", enrolments(), NAMES)
    several = (*genesis_ledgers(), *genesis_that_revokes(), *first_leaves())
    for name, book in several:
        yield told_case(name, book, NAMES)


def judge(ledger, leaf, document):
    """What the rules say of a leaf."""
    before = {"map_root_hex": ledger.map.root().hex(), "map_rows": ledger.map.rows}
    shown = before if leaf.startswith(b'{"cairn":') else {}
    try:
        ledger.append(leaf, lambda envelope: rules.decode_document(envelope, document))
        return {"ok": True, **shown}
    except Refused as refused:
        return {"ok": False, "reason": refused.reason, **shown}


def run(case, _earlier):
    ledger, leaves, sizes = rules.Ledger(), [], [0]
    documents = documents_of(case)
    for item in case["leaves"]:
        leaf = leaf_of(item, case)
        document = documents[item["document"]] if "document" in item else None
        given = {k: v for k, v in item.items() if k not in OBSERVED}
        leaves.append({**given, **judge(ledger, leaf, document)})
        if leaf.startswith(b'{"cairn":') and leaves[-1]["ok"]:
            sizes.append(len(leaves))
    rows = [
        {"kind": kind, "name_hex": name.hex(), "row_hex": row.hex()}
        for (kind, name), row in sorted(ledger.rows.items())
    ]
    found = {"leaves": leaves, "rows_after": rows, "map_root_after_hex": ledger.map.root().hex()}
    return {**found, "valid_sizes": sizes} if "valid_sizes" in case else found
