"""succession.json: other keys of a log, and notes under them."""

from .. import bundle, notes, trust
from ..canon import Refused
from ..crypto import Signer
from ..verify import Verifier
from .builder import genesis_predicate, succession
from .bundle_cases import whole
from .bundle_maker import ADMIN, CI, NOW, Changes, base_case
from .succeeded_log import ADMINS, FIRST, KEYS, LATER_ADMINS, ORIGIN, SECOND_ONE, dishonest
from .succeeded_log import known, make_book, maker_of, note, told

DESCRIPTION = (
    "Keys that took over from those of a log. `op` is `note` (`note_text` by `trust`; "
    "`clock_time` is that of the clock's cosignature) or `bundle`: as in orders.json, by section "
    "9.1 (`step` is 9.1 where that refuses) and then 9. A trust file may know of `successors`: "
    "keys by `logKey` and `clockKey`, which sign what is larger than `after`; `successors_after` "
    "are those that it knows then. Where a note that was held before is KEY_SUCCEEDED, the log "
    "was forked."
)
SPEC = "6, 9, 9.1, 10"
BASE = "one succession: only the first keys are pinned"
HEAD, UNSIGNED, OTHER_KEY = "SUCCESSION_HEAD", "NOTE_SIGNATURE", "KEY_SUCCEEDED"
UNPROVEN, WRONG = "INCLUSION_UNPROVEN", "WRONG_GENESIS"
BOTH = known(FIRST, SECOND_ONE)
TRUST = make_book(0).trust()


def note_case(name, text, successions, reason=None, **expected):
    inputs = {"name": f"note: {name}", "op": "note", "note_text": text.decode(), "now": NOW}
    refused = {"ok": False, "reason": reason} if reason else {"ok": True}
    return {**inputs, "trust": with_successors(successions)}, {**refused, **expected}


def with_successors(successors):
    return {**TRUST, "successors": successors} if successors else TRUST


def note_cases():
    """Every key at both sides of every bound."""
    sizes = (0, 1, FIRST, FIRST + 1, SECOND_ONE, SECOND_ONE + 1, 10**6)
    for size in sizes:
        right = (size > FIRST) + (size > SECOND_ONE)
        for place, keys in enumerate(KEYS):
            reason = None if place == right else OTHER_KEY
            name = f"size {size} by keys {place + 1}"
            yield note_case(name, note(size, keys), BOTH, reason)
    for size, place, reason in (
        (FIRST + 1, 0, OTHER_KEY),
        (FIRST + 1, 1, None),
        (SECOND_ONE + 1, 1, None),
        (SECOND_ONE + 1, 2, UNSIGNED),
        (FIRST, 2, UNSIGNED),
    ):
        name = f"the first is known, size {size} by keys {place + 1}"
        yield note_case(name, note(size, KEYS[place]), known(FIRST), reason)
    yield note_case("none is known, the first keys", note(FIRST + 1, KEYS[0]), [])
    yield note_case("none is known, the second", note(FIRST + 1, KEYS[1]), [], UNSIGNED)
    yield from lines_of_notes()


def lines_of_notes():
    text = notes.note_text(ORIGIN, FIRST + 1, bytes(32))
    body = text + b"\n"

    def log(place, signed=text):
        return notes.log_line(KEYS[place][0], ORIGIN, signed)

    def clock(place, time, signed=text):
        return notes.clock_line(KEYS[place][1], ORIGIN, signed, time)

    for name, lines, reason, expected in (
        ("both keys, the right one first", (log(1), log(0)), None, {}),
        ("both keys, the other one first", (log(0), log(1)), None, {}),
        ("the right key's line does not verify", (log(1, b"x"), log(0)), UNSIGNED, {}),
        ("the other key's line does not verify", (log(1), log(0, b"x")), None, {}),
        ("another key's alone, which does not verify", (log(0, b"x"),), UNSIGNED, {}),
        ("the clock of its size", (log(1), clock(1, NOW - 5)), None, {"clock_time": NOW - 5}),
        ("the clock before", (log(1), clock(0, NOW - 5)), None, {"clock_time": None}),
        ("the clock to come", (log(1), clock(2, NOW - 5)), None, {"clock_time": None}),
        ("the clock before, far ahead", (log(1), clock(0, NOW + 900)), None, {}),
        ("the clock before does not verify", (log(1), clock(0, NOW, b"x")), None, {}),
        ("its clock does not verify", (log(1), clock(1, NOW, b"x")), UNSIGNED, {}),
        ("its clock is ahead", (log(1), clock(1, NOW + 301)), "NOTE_FROM_THE_FUTURE", {}),
    ):
        yield note_case(name, body + b"".join(lines), BOTH, reason, **expected)


