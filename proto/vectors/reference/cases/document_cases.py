"""documents.json: policies, manifests, tree listings, digests and withheld values."""

from .. import canon, crypto, documents, orders
from . import edits
from .builder import (
    artifact,
    comparison,
    digests_of,
    manifest_value,
    policy_value,
    withheld_artifact,
    without_none,
)
from .object_cases import immutable_names, objects, withheld_within
from .order_documents import HOST, REDACTION, bad_orders, good_orders, hosts, largest_orders, rights
from .policy_cases import INVALID, MISSING, NEWER, UNKNOWN, A, case, policies
from .revocation_cases import largest, lockouts, overlaps, revocations

DESCRIPTION = (
    "Documents. `kind` is policy, manifest, tree, redaction, break-glass, key-succession or host "
    "(its record) with `document_text`, or `withheld`: the tag "
    "and key id of a value under `key_hex`. `digest_set_hex` is the set of sha256 that a release "
    "of the manifest has, ascending. `spaces_to` says to append spaces up to that many bytes."
    + edits.HOW_TO_READ
)
SPEC = "1, 4, 4.1, 4.2, 5"

SECRET = crypto.sha256(b"cairn vectors secret")
DECODERS = {
    "policy": documents.policy,
    "tree": documents.tree,
    "host": orders.host,
    **{kind: orders.DECODERS[kind] for kind in ("redaction", "break-glass", "key-succession")},
}


def manifests():
    one, hidden = artifact("a", b"1"), withheld_artifact(".env", b"secret")
    layers = [
        artifact("img", b"index", kind="image", platform="linux/amd64"),
        artifact("img/blobs/sha256/c", b"c", kind="image-config", parent="img/blobs/sha256/m"),
        artifact("img/blobs/sha256/l", b"l", kind="image-layer", parent="img/blobs/sha256/m"),
        artifact("img/blobs/sha256/m", b"m", kind="image-manifest", parent="img"),
    ]
    kinds = [
        artifact("d", b"", kind="directory", mode="0755"),
        artifact("f", b"f", mode="0644", mediaType="text/plain"),
        artifact("l", b"f", kind="symlink", mode="0777"),
        artifact("t", b'{"entries":[],"schema":"cairn.tree/v1"}', kind="tree"),
        artifact("x", b"x", storage="external", size=2**53 - 1),
    ]
    ignoring = comparison(ignore=["*#/mode", "a#/mode", "b/c#/mode"], unmeasured="accept")
    external = {"storage": "external"}
    for name, value, *reason in (
        ("smallest", manifest_value(one)),
        ("withheld", manifest_value(hidden, one)),
        ("withheld only", manifest_value(hidden)),
        ("one content under two names", manifest_value(one, artifact("b", b"1"))),
        ("kinds and storage", manifest_value(*kinds)),
        ("image", manifest_value(*layers)),
        ("root tree", manifest_value(artifact(".", b"t", kind="tree"))),
        ("ignore pointers", manifest_value(one, comparison=ignoring)),
        ("names sort bytewise", manifest_value(*map(artifact, ("B", "a-", "a/b", "\u00e9")))),
        ("mediaType with spaces", manifest_value(artifact("a", mediaType='text/plain; a=" ~"'))),
        ("a withheld symlink", manifest_value({**hidden, "kind": "symlink"})),
        ("an external directory", manifest_value(artifact("d", b"", kind="directory", **external))),
        ("parents in a long row", manifest_value(*row_of_parents(40))),
        ("a schema of 200 bytes", {**manifest_value(one), "schema": "s" * 200}, NEWER),
        ("platform with a variant", manifest_value(artifact("a", platform="linux/arm/v7"))),
    ):
        yield case("manifest", name, value, *reason)
    yield from (case("manifest", n, v, r) for n, v, r in bad_manifests(one))
    yield from (
        case("manifest", f"artifact: {n}", manifest_value(v), r)
        for n, v, r in bad_artifacts(hidden)
    )
    yield from (case("manifest", n, v, r) for n, v, r in bad_comparisons(one))


