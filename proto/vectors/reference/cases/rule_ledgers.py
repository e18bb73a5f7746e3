"""The ledgers of rules.json, but for those of refused releases, revocations and immutable names:
what is allowed, policies, map records, and ledgers of a leaf or two about the genesis."""

from .. import canon, crypto, notes
from ..crypto import Signer
from ..names import base64_text
from .builder import (
    Book,
    artifact,
    deployer,
    files,
    forged,
    genesis_predicate,
    manifest,
    policy,
    policy_value,
    sign,
    statement,
    withheld_artifact,
)

ALICE, BOB, CAROL, DAVE = (Signer(name) for name in ("alice", "bob", "carol", "dave"))
CI, OPS, MALLORY = Signer("ci"), Signer("ops"), Signer("mallory")
NAMES = {s.keyid: s.label for s in (ALICE, BOB, CAROL, DAVE, CI, OPS, MALLORY)}
TWO_FOR_PROD = {"approvals": 2, "environments": "prod/**"}


def start(origin="ledger.example/one", threshold=1, limits=(TWO_FOR_PROD,)):
    book = Book(origin)
    deployers = [deployer(CI), deployer(OPS, ["prod/**"], ["release", "retire"])]
    document = policy(1, [ALICE, BOB], threshold, deployers, limits)
    book.genesis("genesis", document, [ALICE, BOB][:threshold])
    return book


def life():
    """Everything that is allowed."""
    book = start()
    book.record()
    both = [CI, OPS]
    book.release("first release", "test/web", files(app="1"), [CI])
    book.release("first release, two signers", "prod/web", files(app="1", conf="x"), both)
    book.record()
    secret = withheld_artifact(".env", b"secret")
    changed = manifest(secret, artifact("app", b"2"), artifact("conf", b"x", storage="external"))
    book.release("one digest dropped, one introduced", "prod/web", changed, both)
    book.release("the same manifest again: no digest touched", "prod/web", changed, both)
    book.release("more signers than needed", "test/web", files(app="2"), both[:1])
    book.record()
    first = files(app="1", conf="x")
    thinner = policy(2, [BOB, CAROL], 2, [deployer(CI)], [{"approvals": 1, "environments": "**"}])
    book.policy("policy 2, by the admins of both", thinner, [BOB, CAROL])
    book.release(
        "rollback, one signer is enough now",
        "prod/web",
        first,
        [CI],
        action="rollback",
        rollbackTo=1,
    )
    book.record()
    book.release(
        "retire: all digests dropped", "prod/web", None, [CI], action="retire", reason="moved"
    )
    book.record()
    book.record("a map record after a map record")
    book.release("release after a retire: all introduced", "prod/web", first, [CI])
    book.release("retire again", "prod/web", None, [CI], action="retire")
    book.release(
        "rollback after a retire", "prod/web", changed, [CI], action="rollback", rollbackTo=2
    )
    book.release("rollback to a rollback", "prod/web", first, [CI], action="rollback", rollbackTo=4)
    third = policy(3, [CAROL], 1, [deployer(DAVE, ["*"], ["release"])])
    book.policy("policy 3, by old and new", third, [BOB, CAROL])
    book.release("new deployer, one segment", "lab", files(a="1", b="1"), [DAVE])
    same_time = book.time
    book.record("map record at the same time", time=same_time)
    return book


