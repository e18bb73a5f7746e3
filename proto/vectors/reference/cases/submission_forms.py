"""The submissions of witness.json that are not of the form, and are refused with 400."""

from .. import notes
from ..names import base64_text
from .submission_maker import GOOD, GOOD_NOTE, GOOD_TEXT, LOG, ORIGIN, body_of, known, line, note_of
from .submission_maker import number, proof, root, submission

OLD = b"old 13\n"


def forms():
    for prefix, cases in (
        ("old", old_lines()),
        ("hashes", hash_lines()),
        ("parts", parts()),
        ("note", notes_of_no_form()),
        ("text", texts()),
    ):
        for name, body in cases:
            yield submission(f"{prefix}: {name}", 400, body)
    first = body_of("00", [], GOOD_NOTE)
    yield submission("old: 00 where there was none", 400, first, known())
    first = body_of("-0", [], GOOD_NOTE)
    yield submission("old: -0 where there was none", 400, first, known())


def old_lines():
    for name, text in (
        ("a leading zero", "old 013\n"),
        ("a plus sign", "old +13\n"),
        ("a minus sign", "old -13\n"),
        ("no size", "old \n"),
        ("no size, no space", "old\n"),
        ("two spaces", "old  13\n"),
        ("a tab", "old\t13\n"),
        ("a space at the end", "old 13 \n"),
        ("a space before it", " old 13\n"),
        ("a carriage return", "old 13\r\n"),
        ("in capitals", "OLD 13\n"),
        ("another word", "size 13\n"),
        ("the number alone", "13\n"),
        ("two numbers", "old 13 13\n"),
        ("in hex", "old 0xd\n"),
        ("a fraction", "old 13.0\n"),
        ("parted digits", "old 1_3\n"),
        ("other digits", "old \uff11\uff13\n"),
        ("2^64", f"old {2**64}\n"),
        ("2^64 + 13", f"old {2**64 + 13}\n"),
        ("twice", "old 13\nold 13\n"),
        ("not there", ""),
        ("an empty line before it", "\nold 13\n"),
        ("a byte order mark before it", "\ufeffold 13\n"),
    ):
        yield name, GOOD.replace(OLD, text.encode(), 1)


def hash_lines():
    good, hashes = GOOD, proof(13, 21)
    first = base64_text(hashes[0])
    assert first.endswith("=") and good.count(first.encode()) == 1
    for name, text in (
        ("of 31 bytes", base64_text(hashes[0][:31])),
        ("of 33 bytes", base64_text(hashes[0] + b"\x00")),
        ("two in a line", base64_text(hashes[0] + hashes[0])),
        ("two in a line, apart", f"{first} {first}"),
        ("without padding", first.rstrip("=")),
        ("with trailing bits", first[:-2] + chr(ord(first[-2]) + 1) + "="),
        ("in hex", hashes[0].hex()),
        ("a character of another alphabet", "-" + first[1:]),
        ("a space at the end", first + " "),
        ("a space before it", " " + first),
        ("a carriage return", first + "\r"),
        ("beyond ASCII", "\u00e9" + first[1:]),
        ("an empty line after it", first + "\n"),
        ("an empty line before it", "\n" + first),
    ):
        yield name, good.replace(first.encode(), text.encode())
    yield "64", body_of(13, [number(i) for i in range(64)], GOOD_NOTE)
    yield "not UTF-8", good.replace(first.encode(), b"\xff" + first[1:].encode())


def parts():
    yield "nothing", b""
    yield "a line feed", b"\n"
    yield "the old size alone", OLD
    yield "no note", body_of(13, proof(13, 21), b"")
    yield "no empty line before the note", body_of(13, proof(13, 21), b"")[:-1] + GOOD_NOTE
    yield "no empty line, no hashes", OLD + GOOD_NOTE
    yield "two empty lines before the note", body_of(13, proof(13, 21), b"\n" + GOOD_NOTE)
    yield "the note alone", GOOD_NOTE
    yield "the note first", GOOD_NOTE + b"\n" + OLD
    yield "carriage returns", GOOD.replace(b"\n", b"\r\n")
    yield "no line feed at the end", GOOD[:-1]
    yield "an empty line at the end", GOOD + b"\n"
    yield "a byte of zero at the end", GOOD + b"\x00"
    yield "twice", GOOD + GOOD


