"""Makes the bundles of bundle.json: honest ones, those of a dishonest log, and changes of them."""

from .. import bundle, merkle, trie
from ..bundle import ApprovalLine, Bundle, OrderLine, PolicyLine
from ..crypto import Signer
from .builder import Book, artifact, deployer, files, manifest, map_record, policy
from .builder import withheld_artifact

ADMIN, SECOND = Signer("alice"), Signer("bob")
CI, OPS = Signer("ci"), Signer("ops")
NOW = 1_767_323_045
STRICT = [{"approvals": 2, "environments": "prod/*", "maxStaleness": 3600}]


def make_book():
    """prod/web stands at sequence 2, released under policy 2 of 3; test/db is retired."""
    book = Book("ledger.example/bundles")
    both, deployers = [CI, OPS], [deployer(CI), deployer(OPS)]
    book.genesis("genesis", policy(1, [ADMIN], 1, deployers), [ADMIN])
    book.release("release", "test/db", files(db="1"), [CI])
    book.release("release", "prod/web", files(app="1"), both)
    book.record()
    book.policy("policy 2", policy(2, [ADMIN, SECOND], 2, deployers, STRICT), [ADMIN, SECOND])
    content = manifest(withheld_artifact(".env", b"secret"), artifact("app", b"2"))
    book.release("release", "prod/web", content, both)
    limits = [*STRICT, {"environments": "prod/**", "maxStaleness": 600}]
    book.policy("policy 3", policy(3, [ADMIN], 1, deployers, limits), [ADMIN, SECOND])
    book.release("retire", "test/db", None, [CI], action="retire")
    book.record()
    return book


class Maker:
    """Makes the bundle of an environment; what is overridden is what a dishonest log would say."""

    def __init__(self, book, environment):
        self.book, self.environment = book, environment
        self.rows = dict(book.ledger.rows)
        self.raw = list(book.raw)
        self.policies = list(book.policies)
        self.manifest = book.last[environment]
        self.record = None
        self.clock_time = NOW - 60
        self.orders, self.approval = [], None  # (index, leaf, document) of each; (index, leaf)
        self.successions = list(book.successions)  # those of the orders whose heads are proven
        self.keys = None  # who signs the checkpoint, where not those of its size

    def replace_row(self, kind, name, row):
        self.rows[kind, name] = row
        self.record = self.record or {}

    def add_policy(self, index, leaf, document):
        """A policy entry that section 7 refused, as if it had been accepted."""
        self.policies.append((index, leaf, document))
        history = merkle.Growing()
        for at, listed, _ in self.policies:
            history.append(merkle.leaf_hash(trie.u64(at) + merkle.leaf_hash(listed)))
        version = len(self.policies)
        row = trie.PolicyRow(version, index, merkle.leaf_hash(leaf), history.root())
        self.replace_row("policy", b"policy", row.bytes())

    def make(self):
        made = trie.Trie()
        for (kind, name), row in self.rows.items():
            made.set(trie.key(kind, name), trie.row_hash(kind, row))
        if self.record is not None:
            values = {"covers": len(self.raw) - 1, "root": made.root(), "rows": made.rows}
            self.raw[-1] = map_record(**{**values, "time": self.book.time, **self.record})
        hashes = [merkle.leaf_hash(leaf) for leaf in self.raw]

        def inclusion(index):
            return b"".join(merkle.inclusion_proof(hashes, index))

        name = self.environment.encode()
        row = self.rows["environment", name]
        index = trie.parse_environment_row(row).index
        approval = self.approval and ApprovalLine(*self.approval, inclusion(self.approval[0]))
        orders = [
            OrderLine(*item, inclusion(item[0]), self.consistency(hashes, item))
            for item in self.orders
        ]
        indices = [index, *(line.index for line in orders), *(self.approval or ())[:1]]
        policies = [PolicyLine(*item, inclusion(item[0])) for item in self.policies]
        asked_for = bundle.relied_on(policies, indices)
        policies = [
            line if place in asked_for else line._replace(inclusion=b"")
            for place, line in enumerate(policies)
        ]
        return Bundle(
            self.environment,
            self.book.checkpoint(self.raw, self.clock_time, self.keys),
            self.raw[-1],
            inclusion(len(self.raw) - 1),
            row,
            made.prove(trie.key("environment", name)),
            self.rows["policy", b"policy"],
            made.prove(trie.key("policy", b"policy")),
            index,
            self.raw[index],
            inclusion(index),
            policies,
            self.manifest,
            orders,
            approval,
        )

    def consistency(self, hashes, order):
        """From the head that a succession names."""
        if order not in self.successions:
            return b""
        return b"".join(merkle.consistency_proof(hashes, order[0]))


def base_case(name, made, trust, **others):
    text = bundle.encode(made).decode()
    inputs = {"trust": trust, "environment": made.environment, "now": NOW, **others}
    return {"name": name, **inputs, "bundle_text": text}


def lines_of(made):
    return bundle.encode(made).decode().split("\n")[:-1]


def swapped(book):
    """The trust file with another log key."""
    other = Book(book.origin)
    other.log = Signer("another log")
    return {**book.trust(), "logKey": other.trust_keys()["logKey"]}


class Changes:
    """Refused cases that share a base."""

    def __init__(self, base, made):
        self.base, self.made, self.lines = base, made, lines_of(made)

    def case(self, name, step, reason, edits=(), reseal=True, **others):
        listed = [edit for line, text in edits for edit in self.smallest(line, text)]
        inputs = {"name": name, "base": self.base, **others, "edits": listed, "reseal": reseal}
        if step is None:
            return inputs, {"ok": True}
        return inputs, {"ok": False, "step": step, "reason": reason}

    def again(self, name, base, step, reason, **others):
        """The bundle of another case that shares the base, as it is."""
        inputs, expected = self.case(name, step, reason, (), False, **others)
        return {**inputs, "base": base}, expected

    def smallest(self, line, text):
        """Edits of words where a line keeps their number."""
        old, new = self.lines[line].split(" "), (text or "").split(" ")
        if text is None or len(old) != len(new) or "\n" in text:
            return [{"line": line, "text": text}]
        pairs = enumerate(zip(old, new))
        return [{"line": line, "word": i, "text": b} for i, (a, b) in pairs if a != b]

    def bundle(self, name, step, reason, made, **others):
        """Another bundle, told by the lines in which it differs."""
        new = lines_of(made)[:-1]
        old = self.lines[:-1]
        before, lines = new[:11], new[11:-1]  # those of policies, orders and the approval
        room = len(old) - 12
        kept, more = lines[: room - 1], lines[room - 1 :]
        middle = [*kept, "\n".join(more) if more else None]
        middle += [None] * (room - len(middle))
        pairs = enumerate(zip(old, [*before, *middle, new[-1]]))
        edits = [(i, line) for i, (was, line) in pairs if was != line]
        return self.case(name, step, reason, edits, **others)

    def replaced(self, name, step, reason, **fields):
        return self.bundle(name, step, reason, self.made._replace(**fields))
