"""entries.json: envelopes, statements, predicates and map records."""

from .. import canon, crypto, entries, merkle, notes
from ..crypto import Signer
from ..names import base64_text
from . import edits
from .builder import digests_of, envelope_value, genesis_predicate, map_record, sign, statement
from .entry_maker import DOCUMENT, LEDGER, PREVIOUS, case, changed, payload_case, release
from .order_entries import good_orders, refused_orders

DESCRIPTION = (
    "Entries: what decodes, and what is refused for its form. Keys and rules play no part here. "
    "`signed_blake3_hex` is of the DSSE pre-authentication encoding. Where a case tells a "
    "`payload`, "
    "the entry is the canonical envelope of it with one signature of 64 zero bytes by the keyid of "
    "64 zeros. `spaces_to` says to append spaces up to that many bytes." + edits.HOW_TO_READ
)
SPEC = "1, 3, 8.5"
TOO_LARGE = "ENTRY_TOO_LARGE"

ORIGIN = "ledger.example/one"
LOG, CLOCK = Signer("entry log"), Signer("entry clock")
ONE, TWO = Signer("entry one"), Signer("entry two")
MAP = {"covers": 7, "root": bytes(32), "rows": 3, "time": 1_767_322_000_000}
WITNESS_NOTE = notes.note_text("old.example", 9, bytes(32))
WITNESS_NOTE += b"\n" + notes.log_line(LOG, "old.example", WITNESS_NOTE)
BEFORE = {"checkpoint": WITNESS_NOTE.decode(), "origin": "old.example"}
LONG_BEFORE = {"checkpoint": "x" * 8193, "origin": "old.example"}


def policy(**others):
    value = {"ledger": LEDGER, "previous": PREVIOUS, "schema": "cairn.policy-change/v1"}
    return statement("policy", DOCUMENT, "policy", {**value, "version": 2, **others})


def genesis(**others):
    return statement("genesis", DOCUMENT, "policy", genesis_predicate(ORIGIN, LOG, CLOCK, **others))


def good():
    full = {"run": "https://ci.example/1", "tool": "cairn", "version": "1"}
    yield case("signed genesis", sign(genesis(), [ONE]))
    yield case("signed policy", sign(policy(), [ONE, TWO]))
    yield case("signed release", sign(release(), [ONE]))
    for name, value in (
        ("genesis", genesis()),
        ("genesis with a predecessor", genesis(predecessor=BEFORE)),
        ("policy", policy()),
        ("release", release()),
        ("first release", release(previous=None, sequence=1)),
        ("first release with a previous: judged by the rules", release(sequence=1)),
        ("second release without a previous: judged by the rules", release(previous=None)),
        ("rollback", release(action="rollback", rollbackTo=1)),
        ("retire", release(action="retire", reason="moved")),
        ("longest reason", release(reason="\u00e9" * 512)),
        ("source", release(source=full)),
        ("source without a run", release(source={"tool": "t", "version": "\n"})),
        ("annotations", release(annotations={"a": "", "b/c": "x" * 1024})),
        ("32 annotations", release(annotations={f"n{i:02}": "" for i in range(32)})),
        ("largest sequence", release(sequence=2**53 - 1)),
    ):
        yield payload_case(name, value)
    yield case("map record", map_record(**MAP))
    yield case("map record of an empty map", map_record(0, bytes(32), 0, 0))


def raw_shapes():
    leaf = sign(release(), [ONE])
    for name, data in (
        ("nothing", b""),
        ("empty object", b"{}"),
        ("array", b"[]"),
        ("another first member", b'{"payloadType":"application/vnd.in-toto+json"}'),
        ("space at the front", b" " + leaf),
        ("space after the brace", b"{ " + leaf[1:]),
        ("space before the colon", leaf.replace(b'"payload":', b'"payload" :', 1)),
        ("capital letter", b'{"Cairn":"map/v1"}'),
    ):
        yield case(f"unknown shape: {name}", data, "ENTRY_UNKNOWN_SHAPE")
    yield case("envelope: line feed at the end", leaf + b"\n", "JSON_NOT_CANONICAL")
    value = envelope_value(canon.encode(release()), [ONE])
    swapped = b'{"payload":%s,"signatures":%s,"payloadType":%s}' % tuple(
        canon.encode(value[name]) for name in ("payload", "signatures", "payloadType")
    )
    yield case("envelope: members not sorted", swapped, "JSON_NOT_CANONICAL")
    yield case("envelope: cut short", leaf[:-1], "JSON_SYNTAX")
    twice = leaf[:-1] + b',"signatures":[]}'
    yield case("envelope: a member twice", twice, "JSON_DUPLICATE_MEMBER")


