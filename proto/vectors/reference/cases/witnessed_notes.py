"""The checkpoints of notes.json with pinned witnesses: how many cosigned, from whose time age
counts, and the trust files that are refused."""

from .. import notes
from ..crypto import Signer
from .note_maker import BOTH, CLOCK, CLOCK_VKEY, LOG, LOG_LINE, NOW, ORIGIN, TEXT
from .note_maker import WITNESS_NAMES, WITNESSES, auditor_line, auditor_vkey, first
from .note_maker import first_witnesses, note_case, pins, witness_line, witness_vkey

SIGNATURE, FUTURE = "NOTE_SIGNATURE", "NOTE_FROM_THE_FUTURE"
CLOCK_TIME = NOW - 5
BARE = TEXT + b"\n" + LOG_LINE
TWIN_NAME = "twin.example"
TWINS = [Signer(f"note twin {number}") for number in (98967, 121066)]  # of one key ID


def witnessed_notes():
    for cases in (counts, times, both_kinds, refused_lines, refused_trust, one_key_id):
        yield from cases()


def counts():
    def counted(name, witnessed_by, witnessed, witnesses, *lines, **others):
        expected = {"witnessed_by": witnessed_by, "witnessed": witnessed, "clock_time": CLOCK_TIME}
        note = BOTH + b"".join(lines)
        return note_case(f"witnesses: {name}", note, witnesses=witnesses, **{**expected, **others})

    one, two, three = map(witness_line, range(3))
    both, again = first_witnesses(2, 2), witness_line(0, NOW - 9)
    yield counted("none of them signed", 0, None, first_witnesses(2), time=CLOCK_TIME)
    yield counted("one of two, quorum 1", 1, 1, first_witnesses(2), one, time=NOW - 3)
    yield counted("the other of two, quorum 1", 1, 1, first_witnesses(2), two)
    yield counted("one of two, quorum 2", 1, None, both, one, time=CLOCK_TIME)
    yield counted("two of two, quorum 1", 2, 2, first_witnesses(2), one, two)
    yield counted("two of two, quorum 2", 2, 2, both, two, one)
    lines = map(witness_line, range(16))
    yield counted("sixteen of sixteen", 16, 16, first_witnesses(16, 16), *lines)
    yield counted("one that is not pinned is ignored", 1, None, both, one, three)
    ahead = witness_line(2, NOW + 301)
    yield counted("one that is not pinned, 301 s ahead", 0, None, first_witnesses(2), ahead)
    forged = forged_line(2)
    yield counted("one that is not pinned, forged", 0, None, first_witnesses(2), forged)
    yield counted("two lines of one count once", 1, None, both, one, again)
    ahead = witness_line(0, NOW + 300)
    yield counted("300 s ahead", 1, 1, first_witnesses(1), ahead, time=NOW + 300)
    yield counted("long ago", 1, 1, first_witnesses(1), witness_line(0, 1), time=1)
    name, public = WITNESS_NAMES[0], WITNESSES[0].public
    key_id = notes.key_id(name, notes.LOG_KEY, public)
    bare = notes.signature_line(name, key_id, WITNESSES[0].sign(TEXT))
    yield counted("a line of type 0x01 under the witness's name", 0, None, first_witnesses(1), bare)
    key_id = notes.key_id(name, notes.COSIGNER_KEY, public)
    other = notes.signature_line(WITNESS_NAMES[1], key_id, bytes(72))
    yield counted("the witness's key ID, another's name", 0, None, first_witnesses(2), other)
    renamed = pins(1, witness_vkey(0, name="other.example"))
    yield counted("its key pinned by another name", 0, None, renamed, one)
    named = pins(1, witness_vkey(0, name=ORIGIN))
    line = notes.cosigner_line(WITNESSES[0], ORIGIN, TEXT, NOW - 3)
    yield counted("one who has the log's name", 1, 1, named, line)


