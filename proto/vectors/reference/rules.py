"""The rules (SPEC 7): a ledger's state as a pure function of its leaves and documents.

Invariant: a leaf that is refused leaves the state as it was, but for the count of leaves.
"""

from . import crypto, entries, merkle, notes, order_rules, orders, trie
from .canon import Refused
from .names import matches

NAME_REUSE = "cairn.name-reuse"  # the annotation with which a name may stand for other bytes


class Environment:
    """What the rules remember of an environment's release entries."""

    def __init__(self):
        self.releases = []  # (action, artifacts digest, manifest digests)
        self.leaf_hash = None
        self.approvals = 0  # of the last release
        self.digest_set = frozenset()
        self.history = merkle.Growing()


class Digest:
    """A row of kind `digest`."""

    def __init__(self, index):
        self.first = self.last = index
        self.count = 0
        self.chain = bytes(32)


def decode_document(envelope, data):
    """Rule 2: the document decodes for its kind and matches both digests."""
    decoded = orders.DECODERS[envelope.kind](data)
    if crypto.blake(data) != envelope.blake3 or crypto.sha256(data) != envelope.sha256:
        raise Refused("DOCUMENT_MISMATCH")
    return decoded


def check_signatures(envelope, named):
    """Every keyid is named and every signature verifies. `named`: keyid -> key."""
    for keyid, _ in envelope.signatures:
        if keyid not in named:
            raise Refused("UNKNOWN_SIGNER", keyid)
    message = envelope.signed_bytes()
    for keyid, signature in envelope.signatures:
        if not crypto.verify(named[keyid], message, signature):
            raise Refused("BAD_SIGNATURE", keyid)
    return {keyid for keyid, _ in envelope.signatures}


def check_threshold(signers, policy):
    if len(signers & policy.admins.keys()) < policy.threshold:
        raise Refused("TOO_FEW_SIGNATURES")


def check_genesis(envelope, policy):
    """Rule 3, but for the index."""
    if policy.version != 1:
        raise Refused("WRONG_VERSION")
    predicate = envelope.predicate
    log_key = notes.parse_vkey(predicate["logKey"])
    clock_key = notes.parse_vkey(predicate["clockKey"])
    origin = predicate["origin"]
    wanted = (origin, notes.LOG_KEY, f"{origin}/clock", notes.COSIGNER_KEY)
    if (log_key.name, log_key.kind, clock_key.name, clock_key.kind) != wanted:
        raise Refused("GENESIS_KEYS")
    if log_key.public == clock_key.public:
        raise Refused("GENESIS_KEYS", "one key for both")
    check_threshold(check_signatures(envelope, policy.admins), policy)


def check_revocations(policy, current):
    """What is revoked stays so, from no later entry on; without an index is later than any."""
    for keyid, since in current.revoked.items():
        if keyid not in policy.revoked:
            raise Refused("REVOCATION_LIFTED", keyid)
        renewed = policy.revoked[keyid]
        if since is not None and (renewed is None or renewed > since):
            raise Refused("REVOCATION_LIFTED", keyid)


def check_policy(envelope, policy, current, current_leaf_hash):
    """Rule 5."""
    predicate = envelope.predicate
    if not predicate["version"] == policy.version == current.version + 1:
        raise Refused("WRONG_VERSION")
    if predicate["previous"] != current_leaf_hash.hex():
        raise Refused("WRONG_PREVIOUS")
    check_revocations(policy, current)
    signers = check_signatures(envelope, {**current.admins, **policy.admins})
    check_threshold(signers, current)
    check_threshold(signers, policy)


def check_signers(envelope, policy, broken=None):
    """The rules of 7.6 on the signers of a release, and of 7.8 on those of an approval. `broken`
    is the break-glass order that a release names; how many are enough."""
    predicate = envelope.predicate
    action, environment = predicate.get("action", "release"), predicate["environment"]
    signers = check_deployers(envelope, policy)
    for keyid in signers:
        check_allowed(policy.deployers[keyid], action, environment)
    enough = policy.approvals(environment)
    if "breakGlass" in predicate:
        if broken is None or not matches(broken.pattern, environment):
            raise Refused("BREAK_GLASS_UNKNOWN")
        enough = min(enough, broken.approvals or enough)
    if len(signers) < enough:
        raise Refused("TOO_FEW_APPROVALS")
    return enough


