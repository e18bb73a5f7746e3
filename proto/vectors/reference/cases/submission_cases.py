"""The submissions of witness.json that the form does not decide."""

from .. import merkle, notes
from ..crypto import Signer
from .submission_maker import EMPTY, GOOD, GOOD_NOTE, GOOD_TEXT, LAST, LEAVES, LOG, NOW, ORIGIN
from .submission_maker import OTHER, OTHER_ORIGIN, WITNESS, WITNESS_VKEY, body_of, forged, known
from .submission_maker import large_tree, latest, line, log_vkey, note_of, number, proof, root
from .submission_maker import submission, text_of


def submissions():
    for cases in (good, extensions, origins, keys, sizes, proofs, large_trees, precedence):
        yield from cases()


def accepted(name, body, *logs, size, value=None, **others):
    expected = {"size": size, "root_hex": (root(size) if value is None else value).hex()}
    return submission(name, 200, body, *logs, **{"origin_text": ORIGIN, **expected, **others})


def note(size, value=None):
    return note_of(text_of(size, value))


def good():
    yield accepted("from 13 to 21", GOOD, size=21)
    for old, size in ((1, 2), (1, 40), (3, 7), (8, 16), (16, 21), (20, 21), (7, 40), (39, 40)):
        body = body_of(old, proof(old, size), note(size))
        yield accepted(f"from {old} to {size}", body, known(latest(old)), size=size)
    never, empty = known(), known(latest(0))
    yield accepted("the first", body_of(0, [], note(21)), never, size=21)
    yield accepted("the first, of size 1", body_of(0, [], note(1)), never, size=1)
    any_root = number(0)
    body = body_of(0, [], note(21, any_root))
    yield accepted("the first, of any root", body, never, size=21, value=any_root)
    yield accepted("the first, of size 0", body_of(0, [], note(0)), never, size=0)
    yield accepted("of size 0 again", body_of(0, [], note(0)), empty, size=0)
    yield accepted("the first after size 0", body_of(0, [], note(21)), empty, size=21)
    yield accepted("the last again", body_of(13, [], note(13)), size=13)
    yield accepted("at another time", GOOD, size=21, time=1)
    yield accepted("at a time beyond 32 bits", GOOD, size=21, time=2**33)


def extensions():
    for name, lines in (
        ("one", ["extension"]),
        ("three", ["a", "b", "a"]),
        ("a space", [" "]),
        ("beyond ASCII", ["\u00e9\u2028\u00a0"]),
        ("like a signature line", [line(GOOD_TEXT).decode()[:-1]]),
        ("like a size", ["0"]),
    ):
        text = text_of(21, extensions=lines)
        body = body_of(13, proof(13, 21), note_of(text))
        yield accepted(f"extension line: {name}", body, size=21)
    text = text_of(21, extensions=["extension"])
    unsigned = body_of(13, proof(13, 21), note_of(text, line(GOOD_TEXT)))
    yield submission("extension line: the signature is without it", 403, unsigned)
    again = body_of(13, [], note_of(text_of(13, extensions=["another"])))
    yield accepted("extension line: the last size and root again", again, size=13)
    old_root, new_root, hashes = large_tree(1, 2**63)
    room = 16_384 - len(note_of(text_of(2**63, new_root)))
    whole = note_of(text_of(2**63, new_root, extensions=["x" * (room - 1)]))
    assert len(whole) == 16_384
    logs = known(latest(1, old_root))
    name = "a note of 16,384 bytes after 63 hashes"
    yield accepted(name, body_of(1, hashes, whole), logs, size=2**63, value=new_root)


