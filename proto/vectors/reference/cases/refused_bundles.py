"""Changes of the bundles of orders.json, and bundles of a log that sequenced what section 7
refuses."""

from .. import bundle, crypto, merkle, trie
from .builder import break_glass, files, forged, sign
from .bundle_maker import ADMIN, CI, NOW, OPS, Changes, Maker, base_case
from .ordered_bundles import ADMINS, BOTH, DAY, EXPIRES, GLASS, HOURS, LATER, LEFT
from .ordered_bundles import NOT_GIVEN, bundle_of, case_of, make_book, order

UNPROVEN, MISMATCH, SYNTAX = "INCLUSION_UNPROVEN", "ROW_MISMATCH", "BUNDLE_SYNTAX"
DOCUMENT = "DOCUMENT_MISMATCH"
OTHER = crypto.sha256(b"another leaf").hex()
FULL = "orders: a release, orders and an approval"


def full(book):
    """prod/eased with its order, two others and its approval."""
    made = bundle_of(book, "prod/eased", (GLASS, DAY, HOURS), True).make()
    base = base_case(FULL, made, book.trust())
    expected = {"ok": True, "stands_by": "approval", "max_staleness_seconds": 86_400}
    return (base, expected), Changes(FULL, made)


def containers(changes):
    """Of the lines: head 0 to 10, policies to 16, orders to 19, the approval, the manifest."""
    lines = changes.lines
    assert [line.split(" ")[0] for line in lines[16:22]] == [
        *("policy order order order approval manifest".split())
    ]

    def case(name, *edits):
        return changes.case(f"container: {name}", 0, SYNTAX, edits)

    yield case("orders descend", (17, lines[18]), (18, lines[17]))
    yield case("one order twice", (18, lines[17]))
    yield case("an order before the policies", (11, lines[17] + "\n" + lines[11]), (17, None))
    yield case("an order behind the approval", (19, lines[20]), (20, lines[19]))
    yield case("an order behind the manifest", (19, None), (21, lines[21] + "\n" + lines[19]))
    yield case("the approval before the orders", (17, lines[20] + "\n" + lines[17]), (20, None))
    yield case("two approvals", (20, lines[20] + "\n" + lines[20]))
    word = lines[17].split(" ")
    for name, words in (
        ("a word less", word[:-1]),
        ("a word more", [*word, "-"]),
        ("no document", [*word[:3], "-", *word[4:]]),
        ("no leaf", [*word[:2], "-", *word[3:]]),
        ("an index with a leading zero", [word[0], "0" + word[1], *word[2:]]),
        ("an index of 2^64", [word[0], str(2**64), *word[2:]]),
        ("an inclusion of 31 bytes", [*word[:4], "A" * 42 + "==", "-"]),
        ("a consistency proof of no succession", [*word[:5], word[4]]),
        ("no word for the consistency proof", [*word[:5], ""]),
    ):
        yield case(f"order: {name}", (17, " ".join(words)))
    word = lines[20].split(" ")
    for name, words in (
        ("a word less", word[:-1]),
        ("a document", [*word[:3], "e30=", word[3]]),
        ("no leaf", [*word[:2], "-", word[3]]),
        ("an index with a sign", [word[0], "+" + word[1], *word[2:]]),
    ):
        yield case(f"approval: {name}", (20, " ".join(words)))
    words = lines[15].split(" ")  # policy 5, of which nothing here is in force
    assert words[-1] == "-"
    proof = lines[16].split(" ")[-1]
    yield case("an inclusion that no line asks for", (15, " ".join([*words[:-1], proof])))


def asked_for(changes):
    """What each line asks for of the policies, and that it asks for no more when it is gone."""
    made = changes.made
    bare = [line._replace(inclusion=b"") for line in made.policies]
    places = bundle.relied_on(made.policies, [made.entry_index])
    for name, fields, places in (
        ("no orders", {"orders": []}, [0, 1, 2, 5]),
        ("neither", {"orders": made.orders[:1], "approval": None}, places),
    ):
        policies = [
            made.policies[place] if place in places else line for place, line in enumerate(bare)
        ]
        made_so = made._replace(policies=policies, **fields)
        reason = NOT_GIVEN if name == "no orders" else None
        yield case_of(changes, made_so, "prod/plain", f"asked for: {name}", reason)
        name = f"container: more than is asked for, {name}"
        made_so = made._replace(**fields)
        yield case_of(changes, made_so, "prod/plain", name, SYNTAX, step=0)
    for place, line in enumerate(made.policies):
        if line.inclusion:
            policies = list(made.policies)
            policies[place] = bare[place]
            title = f"asked for: policy {place + 1} has no inclusion"
            yield changes.replaced(title, 6, UNPROVEN, policies=policies)


