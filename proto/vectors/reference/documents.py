"""Documents: policies, manifests and tree listings (SPEC 4 and 5). Orders and host records are in
`orders`."""

from typing import NamedTuple

from . import canon, crypto, names
from .canon import Refused, array, ascending, bounded, integer, known, members, require, text
from .entries import ACTIONS as RELEASE_ACTIONS
from .entries import digests

POLICY_BYTES_MAX = 262_144
MANIFEST_BYTES_MAX = 4_194_304
TREE_BYTES_MAX = 268_435_456
KINDS = (
    "file symlink directory tree image image-index image-manifest image-config image-layer"
).split()
OBJECT_KINDS = [*KINDS, "object", "input", "name"]
PROFILES = {"files/v1": KINDS, "objects/v1": OBJECT_KINDS}  # the kinds of each
POINTER_BYTES_MAX = 2048
TREE_KINDS = ("file", "symlink", "directory")
NOTHING = (crypto.blake(b""), crypto.sha256(b""))
ACTIONS = ("enrol", *RELEASE_ACTIONS)  # what a deployer may be allowed


class Deployer(NamedTuple):
    key: bytes
    actions: tuple
    patterns: tuple

    def reaches(self, environment):
        return any(names.matches(pattern, environment) for pattern in self.patterns)


class Rule(NamedTuple):
    """What is not asked for is None."""

    pattern: str
    approvals: int | None
    max_staleness: int | None
    witnesses: int | None


class Policy(NamedTuple):
    """`admins`, `deployers` and `revoked` are by keyid."""

    version: int
    admins: dict
    threshold: int
    deployers: dict
    rules: list
    revoked: dict  # to the index from which on it counts for nothing, or None

    def approvals(self, environment):
        """The strictest k of all rules that match; 1 where there is none (SPEC 7.6)."""
        return max(self.asked_for("approvals", environment), default=1)

    def max_staleness(self, environment):
        return min(self.asked_for("max_staleness", environment), default=None)

    def witnesses(self, environment):
        """How many witnesses the rules that match ask for at most; 0 where none does (SPEC 9.1)."""
        return max(self.asked_for("witnesses", environment), default=0)

    def asked_for(self, field, environment):
        """What the rules that match say of one thing."""
        matching = (r for r in self.rules if names.matches(r.pattern, environment))
        return [value for value in (getattr(r, field) for r in matching) if value is not None]

    def strikes(self, keyid, index):
        """What the key signed in this entry counts for nothing."""
        since = self.revoked.get(keyid)
        return since is not None and since <= index

    def releasers(self, pattern):
        """How many may release in some environment of a pattern."""
        return sum(
            "release" in deployer.actions
            and any(names.overlap(pattern, own) for own in deployer.patterns)
            for deployer in self.deployers.values()
        )


class Manifest(NamedTuple):
    artifacts_digest: bytes
    digest_set: frozenset  # sha256 of what is not withheld
    contents: frozenset  # blake3 of what is stored
    stands_for: dict  # the name of each artifact of kind `name` -> its sha256
    value: dict


def public_key(value):
    key = names.base64_bytes(value, 32)
    if not crypto.key_ok(key):
        raise Refused("KEY_WEAK")
    return key


def _named_keys(items, required, low, high):
    """Keys strictly ascending by name, none of them twice."""
    array(items, low, high)
    for item in items:
        members(item, required)
        require(names.is_label(item["name"]), "name of a key")
    ascending([item["name"] for item in items], "keys must ascend by name")
    keys = [public_key(item["key"]) for item in items]
    require(len(set(keys)) == len(keys), "one key twice")
    return keys


def _deployer(item, key):
    actions, patterns = item["actions"], item["environments"]
    array(actions, 1, len(ACTIONS))
    require(all(action in ACTIONS for action in actions), "actions")
    ascending(actions, "actions")
    array(patterns, 1, 64)
    require(all(names.is_pattern(pattern) for pattern in patterns), "environments")
    ascending(patterns, "environments")
    return Deployer(key, tuple(actions), tuple(patterns))


