"""The bundles of bundle.json where witnesses are pinned, or a policy asks for them."""

from .. import notes
from ..crypto import Signer
from .builder import Book, deployer, files, policy
from .bundle_maker import ADMIN, CI, NOW, Changes, Maker, base_case

BASE = "witnesses: two are pinned, two are asked for, two cosigned"
ENVIRONMENT = "prod/web"
OTHERS = ("test/web", "prod/a/b", "lab")
FIRST = [{"environments": "prod/*", "witnesses": 3}, {"environments": "test/*", "witnesses": 3}]
SECOND = [
    {"environments": "prod/*", "witnesses": 2},
    {"environments": "prod/**", "maxStaleness": 600, "witnesses": 1},
    {"environments": "test/*", "witnesses": 1},
    {"environments": "zone/**", "witnesses": 16},
]
WITNESSES = [Signer(f"bundle witness {number}") for number in range(3)]
VKEYS = [
    notes.Vkey(f"witness{number}.example", notes.COSIGNER_KEY, signer.public)
    for number, signer in enumerate(WITNESSES)
]
AUDITOR = Signer("bundle auditor 0")
AUDITOR_VKEY = notes.Vkey("auditor0.example", notes.COSIGNER_KEY, AUDITOR.public)


def make_book():
    """Released under policy 1; the newest, policy 2, asks for other numbers of witnesses."""
    book = Book("ledger.example/witnessed")
    book.genesis("genesis", policy(1, [ADMIN], 1, [deployer(CI)], FIRST), [ADMIN])
    for environment in (ENVIRONMENT, *OTHERS):
        book.release("release", environment, files(app="1"), [CI])
    book.policy("policy 2", policy(2, [ADMIN], 1, [deployer(CI)], SECOND), [ADMIN])
    book.record()
    return book


def signed_text(note):
    return note[: note.index(b"\n\n") + 1]


def cosigned(made, *who):
    """With lines by witnesses: the first 30 s ago, the second 31 s, and so on."""
    text = signed_text(made.checkpoint)
    lines = (
        notes.cosigner_line(WITNESSES[number], VKEYS[number].name, text, NOW - 30 - number)
        for number in who
    )
    return made._replace(checkpoint=made.checkpoint + b"".join(lines))


def pinned(book, number, quorum):
    """The trust file with the first witnesses."""
    if not number:
        return book.trust()
    keys = [key.text() for key in VKEYS[:number]]
    return {**book.trust(), "witnesses": {"keys": keys, "quorum": quorum}}


def counted(cosigners, needed, **others):
    """What the result says of witnesses."""
    pair = [cosigners, needed] if needed else None
    lacks = pair if needed and cosigners < needed else None
    return {"ok": True, "witnesses": pair, "lacks_witnesses": lacks, **others}


def witnessed_bundles():
    book = make_book()
    made = cosigned(Maker(book, ENVIRONMENT).make(), 0, 1)
    expected = counted(2, 2, age_seconds=31, max_staleness_seconds=600, policy_version=2)
    yield base_case(BASE, made, pinned(book, 2, 2)), expected
    changes = Changes(BASE, made)
    for name, who, (number, quorum), needed, age in (
        ("too few cosigned", (0,), (2, 2), 2, 60),
        ("nobody cosigned", (), (2, 2), 2, 60),
        ("the policy raises the quorum, reached", (0, 1), (3, 1), 2, 30),
        ("the policy raises the quorum, too few cosigned", (1,), (3, 1), 2, 31),
        ("the policy asks for more than are pinned", (0,), (1, 1), 2, 30),
        ("the policy asks for less than the quorum, reached", (0, 1, 2), (3, 3), 3, 32),
        ("the policy asks for less than the quorum, too few cosigned", (2, 0), (3, 3), 3, 60),
        ("more cosigned than must", (2, 1, 0), (3, 2), 2, 31),
        ("the policy asks, none are pinned", (), (0, 0), 2, 60),
        ("the policy asks, some cosigned, none are pinned", (0, 1), (0, 0), 2, 60),
        ("one who cosigned is not pinned", (0, 2), (2, 2), 2, 60),
    ):
        trust = pinned(book, number, quorum)
        expected = counted(sum(n < number for n in who), needed, age_seconds=age)
        made = cosigned(Maker(book, ENVIRONMENT).make(), *who)
        yield told(changes, name, made, trust, expected)
    yield from other_environments(book, changes)
    yield from others(book, changes)


