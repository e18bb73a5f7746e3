"""The bundles of bundle.json under policies that revoke: whose signers are struck, and which
policies are proven to be in the log."""

from ..crypto import Signer
from .builder import Book, by_key, deployer, files, policy, revocation
from .bundle_maker import ADMIN, CI, OPS, SECOND, Changes, Maker, base_case

NIGHT, LEFT, ZERO = Signer("night"), Signer("left"), Signer("zero")
STRICT = {"approvals": 2, "environments": "prod/*"}
EASED = [{"approvals": 1, "environments": "prod/*"}, {"approvals": 2, "environments": "test/*"}]
COMPROMISED, UNPROVEN = "SIGNER_COMPROMISED", "INCLUSION_UNPROVEN"
LIFTED = "REVOCATION_LIFTED"
BASE = "revoked: since one above the entry"
STAYING = [deployer(NIGHT), deployer(OPS)]
LAST = [revocation(CI, 4), revocation(LEFT), revocation(ZERO, 0)]
# Under policy 2, from index 3 on.
RELEASES = (
    ("test/above", [CI]),
    ("test/equal", [CI]),
    ("test/below", [CI]),
    ("prod/two", [CI, OPS]),
    ("prod/three", [CI, NIGHT, OPS]),
    ("test/two", [CI, OPS]),
    ("test/left", [LEFT]),
    ("test/zero", [ZERO]),
    ("prod/left", [LEFT, OPS]),
)
EXPECTED = {
    "test/first": {"policy_in_force": 1},
    "test/fourth": {"policy_in_force": 4, "policy_version": 5},
    "test/fifth": {"policy_in_force": 5, "policy_version": 5},
}


def make_book(revoked=LAST, deployers=STAYING, reason=None):
    """Policy 3 revokes CI since 8, policy 5, at index 15, since 4; and the document of policy 5."""
    book = Book("ledger.example/revoked")
    content, all_five = files(app="1"), [*STAYING, *map(deployer, (CI, LEFT, ZERO))]
    book.genesis("genesis", policy(1, [ADMIN, SECOND], 1, all_five, [STRICT]), [SECOND])
    book.release("release", "test/first", content, [CI])
    book.policy("policy 2", policy(2, [ADMIN], 1, all_five, [STRICT]), [ADMIN])
    for environment, signers in RELEASES:
        book.release("release", environment, content, signers)
    first = by_key([revocation(CI, 8), revocation(LEFT)])
    for version in (3, 4):
        document = policy(version, [ADMIN], 1, STAYING, [STRICT], revoked=first)
        book.policy(f"policy {version}", document, [ADMIN])
    book.release("release", "test/fourth", content, [OPS])
    document = policy(5, [ADMIN], 1, deployers, EASED, revoked=by_key(revoked))
    book.policy("policy 5", document, [ADMIN], reason)
    book.release("release", "test/fifth", content, [NIGHT, OPS])
    book.record()
    return book, document


def revoked_bundles():
    book, _ = make_book()
    made = Maker(book, "test/above").make()
    expected = {"ok": True, "index": 3, "policy_in_force": 2, "policy_version": 5}
    yield base_case(BASE, made, book.trust()), expected
    changes = Changes(BASE, made)
    for environment, name, reason in (
        ("test/equal", "since the very index", COMPROMISED),
        ("test/below", "since one below the entry", COMPROMISED),
        ("test/first", "since later, and under policy 1", None),
        ("test/left", "no index", None),
        ("test/zero", "since 0", COMPROMISED),
        ("prod/two", "one of two is struck, two were asked for", COMPROMISED),
        ("prod/three", "one of three is struck, two were asked for", None),
        ("prod/left", "one of two is revoked without an index", None),
        ("test/two", "one of two is struck, one was asked for", None),
        ("test/fourth", "in force is the one before the newest", None),
        ("test/fifth", "in force is the newest", None),
    ):
        made = Maker(book, environment).make()
        others = {"environment": environment}
        inputs, expected = changes.bundle(f"revoked: {name}", reason and 6, reason, made, **others)
        yield inputs, {**expected, **EXPECTED.get(environment, {})}
    yield from proofs(changes)
    yield from other_policies(changes)


def proofs(changes):
    """Of five policies the second is in force, the third its successor, the fifth the newest."""
    policies = changes.made.policies

    def with_proof(name, step, reason, place, inclusion):
        changed = list(policies)
        changed[place] = changed[place]._replace(inclusion=inclusion)
        return changes.replaced(f"proofs: {name}", step, reason, policies=changed)

    second, third, newest = (policies[place].inclusion for place in (1, 2, 4))
    wrong = newest[:-1] + bytes([newest[-1] ^ 1])
    yield with_proof("the newest has none", 6, UNPROVEN, 4, b"")
    yield with_proof("the newest has that of another", 6, UNPROVEN, 4, third)
    yield with_proof("the newest has a wrong one", 6, UNPROVEN, 4, wrong)
    yield with_proof("the newest has one cut", 6, UNPROVEN, 4, newest[:-32])
    yield with_proof("the successor has none", 6, UNPROVEN, 2, b"")
    yield with_proof("the one in force has none", 6, UNPROVEN, 1, b"")
    yield with_proof("the first has one", 0, "BUNDLE_SYNTAX", 0, second)
    yield with_proof("the fourth has one", 0, "BUNDLE_SYNTAX", 3, newest)


def other_policies(changes):
    """The same log with another newest policy; most break a rule."""
    second = revocation(SECOND, 0)
    for name, reason, revoked, deployers in (
        ("an admin who signed the genesis, since 0", None, [*LAST, second], STAYING),
        ("policy: it revokes fewer keys", LIFTED, LAST[1:], STAYING),
        ("policy: it names no index any more", LIFTED, [revocation(CI), *LAST[1:]], STAYING),
        ("policy: it revokes its deployer", "KEY_REVOKED", LAST, [*STAYING, deployer(CI)]),
    ):
        book, document = make_book(revoked, deployers, reason)
        maker = Maker(book, "test/above")
        if reason:
            maker.add_policy(15, book.raw[15], document)
        yield changes.bundle(f"revoked: {name}", reason and 6, reason, maker.make())
