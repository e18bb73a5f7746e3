"""The log behind orders.json, and what an honest one proves: releases that stand by their signers,
by a break-glass order for a while, or by an approval."""

from ..crypto import Signer
from .builder import Book, break_glass, by_key, deployer, files, policy, redaction, revocation
from .bundle_maker import ADMIN, CI, NOW, OPS, SECOND, Changes, Maker, base_case

LEFT, LATER, ZERO = Signer("left"), Signer("later"), Signer("zero")
ADMINS = [ADMIN, SECOND]
BOTH = [CI, OPS]
EXPIRES = NOW + 100
RULES = [
    {"approvals": 2, "environments": "prod/*", "maxStaleness": 3600},
    {"environments": "prod/**", "maxStaleness": 1800},
]
BASE = "orders: none, no approval"
COMPROMISED, EXPIRED = "SIGNER_COMPROMISED", "BREAK_GLASS_EXPIRED"
NOT_GIVEN = "INCLUSION_UNPROVEN"
# Of those of `make_book`, by their place.
GLASS, REDACTION, DAY, HOURS, LITTLE, ELSEWHERE, LATE = range(7)


def document_of(version, deployers, **others):
    return policy(version, ADMINS, 2, [deployer(signer) for signer in deployers], RULES, **others)


def make_book(middle=None, end=None, zero=None):
    """Policy 6, the newest, revokes LEFT since 3, where the releases begin, and ZERO since `zero`.
    `middle` is called behind the releases, `end` before the last map record."""
    book = Book("ledger.example/orders")
    first = [CI, OPS, LEFT, ZERO]
    book.genesis("genesis", document_of(1, first), ADMINS)
    book.record()
    order(book, break_glass("prod/*", EXPIRES, approvals=1))
    glass = {"breakGlass": book.ledger.orders.leaf_hash.hex()}
    content = files(app="1")
    for environment, signers, others in (
        ("prod/plain", BOTH, {}),
        ("prod/one", [CI], glass),
        ("prod/two", BOTH, glass),
        ("prod/half", [CI, LEFT], glass),
        ("prod/lost", [LEFT], glass),
        ("prod/struck", [CI, LEFT], {}),
        ("prod/approved", [CI, LEFT], {}),
        ("prod/eased", [CI], glass),
        ("prod/badly", [CI, LEFT], {}),
        ("prod/worse", [CI], glass),
        ("prod/zero", [CI, LEFT], {}),
        ("prod/a/b", [CI], {}),
        ("test/web", [CI], {}),
    ):
        book.release("release", environment, content, signers, **others)
    if middle:
        middle(book)
    book.policy("policy 2", document_of(2, [*first, LATER]), ADMINS)
    for environment, signers in (
        ("prod/plain", [OPS, LATER]),
        ("prod/approved", [LATER, OPS]),
        ("prod/eased", BOTH),
        ("prod/badly", [OPS, LEFT]),
        ("prod/worse", [OPS, LEFT]),
        ("prod/zero", [OPS, ZERO]),
    ):
        book.approve("approval", environment, signers)
    later_policies(book, zero)
    if end:
        end(book)
    book.record()
    return book


def later_policies(book, zero):
    """Orders that allow older proofs, each under a policy of its own but for the fourth's."""
    book.order("redaction", "redaction", redaction(b"9"), ADMINS)
    staying = [CI, OPS, LATER]
    book.policy("policy 3", document_of(3, staying), ADMINS)
    order(book, break_glass("**", NOW + 50, maxStaleness=86_400))
    order(book, break_glass("prod/*", NOW + 200, approvals=1, maxStaleness=7200))
    order(book, break_glass("prod/**", NOW + 300, maxStaleness=10))
    order(book, break_glass("test/*", NOW + 300, maxStaleness=90_000))
    for version in (4, 5):
        book.policy(f"policy {version}", document_of(version, staying), ADMINS)
    revoked = by_key([revocation(LEFT, 3), revocation(ZERO, zero)])
    book.policy("policy 6", document_of(6, staying, revoked=revoked), ADMINS)
    order(book, break_glass("prod/one", NOW + 100_000, maxStaleness=100_000))


def order(book, document, expect=None, signers=ADMINS, **others):
    book.order("break-glass", "break-glass", document, signers, expect, **others)


def bundle_of(book, environment, orders=(), approved=False):
    maker = Maker(book, environment)
    maker.orders = [book.orders[place] for place in orders]
    maker.approval = book.approvals[environment] if approved else None
    return maker


def honest():
    """(base, changes of it)."""
    book = make_book()
    made = bundle_of(book, "prod/plain").make()
    expected = {"ok": True, "stands_by": "signers", "until": None, "max_staleness_seconds": 1800}
    base = base_case(BASE, made, book.trust()), expected
    return base, Changes(BASE, made), book


def case_of(changes, made, environment, name, reason=None, step=6, **expected):
    """`expected` may have `now`, which is given."""
    others = {"now": expected.pop("now")} if "now" in expected else {}
    if environment != "prod/plain":
        others["environment"] = environment
    step = step if reason else None
    inputs, outcome = changes.bundle(name, step, reason, made, **others)
    return inputs, {**outcome, **expected}


