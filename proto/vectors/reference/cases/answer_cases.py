"""The answers of witness.json: what a log takes from what a witness answers."""

from .. import notes
from ..crypto import Signer
from ..names import base64_text
from .submission_maker import GOOD_NOTE, GOOD_TEXT, LAST, LOG, NOW, ORIGIN, OTHER, WITNESS
from .submission_maker import WITNESS_VKEY, line, note_of, text_of

STRANGER = Signer("witness of another")


def answer(name, status, body, outcome, note=GOOD_NOTE, **expected):
    inputs = {
        "name": f"answer: {name}",
        "kind": "answer",
        "status": status,
        "body_base64": base64_text(body),
        "note_text": note.decode(),
        "key": WITNESS_VKEY.text(),
        "now": NOW,
    }
    return inputs, {"ok": True, "outcome": outcome, **expected}


def answers():
    for cases in (taken, passed_over, sizes, statuses):
        yield from cases()


def own(time=NOW, text=GOOD_TEXT):
    return notes.cosigner_line(WITNESS, WITNESS_VKEY.name, text, time)


def own_blob(blob):
    return notes.signature_line(WITNESS_VKEY.name, WITNESS_VKEY.id, blob)


def forged():
    message = notes.cosigned_message(GOOD_TEXT, NOW)
    return own_blob(NOW.to_bytes(8, "big") + STRANGER.sign(message))


def others():
    """Lines by other keys, none of them the witness's."""
    bare = notes.key_id(WITNESS_VKEY.name, notes.LOG_KEY, WITNESS.public)
    blob = notes.parse_line(own().decode()[:-1])[2]
    return {
        "another key": notes.cosigner_line(STRANGER, "stranger.example", GOOD_TEXT, NOW),
        "another key under its name": notes.cosigner_line(
            STRANGER, WITNESS_VKEY.name, GOOD_TEXT, NOW
        ),
        "its key under another name": notes.cosigner_line(WITNESS, "x", GOOD_TEXT, NOW),
        "its key ID under another name": notes.signature_line("x", WITNESS_VKEY.id, blob),
        "its key as type 0x01": notes.signature_line(
            WITNESS_VKEY.name, bare, WITNESS.sign(GOOD_TEXT)
        ),
        "the log's key": line(GOOD_TEXT),
    }


def garbage():
    good = own()
    return {
        "an empty line": b"\n",
        "a word": b"garbage\n",
        "a line that is not UTF-8": b"\xff\xfe\n",
        "a byte of zero": b"\x00\n",
        "a hyphen for the dash": good.replace("\u2014".encode(), b"-"),
        "no dash": good.split(b" ", 1)[1],
        "two spaces": good.replace(b" ", b"  ", 1),
        "a carriage return at the end": good[:-1] + b"\r\n",
        "a space at the end": good[:-1] + b" \n",
        "a space before it": b" " + good,
        "no padding": good[:-1].rstrip(b"=")[:-1] + b"\n",
        "a name alone": f"\u2014 {WITNESS_VKEY.name}\n".encode(),
        "an empty signature": own_blob(b""),
    }


def unproven():
    """Lines by the key that do not verify."""
    message, stamp = notes.cosigned_message(GOOD_TEXT, NOW), NOW.to_bytes(8, "big")
    return {
        "a bad signature": forged(),
        "another text": own(text=text_of(20)),
        "an extension line more": own(text=text_of(21, extensions=["extension"])),
        "another time": own_blob(bytes(8) + WITNESS.sign(message)),
        "the bare text": own_blob(stamp + WITNESS.sign(GOOD_TEXT)),
        "no time": own_blob(WITNESS.sign(message)),
        "a signature of 63 bytes": own_blob((stamp + WITNESS.sign(message))[:-1]),
        "a byte more": own_blob(stamp + WITNESS.sign(message) + b"\x00"),
        "one byte": own_blob(b"\x00"),
        "from 301 s ahead": own(NOW + 301),
        "from 2^64 - 1": own(LAST),
    }


def cosigned(name, body, taken_line, time=NOW, note=GOOD_NOTE):
    expected = {"line_text": taken_line.decode(), "time": time}
    return answer(name, 200, body, "cosigned", note, **expected)


