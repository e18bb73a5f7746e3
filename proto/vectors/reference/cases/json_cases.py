"""json.json: canonical JSON."""

from .. import canon
from ..canon import Refused
from ..names import base64_bytes, base64_text

DESCRIPTION = (
    "Canonical JSON. `text_base64` is decoded strictly and encoded again; `ok` where the bytes "
    "are the same. No schema applies: any value may stand at the top."
)
SPEC = "1"


def nested(levels, inside=b""):
    return b"[" * levels + inside + b"]" * levels


GOOD = {
    "empty object": b"{}",
    "empty array": b"[]",
    "empty string": b'""',
    "true": b"true",
    "false": b"false",
    "null": b"null",
    "zero": b"0",
    "negative": b"-1",
    "largest number": b"9007199254740991",
    "smallest number": b"-9007199254740991",
    "members sorted": b'{"":0,"A":1,"_":2,"a":3,"aa":4,"b":5}',
    "members sorted bytewise beyond ASCII": '{"z":1,"\u00e9":2,"\u20ac":3}'.encode(),
    "an escaped quote sorts by the character, not by its escape": b'{"\\"":1,"#":2,"\\\\":3}',
    "one name in two objects": b'{"a":{"a":1},"b":{"a":2}}',
    "two-character escapes": b'"\\"\\\\\\b\\t\\n\\f\\r"',
    "other control characters": b'"\\u0000\\u0001\\u000b\\u000e\\u001f"',
    "delete stands for itself": b'"\x7f"',
    "slash stands for itself": b'"a/b"',
    "line separators stand for themselves": '"\u2028\u2029"'.encode(),
    "beyond the basic plane": '"\U0001f600"'.encode(),
    "last code point": '"\U0010ffff"'.encode(),
    "byte order mark inside a string": '"\ufeff"'.encode(),
    "no normalisation: decomposed": '"e\u0301"'.encode(),
    "16 levels of arrays": nested(16),
    "16 levels, a scalar inside": nested(16, b"1"),
    "16 levels of objects": b'{"a":' * 15 + b"{}" + b"}" * 15,
    "many siblings are not deep": b"[" + b",".join([b"[]"] * 40) + b"]",
}

