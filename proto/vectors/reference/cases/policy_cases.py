"""The policies of documents.json, but for those that revoke or lock out."""

from .. import canon
from ..crypto import Signer
from ..names import base64_text
from .builder import deployer, named_key, policy_value, without_none

A, B, C = Signer("alice"), Signer("bob"), Signer("carol")
SMALL_ORDER = b"\x01" + bytes(31)
HIGH_Y = (2**255 - 19 + 3).to_bytes(32, "little")
NO_POINT = (2).to_bytes(32, "little")
INVALID, UNKNOWN = "JSON_INVALID_VALUE", "JSON_UNKNOWN_MEMBER"
MISSING, NEWER = "JSON_MISSING_MEMBER", "NEEDS_NEWER_CAIRN"


def case(kind, name, value, reason=None):
    text = value if isinstance(value, bytes) else canon.encode(value)
    expected = {"ok": False, "reason": reason} if reason else {"ok": True}
    return {"name": f"{kind}: {name}", "kind": kind, "document_text": text.decode()}, expected


def policies():
    one = policy_value(1, [A], 1)
    two = policy_value(1, [A, B], 2)
    ci = deployer(C)
    rule = {"environments": "prod/**", "approvals": 2, "maxStaleness": 86400}
    yield case("policy", "smallest", one)
    yield case("policy", "full", policy_value(7, [A, B], 2, [deployer(A), ci], [rule]))
    staleness = {"environments": "test/*", "maxStaleness": 2**31 - 1}
    limits = [rule, staleness, {"approvals": 16, "environments": "*"}]
    yield case("policy", "rules", policy_value(1, [A], 1, [], limits))
    both = policy_value(1, [A], 1, [deployer(A, ["a", "b/*"], ["retire"])])
    yield case("policy", "an admin who deploys", both)
    yield case("policy", "largest version", policy_value(2**53 - 1, [A], 1))
    yield from (case("policy", n, v, r) for n, v, r in bad_admins(one, two))
    yield from (case("policy", n, v, r) for n, v, r in bad_deployers())
    yield from (case("policy", n, v, r) for n, v, r in bad_rules())
    yield from (case("policy", f"witnesses: {n}", v, r) for n, v, r in witness_rules())
    yield from (case("policy", f"witnesses: {n}", v, r) for n, v, r in bad_witness_rules())


def bad_admins(one, two):
    keys = two["admins"]["keys"]
    for what, key in (
        ("of small order", SMALL_ORDER),
        ("y above p", HIGH_Y),
        ("no point", NO_POINT),
    ):
        listed = [{"key": base64_text(key), "name": "a"}]
        yield f"admin key {what}", with_admins(one, listed), "KEY_WEAK"
    yield "no admin", with_admins(one, []), INVALID
    many = [named_key(Signer(f"admin {i}"), f"a{i:02}") for i in range(65)]
    yield "64 admins", with_admins(one, many[:64]), None
    yield "65 admins", with_admins(one, many), INVALID
    yield "threshold 0", with_admins(one, keys, 0), INVALID
    yield "threshold above the admins", with_admins(one, keys, 3), INVALID
    yield "admins descend", with_admins(one, keys[::-1]), INVALID
    yield "one admin name twice", with_admins(one, [keys[0], {**keys[1], "name": "alice"}]), INVALID
    yield "one admin key twice", with_admins(one, [named_key(A, "a"), named_key(A, "b")]), INVALID
    yield "admin name in capitals", with_admins(one, [named_key(A, "Alice")]), INVALID
    short = {"key": base64_text(A.public[:31]), "name": "a"}
    yield "admin key of 31 bytes", with_admins(one, [short]), INVALID
    yield "admin key with a role", with_admins(one, [{**keys[0], "role": ""}]), UNKNOWN
    yield "admin key without a name", with_admins(one, [{"key": keys[0]["key"]}]), MISSING
    yield "another member", {**one, "zone": 1}, UNKNOWN
    yield "no rules", without_none({**one, "rules": None}), MISSING
    yield "no schema", without_none({**one, "schema": None}), MISSING
    yield "a later schema", {**one, "schema": "cairn.policy/v2"}, NEWER
    yield "a later schema with another member", {**one, "schema": "cairn.policy/v2", "x": 1}, NEWER
    yield "version 0", {**one, "version": 0}, INVALID
    yield "version is text", {**one, "version": "1"}, INVALID
    yield "array", [], INVALID
    yield "white space", canon.encode(one) + b"\n", "JSON_NOT_CANONICAL"
    yield "no JSON", b"{", "JSON_SYNTAX"


def with_admins(value, keys, threshold=1):
    return {**value, "admins": {"keys": keys, "threshold": threshold}}


