"""Reads a served log over its read API (SPEC 6) and replays it (SPEC 7 and 8).

Trusts nothing but the trust file. Everything served is compared with what this
implementation computes; `problems` lists each difference. Memory: one hash a leaf, one
summary a document.
"""

import http.client
import json
import time
from urllib.parse import urlsplit

from . import entries, merkle, notes, rules, tiles, trust
from .canon import Refused

PROBLEMS_SHOWN = 20


class Reader:
    """GET over one kept-alive connection; opened again once where the peer closed it."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.prefix = parts.path.rstrip("/")
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=60)
        self.requests = 0

    def get(self, path):
        """The body, or None where the answer is 404."""
        self.requests += 1
        try:
            response = self._send(path)
        except (http.client.HTTPException, ConnectionError):
            self.connection.close()
            response = self._send(path)
        body = response.read()
        if response.status == 404:
            return None
        if response.status != 200:
            raise Refused(None, f"{path}: status {response.status}")
        return body

    def _send(self, path):
        self.connection.request("GET", self.prefix + path)
        return self.connection.getresponse()


class Audit:
    def __init__(self, url, trust):
        self.reader = Reader(url)
        self.trust = trust
        self.ledger = rules.Ledger()
        self.hashes = []
        self.decoded = {}  # (kind, blake3, sha256) -> decoded document
        self.named = set()  # blake3 of every document named so far
        self.counts = {"genesis": 0, "policy": 0, "release": 0, "map": 0, "refused": 0}
        self.documents = {"bundled": 0, "fetched": 0}
        self.tiles = self.levels = 0
        self.note = self.head = None
        self.problems = []
        self.offered, self.offset = None, 0  # documents of the bundle in hand, place in it

    def problem(self, where, error):
        reason = getattr(error, "reason", None)
        self.problems.append({"where": where, "reason": reason, "detail": str(error)})

    def run(self, expected_levels):
        try:
            self.checkpoint()
            self.replay()
            self.authenticate()
            self.compare_tiles()
        except (Refused, OSError, http.client.HTTPException) as error:
            self.problem("read", error)
        if expected_levels is not None and self.levels != expected_levels:
            self.problem("tiles", f"{self.levels} levels, expected {expected_levels}")
        return self.report()

    def checkpoint(self):
        data = self.reader.get("/checkpoint")
        if data is None:
            raise Refused(None, "no checkpoint")
        self.note = data
        try:
            self.head = self.trust.authenticate(data, int(time.time()))
        except Refused as refused:
            if refused.reason != "NOTE_SIGNATURE":
                raise
            # By keys that took over, perhaps: which those are, the replayed log will say.
            self.head = notes.claimed(data)

    def authenticate(self):
        """The note is by the keys that the log's own orders give to its size."""
        successors = tuple(self.ledger.orders.keys[1:])
        known = self.trust.successors
        if successors[: len(known)] != known:
            self.problem("successors", "the trust file knows of others than the log does")
        trust = self.trust._replace(successors=successors)
        self.head = trust.authenticate(self.note, int(time.time()))

    def get(self, what, number, width):
        """A tile, bundle or document bundle; a partial one may have given way to the full one."""
        data = self.reader.get(tiles.path(what, number, width))
        if data is not None or width == 256:
            return data, width
        return self.reader.get(tiles.path(what, number)), 256

    def replay(self):
        for start in range(0, self.head.size, 256):
            number, width = start // 256, min(256, self.head.size - start)
            data, served = self.get("entries", number, width)
            if data is None:
                raise Refused(None, f"no entry bundle {number}")
            leaves = tiles.decode_entries(data, served)[:width]
            self.offered = self.document_bundle(number, width)
            for self.offset, leaf in enumerate(leaves):
                self.append(start + self.offset, leaf)
            for offset in self.offered or ():
                self.problem(f"documents {number}", f"offset {offset} is not the first to name it")
        if self.ledger.genesis != self.trust.genesis:
            self.problem("leaf 0", "not the pinned genesis")

    def document_bundle(self, number, width):
        """{offset: document}; None where the log serves none, so that each is fetched."""
        data, served = self.get("documents", number, width)
        if data is None:
            return None
        try:
            return {at: doc for at, doc in tiles.decode_documents(data, served) if at < width}
        except Refused as error:
            self.problem(f"documents {number}", error)
            return None

    def append(self, index, leaf):
        self.hashes.append(merkle.leaf_hash(leaf))
        last = index == self.head.size - 1
        try:
            entry = self.ledger.append(leaf, self.document_of)
            is_record = isinstance(entry, entries.MapRecord)
            kind = "map" if is_record else entry.kind
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if last and not is_record:
                self.problem(f"leaf {index}", "the last leaf is no map record")
        except Refused as error:
            self.counts["refused"] += 1
            self.problem(f"leaf {index}", error)
            if last:
                self.problem(f"leaf {index}", "the last leaf is no map record that holds")

    def document_of(self, envelope):
        key = (envelope.kind, envelope.blake3, envelope.sha256)
        data = None
        if envelope.blake3 not in self.named:
            self.named.add(envelope.blake3)
            data = self.take_offered(envelope)
        if key not in self.decoded:
            if data is None:
                data = self.reader.get(f"/document/{envelope.blake3.hex()}")
                self.documents["fetched"] += 1
            if data is None:
                raise Refused(None, f"no document {envelope.blake3.hex()}")
            decoded = rules.decode_document(envelope, data)
            if envelope.kind in ("release", "approval"):
                decoded = decoded._replace(value=None)
            self.decoded[key] = decoded
        return self.decoded[key]

    def take_offered(self, envelope):
        if self.offered is None:
            return None
        if self.offset not in self.offered:
            self.problem("documents", f"none for {envelope.blake3.hex()}")
            return None
        self.documents["bundled"] += 1
        return self.offered.pop(self.offset)

    def compare_tiles(self):
        tree = merkle.Growing()
        for value in self.hashes:
            tree.append(value)
        if tree.root() != self.head.root:
            self.problem("checkpoint", "the root is not that of the entries")
        for level, row in enumerate(merkle.tile_levels(self.hashes)):
            self.levels = level + 1
            for start in range(0, len(row), 256):
                self.compare_tile(level, start // 256, row[start : start + 256])

    def compare_tile(self, level, number, expected):
        data, served = self.get(level, number, len(expected))
        self.tiles += 1
        if data is None:
            self.problem(f"tile {level}/{number}", "not served")
        elif data[: 32 * len(expected)] != b"".join(expected):
            self.problem(f"tile {level}/{number}", "differs")
        elif len(data) != 32 * served:
            self.problem(f"tile {level}/{number}", "length")

    def report(self):
        head = self.head
        counted_from = self.trust.pins.time(head) if head else None
        age = None if counted_from is None else int(time.time()) - counted_from
        return {
            "ok": not self.problems,
            "origin": self.trust.origin,
            "size": head.size if head else None,
            "root": head.root.hex() if head else None,
            "ageSeconds": age,
            "leaves": self.counts,
            "environments": len(self.ledger.environments),
            "hosts": len(self.ledger.hosts),
            "mapRows": self.ledger.map.rows,
            "policyVersion": self.ledger.policy.version if self.ledger.policy else None,
            "levels": self.levels,
            "tiles": self.tiles,
            "documents": self.documents,
            "requests": self.reader.requests,
            "problemCount": len(self.problems),
            "problems": self.problems[:PROBLEMS_SHOWN],
        }


def audit(url, trust_path, expected_levels=None):
    """The report; `ok` is the verdict."""
    with open(trust_path, encoding="utf-8") as file:
        pinned = trust.parse(json.load(file))
    if pinned.log_key.name != pinned.origin:
        raise Refused(None, "the trust file's log key is not named by its origin")
    return Audit(url, pinned).run(expected_levels)
