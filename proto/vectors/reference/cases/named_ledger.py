"""The ledger of rules.json in which releases have artifacts of kind `name`."""

from .. import crypto
from .builder import artifact, by_name, comparison, files, manifest, sign
from .object_cases import known_as, made_of
from .rule_ledgers import CI, MALLORY, OPS, start

REUSED = "NAME_REUSED"
WEB, CHART = "example/web:1.0", "example/chart:1.0"
ALLOWED = {"annotations": {"cairn.name-reuse": "built again"}}
BACK = {"action": "rollback", "rollbackTo": 1}
OBJECTS = comparison(profile="objects/v1")


def released(stands_for, app="1"):
    """A manifest of a file, and of names by what each stands for."""
    listed = [known_as(name, content.encode()) for name, content in stands_for.items()]
    return manifest(*by_name([artifact("app", app.encode()), *listed]), comparison=OBJECTS)


OLD, NEW = released({WEB: "old"}), released({WEB: "new"})


def immutable_names():
    book = start("ledger.example/nine")
    held(book)
    of_other_kinds(book)
    allowed(book)
    rolled_back(book)
    retired(book)
    at_last(book)
    two_names(book)
    return book


def by_ci(book, environment, *rows):
    for name, document, reason in rows:
        book.release(name, environment, document, [CI], reason)


def held(book):
    """A name stands for the bytes that it was released with, in every environment."""
    book.release("a name is released", "test/web", OLD, [CI])
    book.record()
    by_ci(
        book,
        "test/db",
        ("the same bytes in another environment", OLD, None),
        ("other bytes in another environment", NEW, REUSED),
    )
    by_ci(
        book,
        "test/web",
        ("the same bytes beside another file", released({WEB: "old"}, "2"), None),
        ("other bytes in the same environment", NEW, REUSED),
        ("other bytes once more: what is refused changes nothing", NEW, REUSED),
        ("the same bytes after that", OLD, None),
        ("another name for other bytes", released({"example/web:1.1": "new"}), None),
        ("a name in capitals is another", released({"Example/Web:1.0": "new"}), None),
        ("no name", files(app="1"), None),
        ("other bytes, where the release before had no name", NEW, REUSED),
    )
    book.release("other bytes as the first of an environment", "lab", NEW, [CI], REUSED)
    book.record()


def of_other_kinds(book):
    """It is a matter of artifacts of kind `name` alone, and of their sha256."""
    new = artifact(WEB, b"new")
    loose = {**known_as(WEB, b"old"), "size": 9, "mediaType": "text/plain", "mode": "0600"}
    loose["digests"] = {**loose["digests"], "blake3": crypto.blake(b"loose").hex()}
    by_ci(
        book,
        "lab",
        ("an input of that name", manifest(made_of(WEB, b"new"), comparison=OBJECTS), None),
        ("a file of that name", manifest(new), None),
        ("other bytes after these", NEW, REUSED),
        ("the same sha256 and all else another", manifest(loose, comparison=OBJECTS), None),
        ("the same bytes after it", OLD, None),
    )


def allowed(book):
    """With the annotation it is the new bytes that a name stands for."""
    other = {"annotations": {"cairn.name": "", "cairn.name-reuse/x": "", "name-reuse": ""}}
    book.release("other annotations allow nothing", "test/db", NEW, [CI], REUSED, **other)
    book.release(
        "refused with the annotation", "test/db", NEW, [CI], "WRONG_SEQUENCE", sequence=9, **ALLOWED
    )
    book.release("that changed nothing", "test/db", OLD, [CI])
    book.release("and allowed nothing", "test/db", NEW, [CI], REUSED)
    book.release("other bytes with the annotation", "test/db", NEW, [CI], **ALLOWED)
    by_ci(
        book,
        "lab",
        ("the old bytes are the other ones now", OLD, REUSED),
        ("the new bytes need no annotation", NEW, None),
    )
    empty = {"annotations": {"a": "b", "cairn.name-reuse": ""}}
    book.release("the old bytes, the annotation is empty text", "lab", OLD, [CI], **empty)
    book.release("the new bytes are the other ones again", "lab", NEW, [CI], REUSED)
    book.release("the annotation where it is not needed", "lab", OLD, [CI], **ALLOWED)
    book.release("the new bytes with the annotation", "test/db", NEW, [CI], **ALLOWED)
    book.record()


