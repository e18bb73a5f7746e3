"""The ledgers of rules.json in which admins order: redactions and break-glass orders."""

from .. import crypto, merkle
from .builder import Book, artifact, break_glass, deployer, files, forged, manifest, policy
from .builder import redaction, sign, statement, withheld_artifact
from .rule_ledgers import ALICE, BOB, CAROL, CI, DAVE, MALLORY, OPS, TWO_FOR_PROD

UNKNOWN, FEW = "UNKNOWN_SIGNER", "TOO_FEW_SIGNATURES"
NUMBER, PREVIOUS = "WRONG_NUMBER", "WRONG_PREVIOUS"
ERASED, EXPIRED = "CONTENT_ERASED", "BREAK_GLASS_EXPIRED"
NO_ORDER, TOO_FEW = "BREAK_GLASS_UNKNOWN", "TOO_FEW_APPROVALS"
ADMINS = [ALICE, BOB]
OTHER = crypto.sha256(b"another leaf").hex()
DAYS_30 = 2_592_000


def start(origin, limits=(TWO_FOR_PROD,)):
    book = Book(origin)
    deployers = [deployer(CI), deployer(OPS), deployer(DAVE, ["test/**"])]
    deployers.append(deployer(CAROL, ["prod/three"]))
    book.genesis("genesis", policy(1, ADMINS, 2, deployers, limits), ADMINS)
    return book


def redactions():
    book = start("ledger.example/redactions")
    book.release("it holds a secret", "test/web", files(app="secret", conf="x"), [CI])
    book.release("it does no longer", "test/web", files(app="clean", conf="x"), [CI])
    book.record()
    refused_orders(book)
    book.record("map record: refused orders have no row")
    document = redaction(b"secret", b"never recorded")
    book.order("redaction of two contents", "redaction", document, ADMINS)
    book.record()
    erased(book)
    again = "ALREADY_ERASED"
    book.order("redaction again", "redaction", document, ADMINS, again)
    more = redaction(b"another", b"secret")
    book.order("one of two is erased", "redaction", more, ADMINS, again)
    book.release("so the other of them is not", "test/web", files(app="another"), [CI])
    book.order("in order: number first", "redaction", more, ADMINS, NUMBER, number=1)
    book.order("in order: previous first", "redaction", more, ADMINS, PREVIOUS, previous=OTHER)
    chain(book)
    new_admins(book)
    return book


def refused_orders(book):
    document = redaction(b"secret")
    for name, signers, reason in (
        ("one admin of two", [ALICE], FEW),
        ("a deployer", [CI], UNKNOWN),
        ("a deployer beside the admins", [*ADMINS, CI], UNKNOWN),
        ("a stranger beside the admins", [*ADMINS, MALLORY], UNKNOWN),
    ):
        book.order(f"redaction by {name}", "redaction", document, signers, reason)
    for name, reason, others in (
        ("number 2", NUMBER, {"number": 2}),
        ("a previous at number 1", PREVIOUS, {"previous": OTHER}),
        ("the genesis for a previous", PREVIOUS, {"previous": book.ledger.genesis.hex()}),
        ("another ledger", "WRONG_LEDGER", {"ledger": OTHER}),
        ("in order: ledger before number", "WRONG_LEDGER", {"ledger": OTHER, "number": 2}),
    ):
        book.order(f"redaction: {name}", "redaction", document, ADMINS, reason, **others)
    book.order("in order: signers before number", "redaction", document, [ALICE], FEW, number=2)
    book.order("in order: signer before signers", "redaction", document, [MALLORY], UNKNOWN)
    predicate = {"ledger": book.ledger.genesis.hex(), "number": 1, "schema": "cairn.order/v1"}
    value = statement("redaction", document, "order", predicate)
    book.add("a signature is bad", forged(value, ADMINS, BOB), document, "BAD_SIGNATURE")
    other = redaction(b"clean")
    book.add("another document", sign(value, ADMINS), other, "DOCUMENT_MISMATCH")
    glass = break_glass("**", 1, approvals=1)
    value = statement("redaction", glass, "order", predicate)
    book.add("the document of another kind", sign(value, ADMINS), glass, "NEEDS_NEWER_CAIRN")


