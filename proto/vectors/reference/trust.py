"""What a verifier pins, and the keys of the log that took over since (SPEC 9 and 9.1)."""

from typing import NamedTuple

from . import notes
from .canon import Refused
from .order_rules import Keys


class Trust(NamedTuple):
    origin: str
    log_key: notes.Vkey
    clock_key: notes.Vkey
    genesis: bytes
    pins: notes.Pins  # auditors and witnesses
    successors: tuple = ()  # the `Keys` that took over and are known, in order

    @property
    def keys(self):
        return [Keys(0, self.log_key, self.clock_key), *self.successors]

    def keys_of(self, size):
        """A succession's keys sign every size above its index."""
        return [keys for keys in self.keys if keys.after < size or not keys.after][-1]

    def authenticate(self, note, now):
        """Step 1."""
        keys = self.keys_of(notes.claimed(note).size)
        others = [other.log for other in self.keys if other != keys]
        return notes.open_checkpoint(note, keys.log, keys.clock, now, self.pins, others)


def parse(value):
    """The trust file, schema `cairn.trust/v1`."""
    if value.get("schema") != "cairn.trust/v1":
        raise Refused("NEEDS_NEWER_CAIRN", "trust file")
    log_key, clock_key = notes.parse_vkey(value["logKey"]), notes.parse_vkey(value["clockKey"])
    later = tuple(
        Keys(item["after"], notes.parse_vkey(item["logKey"]), notes.parse_vkey(item["clockKey"]))
        for item in value.get("successors", ())
    )
    others = [log_key, clock_key, *(key for keys in later for key in keys[1:])]
    pins = notes.parse_pins(value, others)
    genesis = bytes.fromhex(value["genesis"])
    return Trust(value["origin"], log_key, clock_key, genesis, pins, later)
