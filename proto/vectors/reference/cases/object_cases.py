"""The manifests of documents.json that are of the profile objects/v1, or would have to be."""

from .. import crypto
from .builder import artifact, comparison, digests_of, manifest_value, withheld_artifact
from .policy_cases import INVALID, MISSING, NEWER, UNKNOWN, case

MEDIA_TYPE = "application/vnd.example.service+json"
POINTER_BYTES_MAX = 2048


def objects():
    for cases in (kinds, bad_kinds, profiles, pointers, bad_pointers, pointers_of_files):
        for name, value, reason in cases():
            yield case("manifest", name, value, reason)
    yield from (case("tree", name, value, INVALID) for name, value in within_trees())
    yield from ignored()


def thing(name="svc", content=b'{"image":"web"}', **others):
    """An artifact of kind `object`."""
    return artifact(name, content, **{"kind": "object", "mediaType": MEDIA_TYPE, **others})


def made_of(name="src", content=b"1", **others):
    """An artifact of kind `input`."""
    return artifact(name, content, kind="input", **others)


def known_as(name="web:1.0", content=b"1", **others):
    """An artifact of kind `name`."""
    return artifact(name, content, **{"kind": "name", "storage": "external", **others})


def value_of(*artifacts, profile="objects/v1", **others):
    return manifest_value(*artifacts, comparison=comparison(profile=profile, **others))


def kinds():
    hidden = {**withheld_artifact("values", b"secret"), "kind": "input"}
    typed = {"mediaType": "application/gzip", "mode": "0644", "platform": "linux/amd64"}
    files = [
        artifact("d", b"", kind="directory", mode="0755"),
        artifact("f", b"f", mode="0644"),
        artifact("i", b"i", kind="image"),
        artifact("i/l", b"l", kind="image-layer", parent="i"),
        artifact("l", b"f", kind="symlink"),
        artifact("t", b'{"entries":[],"schema":"cairn.tree/v1"}', kind="tree"),
        artifact("x", b"x", storage="external"),
    ]
    inputs = [made_of("a"), made_of("b", storage="external"), hidden]
    for name, value in (
        ("an object", value_of(thing())),
        ("two objects", value_of(thing("a/b"), thing("a/c", b"[]"))),
        ("an object with a mode", value_of(thing(mode="0644"))),
        ("an input that is stored", value_of(made_of())),
        ("an input that is external", value_of(made_of(storage="external"))),
        ("an input that is withheld", value_of(hidden)),
        ("an input with all members", value_of(made_of("a"), made_of("b", parent="a", **typed))),
        ("an object whose parent is an input", value_of(made_of("a"), thing("b", parent="a"))),
        ("objects and inputs", value_of(*inputs[:2], thing(), hidden)),
        ("the kinds of files/v1", value_of(*files)),
        ("all kinds", value_of(*files[:6], thing("u"), made_of("w"))),
        ("a withheld file", value_of(withheld_artifact(".env", b"secret"))),
        ("what is unmeasured is accepted", value_of(thing(), unmeasured="accept")),
    ):
        yield f"objects: {name}", value, None


def bad_kinds():
    hidden = withheld_artifact("svc", b"secret")
    secret = {**hidden, "kind": "object", "mediaType": MEDIA_TYPE}
    withheld = {**hidden, "kind": "input"}
    for name, value, reason in (
        ("an object that is external", thing(storage="external"), INVALID),
        ("an object that is withheld", secret, INVALID),
        ("an object without a mediaType", thing(mediaType=None), INVALID),
        ("an object with an empty mediaType", thing(mediaType=""), INVALID),
        ("an object with a withheld member", thing(withheld=hidden["withheld"]), UNKNOWN),
        ("an object that is the root", thing("."), INVALID),
        ("an input that is the root", made_of("."), INVALID),
        ("a withheld input with digests", {**withheld, "digests": digests_of(b"")}, UNKNOWN),
        ("a withheld tree", {**hidden, "kind": "tree"}, INVALID),
        ("a directory with bytes", artifact("d", b"1", kind="directory"), INVALID),
        ("kind unknown to the profile", artifact("a", kind="host"), INVALID),
        ("kind in capitals", thing(kind="Object"), INVALID),
    ):
        yield f"objects: {name}", value_of(value), reason
    for name, value in (
        ("an object", thing()),
        ("an input", made_of()),
        ("a withheld input", withheld),
    ):
        yield f"files: {name}", value_of(value, profile="files/v1"), INVALID