def made_case(changes, name, maker, reason=None, **others):
    made = maker.make() if hasattr(maker, "make") else maker
    if "successors" in others:
        others["trust"] = with_successors(others.pop("successors"))
    inputs, expected = changes.bundle(name, reason and 6, reason, made, **others)
    expected.pop("step", None)  # it is observed alone
    return {**inputs, "op": "bundle"}, expected


def one(changes, book):
    yield from what_is_known(changes, book)
    old = KEYS[0]
    signed = maker_of(book, 0, keys=old)
    yield made_case(changes, "one: the note is by the keys before", signed, OTHER_KEY)
    signed = maker_of(book, keys=old)
    name = "one: by the keys before, and the order is kept back"
    yield made_case(changes, name, signed, successors_after=[])
    name = "one: by the keys before, kept back from who knows it"
    yield made_case(changes, name, signed, OTHER_KEY, successors=known(FIRST))
    yield from proofs(changes)
    yield from refused_orders(changes)
    yield from heads(changes)
    yield from keys(changes)


def what_is_known(changes, book):
    kept_back, given = maker_of(book), maker_of(book, 0)
    yield made_case(changes, "one: no order is given", kept_back, UNSIGNED)
    name = "one: it is known, and not given"
    yield made_case(changes, name, kept_back, successors=known(FIRST))
    name = "one: it is known, and given"
    yield made_case(changes, name, given, successors=known(FIRST))
    name = "one: other keys are known for its index"
    yield made_case(changes, name, given, WRONG, successors=[told(FIRST, *KEYS[2])])
    name = "one: its keys are known since another index"
    yield made_case(changes, name, given, HEAD, successors=[told(FIRST - 1, *KEYS[1])])
    before = maker_of(make_book(0))
    name = "one: known, and a head before it"
    yield made_case(changes, name, before, successors=known(FIRST))
    name = "one: known, a head before it by the keys after"
    before = maker_of(make_book(0), keys=KEYS[1])
    yield made_case(changes, name, before, OTHER_KEY, successors=known(FIRST))


def proofs(changes):
    made = changes.made
    order = made.orders[0]
    path = order.consistency
    for name, reason, fields in (
        ("no consistency proof", UNPROVEN, {"consistency": b""}),
        ("its consistency proof is cut", UNPROVEN, {"consistency": path[:-32]}),
        ("its consistency proof is longer", UNPROVEN, {"consistency": path + bytes(32)}),
        ("a bit of it", UNPROVEN, {"consistency": bytes([path[0] ^ 1]) + path[1:]}),
        ("its inclusion is cut", UNPROVEN, {"inclusion": order.inclusion[:-32]}),
        ("another index", HEAD, {"index": order.index + 1}),
        ("another document", "DOCUMENT_MISMATCH", {"document": other_document(order.document)}),
    ):
        changed = made._replace(orders=[order._replace(**fields)])
        yield made_case(changes, f"proof: {name}", changed, reason)
    bare = made.policies[0]._replace(inclusion=b"")
    changed = made._replace(policies=[bare])
    yield made_case(changes, "proof: the policy is not proven", changed, UNPROVEN)
    cut = made._replace(map_record_inclusion=made.map_record_inclusion[:-32])
    yield made_case(changes, "proof: the map record is not", cut, UNPROVEN)
    other = {**TRUST, "genesis": "00" * 32}
    yield made_case(changes, "another genesis is pinned", made, WRONG, trust=other)
    log = genesis_predicate(ORIGIN, Signer("another"), KEYS[0][1])["logKey"]
    other = {**TRUST, "logKey": log}
    yield made_case(changes, "another log key is pinned", made, HEAD, trust=other)


def other_document(document):
    return document.replace(b'"reason":"x"', b'"reason":"y"')