def policies():
    """Thresholds of the policy in force and of the new one; two admins are needed at first."""
    book = start("ledger.example/three", threshold=2, limits=())
    second = policy(2, [BOB, CAROL, DAVE], 2, [deployer(CI, ["a"])])
    few, unknown = "TOO_FEW_SIGNATURES", "UNKNOWN_SIGNER"
    book.policy("old threshold alone", second, [ALICE, BOB], few)
    book.policy("new threshold alone", second, [BOB, CAROL], few)
    book.policy("nobody of the old", second, [CAROL, DAVE], few)
    book.policy("a stranger beside them", second, [ALICE, BOB, CAROL, MALLORY], unknown)
    book.policy("a deployer signs", second, [CI], unknown)
    book.policy("version skipped", second, [ALICE, BOB, CAROL], "WRONG_VERSION", version=3)
    book.policy(
        "version of the document", policy(3, [ALICE, BOB], 1), [ALICE, BOB], "WRONG_VERSION"
    )
    book.policy(
        "version again", policy(1, [ALICE, BOB], 1), [ALICE, BOB], "WRONG_VERSION", version=1
    )
    other = crypto.sha256(b"another ledger").hex()
    signers = [ALICE, BOB, CAROL]
    book.policy("previous is another leaf", second, signers, "WRONG_PREVIOUS", previous=other)
    book.policy("another ledger", second, signers, "WRONG_LEDGER", ledger=other)
    refused_policy_leaves(book, second)
    book.release("released under policy 1", "b", files(a="1"), [CI])
    book.policy("policy 2", second, signers)
    book.record()
    book.release("policy 2 does not allow it", "b", files(a="2"), [CI], "SIGNER_NOT_ALLOWED")
    book.release("policy 2 does not name it", "prod/x", files(a="2"), [OPS], unknown)
    book.release("policy 2 allows it", "a", files(a="2"), [CI])
    third = policy(3, [BOB, CAROL], 1)
    book.policy(
        "previous is the genesis, no longer",
        third,
        [BOB, CAROL],
        "WRONG_PREVIOUS",
        previous=book.ledger.genesis.hex(),
    )
    book.policy("an admin of version 1 only", third, [ALICE, BOB, CAROL], unknown)
    book.policy("policy 3, without deployers", third, [BOB, CAROL])
    book.release("nobody may deploy", "a", files(a="3"), [CI], unknown)
    book.record()
    return book


def refused_policy_leaves(book, second):
    predicate = {
        "ledger": book.ledger.genesis.hex(),
        "previous": book.ledger.policy_leaf_hash.hex(),
        "schema": "cairn.policy-change/v1",
        "version": 2,
    }
    value = statement("policy", second, "policy", predicate)
    leaf = forged(value, [ALICE, BOB, CAROL], CAROL)
    book.add("one signature of three is bad", leaf, second, "BAD_SIGNATURE")
    weak = policy_value(2, [BOB], 1)
    weak["admins"]["keys"][0]["key"] = base64_text(b"\x01" + bytes(31))
    weak = canon.encode(weak)
    leaf = sign(statement("policy", weak, "policy", predicate), [ALICE, BOB])
    book.add("a weak key", leaf, weak, "KEY_WEAK")
    book.add("a policy of a later schema", *later_policy(second, predicate), "NEEDS_NEWER_CAIRN")


def later_policy(second, predicate):
    document = second.replace(b"cairn.policy/v1", b"cairn.policy/v2")
    return sign(statement("policy", document, "policy", predicate), [ALICE, BOB]), document


def map_records():
    book = start("ledger.example/four")
    wrong = "MAP_RECORD_WRONG"
    book.release("release", "test/web", files(a="1"), [CI])
    rows, root = book.ledger.map.rows, book.ledger.map.root()
    book.record("covers one less", wrong, covers=1)
    book.record("covers one more", wrong, covers=book.ledger.size + 1)
    book.record("another root", wrong, root=root[::-1])
    book.record("another number of rows", wrong, rows=rows + 1)
    book.record("empty map", wrong, root=bytes(32), rows=0)
    book.record("map record")
    book.record("time goes back", wrong, time=book.time - 1)
    book.record("time far ahead is no fault", time=book.time + 10**9)
    book.record("time goes back after that", wrong)
    book.time += 10**9
    book.release("another release", "test/web", files(a="2"), [CI])
    book.record("root of the map before", wrong, root=root)
    later_record = book.raw[2].replace(b"map/v1", b"map/v2")
    book.add("a map record of a later version", later_record, None, "NEEDS_NEWER_CAIRN")
    book.record("map record again")
    return book