def notes_of_no_form():
    text, own = GOOD_TEXT, line(GOOD_TEXT)

    def body(note):
        return body_of(13, proof(13, 21), note)

    unknown = [notes.signature_line("w", b"\x01\x02\x03\x04", bytes([i] * 8)) for i in range(64)]
    longer = text + b"x" * (16_385 - len(GOOD_NOTE) - 1) + b"\n"
    whole = note_of(longer)
    assert len(whole) == 16_385
    empty = notes.signature_line(ORIGIN, notes.key_id(ORIGIN, notes.LOG_KEY, LOG.public), b"")
    for name, note in (
        ("the text alone", text),
        ("no signature line", text + b"\n"),
        ("no empty line before the signatures", text + own),
        ("65 signature lines", note_of(text, *unknown, own)),
        ("16,385 bytes", whole),
        ("a carriage return in a signature line", note_of(text, own[:-1] + b"\r\n")),
        ("a hyphen for the dash", note_of(text, own.replace("\u2014".encode(), b"-"))),
        ("a signature that is not base64", note_of(text, own[:-2] + b"*\n")),
        ("an empty signature", note_of(text, own, empty)),
        ("a signature line without a name", note_of(text, own, b"\xe2\x80\x94  AAAAAAAA\n")),
        ("an empty line between signature lines", note_of(text, own, b"\n", own)),
        ("not UTF-8", note_of(text + b"\xff\n")),
        ("a control character", note_of(text + b"a\x01b\n")),
        ("a tab", note_of(text + b"a\tb\n")),
        ("a carriage return", note_of(text + b"a\r\n")),
    ):
        yield name, body(note)


def texts():
    """All of them are well signed."""
    value = base64_text(root(21))
    whole = f"{ORIGIN}\n21\n{value}\n"
    for name, text in (
        ("no origin", f"\n21\n{value}\n"),
        ("the origin is missing", f"21\n{value}\n"),
        ("no size", f"{ORIGIN}\n\n{value}\n"),
        ("the size is missing", f"{ORIGIN}\n{value}\n"),
        ("the root is missing", f"{ORIGIN}\n21\n"),
        ("the origin alone", f"{ORIGIN}\n"),
        ("size: a leading zero", f"{ORIGIN}\n021\n{value}\n"),
        ("size: 00", f"{ORIGIN}\n00\n{value}\n"),
        ("size: a plus sign", f"{ORIGIN}\n+21\n{value}\n"),
        ("size: a minus sign", f"{ORIGIN}\n-21\n{value}\n"),
        ("size: a space before it", f"{ORIGIN}\n 21\n{value}\n"),
        ("size: a space at the end", f"{ORIGIN}\n21 \n{value}\n"),
        ("size: in hex", f"{ORIGIN}\n15h\n{value}\n"),
        ("size: 2^64", f"{ORIGIN}\n{2**64}\n{value}\n"),
        ("size: 2^64 + 21", f"{ORIGIN}\n{2**64 + 21}\n{value}\n"),
        ("root: of 31 bytes", f"{ORIGIN}\n21\n{base64_text(root(21)[:31])}\n"),
        ("root: of 33 bytes", f"{ORIGIN}\n21\n{base64_text(root(21) + b'x')}\n"),
        ("root: empty", f"{ORIGIN}\n21\n\n"),
        ("root: without padding", f"{ORIGIN}\n21\n{value.rstrip('=')}\n"),
        ("root: with trailing bits", f"{ORIGIN}\n21\n{value[:-2]}{chr(ord(value[-2]) + 1)}=\n"),
        ("root: in hex", f"{ORIGIN}\n21\n{root(21).hex()}\n"),
        ("root: a space at the end", f"{ORIGIN}\n21\n{value} \n"),
        ("an empty extension line", f"{whole}\n"),
        ("an empty extension line before another", f"{whole}\nextension\n"),
        ("an empty extension line after another", f"{whole}extension\n\n"),
        ("an empty line before the size", f"{ORIGIN}\n\n21\n{value}\n"),
    ):
        yield name, body_of(13, proof(13, 21), note_of(text.encode()))