def bad_manifests(one):
    two = artifact("b", b"2")
    yield "no artifacts", manifest_value(), INVALID
    yield "artifacts descend", manifest_value(two, one), INVALID
    yield "one name twice", manifest_value(one, one), INVALID
    yield "names sorted without regard to case", manifest_value(one, artifact("B")), INVALID
    yield "parent that is absent", manifest_value(artifact("a", parent="b")), INVALID
    yield "its own parent", manifest_value(artifact("a", parent="a")), INVALID
    pair = [artifact("a", parent="b"), artifact("b", parent="a")]
    yield "two parents of each other", manifest_value(*pair), INVALID
    ring = row_of_parents(5)
    ring[0]["parent"] = ring[-1]["name"]
    yield "parents in a ring", manifest_value(*ring), INVALID
    ring[0]["parent"] = ring[2]["name"]
    yield "a ring that others lead to", manifest_value(*ring), INVALID
    yield "another member", manifest_value(one, zone=1), UNKNOWN
    newer = comparison(profile="files/v2", zone=1)
    yield "a later profile before all else", manifest_value(comparison=newer, zone=1), NEWER
    yield "no comparison", manifest_value(one, comparison=None), MISSING
    yield "no schema", manifest_value(one, schema=None), MISSING
    yield "a later schema", manifest_value(one, schema="cairn.manifest/v2"), NEWER
    yield "artifacts is an object", manifest_value(one, artifacts={}), INVALID
    yield "white space", b" " + canon.encode(manifest_value(one)), "JSON_NOT_CANONICAL"
    big = canon.encode(manifest_value(one)).replace(b'"size":1', b'"size":9007199254740992')
    yield "size 2^53", big, "JSON_NUMBER"


def row_of_parents(count):
    """Each but the first has the one before it for a parent."""
    listed = [f"{i:02}" for i in range(count)]
    return [artifact(n, parent=before) for n, before in zip(listed, [None, *listed])]


def bad_artifacts(hidden):
    digests = digests_of(b"")
    for name in ("", ".", "..", "/a", "a/", "a//b", "a/../b", "./a", "a\nb", "a\u007f"):
        yield f"name {name!r}", artifact(name), INVALID
    yield "name of 1025 bytes", artifact("a" * 1025), INVALID
    for name, change, reason in (
        ("kind unknown to the profile", {"kind": "host"}, INVALID),
        ("kind in capitals", {"kind": "File"}, INVALID),
        ("storage unknown", {"storage": "lost"}, INVALID),
        ("size negative", {"size": -1}, INVALID),
        ("size is text", {"size": "0"}, INVALID),
        ("mode of three digits", {"mode": "644"}, INVALID),
        ("mode no octal", {"mode": "0888"}, INVALID),
        ("mode is a number", {"mode": 644}, INVALID),
        ("mediaType empty", {"mediaType": ""}, INVALID),
        ("mediaType beyond ASCII", {"mediaType": "text/\u00e9"}, INVALID),
        ("mediaType of 256 bytes", {"mediaType": "a" * 256}, INVALID),
        ("platform without arch", {"platform": "linux"}, INVALID),
        ("platform of four parts", {"platform": "a/b/c/d"}, INVALID),
        ("digest in capitals", {"digests": {**digests, "sha256": "AB" * 32}}, INVALID),
        ("digest too short", {"digests": {**digests, "blake3": "ab"}}, INVALID),
        ("digests without blake3", {"digests": {"sha256": digests["sha256"]}}, MISSING),
        ("a third digest", {"digests": {**digests, "md5": "00"}}, UNKNOWN),
        ("no digests", {"digests": None}, MISSING),
        ("no size", {"size": None}, MISSING),
        ("both kinds of bytes", {"withheld": hidden["withheld"]}, UNKNOWN),
        ("a directory with bytes", {"kind": "directory", "digests": digests_of(b"1")}, INVALID),
        ("a directory with a size", {"kind": "directory", "size": 1}, INVALID),
        ("no kind", {"kind": None}, MISSING),
        ("another member", {"owner": "root"}, UNKNOWN),
    ):
        yield name, artifact("a", **change), reason
    short = {**hidden["withheld"], "tag": "ab" * 31}
    long_id = {**hidden["withheld"], "keyId": "ab" * 32}
    for name, change, reason in (
        ("withheld without its tag", {"withheld": None}, MISSING),
        ("tag too short", {"withheld": short}, INVALID),
        ("keyId of 32 bytes", {"withheld": long_id}, INVALID),
        ("withheld with another member", {"withheld": {**hidden["withheld"], "x": 1}}, UNKNOWN),
        ("withheld with digests", {"digests": digests_of(b"")}, UNKNOWN),
        ("withheld with a size", {"size": 0}, UNKNOWN),
        ("withheld directory", {"kind": "directory"}, INVALID),
        ("withheld tree", {"kind": "tree"}, INVALID),
        ("withheld image", {"kind": "image"}, INVALID),
        ("withheld image layer", {"kind": "image-layer"}, INVALID),
        ("withheld without a keyId", {"withheld": {"tag": "ab" * 32}}, MISSING),
    ):
        yield name, without_none({**hidden, **change}), reason