def sizes():
    """Size is looked at before anything else, white space among the last."""
    for size, reason in ((entries.ENTRY_BYTES_MAX, "JSON_NOT_CANONICAL"), (65_536, TOO_LARGE)):
        for what, leaf in (("envelope", sign(release(), [ONE])), ("map record", map_record(**MAP))):
            inputs, expected = case(f"{what}: {size} bytes", leaf, reason)
            yield {**inputs, "spaces_to": size}, expected
    inputs, expected = case("nothing of ours, too long", b"{}", TOO_LARGE)
    yield {**inputs, "spaces_to": 65_536}, expected


def envelopes():
    value = envelope_value(canon.encode(release()), [ONE, TWO])
    first, second = value["signatures"]
    many = [changed(first, keyid=f"{i:064x}") for i in range(33)]
    invalid, unknown, missing = "JSON_INVALID_VALUE", "JSON_UNKNOWN_MEMBER", "JSON_MISSING_MEMBER"
    other_type = "ENVELOPE_PAYLOAD_TYPE"
    for name, envelope, reason in (
        ("another member", changed(value, zone=1), unknown),
        ("no signatures member", changed(value, signatures=None), missing),
        ("no payloadType", changed(value, payloadType=None), missing),
        ("another payloadType", changed(value, payloadType="application/json"), other_type),
        ("an empty payloadType", changed(value, payloadType=""), other_type),
        ("payloadType is a number", changed(value, payloadType=1), invalid),
        ("payload without padding", changed(value, payload="e30"), invalid),
        ("payload in the URL alphabet", changed(value, payload="-_-_"), invalid),
        ("payload with trailing bits", changed(value, payload="e31="), invalid),
        ("payload is a number", changed(value, payload=1), invalid),
        ("signatures is an object", changed(value, signatures={}), invalid),
        ("32 signatures", changed(value, signatures=many[:32]), None),
        ("no signature", changed(value, signatures=[]), "ENVELOPE_SIGNATURES"),
        ("33 signatures", changed(value, signatures=many), "ENVELOPE_SIGNATURES"),
        ("signatures descend", changed(value, signatures=[second, first]), "ENVELOPE_SIGNATURES"),
        ("one keyid twice", changed(value, signatures=[first, first]), "ENVELOPE_SIGNATURES"),
        ("sig of 63 bytes", with_signature(value, sig="A" * 84), invalid),
        ("sig of 65 bytes", with_signature(value, sig="A" * 87 + "="), invalid),
        ("keyid in capitals", with_signature(value, keyid="AB" * 32), invalid),
        ("keyid too short", with_signature(value, keyid="ab" * 31), invalid),
        ("signature with another member", with_signature(value, cert=""), unknown),
        ("signature without a keyid", with_signature(value, keyid=None), missing),
    ):
        yield case(f"envelope: {name}", canon.encode(envelope), reason)


def with_signature(value, **others):
    return changed(value, signatures=[changed(value["signatures"][0], **others)])


