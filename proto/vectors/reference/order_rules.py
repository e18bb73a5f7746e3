"""The rules on orders, approvals and enrolments (SPEC 7.7 to 7.9), after their signers."""

from typing import NamedTuple

from . import merkle, notes, trie
from .canon import Refused
from .orders import BreakGlass, Redaction, Succession


class Keys(NamedTuple):
    """The ledger's own keys for every size above `after`."""

    after: int
    log: notes.Vkey
    clock: notes.Vkey


def check_keys(order, index, known):
    """Whether the keys of a succession may follow `known`, all that the ledger had, in order."""
    wrong = "SUCCESSION_KEYS"
    origin = known[0].log.name
    shape = (order.log_key.name, order.log_key.kind, order.clock_key.name, order.clock_key.kind)
    if shape != (origin, notes.LOG_KEY, f"{origin}/clock", notes.COSIGNER_KEY):
        raise Refused(wrong, "not named or typed as the ledger's keys are")
    listed = [key.public for keys in known for key in (keys.log, keys.clock)]
    listed += [order.log_key.public, order.clock_key.public]
    if len(set(listed)) != len(listed):
        raise Refused(wrong, "a key that the ledger had")
    if len(known) > 1 and index <= known[-1].after:
        raise Refused(wrong, "not above the succession before")


def check_head(order, index, keys):
    """The head of a succession: signed by the keys before it, at the order's own index."""
    try:
        head = notes.open_checkpoint(order.head, keys.log, keys.clock, None)
    except Refused as refused:
        raise Refused("SUCCESSION_HEAD", str(refused)) from refused
    if head.size != index:
        raise Refused("SUCCESSION_HEAD", "size")
    return head


class Orders:
    """All orders of a ledger; one chain, of whatever kind."""

    def __init__(self):
        self.number = 0
        self.leaf_hash = None
        self.history = merkle.Growing()
        self.erased = set()
        self.break_glass = {}  # leaf hash -> order
        self.keys = []  # those of the genesis, then of each succession

    def begin(self, genesis):
        keys = (notes.parse_vkey(genesis[member]) for member in ("logKey", "clockKey"))
        self.keys = [Keys(0, *keys)]

    def broken(self, predicate):
        """The break-glass order that a release names; None where there is none."""
        name = predicate.get("breakGlass")
        return self.break_glass.get(bytes.fromhex(name)) if name else None

    def check(self, envelope, order, index, time, root):
        """Rule 7 after the signers. `root` is that of the leaves before this one."""
        predicate = envelope.predicate
        if predicate["number"] != self.number + 1:
            raise Refused("WRONG_NUMBER")
        if predicate.get("previous") != (self.leaf_hash.hex() if self.number else None):
            raise Refused("WRONG_PREVIOUS")
        if isinstance(order, Redaction) and not self.erased.isdisjoint(order.contents):
            raise Refused("ALREADY_ERASED")
        if isinstance(order, BreakGlass) and (order.over(time) or order.lasting(time)):
            raise Refused("BREAK_GLASS_EXPIRED")
        if isinstance(order, Succession):
            check_keys(order, index, self.keys)
            if check_head(order, index, self.keys[-1]).root != root:
                raise Refused("SUCCESSION_HEAD", "root")

    def append(self, order, index, leaf_hash):
        """The row after an order."""
        self.number += 1
        self.leaf_hash = leaf_hash
        self.history.append(merkle.leaf_hash(trie.u64(index) + leaf_hash))
        if isinstance(order, Redaction):
            self.erased.update(order.contents)
        elif isinstance(order, BreakGlass):
            self.break_glass[leaf_hash] = order
        else:
            self.keys.append(Keys(index, order.log_key, order.clock_key))
        return trie.PolicyRow(self.number, index, leaf_hash, self.history.root())


def check_approval(envelope, environment):
    """Rule 8 after the signers."""
    predicate, releases = envelope.predicate, environment.releases
    if predicate["sequence"] != len(releases):
        raise Refused("WRONG_SEQUENCE")
    if predicate["release"] != environment.leaf_hash.hex():
        raise Refused("WRONG_PREVIOUS")
    action, _, manifest = releases[-1]
    if action == "retire":
        raise Refused("ALREADY_RETIRED")
    if manifest != (envelope.blake3, envelope.sha256):
        raise Refused("APPROVAL_MANIFEST")
    if predicate["number"] != environment.approvals + 1:
        raise Refused("WRONG_NUMBER")


class Enrolments:
    """What the rules remember of a host."""

    def __init__(self):
        self.number = 0
        self.leaf_hash = self.action = self.record = self.environment = None
        self.history = merkle.Growing()

    def check(self, envelope):
        """Rule 9 after the signers, but for those of an `enrol` after an `enrol`."""
        predicate = envelope.predicate
        if predicate["number"] != self.number + 1:
            raise Refused("WRONG_NUMBER")
        if predicate.get("previous") != (self.leaf_hash.hex() if self.number else None):
            raise Refused("WRONG_PREVIOUS")
        if predicate["action"] == "dismiss":
            if (self.action, self.record) != ("enrol", (envelope.blake3, envelope.sha256)):
                raise Refused("HOST_OTHER")

    def append(self, envelope, record, index, leaf_hash):
        """The row after an enrolment or a dismissal."""
        self.number += 1
        self.leaf_hash, self.action = leaf_hash, envelope.predicate["action"]
        self.record, self.environment = (envelope.blake3, envelope.sha256), record.environment
        self.history.append(merkle.leaf_hash(trie.u64(index) + leaf_hash))
        code = trie.HOST_CODES[self.action]
        return trie.EnvironmentRow(self.number, index, leaf_hash, code, self.history.root())
