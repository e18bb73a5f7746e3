"""What the cases of notes.json are made of: keys, a checkpoint's text, lines, pinned cosigners."""

from .. import crypto, notes
from ..crypto import Signer
from ..names import base64_text

ORIGIN = "ledger.example/one"
LOG, CLOCK = Signer("note log"), Signer("note clock")
OTHER = Signer("note other")
LOG_VKEY = notes.Vkey(ORIGIN, notes.LOG_KEY, LOG.public)
CLOCK_VKEY = notes.Vkey(f"{ORIGIN}/clock", notes.COSIGNER_KEY, CLOCK.public)
NOW = 1_767_323_045
ROOT = crypto.sha256(b"cairn vectors root")
TEXT = notes.note_text(ORIGIN, 1234, ROOT)
LOG_LINE = notes.log_line(LOG, ORIGIN, TEXT)
CLOCK_LINE = notes.clock_line(CLOCK, ORIGIN, TEXT, NOW - 5)
BOTH = TEXT + b"\n" + LOG_LINE + CLOCK_LINE
AUDITORS = [Signer(f"note auditor {number}") for number in range(17)]
AUDITOR_NAMES = [f"auditor{number}.example" for number in range(17)]
WITNESSES = [Signer(f"note witness {number}") for number in range(17)]
WITNESS_NAMES = [f"witness{number}.example" for number in range(17)]


def note_case(name, note, ok=True, reason=None, clock=True, now=NOW, **others):
    """`auditors` and `witnesses` are members of the trust file; others are what is expected."""
    inputs = {"name": name, "log_vkey": LOG_VKEY.text(), "now": now}
    if clock:
        inputs["clock_vkey"] = CLOCK_VKEY.text()
    inputs |= {kind: others.pop(kind) for kind in ("auditors", "witnesses") if kind in others}
    try:
        inputs["note_text"] = note.decode()
    except UnicodeDecodeError:
        inputs["note_base64"] = base64_text(note)
    return inputs, {"ok": ok, **({} if ok else {"reason": reason}), **others}


def pins(quorum, *vkeys):
    return {"keys": list(vkeys), "quorum": quorum}


def auditor_vkey(number, **others):
    key = notes.Vkey(AUDITOR_NAMES[number], notes.COSIGNER_KEY, AUDITORS[number].public)
    return key._replace(**others).text()


def first(number, quorum=1):
    """The first auditors are pinned."""
    return pins(quorum, *map(auditor_vkey, range(number)))


def auditor_line(number, time=NOW - 2, text=TEXT):
    return notes.cosigner_line(AUDITORS[number], AUDITOR_NAMES[number], text, time)


def witness_vkey(number, **others):
    key = notes.Vkey(WITNESS_NAMES[number], notes.COSIGNER_KEY, WITNESSES[number].public)
    return key._replace(**others).text()


def first_witnesses(number, quorum=1):
    """The first witnesses are pinned."""
    return pins(quorum, *map(witness_vkey, range(number)))


def witness_line(number, time=NOW - 3, text=TEXT):
    return notes.cosigner_line(WITNESSES[number], WITNESS_NAMES[number], text, time)