def origins():
    """An origin is any line; the names of keys are not bound to it."""
    hash_like = "A" * 43 + "="
    for name, origin in (
        ("with spaces", " a log of ours "),
        ("with a plus sign", "ledger.example+one"),
        ("beyond ASCII", "ledger.example/\u00e9"),
        ("of 300 bytes", "o" * 300),
        ("like a hash", hash_like),
        ("like the first line of a body", "old 13"),
    ):
        body = body_of(13, proof(13, 21), note_of(text_of(21, origin=origin)))
        log = known(latest(13), origin)
        yield accepted(f"origin {name}", body, log, size=21, origin_text=origin)
    other = known(latest(13), OTHER_ORIGIN)
    yield submission("unknown origin", 404, GOOD, other)
    for name, origin in (
        ("one letter in capitals", "ledger.example/One"),
        ("a space at the end", ORIGIN + " "),
        ("one byte less", ORIGIN[:-1]),
    ):
        body = body_of(13, proof(13, 21), note_of(text_of(21, origin=origin)))
        yield submission(f"unknown origin: {name}", 404, body)
    text = text_of(21, origin=OTHER_ORIGIN)
    body = body_of(13, proof(13, 21), note_of(text))
    yield submission("unknown origin: a good line by a key of another log", 404, body)
    two = known(latest(13)), known(None, OTHER_ORIGIN, [log_vkey(OTHER, OTHER_ORIGIN)])
    text = text_of(21, origin=OTHER_ORIGIN)
    first = body_of(0, [], note_of(text, line(text, OTHER, OTHER_ORIGIN)))
    yield accepted("two logs: the second", first, *two, size=21, origin_text=OTHER_ORIGIN)
    yield accepted("two logs: the first", GOOD, *two, size=21)
    body = body_of(13, proof(13, 21), note_of(text, line(text, OTHER, OTHER_ORIGIN)))
    yield submission("two logs: the size of the other", 409, body, *two, size=0)
    body = body_of(0, [], note_of(text))
    yield submission("two logs: signed by the key of the other", 403, body, *two)


def keys():
    text = GOOD_TEXT
    one, two = line(text), line(text, OTHER)
    bad, bad_two = forged(text), forged(text, OTHER)
    pair = known(latest(13), vkeys=[log_vkey(), log_vkey(OTHER)])
    clock = notes.clock_line(Signer("witness clock"), ORIGIN, text, NOW)
    own = notes.cosigner_line(WITNESS, WITNESS_VKEY.name, text, NOW)
    own_bad = notes.signature_line(WITNESS_VKEY.name, WITNESS_VKEY.id, bytes(72))
    unknown = [notes.signature_line("w", b"\x01\x02\x03\x04", bytes([i] * 8)) for i in range(63)]

    def body(*lines):
        return body_of(13, proof(13, 21), note_of(text, *lines))

    for name, logs, *lines in (
        ("the second of two keys", [pair], two),
        ("both of two keys", [pair], two, one),
        ("a bad line by the first key, a good one by the second", [pair], bad, two),
        ("a good line by the first key, a bad one by the second", [pair], one, bad_two),
        ("a good line twice", [], one, one),
        ("a clock's line beside it", [], one, clock),
        ("a line by the witness itself", [], one, own),
        ("a bad line by the witness itself", [], own_bad, one),
        ("a bad line by a key that is not the log's", [], bad_two, one),
        ("64 lines, the last by the log", [], *unknown, one),
    ):
        yield accepted(f"lines: {name}", body(*lines), *logs, size=21)
    key_id = notes.key_id(ORIGIN, notes.LOG_KEY, LOG.public)
    signature = LOG.sign(text)
    s = int.from_bytes(signature[32:], "little") + 2**252 + ORDER_REST
    unreduced = signature[:32] + s.to_bytes(32, "little")
    as_cosigner = notes.cosigner_line(LOG, ORIGIN, text, NOW)
    for name, logs, *lines in (
        ("a bad one", [], bad),
        ("over another text", [], line(text_of(20))),
        ("of 63 bytes", [], notes.signature_line(ORIGIN, key_id, signature[:63])),
        ("with a byte more", [], notes.signature_line(ORIGIN, key_id, signature + b"\x00")),
        ("S is not reduced", [], notes.signature_line(ORIGIN, key_id, unreduced)),
        ("none by a known key", [], two),
        ("the log's name, another key ID", [], notes.signature_line(ORIGIN, bytes(4), signature)),
        ("the log's key ID, another name", [], notes.signature_line("x", key_id, signature)),
        ("the log's key as a cosigner", [], as_cosigner),
        ("a good and a bad one by one key", [], one, bad),
        ("a bad and a good one by one key", [], bad, one),
        ("bad ones by two keys", [pair], bad, bad_two),
        ("by one key a good and a bad one, by the other a bad one", [pair], one, bad_two, bad),
        ("by the clock alone", [], clock),
        ("by the witness itself alone", [], own),
    ):
        yield submission(f"lines refused: {name}", 403, body(*lines), *logs)
    name = "lines: by one key a good and a bad one, by the other a good one"
    yield accepted(name, body(one, two, bad), pair, size=21)