def lines_changed(changes):
    """Lines that say something else than the log does."""
    made = changes.made
    glass, day, hours = made.orders

    def with_orders(name, reason, *orders):
        return changes.replaced(f"order: {name}", 6, reason, orders=list(orders))

    other = glass._replace(document=day.document)
    yield with_orders("another document", DOCUMENT, other, day, hours)
    yield with_orders("another index", UNPROVEN, glass._replace(index=glass.index + 1), day, hours)
    cut = glass._replace(inclusion=glass.inclusion[:-32])
    yield with_orders("its inclusion is cut", UNPROVEN, cut, day, hours)
    yield with_orders("no inclusion", UNPROVEN, glass, day, hours._replace(inclusion=b""))
    swapped = day._replace(inclusion=hours.inclusion)
    yield with_orders("the inclusion of another", UNPROVEN, glass, swapped, hours)
    yield with_orders("at index 0", UNPROVEN, glass._replace(index=0), day, hours)
    at = glass._replace(index=made.entry_index, leaf=made.entry, document=made.manifest)
    at = at._replace(inclusion=made.entry_inclusion)
    yield with_orders("a release in its place", None, at, day, hours)
    last = made.policies[-1]
    at = hours._replace(index=last.index, leaf=last.leaf, document=last.document)
    at = at._replace(inclusion=last.inclusion)
    yield with_orders("a policy in its place", None, glass, day, at)
    approval = made.approval

    def with_approval(name, reason, **fields):
        changed = approval._replace(**fields)
        return changes.replaced(f"approval: {name}", 6, reason, approval=changed)

    yield with_approval("another index", UNPROVEN, index=approval.index + 1)
    yield with_approval("its inclusion is cut", UNPROVEN, inclusion=approval.inclusion[:-32])
    yield with_approval("no inclusion", UNPROVEN, inclusion=b"")
    entry = {"index": made.entry_index, "inclusion": made.entry_inclusion}
    yield with_approval("the release itself in its place", MISMATCH, leaf=made.entry, **entry)


def approvals_of_others(changes, book):
    """The approval of another release; nothing of it is believed, needed or not."""
    for what, environment, approved in (
        ("one that needs none", "prod/plain", "prod/eased"),
        ("one that stands by an order", "prod/one", "prod/eased"),
        ("one that is struck", "prod/struck", "prod/approved"),
    ):
        maker = bundle_of(book, environment, (GLASS,))
        maker.approval = book.approvals[approved]
        title = f"approval: that of another release, for {what}"
        made = maker.make()
        yield changes.bundle(title, 6, MISMATCH, made, environment=environment)


def dishonest(changes):
    """A log that sequenced an order or an approval that section 7 refuses."""
    glass = break_glass("prod/*", EXPIRES, approvals=1)
    for name, reason, refused, document, signers, others in (
        ("one admin of two", "TOO_FEW_SIGNATURES", None, glass, [ADMIN], {}),
        ("a deployer", "UNKNOWN_SIGNER", None, glass, [*ADMINS, CI], {}),
        ("another ledger", "WRONG_LEDGER", None, glass, ADMINS, {"ledger": OTHER}),
        ("out of its chain", None, "WRONG_NUMBER", glass, ADMINS, {"number": 9}),
        ("with another before it", None, "WRONG_PREVIOUS", glass, ADMINS, {"previous": OTHER}),
        ("for ever", None, "BREAK_GLASS_EXPIRED", for_ever(), ADMINS, {}),
    ):

        def end(book, made=(document, reason or refused, signers), others=others):
            order(book, *made, **others)

        book = make_book(end=end)
        maker = bundle_of(book, "prod/one", (GLASS,))
        maker.orders.append((len(book.raw) - 2, book.raw[-2], document))
        expected = {} if reason else {"stands_by": "order", "until": EXPIRES}
        if name == "for ever":
            expected["max_staleness_seconds"] = 90_000
        made = maker.make()
        yield case_of(changes, made, "prod/one", f"dishonest order: {name}", reason, **expected)
    yield from too_late(changes)


def for_ever():
    return break_glass("**", 2**53 - 1, maxStaleness=90_000)


