"""bundle.json: complete bundles, and refused changes of them."""

from .. import bundle, merkle, notes, trie, trust
from ..crypto import Signer
from ..names import base64_bytes, base64_text
from ..verify import Verifier
from .builder import Book, files, policy
from .bundle_maker import ADMIN, CI, NOW, SECOND, Changes, Maker
from .bundle_maker import base_case, lines_of, make_book, swapped
from .revoked_bundles import revoked_bundles
from .witnessed_bundles import witnessed_bundles

DESCRIPTION = (
    "Bundles, verified offline with `trust` at the time `now` (unix seconds) for `environment`, "
    "perhaps against `held` state. A case with a `base` starts from the bundle, and unless it says "
    "otherwise the trust, time and environment, of the case of that name: each of `edits` "
    "replaces line `line` (from 0), or only its word `word` (from 0, parted by single spaces), by "
    "`text`, or deletes the line where that is null; then, if `reseal`, the last line is computed "
    "again. `step` is the step of section 9 that refuses, 0 the "
    "container. `history` is null without held state. `trust` may pin auditors (`auditors`: "
    "`keys`, their vkeys, and `quorum`, a number); the result then has `audited`, how many of them "
    "cosigned the checkpoint, or null where they are fewer than the quorum, and `lacks_auditors`, "
    "null, or, where they are fewer, [how many cosigned, the quorum]. With too few a verdict is "
    "STALE (TOO_FEW_AUDITORS); what the bundle proves holds all the same, so that `ok` is true. "
    "So it is of witnesses: `trust` may pin them (`witnesses`, likewise), the newest policy may "
    "ask for them, and the result has `witnesses`, [how many of those pinned cosigned, how many "
    "must], or null where none are asked for, and `lacks_witnesses`, the same pair where they are "
    "too few (STALE, TOO_FEW_WITNESSES), else null. `stands_by` is `signers` here throughout; "
    "orders.json has the others."
)
SPEC = "9, 10"
SYNTAX = "BUNDLE_SYNTAX"


def container(changes):
    lines = changes.lines
    first, last = lines[1], lines[-1]
    for name, edits, reseal in (
        ("last line of another content", [(1, "environment prod/db")], False),
        (
            "last line in capitals",
            [(len(lines) - 1, last.upper().replace("BLAKE3", "blake3"))],
            False,
        ),
        ("another version", [(0, "cairn.bundle/v2")], True),
        ("a line missing", [(3, None)], True),
        ("an unknown line", [(3, lines[3] + "\nnote -")], True),
        ("two lines exchanged", [(2, lines[3]), (3, lines[2])], True),
        ("a value missing", [(1, "environment")], True),
        ("a value more", [(1, first + " x")], True),
        ("two spaces", [(1, first.replace(" ", "  "))], True),
        ("an index with a leading zero", [(9, lines[9].replace("entry ", "entry 0"))], True),
        ("base64 without padding", [(3, "map-record e30")], True),
        ("an empty line", [(1, first + "\n")], True),
        ("an index of 2^64", [(9, lines[9].replace("entry 5 ", f"entry {2**64} "))], True),
        ("environment in capitals", [(1, "environment Prod/web")], True),
        ("a list of 31 bytes", [(4, "map-record-inclusion " + base64_text(bytes(31)))], True),
        ("a list of 129 hashes", [(4, "map-record-inclusion " + base64_text(bytes(4128)))], True),
        ("no checkpoint", [(2, "checkpoint -")], True),
        ("no map record", [(3, "map-record -")], True),
        ("an absence: no row", [(5, "environment-row -")], True),
        ("an absence: no entry", [(9, "entry 5 -")], True),
        ("no manifest", [(len(lines) - 2, "manifest -")], True),
        ("carriage returns", [(1, first + "\r")], True),
    ):
        yield changes.case(f"container: {name}", 0, SYNTAX, edits, reseal)