def erased(book):
    """What a release may still hold of an erased content."""
    secret = files(app="secret", conf="x")
    book.release("it is stored again", "test/web", secret, [CI], ERASED)
    back = {"action": "rollback", "rollbackTo": 1}
    book.release("rollback to what held it", "test/web", secret, [CI], ERASED, **back)
    wrong = "ROLLBACK_ARTIFACTS"
    other = files(app="secret", conf="y")
    book.release("in order: rollback before erased", "test/web", other, [CI], wrong, **back)
    book.release("under another name", "test/other", files(z="secret"), [CI], ERASED)
    book.release("what was never recorded", "test/other", files(z="never recorded"), [CI], ERASED)
    outside = manifest(artifact("app", b"secret", storage="external"))
    book.release("external: its digests alone", "test/web", outside, [CI])
    hidden = manifest(withheld_artifact("app", b"secret", "test/web"))
    book.release("withheld", "test/web", hidden, [CI])
    back["rollbackTo"] = len(book.ledger.environments["test/web"].releases) - 1
    book.release("rollback to the external one", "test/web", outside, [CI], **back)
    book.release("recorded before it is erased", "test/last", files(a="late"), [CI])
    book.order("redaction of what is current", "redaction", redaction(b"late", b"later"), ADMINS)
    book.release("retire what holds it", "test/last", None, [CI], action="retire")
    empty = manifest(artifact("d", b"", kind="directory"))
    book.release("an empty directory: no bytes were erased", "test/last", empty, [CI])
    book.record()


def chain(book):
    """One chain of orders, whatever their kind."""
    first = book.orders[0][1]
    expires = book.time // 1000 + 3600
    glass = break_glass("prod/**", expires, approvals=1)
    kind = "break-glass"
    book.order("number 1 of its kind", kind, glass, ADMINS, NUMBER, number=1, previous=None)
    wrong = {"previous": merkle.leaf_hash(first).hex()}
    book.order("previous is the first order", kind, glass, ADMINS, PREVIOUS, **wrong)
    book.order("no previous", kind, glass, ADMINS, PREVIOUS, previous=None)
    book.order("a number is left out", kind, glass, ADMINS, NUMBER, number=4)
    book.order("a break-glass order follows redactions", kind, glass, ADMINS)
    book.order("a redaction follows it", "redaction", redaction(b"3"), ADMINS)
    book.order("the same order as before is another", kind, glass, ADMINS)
    book.record()


def new_admins(book):
    """Under another policy other admins order; the chain goes on."""
    second = policy(2, [CAROL], 1, [deployer(CI)])
    book.policy("policy 2", second, [*ADMINS, CAROL])
    document = redaction(b"4")
    book.order("by the admins before", "redaction", document, ADMINS, UNKNOWN)
    book.order("by the admin now", "redaction", document, [CAROL])
    book.release("what the admins before erased", "test/web", files(a="secret"), [CI], ERASED)
    book.record()


def glass_bounds():
    """How long a break-glass order may last: it is counted from the last map record."""
    book = start("ledger.example/glass-bounds")
    kind = "break-glass"

    def ordered(name, expires, expect=None):
        document = break_glass("prod/**", expires, approvals=1)
        book.order(f"{name}: {expires}", kind, document, ADMINS, expect)

    ordered("no map record, a second more than 30 days", DAYS_30 + 1, EXPIRED)
    ordered("no map record, an expiry of today", 1_767_322_001, EXPIRED)
    ordered("no map record, 30 days", DAYS_30)
    ordered("no map record, one second", 1)
    for number, part in enumerate((0, 1, 999)):
        seconds = 1_767_400_000 + 10 * number
        at(book, 1000 * seconds + part)
        said = f"{part} ms past a second"
        ordered(f"{said}, that second", seconds, EXPIRED)
        ordered(f"{said}, the one before", seconds - 1, EXPIRED)
        ordered(f"{said}, the next", seconds + 1)
        ordered(f"{said}, 30 days", seconds + DAYS_30)
        ordered(f"{said}, 30 days and a second", seconds + DAYS_30 + 1, EXPIRED)
    ordered("the largest number", 2**53 - 1, EXPIRED)
    document = break_glass("prod/**", 2**53 - 1, approvals=1)
    book.order("in order: number first", kind, document, ADMINS, NUMBER, number=1)
    book.order("in order: signers first", kind, document, [ALICE], FEW)
    book.record()
    return book


def at(book, time):
    """A map record at a time, Unix milliseconds."""
    book.time = time - 1000
    book.record(f"map record at {time}")


def named(book, number=-1):
    """The break-glass order that a release names."""
    return {"breakGlass": merkle.leaf_hash(book.orders[number][1]).hex()}


