"""Texts with a fixed form (SPEC 1 and 5): hex, base64, times, environments, patterns, names."""

import base64
import re

from .canon import Refused

SEGMENT = r"[a-z0-9][a-z0-9._-]{0,62}"
LABEL = re.compile(SEGMENT)
DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
HEX = re.compile(r"([0-9a-f]{2})*")
BASE64 = re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")
ORIGIN = re.compile(r"[\x21-\x2a\x2c-\x7e]{1,240}")
PRINTABLE = re.compile(r"[\x20-\x7e]{1,255}")
MODE = re.compile(r"[0-7]{4}")
PLATFORM = re.compile(r"[^/]+/[^/]+(/[^/]+)?")
ANNOTATION = re.compile(r"[a-z0-9][a-z0-9._/-]{0,126}")


def _is(pattern, value):
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def hex_bytes(value, length=None):
    """Bytes of lower-case hex, or a refusal."""
    if not _is(HEX, value) or (length is not None and len(value) != 2 * length):
        raise Refused("JSON_INVALID_VALUE", "hex")
    return bytes.fromhex(value)


def base64_bytes(value, length=None):
    """Bytes of padded base64 with zero trailing bits, or a refusal."""
    if not _is(BASE64, value):
        raise Refused("JSON_INVALID_VALUE", "base64")
    data = base64.b64decode(value)
    if base64.b64encode(data).decode() != value or (length is not None and len(data) != length):
        raise Refused("JSON_INVALID_VALUE", "base64")
    return data


def u64_of_text(value):
    """A decimal number below 2^64 in its one spelling, or a refusal."""
    if not _is(DECIMAL, value) or int(value) >= 2**64:
        raise Refused("JSON_INVALID_VALUE", "number")
    return int(value)


def base64_text(data):
    return base64.b64encode(data).decode()


def is_label(value):
    return _is(LABEL, value)


def is_origin(value):
    return _is(ORIGIN, value)


def is_mode(value):
    return _is(MODE, value)


def is_printable(value):
    return _is(PRINTABLE, value)


def is_platform(value):
    return _is(PRINTABLE, value) and _is(PLATFORM, value)


def is_annotation_name(value):
    return _is(ANNOTATION, value)


def is_time(value):
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return False
    year, month, day, hour, minute, second = (int(group) for group in found.groups())
    if year < 1970 or not 1 <= month <= 12:
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    return 1 <= day <= days and hour < 24 and minute < 60 and second < 60


def is_environment(value):
    if not isinstance(value, str) or len(value) > 255:
        return False
    segments = value.split("/")
    return len(segments) <= 8 and all(is_label(segment) for segment in segments)


def is_pattern(value):
    if not isinstance(value, str) or len(value) > 255:
        return False
    segments = value.split("/")
    head = segments[:-1] if segments[-1] == "**" else segments
    return len(segments) <= 8 and all(s == "*" or is_label(s) for s in head)


def matches(pattern, environment):
    """`*` stands for one segment, a final `**` for one or more."""
    wanted, given = pattern.split("/"), environment.split("/")
    if wanted[-1] == "**":
        wanted = wanted[:-1]
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given))


def overlap(one, other):
    """Whether two patterns agree, segment by segment; `**` is one `*` or more."""
    one, other = one.split("/"), other.split("/")
    length = max(len(one), len(other))
    one, other = _stretched(one, length), _stretched(other, length)
    agree = all(a == b or "*" in (a, b) for a, b in zip(one, other))
    return len(one) == len(other) and agree


def _stretched(segments, length):
    """A final `**` as the single segments that make for `length`."""
    if segments[-1] != "**":
        return segments
    head = segments[:-1]
    return head + ["*"] * (length - len(head))


def has_control(value):
    return any(char < " " or char == "\x7f" for char in value)


def is_file_name(value):
    """The name of an artifact or of an entry of a tree, without the special `.`."""
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= 1024:
        return False
    if has_control(value):
        return False
    return all(segment not in ("", ".", "..") for segment in value.split("/"))