def heads(book, changes):
    made = changes.made
    note = made.checkpoint.decode()
    lines = note.split("\n")
    log, clock = lines[4].split(" "), lines[5].split(" ")

    def with_line(number, words):
        changed = bytearray(base64_bytes(words[2]))
        changed[-1] ^= 1
        line = " ".join([*words[:2], base64_text(bytes(changed))])
        return "\n".join([*lines[:number], line, *lines[number + 1 :]]).encode()

    signature = "NOTE_SIGNATURE"
    yield changes.replaced("head: log signature", 1, signature, checkpoint=with_line(4, log))
    yield changes.replaced("head: clock signature", 1, signature, checkpoint=with_line(5, clock))
    unsigned = "\n".join([*lines[:4], *lines[5:]]).encode()
    yield changes.replaced("head: not signed by the log", 1, signature, checkpoint=unsigned)
    yield changes.case("head: from the future", 1, "NOTE_FROM_THE_FUTURE", now=NOW - 361)
    other = {**book.trust(), **Book("ledger.example/other").trust_keys()}
    yield changes.case("head: another origin is pinned", 1, "WRONG_ORIGIN", trust=other)
    yield changes.replaced("head: no note", 1, "NOTE_SYNTAX", checkpoint=b"note")
    yield changes.case("head: a log key that did not sign", 1, signature, trust=swapped(book))
    root = base64_bytes(lines[2]).hex()
    size = int(lines[1])
    held = {"size": size, "root_hex": root, "sequence": 2, "policy_version": 3}
    yield changes.case("held: the same head", None, None, held=held)
    smaller = {**held, "size": size - 5, "root_hex": root[::-1]}
    yield changes.case("held: a smaller one, unlinked", None, None, held=smaller)
    larger = {**held, "size": size + 5}
    yield changes.case("held: a larger one, unlinked", None, None, held=larger)
    yield changes.case("held: two roots", 2, "FORKED", held={**held, "root_hex": root[::-1]})
    ahead = {**smaller, "sequence": 3}
    yield changes.case("held: a later sequence", 4, "ROLLED_BACK", held=ahead)
    ahead = {**smaller, "policy_version": 4}
    yield changes.case("held: a later policy", 4, "ROLLED_BACK", held=ahead)


def maps(book, changes):
    made = changes.made
    unproven, wrong = "INCLUSION_UNPROVEN", "MAP_RECORD_WRONG"
    short = made.map_record_inclusion[:-32]
    yield changes.replaced("map record: a hash less", 3, unproven, map_record_inclusion=short)
    yield changes.replaced("map record: an earlier one", 3, unproven, map_record=book.raw[3])
    maker = Maker(book, "prod/web")
    maker.record = {"covers": len(book.raw) - 2}
    yield changes.bundle("map record: covers another size", 3, wrong, maker.make())
    maker = Maker(book, "prod/web")
    maker.raw[-1] = maker.raw[7]
    yield changes.bundle("map record: the last leaf is a release", 3, wrong, maker.make())
    for name, leaf, reason in (
        ("of a later version", made.map_record.replace(b"map/v1", b"map/v2"), "NEEDS_NEWER_CAIRN"),
        ("of no shape", b"{}", "ENTRY_UNKNOWN_SHAPE"),
    ):
        maker = Maker(book, "prod/web")
        maker.raw[-1] = leaf
        yield changes.bundle(f"map record: {name}", 3, reason, maker.make())
    row = trie.parse_environment_row(made.environment_row)
    proof = "MAP_PROOF"
    changed = row._replace(sequence=3).bytes()
    yield changes.replaced("map: environment row changed", 4, proof, environment_row=changed)
    yield changes.replaced(
        "map: proof of another row", 4, proof, environment_proof=made.policy_proof
    )
    yield changes.replaced("map: proof cut", 4, proof, policy_proof=made.policy_proof[:-1])
    changed = trie.parse_policy_row(made.policy_row)._replace(version=2).bytes()
    yield changes.replaced("map: policy row changed", 4, proof, policy_row=changed)
    edits = [(1, "environment test/db")]
    yield changes.case("map: another environment", 4, proof, edits, environment="test/db")
    yield changes.case("map: a bundle of another environment", 4, proof, environment="test/db")
    cut = made.environment_row[:-1]
    yield changes.replaced("map: environment row cut", 4, proof, environment_row=cut)


