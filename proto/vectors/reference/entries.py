"""Entries of the log: envelopes, their statements and predicates, and map records (SPEC 3, 8.5).

Out of scope: keys and rules. What is returned here is decoded, not yet believed.
"""

from typing import NamedTuple

from . import canon, names, notes
from .canon import Refused, integer, known, members, require, text

ENTRY_BYTES_MAX = 65_535
SIGNATURES_MAX = 32
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
ORDERS = ("redaction", "break-glass", "key-succession")
SCHEMAS = {
    "genesis": "cairn.genesis/v1",
    "policy": "cairn.policy-change/v1",
    "release": "cairn.release/v1",
    "approval": "cairn.approval/v1",
    "enrolment": "cairn.enrolment/v1",
    **{kind: "cairn.order/v1" for kind in ORDERS},
}
KINDS = {f"urn:cairn:{kind}:v1": kind for kind in SCHEMAS}
ACTIONS = ("release", "rollback", "retire")
ENROLMENTS = ("enrol", "dismiss")
SUBJECTS = {  # the others are named by their environment
    "genesis": "policy",
    "policy": "policy",
    "enrolment": "host",
    **{kind: "order" for kind in ORDERS},
}


class MapRecord(NamedTuple):
    covers: int
    root: bytes
    rows: int
    time: int


class Envelope(NamedTuple):
    kind: str
    payload: bytes
    signatures: list  # (keyid in hex, 64 bytes), ascending
    subject: str
    blake3: bytes
    sha256: bytes
    predicate: dict

    def signed_bytes(self):
        return pae(PAYLOAD_TYPE.encode(), self.payload)


def pae(payload_type, payload):
    """The pre-authentication encoding of DSSE."""
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type, len(payload), payload)


def decode(data):
    """An `Envelope` or a `MapRecord`."""
    if len(data) > ENTRY_BYTES_MAX:
        raise Refused("ENTRY_TOO_LARGE", str(len(data)))
    if data.startswith(b'{"payload":'):
        return _envelope(data)
    if data.startswith(b'{"cairn":'):
        return _map_record(data)
    raise Refused("ENTRY_UNKNOWN_SHAPE")


def _map_record(data):
    value = canon.decode(data)
    known(value, "cairn", "map/v1")
    members(value, ("cairn", "covers", "root", "rows", "time"))
    return MapRecord(
        integer(value["covers"], 0),
        names.hex_bytes(value["root"], 32),
        integer(value["rows"], 0),
        integer(value["time"], 0),
    )


def _signatures(value):
    if not isinstance(value, list):
        raise Refused("JSON_INVALID_VALUE", "signatures")
    found = []
    for item in value:
        members(item, ("keyid", "sig"))
        names.hex_bytes(item["keyid"], 32)
        found.append((item["keyid"], names.base64_bytes(item["sig"], 64)))
    keyids = [keyid for keyid, _ in found]
    if not 1 <= len(found) <= SIGNATURES_MAX or any(a >= b for a, b in zip(keyids, keyids[1:])):
        raise Refused("ENVELOPE_SIGNATURES")
    return found


def _envelope(data):
    value = members(canon.decode(data), ("payload", "payloadType", "signatures"))
    require(isinstance(value["payloadType"], str), "payloadType")
    if value["payloadType"] != PAYLOAD_TYPE:
        raise Refused("ENVELOPE_PAYLOAD_TYPE", value["payloadType"])
    payload = names.base64_bytes(value["payload"])
    return statement(payload, _signatures(value["signatures"]))


def statement(payload, signatures):
    value = canon.decode(payload)
    if not isinstance(value, dict):
        raise Refused("JSON_INVALID_VALUE", "statement")
    kind_text = value.get("predicateType")
    if isinstance(kind_text, str) and kind_text not in KINDS:
        raise Refused("NEEDS_NEWER_CAIRN", kind_text)
    if isinstance(kind_text, str) and isinstance(value.get("predicate"), dict):
        known(value["predicate"], "schema", SCHEMAS[KINDS[kind_text]])
    members(value, ("_type", "predicate", "predicateType", "subject"))
    require(isinstance(kind_text, str) and value["_type"] == STATEMENT_TYPE, "_type")
    kind = KINDS[kind_text]
    subject = _subject(value["subject"])
    predicate = PREDICATES[kind](value["predicate"])
    wanted = SUBJECTS.get(kind) or predicate["environment"]
    if subject["name"] != wanted:
        raise Refused("STATEMENT_SUBJECT", "name")
    blake3, sha256 = digests(subject["digest"])
    return Envelope(kind, payload, signatures, subject["name"], blake3, sha256, predicate)