def orders_of_bundles(changes, book):
    by_signers = {"stands_by": "signers", "until": None}
    by_order = {"stands_by": "order", "until": EXPIRES}
    by_approval = {"stands_by": "approval", "until": None}
    listed = (GLASS,)
    for name, environment, orders, approved, outcomes in (
        ("one signer of two", "prod/one", listed, False, (by_order, EXPIRED)),
        ("one signer, no order given", "prod/one", (), False, (NOT_GIVEN,) * 2),
        ("one signer, another given", "prod/one", (HOURS,), False, (NOT_GIVEN,) * 2),
        ("enough in any case", "prod/two", listed, False, (by_signers,) * 2),
        ("enough, no order given", "prod/two", (), False, (NOT_GIVEN,) * 2),
        ("one of two is struck", "prod/half", listed, False, (by_order, EXPIRED)),
        ("the only one is struck", "prod/lost", listed, False, (COMPROMISED,) * 2),
        ("struck, an order not named", "prod/struck", listed, False, (COMPROMISED,) * 2),
        ("struck and approved", "prod/approved", (), True, (by_approval,) * 2),
        ("struck, the approval not given", "prod/approved", (), False, (COMPROMISED,) * 2),
        ("under an order and approved", "prod/eased", listed, True, (by_approval,) * 2),
        ("approved, no order given", "prod/eased", (), True, (NOT_GIVEN,) * 2),
        ("the approval not given", "prod/eased", listed, False, (by_order, EXPIRED)),
        ("enough and approved", "prod/plain", (), True, (by_signers,) * 2),
        ("struck, approved by one struck", "prod/badly", (), True, (COMPROMISED,) * 2),
        ("approved by one struck", "prod/worse", listed, True, (by_order, EXPIRED)),
        ("all orders are given", "prod/one", range(7), False, (by_order, EXPIRED)),
    ):
        made = bundle_of(book, environment, orders, approved).make()
        refused = outcomes[0] if isinstance(outcomes[0], str) else None
        expected = {"now": EXPIRES - 1, **({} if refused else outcomes[0])}
        title = f"stands: {name}, a second before"
        yield case_of(changes, made, environment, title, refused, **expected)
        yield later(changes, f"stands: {name}, as it expires", title, EXPIRES, outcomes[1])
    name = "stands: one signer of two"
    base = f"{name}, a second before"
    yield later(changes, f"{name}, a second later", base, EXPIRES + 1, EXPIRED)


def later(changes, name, base, now, outcome):
    """The bundle of another case at another time; the outcome is a reason or what it comes to."""
    reason = outcome if isinstance(outcome, str) else None
    inputs, expected = changes.again(name, base, reason and 6, reason, now=now)
    return inputs, {**expected, **({} if reason else outcome)}


def staleness(changes, book):
    """How old a proof may be: as the policy says, or as an order says that has not expired."""
    everything = (GLASS, DAY, HOURS, LITTLE, ELSEWHERE, LATE)
    for name, environment, orders, seconds, others in (
        ("none given", "prod/plain", (), 1800, ()),
        (
            "a day",
            "prod/plain",
            everything,
            86_400,
            (
                ("a second before it expires", 49, 86_400),
                ("as it expires: the next", 50, 7200),
                ("a second before that expires", 199, 7200),
                ("as that expires too", 200, 1800),
            ),
        ),
        ("less than the policy says", "prod/plain", (LITTLE,), 1800, ()),
        (
            "a pattern of one segment more",
            "prod/a/b",
            everything,
            86_400,
            (("a pattern of one segment more, expired", 50, 1800),),
        ),
        ("no bound in the policy", "test/web", everything, None, ()),
    ):
        made = bundle_of(book, environment, orders).make()
        title = f"staleness: {name}"
        yield case_of(changes, made, environment, title, max_staleness_seconds=seconds)
        for what, after, bound in others:
            expected = {"max_staleness_seconds": bound}
            yield later(changes, f"staleness: {what}", title, NOW + after, expected)
    made = bundle_of(book, "prod/one", everything).make()
    expected = {"max_staleness_seconds": 100_000, "stands_by": "order"}
    yield case_of(changes, made, "prod/one", "staleness: of the environment alone", **expected)
    expected = {"stands_by": "signers", "max_staleness_seconds": 1800}
    made = bundle_of(book, "prod/plain", (REDACTION,)).make()
    yield case_of(changes, made, "prod/plain", "a redaction eases nothing", **expected)


def map_times(changes):
    """Where the map record is of a later time than the verifier's, that one counts."""
    for name, environment, time, reason, expected in (
        ("a millisecond before", "prod/one", 1000 * EXPIRES - 1, None, {"stands_by": "order"}),
        ("at its time", "prod/one", 1000 * EXPIRES, EXPIRED, {}),
        ("of another, before", "prod/plain", 1000 * (NOW + 50) - 1, None, bound(86_400)),
        ("of another, at its time", "prod/plain", 1000 * (NOW + 50), None, bound(7200)),
    ):

        def end(book, time=time):
            book.time = time - 1000

        book = make_book(end=end)
        made = bundle_of(book, environment, (GLASS, DAY, HOURS)).make()
        title = f"the map record as an order expires: {name}"
        yield case_of(changes, made, environment, title, reason, **expected)


def bound(seconds):
    return {"max_staleness_seconds": seconds}


def struck_approvals(changes):
    """A signer of the approval of prod/zero is revoked since some index."""
    index = make_book().approvals["prod/zero"][0]
    for what, since, reason in (
        ("above the approval", index + 1, None),
        ("the approval's", index, COMPROMISED),
        ("between the two", index - 1, COMPROMISED),
        ("the largest", 2**53 - 1, None),
    ):
        made = bundle_of(make_book(zero=since), "prod/zero", approved=True).make()
        expected = {} if reason else {"stands_by": "approval"}
        title = f"approval: a signer is revoked since {what}"
        yield case_of(changes, made, "prod/zero", title, reason, **expected)