def entries_of_rows(book, changes):
    made = changes.made
    mismatch, unproven = "ROW_MISMATCH", "INCLUSION_UNPROVEN"
    row = trie.parse_environment_row(made.environment_row)
    yield changes.replaced("entry: an earlier release", 5, mismatch, entry=book.raw[2])
    yield changes.replaced("entry: another index", 5, mismatch, entry_index=row.index + 1)
    short = made.entry_inclusion[:-32]
    yield changes.replaced("entry: inclusion cut", 5, unproven, entry_inclusion=short)
    for name, change in (
        ("its sequence is not the row's", {"sequence": 1}),
        ("its action is not the row's", {"action": 3}),
        ("it is of another environment", {"index": 7, "leaf_hash": merkle.leaf_hash(book.raw[7])}),
        ("it is a policy", {"index": 6, "leaf_hash": merkle.leaf_hash(book.raw[6])}),
        ("not at the row's index", {"index": 7}),
    ):
        maker = Maker(book, "prod/web")
        dishonest = row._replace(**change).bytes()
        maker.replace_row("environment", b"prod/web", dishonest)
        made = maker.make()
        if name == "not at the row's index":
            made = made._replace(entry=changes.made.entry)
        reason = unproven if name == "not at the row's index" else mismatch
        yield changes.bundle(f"entry: {name}", 5, reason, made)
    other = {**book.trust(), "genesis": "00" * 32}
    yield changes.case("map: another genesis is pinned", 4, "WRONG_GENESIS", trust=other)


def policies_of_bundle(book, changes):
    made = changes.made
    first, second, third = made.policies

    def with_policies(name, reason, *policies):
        return changes.replaced(f"policy: {name}", 6, reason, policies=list(policies))

    mismatch = "DOCUMENT_MISMATCH"
    document = third.document
    yield with_policies(
        "another document", mismatch, first, second._replace(document=document), third
    )
    unproven, chain = "INCLUSION_UNPROVEN", "POLICY_CHAIN"
    bare = second._replace(inclusion=b"")
    yield with_policies("inclusion of the one in force is missing", unproven, first, bare, third)
    bare = third._replace(inclusion=b"")
    yield with_policies("inclusion of its successor is missing", unproven, first, second, bare)
    extra = first._replace(inclusion=second.inclusion)
    edits = [(11, lines_of(made._replace(policies=[extra, second, third]))[11])]
    name = "container: an inclusion that is not asked for"
    yield changes.case(name, 0, SYNTAX, edits)
    moved = third._replace(index=7)
    yield with_policies("another index", chain, first, second, moved)
    moved = first._replace(index=1)
    yield with_policies("the genesis at another index", chain, moved, second, third)
    release = third._replace(leaf=made.entry, document=made.manifest)
    yield with_policies("a release among them", chain, first, second, release)
    again = third._replace(leaf=first.leaf, document=first.document)
    yield with_policies("the genesis again", chain, first, second, again)
    wrong = second._replace(inclusion=second.inclusion[:-32])
    yield with_policies("inclusion cut", unproven, first, wrong, third)
    yield with_policies("two at one index", chain, first, second._replace(index=0), third)
    edits = [(13, None)]
    yield changes.case("policy: the newest is left out", 6, chain, edits)
    edits = [(line, None) for line in (11, 12, 13)]
    yield changes.case("policy: none", 4, chain, edits)
    clock = Book("ledger.example/bundles")
    clock.clock = Signer("another clock")
    other = {**book.trust(), "clockKey": clock.trust_keys()["clockKey"]}
    yield changes.case("policy: another clock key is pinned", 6, "WRONG_GENESIS", trust=other)
    yield from dishonest_entries()


def dishonest_entries():
    """A log that sequenced what section 7 refuses, and put it into its map."""
    book = make_book()
    base = "prod/web at sequence 2"
    changes = Changes(base, Maker(make_book(), "prod/web").make())
    document = files(app="3")
    for name, signers, reason in (("one approval of two", [CI], "TOO_FEW_APPROVALS"),):
        book = make_book()
        book.release("dishonest", "prod/web", document, signers, reason)
        index, leaf = len(book.raw) - 1, book.raw[-1]
        book.raw.append(b"")
        maker = Maker(book, "prod/web")
        leaf_hash = merkle.leaf_hash(leaf)
        row = trie.EnvironmentRow(3, index, leaf_hash, 1, leaf_hash)
        maker.replace_row("environment", b"prod/web", row.bytes())
        maker.manifest = document
        yield changes.bundle(f"approval: {name}", 6, reason, maker.make())
    book = make_book()
    fourth = policy(4, [ADMIN, SECOND], 2)
    book.policy("dishonest", fourth, [ADMIN], "TOO_FEW_SIGNATURES")
    book.raw.append(b"")
    maker = Maker(book, "prod/web")
    maker.add_policy(len(book.raw) - 2, book.raw[-2], fourth)
    yield longer(changes, "policy: too few signatures", "TOO_FEW_SIGNATURES", maker.make())


