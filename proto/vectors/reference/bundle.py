"""Bundles (SPEC 10), verified by the steps of SPEC 9. Step 0 is the container itself."""

import contextlib
from typing import NamedTuple

from . import crypto, entries, merkle, names, notes, rules, trie
from .canon import Refused, require
from .names import base64_text

BUNDLE_BYTES_MAX = 67_108_864
HASHES_MAX = 128
BEFORE_POLICIES = (
    "environment checkpoint map-record map-record-inclusion environment-row environment-proof "
    "policy-row policy-proof entry entry-inclusion"
).split()


class Trust(NamedTuple):
    origin: str
    log_key: notes.Vkey
    clock_key: notes.Vkey
    genesis: bytes
    pins: notes.Pins  # auditors and witnesses


class PolicyLine(NamedTuple):
    index: int
    leaf: bytes
    document: bytes
    inclusion: bytes  # empty where it is not given


class Bundle(NamedTuple):
    environment: str
    checkpoint: bytes
    map_record: bytes
    map_record_inclusion: bytes
    environment_row: bytes
    environment_proof: bytes
    policy_row: bytes
    policy_proof: bytes
    entry_index: int
    entry: bytes
    entry_inclusion: bytes
    policies: list
    manifest: bytes


def parse_trust(value):
    """The trust file, schema `cairn.trust/v1`."""
    if value.get("schema") != "cairn.trust/v1":
        raise Refused("NEEDS_NEWER_CAIRN", "trust file")
    log_key, clock_key = notes.parse_vkey(value["logKey"]), notes.parse_vkey(value["clockKey"])
    pins = notes.parse_pins(value, (log_key, clock_key))
    return Trust(value["origin"], log_key, clock_key, bytes.fromhex(value["genesis"]), pins)


@contextlib.contextmanager
def step(number):
    """Name the step of section 9 in which something is refused."""
    try:
        yield
    except Refused as refused:
        refused.step = number if refused.step is None else refused.step
        raise


def refuse(detail, reason):
    raise Refused(reason, detail)


def _value(text):
    data = names.base64_bytes(text)
    require(data, "an empty value")
    return data


def _hashes(text):
    data = b"" if text == "-" else _value(text)
    require(len(data) % 32 == 0 and len(data) <= 32 * HASHES_MAX, "a list of hashes")
    return data


def hashes(data):
    """The hashes of one concatenated value."""
    return [data[i : i + 32] for i in range(0, len(data), 32)]


def _line(bundle):
    yield f"environment {bundle.environment}"
    for name in BEFORE_POLICIES[1:8]:
        yield f"{name} {_text(getattr(bundle, name.replace('-', '_')))}"
    yield f"entry {bundle.entry_index} {_text(bundle.entry)}"
    yield f"entry-inclusion {_text(bundle.entry_inclusion)}"
    for policy in bundle.policies:
        parts = " ".join(_text(part) for part in policy[1:])
        yield f"policy {policy.index} {parts}"
    yield f"manifest {_text(bundle.manifest)}"


def _text(data):
    return base64_text(data) or "-"


def encode(bundle):
    body = "".join(line + "\n" for line in ("cairn.bundle/v1", *_line(bundle))).encode()
    return seal(body)


def seal(body):
    return body + f"blake3 {crypto.blake(body).hex()}\n".encode()


def decode(data):
    try:
        return _decode(data)
    except Refused as error:
        raise Refused("BUNDLE_SYNTAX", str(error), step=0) from error


def _decode(data):
    require(len(data) <= BUNDLE_BYTES_MAX and data.isascii() and data.endswith(b"\n"), "form")
    body, _, last = data[:-1].rpartition(b"\n")
    require(seal(body + b"\n") == data and last, "the last line")
    lines = body.decode().split("\n")
    require(lines[0] == "cairn.bundle/v1", "first line")
    head, policies, tail = lines[1:11], lines[11:-1], lines[-1]
    words = [line.split(" ") for line in head]
    require([word[0] for word in words] == BEFORE_POLICIES, "lines before the policies")
    require([len(word) for word in words] == [2] * 8 + [3, 2], "number of values")
    values = dict(zip(BEFORE_POLICIES, (word[-1] for word in words)))
    require(names.is_environment(values.pop("environment")), "environment")
    found = {
        name.replace("-", "_"): (_hashes if name.endswith("inclusion") else _value)(text)
        for name, text in values.items()
    }
    name, _, manifest = tail.partition(" ")
    require(name == "manifest", "manifest")
    index = names.u64_of_text(words[8][1])
    parsed = [_policy_line(line) for line in policies]
    asked_for = relied_on(parsed, index)
    for place, line in enumerate(parsed):
        require(place in asked_for or not line.inclusion, "an inclusion that is not asked for")
    others = {"entry_index": index, "policies": parsed, "manifest": _value(manifest)}
    return Bundle(environment=words[0][1], **found, **others)


