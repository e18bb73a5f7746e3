"""The documents of documents.json that are orders and records of hosts, and policies that allow
to enrol."""

from .. import canon, crypto, notes
from ..crypto import Signer
from ..names import base64_text
from .builder import deployer, genesis_predicate, policy_value, without_none
from .policy_cases import HIGH_Y, INVALID, MISSING, NEWER, NO_POINT, SMALL_ORDER, UNKNOWN, A, B
from .policy_cases import case

ORIGIN = "ledger.example/one"
LOG, CLOCK = Signer("next log"), Signer("next clock")
KEYS = genesis_predicate(ORIGIN, LOG, CLOCK)
HEAD = notes.note_text(ORIGIN, 9, bytes(32))
HEAD = (HEAD + b"\n" + notes.log_line(Signer("log"), ORIGIN, HEAD)).decode()


def content(number):
    return crypto.blake(b"%d" % number).hex()


REDACTION = {
    "contents": sorted((content(1), content(2))),
    "reason": "a password in a layer",
    "schema": "cairn.redaction/v1",
}
BREAK_GLASS = {
    "approvals": 1,
    "environments": "prod/**",
    "expires": 1_767_400_000,
    "maxStaleness": 604_800,
    "reason": "the others are asleep",
    "schema": "cairn.break-glass/v1",
}
SUCCESSION = {
    "clockKey": KEYS["clockKey"],
    "head": HEAD,
    "logKey": KEYS["logKey"],
    "reason": "the disk was sold",
    "schema": "cairn.key-succession/v1",
}
HOST = {
    "environment": "prod/web",
    "key": base64_text(A.public),
    "name": "web-1",
    "schema": "cairn.host/v1",
}
MADE = {
    "redaction": REDACTION,
    "break-glass": BREAK_GLASS,
    "key-succession": SUCCESSION,
    "host": HOST,
}
OPTIONAL = ("approvals", "maxStaleness")


def changed(value, **others):
    return without_none({**value, **others})


def rights():
    """What a deployer may do: `enrol` is one of four."""
    everything = ["enrol", "release", "retire", "rollback"]
    for name, actions, reason in (
        ("enrol", ["enrol"], None),
        ("all four", everything, None),
        ("enrol behind release", ["release", "enrol"], INVALID),
        ("enrol twice", ["enrol", "enrol"], INVALID),
        ("dismiss", ["dismiss"], INVALID),
        ("approve", ["approve", "release"], INVALID),
        ("five", [*everything, "rollback"], INVALID),
    ):
        value = policy_value(1, [A], 1, [{**deployer(B), "actions": actions}])
        yield case("policy", f"rights: {name}", value, reason)
    limits = [{"approvals": 1, "environments": "**"}]
    value = policy_value(1, [A], 1, [deployer(B, ["**"], ["enrol"])], limits)
    yield case("policy", "rights: who may only enrol is nobody that can release", value)
    limits = [{"approvals": 2, "environments": "**"}]
    deployers = [deployer(B, ["**"], ["enrol"]), deployer(A, ["**"], ["enrol", "release"])]
    value = policy_value(1, [A], 1, deployers, limits)
    yield case("policy", "rights: nor does it count toward the approvals", value, "POLICY_LOCKOUT")


def good_orders():
    for kind, value in MADE.items():
        yield case(kind, "full", value)
    for kind, name, change in (
        ("redaction", "one content", {"contents": [content(1)]}),
        ("redaction", "the longest reason", {"reason": "\u00e9" * 512}),
        ("break-glass", "approvals alone", {"maxStaleness": None, "approvals": 16}),
        ("break-glass", "maxStaleness alone", {"approvals": None, "maxStaleness": 2**31 - 1}),
        ("break-glass", "smallest numbers", {"approvals": 1, "expires": 1, "maxStaleness": 1}),
        ("break-glass", "the latest expires", {"expires": 2**53 - 1}),
        ("break-glass", "a pattern that is a name", {"environments": "prod/web"}),
        ("key-succession", "keys of other names and types: judged by the rules", other_keys()),
        ("key-succession", "one key for both: judged by the rules", {"clockKey": KEYS["logKey"]}),
        ("key-succession", "a head that is no note: judged by the rules", {"head": "x"}),
        ("key-succession", "a head of 8,192 bytes", {"head": "x" * 8192}),
    ):
        yield case(kind, name, changed(MADE[kind], **change))


def other_keys():
    return {"clockKey": vkey("a", notes.LOG_KEY), "logKey": vkey("b", notes.COSIGNER_KEY)}


def vkey(name, kind, public=LOG.public):
    return notes.Vkey(name, kind, public).text()