def _rule(rule):
    members(rule, ("environments",), ("approvals", "maxStaleness", "witnesses"))
    require(names.is_pattern(rule["environments"]), "environments of a rule")
    require(len(rule) > 1, "a rule that says nothing")
    for member, most in (("approvals", 16), ("maxStaleness", 2**31 - 1), ("witnesses", 16)):
        if member in rule:
            integer(rule[member], 1, most)
    asked_for = (rule.get(member) for member in ("approvals", "maxStaleness", "witnesses"))
    return Rule(rule["environments"], *asked_for)


def _revocation(item):
    members(item, ("key",), ("reason", "since"))
    if "reason" in item:
        text(item["reason"], 1, 256)
    if "since" in item:
        integer(item["since"], 0)
    return public_key(item["key"]), item.get("since")


def _revocations(items):
    """Keys strictly ascending by their bytes, which is another order than that of their base64."""
    found = [_revocation(item) for item in array(items, 1, 1024)]
    keys = [key for key, _ in found]
    require(all(a < b for a, b in zip(keys, keys[1:])), "revoked keys must ascend")
    return {crypto.keyid(key): since for key, since in found}


def _check_whole(found):
    """What no member shows alone, once all are well formed."""
    if found.revoked.keys() & (found.admins.keys() | found.deployers.keys()):
        raise Refused("KEY_REVOKED")
    for rule in found.rules:
        able = found.releasers(rule.pattern)
        if rule.approvals and able and able + len(found.revoked) < rule.approvals:
            raise Refused("POLICY_LOCKOUT", rule.pattern)
    return found


def policy(data):
    bounded(data, POLICY_BYTES_MAX)
    value = canon.decode(data)
    known(value, "schema", "cairn.policy/v1")
    members(value, ("admins", "deployers", "rules", "schema", "version"), ("revoked",))
    admins = members(value["admins"], ("keys", "threshold"))
    admin_keys = _named_keys(admins["keys"], ("key", "name"), 1, 64)
    integer(admins["threshold"], 1, len(admin_keys))
    shape = ("actions", "environments", "key", "name")
    deployer_keys = _named_keys(value["deployers"], shape, 0, 1024)
    deployers = [_deployer(item, key) for item, key in zip(value["deployers"], deployer_keys)]
    rules = [_rule(rule) for rule in array(value["rules"], 0, 256)]
    ascending([rule.pattern for rule in rules], "rules")
    found = Policy(
        integer(value["version"], 1),
        {crypto.keyid(key): key for key in admin_keys},
        admins["threshold"],
        {crypto.keyid(deployer.key): deployer for deployer in deployers},
        rules,
        _revocations(value["revoked"]) if "revoked" in value else {},
    )
    return _check_whole(found)


def withheld(value):
    members(value, ("keyId", "tag"))
    return names.hex_bytes(value["keyId"], 16), names.hex_bytes(value["tag"], 32)


def withheld_text(key_id, tag):
    """What stands within an object in the place of a withheld value."""
    return f"cairn:withheld:{key_id.hex()}:{tag.hex()}"


def _hideable(kind, detail):
    """`input` is no kind of `files/v1` and none of a tree: those refuse it by itself."""
    require(kind in ("file", "symlink", "input"), detail)


def _shown(item):
    """Digests and size; those of an empty directory are of nothing."""
    found = digests(item["digests"])
    size = integer(item["size"], 0)
    if item["kind"] == "directory":
        require((size, *found) == (0, *NOTHING), "a directory has no bytes")


def _blake3(item):
    return bytes.fromhex(item["digests"]["blake3"])


def _sha256(item):
    return bytes.fromhex(item["digests"]["sha256"])


def _artifact(item, kinds):
    required, optional = ("kind", "name", "storage"), ("mediaType", "mode", "parent", "platform")
    storage = item.get("storage") if isinstance(item, dict) else None
    bytes_of = ("withheld",) if storage == "withheld" else ("digests", "size")
    members(item, required + bytes_of, optional)
    require(storage in ("stored", "external", "withheld"), "storage")
    require(item["kind"] in kinds, "kind")
    if item["kind"] == "object":
        require(storage == "stored" and "mediaType" in item, "object")
    if item["kind"] == "name":
        require(storage == "external", "a name is external")
    root_tree = item["name"] == "." and item["kind"] == "tree"
    require(root_tree or names.is_file_name(item["name"]), "name")
    if storage == "withheld":
        withheld(item["withheld"])
        _hideable(item["kind"], "withheld")
    else:
        _shown(item)
    if "mediaType" in item:
        require(names.is_printable(item["mediaType"]), "mediaType")
    if "mode" in item:
        require(names.is_mode(item["mode"]), "mode")
    if "platform" in item:
        require(names.is_platform(item["platform"]), "platform")