def broken_glass():
    """Releases that name a break-glass order."""
    three = {"approvals": 3, "environments": "prod/three"}
    book = start("ledger.example/glass", [TWO_FOR_PROD, three])
    at(book, 1_767_400_000_000)
    book.release("one signer of two", "prod/web", files(a="1"), [CI], TOO_FEW)
    expires = 1_767_403_600
    made = {"approvals": 1}
    book.order("order", "break-glass", break_glass("prod/*", expires, **made), ADMINS)
    first = named(book)
    book.release("one signer who does not name it", "prod/web", files(a="1"), [CI], TOO_FEW)
    unknown_orders(book, first)
    book.release("one signer under it", "prod/web", files(a="1"), [CI], **first)
    book.release("two signers under it", "prod/web", files(a="2"), [CI, OPS], **first)
    book.release("one in place of three", "prod/three", files(a="2"), [CI], **first)
    back = {"action": "rollback", "rollbackTo": 1, **first}
    book.release("rollback under it", "prod/web", files(a="1"), [CI], **back)
    book.release("retire under it", "prod/web", None, [OPS], action="retire", **first)
    book.release("where the order does not reach", "prod/a/b", files(a="1"), [CI], TOO_FEW)
    book.approve("no approval is eased", "prod/three", [CI, OPS], TOO_FEW)
    book.record()
    other_orders(book, first, expires)
    after_expiry(book, first, expires)
    return book


def unknown_orders(book, first):
    """What a release cannot name."""
    document = files(a="1")
    book.order("redaction", "redaction", redaction(b"9"), ADMINS)
    late = break_glass("prod/*", 1, approvals=1)
    book.order("an order that is refused", "break-glass", late, ADMINS, EXPIRED)
    refused = {"breakGlass": merkle.leaf_hash(book.raw[-1]).hex()}
    both = [CI, OPS]
    for name, environment, signers, expect, others in (
        ("no order", "prod/web", [CI], NO_ORDER, {"breakGlass": OTHER}),
        ("no order, enough signers", "prod/web", both, NO_ORDER, {"breakGlass": OTHER}),
        ("a redaction", "prod/web", [CI], NO_ORDER, named(book)),
        ("an order that was refused", "prod/web", [CI], NO_ORDER, refused),
        ("an order for elsewhere", "test/web", [CI], NO_ORDER, first),
        ("an order for one segment", "prod/a/b", both, NO_ORDER, first),
        ("in order: stranger first", "prod/web", [MALLORY], UNKNOWN, {"breakGlass": OTHER}),
        ("in order: right first", "prod/web", [DAVE], "SIGNER_NOT_ALLOWED", {"breakGlass": OTHER}),
        ("it allows nobody more", "prod/web", [DAVE], "SIGNER_NOT_ALLOWED", first),
        ("in order: it before sequence", "prod/web", [CI], NO_ORDER, wrong_place(OTHER)),
    ):
        book.release(f"unknown: {name}", environment, document, signers, expect, **others)


def wrong_place(order):
    return {"breakGlass": order, "sequence": 7}


def other_orders(book, first, expires):
    """Orders that ease something else, or less."""
    document = files(a="3")
    two = break_glass("prod/**", expires, approvals=2)
    book.order("two are enough", "break-glass", two, ADMINS)
    order = named(book)
    book.release("one, under an order for two", "prod/three", document, [CI], TOO_FEW, **order)
    book.release("two, under an order for two", "prod/three", document, [CI, OPS], **order)
    most = break_glass("**", expires, approvals=16)
    book.order("sixteen are enough", "break-glass", most, ADMINS)
    order = named(book)
    book.release("it asks for no more: one", "test/web", document, [CI], **order)
    book.release("it asks for no more: two", "prod/db", document, [CI, OPS], **order)
    book.release("and eases nothing", "prod/db", files(a="4"), [CI], TOO_FEW, **order)
    stale = break_glass("prod/**", expires, maxStaleness=60)
    book.order("older proofs alone", "break-glass", stale, ADMINS)
    order = named(book)
    book.release("it eases no signers", "prod/db", document, [CI], TOO_FEW, **order)
    book.release("it may be named", "prod/db", document, [CI, OPS], **order)
    book.release("the first still holds", "prod/db", files(a="5"), [CI], **first)


def after_expiry(book, first, expires):
    document = files(a="6")
    last = named(book, -2)
    at(book, 1000 * expires - 1)
    book.release("a millisecond before it expires", "prod/db", document, [CI], **first)
    at(book, 1000 * expires)
    book.release("as it expires", "prod/db", document, [CI], EXPIRED, **first)
    both = [CI, OPS]
    book.release("as it expires, enough signers", "prod/db", document, both, EXPIRED, **first)
    book.release("in order: signers first", "prod/db", document, [CI], TOO_FEW, **last)
    wrong = {**first, "sequence": 9}
    book.release("in order: before sequence", "prod/db", document, [CI], EXPIRED, **wrong)
    at(book, 1000 * expires + 1)
    book.release("a millisecond after", "prod/db", document, [CI], EXPIRED, **first)
    book.release("without it, enough signers", "prod/db", document, both)
    book.record()