def bad_comparisons(one):
    for name, change, reason in (
        ("another profile", {"profile": "files/v2"}, NEWER),
        ("ignore descends", {"ignore": ["b#/mode", "a#/mode"]}, INVALID),
        ("ignore twice", {"ignore": ["a#/mode", "a#/mode"]}, INVALID),
        ("ignore another pointer", {"ignore": ["a#/size"]}, INVALID),
        ("ignore without a pointer", {"ignore": ["a"]}, INVALID),
        ("ignore a pattern", {"ignore": ["a//b#/mode"]}, INVALID),
        ("unmeasured unknown", {"unmeasured": "ignore"}, INVALID),
        ("comparison without unmeasured", {"unmeasured": None}, MISSING),
        ("comparison without a profile", {"profile": None}, MISSING),
        ("comparison with another member", {"zone": 1}, UNKNOWN),
    ):
        yield name, manifest_value(one, comparison=comparison(**change)), reason


def trees():
    def listing(*entries, **others):
        return without_none({"entries": list(entries), "schema": "cairn.tree/v1", **others})

    def entry(name, content=b"", **others):
        value = {"digests": digests_of(content), "kind": "file", "mode": "0644", "name": name}
        return without_none({**value, "size": len(content), **others})

    tag = crypto.withheld_tag(SECRET, "prod/web", "app/.env", "", b"secret")
    hidden = {"keyId": crypto.secret_key_id(SECRET).hex(), "tag": tag.hex()}
    secret = entry(".env", digests=None, size=None, withheld=hidden)
    link = entry("l", b"a", kind="symlink", mode="0777")
    folder = entry("d", kind="directory", mode="0755")
    for name, value, reason in (
        ("one file", listing(entry("a", b"1")), None),
        ("all kinds", listing(secret, entry("a/b", b"1"), folder, link), None),
        ("entries descend", listing(entry("b"), entry("a")), INVALID),
        ("one name twice", listing(entry("a"), entry("a")), INVALID),
        ("a tree inside", listing(entry("a", kind="tree")), INVALID),
        ("an image inside", listing(entry("a", kind="image")), INVALID),
        ("name with dots", listing(entry("a/../b")), INVALID),
        ("no mode", listing(entry("a", mode=None)), MISSING),
        ("no size", listing(entry("a", size=None)), MISSING),
        ("size negative", listing(entry("a", size=-1)), INVALID),
        ("a directory with bytes", listing(entry("d", b"1", kind="directory")), INVALID),
        ("a directory with a size", listing(entry("d", kind="directory", size=1)), INVALID),
        ("a withheld directory", listing({**secret, "kind": "directory"}), INVALID),
        ("withheld with a size", listing({**secret, "size": 0}), UNKNOWN),
        ("the root itself", listing(entry(".")), INVALID),
        ("no entries", listing(), None),
        ("storage stated", listing(entry("a", storage="stored")), UNKNOWN),
        (
            "withheld tag too short",
            listing({**secret, "withheld": {**hidden, "tag": "00"}}),
            INVALID,
        ),
        ("another member", listing(zone=1), UNKNOWN),
        ("no entries member", listing(entries=None), MISSING),
        ("entries is an object", listing(entries={}), INVALID),
        ("a later schema", listing(schema="cairn.tree/v2"), NEWER),
        ("line feed at the end", canon.encode(listing(entry("a"))) + b"\n", "JSON_NOT_CANONICAL"),
    ):
        yield case("tree", name, value, reason)