def genesis_ledgers():
    """Ledgers of a leaf or two: what the first one must be."""
    document = policy(1, [ALICE, BOB], 2)
    both = [ALICE, BOB]
    for name, signers, reason in (
        ("one signature of two", [ALICE], "TOO_FEW_SIGNATURES"),
        ("a stranger beside the admins", [ALICE, BOB, MALLORY], "UNKNOWN_SIGNER"),
    ):
        book = Book(ORIGIN)
        book.genesis(name, document, signers, reason)
        yield f"genesis: {name}", book
    for name, others in (
        ("logKey of another name", {"logKey": vkey("other.example", 1, "log")}),
        ("logKey of type 4", {"logKey": vkey(ORIGIN, 4, "log")}),
        ("clockKey of type 1", {"clockKey": vkey(f"{ORIGIN}/clock", 1, "c")}),
        ("clockKey named as the log", {"clockKey": vkey(ORIGIN, 4, "c")}),
        ("one key for both", {"clockKey": vkey(f"{ORIGIN}/clock", 4, f"{ORIGIN} log")}),
        ("origin that the keys do not name", {"origin": "other.example"}),
    ):
        book = Book(ORIGIN)
        book.genesis(name, policy(1, [ALICE], 1), [ALICE], "GENESIS_KEYS", **others)
        yield f"genesis: {name}", book
    book = Book(ORIGIN)
    book.genesis("version 2", policy(2, [ALICE], 1), [ALICE], "WRONG_VERSION")
    yield "genesis: version 2", book
    book = Book(ORIGIN)
    predicate = genesis_predicate(ORIGIN, book.log, book.clock)
    leaf = forged(statement("genesis", document, "policy", predicate), both, BOB)
    book.add("a signature is bad", leaf, document, "BAD_SIGNATURE")
    book.genesis("a good one comes too late", document, both, "GENESIS_TWICE")
    missing = "GENESIS_MISSING"
    other = start("ledger.example/six")
    release, first = files(a="1"), policy(2, [ALICE, BOB], 1)
    leaf = sign(other.release_statement("test/web", release), [CI])
    book.add("a release comes too late", leaf, release, missing)
    other.policy("policy", first, [ALICE, BOB])
    book.add("a policy comes too late", other.raw[-1], first, missing)
    book.record("a map record comes too late", missing)
    book.genesis("a bad genesis", document, [ALICE], "GENESIS_TWICE")
    yield "genesis: refused at index 0, the log is dead", book
    book = Book(ORIGIN)
    book.genesis("genesis", document, both)
    book.genesis("genesis again", document, both, "GENESIS_TWICE")
    book.genesis("genesis again, badly signed", document, [MALLORY], "GENESIS_TWICE")
    book.genesis(
        "another genesis", policy(1, [ALICE], 1), [ALICE], "GENESIS_TWICE", nonce="00" * 16
    )
    book.record()
    yield "genesis: twice", book
    yield from missing_genesis()


ORIGIN = "ledger.example/five"


def vkey(name, kind, label):
    return notes.Vkey(name, kind, Signer(label).public).text()


def missing_genesis():
    book = Book(ORIGIN)
    book.record("map record at index 0", "GENESIS_MISSING")
    yield "genesis missing: map record first", book
    other = start("ledger.example/six")
    document = files(a="1")
    leaf = sign(other.release_statement("test/web", document), [CI])
    book = Book(ORIGIN)
    book.add("release at index 0", leaf, document, "GENESIS_MISSING")
    yield "genesis missing: release first", book
    document = policy(2, [ALICE, BOB], 1)
    other.policy("policy", document, [ALICE, BOB])
    book = Book(ORIGIN)
    book.add("policy at index 0", other.raw[-1], document, "GENESIS_MISSING")
    yield "genesis missing: policy first", book