def statements():
    value = release()
    subject = value["subject"][0]
    short = changed(subject, digest={"blake3": digests_of(DOCUMENT)["blake3"]})
    capital = changed(subject, digest={**subject["digest"], "sha256": "AB" * 32})
    more = changed(subject, digest={**subject["digest"], "sha512": "ab" * 64})
    for name, change, reason in (
        ("another _type", {"_type": "https://in-toto.io/Statement/v0.1"}, "JSON_INVALID_VALUE"),
        ("no _type", {"_type": None}, "JSON_MISSING_MEMBER"),
        ("another member", {"zone": 1}, "JSON_UNKNOWN_MEMBER"),
        ("no predicate", {"predicate": None}, "JSON_MISSING_MEMBER"),
        ("no subject", {"subject": []}, "STATEMENT_SUBJECT"),
        ("two subjects", {"subject": [subject, subject]}, "STATEMENT_SUBJECT"),
        (
            "subject of another environment",
            {"subject": [changed(subject, name="prod/x")]},
            "STATEMENT_SUBJECT",
        ),
        (
            "subject named policy",
            {"subject": [changed(subject, name="policy")]},
            "STATEMENT_SUBJECT",
        ),
        (
            "subject without a name",
            {"subject": [changed(subject, name=None)]},
            "JSON_MISSING_MEMBER",
        ),
        ("subject without sha256", {"subject": [short]}, "JSON_MISSING_MEMBER"),
        ("subject with a third digest", {"subject": [more]}, "JSON_UNKNOWN_MEMBER"),
        ("digest in capitals", {"subject": [capital]}, "JSON_INVALID_VALUE"),
        ("predicate is an array", {"predicate": []}, "JSON_INVALID_VALUE"),
    ):
        yield payload_case(f"statement: {name}", changed(value, **change), reason)
    for kind in ("attestation", "unheard-of"):
        newer = changed(value, predicateType=f"urn:cairn:{kind}:v1")
        yield payload_case(f"statement: kind {kind}", newer, "NEEDS_NEWER_CAIRN")
    later = changed(value["predicate"], schema="cairn.release/v2", zone=1)
    for name, change in (
        ("a later release kind", {"predicateType": "urn:cairn:release:v2"}),
        ("an empty kind", {"predicateType": ""}),
        ("a kind of 200 bytes", {"predicateType": "k" * 200}),
        ("a later kind before all else", {"predicateType": "x", "_type": 1, "subject": None}),
        ("a later schema before all else", {"predicate": later, "subject": 1, "zone": 1}),
    ):
        yield payload_case(f"statement: {name}", changed(value, **change), "NEEDS_NEWER_CAIRN")
    payload = canon.encode(value)
    for name, changed_payload, reason in (
        ("payload with white space", payload.replace(b":", b": ", 1), "JSON_NOT_CANONICAL"),
        ("payload is no JSON", b"release", "JSON_SYNTAX"),
        ("payload is empty", b"", "JSON_SYNTAX"),
        ("payload is an array", b"[]", "JSON_INVALID_VALUE"),
        ("a fraction", payload.replace(b'"sequence":2', b'"sequence":2.0'), "JSON_NUMBER"),
    ):
        yield payload_case(f"statement: {name}", changed_payload, reason)
    for kind, made in (("genesis", genesis()), ("policy", policy())):
        wrong = changed(made, subject=[changed(made["subject"][0], name="prod/web")])
        yield payload_case(f"statement: {kind} with another subject", wrong, "STATEMENT_SUBJECT")


INVALID_RELEASE = {
    "unknown action": {"action": "deploy"},
    "createdAt no date": {"createdAt": "2026-02-29T00:00:00Z"},
    "createdAt with an offset": {"createdAt": "2026-02-01T00:00:00+01:00"},
    "environment in capitals": {"environment": "Prod"},
    "environment with a star": {"environment": "prod/*"},
    "ledger too short": {"ledger": "ab"},
    "previous in capitals": {"previous": "AB" * 32},
    "sequence 0": {"sequence": 0},
    "sequence negative": {"sequence": -1},
    "sequence is text": {"sequence": "2"},
    "sequence is true": {"sequence": True},
    "reason empty": {"reason": ""},
    "reason too long": {"reason": "\u00e9" * 512 + "a"},
    "reason null": {"reason": None},
    "source tool empty": {"source": {"tool": "", "version": "1"}},
    "source version too long": {"source": {"tool": "t", "version": "v" * 257}},
    "source run empty": {"source": {"run": "", "tool": "t", "version": "1"}},
    "annotations empty": {"annotations": {}},
    "33 annotations": {"annotations": {f"n{i:02}": "" for i in range(33)}},
    "annotation too long": {"annotations": {"a": "x" * 1025}},
    "annotation is a number": {"annotations": {"a": 1}},
    "rollbackTo 0": {"action": "rollback", "rollbackTo": 0},
}


