"""names.json: texts with a fixed form."""

from .. import documents, names
from ..canon import Refused

DESCRIPTION = (
    "Texts with a fixed form, good and refused. `kind` is environment, pattern, label, origin, "
    "time, artifact-name, artifact-kind, mode, platform, annotation-name, hex (of 32 bytes) or "
    "base64; kind `match` says in `matches` whether `pattern` matches `environment`."
)
SPEC = "1, 3, 4, 5"

CHECKS = {
    "environment": names.is_environment,
    "pattern": names.is_pattern,
    "label": names.is_label,
    "origin": names.is_origin,
    "time": names.is_time,
    "artifact-name": names.is_file_name,
    "artifact-kind": lambda text: text in documents.KINDS,
    "mode": names.is_mode,
    "platform": names.is_platform,
    "annotation-name": names.is_annotation_name,
}
LONG = "a" * 63
AT_LIMIT = "/".join([LONG] * 4)  # 255 bytes
OVER_LIMIT = "/".join([LONG, LONG, LONG, "a" * 31, "a" * 32])  # 256 bytes
EIGHT = "/".join("abcdefgh")

GOOD = {
    "environment": ["prod", "prod/web", "0", "a.b_c-d", "a..b", "a-", LONG, AT_LIMIT, EIGHT],
    "pattern": [
        *["**", "*", "prod", "prod/*", "prod/**", "*/web", "*/*/**", "*/**", AT_LIMIT],
        *["/".join("abcdefg") + "/**", "/".join("*" * 8), EIGHT],
    ],
    "label": ["a", "0", "ci-1", "a.b_c", LONG],
    "origin": ["a", "ledger.example/one", "!", "~", "a" * 240, "x" * 100 + "/e"],
    "time": [
        *["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-02-29T12:00:00Z"],
        *["2000-02-29T00:00:00Z", "2026-11-30T23:59:59Z"],
    ],
    "artifact-name": [
        *["a", "a/b", ".env", "..a", "a..", "...", "a b", "-", "a\\b", "\u00e9", "\u0080", "*"],
        *["\U0001f600/x", "a" * 1024, "\u00e9" * 512, "a#/mode"],
    ],
    "artifact-kind": documents.KINDS,
    "mode": ["0644", "0000", "7777"],
    "platform": ["linux/amd64", "linux/arm/v7", "a/b", "a b/ /~", "l/" + "a" * 253],
    "annotation-name": ["a", "0", "a/b.c_d-e", "a" * 127, "a/", "a//b"],
    "hex": ["00" * 32, "09af" * 16],
    "base64": ["AA==", "AAA=", "AAAA", "+/+/"],
}
BAD = {
    "environment": [
        *["", "/", "/a", "a/", "a//b", "A", "a b", ".a", "-a", "_a", "*", "**", "a/*", "a/.."],
        *["\u00e9", "a\n", LONG + "a", OVER_LIMIT, EIGHT + "/i", "a:b", "a\u0000"],
    ],
    "pattern": [
        *["", "/", "a/", "**/a", "a/**/b", "a*", "*a", "***", "a/***", "**/**", "A", "?", "[a]"],
        *[EIGHT + "/*", EIGHT + "/**", OVER_LIMIT, "prod//*"],
    ],
    "label": ["", "A", "a/b", ".a", "-", "_", "a b", LONG + "a", "a\n", "*"],
    "origin": ["", "a b", "a+b", "a\tb", "\u00e9", "a" * 241, "a\n", "\u007f"],
    "time": [
        *["", "1969-12-31T23:59:59Z", "2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z"],
        *["2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-04-31T00:00:00Z"],
        *["2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z"],
        *["2026-01-01T00:60:00Z", "2026-06-30T23:59:60Z", "2026-01-01T00:00:00z"],
        *["2026-01-01t00:00:00Z", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.0Z"],
        *["2026-01-01 00:00:00Z", "2026-1-1T00:00:00Z", "10000-01-01T00:00:00Z", "2026-01-01"],
        *["2026-01-01T00:00:00Z\n", "0000-01-01T00:00:00Z"],
        "\u0662026-01-01T00:00:00Z",
    ],
    "artifact-name": [
        *["", "/", "/a", "a/", "a//b", ".", "..", "a/.", "./a", "a/..", "../a", "a/../b"],
        *["a\nb", "a\u0000", "\u001f", "\u007f", "a" * 1025, "\u00e9" * 512 + "a"],
    ],
    "artifact-kind": ["", "File", "host", "image-", "file ", "a" * 33],
    "mode": ["", "644", "0888", "00644", "0o644", "0644 "],
    "platform": [
        "",
        "linux",
        "linux/",
        "/amd64",
        "a/b/c/d",
        "linux//v7",
        "linux/am\u00e9",
        "a/\u007f",
    ],
    "annotation-name": ["", "/a", ".a", "A", "a b", "a" * 128, "a:b"],
    "hex": [
        *["", "0" * 63, "0" * 65, "00" * 33, "09AF" * 16, "0x" + "00" * 31, "0" * 63 + " "],
        *["g" * 64, "0" * 63 + "\uff10"],
    ],
    "base64": [
        "A",
        "AA",
        "AAA",
        "AA=",
        "AB==",
        "AAB=",
        "A===",
        "AA==AA==",
        "-_-_",
        "AA==\n",
        " AAAA",
    ],
}
MATCHES = (
    ("**", ["a", "a/b", EIGHT], []),
    ("*", ["a"], ["a/b"]),
    ("prod", ["prod"], ["prod/web", "pro", "prods"]),
    ("prod/*", ["prod/web"], ["prod", "prod/web/eu", "test/web"]),
    ("prod/**", ["prod/web", "prod/web/eu"], ["prod", "production/web", "test"]),
    ("*/web", ["prod/web", "test/web"], ["web", "prod/web/web", "prod/webs"]),
    ("*/**", ["a/b", "a/b/c"], ["a"]),
    ("*/*/**", ["a/b/c", EIGHT], ["a/b", "a"]),
    ("a/*/c/**", ["a/b/c/d", "a/x/c/d/e"], ["a/b/c", "a/b/d/e"]),
    ("a.c", ["a.c"], ["abc"]),
)


def build():
    for ok, texts in ((True, GOOD), (False, BAD)):
        for kind, values in texts.items():
            for number, text in enumerate(values):
                name = f"{kind} {'good' if ok else 'refused'} {number + 1}"
                yield {"name": name, "kind": kind, "text": text}, {"ok": ok}
    for pattern, good, bad in MATCHES:
        for environment in (*good, *bad):
            name = f"pattern {pattern} and {environment}"
            inputs = {"kind": "match", "pattern": pattern, "environment": environment}
            yield {"name": name, **inputs}, {"ok": True, "matches": environment in good}


def run(case, _earlier):
    kind = case["kind"]
    if kind == "match":
        assert names.is_pattern(case["pattern"]) and names.is_environment(case["environment"])
        return {"matches": names.matches(case["pattern"], case["environment"])}
    if kind == "hex":
        return {"bytes_hex": names.hex_bytes(case["text"], 32).hex()}
    if kind == "base64":
        return {"bytes_hex": names.base64_bytes(case["text"]).hex()}
    if not CHECKS[kind](case["text"]):
        raise Refused("JSON_INVALID_VALUE")
    return {}