ORDER_REST = 27742317777372353535851937790883648493


def sizes():
    """The table's fourth and fifth row."""
    never, largest = known(), known(latest(LAST, number(0)))
    other = number(1)
    for name, status, size, body, *logs in (
        ("old one above the note's size", 400, None, body_of(22, [], note(21))),
        ("a smaller note after a larger one", 400, None, body_of(13, [], note(5))),
        ("size 0 after a larger one", 400, None, body_of(13, [], note(0))),
        ("old below the last", 409, 13, body_of(8, proof(8, 21), note(21))),
        ("old one below the last", 409, 13, body_of(12, proof(12, 21), note(21))),
        ("old above the last", 409, 13, body_of(16, proof(16, 21), note(21))),
        ("old 0 after the first", 409, 13, body_of(0, [], note(21))),
        ("old is the note's size, above the last", 409, 13, body_of(21, [], note(21))),
        ("old is the note's size, below the last", 409, 13, body_of(5, [], note(5))),
        ("a smaller note, old below it", 409, 13, body_of(3, proof(3, 5), note(5))),
        ("the last size, old below it", 409, 13, body_of(8, proof(8, 13), note(13))),
        ("old where there was none", 409, 0, body_of(13, proof(13, 21), note(21)), never),
        ("old is the note's size where there was none", 409, 0, body_of(21, [], note(21)), never),
        ("old after size 0", 409, 0, body_of(1, proof(1, 21), note(21)), known(latest(0))),
        ("the last size, another root", 409, 13, body_of(13, [], note(13, other))),
        ("the last size, the empty root", 409, 13, body_of(13, [], note(13, EMPTY))),
        ("the last size, another root, hashes", 409, 13, body_of(13, [other], note(13, other))),
        ("size 0, another root", 409, 0, body_of(0, [], note(0, other)), never),
        ("size 0 again, another root", 409, 0, body_of(0, [], note(0, other)), known(latest(0))),
        ("size 0, another root, hashes", 409, 0, body_of(0, [other], note(0, other)), never),
        ("size 0, old 0 after a larger one", 409, 13, body_of(0, [], note(0))),
        ("the last is 2^64 - 1", 409, LAST, body_of(0, [], note(21)), largest),
        (
            "the last is 2^64 - 1, another root",
            409,
            LAST,
            body_of(LAST, [], note(LAST, other)),
            largest,
        ),
    ):
        expected = {} if size is None else {"size": size}
        yield submission(f"sizes: {name}", status, body, *logs, **expected)


def proofs():
    right, new = proof(13, 21), note(21)
    never = known()
    flipped = [
        [item if i != place else item[:-1] + bytes([item[-1] ^ 1]) for i, item in enumerate(right)]
        for place in range(len(right))
    ]
    top = [bytes([right[0][0] ^ 0x80]) + right[0][1:], *right[1:]]
    named = [(f"a bit of hash {place}", 13, each, new) for place, each in enumerate(flipped)]
    for name, old, hashes, given, *logs in (
        ("no hashes", 13, [], new),
        ("the first is missing", 13, right[1:], new),
        ("the last is missing", 13, right[:-1], new),
        ("one more", 13, [*right, number(0)], new),
        ("the last twice", 13, [*right, right[-1]], new),
        ("one more before them", 13, [number(0), *right], new),
        ("in reverse", 13, right[::-1], new),
        *named,
        ("the first bit of hash 0", 13, top, new),
        ("of another old size", 13, proof(12, 21), new),
        ("of another size", 13, proof(13, 22), new),
        ("of inclusion", 13, merkle.inclusion_proof(LEAVES[:21], 12), new),
        ("63 hashes that prove nothing", 13, [number(i) for i in range(63)], new),
        ("another root", 13, right, note(21, number(0))),
        ("the last root again", 13, right, note(21, root(13))),
        ("of another history", 13, right, new, known(latest(13, number(0)))),
        ("the old root before them", 8, [root(8), *proof(8, 21)], new, known(latest(8))),
        ("old 0, a hash", 0, [root(21)], new, never),
        ("old 0, the hashes from 13", 0, right, new, never),
        ("old 0, 63 hashes", 0, [number(i) for i in range(63)], new, never),
        ("old 0, size 0, a hash", 0, [EMPTY], note(0), never),
        ("the last again, its root as a hash", 13, [root(13)], note(13)),
        ("the last again, the hashes to 21", 13, right, note(13)),
    ):
        yield submission(f"proof: {name}", 422, body_of(old, hashes, given), *logs)


