"""The policies of documents.json that revoke keys or lock out, and by them what overlaps."""

from .. import canon
from ..crypto import Signer
from ..names import base64_text
from .builder import by_key, deployer, named_key, policy_value, revocation
from .policy_cases import HIGH_Y, INVALID, MISSING, SMALL_ORDER, UNKNOWN, A, B, C, case

LOST = sorted((Signer(f"revoked {i}") for i in range(8)), key=lambda signer: signer.public)
REVOKED, LOCKOUT = "KEY_REVOKED", "POLICY_LOCKOUT"


def revoking(*items):
    return policy_value(1, [A, B], 1, [deployer(C)], revoked=list(items))


def revocations():
    first, second = LOST[:2]
    several = [revocation(signer, i or None) for i, signer in enumerate(LOST)]
    alone = policy_value(1, [A], 1, revoked=[revocation(first)])
    for name, value in (
        ("without an index or a reason", revoking(revocation(first))),
        ("since an index, with a reason", revoking(revocation(first, 17, "stolen"))),
        ("since 0", revoking(revocation(first, 0))),
        ("since the largest index", revoking(revocation(first, 2**53 - 1))),
        ("a reason alone", revoking(revocation(first, None, "left"))),
        ("a reason of 256 bytes", revoking(revocation(first, None, "\u00e9" * 128))),
        ("a reason of two lines", revoking(revocation(first, None, "a\nb"))),
        ("two, one of them since an index", revoking(revocation(first), revocation(second, 1))),
        ("several, by their bytes", revoking(*several)),
        ("where nobody deploys", alone),
    ):
        yield case("policy", f"revoked: {name}", value)
    yield from (case("policy", f"revoked: {n}", v, r) for n, v, r in bad_lists(several))
    yield from (case("policy", f"revoked: {n}", v, r) for n, v, r in bad_revocations())
    yield from (case("policy", f"revoked: {n}", v, r) for n, v, r in revoked_and_named())


def bad_lists(several):
    one = several[0]
    by_text = sorted(several, key=lambda item: item["key"])
    by_keyid = [revocation(s) for s in sorted(LOST, key=lambda signer: signer.keyid)]
    yield "an empty list", revoking(), INVALID
    yield "null", {**revoking(), "revoked": None}, INVALID
    yield "an object", {**revoking(), "revoked": one}, INVALID
    yield "keys as text", revoking(one["key"]), INVALID
    yield "two that descend", revoking(*several[1::-1]), INVALID
    yield "the last two exchanged", revoking(*several[:-2], *several[:-3:-1]), INVALID
    yield "sorted by base64", revoking(*by_text), INVALID
    yield "sorted by keyid", revoking(*by_keyid), INVALID
    yield "one key twice", revoking(one, one), INVALID
    later = [{**one, "since": since} for since in (1, 2)]
    yield "one key twice, since two indices", revoking(*later), INVALID


def bad_revocations():
    one = revocation(LOST[0])
    for name, change, reason in (
        ("a weak key", {"key": base64_text(SMALL_ORDER)}, "KEY_WEAK"),
        ("a key with y above p", {"key": base64_text(HIGH_Y)}, "KEY_WEAK"),
        ("a key of 31 bytes", {"key": base64_text(LOST[0].public[:31])}, INVALID),
        ("a key in hex", {"key": LOST[0].public.hex()}, INVALID),
        ("a name", {"name": "lost"}, UNKNOWN),
        ("since -1", {"since": -1}, INVALID),
        ("since 2^53", {"since": 2**53}, "JSON_NUMBER"),
        ("since is text", {"since": "17"}, INVALID),
        ("since null", {"since": None}, INVALID),
        ("a reason that is empty", {"reason": ""}, INVALID),
        ("a reason of 257 bytes", {"reason": "\u00e9" * 128 + "a"}, INVALID),
        ("a reason that is a number", {"reason": 1}, INVALID),
        ("a reason that is null", {"reason": None}, INVALID),
    ):
        yield name, revoking({**one, **change}), reason
    yield "no key", revoking({"reason": "stolen", "since": 17}), MISSING


def revoked_and_named():
    first = LOST[0]
    listed = [revocation(first)]
    admins = policy_value(1, [A, B], 1)["admins"]
    keys = [*admins["keys"], named_key(first, "zoe")]
    zoe = {**policy_value(1, [A], 1, revoked=listed), "admins": {"keys": keys, "threshold": 1}}
    named = deployer(first, name="zoe")
    retiring = deployer(first, ["a"], ["retire"], "zoe")

    def deploying(*deployers, **others):
        return policy_value(1, [A], 1, deployers, **{"revoked": listed, **others})

    yield "an admin", revoking(revocation(B)), REVOKED
    yield "an admin, since an index", revoking(revocation(B, 17)), REVOKED
    yield "an admin, by whatever name", zoe, REVOKED
    yield "a deployer", revoking(revocation(C)), REVOKED
    yield "a deployer, since 0", revoking(revocation(C, 0)), REVOKED
    yield "a deployer, by whatever name", deploying(deployer(C), named), REVOKED
    yield "a deployer who may only retire", deploying(deployer(C), retiring), REVOKED
    yield "an admin who deploys", {**zoe, "deployers": [named]}, REVOKED
    two = by_key([revocation(LOST[-1]), revocation(C)])
    yield "a deployer and another", deploying(deployer(C), revoked=two), REVOKED
    yield "a deployer, and a version 0", {**deploying(named), "version": 0}, INVALID
    idle = [{"environments": "**"}]
    yield "a deployer, and a rule that says nothing", {**deploying(named), "rules": idle}, INVALID


