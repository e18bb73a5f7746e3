"""Makes small ledgers for the vectors: keys, documents, envelopes and map records.

Nothing here judges; `rules` does.
"""

from .. import canon, crypto, entries, merkle, notes, order_rules, orders, rules
from ..canon import Refused
from ..crypto import Signer
from ..entries import PAYLOAD_TYPE, STATEMENT_TYPE
from ..names import base64_bytes, base64_text

CREATED = "2026-01-02T03:04:05Z"
MAP_TIME = 1_767_322_000_000
EVERYTHING = ("release", "retire", "rollback")


def digests_of(data):
    return {"blake3": crypto.blake(data).hex(), "sha256": crypto.sha256(data).hex()}


def artifact(name, content=b"", **others):
    """A stored file; a member set to None is left out."""
    value = {
        "digests": digests_of(content),
        "kind": "file",
        "name": name,
        "size": len(content),
        "storage": "stored",
        **others,
    }
    return without_none(value)


def withheld_artifact(name, value, environment="prod/web", **others):
    secret = crypto.sha256(b"cairn vectors secret")
    tag = crypto.withheld_tag(secret, environment, name, "", value)
    hidden = {"keyId": crypto.secret_key_id(secret).hex(), "tag": tag.hex()}
    return artifact(name, digests=None, size=None, storage="withheld", withheld=hidden, **others)


def without_none(value):
    return {name: member for name, member in value.items() if member is not None}


def comparison(**others):
    return without_none({"ignore": [], "profile": "files/v1", "unmeasured": "refuse", **others})


def manifest_value(*artifacts, **others):
    value = {
        "artifacts": list(artifacts),
        "comparison": comparison(),
        "schema": "cairn.manifest/v1",
        **others,
    }
    return without_none(value)


def manifest(*artifacts, **others):
    return canon.encode(manifest_value(*artifacts, **others))


def files(**contents):
    """A manifest of files by name and text."""
    return manifest(*(artifact(name, contents[name].encode()) for name in sorted(contents)))


def named_key(signer, name=None, **others):
    return {"key": base64_text(signer.public), "name": name or signer.label, **others}


def deployer(signer, environments=("**",), actions=EVERYTHING, name=None):
    lists = {"actions": sorted(actions), "environments": sorted(environments)}
    return named_key(signer, name, **lists)


def revocation(signer, since=None, reason=None):
    return without_none({"key": base64_text(signer.public), "reason": reason, "since": since})


def by_name(items):
    return sorted(items, key=lambda item: item["name"])


def by_key(items):
    return sorted(items, key=lambda item: base64_bytes(item["key"]))


def policy_value(version, admins, threshold, deployers=(), limits=(), **others):
    value = {
        "admins": {"keys": by_name([named_key(a) for a in admins]), "threshold": threshold},
        "deployers": by_name(deployers),
        "rules": sorted(limits, key=lambda rule: rule["environments"]),
        "schema": "cairn.policy/v1",
        "version": version,
        **others,
    }
    return without_none(value)


def policy(*args, **others):
    return canon.encode(policy_value(*args, **others))


def redaction(*contents, **others):
    """An order that erases contents, told by their bytes."""
    digests = sorted(crypto.blake(content).hex() for content in contents)
    value = {"contents": digests, "reason": "x", "schema": "cairn.redaction/v1", **others}
    return canon.encode(without_none(value))


def break_glass(environments, expires, **others):
    schema = "cairn.break-glass/v1"
    value = {"environments": environments, "expires": expires, "reason": "x", "schema": schema}
    return canon.encode(without_none({**value, **others}))


def succession(origin, log, clock, head, **others):
    predicate = genesis_predicate(origin, log, clock)
    keys = {name: predicate[name] for name in ("clockKey", "logKey")}
    value = {"head": head, "reason": "x", "schema": "cairn.key-succession/v1", **keys, **others}
    return canon.encode(without_none(value))


def host(signer, environment, **others):
    """A record of a host."""
    value = {"environment": environment, "schema": "cairn.host/v1", **named_key(signer), **others}
    return canon.encode(without_none(value))