def longer(changes, name, reason, made):
    """A bundle with one policy line more: it goes with the line before."""
    new = lines_of(made)
    joined = [*new[:13], new[13] + "\n" + new[14], *new[15:]]
    pairs = enumerate(zip(changes.lines[:-1], joined[:-1]))
    edits = [(i, line) for i, (old, line) in pairs if old != line]
    return changes.case(name, 6, reason, edits)


def manifests(changes):
    mismatch = "DOCUMENT_MISMATCH"
    yield changes.replaced("manifest: another", 7, mismatch, manifest=files(app="1"))


def audited(book, changes):
    """One auditor's line; the first or both of two are pinned, and all must sign."""
    one, two = Signer("bundle auditor 0"), Signer("bundle auditor 1")
    pinned = [
        notes.Vkey(f"{name}.example", notes.COSIGNER_KEY, signer.public)
        for name, signer in (("auditor0", one), ("auditor1", two))
    ]
    note = changes.made.checkpoint
    message = notes.cosigned_message(note[: note.index(b"\n\n") + 1], NOW - 30)
    for name, signer, quorum, expected in (
        ("one of one", one, 1, {"audited": 1, "lacks_auditors": None, "age_seconds": 30}),
        ("one of two, two are asked for", one, 2, {"audited": None, "lacks_auditors": [1, 2]}),
        ("a forged line", two, 1, None),
    ):
        blob = (NOW - 30).to_bytes(8, "big") + signer.sign(message)
        line = notes.signature_line(pinned[0].name, pinned[0].id, blob)
        keys = [key.text() for key in pinned[:quorum]]
        trust = {**book.trust(), "auditors": {"keys": keys, "quorum": quorum}}
        step, reason = (None, None) if expected else (1, "NOTE_SIGNATURE")
        made = changes.made._replace(checkpoint=note + line)
        case = changes.bundle(f"auditors: {name}", step, reason, made, trust=trust)
        yield case[0], {**case[1], **(expected or {})}


def build():
    book = make_book()
    trust = book.trust()
    made = Maker(book, "prod/web").make()
    name = "prod/web at sequence 2"
    expected = {"ok": True, "policy_in_force": 2, "policy_version": 3, "age_seconds": 60}
    expected |= {"max_staleness_seconds": 600, "sequence": 2, "action": "release", "history": None}
    yield base_case(name, made, trust), expected
    maker = Maker(book, "test/db")
    maker.clock_time = None
    changes = Changes(name, made)
    title = "test/db is retired, no clock"
    inputs, _ = changes.bundle(title, None, None, maker.make(), environment="test/db")
    expected = {"ok": True, "action": "retire", "age_seconds": None, "max_staleness_seconds": None}
    yield inputs, expected
    yield from container(changes)
    yield from heads(book, changes)
    yield from maps(book, changes)
    yield from entries_of_rows(book, changes)
    yield from policies_of_bundle(book, changes)
    yield from manifests(changes)
    yield from revoked_bundles()
    yield from audited(book, changes)
    yield from witnessed_bundles()


def edited(case, base):
    """The bundle of a case that has a base."""
    lines = base.decode().split("\n")[:-1]
    for edit in case["edits"]:
        at, text = edit["line"], edit["text"]
        if "word" in edit:
            words = lines[at].split(" ")
            words[edit["word"]] = text
            text = " ".join(words)
        lines[at] = text
    kept = [line for line in lines if line is not None]
    if case["reseal"]:
        return bundle.seal("".join(line + "\n" for line in kept[:-1]).encode())
    return "".join(line + "\n" for line in kept).encode()


def whole(case, earlier):
    """The case with what it has of its base, and its bundle."""
    if "base" not in case:
        return case, case["bundle_text"].encode()
    base, data = whole(earlier[case["base"]], earlier)
    return {**base, **case}, edited(case, data)


def run(case, earlier):
    full, data = whole(case, earlier)
    pinned = trust.parse(full["trust"])
    return Verifier(pinned, full["environment"], full["now"], full.get("held")).verify(data)