def withheld_values():
    for name, environment, artifact_name, pointer, value in (
        ("whole file", "prod/web", ".env", "", b"secret"),
        ("empty value", "prod/web", ".env", "", b""),
        ("another environment", "prod/db", ".env", "", b"secret"),
        ("entry of a tree", "prod/web", "app/.env", "", b"secret"),
        ("with a pointer", "prod/web", ".env", "/data/password", b"secret"),
        ("lengths part what joins alike", "prod/web", ".en", "v", b"secret"),
    ):
        inputs = {"key_hex": SECRET.hex(), "environment": environment, "artifact": artifact_name}
        inputs |= {"pointer": pointer, "value_hex": value.hex()}
        yield {"name": f"withheld: {name}", "kind": "withheld", **inputs}, {"ok": True}


def sizes():
    """Size is looked at before anything else, white space among the last."""
    policy = policy_value(1, [A], 1)
    manifest = manifest_value(artifact("a", b"1"))
    for kind, value, most in (
        ("policy", policy, documents.POLICY_BYTES_MAX),
        ("manifest", manifest, documents.MANIFEST_BYTES_MAX),
        ("redaction", REDACTION, orders.ORDER_BYTES_MAX),
        ("host", HOST, orders.HOST_BYTES_MAX),
    ):
        for size, reason in ((most, "JSON_NOT_CANONICAL"), (most + 1, "DOCUMENT_TOO_LARGE")):
            inputs, expected = case(kind, f"{size} bytes", value, reason)
            yield {**inputs, "spaces_to": size}, expected


def build():
    revoking = (revocations, lockouts, overlaps, largest)
    files = (manifests, trees, sizes)
    profile = (objects, immutable_names, withheld_within, withheld_values)
    ordering = (rights, good_orders, bad_orders, largest_orders, hosts)
    for cases in (policies, *revoking, *files, *profile, *ordering):
        yield from edits.compacted("document", cases())


def run(case_value, earlier):
    kind = case_value["kind"]
    if kind == "withheld":
        key, value = bytes.fromhex(case_value["key_hex"]), bytes.fromhex(case_value["value_hex"])
        names = (case_value[name] for name in ("environment", "artifact", "pointer"))
        tag = crypto.withheld_tag(key, *names, value)
        key_id = crypto.secret_key_id(key)
        found = {"key_id_hex": key_id.hex(), "tag_hex": tag.hex()}
        if "within" in case_value:
            found["within_text"] = documents.withheld_text(key_id, tag)
        return found
    data = edits.text_of("document", case_value, earlier).ljust(case_value.get("spaces_to", 0))
    if kind in DECODERS:
        DECODERS[kind](data)
    else:
        manifest = documents.manifest(data)
        shown = sorted(manifest.digest_set)
        digest = manifest.artifacts_digest.hex()
        ignored = {}
        if "ignored_of" in case_value:
            of = (manifest.value["comparison"], case_value["ignored_of"])
            ignored = {"ignored": documents.ignored(*of)}
        return {
            **both(data),
            "artifacts_digest_hex": digest,
            "digest_set_hex": [d.hex() for d in shown],
            **ignored,
        }
    return both(data)


def both(data):
    return {"blake3_hex": crypto.blake(data).hex(), "sha256_hex": crypto.sha256(data).hex()}