def times():
    """A quorum of witnesses, else one of auditors, else the clock."""
    older = [auditor_line(number, NOW - 20 - number) for number in range(3)]
    oldest = [witness_line(number, NOW - 40 - number) for number in range(3)]
    newer = [witness_line(number, NOW - 1 - number) for number in range(3)]
    auditors, witnesses = {"auditors": first(3, 2)}, {"witnesses": first_witnesses(3, 2)}
    both = {**auditors, **witnesses}
    for name, time, pinned, note, *lines in (
        ("nobody is pinned", CLOCK_TIME, {}, BOTH, *older, *oldest),
        ("nobody is pinned, no clock", None, {}, BARE, *older, *oldest),
        ("auditors alone", NOW - 21, auditors, BOTH, *older, *oldest),
        ("auditors alone, too few", CLOCK_TIME, auditors, BOTH, older[0], *oldest),
        ("witnesses alone", NOW - 41, witnesses, BOTH, *older, *oldest),
        ("witnesses alone, no clock", NOW - 41, witnesses, BARE, *oldest),
        ("witnesses alone, the oldest first", NOW - 41, witnesses, BOTH, *oldest[::-1]),
        ("witnesses alone, no more than needed", NOW - 42, witnesses, BOTH, *oldest[1:]),
        ("witnesses alone, newer than the clock", NOW - 2, witnesses, BOTH, *newer),
        ("witnesses alone, too few", CLOCK_TIME, witnesses, BOTH, oldest[0], *older),
        ("witnesses alone, too few, no clock", None, witnesses, BARE, oldest[0], *older),
        ("enough of both", NOW - 41, both, BOTH, *older, *oldest),
        ("enough of both, no clock", NOW - 41, both, BARE, *oldest, *older),
        ("enough of both, witnesses newer", NOW - 2, both, BOTH, *older, *newer),
        ("enough auditors, too few witnesses", NOW - 21, both, BOTH, *older, newer[0]),
        ("enough auditors, no witness", NOW - 22, both, BOTH, *older[1:]),
        ("enough witnesses, too few auditors", NOW - 41, both, BOTH, older[0], *oldest),
        ("too few of both", CLOCK_TIME, both, BOTH, older[0], oldest[0]),
        ("too few of both, no clock", None, both, BARE, older[0], oldest[0]),
        ("one of each makes no quorum of two", CLOCK_TIME, both, BOTH, older[2], newer[2]),
    ):
        yield note_case(f"time: {name}", note + b"".join(lines), time=time, **pinned)
    yield from newest_lines()


def newest_lines():
    """Of several lines by one witness the newest counts, and counts once."""

    def timed(name, time, quorum, *lines):
        lines = b"".join(witness_line(number, NOW - before) for number, before in lines)
        name, pinned = f"time: several lines by one: {name}", first_witnesses(2, quorum)
        return note_case(name, BOTH + lines, witnesses=pinned, time=time)

    yield timed("the newest first", NOW - 40, 1, (0, 40), (0, 90))
    yield timed("the newest last", NOW - 40, 1, (0, 90), (0, 40))
    yield timed("no quorum of two", CLOCK_TIME, 2, (0, 40), (0, 41))
    yield timed("another's is the second", NOW - 60, 2, (0, 40), (0, 41), (1, 60))
    yield timed("its newest is the second", NOW - 40, 2, (0, 90), (1, 30), (0, 40))
    yield timed("both have two", NOW - 50, 2, (0, 90), (1, 50), (0, 40), (1, 80))


def both_kinds():
    """Auditors and witnesses are counted apart."""
    a, b = auditor_line(0), auditor_line(1)
    w, x = witness_line(0), witness_line(1)
    two, both = {"auditors": first(2, 2)}, first_witnesses(2, 2)
    for name, lines, audited, witnessed in (
        ("two auditors, no witness", (a, b), (2, 2), (0, None)),
        ("no auditor, two witnesses", (w, x), (0, None), (2, 2)),
        ("one of each", (a, w), (1, None), (1, None)),
        ("two of each", (w, a, x, b), (2, 2), (2, 2)),
        ("two auditors, one witness", (a, b, w), (2, 2), (1, None)),
    ):
        expected = dict(zip(("audited_by", "audited"), audited))
        expected |= dict(zip(("witnessed_by", "witnessed"), witnessed))
        note = BOTH + b"".join(lines)
        yield note_case(f"both kinds: {name}", note, **two, witnesses=both, **expected)
    ahead, witness_ahead = auditor_line(0, NOW + 301), witness_line(0, NOW + 301)
    for name, reason, *lines in (
        ("a forged witness beside good auditors", SIGNATURE, a, b, forged_line(0)),
        ("an auditor 301 s ahead of good witnesses", FUTURE, w, x, ahead),
        ("a witness 301 s ahead of good auditors", FUTURE, a, b, witness_ahead),
        ("in order: a forged witness before an auditor ahead", SIGNATURE, ahead, forged_line(1)),
    ):
        note = BOTH + b"".join(lines)
        yield note_case(f"both kinds: {name}", note, False, reason, **two, witnesses=both)


def blob_line(number, blob):
    key_id = notes.key_id(WITNESS_NAMES[number], notes.COSIGNER_KEY, WITNESSES[number].public)
    return notes.signature_line(WITNESS_NAMES[number], key_id, blob)


def forged_line(number):
    """Another key signed what stands under a witness's name."""
    signature = WITNESSES[number + 1].sign(notes.cosigned_message(TEXT, NOW))
    return blob_line(number, NOW.to_bytes(8, "big") + signature)