def check_deployers(envelope, policy):
    return check_signatures(envelope, {k: d.key for k, d in policy.deployers.items()})


def check_allowed(deployer, action, environment):
    if action not in deployer.actions or not deployer.reaches(environment):
        raise Refused("SIGNER_NOT_ALLOWED")


def check_release(envelope, manifest, environment):
    """7.6 after its signers, but for names: `environment` is its state before this entry."""
    predicate, releases = envelope.predicate, environment.releases
    if predicate["sequence"] != len(releases) + 1:
        raise Refused("WRONG_SEQUENCE")
    previous = environment.leaf_hash.hex() if releases else None
    if predicate.get("previous") != previous:
        raise Refused("WRONG_PREVIOUS")
    if predicate["action"] == "rollback":
        target = predicate["rollbackTo"]
        if target > len(releases) or releases[target - 1][0] == "retire":
            raise Refused("ROLLBACK_TARGET")
        if releases[target - 1][1] != manifest.artifacts_digest:
            raise Refused("ROLLBACK_ARTIFACTS")
    if predicate["action"] == "retire":
        if not releases or releases[-1][0] == "retire":
            raise Refused("ALREADY_RETIRED")
        if releases[-1][2] != (envelope.blake3, envelope.sha256):
            raise Refused("RETIRE_MANIFEST")


def check_contents(envelope, manifest, erased):
    if envelope.predicate["action"] != "retire" and manifest.contents & erased:
        raise Refused("CONTENT_ERASED")


def check_names(envelope, manifest, stands_for):
    """The last of 7.6: `stands_for` is what each name does before this entry."""
    predicate = envelope.predicate
    if predicate["action"] != "release" or NAME_REUSE in predicate.get("annotations", ()):
        return
    for name, sha256 in manifest.stands_for.items():
        if stands_for.get(name, sha256) != sha256:
            raise Refused("NAME_REUSED", name)