def refused_orders(changes):
    """Orders that section 7 refuses for who signed them or where they belong."""
    for name, signers, reason, refused, others in (
        ("one admin of two", [ADMIN], "TOO_FEW_SIGNATURES", None, {}),
        ("a deployer beside the admins", [*ADMINS, CI], "UNKNOWN_SIGNER", None, {}),
        ("nobody but the log's keys", list(KEYS[0]), "UNKNOWN_SIGNER", None, {}),
        ("another ledger", ADMINS, "WRONG_LEDGER", None, {"ledger": "00" * 32}),
        ("out of its chain", ADMINS, None, "WRONG_NUMBER", {"number": 2}),
    ):
        expect = reason or refused

        def first(book, made=(signers, expect), others=others):
            succeed_with(book, KEYS[1], *made, **others)

        yield made_case(changes, f"order: {name}", dishonest(1, first, expect), reason)


def succeed_with(book, pair, signers, expect, /, **others):
    """A succession of which something beside its document is told."""
    head = book.checkpoint(book.raw).decode()
    document = succession(ORIGIN, *pair, head)
    book.order("succession", "key-succession", document, signers, expect, **others)


def heads(changes):
    def root(book):
        return notes.parse_text(notes.parse_note(book.checkpoint(book.raw))[0])[2]

    for name, make, reason in (
        ("by the keys after", lambda b: note(FIRST, KEYS[1], root=root(b)), HEAD),
        ("by other keys", lambda b: note(FIRST, KEYS[2], root=root(b)), HEAD),
        ("of a size less", lambda b: note(FIRST - 1, KEYS[0], root=root(b)), HEAD),
        ("of a size more", lambda b: note(FIRST + 1, KEYS[0], root=root(b)), HEAD),
        ("of another origin", lambda b: note(FIRST, KEYS[0], origin="other.example"), HEAD),
        ("is no note", lambda b: b"note", HEAD),
        ("its clock does not verify", lambda b: bad_clock(b, root(b)), HEAD),
        ("of another history", lambda b: note(FIRST, KEYS[0]), UNPROVEN),
    ):

        def first(book, make=make):
            head = make(book).decode()
            book.succeed("succession", *KEYS[1], ADMINS, HEAD, head=head)

        yield made_case(changes, f"head: {name}", dishonest(1, first, HEAD), reason)

    def cosigned(book):
        head = book.checkpoint(book.raw, NOW + 10**6).decode()
        book.succeed("succession", *KEYS[1], ADMINS, head=head)

    name = "head: its clock says what is far ahead"
    yield made_case(changes, name, dishonest(1, cosigned, None))


def bad_clock(book, root):
    good = note(FIRST, KEYS[0], root=root)
    return good + notes.clock_line(KEYS[0][1], ORIGIN, b"something else", NOW)


def keys(changes):
    wrong = "SUCCESSION_KEYS"
    log, clock = KEYS[1]
    for name, pair, others in (
        ("those that were there", KEYS[0], {}),
        ("the log key stays", (KEYS[0][0], clock), {}),
        ("the clock key becomes the log's", (KEYS[0][1], clock), {}),
        ("one for both", (log, log), {}),
        ("named otherwise", (log, clock), {"logKey": notes.Vkey("a", 1, log.public).text()}),
        ("of another type", (log, clock), {"clockKey": notes.Vkey("a", 1, clock.public).text()}),
    ):

        def first(book, pair=pair, others=others):
            book.succeed("succession", *pair, ADMINS, wrong, **others)

        maker = dishonest(1, first, wrong)
        maker.keys = pair
        yield made_case(changes, f"keys: {name}", maker, WRONG)
    auditor = notes.Vkey("auditor.example", notes.COSIGNER_KEY, log.public).text()
    cosigners = {**TRUST, "auditors": {"keys": [auditor], "quorum": 1}}
    name = "keys: one that is pinned for an auditor's"
    yield made_case(changes, name, changes.made, WRONG, trust=cosigners)