BAD = {
    "JSON_SYNTAX": {
        "nothing": b"",
        "only white space": b" \n",
        "byte order mark": b"\xef\xbb\xbf{}",
        "not UTF-8": b'"\xff"',
        "overlong UTF-8": b'"\xc0\xaf"',
        "surrogate in UTF-8": b'"\xed\xa0\x80"',
        "UTF-8 cut short": b'"\xe2\x82"',
        "two values": b"{}{}",
        "something after the value": b"{}x",
        "unterminated object": b'{"a":1',
        "unterminated array": b"[1",
        "unterminated string": b'"a',
        "trailing comma in an object": b'{"a":1,}',
        "trailing comma in an array": b"[1,]",
        "leading comma": b"[,1]",
        "missing colon": b'{"a" 1}',
        "missing value": b'{"a":}',
        "missing comma": b"[1 2]",
        "name without quotes": b"{a:1}",
        "single quotes": b"'a'",
        "comment": b"{}/**/",
        "raw line feed in a string": b'"a\nb"',
        "raw tab in a string": b'"a\tb"',
        "raw NUL in a string": b'"\x00"',
        "unknown escape": b'"\\x41"',
        "escape cut short": b'"\\u12"',
        "escape without hex": b'"\\u00zz"',
        "lone high surrogate": b'"\\ud83d"',
        "lone low surrogate": b'"\\ude00"',
        "high surrogate before another character": b'"\\ud83d\\u0041"',
        "surrogates in the wrong order": b'"\\ude00\\ud83d"',
        "not a number": b"NaN",
        "infinity": b"-Infinity",
        "minus alone": b"-",
        "number that starts with a point": b".5",
        "number that ends with a point": b"1.",
        "exponent without digits": b"1e",
        "exponent with a sign alone": b"[1e+]",
        "leading zero": b"01",
        "negative leading zero": b"-01",
        "leading zero before a fraction": b"[00.5]",
        "two zeros": b"00",
        "plus": b"+1",
        "two signs": b"--1",
        "hexadecimal": b"0x1",
        "not UTF-8 after another fault": b'{"a":1,"a":1.5,"b":"\xff"}',
        "in order: no number before a fraction": b"[.5,1.5]",
        "word in capitals": b"True",
        "word cut short": b"tru",
    },
    "JSON_DUPLICATE_MEMBER": {
        "name twice": b'{"a":1,"a":1}',
        "name twice, once escaped": b'{"a":1,"\\u0061":2}',
        "name twice further down": b'{"x":[{"b":1,"b":2}]}',
        "in order: before the value of the second": b'{"a":1,"a":x}',
    },
    "JSON_NUMBER": {
        "fraction": b"1.5",
        "fraction of zero": b"1.0",
        "exponent": b"1e3",
        "capital exponent": b"1E3",
        "negative exponent": b"10e-1",
        "negative zero": b"-0",
        "negative zero with a fraction": b"-0.0",
        "exponent too large for a float": b"1e999",
        "negative exponent too large for a float": b"[-1e999]",
        "exponent too small for a float": b"1e-999",
        "zero with a large exponent": b"0e999",
        "in order: a fraction before a missing bracket": b"[1.5",
        "in order: a fraction before another point": b"1.0.0",
        "in order: a fraction before a duplicate": b'{"a":1.5,"a":1}',
        "in order: white space is looked at last": b"[ 1.5]",
        "2^53": b"9007199254740992",
        "-2^53": b"-9007199254740992",
        "2^64": b"18446744073709551616",
        "many digits": b"1" * 400,
        "inside an object": b'{"a":1.0}',
    },
    "JSON_TOO_DEEP": {
        "17 levels of arrays": nested(17),
        "17 levels of objects": b'{"a":' * 16 + b"{}" + b"}" * 16,
        "17 levels, mixed": b'[{"a":' * 8 + b"[]" + b"}]" * 8,
        "1000 levels": nested(1000),
        "in order: deep before it is seen to have no end": b"[" * 17,
    },
    "JSON_NOT_CANONICAL": {
        "space after a colon": b'{"a": 1}',
        "space before the value": b" {}",
        "line feed at the end": b"{}\n",
        "space in an empty array": b"[ ]",
        "space after a comma": b"[1, 2]",
        "carriage return and tab": b"[\r\t]",
        "members not sorted": b'{"b":1,"a":2}',
        "members not sorted: capitals": b'{"a":1,"A":2}',
        "members sorted by their escapes": b'{"#":1,"\\"":2}',
        "longer name first": b'{"aa":1,"a":2}',
        "escaped letter": b'"\\u0041"',
        "escaped slash": b'"\\/"',
        "escaped delete": b'"\\u007f"',
        "escaped euro sign": b'"\\u20ac"',
        "escaped pair of surrogates": b'"\\ud83d\\ude00"',
        "line feed by number": b'"\\u000a"',
        "backspace by number": b'"\\u0008"',
        "quote by number": b'"\\u0022"',
        "control character in capitals": b'"\\u001F"',
    },
}


def build():
    for name, data in GOOD.items():
        yield {"name": name, "text_base64": base64_text(data)}, {"ok": True}
    for reason, cases in BAD.items():
        for name, data in cases.items():
            yield {"name": name, "text_base64": base64_text(data)}, {"ok": False, "reason": reason}


def run(case, _earlier):
    data = base64_bytes(case["text_base64"])
    try:
        value = canon.decode_plainly(data)
    except Refused as plain:
        try:
            canon.decode(data)
        except Refused as quick:
            assert quick.reason == plain.reason, case["name"]
            raise
        raise AssertionError(case["name"]) from plain
    assert canon.decode(data) == value and canon.encode_fast(value) == canon.encode(value)
    return {}
