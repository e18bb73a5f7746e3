"""Canonical JSON (SPEC 1): strict parsing, the one encoding, and shapes of objects.

Out of scope: what any member means. Invariant: `decode` returns a value only for the
very bytes that `encode` makes from it.
"""

import json
import re

DEPTH_MAX = 16
NUMBER_MAX = 2**53 - 1


class Refused(Exception):
    """Something a verifier must refuse. `reason` is the code of SPEC, None where it names none."""

    def __init__(self, reason, detail="", step=None):
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.step = step


ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
INTEGER = re.compile(r"-?(?:0(?![0-9])|[1-9][0-9]*)")
FRACTION = re.compile(r"\.[0-9]+")
EXPONENT = re.compile(r"[eE][+-]?[0-9]+")
PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
HEX4 = re.compile(r"[0-9a-fA-F]{4}")
SPACE = re.compile(r"[ \t\n\r]*")


class _Parser:
    """A parser of all of JSON, so that 'not JSON' and 'not canonical' get their own codes."""

    def __init__(self, data):
        try:
            self.text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused("JSON_SYNTAX", "not UTF-8") from error
        self.at = 0

    def parse(self):
        value = self.value(0)
        self.space()
        if self.at != len(self.text):
            raise Refused("JSON_SYNTAX", "something follows the value")
        return value

    def space(self):
        self.at = SPACE.match(self.text, self.at).end()

    def peek(self):
        self.space()
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self, char):
        if self.peek() != char:
            raise Refused("JSON_SYNTAX", f"expected {char!r} at {self.at}")
        self.at += 1

    def value(self, depth):
        char = self.peek()
        if char in ("{", "["):
            if depth == DEPTH_MAX:
                raise Refused("JSON_TOO_DEEP")
            return self.object(depth + 1) if char == "{" else self.array(depth + 1)
        if char == '"':
            return self.string()
        for word, meaning in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return meaning
        return self.number()

    def number(self):
        """By RFC 8259's grammar; only then is it asked whether it is an integer of ours."""
        start = self.at
        integer = INTEGER.match(self.text, self.at)
        if not integer:
            raise Refused("JSON_SYNTAX", f"no value at {self.at}")
        self.at = integer.end()
        for sign, rest in ((".", FRACTION), ("eE", EXPONENT)):
            if self.at < len(self.text) and self.text[self.at] in sign:
                found = rest.match(self.text, self.at)
                if not found:
                    raise Refused("JSON_SYNTAX", f"no number at {start}")
                self.at = found.end()
        word = self.text[start : self.at]
        if word != integer.group() or word == "-0" or len(word) > 17:
            raise Refused("JSON_NUMBER", word[:40])
        if abs(int(word)) > NUMBER_MAX:
            raise Refused("JSON_NUMBER", word)
        return int(word)

    def string(self):
        self.take('"')
        parts = []
        while True:
            plain = PLAIN.match(self.text, self.at)
            parts.append(plain.group())
            self.at = plain.end()
            char = self.text[self.at] if self.at < len(self.text) else ""
            if char == '"':
                self.at += 1
                return "".join(parts)
            if char != "\\":
                raise Refused("JSON_SYNTAX", "control character in a string, or no end")
            parts.append(self.escape())

    def escape(self):
        char = self.text[self.at + 1 : self.at + 2]
        if char in ESCAPES and char:
            self.at += 2
            return ESCAPES[char]
        code = self.unicode_escape()
        if 0xDC00 <= code < 0xE000:
            raise Refused("JSON_SYNTAX", "lone surrogate")
        if 0xD800 <= code < 0xDC00:
            low = self.unicode_escape()
            if not 0xDC00 <= low < 0xE000:
                raise Refused("JSON_SYNTAX", "lone surrogate")
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code)

    def unicode_escape(self):
        digits = HEX4.match(self.text, self.at + 2)
        if self.text[self.at : self.at + 2] != "\\u" or not digits:
            raise Refused("JSON_SYNTAX", "bad escape")
        self.at += 6
        return int(digits.group(), 16)

    def array(self, depth):
        self.take("[")
        items = []
        if self.peek() == "]":
            self.at += 1
            return items
        while True:
            items.append(self.value(depth))
            if self.peek() == "]":
                self.at += 1
                return items
            self.take(",")

    def object(self, depth):
        self.take("{")
        members = {}
        if self.peek() == "}":
            self.at += 1
            return members
        while True:
            self.peek()
            name = self.string()
            if name in members:
                raise Refused("JSON_DUPLICATE_MEMBER", name)
            self.take(":")
            members[name] = self.value(depth)
            if self.peek() == "}":
                self.at += 1
                return members
            self.take(",")