def two(changes):
    book = make_book(2)
    for name, places, successions, reason in (
        ("only the first keys are pinned", (0, 1), (), None),
        ("the first order alone", (0,), (), UNSIGNED),
        ("the second order alone", (1,), (), HEAD),
        ("no order", (), (), UNSIGNED),
        ("the first is known, the second given", (1,), (FIRST,), None),
        ("the first is known, both given", (0, 1), (FIRST,), None),
        ("the first is known, none given", (), (FIRST,), UNSIGNED),
        ("both are known, none given", (), (FIRST, SECOND_ONE), None),
        ("both are known, both given", (0, 1), (FIRST, SECOND_ONE), None),
    ):
        others = {"successors": known(*successions)}
        expected = {} if reason else {"successors_after": BOTH, "size": 11}
        maker = maker_of(book, *places)
        inputs, outcome = made_case(changes, f"two: {name}", maker, reason, **others)
        yield inputs, {**outcome, **expected}
    for place in (0, 1):
        signed = maker_of(book, 0, 1, keys=KEYS[place])
        yield made_case(changes, f"two: the note is by keys {place + 1}", signed, OTHER_KEY)
    older = maker_of(make_book(1), 0)
    yield made_case(changes, "two: both are known, a head between", older, successors=BOTH)
    older = maker_of(make_book(1), 0, keys=KEYS[2])
    name = "two: both are known, a head between by the last keys"
    yield made_case(changes, name, older, OTHER_KEY, successors=BOTH)
    yield from proofs_of_two(changes, maker_of(book, 0, 1).make())
    yield from second_ones(changes)


def proofs_of_two(changes, made):
    """Only what is not known is proven."""
    for place, name in ((0, "first"), (1, "second")):
        orders = list(made.orders)
        orders[place] = orders[place]._replace(consistency=orders[place].consistency[:-32])
        changed = made._replace(orders=orders)
        title = f"two: the {name} one's consistency proof is cut"
        yield made_case(changes, title, changed, UNPROVEN)
        reason = UNPROVEN if place else None
        title = f"{title}, the first is known"
        yield made_case(changes, title, changed, reason, successors=known(FIRST))


def second_ones(changes):
    """A second order that section 7 refuses."""
    wrong = "SUCCESSION_KEYS"
    for name, pair, signers, expect, reason, others in (
        ("by the admins before", KEYS[2], ADMINS, "UNKNOWN_SIGNER", "UNKNOWN_SIGNER", {}),
        ("its keys are the first", KEYS[0], LATER_ADMINS, wrong, WRONG, {}),
        ("its keys are those before", KEYS[1], LATER_ADMINS, wrong, WRONG, {}),
        ("its head is by the first keys", KEYS[2], LATER_ADMINS, HEAD, HEAD, {"by": KEYS[0]}),
        ("its head is by its own", KEYS[2], LATER_ADMINS, HEAD, HEAD, {"by": KEYS[2]}),
    ):

        def second(book, made=(*pair, signers, expect), by=others.get("by")):
            head = book.checkpoint(book.raw, keys=by).decode()
            book.succeed("another succession", *made, head=head)

        maker = dishonest(2, second, expect)
        maker.keys = pair
        yield made_case(changes, f"second: {name}", maker, reason)


def build():
    yield from note_cases()
    book = make_book(1)
    made = maker_of(book, 0).make()
    expected = {"ok": True, "successors_after": known(FIRST), "size": 7, "age_seconds": 60}
    expected |= {"sequence": 2, "stands_by": "signers"}
    yield {**base_case(BASE, made, TRUST), "op": "bundle"}, expected
    changes = Changes(BASE, made)
    yield from one(changes, book)
    yield from two(changes)


def run(case, earlier):
    return run_note(case) if case["op"] == "note" else run_bundle(case, earlier)


def run_note(case):
    pinned = trust.parse(case["trust"])
    head = pinned.authenticate(case["note_text"].encode(), case["now"])
    return {"size": head.size, "clock_time": head.clock_time}


def run_bundle(case, earlier):
    full, data = whole(case, earlier)
    pinned = trust.parse(full["trust"])
    verifier = Verifier(pinned, full["environment"], full["now"])
    container = bundle.decode(data)
    try:
        verifier.succeed(container)
    except Refused as refused:
        raise Refused(refused.reason, str(refused), step="9.1") from refused
    found = verifier.verify(data)
    after = [
        {"after": keys.after, "logKey": keys.log.text(), "clockKey": keys.clock.text()}
        for keys in verifier.trust.successors
    ]
    return {**found, "successors_after": after}