def predicates():
    invalid, unknown, missing = "JSON_INVALID_VALUE", "JSON_UNKNOWN_MEMBER", "JSON_MISSING_MEMBER"
    newer = "NEEDS_NEWER_CAIRN"
    for name, change in INVALID_RELEASE.items():
        value = release()
        value["predicate"].update(change)
        value["subject"][0]["name"] = value["predicate"]["environment"]
        yield payload_case(f"release: {name}", value, invalid)
    for name, value, reason in (
        ("release: another member", release(zone=1), unknown),
        ("release: no createdAt", release(createdAt=None), missing),
        ("release: no sequence", release(sequence=None), missing),
        ("release: no schema", release(schema=None), missing),
        ("release: a later schema", release(schema="cairn.release/v2"), newer),
        ("release: a schema of 200 bytes", release(schema="s" * 200), newer),
        ("release: rollback without rollbackTo", release(action="rollback"), missing),
        ("release: rollbackTo without a rollback", release(rollbackTo=1), invalid),
        ("release: rollbackTo of a retire", release(action="retire", rollbackTo=1), invalid),
        ("release: source without a tool", release(source={"version": "1"}), missing),
        (
            "release: source with another member",
            release(source={"tool": "t", "url": "", "version": "1"}),
            unknown,
        ),
        ("policy: another member", policy(zone=1), unknown),
        ("policy: version is text", policy(version="2"), invalid),
        ("policy: previous too long", policy(previous="ab" * 33), invalid),
        ("policy: a later schema", policy(schema="cairn.policy-change/v2"), newer),
        ("genesis: another member", genesis(zone=1), unknown),
        ("genesis: no nonce", genesis(nonce=None), missing),
        ("genesis: nonce of 15 bytes", genesis(nonce="ab" * 15), invalid),
        ("genesis: nonce in capitals", genesis(nonce="AB" * 16), invalid),
        ("genesis: origin with a space", genesis(origin="a b"), invalid),
        ("genesis: predecessor of 8,193 bytes", genesis(predecessor=LONG_BEFORE), invalid),
        ("genesis: logKey is no vkey", genesis(logKey="key"), invalid),
        ("genesis: clockKey with a wrong key ID", genesis(clockKey=other_id()), invalid),
        ("genesis: weak logKey", genesis(logKey=weak_key()), invalid),
        ("genesis: a later schema", genesis(schema="cairn.genesis/v2"), newer),
        (
            "genesis: predecessor without an origin",
            genesis(predecessor={"checkpoint": BEFORE["checkpoint"]}),
            missing,
        ),
        (
            "genesis: predecessor with another member",
            genesis(predecessor={**BEFORE, "zone": 1}),
            unknown,
        ),
    ):
        yield payload_case(name, value, reason)


def other_id():
    name, _, body = genesis()["predicate"]["clockKey"].split("+", 2)
    return f"{name}+00000000+{body}"


def weak_key():
    return notes.Vkey(ORIGIN, notes.LOG_KEY, b"\x01" + bytes(31)).text()


def map_records():
    value = {"cairn": "map/v1", "covers": 7, "root": "00" * 32, "rows": 3, "time": 1}
    invalid = "JSON_INVALID_VALUE"
    for name, change, reason in (
        ("a later version", {"cairn": "map/v2"}, "NEEDS_NEWER_CAIRN"),
        (
            "a later version with another member",
            {"cairn": "map/v2", "zone": 1},
            "NEEDS_NEWER_CAIRN",
        ),
        ("another member", {"zone": 1}, "JSON_UNKNOWN_MEMBER"),
        ("no rows", {"rows": None}, "JSON_MISSING_MEMBER"),
        ("a version of 200 bytes", {"cairn": "m" * 200}, "NEEDS_NEWER_CAIRN"),
        ("covers negative", {"covers": -1}, invalid),
        ("covers 2^53", {"covers": 2**53}, "JSON_NUMBER"),
        ("covers is text", {"covers": "7"}, invalid),
        ("root too short", {"root": "00" * 31}, invalid),
        ("root in capitals", {"root": "AB" * 32}, invalid),
        ("time is true", {"time": True}, invalid),
    ):
        yield case(f"map record: {name}", canon.encode(changed(value, **change)), reason)
    plain = canon.encode(value)
    yield case("map record: line feed at the end", plain + b"\n", "JSON_NOT_CANONICAL")
    wrong = plain.replace(b'"rows":3,"time":1', b'"time":1,"rows":3')
    yield case("map record: members not sorted", wrong, "JSON_NOT_CANONICAL")
    wrong = plain.replace(b'"rows":3', b'"rows":3.0')
    yield case("map record: a fraction", wrong, "JSON_NUMBER")


def build():
    forms = (good, raw_shapes, sizes, envelopes, statements, predicates, map_records)
    groups = (*forms, good_orders, refused_orders)
    cases = [item for group in groups for item in group()]
    yield from edits.compacted("payload", edits.compacted("entry", cases))


def entry_of(case_value, earlier):
    if "entry_text" in case_value or "entry_base" in case_value:
        entry = edits.text_of("entry", case_value, earlier)
        return entry.ljust(case_value.get("spaces_to", 0))
    payload = edits.text_of("payload", case_value, earlier)
    signature = {"keyid": "0" * 64, "sig": base64_text(bytes(64))}
    value = {"payload": base64_text(payload), "payloadType": entries.PAYLOAD_TYPE}
    return canon.encode({**value, "signatures": [signature]})


def run(case_value, earlier):
    leaf = entry_of(case_value, earlier)
    entry = entries.decode(leaf)
    found = {"leaf_hash_hex": merkle.leaf_hash(leaf).hex()}
    if isinstance(entry, entries.MapRecord):
        return {"kind": "map record", **found}
    return {
        "kind": entry.kind,
        **found,
        "keyids_hex": [keyid for keyid, _ in entry.signatures],
        "signed_blake3_hex": crypto.blake(entry.signed_bytes()).hex(),
    }
