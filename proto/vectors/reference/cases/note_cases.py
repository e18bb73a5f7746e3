"""notes.json: verifier keys and checkpoints."""

from .. import crypto, notes
from ..crypto import Signer
from ..names import base64_bytes, base64_text
from . import edits

DESCRIPTION = (
    "Verifier keys (`vkey`) and checkpoints (`note_text`, or `note_base64`, read with `log_vkey`, "
    "perhaps "
    "`clock_vkey`, at the time `now`, in unix seconds). "
    "`clock_time` is null without a clock cosignature that is known." + edits.HOW_TO_READ
)
SPEC = "2, 6, 9.1"

ORIGIN = "ledger.example/one"
LOG, CLOCK = Signer("note log"), Signer("note clock")
OTHER = Signer("note other")
LOG_VKEY = notes.Vkey(ORIGIN, notes.LOG_KEY, LOG.public)
CLOCK_VKEY = notes.Vkey(f"{ORIGIN}/clock", notes.CLOCK_KEY, CLOCK.public)
NOW = 1_767_323_045
ROOT = crypto.sha256(b"cairn vectors root")
TEXT = notes.note_text(ORIGIN, 1234, ROOT)
LOG_LINE = notes.log_line(LOG, ORIGIN, TEXT)
CLOCK_LINE = notes.clock_line(CLOCK, ORIGIN, TEXT, NOW - 5)


def unknown_line(number=0):
    """A line of a key that nobody knows; its blob need not look like a signature."""
    return notes.signature_line("w", b"\x01\x02\x03\x04", bytes([number] * 8))


def vkey_cases():
    for name, vkey in (
        ("log key", LOG_VKEY),
        ("clock key", CLOCK_VKEY),
        ("shortest name", LOG_VKEY._replace(name="a")),
        ("longest origin", LOG_VKEY._replace(name="o" * 240)),
        ("longest name", LOG_VKEY._replace(name="o" * 255)),
    ):
        yield {"name": name, "vkey": vkey.text()}, {"ok": True, "key_id_hex": vkey.id.hex()}
    good = LOG_VKEY.text()
    name, key_id, body = good.split("+", 2)
    weak = notes.Vkey(ORIGIN, 1, b"\x01" + bytes(31)).text()
    high = notes.Vkey(ORIGIN, 1, (2**255 - 19 + 3).to_bytes(32, "little")).text()
    long_body = base64_text(base64_bytes(body) + b"\x00")
    for what, vkey in (
        ("wrong key ID", f"{name}+{'0' * 8}+{body}"),
        ("key ID in capitals", f"{name}+{key_id.upper()}+{body}"),
        ("key ID of another name", good.replace("one", "two")),
        ("no name", f"+{key_id}+{body}"),
        ("space in the name", good.replace("/", " ")),
        ("name beyond ASCII", LOG_VKEY._replace(name="\u00e9").text()),
        ("name of 256 bytes", LOG_VKEY._replace(name="o" * 256).text()),
        ("two parts", f"{name}+{body}"),
        ("key too long", f"{name}+{key_id}+{long_body}"),
        ("base64 without padding", good.rstrip("=")[:-1]),
        ("line feed at the end", good + "\n"),
        ("an unknown type", LOG_VKEY._replace(kind=2).text()),
        ("key of small order", weak),
        ("key with y above p", high),
    ):
        yield {"name": f"vkey: {what}", "vkey": vkey}, {"ok": False, "reason": "VKEY_SYNTAX"}


def note_case(name, note, ok=True, reason=None, clock=True, now=NOW, **expected):
    inputs = {"name": name, "log_vkey": LOG_VKEY.text(), "now": now}
    if clock:
        inputs["clock_vkey"] = CLOCK_VKEY.text()
    try:
        inputs["note_text"] = note.decode()
    except UnicodeDecodeError:
        inputs["note_base64"] = base64_text(note)
    return inputs, {"ok": ok, **({} if ok else {"reason": reason}), **expected}