def _encode_string(text):
    out = ['"']
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char in "\b\t\n\f\r":
            out.append({"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}[char])
        elif char < " ":
            out.append(f"\\u{ord(char):04x}")
        else:
            out.append(char)
    return "".join(out) + '"'


def _encode(value):
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _encode_string(value)
    if isinstance(value, list):
        return "[" + ",".join(_encode(item) for item in value) + "]"
    names = sorted(value, key=lambda name: name.encode())
    return "{" + ",".join(_encode_string(n) + ":" + _encode(value[n]) for n in names) + "}"


def encode(value):
    """The canonical bytes of a value, by this module's own encoder."""
    return _encode(value).encode()


def decode_plainly(data):
    """Parse, encode again, compare: SPEC 1 as it is written. Slow, and it names the reason."""
    value = _Parser(data).parse()
    if encode(value) != data:
        raise Refused("JSON_NOT_CANONICAL")
    return value


def _no_float(_word):
    raise ValueError("not an integer")


def _deep(value, depth):
    """True where a value is nested deeper than SPEC allows or holds a number out of range."""
    if isinstance(value, (dict, list)):
        if depth == DEPTH_MAX:
            return True
        inside = value.values() if isinstance(value, dict) else value
        return any(_deep(item, depth + 1) for item in inside if not isinstance(item, str))
    return type(value) is int and abs(value) > NUMBER_MAX


def encode_fast(value):
    """`encode` by the standard library, whose escapes are those of SPEC 1."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode()


def decode(data):
    """`decode_plainly`, with a quick way for bytes that are canonical.

    The standard library parses more than SPEC allows, but what it encodes again can equal
    the input only if the input was canonical; all else goes the plain way for its reason.
    """
    try:
        value = json.loads(data.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float)
        if encode_fast(value) == data and not _deep(value, 0):
            return value
    except (ValueError, RecursionError):
        pass
    return decode_plainly(data)


# Shapes. The codes are those of SPEC 1.


def members(value, required, optional=()):
    """An object with all of `required`, perhaps some of `optional`, and nothing else."""
    if not isinstance(value, dict):
        raise Refused("JSON_INVALID_VALUE", "not an object")
    for name in value:
        if name not in required and name not in optional:
            raise Refused("JSON_UNKNOWN_MEMBER", name)
    for name in required:
        if name not in value:
            raise Refused("JSON_MISSING_MEMBER", name)
    return value


def known(value, member, *texts):
    """Look at `schema` (or its like) before anything else: an unknown one is NEEDS_NEWER_CAIRN."""
    if not isinstance(value, dict):
        raise Refused("JSON_INVALID_VALUE", "not an object")
    if member not in value:
        raise Refused("JSON_MISSING_MEMBER", member)
    if not isinstance(value[member], str):
        raise Refused("JSON_INVALID_VALUE", member)
    if value[member] not in texts:
        raise Refused("NEEDS_NEWER_CAIRN", value[member])


def bounded(data, limit):
    if len(data) > limit:
        raise Refused("DOCUMENT_TOO_LARGE", str(len(data)))


def require(condition, detail):
    if not condition:
        raise Refused("JSON_INVALID_VALUE", detail)


def integer(value, low, high=NUMBER_MAX):
    require(type(value) is int and low <= value <= high, "integer out of bounds")
    return value


def text(value, low, high):
    """Text of `low` to `high` bytes of UTF-8."""
    require(isinstance(value, str) and low <= len(value.encode()) <= high, "text out of bounds")
    return value


def array(value, low, high):
    require(isinstance(value, list) and low <= len(value) <= high, "array out of bounds")
    return value


def ascending(values, detail):
    """Strictly ascending, bytewise."""
    keys = [value.encode() for value in values]
    require(all(a < b for a, b in zip(keys, keys[1:])), detail)