def told(changes, name, made, trust, expected, **inputs):
    given, found = changes.bundle(f"witnesses: {name}", None, None, made, trust=trust, **inputs)
    return given, {**found, **expected}


def other_environments(book, changes):
    """Rules that do not match count for nothing."""
    for environment, name, who, (number, quorum), needed in (
        ("test/web", "one is asked for there, none are pinned", (), (0, 0), 1),
        ("test/web", "one is asked for there, one of three cosigned", (1,), (3, 1), 1),
        ("test/web", "one is asked for there, the quorum is two", (1,), (3, 2), 2),
        ("prod/a/b", "the looser of two rules alone matches", (0,), (2, 1), 1),
        ("lab", "no rule matches, none are pinned", (), (0, 0), 0),
        ("lab", "no rule matches, cosigned, none are pinned", (0, 1), (0, 0), 0),
        ("lab", "no rule matches, the quorum is reached", (0,), (2, 1), 1),
        ("lab", "no rule matches, too few cosigned", (0,), (2, 2), 2),
    ):
        trust = pinned(book, number, quorum)
        made = cosigned(Maker(book, environment).make(), *who)
        expected = counted(sum(n < number for n in who), needed)
        yield told(changes, name, made, trust, expected, environment=environment)


def others(book, changes):
    """No clock, auditors beside the witnesses, and lines that are refused."""
    maker = Maker(book, ENVIRONMENT)
    maker.clock_time = None
    bare = maker.make()
    trust = pinned(book, 2, 2)
    expected = counted(2, 2, age_seconds=31)
    yield told(changes, "no clock", cosigned(bare, 0, 1), trust, expected)
    expected = counted(1, 2, age_seconds=None)
    yield told(changes, "no clock, too few cosigned", cosigned(bare, 0), trust, expected)
    text = signed_text(bare.checkpoint)
    line = notes.cosigner_line(AUDITOR, AUDITOR_VKEY.name, text, NOW - 45)
    both = {**trust, "auditors": {"keys": [AUDITOR_VKEY.text()], "quorum": 1}}
    for name, who, auditor, age in (
        ("an auditor and both cosigned", (0, 1), line, 31),
        ("an auditor and one of two cosigned", (0,), line, 45),
        ("both cosigned, no auditor", (0, 1), b"", 31),
        ("one of two cosigned, no auditor", (0,), b"", None),
    ):
        made = cosigned(bare, *who)
        made = made._replace(checkpoint=made.checkpoint + auditor)
        expected = counted(len(who), 2, age_seconds=age)
        expected["audited"] = 1 if auditor else None
        expected["lacks_auditors"] = None if auditor else [0, 1]
        yield told(changes, name, made, both, expected)
    swapped = notes.cosigner_line(WITNESSES[1], VKEYS[0].name, text, NOW - 30)
    blob = notes.parse_line(swapped.decode()[:-1])[2]
    forged = notes.signature_line(VKEYS[0].name, VKEYS[0].id, blob)
    ahead = notes.cosigner_line(WITNESSES[0], VKEYS[0].name, text, NOW + 301)
    for name, reason, added in (
        ("a forged line", "NOTE_SIGNATURE", forged),
        ("a line 301 s ahead", "NOTE_FROM_THE_FUTURE", ahead),
    ):
        made = changes.made._replace(checkpoint=changes.made.checkpoint + added)
        yield changes.bundle(f"witnesses: {name}", 1, reason, made)