def large_trees():
    """Sizes beyond 2^53, and as many hashes as there may be."""
    any_root = number(0)
    body = body_of(0, [], note(LAST, any_root))
    yield accepted("size 2^64 - 1", body, known(), size=LAST, value=any_root)
    body, log = body_of(LAST, [], note(LAST, any_root)), known(latest(LAST, any_root))
    yield accepted("size 2^64 - 1 again", body, log, size=LAST, value=any_root)
    body = body_of(LAST, [], note(21))
    yield submission("old 2^64 - 1", 400, body)
    for old, size, said, count in (
        (2**63, LAST, "from 2^63 to 2^64 - 1, by 1 hash", 1),
        (1, 2**63, "from 1 to 2^63, by 63 hashes", 63),
        (2**53 + 2, 2**63, "from 2^53 + 2 to 2^63, by 63 hashes", 63),
        (2**32 - 1, 2**32 + 1, "from 2^32 - 1 to 2^32 + 1, by 34 hashes", 34),
    ):
        old_root, new_root, hashes = large_tree(old, size)
        assert len(hashes) == count, len(hashes)
        body = body_of(old, hashes, note(size, new_root))
        log = known(latest(old, old_root))
        yield accepted(f"large: {said}", body, log, size=size, value=new_root)
        short = body_of(old, hashes[:-1], note(size, new_root))
        yield submission(f"large: {said}, the last is missing", 422, short, log)
    old_root, new_root, hashes = large_tree(1, 2**63 + 1)
    assert len(hashes) == 64
    body = body_of(1, hashes, note(2**63 + 1, new_root))
    yield submission("large: 64 hashes that prove", 400, body, known(latest(1, old_root)))


def precedence():
    """The first of the table's rows that holds decides."""
    other, text = known(latest(13), OTHER_ORIGIN), GOOD_TEXT
    bad = note_of(text, forged(text))
    short = proof(13, 21)[:-1]
    another = text_of(13, number(0))
    for name, status, body, logs, *size in (
        ("form before origin", 400, GOOD.replace(b"old 13", b"old 013"), [other]),
        ("form before signature", 400, body_of("013", proof(13, 21), bad), []),
        ("form before size", 400, body_of("08", proof(8, 21), GOOD_NOTE), []),
        ("form before proof", 400, body_of(13, [b"x" * 31], GOOD_NOTE), []),
        ("origin before signature", 404, body_of(13, proof(13, 21), bad), [other]),
        ("origin before old above the note's size", 404, body_of(22, [], GOOD_NOTE), [other]),
        ("origin before the last size", 404, body_of(8, proof(8, 21), GOOD_NOTE), [other]),
        ("origin before proof", 404, body_of(13, short, GOOD_NOTE), [other]),
        ("signature before old above the note's size", 403, body_of(22, [], bad), []),
        ("signature before the last size", 403, body_of(8, proof(8, 21), bad), []),
        (
            "signature before another root",
            403,
            body_of(13, [], note_of(another, forged(another))),
            [],
        ),
        ("signature before proof", 403, body_of(13, short, bad), []),
        (
            "signature before size 0, another root",
            403,
            body_of(0, [], note_of(text_of(0, number(0)), forged(text))),
            [known()],
        ),
        ("old above the note's size before the last size", 400, body_of(22, [], GOOD_NOTE), []),
        ("old above the note's size before hashes", 400, body_of(13, [number(0)], note(5)), []),
        ("the last size before proof", 409, body_of(8, proof(13, 21), GOOD_NOTE), [], 13),
        ("the last size before hashes from 0", 409, body_of(0, [number(0)], GOOD_NOTE), [], 13),
        ("another root before hashes", 409, body_of(13, proof(13, 21), note_of(another)), [], 13),
    ):
        expected = {"size": size[0]} if size else {}
        yield submission(f"in order: {name}", status, body, *logs, **expected)