def _parents(artifacts):
    """Each is another artifact, and going from parent to parent comes to an end."""
    parents = {item["name"]: item.get("parent") for item in artifacts if "parent" in item}
    present = {item["name"] for item in artifacts}
    ends = present - parents.keys()
    for name, parent in parents.items():
        require(isinstance(parent, str) and parent in present, "parent")
        walk = []
        while name not in ends:
            walk.append(name)
            name = parents[name]
            require(isinstance(name, str) and name in present, "parent")
            require(len(walk) <= len(parents), "parents go round")
        ends.update(walk)


def _pointer(value, profile):
    """(target, path). An artifact's name may hold `#/`: only `files/v1` has a pointer to it."""
    text(value, 1, POINTER_BYTES_MAX)
    if profile == "files/v1":
        require(value.endswith("#/mode"), "ignore")
        name, path = value.removesuffix("#/mode"), "mode"
    else:
        name, _, path = value.partition("#/")
        require(path and not names.has_control(path), "ignore")
    require(name in ("*", ".") or names.is_file_name(name), "ignore")
    return name, path


def ignored(comparison, name):
    """The JSON pointers of what is not compared in the artifact of that name, ascending."""
    found = (_pointer(value, comparison["profile"]) for value in comparison["ignore"])
    return sorted({f"/{path}" for target, path in found if target in ("*", name)})


def _comparison(value):
    require(isinstance(value, dict), "comparison")
    known(value, "profile", *PROFILES)
    members(value, ("ignore", "profile", "unmeasured"))
    for pointer in array(value["ignore"], 0, 256):
        _pointer(pointer, value["profile"])
    ascending(value["ignore"], "ignore")
    require(value["unmeasured"] in ("refuse", "accept"), "unmeasured")


def manifest(data):
    bounded(data, MANIFEST_BYTES_MAX)
    value = canon.decode(data)
    known(value, "schema", "cairn.manifest/v1")
    if isinstance(value.get("comparison"), dict):
        known(value["comparison"], "profile", *PROFILES)
    members(value, ("artifacts", "comparison", "schema"))
    _comparison(value["comparison"])
    artifacts = array(value["artifacts"], 1, 8192)
    for item in artifacts:
        _artifact(item, PROFILES[value["comparison"]["profile"]])
    ascending([item["name"] for item in artifacts], "artifacts")
    _parents(artifacts)
    shown = [item for item in artifacts if item["storage"] != "withheld"]
    return Manifest(
        crypto.blake(canon.encode_fast(artifacts)),
        frozenset(_sha256(item) for item in shown),
        frozenset(_blake3(item) for item in shown if item["storage"] == "stored"),
        {item["name"]: _sha256(item) for item in artifacts if item["kind"] == "name"},
        value,
    )


def tree(data):
    bounded(data, TREE_BYTES_MAX)
    value = canon.decode(data)
    known(value, "schema", "cairn.tree/v1")
    members(value, ("entries", "schema"))
    require(isinstance(value["entries"], list), "entries")
    for item in value["entries"]:
        if isinstance(item, dict) and "withheld" in item:
            members(item, ("kind", "mode", "name", "withheld"))
            withheld(item["withheld"])
            _hideable(item["kind"], "withheld")
        else:
            members(item, ("digests", "kind", "mode", "name", "size"))
            _shown(item)
        require(item["kind"] in TREE_KINDS, "kind")
        require(names.is_mode(item["mode"]), "mode")
        require(names.is_file_name(item["name"]), "name")
    ascending([item["name"] for item in value["entries"]], "entries")
    return value


DECODERS = {"genesis": policy, "policy": policy, "release": manifest, "approval": manifest}