def immutable_names():
    """Artifacts of kind `name`, and where none may stand."""
    hidden = {**withheld_artifact("web:1.0", b"secret"), "kind": "name"}
    typed = {"mediaType": "application/gzip", "mode": "0644", "platform": "linux/amd64"}
    all_kinds = [artifact("f", b"1"), made_of("src"), thing(), known_as(parent="src", **typed)]
    longest = known_as("n" * 1024)
    for name, value, reason in (
        ("a name", value_of(known_as()), None),
        ("a name of no bytes", value_of(known_as(content=b"")), None),
        ("a name that is a path", value_of(known_as("example.com/team/web:1.0")), None),
        ("a name of 1024 bytes", value_of(longest), None),
        ("two names for the same bytes", value_of(known_as(), known_as("web:1.1")), None),
        ("names for two contents", value_of(known_as(), known_as("web:1.1", b"2")), None),
        ("a name for the bytes of a file", value_of(artifact("f", b"1"), known_as()), None),
        ("a name for bytes of 2^53-1", value_of(known_as(size=2**53 - 1)), None),
        ("a name with all members", value_of(*all_kinds), None),
        ("a name that is a parent", value_of(thing(parent="web:1.0"), known_as()), None),
        ("a name that is not compared", value_of(known_as(), ignore=["web:1.0#/mode"]), None),
        ("a name that is stored", value_of(known_as(storage="stored")), INVALID),
        ("a name that is withheld", value_of(hidden), INVALID),
        ("a name without digests", value_of(known_as(digests=None)), MISSING),
        ("a name without a size", value_of(known_as(size=None)), MISSING),
        ("a name with a withheld member", value_of(known_as(withheld=hidden["withheld"])), UNKNOWN),
        ("a name that is the root", value_of(known_as(".")), INVALID),
        ("a name and a file of it", value_of(known_as(), artifact("web:1.0", b"1")), INVALID),
        ("kind name in capitals", value_of(known_as(kind="Name")), INVALID),
    ):
        yield case("manifest", f"objects: {name}", value, reason)
    for name, value in (("a name", known_as()), ("a stored name", known_as(storage="stored"))):
        yield case("manifest", f"files: {name}", value_of(value, profile="files/v1"), INVALID)
    entry = {"kind": "name", "mode": "0644", "name": "a", "digests": digests_of(b""), "size": 0}
    yield case("tree", "a name inside", {"entries": [entry], "schema": "cairn.tree/v1"}, INVALID)


def profiles():
    for profile in ("objects/v2", "objects", "Objects/v1", "objects/v1 ", ""):
        yield f"objects: profile {profile!r}", value_of(thing(), profile=profile), NEWER
    newer = value_of(thing(storage="lost"), profile="objects/v2", ignore=["a"], zone=1)
    yield "objects: a later profile before all else", newer, NEWER
    yield "objects: profile is a list", value_of(thing(), profile=["objects/v1"]), INVALID
    yield "objects: another member of comparison", value_of(thing(), zone=1), UNKNOWN


def pointers():
    longest = "svc#/" + "p" * (POINTER_BYTES_MAX - 5)
    for name, *ignore in (
        ("of a field", "svc#/status"),
        ("of a field of a field", "svc#/metadata/annotations"),
        ("of mode", "*#/mode", "svc#/mode"),
        ("of an item of a list", "svc#/containers/web/image"),
        ("for every artifact", "*#/status"),
        ("for the root", ".#/status"),
        ("for what is not there", "b/c#/status"),
        ("with escapes", "svc#/a~1b/c~0d"),
        ("with empty steps", "svc#//", "svc#//a//b"),
        ("with spaces and signs", 'svc#/ a "b"\\*'),
        ("beyond ASCII", "svc#/\u0080", "\u00e9#/\u00e9"),
        ("in bytewise order", "svc#/\uff10", "svc#/\U0001f600"),
        ("with a second parting", "svc#/a#/b"),
        ("that would be bad parted at the last", "svc#/a#/", "svc#/a//b#/c"),
        ("with a # in the name", "svc##/a"),
        ("with the longest name", "a" * 1024 + "#/b"),
        ("of 2048 bytes", longest),
        ("by the number of 256", *(f"svc#/{i:03}" for i in range(256))),
    ):
        yield f"objects: pointers {name}", value_of(thing(), ignore=ignore), None