def statement(kind, document, subject, predicate):
    return {
        "_type": STATEMENT_TYPE,
        "predicate": without_none(predicate),
        "predicateType": f"urn:cairn:{kind}:v1",
        "subject": [{"digest": digests_of(document), "name": subject}],
    }


def envelope_value(payload, signers):
    message = entries.pae(PAYLOAD_TYPE.encode(), payload)
    signed = [{"keyid": s.keyid, "sig": base64_text(s.sign(message))} for s in signers]
    return {
        "payload": base64_text(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": sorted(signed, key=lambda item: item["keyid"]),
    }


def sign(value, signers):
    """The leaf of a statement."""
    return canon.encode(envelope_value(canon.encode(value), signers))


def forged(value, signers, forger):
    """An envelope in which one signature is over something else."""
    envelope = envelope_value(canon.encode(value), signers)
    for item in envelope["signatures"]:
        if item["keyid"] == forger.keyid:
            item["sig"] = base64_text(forger.sign(b"something else"))
    return canon.encode(envelope)


def map_record(covers, root, rows, time):
    value = {"cairn": "map/v1", "covers": covers, "root": root.hex(), "rows": rows, "time": time}
    return canon.encode(value)


def genesis_predicate(origin, log, clock, /, **others):
    return {
        "clockKey": notes.Vkey(f"{origin}/clock", notes.COSIGNER_KEY, clock.public).text(),
        "logKey": notes.Vkey(origin, notes.LOG_KEY, log.public).text(),
        "nonce": crypto.sha256(origin.encode())[:16].hex(),
        "origin": origin,
        "schema": "cairn.genesis/v1",
        **others,
    }


class Book:
    """A ledger in the making, followed by the rules so that defaults are those that hold."""

    def __init__(self, origin="ledger.example/one"):
        self.origin = origin
        self.log, self.clock = Signer(f"{origin} log"), Signer(f"{origin} clock")
        self.ledger = rules.Ledger()
        self.documents, self.leaves, self.raw = [], [], []
        self.last = {}  # environment -> its last manifest
        self.policies = []  # (index, leaf, document) of each policy in force so far
        self.orders, self.successions = [], []  # likewise of each order, and of these alone
        self.approvals = {}  # environment -> (index, leaf) of its newest approval
        self.keys = [(0, self.log, self.clock)]  # and those that took over, each after an index
        self.time = MAP_TIME

    def add(self, name, leaf, document=None, expect=None):
        """Append a leaf; `expect` is the reason it must be refused for."""
        self.raw.append(leaf)
        item = {"name": name}
        if document is not None:
            if document not in self.documents:
                self.documents.append(document)
            item["document"] = self.documents.index(document)
        self.leaves.append(item)
        try:
            entry = self.ledger.append(leaf, lambda e: rules.decode_document(e, document))
            reason = None
        except Refused as refused:
            entry, reason = None, refused.reason
        if reason != expect:
            raise AssertionError(f"{name}: expected {expect}, got {reason}")
        if isinstance(entry, entries.Envelope):
            self._remember(entry, (len(self.raw) - 1, leaf, document))
        return entry

    def _remember(self, entry, item):
        if entry.kind in ("genesis", "policy"):
            self.policies.append(item)
        elif entry.kind in entries.ORDERS:
            self.orders.append(item)
            if entry.kind == "key-succession":
                self.successions.append(item)
        elif entry.kind == "approval":
            self.approvals[entry.subject] = item[:2]

    def genesis(self, name, document, signers, expect=None, **others):
        predicate = genesis_predicate(self.origin, self.log, self.clock, **others)
        leaf = sign(statement("genesis", document, "policy", predicate), signers)
        self.add(name, leaf, document, expect)

    def policy(self, name, document, signers, expect=None, **others):
        ledger = self.ledger
        predicate = {
            "ledger": ledger.genesis.hex(),
            "previous": ledger.policy_leaf_hash.hex(),
            "schema": "cairn.policy-change/v1",
            "version": ledger.policy.version + 1,
            **others,
        }
        leaf = sign(statement("policy", document, "policy", predicate), signers)
        self.add(name, leaf, document, expect)

    def release_statement(self, environment, document, action="release", **others):
        state = self.ledger.environments.get(environment) or rules.Environment()
        predicate = {
            "action": action,
            "createdAt": CREATED,
            "environment": environment,
            "ledger": self.ledger.genesis.hex(),
            "previous": state.leaf_hash.hex() if state.leaf_hash else None,
            "schema": "cairn.release/v1",
            "sequence": len(state.releases) + 1,
            **others,
        }
        return statement("release", document, environment, predicate)

    def release(self, name, environment, document, signers, expect=None, **others):
        document = document or self.last[environment]
        leaf = sign(self.release_statement(environment, document, **others), signers)
        entry = self.add(name, leaf, document, expect)
        if entry:
            self.last[environment] = document

    def order_statement(self, kind, document, **others):
        last = self.ledger.orders
        predicate = {
            "ledger": self.ledger.genesis.hex(),
            "number": last.number + 1,
            "previous": last.leaf_hash.hex() if last.leaf_hash else None,
            "schema": "cairn.order/v1",
            **others,
        }
        return statement(kind, document, "order", predicate)

    def order(self, name, kind, document, signers, expect=None, **others):
        leaf = sign(self.order_statement(kind, document, **others), signers)
        return self.add(name, leaf, document, expect)

    def succeed(self, name, log, clock, signers, expect=None, **others):
        """A succession whose head is that of the leaves so far."""
        head = others.pop("head", None) or self.checkpoint(self.raw).decode()
        document = succession(self.origin, log, clock, head, **others)
        index = len(self.raw)
        if self.order(name, "key-succession", document, signers, expect):
            self.keys.append((index, log, clock))

    def approval_statement(self, environment, document=None, **others):
        state = self.ledger.environments.get(environment) or rules.Environment()
        document = document or self.last.get(environment)
        predicate = {
            "createdAt": CREATED,
            "environment": environment,
            "ledger": self.ledger.genesis.hex(),
            "number": state.approvals + 1,
            "release": (state.leaf_hash or bytes(32)).hex(),
            "schema": "cairn.approval/v1",
            "sequence": len(state.releases),
            **others,
        }
        return statement("approval", document, environment, predicate), document

    def approve(self, name, environment, signers, expect=None, document=None, **others):
        value, document = self.approval_statement(environment, document, **others)
        self.add(name, sign(value, signers), document, expect)

    def enrolment_statement(self, record, action="enrol", **others):
        name = orders.host_keyid(orders.host(record))
        state = self.ledger.hosts.get(name) or order_rules.Enrolments()
        predicate = {
            "action": action,
            "createdAt": CREATED,
            "ledger": self.ledger.genesis.hex(),
            "number": state.number + 1,
            "previous": state.leaf_hash.hex() if state.leaf_hash else None,
            "schema": "cairn.enrolment/v1",
            **others,
        }
        return statement("enrolment", record, "host", predicate)

    def enrol(self, name, record, signers, expect=None, **others):
        self.add(name, sign(self.enrolment_statement(record, **others), signers), record, expect)

    def record(self, name="map record", expect=None, **others):
        self.time += 1000
        trie = self.ledger.map
        values = {"covers": self.ledger.size, "root": trie.root(), "rows": trie.rows}
        values = {**values, "time": self.time, **others}
        self.add(name, map_record(**values), None, expect)

    def checkpoint(self, raw, clock_time=None, keys=None):
        """A signed note of these leaves, by the keys of its size unless others are given."""
        root = merkle.root([merkle.leaf_hash(leaf) for leaf in raw])
        text = notes.note_text(self.origin, len(raw), root)
        log, clock = keys or [item[1:] for item in self.keys if item[0] < len(raw)][-1]
        note = text + b"\n" + notes.log_line(log, self.origin, text)
        if clock_time is not None:
            note += notes.clock_line(clock, self.origin, text, clock_time)
        return note

    def trust_keys(self):
        predicate = genesis_predicate(self.origin, self.log, self.clock)
        return {name: predicate[name] for name in ("origin", "logKey", "clockKey")}

    def trust(self):
        genesis = self.ledger.genesis.hex()
        return {"schema": "cairn.trust/v1", **self.trust_keys(), "genesis": genesis}
