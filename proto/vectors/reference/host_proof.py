"""How a host's standing is proven (SPEC 9, after step 7): its newest enrolment or dismissal."""

from typing import NamedTuple

from . import entries, merkle, orders, rules, trie
from .bundle import PolicyLine
from .verify import Verifier, refuse


class Newest(NamedTuple):
    """The entry that a host's row states."""

    index: int
    leaf: bytes
    document: bytes
    inclusion: bytes


class Proof(NamedTuple):
    """The members that a bundle has too are called as there."""

    checkpoint: bytes
    map_record: bytes
    map_record_inclusion: bytes
    row: bytes  # empty where the host is absent
    row_proof: bytes
    policy_row: bytes
    policy_proof: bytes
    policies: list[PolicyLine]
    newest: Newest | None


class HostVerifier(Verifier):
    """`environment` plays no part."""

    def __init__(self, trust, now):
        super().__init__(trust, None, now)

    def host(self, keyid, proof):
        """What is proven of the host, as a plain object."""
        self.head = self.trust.authenticate(proof.checkpoint, self.now)
        record = self.map_record(proof)
        row = self.host_row(keyid, proof, record)
        if row is None:
            return {"present": False}
        policy_row = self.policy_row(proof, record)
        self.genesis(proof.policies)
        chain = self.policies(proof, policy_row)
        envelope, host = self.stated(keyid, row, proof.newest)
        policy = self.policy_at(proof, chain, row.index)
        signers = rules.check_deployers(envelope, policy)
        for signer in signers:
            rules.check_allowed(policy.deployers[signer], "enrol", host.environment)
        left = self.left(envelope, row.index, chain[-1])
        if not left:
            refuse("signers that are revoked", "SIGNER_COMPROMISED")
        return {
            "present": True,
            "index": row.index,
            "number": row.number,
            "action": envelope.predicate["action"],
            "host_name": host.name,
            "environment": host.environment,
            "signers_hex": left,
        }

    def host_row(self, keyid, proof, record):
        """None where the map proves that there is none."""
        key = trie.key("host", keyid)
        if not proof.row:
            trie.verify(record.root, key, None, proof.row_proof)
            return None
        trie.verify(record.root, key, trie.row_hash("host", proof.row), proof.row_proof)
        return trie.parse_host_row(proof.row)

    def stated(self, keyid, row, newest):
        """The entry with the row's number and action, of this host."""
        if newest is None:
            refuse("no entry", "INCLUSION_UNPROVEN")
        if (merkle.leaf_hash(newest.leaf), newest.index) != (row.leaf_hash, row.index):
            refuse("another entry than the row's", "ROW_MISMATCH")
        self.included(newest.leaf, newest.index, newest.inclusion)
        envelope = entries.decode(newest.leaf)
        if not isinstance(envelope, entries.Envelope) or envelope.kind != "enrolment":
            refuse("not an enrolment", "ROW_MISMATCH")
        host = rules.decode_document(envelope, newest.document)
        predicate = envelope.predicate
        if predicate["ledger"] != self.trust.genesis.hex():
            refuse("another ledger", "WRONG_LEDGER")
        said = (predicate["number"], trie.HOST_CODES[predicate["action"]])
        if said != (row.number, row.action) or orders.host_keyid(host) != keyid:
            refuse("another number, action or host", "ROW_MISMATCH")
        return envelope, host