def bad_deployers():
    def with_deployers(*deployers):
        return {**policy_value(1, [A], 1), "deployers": list(deployers)}

    one, two = deployer(B), deployer(C)
    weak = {**one, "key": base64_text(SMALL_ORDER)}
    yield "weak deployer key", with_deployers(weak), "KEY_WEAK"
    yield "deployers descend", with_deployers(two, one), INVALID
    yield "one deployer key twice", with_deployers(one, {**one, "name": "dave"}), INVALID
    yield "one deployer name twice", with_deployers(one, {**two, "name": "bob"}), INVALID
    most = {"environments": [f"e{i:02}" for i in range(64)]}
    yield "deployer: 64 environments", with_deployers({**one, **most}), None
    for name, change in (
        ("unknown action", {"actions": ["approve"]}),
        ("actions descend", {"actions": ["rollback", "release"]}),
        ("one action twice", {"actions": ["release", "release"]}),
        ("action is a number", {"actions": [1]}),
        ("no environments", {"environments": []}),
        ("environments descend", {"environments": ["b", "a"]}),
        ("one environment twice", {"environments": ["a", "a"]}),
        ("environment no pattern", {"environments": ["a*"]}),
        ("65 environments", {"environments": [f"e{i:02}" for i in range(65)]}),
    ):
        yield f"deployer: {name}", with_deployers({**one, **change}), INVALID
    yield "deployer: actions empty", with_deployers({**one, "actions": []}), INVALID
    yield "deployer: no actions", with_deployers(without_none({**one, "actions": None})), MISSING


def with_rules(*rules):
    return {**policy_value(1, [A], 1), "rules": list(rules)}


def bad_rules():
    for name, rules in (
        ("says nothing", [{"environments": "**"}]),
        ("approvals 0", [{"approvals": 0, "environments": "**"}]),
        ("approvals 17", [{"approvals": 17, "environments": "**"}]),
        ("maxStaleness 0", [{"environments": "**", "maxStaleness": 0}]),
        ("maxStaleness 2^31", [{"environments": "**", "maxStaleness": 2**31}]),
        ("no pattern", [{"approvals": 1, "environments": "**/a"}]),
        ("list of patterns", [{"approvals": 1, "environments": ["**"]}]),
        ("one pattern twice", [{"approvals": i, "environments": "**"} for i in (1, 2)]),
        ("descend", [{"approvals": 1, "environments": p} for p in ("b", "a")]),
        ("approvals null", [{"approvals": None, "environments": "**", "maxStaleness": 1}]),
    ):
        yield f"rule: {name}", with_rules(*rules), INVALID
    yield "rule: another member", with_rules({"approvals": 1, "environments": "a", "x": 1}), UNKNOWN
    yield "rule: no environments", with_rules({"approvals": 1}), MISSING


def witness_rules():
    one = {"environments": "prod/**", "witnesses": 1}
    two = {"environments": "test/*", "witnesses": 2}
    stale = {**one, "maxStaleness": 86400}
    yield "alone in a rule", with_rules(one), None
    yield "sixteen", with_rules({**one, "witnesses": 16}), None
    yield "beside approvals", with_rules({**one, "approvals": 1}), None
    yield "beside an age", with_rules(stale), None
    yield "all three", with_rules({**stale, "approvals": 2}), None
    yield "in two rules", with_rules(one, two), None
    yield "in one of two rules", with_rules(one, {"approvals": 1, "environments": "test/*"}), None
    deploying = {**with_rules({**one, "witnesses": 16}), "deployers": [deployer(A)]}
    yield "more than there are deployers", deploying, None
    locked = {**deploying, "rules": [{**one, "approvals": 2}]}
    yield "beside approvals that lock out", locked, "POLICY_LOCKOUT"


def bad_witness_rules():
    one = {"environments": "prod/**", "witnesses": 2}
    full = {**one, "approvals": 2, "maxStaleness": 86400}
    for name, number in (
        ("0", 0),
        ("17", 17),
        ("-1", -1),
        ("text", "2"),
        ("null", None),
        ("true", True),
        ("a list", [2]),
        ("keys and a quorum", {"keys": [], "quorum": 1}),
        ("2^53 - 1", 2**53 - 1),
    ):
        yield name, with_rules({**one, "witnesses": number}), INVALID
    yield "0 beside approvals", with_rules({**full, "witnesses": 0}), INVALID
    yield "17 beside approvals", with_rules({**full, "witnesses": 17}), INVALID
    yield "a fourth member that is unknown", with_rules({**full, "auditors": 1}), UNKNOWN
    yield "in the singular", with_rules({"environments": "a", "witness": 1}), UNKNOWN
    yield "outside the rules", {**with_rules(one), "witnesses": 2}, UNKNOWN
    yield "of a deployer", {**with_rules(), "deployers": [{**deployer(B), "witnesses": 1}]}, UNKNOWN
    yield "no environments", with_rules({"witnesses": 1}), MISSING
    yield from miswritten(canon.encode(with_rules(full)))


def miswritten(text):
    """Texts of a rule that are not canonical, or not even JSON."""
    member = b'"witnesses":2'
    without = text.replace(b"," + member, b"")
    for before in (b'"approvals"', b'"environments":"prod', b'"maxStaleness"'):
        name = before.decode().split('"')[1]
        moved = without.replace(before, member + b"," + before)
        yield f"in order before {name}", moved, "JSON_NOT_CANONICAL"
    for name, written, reason in (
        ("twice", b'"witnesses":2,"witnesses":2', "JSON_DUPLICATE_MEMBER"),
        ("twice, with two numbers", b'"witnesses":2,"witnesses":3', "JSON_DUPLICATE_MEMBER"),
        ("2.0", b'"witnesses":2.0', "JSON_NUMBER"),
        ("02", b'"witnesses":02', "JSON_SYNTAX"),
        ("a space before the number", b'"witnesses": 2', "JSON_NOT_CANONICAL"),
    ):
        yield name, text.replace(member, written), reason
