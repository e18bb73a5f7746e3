"""The map (SPEC 8): keys, rows, the crit-bit trie and its proofs.

Invariant: a trie's root depends on its (key, row hash) pairs only, not on their order.
"""

from typing import NamedTuple

from blake3 import blake3

from . import crypto
from .canon import Refused

EMPTY = bytes(32)
ACTION_CODES = {"release": 1, "rollback": 2, "retire": 3}
HOST_CODES = {"enrol": 1, "dismiss": 2}


def u64(number):
    return number.to_bytes(8, "big")


def key(kind, name):
    return crypto.derive(f"cairn v1 map {kind}", name)


def row_hash(kind, row):
    return crypto.derive(f"cairn v1 row {kind}", row)


class EnvironmentRow(NamedTuple):
    """That of a host has the same form, with a number for the sequence."""

    sequence: int
    index: int
    leaf_hash: bytes
    action: int
    history: bytes

    @property
    def number(self):
        return self.sequence

    def bytes(self):
        numbers = u64(self.sequence) + u64(self.index)
        return numbers + self.leaf_hash + bytes([self.action]) + self.history


class PolicyRow(NamedTuple):
    """That of the orders has the same form, with a number for the version."""

    version: int
    index: int
    leaf_hash: bytes
    history: bytes

    def bytes(self):
        return u64(self.version) + u64(self.index) + self.leaf_hash + self.history


def digest_row(first, last, count, chain):
    return u64(first) + u64(last) + u64(count) + chain


def _numbers(data, length):
    if len(data) != length:
        raise _refuse("length of a row")
    return int.from_bytes(data[:8], "big"), int.from_bytes(data[8:16], "big")


def parse_environment_row(data, codes=ACTION_CODES):
    numbers = _numbers(data, 81)
    if data[48] not in codes.values():
        raise _refuse("action of a row")
    return EnvironmentRow(*numbers, data[16:48], data[48], data[49:])


def parse_host_row(data):
    return parse_environment_row(data, HOST_CODES)


def parse_policy_row(data):
    numbers = _numbers(data, 80)
    return PolicyRow(*numbers, data[16:48], data[48:])


def parse_row(kind, data):
    """A row of a kind, or a refusal."""
    if kind == "digest":
        return _numbers(data, 56)
    parsers = {"environment": parse_environment_row, "host": parse_host_row}
    return parsers.get(kind, parse_policy_row)(data)


def bit(key_bytes, index):
    return key_bytes[index >> 3] >> (7 - (index & 7)) & 1


def first_difference(left, right):
    """The first bit in which two keys differ; they do differ."""
    different = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
    return 256 - different.bit_length()


def leaf_node(key_bytes, row):
    return blake3(b"\x00" + key_bytes + row).digest()


def inner_node(index, left, right):
    return blake3(b"\x01" + bytes([index]) + left + right).digest()


class _Leaf:
    __slots__ = ("key", "row", "hash")

    def __init__(self, key_bytes, row):
        self.key, self.row, self.hash = key_bytes, row, None


class _Inner:
    __slots__ = ("bit", "sides", "hash")

    def __init__(self, index, sides):
        self.bit, self.sides, self.hash = index, sides, None


class Trie:
    """Updated in place; a node's hash is dropped when something below it changes."""

    def __init__(self):
        self.top = None
        self.rows = 0

    def _reach(self, key_bytes):
        at = self.top
        while isinstance(at, _Inner):
            at = at.sides[bit(key_bytes, at.bit)]
        return at

    def set(self, key_bytes, row):
        reached = self._reach(key_bytes)
        if reached is None:
            self.top, self.rows = _Leaf(key_bytes, row), 1
            return
        new_bit = None
        if reached.key != key_bytes:
            new_bit = first_difference(reached.key, key_bytes)
        parent, at = None, self.top
        while isinstance(at, _Inner) and (new_bit is None or at.bit < new_bit):
            at.hash = None
            parent, at = at, at.sides[bit(key_bytes, at.bit)]
        if new_bit is None:
            at.row, at.hash = row, None
            return
        sides = [at, at]
        sides[bit(key_bytes, new_bit)] = _Leaf(key_bytes, row)
        inner = _Inner(new_bit, sides)
        self.rows += 1
        if parent is None:
            self.top = inner
        else:
            parent.sides[bit(key_bytes, parent.bit)] = inner

    def _hash(self, at):
        if at.hash is None:
            if isinstance(at, _Leaf):
                at.hash = leaf_node(at.key, at.row)
            else:
                left, right = at.sides
                at.hash = inner_node(at.bit, self._hash(left), self._hash(right))
        return at.hash

    def root(self):
        return EMPTY if self.top is None else self._hash(self.top)

    def prove(self, key_bytes):
        """The proof of presence or of absence of a key."""
        steps, at = [], self.top
        while isinstance(at, _Inner):
            side = bit(key_bytes, at.bit)
            steps.append(bytes([at.bit]) + self._hash(at.sides[1 - side]))
            at = at.sides[side]
        tail = b"\x00" if at is None else b"\x01" + at.key + at.row
        return len(steps).to_bytes(2, "big") + b"".join(steps) + tail


def plain_root(pairs):
    """The root of {key: row hash} straight from the definition, to compare `Trie` with."""
    if not pairs:
        return EMPTY
    if len(pairs) == 1:
        return leaf_node(*next(iter(pairs.items())))
    index = first_difference(min(pairs), max(pairs))
    sides = [{k: v for k, v in pairs.items() if bit(k, index) == side} for side in (0, 1)]
    return inner_node(index, plain_root(sides[0]), plain_root(sides[1]))


def _refuse(detail):
    return Refused("MAP_PROOF", detail)


def verify(root, key_bytes, row, proof):
    """Section 8.3. `row` is the row hash for presence, None for absence."""
    count = int.from_bytes(proof[:2], "big")
    tail = proof[2 + 33 * count :]
    if len(proof) < 3 + 33 * count or tail[0] > 1 or len(tail) != (65 if tail[0] else 1):
        raise _refuse("shape")
    steps = [proof[2 + 33 * i : 35 + 33 * i] for i in range(count)]
    if any(a[0] >= b[0] for a, b in zip(steps, steps[1:])):
        raise _refuse("bit indices do not increase")
    if tail[0] == 0:
        if count or root != EMPTY or row is not None:
            raise _refuse("the map is not empty")
        return
    reached, reached_row = tail[1:33], tail[33:]
    value = leaf_node(reached, reached_row)
    for step in reversed(steps):
        side = bit(key_bytes, step[0])
        if bit(reached, step[0]) != side:
            raise _refuse("the leaf reached lies on another side")
        pair = (step[1:], value) if side else (value, step[1:])
        value = inner_node(step[0], *pair)
    if value != root:
        raise _refuse("another root")
    if (row is None) == (reached == key_bytes) or (row is not None and row != reached_row):
        raise _refuse("says something else")