def in_force(lines, index):
    """The place of the policy in force at an index: the last whose index is below it."""
    return sum(line.index < index for line in lines) - 1


def relied_on(lines, index):
    """The places of those whose inclusion is proven: in force, its successor, the newest."""
    below = sum(line.index < index for line in lines)
    places = {below - 1, below, len(lines) - 1}
    return [place for place in sorted(places) if 0 <= place < len(lines)]


def _policy_line(line):
    words = line.split(" ")
    require(len(words) == 5 and words[0] == "policy", "policy line")
    index, leaf, document = names.u64_of_text(words[1]), _value(words[2]), _value(words[3])
    return PolicyLine(index, leaf, document, _hashes(words[4]))


class Verifier:
    """Section 9 over one bundle. Each method needs what the one before it established."""

    def __init__(self, trust, environment, now, held=None):
        self.trust, self.environment, self.now, self.held = trust, environment, now, held

    def verify(self, data):
        """The outcome as a plain object, or a refusal with its step."""
        bundle = decode(data)
        with step(1):
            trust = self.trust
            self.head = notes.open_checkpoint(
                bundle.checkpoint, trust.log_key, trust.clock_key, self.now, trust.pins
            )
        with step(2):
            history = self.history()
        with step(3):
            record = self.map_record(bundle)
        with step(4):
            row, policy_row = self.rows(bundle, record)
            self.not_below_held(history, row, policy_row)
            self.genesis(bundle.policies)
        with step(5):
            envelope = self.entry(bundle, row)
        with step(6):
            in_force, newest = self.policies(bundle, row, policy_row)
            rules.check_signers(envelope, in_force)
            self.not_compromised(envelope, row.index, in_force, newest)
        with step(7):
            manifest = rules.decode_document(envelope, bundle.manifest)
        time = self.trust.pins.time(self.head)
        age = None if time is None else self.now - time
        return {
            "size": self.head.size,
            "history": history,
            "sequence": row.sequence,
            "action": envelope.predicate["action"],
            "index": row.index,
            "policy_version": policy_row.version,
            "policy_in_force": in_force.version,
            "artifacts_digest_hex": manifest.artifacts_digest.hex(),
            "age_seconds": age,
            "max_staleness_seconds": newest.max_staleness(self.environment),
            **self.witnessed(newest),
            **self.audited(),
        }

    def witnessed(self, newest):
        """How many pinned witnesses cosigned and how many must; too few spoil the verdict alone."""
        pinned = self.trust.pins.witnesses
        asked_for = newest.witnesses(self.environment)
        needed = max(pinned.quorum, asked_for) if pinned else asked_for
        counted = [len(self.head.witnessed_times), needed] if needed else None
        lacks = counted if counted and counted[0] < needed else None
        return {"witnesses": counted, "lacks_witnesses": lacks}

    def audited(self):
        """What the pinned auditors say of the map; too few of them spoil the verdict alone."""
        auditors, times = self.trust.pins.auditors, self.head.audited_times
        if auditors is None:
            return {}
        audited = auditors.reached(times)
        lacks = [len(times), auditors.quorum] if audited is None else None
        return {"audited": audited, "lacks_auditors": lacks}

    def history(self):
        """Step 2, offline: None without held state, else `same` or `unlinked`."""
        if self.held is None:
            return None
        if self.held["size"] != self.head.size:
            return "unlinked"
        if bytes.fromhex(self.held["root_hex"]) != self.head.root:
            refuse("two roots for one size", "FORKED")
        return "same"

    def not_below_held(self, history, row, policy_row):
        if history == "unlinked":
            if row.sequence < self.held["sequence"]:
                refuse("the sequence went back", "ROLLED_BACK")
            if policy_row.version < self.held["policy_version"]:
                refuse("the policy went back", "ROLLED_BACK")

    def included(self, leaf, index, proof):
        leaf_hash = merkle.leaf_hash(leaf)
        path = hashes(proof)
        if not merkle.verify_inclusion(leaf_hash, index, self.head.size, path, self.head.root):
            refuse("not included", "INCLUSION_UNPROVEN")

    def map_record(self, bundle):
        last = self.head.size - 1
        if last < 0:
            refuse("an empty log", "MAP_RECORD_WRONG")
        self.included(bundle.map_record, last, bundle.map_record_inclusion)
        record = entries.decode(bundle.map_record)
        if not isinstance(record, entries.MapRecord) or record.covers != last:
            refuse("the last leaf is no map record of this size", "MAP_RECORD_WRONG")
        return record

    def rows(self, bundle, record):
        for kind, name, row, proof in (
            ("environment", self.environment.encode(), bundle.environment_row, "environment"),
            ("policy", b"policy", bundle.policy_row, "policy"),
        ):
            path = getattr(bundle, f"{proof}_proof")
            trie.verify(record.root, trie.key(kind, name), trie.row_hash(kind, row), path)
        environment_row = trie.parse_environment_row(bundle.environment_row)
        return environment_row, trie.parse_policy_row(bundle.policy_row)

    def entry(self, bundle, row):
        if merkle.leaf_hash(bundle.entry) != row.leaf_hash or bundle.entry_index != row.index:
            refuse("another entry than the row's", "ROW_MISMATCH")
        self.included(bundle.entry, row.index, bundle.entry_inclusion)
        envelope = entries.decode(bundle.entry)
        if not isinstance(envelope, entries.Envelope) or envelope.kind != "release":
            refuse("not a release", "ROW_MISMATCH")
        predicate = envelope.predicate
        said = (predicate["environment"], predicate["sequence"])
        if said != (self.environment, row.sequence):
            refuse("another environment or sequence", "ROW_MISMATCH")
        if trie.ACTION_CODES[predicate["action"]] != row.action:
            refuse("another action", "ROW_MISMATCH")
        if predicate["ledger"] != self.trust.genesis.hex():
            refuse("another ledger", "ROW_MISMATCH")
        return envelope

    def genesis(self, lines):
        """The ledger is the pinned one; before anything else is said of its entries."""
        if not lines:
            refuse("no policies", "POLICY_CHAIN")
        if merkle.leaf_hash(lines[0].leaf) != self.trust.genesis:
            refuse("another genesis", "WRONG_GENESIS")

    def policies(self, bundle, row, policy_row):
        """Step 6: the policy in force at the entry's index, and the newest."""
        lines = bundle.policies
        indices = [line.index for line in lines]
        if indices[0] != 0 or any(a >= b for a, b in zip(indices, indices[1:])):
            refuse("indices of the policies", "POLICY_CHAIN")
        chain = self.chain(lines)
        history = merkle.Growing()
        for line in lines:
            data = trie.u64(line.index) + merkle.leaf_hash(line.leaf)
            history.append(merkle.leaf_hash(data))
        last = trie.PolicyRow(
            len(lines), indices[-1], merkle.leaf_hash(lines[-1].leaf), history.root()
        )
        if last != policy_row or row.index == 0:
            refuse("not the policies of the row", "POLICY_CHAIN")
        for place in relied_on(lines, row.index):
            line = lines[place]
            self.included(line.leaf, line.index, line.inclusion)
        return chain[in_force(lines, row.index)], chain[-1]

    def not_compromised(self, envelope, index, in_force, newest):
        """Enough signers are left without those that the newest policy strikes."""
        left = [keyid for keyid, _ in envelope.signatures if not newest.strikes(keyid, index)]
        if len(left) < max(1, in_force.approvals(self.environment)):
            refuse("signers that are revoked", "SIGNER_COMPROMISED")

    def chain(self, lines):
        """Every policy satisfies section 7 with the one before."""
        chain, previous = [], b""
        for line in lines:
            envelope = entries.decode(line.leaf)
            kind = "policy" if chain else "genesis"
            if not isinstance(envelope, entries.Envelope) or envelope.kind != kind:
                refuse("not a policy", "POLICY_CHAIN")
            policy = rules.decode_document(envelope, line.document)
            if chain:
                if envelope.predicate["ledger"] != self.trust.genesis.hex():
                    refuse("another ledger", "WRONG_LEDGER")
                rules.check_policy(envelope, policy, chain[-1], previous)
            else:
                rules.check_genesis(envelope, policy)
                self.same_keys(envelope.predicate)
            chain.append(policy)
            previous = merkle.leaf_hash(line.leaf)
        return chain

    def same_keys(self, genesis):
        keys = (self.trust.origin, self.trust.log_key.text(), self.trust.clock_key.text())
        if keys != (genesis["origin"], genesis["logKey"], genesis["clockKey"]):
            refuse("other keys than the pinned ones", "WRONG_GENESIS")