def too_late(changes):
    """A release that names an order which stands behind it."""
    glass, content = break_glass("prod/*", NOW + 900, approvals=1), files(app="1")

    def end(book):
        leaf = sign(book.order_statement("break-glass", glass), ADMINS)
        named = {"breakGlass": merkle.leaf_hash(leaf).hex()}
        book.release("dishonest", "prod/late", content, [CI], "BREAK_GLASS_UNKNOWN", **named)
        order(book, glass)

    book = make_book(end=end)
    index = len(book.raw) - 3
    leaf_hash = merkle.leaf_hash(book.raw[index])
    book.last["prod/late"] = content
    maker = Maker(book, "prod/late")
    maker.orders = book.orders[-1:]
    history = merkle.leaf_hash(trie.u64(index) + leaf_hash)
    row = trie.EnvironmentRow(1, index, leaf_hash, 1, history)
    maker.replace_row("environment", b"prod/late", row.bytes())
    title = "dishonest: the order stands behind the release"
    yield case_of(changes, maker.make(), "prod/late", title, "BREAK_GLASS_UNKNOWN")


def dishonest_approvals(changes):
    for name, reason, refused, signers, others in (
        ("of another sequence", MISMATCH, "WRONG_SEQUENCE", BOTH, {"sequence": 2}),
        ("of another leaf", MISMATCH, "WRONG_PREVIOUS", BOTH, {"release": OTHER}),
        ("of another ledger", MISMATCH, "WRONG_LEDGER", BOTH, {"ledger": OTHER}),
        ("of another manifest", DOCUMENT, "APPROVAL_MANIFEST", BOTH, {"document": files(z="1")}),
        ("out of its row", None, "WRONG_NUMBER", BOTH, {"number": 9}),
        ("by one of two", "TOO_FEW_APPROVALS", "TOO_FEW_APPROVALS", [LATER], {}),
        ("by an admin", "UNKNOWN_SIGNER", "UNKNOWN_SIGNER", [*BOTH, ADMIN], {}),
        ("by who is no deployer any more", "UNKNOWN_SIGNER", "UNKNOWN_SIGNER", [CI, LEFT], {}),
    ):

        def end(book, made=(signers, refused), others=others):
            book.approve("dishonest", "prod/struck", *made, **others)

        title = f"dishonest approval: {name}"
        yield dishonest_approval(changes, title, reason, make_book(end=end))

    def forge(book):
        value, document = book.approval_statement("prod/struck")
        book.add("dishonest", forged(value, BOTH, OPS), document, "BAD_SIGNATURE")

    title = "dishonest approval: a signature is bad"
    yield dishonest_approval(changes, title, "BAD_SIGNATURE", make_book(end=forge))

    def elsewhere(book):
        leaf = book.ledger.environments["prod/struck"].leaf_hash.hex()
        book.approve("dishonest", "prod/plain", BOTH, "WRONG_PREVIOUS", release=leaf)

    title = "dishonest approval: in another environment"
    yield dishonest_approval(changes, title, MISMATCH, make_book(end=elsewhere))
    yield too_early(changes)


def dishonest_approval(changes, title, reason, book):
    """Of prod/struck, right before the last map record."""
    maker = bundle_of(book, "prod/struck")
    maker.approval = (len(book.raw) - 2, book.raw[-2])
    expected = {} if reason else {"stands_by": "approval"}
    return case_of(changes, maker.make(), "prod/struck", title, reason, **expected)


def too_early(changes):
    """An approval that stands before its release, whose leaf could be known."""
    content, signers = files(app="1"), [CI, LEFT]

    def middle(book):
        leaf = sign(book.release_statement("prod/early", content), signers)
        named = {"release": merkle.leaf_hash(leaf).hex(), "sequence": 1, "document": content}
        book.approve("dishonest", "prod/early", BOTH, "WRONG_SEQUENCE", **named)
        book.release("release", "prod/early", content, signers)

    book = make_book(middle=middle)
    maker = Maker(book, "prod/early")
    row = trie.parse_environment_row(book.ledger.rows["environment", b"prod/early"])
    maker.approval = (row.index - 1, book.raw[row.index - 1])
    title = "dishonest approval: before its release"
    return case_of(changes, maker.make(), "prod/early", title, MISMATCH)


def refused(changes, book):
    """All but those of the base, whose changes are `changes`."""
    base, of_full = full(book)
    yield base
    yield from containers(of_full)
    yield from asked_for(of_full)
    yield from lines_changed(of_full)
    yield from approvals_of_others(changes, book)
    yield from dishonest(changes)
    yield from dishonest_approvals(changes)