def _subject(value):
    require(isinstance(value, list), "subject")
    if len(value) != 1:
        raise Refused("STATEMENT_SUBJECT", "number")
    subject = members(value[0], ("digest", "name"))
    require(isinstance(subject["name"], str), "name of the subject")
    digests(subject["digest"])
    return subject


def digests(value):
    members(value, ("blake3", "sha256"))
    return names.hex_bytes(value["blake3"], 32), names.hex_bytes(value["sha256"], 32)


def _genesis(value):
    known(value, "schema", SCHEMAS["genesis"])
    required = ("clockKey", "logKey", "nonce", "origin", "schema")
    members(value, required, ("predecessor",))
    names.hex_bytes(value["nonce"], 16)
    require(names.is_origin(value["origin"]), "origin")
    if "predecessor" in value:
        before = members(value["predecessor"], ("checkpoint", "origin"))
        text(before["checkpoint"], 1, 8192)
        require(names.is_origin(before["origin"]), "origin of the predecessor")
    for name in ("logKey", "clockKey"):
        try:
            notes.parse_vkey(value[name])
        except Refused as refused:
            raise Refused("JSON_INVALID_VALUE", name) from refused
    return value


def _policy(value):
    known(value, "schema", SCHEMAS["policy"])
    members(value, ("ledger", "previous", "schema", "version"))
    names.hex_bytes(value["ledger"], 32)
    names.hex_bytes(value["previous"], 32)
    integer(value["version"], 1)
    return value


def _release(value):
    known(value, "schema", SCHEMAS["release"])
    required = ("action", "createdAt", "environment", "ledger", "schema", "sequence")
    optional = ("annotations", "breakGlass", "previous", "reason", "rollbackTo", "source")
    members(value, required, optional)
    require(value["action"] in ACTIONS, "action")
    require(names.is_time(value["createdAt"]), "createdAt")
    require(names.is_environment(value["environment"]), "environment")
    names.hex_bytes(value["ledger"], 32)
    integer(value["sequence"], 1)
    _previous(value)
    if "breakGlass" in value:
        names.hex_bytes(value["breakGlass"], 32)
    if value["action"] == "rollback":
        if "rollbackTo" not in value:
            raise Refused("JSON_MISSING_MEMBER", "rollbackTo")
        integer(value["rollbackTo"], 1)
    else:
        require("rollbackTo" not in value, "rollbackTo without a rollback")
    _reason(value)
    if "source" in value:
        source = members(value["source"], ("tool", "version"), ("run",))
        for member in source.values():
            text(member, 1, 256)
    if "annotations" in value:
        _annotations(value["annotations"])
    return value


def _annotations(value):
    require(isinstance(value, dict) and 1 <= len(value) <= 32, "annotations")
    for name, member in value.items():
        require(names.is_annotation_name(name), "name of an annotation")
        text(member, 0, 1024)


def _previous(value):
    """Whether it must be there is judged by section 7 alone (WRONG_PREVIOUS)."""
    if "previous" in value:
        names.hex_bytes(value["previous"], 32)


def _reason(value):
    if "reason" in value:
        text(value["reason"], 1, 1024)


def _approval(value):
    known(value, "schema", SCHEMAS["approval"])
    required = ("createdAt", "environment", "ledger", "number", "release", "schema", "sequence")
    members(value, required, ("reason",))
    require(names.is_time(value["createdAt"]), "createdAt")
    require(names.is_environment(value["environment"]), "environment")
    names.hex_bytes(value["ledger"], 32)
    names.hex_bytes(value["release"], 32)
    integer(value["number"], 1)
    integer(value["sequence"], 1)
    _reason(value)
    return value


def _enrolment(value):
    known(value, "schema", SCHEMAS["enrolment"])
    required = ("action", "createdAt", "ledger", "number", "schema")
    members(value, required, ("previous", "reason"))
    require(value["action"] in ENROLMENTS, "action")
    require(names.is_time(value["createdAt"]), "createdAt")
    names.hex_bytes(value["ledger"], 32)
    integer(value["number"], 1)
    _previous(value)
    _reason(value)
    return value


def _order(value):
    known(value, "schema", SCHEMAS["redaction"])
    members(value, ("ledger", "number", "schema"), ("previous",))
    names.hex_bytes(value["ledger"], 32)
    integer(value["number"], 1)
    _previous(value)
    return value


PREDICATES = {
    "genesis": _genesis,
    "policy": _policy,
    "release": _release,
    "approval": _approval,
    "enrolment": _enrolment,
    **{kind: _order for kind in ORDERS},
}