def rolled_back(book):
    """A rollback to the old bytes, which the name does not stand for any more."""
    book.release("rollback to the old bytes", "test/web", OLD, [CI], **BACK)
    by_ci(
        book,
        "test/web",
        ("the old bytes after the rollback", OLD, REUSED),
        ("the new bytes after the rollback", NEW, None),
    )
    book.release("rollback with the annotation", "test/web", OLD, [CI], **BACK, **ALLOWED)
    by_ci(
        book,
        "lab",
        ("the old bytes after that rollback", OLD, REUSED),
        ("the new bytes after that rollback", NEW, None),
    )
    book.release("the old bytes with the annotation", "lab", OLD, [CI], **ALLOWED)
    book.release("the new bytes after a release of the old", "test/db", NEW, [CI], REUSED)
    book.release("the new bytes are back", "test/db", NEW, [CI], **ALLOWED)


def retired(book):
    """A retire names the manifest with the old bytes."""
    book.release("retire with the old bytes", "test/web", OLD, [CI], action="retire")
    book.record()
    by_ci(
        book,
        "test/web",
        ("the old bytes after the retire", OLD, REUSED),
        ("the new bytes after the retire", NEW, None),
    )
    book.release("retire with the new bytes", "test/web", NEW, [CI], action="retire", **ALLOWED)
    book.release("a retire ends nothing", "test/web", OLD, [CI], REUSED)
    book.record()


def at_last(book):
    """Two faults each: the name is looked at last."""
    another = crypto.sha256(b"another ledger").hex()

    def refused(name, reason, signers, environment="test/web", **others):
        book.release(f"in order: {name}", environment, OLD, signers, reason, **others)

    refused("ledger before name", "WRONG_LEDGER", [CI], ledger=another)
    refused("signer before name", "UNKNOWN_SIGNER", [MALLORY])
    refused("permission before name", "SIGNER_NOT_ALLOWED", [OPS])
    refused("approvals before name", "TOO_FEW_APPROVALS", [CI], "prod/web")
    refused("sequence before name", "WRONG_SEQUENCE", [CI], sequence=9)
    refused("previous before name", "WRONG_PREVIOUS", [CI], previous=another)
    leaf = sign(book.release_statement("test/web", OLD), [CI])
    book.add("in order: document before name", leaf, NEW, "DOCUMENT_MISMATCH")
    refused("two approvals do not help", REUSED, [CI, OPS], "prod/web")


def two_names(book):
    """One name reused refuses all of them, wherever it stands among them."""
    last = "example/zone:1.0"
    by_ci(
        book,
        "test/web",
        ("a new name before one that is reused", released({CHART: "a", WEB: "old"}), REUSED),
        ("a new name after one that is reused", released({WEB: "old", last: "a"}), REUSED),
        ("nothing was taken of these", released({CHART: "b", WEB: "new", last: "b"}), None),
        ("only the last is reused", released({CHART: "b", WEB: "new", last: "c"}), REUSED),
        ("one of them alone", released({CHART: "b"}), None),
    )
    changed = released({CHART: "c", WEB: "old"})
    book.release("both are reused", "test/db", changed, [CI], REUSED)
    book.release("one annotation for both", "test/db", changed, [CI], **ALLOWED)
    by_ci(
        book,
        "test/db",
        ("the first stands for other bytes", released({CHART: "b"}), REUSED),
        ("the second too", NEW, REUSED),
        ("the third for the same", released({last: "b"}), None),
        ("all three as they stand", released({CHART: "c", WEB: "old", last: "b"}), None),
    )
    book.record()