def taken():
    good = own()
    yield cosigned("a line", good, good)
    yield cosigned("300 s ahead", own(NOW + 300), own(NOW + 300), NOW + 300)
    yield cosigned("long ago", own(1), own(1), 1)
    older = own(NOW - 9)
    yield cosigned("of two good lines the first", older + good, older, NOW - 9)
    yield cosigned("of two good lines the first, the newer", good + older, good)
    yield cosigned("the same line twice", good + good, good)
    yield cosigned("a good line, then a bad one", good + forged(), good)
    yield cosigned("a good line, then one from 301 s ahead", good + own(NOW + 301), good)
    yield cosigned("a good line, then garbage without an end", good + b"\xff", good)
    yield cosigned("a good line, then an empty one", good + b"\n", good)
    many = b"".join(notes.signature_line("w", bytes(4), bytes([i])) for i in range(64))
    yield cosigned("a good line after 64 others", many + good, good)
    extended = text_of(21, extensions=["extension"])
    line_of_it = own(text=extended)
    yield cosigned("a note with an extension line", line_of_it, line_of_it, note=note_of(extended))
    second = note_of(GOOD_TEXT, line(GOOD_TEXT), own(NOW - 9))
    yield cosigned("a note that it cosigned before", good, good, note=second)
    other = note_of(GOOD_TEXT, line(GOOD_TEXT), notes.log_line(OTHER, ORIGIN, GOOD_TEXT))
    yield cosigned("a note with lines by others", good, good, note=other)


def passed_over():
    """Alone each is of no use; before a good line it does no harm."""
    good = own()
    for group in (others(), garbage(), unproven()):
        for name, item in group.items():
            yield answer(f"{name}, alone", 200, item, "useless")
            yield cosigned(f"{name}, then a good line", item + good, good)
    yield answer("an empty body", 200, b"", "useless")
    yield answer("a line without its line feed", 200, good[:-1], "useless")
    yield answer("its line feed replaced by a carriage return", 200, good[:-1] + b"\r", "useless")
    yield answer("two lines joined", 200, good[:-1] + good, "useless")
    yield answer("the size of a 409", 200, b"13\n", "useless")
    yield answer("the whole note and its line", 200, GOOD_NOTE[:-1] + good, "useless")
    yield cosigned("the whole note, then its line", GOOD_NOTE + good, good)
    clock = notes.clock_line(LOG, ORIGIN, GOOD_TEXT, NOW)
    yield answer("a cosignature by the log's own key", 200, clock, "useless")


def sizes():
    for name, body, size in (
        ("a size", b"13\n", 13),
        ("a size without a line feed", b"13", 13),
        ("0", b"0\n", 0),
        ("above the log's own", b"22\n", 22),
        ("2^64 - 1", f"{LAST}\n".encode(), LAST),
        ("a carriage return", b"13\r\n", 13),
        ("two line feeds", b"13\n\n", 13),
        ("spaces around it", b"  13  \n", 13),
        ("a tab before it", b"\t13\n", 13),
        ("a line feed before it", b"\n13\n", 13),
    ):
        yield answer(f"409: {name}", 409, body, "from", size=size)
    for name, body in (
        ("empty", b""),
        ("a line feed", b"\n"),
        ("spaces", b"  "),
        ("a leading zero", b"013\n"),
        ("00", b"00\n"),
        ("a plus sign", b"+13\n"),
        ("a minus sign", b"-13\n"),
        ("-0", b"-0\n"),
        ("2^64", f"{2**64}\n".encode()),
        ("2^64 + 13", f"{2**64 + 13}\n".encode()),
        ("two numbers", b"13 14\n"),
        ("two lines", b"13\n14\n"),
        ("in hex", b"0xd\n"),
        ("a fraction", b"13.0\n"),
        ("an exponent", b"1e1\n"),
        ("parted digits", b"1_3\n"),
        ("other digits", "\uff11\uff13\n".encode()),
        ("a word before it", b"old 13\n"),
        ("a word", b"conflict\n"),
        ("not UTF-8", b"\xff13\n"),
        ("a byte of zero after it", b"13\x00\n"),
        ("JSON", b'{"size":13}\n'),
        ("the line of a 200", own()),
    ):
        yield answer(f"409: {name}", 409, body, "useless")


def statuses():
    good = own()
    for status, body, outcome in (
        (422, b"", "contradicts"),
        (422, b"13\n", "contradicts"),
        (422, good, "contradicts"),
        (429, b"", "busy"),
        (429, good, "busy"),
        (503, b"", "busy"),
        (503, b"13\n", "busy"),
        *((status, good, "useless") for status in (100, 201, 202, 204, 206, 301, 304, 307)),
        *((status, b"13\n", "useless") for status in (400, 401, 403, 404, 405, 408, 410, 413)),
        *((status, good, "useless") for status in (400, 403, 404, 423, 500, 501, 502, 504, 599)),
    ):
        what = {b"": "empty", b"13\n": "a size", good: "a good line"}[body]
        yield answer(f"{status}: {what}", status, body, outcome)
