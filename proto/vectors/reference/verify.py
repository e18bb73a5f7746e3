"""What a verifier does with a bundle (SPEC 9). Step 0 is the container itself."""

import contextlib
from typing import NamedTuple

from . import entries, merkle, rules, trie
from .bundle import decode, hashes, in_force, relied_on
from .canon import Refused
from .names import matches
from .order_rules import Keys, check_head, check_keys
from .orders import BreakGlass


class Ordered(NamedTuple):
    """An order of the evidence, of which section 9 has been made sure."""

    index: int
    leaf_hash: bytes
    order: tuple


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


class Verifier:
    """Section 9 over one bundle. Each method needs what the one before it established."""

    def __init__(self, trust, environment, now, held=None):
        self.trust, self.environment, self.now, self.held = trust, environment, now, held

    def verify(self, data):
        """The outcome as a plain object, or a refusal with its step."""
        bundle = decode(data)
        self.succeed(bundle)
        with step(1):
            self.head = self.trust.authenticate(bundle.checkpoint, self.now)
        with step(2):
            history = self.history()
        with step(3):
            record = self.map_record(bundle)
            self.time = max(self.now, record.time // 1000)
        with step(4):
            row, policy_row = self.rows(bundle, record)
            self.not_below_held(history, row, policy_row)
            self.genesis(bundle.policies)
        with step(5):
            envelope = self.entry(bundle, row)
        with step(6):
            chain = self.policies(bundle, policy_row)
            if row.index == 0:
                refuse("no policy before the entry", "POLICY_CHAIN")
            newest, in_force_then = chain[-1], chain[in_force(bundle.policies, row.index)]
            ordered = self.orders(bundle, chain)
            stands = self.standing(bundle, envelope, row, chain, ordered)
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
            "policy_in_force": in_force_then.version,
            "artifacts_digest_hex": manifest.artifacts_digest.hex(),
            "age_seconds": age,
            "max_staleness_seconds": self.max_staleness(newest, ordered),
            **self.witnessed(newest),
            **self.audited(),
            **stands,
        }

    def max_staleness(self, newest, ordered):
        """Seconds; what the policy says is eased while an order of the evidence holds."""
        bound = newest.max_staleness(self.environment)
        if bound is None:
            return None
        eased = [
            item.order.max_staleness or 0
            for item in ordered
            if isinstance(item.order, BreakGlass)
            and matches(item.order.pattern, self.environment)
            and item.order.expires > self.time
        ]
        return max(bound, *eased, 0)

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
        name, row = self.environment.encode(), bundle.environment_row
        self.mapped(record, "environment", name, row, bundle.environment_proof)
        return trie.parse_environment_row(row), self.policy_row(bundle, record)

    def policy_row(self, bundle, record):
        self.mapped(record, "policy", b"policy", bundle.policy_row, bundle.policy_proof)
        return trie.parse_policy_row(bundle.policy_row)

    def mapped(self, record, kind, name, row, proof):
        trie.verify(record.root, trie.key(kind, name), trie.row_hash(kind, row), proof)

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

    def policies(self, bundle, policy_row):
        """Step 6: every policy, by version."""
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
        if last != policy_row:
            refuse("not the policies of the row", "POLICY_CHAIN")
        return chain

    def prove_policies(self, lines, index):
        """Those in the log that say which one is in force at an index."""
        for place in relied_on(lines, [index]):
            line = lines[place]
            self.included(line.leaf, line.index, line.inclusion)

    def policy_at(self, bundle, chain, index):
        if index == 0:
            refuse("no policy before it", "POLICY_CHAIN")
        self.prove_policies(bundle.policies, index)
        return chain[in_force(bundle.policies, index)]

    def orders(self, bundle, chain):
        """Step 6: the orders of the evidence, each as its admins signed it."""
        found = []
        for line in bundle.orders:
            self.included(line.leaf, line.index, line.inclusion)
            envelope = entries.decode(line.leaf)
            if not isinstance(envelope, entries.Envelope) or envelope.kind not in entries.ORDERS:
                refuse("not an order", None)
            order = rules.decode_document(envelope, line.document)
            if envelope.predicate["ledger"] != self.trust.genesis.hex():
                refuse("an order of another ledger", "WRONG_LEDGER")
            policy = self.policy_at(bundle, chain, line.index)
            signers = rules.check_signatures(envelope, policy.admins)
            rules.check_threshold(signers, policy)
            found.append(Ordered(line.index, merkle.leaf_hash(line.leaf), order))
        return found

    def standing(self, bundle, envelope, row, chain, ordered):
        """Step 6: by whom the release stands, and until when."""
        newest, policy = chain[-1], self.policy_at(bundle, chain, row.index)
        broken = self.broken(envelope, row, ordered)
        enough = rules.check_signers(envelope, policy, broken)
        left = len(self.left(envelope, row.index, newest))
        approval = self.is_approved(bundle, envelope, row, chain)
        if left >= max(1, policy.approvals(self.environment)):
            return {"stands_by": "signers", "until": None}
        if approval:
            return {"stands_by": "approval", "until": None}
        if left < max(1, enough):
            refuse("signers that are revoked", "SIGNER_COMPROMISED")
        if self.time >= broken.expires:
            refuse("the order that it stands by is over", "BREAK_GLASS_EXPIRED")
        return {"stands_by": "order", "until": broken.expires}

    def broken(self, envelope, row, ordered):
        """The break-glass order that the release names, where the evidence has it."""
        name = envelope.predicate.get("breakGlass")
        if name is not None and all(item.leaf_hash.hex() != name for item in ordered):
            refuse("the order that it names was not given", "INCLUSION_UNPROVEN")
        for item in ordered:
            named = item.leaf_hash.hex() == name and item.index < row.index
            if named and isinstance(item.order, BreakGlass):
                return item.order
        return None

    def left(self, envelope, index, newest):
        """The signers whom the newest policy does not strike."""
        return [keyid for keyid, _ in envelope.signatures if not newest.strikes(keyid, index)]

    def is_approved(self, bundle, release, row, chain):
        """Whether the evidence has an approval that the release can stand by."""
        line = bundle.approval
        if line is None:
            return False
        envelope = entries.decode(line.leaf)
        if not isinstance(envelope, entries.Envelope) or envelope.kind != "approval":
            refuse("not an approval", "ROW_MISMATCH")
        predicate = envelope.predicate
        said = [predicate[member] for member in ("ledger", "environment", "sequence", "release")]
        genesis = self.trust.genesis.hex()
        if said != [genesis, self.environment, row.sequence, row.leaf_hash.hex()]:
            refuse("an approval of another release", "ROW_MISMATCH")
        if line.index <= row.index:
            refuse("an approval before the release", "ROW_MISMATCH")
        if (envelope.blake3, envelope.sha256) != (release.blake3, release.sha256):
            refuse("an approval of another manifest", "DOCUMENT_MISMATCH")
        policy = self.policy_at(bundle, chain, line.index)
        self.included(line.leaf, line.index, line.inclusion)
        enough = rules.check_signers(envelope, policy)
        return len(self.left(envelope, line.index, chain[-1])) >= max(1, enough)

    def succeed(self, bundle):
        """Section 9.1: the keys of orders that the trust file does not know become part of it."""
        learnt = []
        with step(9):
            for line in bundle.orders:
                learnt += self.learn(line)
        if not learnt:
            return
        with step(1):
            self.head = self.trust.authenticate(bundle.checkpoint, self.now)
        with step(3):
            record = self.map_record(bundle)
        with step(4):
            policy_row = self.policy_row(bundle, record)
            self.genesis(bundle.policies)
        with step(6):
            self.orders(bundle, self.policies(bundle, policy_row))
        with step(9):
            for line, head in learnt:
                path = hashes(line.consistency)
                sizes, roots = (head.size, self.head.size), (head.root, self.head.root)
                if not merkle.verify_consistency(*sizes, path, *roots):
                    refuse("not consistent with the head of the order", "INCLUSION_UNPROVEN")

    def learn(self, line):
        """[(line, head)] of an order of the evidence that names keys not known yet."""
        envelope = entries.decode(line.leaf)
        if not isinstance(envelope, entries.Envelope) or envelope.kind != "key-succession":
            return []
        order = rules.decode_document(envelope, line.document)
        named = Keys(line.index, order.log_key, order.clock_key)
        known = self.trust.keys
        if named in known:
            return []
        head = check_head(order, line.index, self.trust.keys_of(line.index))
        try:
            check_keys(order, line.index, known)
        except Refused as refused:
            raise Refused("WRONG_GENESIS", str(refused)) from refused
        if {named.log.public, named.clock.public} & {key.public for key in self.trust.pins.keys}:
            refuse("a key of the log that cosigns", "WRONG_GENESIS")
        self.trust = self.trust._replace(successors=(*known[1:], named))
        return [(line, head)]

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
