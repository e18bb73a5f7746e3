"""The log behind succession.json: twice other keys take over, the second time by other admins."""

from .. import notes
from ..crypto import Signer
from .builder import Book, deployer, files, genesis_predicate, policy
from .bundle_maker import ADMIN, CI, SECOND, Maker

ORIGIN = "ledger.example/succeeded"
THIRD = Signer("carol")
ADMINS, LATER_ADMINS = [ADMIN, SECOND], [ADMIN, THIRD]
KEYS = [
    (Signer(f"{ORIGIN} log"), Signer(f"{ORIGIN} clock")),
    (Signer("log 2"), Signer("clock 2")),
    (Signer("log 3"), Signer("clock 3")),
]
FIRST, SECOND_ONE = 3, 9  # the indices of the two orders
SIZES = (3, 7, 11)  # at which each of the keys signed a head that is proven


def make_book(stage, first=None, second=None):
    """Up to the last size of so many successions. Others than honest ones may be made."""
    book = Book(ORIGIN)
    one = policy(1, ADMINS, 2, [deployer(CI)])
    book.genesis("genesis", one, ADMINS)
    book.release("release", "prod/web", files(app="1"), [CI])
    book.record()
    if stage == 0:
        return book
    (first or succeeded)(book)
    book.record()
    book.release("release", "prod/web", files(app="2"), [CI])
    book.record()
    if stage == 1:
        return book
    two = policy(2, LATER_ADMINS, 2, [deployer(CI)])
    book.policy("policy 2", two, [*ADMINS, THIRD])
    book.record()
    (second or succeeded_again)(book)
    book.record()
    return book


def succeeded(book):
    book.succeed("succession", *KEYS[1], ADMINS)


def succeeded_again(book):
    book.succeed("another succession", *KEYS[2], LATER_ADMINS)


def known(*indices):
    """What a trust file says of the orders at these indices."""
    by_index = {FIRST: KEYS[1], SECOND_ONE: KEYS[2]}
    return [told(index, *by_index[index]) for index in indices]


def told(index, log, clock):
    predicate = genesis_predicate(ORIGIN, log, clock)
    return {"after": index, **{name: predicate[name] for name in ("logKey", "clockKey")}}


def maker_of(book, *places, keys=None):
    """A bundle of prod/web with some of the orders."""
    maker = Maker(book, "prod/web")
    maker.orders = [book.orders[place] for place in places]
    maker.keys = keys
    return maker


def dishonest(stage, succeed, reason, **others):
    """A bundle of a log that sequenced an order that section 7 refuses for `reason`."""
    index = FIRST if stage == 1 else SECOND_ONE
    other = {"first": succeed} if stage == 1 else {"second": succeed}
    book = make_book(stage, **other)
    assert (reason is None) == any(item[0] == index for item in book.orders)
    maker = maker_of(book, *range(len(book.orders)), keys=KEYS[stage], **others)
    if reason is not None:
        number = book.leaves[index]["document"]
        item = (index, book.raw[index], book.documents[number])
        maker.orders.append(item)
        maker.successions.append(item)
    return maker


def note(size, keys, time=None, root=bytes(32), origin=ORIGIN):
    """A head that some keys sign."""
    text = notes.note_text(origin, size, root)
    made = text + b"\n" + notes.log_line(keys[0], origin, text)
    return made + (b"" if time is None else notes.clock_line(keys[1], origin, text, time))