class Ledger:
    """`append` takes the leaves in order; `map` is the map after those it accepted."""

    def __init__(self):
        self.size = 0
        self.genesis = None
        self.policy = None
        self.policy_leaf_hash = None
        self.policy_history = merkle.Growing()
        self.leaves = merkle.Growing()
        self.environments = {}
        self.digests = {}
        self.orders = order_rules.Orders()
        self.hosts = {}  # keyid in bytes -> order_rules.Enrolments
        self.stands_for = {}  # each immutable name -> sha256, whatever the environment
        self.time = 0
        self.map = trie.Trie()
        self.rows = {}  # (kind, name) -> row

    def append(self, leaf, document_of):
        """Judge a leaf. `document_of(envelope)` gives its decoded document (rule 2)."""
        index = self.size
        self.size += 1
        leaf_hash = merkle.leaf_hash(leaf)
        try:
            return self._append(leaf, leaf_hash, index, document_of)
        finally:  # a refused leaf is one of the log all the same
            self.leaves.append(leaf_hash)

    def _append(self, leaf, leaf_hash, index, document_of):
        entry = entries.decode(leaf)
        if isinstance(entry, entries.MapRecord):
            self._map_record(entry, index)
            return entry
        document = document_of(entry)
        if entry.kind == "genesis":
            if index != 0:
                raise Refused("GENESIS_TWICE")
            check_genesis(entry, document)
            self.genesis = leaf_hash
            self.orders.begin(entry.predicate)
            self._set_policy(document, index, leaf_hash)
            return entry
        if self.genesis is None:
            raise Refused("GENESIS_MISSING")
        if entry.predicate["ledger"] != self.genesis.hex():
            raise Refused("WRONG_LEDGER")
        self._by_kind(entry, document, index, leaf_hash)
        return entry

    def _by_kind(self, entry, document, index, leaf_hash):
        if entry.kind == "policy":
            check_policy(entry, document, self.policy, self.policy_leaf_hash)
            self._set_policy(document, index, leaf_hash)
        elif entry.kind == "release":
            self._judge_release(entry, document)
            self._release(entry, document, index, leaf_hash)
        elif entry.kind == "approval":
            check_signers(entry, self.policy)
            environment = self.environments.get(entry.predicate["environment"]) or Environment()
            order_rules.check_approval(entry, environment)
            environment.approvals += 1
        elif entry.kind == "enrolment":
            self._enrolment(entry, document, index, leaf_hash)
        else:
            signers = check_signatures(entry, self.policy.admins)
            check_threshold(signers, self.policy)
            self.orders.check(entry, document, index, self.time, self.leaves.root())
            row = self.orders.append(document, index, leaf_hash)
            self._set_row("orders", b"orders", row.bytes())

    def _judge_release(self, entry, manifest):
        broken = self.orders.broken(entry.predicate)
        check_signers(entry, self.policy, broken)
        if broken and broken.over(self.time):
            raise Refused("BREAK_GLASS_EXPIRED")
        name = entry.predicate["environment"]
        check_release(entry, manifest, self.environments.get(name) or Environment())
        check_contents(entry, manifest, self.orders.erased)
        check_names(entry, manifest, self.stands_for)

    def _enrolment(self, entry, record, index, leaf_hash):
        signers = check_deployers(entry, self.policy)
        deployers = [self.policy.deployers[keyid] for keyid in signers]
        for deployer in deployers:
            check_allowed(deployer, "enrol", record.environment)
        name = orders.host_keyid(record)
        host = self.hosts.get(name) or order_rules.Enrolments()
        host.check(entry)
        if host.action == entry.predicate["action"] == "enrol":
            for deployer in deployers:
                check_allowed(deployer, "enrol", host.environment)
        row = host.append(entry, record, index, leaf_hash)
        self.hosts[name] = host
        self._set_row("host", name, row.bytes())

    def _map_record(self, record, index):
        if self.genesis is None:
            raise Refused("GENESIS_MISSING")
        expected = (index, self.map.root(), self.map.rows)
        if (record.covers, record.root, record.rows) != expected or record.time < self.time:
            raise Refused("MAP_RECORD_WRONG")
        self.time = record.time

    def _set_row(self, kind, name, row):
        self.rows[kind, name] = row
        self.map.set(trie.key(kind, name), trie.row_hash(kind, row))

    def _set_policy(self, policy, index, leaf_hash):
        self.policy, self.policy_leaf_hash = policy, leaf_hash
        self.policy_history.append(merkle.leaf_hash(trie.u64(index) + leaf_hash))
        row = trie.PolicyRow(policy.version, index, leaf_hash, self.policy_history.root())
        self._set_row("policy", b"policy", row.bytes())

    def _release(self, envelope, manifest, index, leaf_hash):
        predicate = envelope.predicate
        name, action = predicate["environment"], predicate["action"]
        environment = self.environments.setdefault(name, Environment())
        item = (action, manifest.artifacts_digest, (envelope.blake3, envelope.sha256))
        environment.releases.append(item)
        environment.leaf_hash, environment.approvals = leaf_hash, 0
        environment.history.append(merkle.leaf_hash(trie.u64(index) + leaf_hash))
        row = trie.EnvironmentRow(
            predicate["sequence"],
            index,
            leaf_hash,
            trie.ACTION_CODES[action],
            environment.history.root(),
        )
        self._set_row("environment", name.encode(), row.bytes())
        after = frozenset() if action == "retire" else manifest.digest_set
        for sha256 in environment.digest_set ^ after:
            self._touch(sha256, index, leaf_hash)
        environment.digest_set = after
        if action == "release":
            self.stands_for.update(manifest.stands_for)

    def _touch(self, sha256, index, leaf_hash):
        digest = self.digests.setdefault(sha256, Digest(index))
        digest.last = index
        digest.count += 1
        digest.chain = crypto.blake(digest.chain + trie.u64(index) + leaf_hash)
        row = trie.digest_row(digest.first, digest.last, digest.count, digest.chain)
        self._set_row("digest", sha256, row)