def bad_pointers():
    over = POINTER_BYTES_MAX + 1 - 5
    for name, *ignore in (
        ("without a path", "svc#/"),
        ("without a path, for every artifact", "*#/"),
        ("without #/", "svc"),
        ("without the slash", "svc#status"),
        ("without the #", "svc/status"),
        ("that is empty", ""),
        ("without a name", "#/status"),
        ("with nothing but #/", "#/"),
        ("with a line feed", "svc#/a\nb"),
        ("with U+0000", "svc#/\u0000"),
        ("with U+001F", "svc#/a\u001f"),
        ("with U+007F", "svc#/a\u007f"),
        ("with U+007F in the name", "s\u007f#/a"),
        ("for a name with an empty segment", "a//b#/c"),
        ("for a name that ends in /", "svc/#/a"),
        ("for a name that begins with /", "/svc#/a"),
        ("for a name with dots", "a/../b#/c"),
        ("for the folder above", "..#/a"),
        ("for a name that is one only parted at the last", "a/#/b#/c"),
        ("for a name of 1025 bytes", "a" * 1025 + "#/b"),
        ("of 2049 bytes", "svc#/" + "p" * over),
        ("of 2049 bytes in fewer code points", "svc#/" + "\u00e9" * (over // 2)),
        ("that descend", "svc#/b", "svc#/a"),
        ("that are one twice", "svc#/a", "svc#/a"),
        ("in the order of UTF-16", "svc#/\U0001f600", "svc#/\uff10"),
        ("by the number of 257", *(f"svc#/{i:03}" for i in range(257))),
    ):
        yield f"objects: a pointer {name}", value_of(thing(), ignore=ignore), INVALID
    yield "objects: a pointer that is a number", value_of(thing(), ignore=[1]), INVALID


def within_trees():
    """A tree listing has no profile: the kinds are none of its own."""
    hidden = withheld_artifact("a", b"secret")["withheld"]
    shown, secret = {"digests": digests_of(b""), "size": 0}, {"withheld": hidden}
    for name, kind, content in (
        ("an object inside", "object", shown),
        ("an input inside", "input", shown),
        ("a withheld input inside", "input", secret),
    ):
        entry = {"kind": kind, "mode": "0644", "name": "a", **content}
        yield name, {"entries": [entry], "schema": "cairn.tree/v1"}


def pointers_of_files():
    """Those of `files/v1` that `objects/v1` has too, and those that only it has."""
    for name, pointer, reason in (
        ("of mode", "a#/mode", None),
        ("with a # in the name", "a##/mode", None),
        ("with #/ in the name", "a#/mode#/mode", None),
        ("of another field", "a#/status", INVALID),
        ("of another field, for every artifact", "*#/status", INVALID),
        ("of a field of mode", "a#/mode/x", INVALID),
        ("of the mode of a field", "a#/spec/mode", INVALID),
        ("with an empty segment in a name with #/", "a#/b//c#/mode", INVALID),
    ):
        value = value_of(artifact("a", b"1"), profile="files/v1", ignore=[pointer])
        yield f"files: pointer {name}", value, reason


def ignored():
    """What is not compared in one object: the name ends at the first `#/`."""
    listed = ["*#/status", "a#/status", "a#/x#/y", "a-b#/spec", "a/b#/a~1b/c", "b#/mode"]
    named = [thing(name) for name in ("a", "a#/x", "a-b", "a/b")]
    value = value_of(*named, ignore=listed)
    for name, found in (
        ("a", ["/status", "/x#/y"]),
        ("a#/x", ["/status"]),
        ("a-b", ["/spec", "/status"]),
        ("a/b", ["/a~1b/c", "/status"]),
    ):
        inputs, expected = case("manifest", f"objects: what is ignored of {name}", value)
        yield {**inputs, "ignored_of": name}, {**expected, "ignored": found}


def withheld_within():
    """Values within an object; the pointer goes into the tag as it is written."""
    secret = crypto.sha256(b"cairn vectors secret")
    for name, pointer in (
        ("a value of an object", "/data/password"),
        ("a value at a pointer with escapes", "/data/tls~1key~0"),
        ("a value of an item of a list", "/env/0/value"),
    ):
        inputs = {"kind": "withheld", "within": "object", "key_hex": secret.hex()}
        inputs |= {"environment": "prod/web", "artifact": "svc", "pointer": pointer}
        yield {"name": f"withheld: {name}", **inputs, "value_hex": b"secret".hex()}, {"ok": True}
