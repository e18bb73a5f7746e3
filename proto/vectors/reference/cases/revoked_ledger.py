"""The ledgers of rules.json in which policies revoke keys."""

from .builder import Book, by_key, deployer, files, policy, revocation
from .rule_ledgers import ALICE, BOB, CI, DAVE, MALLORY, OPS

LIFTED, UNKNOWN = "REVOCATION_LIFTED", "UNKNOWN_SIGNER"
LARGEST = 2**53 - 1
TWO = {"approvals": 2, "environments": "prod/**"}


def next_policy(book, *revoked, deployers=(OPS, DAVE), admins=(ALICE, BOB), threshold=1):
    """The document of the policy after the current one."""
    listed = {"revoked": by_key(revoked)} if revoked else {}
    version = book.ledger.policy.version + 1
    return policy(version, admins, threshold, [deployer(s) for s in deployers], [TWO], **listed)


def revocations():
    book = Book("ledger.example/seven")
    deployers = [deployer(signer) for signer in (CI, OPS, DAVE)]
    book.genesis("genesis", policy(1, [ALICE, BOB], 1, deployers, [TWO]), [ALICE])
    book.release("by the key that is lost later", "test/web", files(a="1"), [CI])
    book.release("by that key and another", "prod/web", files(a="1"), [CI, OPS])
    book.record()
    refused_documents(book)
    book.policy("it is revoked", next_policy(book, revocation(CI, 2, "stolen")), [ALICE])
    another = files(a="2")
    book.release("by the revoked key", "test/web", another, [CI], UNKNOWN)
    book.release("by the revoked key and another", "prod/web", another, [CI, OPS], UNKNOWN)
    first = {"action": "rollback", "rollbackTo": 1}
    book.release("goes on by another key", "test/web", another, [OPS])
    book.release("goes on by two others", "prod/web", another, [OPS, DAVE])
    book.release("rollback to what it signed", "test/web", files(a="1"), [OPS], **first)
    book.release("rollback by the revoked key", "test/web", another, [CI], UNKNOWN, **first)
    book.record()
    lifted(book)
    lowered(book)
    without_index(book)
    revoked_admin(book)
    book.release("and goes on", "test/web", files(a="3"), [DAVE])
    book.record()
    return book


def refused_documents(book):
    revoked = revocation(CI, 2)
    named = next_policy(book, revoked, deployers=(CI, OPS, DAVE))
    book.policy("revoked and yet a deployer", named, [ALICE], "KEY_REVOKED")
    named = next_policy(book, revoked, admins=(ALICE, CI))
    book.policy("revoked and yet an admin", named, [ALICE], "KEY_REVOKED")
    alone = next_policy(book, deployers=(OPS,))
    book.policy("too few can approve", alone, [ALICE], "POLICY_LOCKOUT")
    by_itself = next_policy(book, revoked)
    book.policy("by the key that it revokes", by_itself, [CI], UNKNOWN)


def lifted(book):
    """Policies that take back that CI is revoked since 2."""
    other = revocation(MALLORY, 2)
    for name, revoked in (
        ("left out with the list", ()),
        ("another key in its place", (other,)),
        ("since one later", (revocation(CI, 3),)),
        ("since the largest index", (revocation(CI, LARGEST),)),
        ("no index any more", (revocation(CI),)),
        ("no index, beside another key", (revocation(CI), other)),
    ):
        book.policy(f"lifted: {name}", next_policy(book, *revoked), [ALICE], LIFTED)
    named = next_policy(book, deployers=(CI, OPS, DAVE))
    book.policy("lifted: it deploys again", named, [ALICE], LIFTED)
    gone = next_policy(book)
    book.policy("in order: lifted before signer", gone, [MALLORY], LIFTED)
    genesis = book.ledger.genesis.hex()
    wrong = "WRONG_PREVIOUS"
    book.policy("in order: previous before lifted", gone, [ALICE], wrong, previous=genesis)
    book.policy("in order: version before lifted", gone, [ALICE], "WRONG_VERSION", version=4)
    named = next_policy(book, revocation(CI, 3), deployers=(CI, OPS, DAVE))
    book.policy("in order: document before lifted", named, [ALICE], "KEY_REVOKED")