def good_notes():
    full = TEXT + b"\n" + LOG_LINE + CLOCK_LINE
    yield note_case("log only", TEXT + b"\n" + LOG_LINE, clock_time=None)
    yield note_case("log and clock", full, clock_time=NOW - 5)
    yield note_case("clock first", TEXT + b"\n" + CLOCK_LINE + LOG_LINE, clock_time=NOW - 5)
    yield note_case("clock key not known", full, clock=False, clock_time=None)
    lines = unknown_line() + LOG_LINE + unknown_line(1) + CLOCK_LINE
    yield note_case("unknown lines are ignored", TEXT + b"\n" + lines, clock_time=NOW - 5)
    other = notes.signature_line(ORIGIN, b"\x00\x01\x02\x03", bytes(64))
    yield note_case("log's name, other key ID", TEXT + b"\n" + other + LOG_LINE)
    other = notes.signature_line("other.example", LOG_VKEY.id, bytes(64))
    yield note_case("log's key ID, other name", TEXT + b"\n" + other + LOG_LINE)
    empty = notes.note_text(ORIGIN, 0, crypto.sha256(b""))
    yield note_case("size 0", empty + b"\n" + notes.log_line(LOG, ORIGIN, empty), size=0)
    many = b"".join(unknown_line(i) for i in range(63))
    yield note_case("64 signature lines", TEXT + b"\n" + many + LOG_LINE)
    ahead = notes.clock_line(CLOCK, ORIGIN, TEXT, NOW + 300)
    yield note_case("clock 300 s ahead", TEXT + b"\n" + LOG_LINE + ahead, clock_time=NOW + 300)
    old = notes.clock_line(CLOCK, ORIGIN, TEXT, 1)
    yield note_case("clock long ago", TEXT + b"\n" + LOG_LINE + old, clock_time=1)


def bad_signatures():
    def refused(name, *lines):
        note = TEXT + b"\n" + b"".join(lines)
        return note_case(name, note, False, "NOTE_SIGNATURE")

    other_text = notes.note_text(ORIGIN, 1235, ROOT)
    yield refused("log signature over another text", notes.log_line(LOG, ORIGIN, other_text))
    short = notes.signature_line(ORIGIN, LOG_VKEY.id, LOG.sign(TEXT)[:63])
    yield refused("log signature of 63 bytes", short)
    forged = notes.signature_line(ORIGIN, LOG_VKEY.id, OTHER.sign(TEXT))
    yield refused("log line signed by another key", forged)
    yield refused("one good and one bad log line", LOG_LINE, forged)
    zero = (8 * b"\x00") + CLOCK.sign(notes.cosigned_message(TEXT, NOW))
    changed = notes.signature_line(CLOCK_VKEY.name, CLOCK_VKEY.id, zero)
    yield refused("clock line with another time", LOG_LINE, changed)
    bare = NOW.to_bytes(8, "big") + CLOCK.sign(TEXT)
    bare = notes.signature_line(CLOCK_VKEY.name, CLOCK_VKEY.id, bare)
    yield refused("clock signature over the bare text", LOG_LINE, bare)
    timeless = notes.signature_line(CLOCK_VKEY.name, CLOCK_VKEY.id, CLOCK.sign(TEXT))
    yield refused("clock line without a time", LOG_LINE, timeless)
    ahead = notes.clock_line(CLOCK, ORIGIN, TEXT, NOW + 301)
    note = TEXT + b"\n" + LOG_LINE + ahead
    yield note_case("clock 301 s ahead", note, False, "NOTE_FROM_THE_FUTURE")
    yield note_case("clock 301 s ahead of nobody", note, clock=False)


def signed(text):
    """A note over any text, well signed."""
    return text + b"\n" + notes.log_line(LOG, ORIGIN, text)