def refused_lines():
    def refused(name, reason, *lines, note=BOTH):
        note += b"".join(lines)
        pinned = first_witnesses(2)
        return note_case(f"witnesses: {name}", note, False, reason, witnesses=pinned)

    one, two, forged = witness_line(0), witness_line(1), forged_line(0)
    stamp, message = NOW.to_bytes(8, "big"), notes.cosigned_message(TEXT, NOW)
    signer = WITNESSES[0]
    yield refused("a line that does not verify", SIGNATURE, forged)
    yield refused("one good and one forged", SIGNATURE, two, forged)
    yield refused("one good and one forged line of one", SIGNATURE, one, forged)
    yield refused("one forged and one good line of one", SIGNATURE, forged, one)
    other = witness_line(0, text=notes.note_text(ORIGIN, 1235, bytes(32)))
    yield refused("a cosignature of another text", SIGNATURE, other)
    yield refused("another time", SIGNATURE, blob_line(0, bytes(8) + signer.sign(message)))
    bare = blob_line(0, stamp + signer.sign(TEXT))
    yield refused("a signature over the bare text", SIGNATURE, bare)
    yield refused("a line without a time", SIGNATURE, blob_line(0, signer.sign(TEXT)))
    yield refused("a line of one byte", SIGNATURE, blob_line(0, b"\x00"))
    yield refused("the log did not sign", SIGNATURE, one, two, note=TEXT + b"\n")
    ahead = witness_line(0, NOW + 301)
    yield refused("301 s ahead", FUTURE, ahead)
    yield refused("2^64 - 1", FUTURE, witness_line(0, 2**64 - 1))
    yield refused("of two times of one the newest counts", FUTURE, ahead, one)
    yield refused("enough without the one ahead", FUTURE, two, ahead)
    clock = notes.clock_line(CLOCK, ORIGIN, TEXT, NOW + 301)
    yield refused("the clock 301 s ahead", FUTURE, one, two, clock)
    yield refused("in order: another's signature before a time ahead", SIGNATURE, ahead, forged)
    name = "in order: the log's signature before a time ahead"
    yield refused(name, SIGNATURE, ahead, note=TEXT + b"\n")


def refused_trust():
    good, note = witness_vkey(0), BOTH + witness_line(0)
    log, clock = witness_vkey(1, public=LOG.public), witness_vkey(1, public=CLOCK.public)
    audited = {"auditors": first(2)}
    shared = auditor_vkey(1)
    renamed = auditor_vkey(1, name=WITNESS_NAMES[1])
    twice = {"auditors": pins(1, shared, shared)}
    for name, witnesses, *others in (
        ("one listed twice", pins(1, good, good)),
        ("one listed by two names", pins(1, good, witness_vkey(0, name=WITNESS_NAMES[1]))),
        ("the log's key", pins(1, good, log)),
        ("the log's key alone", pins(1, log)),
        ("the clock's key", pins(1, good, clock)),
        ("the clock's vkey", pins(1, good, CLOCK_VKEY.text())),
        ("quorum 0", first_witnesses(2, 0)),
        ("quorum above their number", first_witnesses(2, 3)),
        ("quorum as text", first_witnesses(2, "1")),
        ("seventeen", first_witnesses(17)),
        ("none", pins(1)),
        ("none, quorum 0", pins(0)),
        ("a vkey of type 0x01", pins(1, good, witness_vkey(1, kind=notes.LOG_KEY))),
        ("no quorum", {"keys": [good]}),
        ("one who is an auditor", pins(1, good, shared), audited),
        ("one who is an auditor by another name", pins(1, good, renamed), audited),
        ("all of them auditors", first(2), audited),
        ("good ones beside an auditor listed twice", pins(1, good), twice),
    ):
        pinned = {"witnesses": witnesses, **(others[0] if others else {})}
        yield note_case(f"trust file: witnesses: {name}", note, False, None, **pinned)
    name = "trust file: witnesses: a vkey that is none"
    yield note_case(name, note, False, "VKEY_SYNTAX", witnesses=pins(1, good, good + "A"))
    sixteen = {"auditors": first(16, 16), "witnesses": first_witnesses(16, 16)}
    yield note_case("trust file: sixteen of each", note, witnessed=None, audited=None, **sixteen)


def one_key_id():
    """Two keys of one name and one key ID: a line under it cannot verify with both."""
    one, two = (notes.Vkey(TWIN_NAME, notes.COSIGNER_KEY, twin.public) for twin in TWINS)
    assert one.id == two.id
    apart = {"auditors": pins(1, one.text()), "witnesses": pins(1, two.text())}
    together = {"witnesses": pins(1, one.text(), two.text(), witness_vkey(0))}
    for kind, pinned in (("an auditor and a witness", apart), ("two witnesses", together)):
        for who, twin in zip(("the first", "the second"), TWINS):
            note = BOTH + notes.cosigner_line(twin, TWIN_NAME, TEXT, NOW - 3)
            name = f"one key ID: {kind}, {who} signs"
            yield note_case(name, note, False, SIGNATURE, **pinned)
    yield note_case("one key ID: neither signs", BOTH + witness_line(0), witnessed=1, **together)
    line = notes.cosigner_line(TWINS[0], TWIN_NAME, TEXT, NOW - 3)
    pinned = {"witnesses": pins(1, one.text())}
    yield note_case("one key ID: the one that is pinned signs", BOTH + line, witnessed=1, **pinned)
    pinned = {"witnesses": pins(1, two.text())}
    name = "one key ID: the one that is not pinned signs"
    yield note_case(name, BOTH + line, False, SIGNATURE, **pinned)
