"""notes.json: verifier keys and checkpoints."""

from .. import crypto, notes
from ..names import base64_bytes, base64_text
from . import edits
from .note_maker import AUDITOR_NAMES, AUDITORS, BOTH, CLOCK, CLOCK_LINE, CLOCK_VKEY, LOG, LOG_LINE
from .note_maker import LOG_VKEY, NOW, ORIGIN, OTHER, ROOT, TEXT
from .note_maker import auditor_line, auditor_vkey, first, note_case, pins
from .witnessed_notes import witnessed_notes

DESCRIPTION = (
    "Verifier keys (`vkey`) and checkpoints (`note_text`, or `note_base64`, read with `log_vkey`, "
    "perhaps "
    "`clock_vkey`, at the time `now`, in unix seconds). "
    "`clock_time` is null without a clock cosignature that is known. `time` is the time that age "
    "counts from, or null where there is none. Where a case has `auditors` or `witnesses`, "
    "that is the member of this name of the trust file, whose log and clock key are those of the "
    "case: `keys`, their vkeys, and `quorum`, a number. If the note is good, `audited_by` "
    "is then how many of the auditors cosigned it, each counted once, and `audited` the same "
    "number, or null where it is below the quorum; likewise `witnessed_by` and `witnessed` of the "
    "witnesses. A `reason` of null beside either means that the trust file is refused, whatever "
    "the note says." + edits.HOW_TO_READ
)
SPEC = "2, 6, 9.1"


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


def audited_notes():
    def counted(name, audited_by, audited, auditors, *lines, **others):
        expected = {"audited_by": audited_by, "audited": audited, "clock_time": NOW - 5}
        note = BOTH + b"".join(lines)
        return note_case(f"auditors: {name}", note, auditors=auditors, **{**expected, **others})

    one, two, three = map(auditor_line, range(3))
    yield counted("none of them signed", 0, None, first(2))
    yield counted("one of two, quorum 1", 1, 1, first(2), one)
    yield counted("the other of two, quorum 1", 1, 1, first(2), two)
    yield counted("one of two, quorum 2", 1, None, first(2, 2), one)
    yield counted("two of two, quorum 1", 2, 2, first(2), one, two)
    yield counted("two of two, quorum 2", 2, 2, first(2, 2), two, one)
    lines = map(auditor_line, range(16))
    yield counted("sixteen of sixteen", 16, 16, first(16, 16), *lines)
    yield counted("one that is not pinned is ignored", 1, None, first(2, 2), one, three)
    ahead = auditor_line(2, NOW + 301)
    yield counted("one that is not pinned, 301 s ahead", 0, None, first(2), ahead)
    again = auditor_line(0, NOW - 9)
    yield counted("two lines of one count once", 1, None, first(2, 2), one, again)
    ahead = auditor_line(0, NOW + 300)
    yield counted("300 s ahead", 1, 1, first(1), ahead)
    yield counted("long ago", 1, 1, first(1), auditor_line(0, 1))
    name, public = AUDITOR_NAMES[0], AUDITORS[0].public
    key_id = notes.key_id(name, notes.LOG_KEY, public)
    bare = notes.signature_line(name, key_id, AUDITORS[0].sign(TEXT))
    yield counted("a line of type 0x01 under the auditor's name", 0, None, first(1), bare)
    key_id = notes.key_id(name, notes.COSIGNER_KEY, public)
    other = notes.signature_line(AUDITOR_NAMES[1], key_id, bytes(72))
    yield counted("the auditor's key ID, another's name", 0, None, first(2), other)
    note = TEXT + b"\n" + one + LOG_LINE
    expected = {"audited_by": 1, "audited": 1, "clock_time": None}
    name = "auditors: their times are not the clock's"
    yield note_case(name, note, auditors=first(1), **expected)