def lowered(book):
    book.policy("kept, for another reason", next_policy(book, revocation(CI, 2, "x")), [ALICE])
    book.policy("kept, without a reason", next_policy(book, revocation(CI, 2)), [ALICE])
    book.policy("since one earlier", next_policy(book, revocation(CI, 1)), [ALICE])
    back = next_policy(book, revocation(CI, 2))
    book.policy("lifted: since what it was before", back, [ALICE], LIFTED)
    book.policy("since 0", next_policy(book, revocation(CI, 0)), [ALICE])
    later = next_policy(book, revocation(CI, 1))
    book.policy("lifted: since 1 after 0", later, [ALICE], LIFTED)
    book.policy("lifted: no index after 0", next_policy(book, revocation(CI)), [ALICE], LIFTED)


def without_index(book):
    """A key that nobody named before is revoked without an index, then since one."""
    ci = revocation(CI, 0)
    added = next_policy(book, ci, revocation(MALLORY))
    book.policy("another key beside it, no index", added, [BOB])
    gone = next_policy(book, ci)
    book.policy("lifted: the one without an index", gone, [ALICE], LIFTED)
    alone = next_policy(book, revocation(MALLORY))
    book.policy("lifted: the one with an index", alone, [ALICE], LIFTED)
    book.policy("both kept", next_policy(book, ci, revocation(MALLORY)), [ALICE])
    largest = next_policy(book, ci, revocation(MALLORY, LARGEST))
    book.policy("the largest index where there was none", largest, [ALICE])
    dropped = next_policy(book, ci, revocation(MALLORY))
    book.policy("lifted: the largest index is dropped", dropped, [ALICE], LIFTED)
    future = next_policy(book, ci, revocation(MALLORY, 10**6))
    book.policy("since an index that is still to come", future, [ALICE])
    book.record()


def revoked_admin(book):
    """An admin signs what revokes it: it is one of the policy in force until then."""
    listed = [revocation(CI, 0), revocation(MALLORY, 10**6)]
    both = next_policy(book, *listed, threshold=2)
    book.policy("two admins are needed", both, [ALICE, BOB])
    without = next_policy(book, *listed, revocation(BOB), admins=(ALICE,))
    few = "TOO_FEW_SIGNATURES"
    book.policy("an admin is revoked by the other alone", without, [ALICE], few)
    book.policy("an admin signs what revokes it", without, [ALICE, BOB])
    kept = next_policy(book, *listed, revocation(BOB, 0), admins=(ALICE,))
    book.policy("a revoked admin signs", kept, [ALICE, BOB], UNKNOWN)
    again = next_policy(book, *listed, admins=(ALICE, BOB))
    book.policy("lifted: it is an admin again", again, [ALICE, BOB], LIFTED)
    book.policy("without the revoked admin", kept, [ALICE])


def genesis_that_revokes():
    """Ledgers whose first policy revokes."""
    book = Book("ledger.example/eight")
    deployers, revoked = [deployer(OPS), deployer(DAVE)], [revocation(MALLORY, 0)]
    document = policy(1, [ALICE, BOB], 1, deployers, revoked=revoked)
    book.genesis("genesis", document, [ALICE])
    book.policy("lifted: left out", next_policy(book), [ALICE], LIFTED)
    later = next_policy(book, revocation(MALLORY, 1))
    book.policy("lifted: since 1 after 0", later, [ALICE], LIFTED)
    book.policy("kept", next_policy(book, *revoked), [ALICE])
    book.record()
    yield "revocations: by the genesis", book
    for name, signer in (("an admin", BOB), ("a deployer", DAVE)):
        book = Book("ledger.example/eight")
        document = policy(1, [ALICE, BOB], 1, deployers, revoked=[revocation(signer)])
        book.genesis("genesis", document, [ALICE], "KEY_REVOKED")
        yield f"revocations: the genesis revokes {name}", book
    book = Book("ledger.example/eight")
    book.genesis("genesis", policy(1, [ALICE], 1, deployers[:1], [TWO]), [ALICE], "POLICY_LOCKOUT")
    yield "revocations: the genesis locks out", book