def malformed_notes():
    root = base64_text(ROOT)
    for name, text in (
        ("extension line", TEXT + b"extension\n"),
        ("no root", f"{ORIGIN}\n1234\n".encode()),
        ("size with a leading zero", f"{ORIGIN}\n01234\n{root}\n".encode()),
        ("size with a sign", f"{ORIGIN}\n+1234\n{root}\n".encode()),
        ("size empty", f"{ORIGIN}\n\n{root}\n".encode()),
        ("size 2^64", f"{ORIGIN}\n{2**64}\n{root}\n".encode()),
        ("size in hex", f"{ORIGIN}\n4d2\n{root}\n".encode()),
        ("root of 31 bytes", notes.note_text(ORIGIN, 1234, ROOT[:31])),
        ("root without padding", f"{ORIGIN}\n1234\n{root.rstrip('=')}\n".encode()),
        ("root with trailing bits", f"{ORIGIN}\n1234\n{root[:-2]}B=\n".encode()),
        ("origin empty", notes.note_text("", 1234, ROOT)),
    ):
        yield note_case(f"text: {name}", signed(text), False, "CHECKPOINT_SYNTAX", clock=False)
    line = LOG_LINE.decode()
    other = signed(notes.note_text("ledger.example/two", 1234, ROOT))
    yield note_case("another origin", other, False, "WRONG_ORIGIN", clock=False)
    returns = signed(f"{ORIGIN}\r\n1234\r\n{root}\r\n".encode())
    syntax, unsigned = "NOTE_SYNTAX", "NOTE_SIGNATURE"
    long = notes.signature_line("w", b"\x01\x02\x03\x04", bytes(12_300))
    for name, note, reason in (
        ("carriage returns", returns, syntax),
        ("a control character", signed(TEXT + b"\x01"), syntax),
        ("more than 16,384 bytes", TEXT + b"\n" + LOG_LINE + long, syntax),
        ("nothing", b"", syntax),
        ("text alone", TEXT, syntax),
        ("no signature", TEXT + b"\n", syntax),
        ("unknown signatures only", TEXT + b"\n" + unknown_line(), unsigned),
        ("clock alone", TEXT + b"\n" + CLOCK_LINE, unsigned),
        ("no empty line", TEXT + LOG_LINE, syntax),
        ("no line feed at the end", (TEXT + b"\n" + LOG_LINE)[:-1], syntax),
        ("hyphen for the dash", TEXT + b"\n" + line.replace("\u2014", "-").encode(), syntax),
        ("two spaces", TEXT + b"\n" + line.replace(" ", "  ", 1).encode(), syntax),
        ("signature is not base64", TEXT + b"\n" + line.replace("=", "*").encode(), syntax),
        ("empty line after the signatures", TEXT + b"\n" + LOG_LINE + b"\n", syntax),
        ("not UTF-8", TEXT + b"\n" + LOG_LINE + b"\xff\n", syntax),
        (
            "65 signature lines",
            TEXT + b"\n" + b"".join(map(unknown_line, range(64))) + LOG_LINE,
            syntax,
        ),
    ):
        yield note_case(f"note: {name}", note, False, reason, clock=False)
    ahead = notes.clock_line(CLOCK, ORIGIN, TEXT, NOW + 301)
    name = "in order: the log's signature before a time ahead"
    yield note_case(name, TEXT + b"\n" + ahead, False, unsigned)
    ahead = TEXT + b"\n" + LOG_LINE + ahead + CLOCK_LINE
    yield note_case("of two times the newest counts", ahead, False, "NOTE_FROM_THE_FUTURE")
    two = TEXT + b"\n" + LOG_LINE + CLOCK_LINE
    two += notes.clock_line(CLOCK, ORIGIN, TEXT, NOW - 50)
    yield note_case("of two times the newest is the age", two, clock_time=NOW - 5)


def build():
    groups = (vkey_cases, good_notes, bad_signatures, malformed_notes)
    yield from edits.compacted("note", (item for group in groups for item in group()))


def run(case, earlier):
    if "vkey" in case:
        vkey = notes.parse_vkey(case["vkey"])
        found = {"key_name": vkey.name, "key_type": vkey.kind, "public_hex": vkey.public.hex()}
        return {**found, "key_id_hex": vkey.id.hex()}
    log_key = notes.parse_vkey(case["log_vkey"])
    clock_key = notes.parse_vkey(case["clock_vkey"]) if "clock_vkey" in case else None
    if "note_base64" in case:
        note = base64_bytes(case["note_base64"])
    else:
        note = edits.text_of("note", case, earlier)
    head = notes.open_checkpoint(note, log_key, clock_key, case["now"])
    found = {"origin": head.origin, "size": head.size, "root_hex": head.root.hex()}
    return {**found, "clock_time": head.clock_time}