def largest():
    """The longer list is told by the shorter one, for it is long."""
    items = by_key([revocation(Signer(f"revoked {i}")) for i in range(1025)])
    name, last = "revoked: 1,024 keys", canon.encode(items.pop()).decode()
    value = canon.encode(policy_value(1, [A], 1, revoked=items))
    yield case("policy", name, value)
    told = {"document_base": f"policy: {name}"}
    told["document_edits"] = [[value.index(b'],"rules"'), 0, f",{last}"]]
    inputs = {"name": "policy: revoked: 1,025 keys", "kind": "policy", **told}
    yield inputs, {"ok": False, "reason": INVALID}


def needing(approvals, *deployers, environments="prod/**", **others):
    rule = {"approvals": approvals, "environments": environments}
    return policy_value(1, [A], 1, deployers, [rule], **others)


def lockouts():
    team = [deployer(Signer(f"d{i:02}"), ["prod/**"]) for i in range(16)]
    one, two = team[:2]
    lost = Signer("d01")
    elsewhere = deployer(lost, ["prod", "test/**"])
    retiring = deployer(lost, ["prod/**"], ["retire", "rollback"])
    yield from (case("policy", f"lockout: {n}", v) for n, v in nobody_locked_out(team))
    for name, value in (
        ("one of two", needing(2, one)),
        ("15 of 16", needing(16, *team[:15])),
        ("one of two, by its second pattern", needing(2, deployer(lost, ["a", "prod/web"]))),
        ("two patterns of one key", needing(2, deployer(lost, ["prod/*", "prod/web"]))),
        ("one of two, another may only retire", needing(2, one, retiring)),
        ("one of two, another deploys elsewhere", needing(2, one, elsewhere)),
        ("one of three, another is revoked", needing(3, one, revoked=[revocation(lost)])),
        ("two of three", needing(3, one, two)),
        ("by the last of two rules", with_rules([one], ("prod/**", 1), ("prod/web", 2))),
        ("by the first of two rules", with_rules([one], ("prod/**", 2), ("prod/web", 1))),
    ):
        yield case("policy", f"lockout: {name}", value, LOCKOUT)
    stale = {"approvals": 2, "environments": "**", "maxStaleness": 600}
    yield case("policy", "lockout: and an age", policy_value(1, [A], 1, [one], [stale]), LOCKOUT)
    for name, change in (
        ("one rule twice", {"rules": needing(2)["rules"] * 2}),
        ("a version 0", {"version": 0}),
    ):
        yield case("policy", f"lockout: and {name}", {**needing(2, one), **change}, INVALID)


def with_rules(deployers, *rules):
    limits = [{"approvals": approvals, "environments": pattern} for pattern, approvals in rules]
    return policy_value(1, [A], 1, deployers, limits)


def nobody_locked_out(team):
    one, two, three = team[:3]
    here, there = (deployer(Signer(f"d0{i}"), [pattern]) for i, pattern in ((0, "a"), (1, "b")))
    retiring = deployer(Signer("d01"), ["prod/**"], ["retire", "rollback"])
    yield "nobody deploys at all", needing(2)
    yield "nobody deploys there", needing(2, deployer(Signer("d00"), ["prod", "test/**"]))
    yield "nobody may release there", needing(2, retiring)
    yield "one of one", needing(1, one)
    yield "one of one, and another may retire", needing(1, one, retiring)
    yield "two of two", needing(2, one, two)
    gone = [revocation(Signer("d01"))]
    yield "one of two, another is revoked", needing(2, one, revoked=gone)
    yield "three of two", needing(2, one, two, three)
    yield "16 of 16", needing(16, *team)
    yield "two who share no environment", needing(2, here, there, environments="**")
    yield "each rule by itself", with_rules([here, two, three], ("a", 1), ("prod/web", 2))
    stale = {"environments": "**", "maxStaleness": 600}
    yield "an age asks for nobody", policy_value(1, [A], 1, [one], [stale])


OVERLAPPING = (
    ("a", "a"),
    ("*", "a"),
    ("**", "a"),
    ("**", "*"),
    ("**", "**"),
    ("**", "a/b/c/d/e/f/g/h"),
    ("a/*", "*/b"),
    ("a/**", "a/b"),
    ("a/**", "a/b/c/d"),
    ("a/**", "*/b"),
    ("a/**", "*/*/c"),
    ("a/**", "*/b/**"),
    ("a/**", "a/b/**"),
    ("a/*/c", "*/b/**"),
    ("*/*/*", "a/b/**"),
)
APART = (
    ("a", "b"),
    ("a", "ab"),
    ("*", "a/b"),
    ("a/*", "a"),
    ("a/*", "b/*"),
    ("a/*", "a/b/c"),
    ("a/**", "a"),
    ("a/**", "*"),
    ("a/**", "b/**"),
    ("a/b/**", "a/*"),
    ("a/b/**", "a/b"),
    ("a/b/**", "*/c/**"),
    ("a/*/c", "*/b/d"),
    ("a/*/c/**", "*/b/*"),
)


def overlaps():
    """One deployer where a rule asks for two: it is locked out where their patterns overlap."""
    signer = Signer("d00")
    for pairs, word, reason in ((OVERLAPPING, "overlaps", LOCKOUT), (APART, "is apart from", None)):
        for one, other in pairs:
            for rule, own in dict.fromkeys(((one, other), (other, one))):
                value = needing(2, deployer(signer, [own]), environments=rule)
                yield case("policy", f"lockout: {rule} {word} {own}", value, reason)
    long = "x" * 63
    own = deployer(signer, [f"*/*/*/{long}/{long}"])
    value = needing(2, own, environments=f"{long}/{long}/{long}/*/*")
    yield case("policy", "lockout: in environments longer than there are", value, LOCKOUT)
