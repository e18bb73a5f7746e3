"""The ledgers of rules.json in which other keys of the log take over, and those that begin with
what can be no first leaf."""

from .. import merkle, notes
from ..crypto import Signer
from .builder import Book, files, redaction, sign, statement, succession
from .ordered_ledgers import ADMINS, CI, FEW, NUMBER, UNKNOWN, start

ORIGIN = "ledger.example/succession"
HEAD, KEYS = "SUCCESSION_HEAD", "SUCCESSION_KEYS"
LOG, CLOCK = Signer("log 2"), Signer("clock 2")
THIRD_LOG, THIRD_CLOCK = Signer("log 3"), Signer("clock 3")


def successions():
    book = start(ORIGIN)
    book.release("release", "test/web", files(a="1"), [CI])
    book.record()
    first = (book.log, book.clock)
    heads(book)
    keys(book, [first])
    signers = [*ADMINS, CI]
    book.succeed("a deployer beside the admins", LOG, CLOCK, signers, UNKNOWN)
    book.succeed("one admin of two", LOG, CLOCK, ADMINS[:1], FEW)
    wrong = with_key(LOG, "other.example", notes.LOG_KEY)
    book.succeed("in order: keys before head", LOG, CLOCK, ADMINS, KEYS, head="x", logKey=wrong)
    book.record()
    book.succeed("succession", LOG, CLOCK, ADMINS)
    book.record()
    after_one(book, first)
    return book


def with_key(signer, name, kind):
    return notes.Vkey(name, kind, signer.public).text()


def note(book, size=None, root=None, origin=ORIGIN, signer=None):
    """The head of an order that comes next, or another."""
    hashes = [merkle.leaf_hash(leaf) for leaf in book.raw]
    size, root = len(hashes) if size is None else size, root or merkle.root(hashes)
    text = notes.note_text(origin, size, root)
    log = signer or book.keys[-1][1]
    return (text + b"\n" + notes.log_line(log, origin, text)).decode()


def heads(book):
    """Heads that no order can name here, and lines that do no harm."""
    body, line = note(book).split("\n\n")
    for name, make in (
        ("is no note", lambda: "note"),
        ("has no signature", lambda: body + "\n\n"),
        ("of a size less", lambda: note(book, size=len(book.raw) - 1)),
        ("of a size more", lambda: note(book, size=len(book.raw) + 1)),
        ("of size 0", lambda: note(book, size=0)),
        ("before the leaf before", lambda: book.checkpoint(book.raw[:-1]).decode()),
        ("of another root", lambda: note(book, root=bytes(32))),
        ("signed by the key that comes", lambda: note(book, signer=LOG)),
        ("signed by the clock's key", lambda: note(book, signer=book.clock)),
        ("of another origin", lambda: note(book, origin="other.example")),
        ("with an extension line", lambda: extended(book)),
        ("whose other line does not verify", lambda: note(book) + line),
        ("whose clock line does not verify", lambda: clocked(book, 1)),
    ):
        book.succeed(f"a head {name}", LOG, CLOCK, ADMINS, HEAD, head=make())


def extended(book):
    text = notes.note_text(ORIGIN, len(book.raw), bytes(32)) + b"more\n"
    return (text + b"\n" + notes.log_line(book.log, ORIGIN, text)).decode()


def clocked(book, forged=0):
    """A head with a cosignature by the clock."""
    made = note(book)
    text = made[: made.index("\n\n") + 1].encode()
    line = notes.clock_line(book.keys[-1][2], ORIGIN, text + b"x" * forged, 1_767_322_000)
    return made + line.decode()


def keys(book, before):
    """Keys that may not follow."""
    log, clock = before[0]
    for name, others in (
        ("logKey of another name", {"logKey": with_key(LOG, "other.example", notes.LOG_KEY)}),
        ("logKey of type 4", {"logKey": with_key(LOG, ORIGIN, notes.COSIGNER_KEY)}),
        ("clockKey of type 1", {"clockKey": with_key(CLOCK, f"{ORIGIN}/clock", notes.LOG_KEY)}),
        ("clockKey named as the log", {"clockKey": with_key(CLOCK, ORIGIN, notes.COSIGNER_KEY)}),
    ):
        book.succeed(name, LOG, CLOCK, ADMINS, KEYS, **others)
    for name, pair in (
        ("one key for both", (LOG, LOG)),
        ("the log key stays", (log, CLOCK)),
        ("the clock key stays", (LOG, clock)),
        ("both stay", (log, clock)),
        ("the two are exchanged", (clock, log)),
        ("the log key becomes the clock's", (LOG, log)),
        ("the clock key becomes the log's", (clock, CLOCK)),
    ):
        book.succeed(name, *pair, ADMINS, KEYS)


def after_one(book, first):
    """The keys of the first succession are those in force."""
    third = (THIRD_LOG, THIRD_CLOCK)
    old = note(book, signer=first[0])
    book.succeed("a head by the first key", *third, ADMINS, HEAD, head=old)
    for name, pair in (
        ("the first keys come back", first),
        ("the first log key comes back", (first[0], THIRD_CLOCK)),
        ("the first clock key becomes the log's", (first[1], THIRD_CLOCK)),
        ("the keys of now", (LOG, CLOCK)),
        ("the log key of now becomes the clock's", (THIRD_LOG, LOG)),
    ):
        book.succeed(f"again: {name}", *pair, ADMINS, KEYS)
    book.order("a redaction between them", "redaction", redaction(b"1"), ADMINS)
    document = succession(ORIGIN, *third, "x")
    book.order("in order: number first", "key-succession", document, ADMINS, NUMBER, number=2)
    wrong = "WRONG_SEQUENCE"
    refused = "a leaf that is refused is in the tree"
    book.release(refused, "test/web", files(a="1"), [CI], wrong, sequence=9)
    both = clocked(book) + "\u2014 witness.example AAAAAAAAAAAAAAAA\n"
    book.succeed("another succession, the head cosigned", *third, ADMINS, head=both)
    fourth = (Signer("log 4"), Signer("clock 4"))
    late = note(book, signer=LOG)
    book.succeed("right behind it, a head by the key before", *fourth, ADMINS, HEAD, head=late)
    book.succeed("behind it, by the key of its size", *fourth, ADMINS)
    book.record()


def first_leaves():
    """Ledgers that begin with what belongs behind a genesis, and one that another key has from
    its second leaf on."""
    missing = "GENESIS_MISSING"
    other = start("ledger.example/other")
    other.release("release", "test/web", files(a="1"), [CI])
    document = redaction(b"1")
    value, manifest = other.approval_statement("test/web")
    predicate = {"ledger": "00" * 32, "number": 1, "schema": "cairn.order/v1"}
    order = statement("redaction", document, "order", predicate)
    for name, leaf, of in (
        ("approval", sign(value, [CI]), manifest),
        ("redaction", sign(order, ADMINS), document),
    ):
        book = Book("ledger.example/first")
        book.add(f"{name} at index 0", leaf, of, missing)
        book.add(f"{name} at index 1", leaf, of, missing)
        yield f"genesis missing: {name} first", book
    book = start(ORIGIN)
    book.succeed("a succession right behind the genesis", LOG, CLOCK, ADMINS)
    book.record()
    yield "successions: at index 1", book