def bad_orders():
    for kind, value in MADE.items():
        yield from without_or_with(kind, value)
    for kind, name, change in bad_values():
        yield case(kind, name, changed(MADE[kind], **change), INVALID)
    other = changed(REDACTION, schema="cairn.break-glass/v1")
    yield case("redaction", "the schema of another kind", other, NEWER)
    yield case("redaction", "a document of another kind", BREAK_GLASS, NEWER)
    yield case("break-glass", "a document of another kind", SUCCESSION, NEWER)
    text = canon.encode(BREAK_GLASS)
    for name, written, reason in (
        ("a fraction", text.replace(b'"approvals":1', b'"approvals":1.0'), "JSON_NUMBER"),
        ("a space", text.replace(b'"approvals":1', b'"approvals": 1'), "JSON_NOT_CANONICAL"),
        ("expires 2^53", canon.encode({**BREAK_GLASS, "expires": 2**53}), "JSON_NUMBER"),
        ("a line feed", text + b"\n", "JSON_NOT_CANONICAL"),
        ("a member twice", text[:-1] + b',"schema":"x"}', "JSON_DUPLICATE_MEMBER"),
        ("no JSON", b"break glass", "JSON_SYNTAX"),
    ):
        yield case("break-glass", name, written, reason)


def without_or_with(kind, value):
    """Each member left out, null, and of another type."""
    for member in value:
        if member not in OPTIONAL:
            yield case(kind, f"no {member}", changed(value, **{member: None}), MISSING)
        for what, wrong in (("null", None), ("an object", {}), ("true", True)):
            yield case(kind, f"{member} is {what}", {**value, member: wrong}, INVALID)
    yield case(kind, "another member", {**value, "zone": 1}, UNKNOWN)
    later = {**value, "schema": value["schema"].replace("/v1", "/v2"), "zone": 1}
    yield case(kind, "a later schema before all else", later, NEWER)


def bad_values():
    listed = REDACTION["contents"]
    for name, contents in (
        ("an empty list of contents", []),
        ("contents descend", listed[::-1]),
        ("no bytes at all", [crypto.blake(b"").hex()]),
        ("one content twice", [listed[0]] * 2),
        ("a content in capitals", ["AB" * 32]),
        ("a content with its algorithm", [f"blake3:{listed[0]}"]),
        ("a content too short", ["ab" * 31]),
        ("a content that is a number", [1]),
    ):
        yield "redaction", name, {"contents": contents}
    for kind in ("redaction", "break-glass", "key-succession"):
        yield kind, "reason empty", {"reason": ""}
        yield kind, "reason of 1,025 bytes", {"reason": "\u00e9" * 512 + "a"}
    for name, change in (
        ("neither approvals nor maxStaleness", {"approvals": None, "maxStaleness": None}),
        ("approvals 0", {"approvals": 0}),
        ("approvals 17", {"approvals": 17}),
        ("approvals as text", {"approvals": "1"}),
        ("maxStaleness 0", {"maxStaleness": 0}),
        ("maxStaleness 2^31", {"maxStaleness": 2**31}),
        ("expires 0", {"expires": 0}),
        ("expires negative", {"expires": -1}),
        ("expires as text", {"expires": "2026-01-02T03:04:05Z"}),
        ("a list of environments", {"environments": ["prod/**"]}),
        ("environments no pattern", {"environments": "prod/**/web"}),
        ("environments empty", {"environments": ""}),
    ):
        yield "break-glass", name, change
    weak = vkey(ORIGIN, notes.LOG_KEY, SMALL_ORDER)
    for name, change in (
        ("logKey is no vkey", {"logKey": "key"}),
        ("a weak logKey", {"logKey": weak}),
        ("a weak clockKey", {"clockKey": vkey(f"{ORIGIN}/clock", 4, NO_POINT)}),
        ("logKey of type 6", {"logKey": vkey(ORIGIN, 6)}),
        ("clockKey with a wrong key ID", {"clockKey": wrong_id(KEYS["clockKey"])}),
        ("head empty", {"head": ""}),
        ("head of 8,193 bytes", {"head": "x" * 8193}),
    ):
        yield "key-succession", name, change


def wrong_id(key):
    name, _, body = key.split("+", 2)
    return f"{name}+00000000+{body}"


def largest_orders():
    full = sorted(content(number) for number in range(1025))
    yield case("redaction", "1,024 contents", {**REDACTION, "contents": full[:1024]})
    yield case("redaction", "1,025 contents", {**REDACTION, "contents": full}, INVALID)


def hosts():
    for name, change, reason in (
        ("a name of 63 bytes", {"name": "a" * 63}, None),
        ("a name of 64 bytes", {"name": "a" * 64}, INVALID),
        ("name in capitals", {"name": "Web-1"}, INVALID),
        ("name empty", {"name": ""}, INVALID),
        ("name with a slash", {"name": "prod/web-1"}, INVALID),
        ("a pattern for an environment", {"environment": "prod/*"}, INVALID),
        ("environment in capitals", {"environment": "Prod"}, INVALID),
        ("a key of 31 bytes", {"key": base64_text(A.public[:31])}, INVALID),
        ("a key in hex", {"key": A.public.hex()}, INVALID),
        ("a key of small order", {"key": base64_text(SMALL_ORDER)}, "KEY_WEAK"),
        ("a key with y above p", {"key": base64_text(HIGH_Y)}, "KEY_WEAK"),
        ("a key that is no point", {"key": base64_text(NO_POINT)}, "KEY_WEAK"),
    ):
        yield case("host", name, {**HOST, **change}, reason)
    yield case("host", "a list of hosts", [HOST], INVALID)