def refused_cosigners():
    def refused(name, reason, *lines, note=BOTH):
        note += b"".join(lines)
        return note_case(f"auditors: {name}", note, False, reason, auditors=first(2))

    def line(blob):
        key_id = notes.key_id(AUDITOR_NAMES[0], notes.COSIGNER_KEY, AUDITORS[0].public)
        return notes.signature_line(AUDITOR_NAMES[0], key_id, blob)

    signature, future = "NOTE_SIGNATURE", "NOTE_FROM_THE_FUTURE"
    one, two = auditor_line(0), auditor_line(1)
    stamp, message = NOW.to_bytes(8, "big"), notes.cosigned_message(TEXT, NOW)
    forged = line(stamp + AUDITORS[1].sign(message))
    yield refused("a line that does not verify", signature, forged)
    yield refused("one good and one forged", signature, two, forged)
    yield refused("one good and one forged line of one", signature, one, forged)
    yield refused("one forged and one good line of one", signature, forged, one)
    other = auditor_line(0, text=notes.note_text(ORIGIN, 1235, ROOT))
    yield refused("a cosignature of another text", signature, other)
    yield refused("another time", signature, line(bytes(8) + AUDITORS[0].sign(message)))
    yield refused("a signature over the bare text", signature, line(stamp + AUDITORS[0].sign(TEXT)))
    yield refused("a line without a time", signature, line(AUDITORS[0].sign(TEXT)))
    yield refused("the log did not sign", signature, one, two, note=TEXT + b"\n")
    ahead = auditor_line(0, NOW + 301)
    yield refused("301 s ahead", future, ahead)
    yield refused("of two times of one the newest counts", future, ahead, one)
    clock = notes.clock_line(CLOCK, ORIGIN, TEXT, NOW + 301)
    yield refused("the clock 301 s ahead", future, one, clock)
    yield refused("in order: another's signature before a time ahead", signature, ahead, forged)
    name = "in order: the log's signature before a time ahead"
    yield refused(name, signature, ahead, note=TEXT + b"\n")


def refused_trust():
    good = auditor_vkey(0)
    log, clock = auditor_vkey(1, public=LOG.public), auditor_vkey(1, public=CLOCK.public)
    note = BOTH + auditor_line(0)
    for name, auditors in (
        ("one listed twice", pins(1, good, good)),
        ("one listed by two names", pins(1, good, auditor_vkey(0, name=AUDITOR_NAMES[1]))),
        ("the log's key", pins(1, good, log)),
        ("the clock's key", pins(1, good, clock)),
        ("the clock's vkey", pins(1, good, CLOCK_VKEY.text())),
        ("quorum 0", first(2, 0)),
        ("quorum above their number", first(2, 3)),
        ("seventeen", first(17)),
        ("none", pins(1)),
        ("none, quorum 0", pins(0)),
        ("a vkey of type 0x01", pins(1, good, auditor_vkey(1, kind=notes.LOG_KEY))),
    ):
        yield note_case(f"trust file: auditors: {name}", note, False, None, auditors=auditors)
    name = "trust file: auditors: a vkey that is none"
    yield note_case(name, note, False, "VKEY_SYNTAX", auditors=pins(1, good, good + "A"))


def build():
    groups = [vkey_cases, good_notes, bad_signatures, malformed_notes]
    groups += [audited_notes, refused_cosigners, refused_trust, witnessed_notes]
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
    pinned = notes.parse_pins(case, [key for key in (log_key, clock_key) if key])
    head = notes.open_checkpoint(note, log_key, clock_key, case["now"], pinned)
    found = {"origin": head.origin, "size": head.size, "root_hex": head.root.hex()}
    found["clock_time"] = head.clock_time
    if pinned.auditors:
        audited = pinned.auditors.reached(head.audited_times)
        found |= {"audited_by": len(head.audited_times), "audited": audited}
    if pinned.witnesses:
        witnessed = pinned.witnesses.reached(head.witnessed_times)
        found |= {"witnessed_by": len(head.witnessed_times), "witnessed": witnessed}
    return {**found, "time": pinned.time(head)}
