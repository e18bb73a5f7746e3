"""Orders of the admins and records of hosts: the documents (SPEC 4.1 and 4.2)."""

from typing import NamedTuple

from . import canon, crypto, documents, names, notes
from .canon import Refused, array, ascending, bounded, integer, known, members, require, text

ORDER_BYTES_MAX = 131_072
HOST_BYTES_MAX = 65_536
HEAD_BYTES_MAX = 8192
BREAK_GLASS_MS_MAX = 2_592_000_000  # 30 days


class Redaction(NamedTuple):
    contents: list  # the blake3 of each


class BreakGlass(NamedTuple):
    """What it does not ease is None."""

    pattern: str
    expires: int  # unix seconds
    approvals: int | None
    max_staleness: int | None

    def over(self, time_ms):
        """Whether it holds no longer at a time."""
        return time_ms >= 1000 * self.expires

    def lasting(self, time_ms):
        """Whether it would hold for longer than it may, from a time on."""
        return 1000 * self.expires > time_ms + BREAK_GLASS_MS_MAX


class Succession(NamedTuple):
    log_key: notes.Vkey
    clock_key: notes.Vkey
    head: bytes  # a note, not parsed


class Host(NamedTuple):
    name: str
    environment: str
    key: bytes


def _opened(data, schema, required, optional=()):
    """The members that only one kind of order has are `required` and `optional`."""
    bounded(data, ORDER_BYTES_MAX)
    value = canon.decode(data)
    known(value, "schema", schema)
    members(value, (*required, "reason", "schema"), optional)
    text(value["reason"], 1, 1024)
    return value


def redaction(data):
    value = _opened(data, "cairn.redaction/v1", ("contents",))
    contents = array(value["contents"], 1, 1024)
    found = [names.hex_bytes(content, 32) for content in contents]
    ascending(contents, "contents")
    require(crypto.blake(b"").hex() not in contents, "contents: to erase no bytes")
    return Redaction(found)


def break_glass(data):
    eased = ("approvals", "maxStaleness")
    value = _opened(data, "cairn.break-glass/v1", ("environments", "expires"), eased)
    require(names.is_pattern(value["environments"]), "environments")
    require(any(member in value for member in eased), "an order that eases nothing")
    for member, most in (("approvals", 16), ("maxStaleness", 2**31 - 1)):
        if member in value:
            integer(value[member], 1, most)
    numbers = (value.get(member) for member in eased)
    return BreakGlass(value["environments"], integer(value["expires"], 1), *numbers)


def succession(data):
    value = _opened(data, "cairn.key-succession/v1", ("clockKey", "head", "logKey"))
    text(value["head"], 1, HEAD_BYTES_MAX)
    try:
        keys = [notes.parse_vkey(value[member]) for member in ("logKey", "clockKey")]
    except Refused as refused:
        raise Refused("JSON_INVALID_VALUE", str(refused)) from refused
    return Succession(*keys, value["head"].encode())


def host(data):
    bounded(data, HOST_BYTES_MAX)
    value = canon.decode(data)
    known(value, "schema", "cairn.host/v1")
    members(value, ("environment", "key", "name", "schema"))
    require(names.is_environment(value["environment"]), "environment")
    require(names.is_label(value["name"]), "name")
    return Host(value["name"], value["environment"], documents.public_key(value["key"]))


def host_keyid(record):
    return crypto.sha256(record.key)


DECODERS = {
    **documents.DECODERS,
    "enrolment": host,
    "redaction": redaction,
    "break-glass": break_glass,
    "key-succession": succession,
}
