"""The ledger of rules.json in which releases are refused, for every reason of section 7.6
but `NAME_REUSED`."""

from .. import canon, crypto
from ..ed25519 import L
from ..names import base64_bytes, base64_text
from .builder import envelope_value, files, forged, sign
from .rule_ledgers import ALICE, CI, MALLORY, OPS, start


def refused_releases():
    book = start("ledger.example/two")
    app = files(app="1")
    book.release("release", "test/web", app, [CI])
    book.record()
    book.release("not a deployer", "test/web", app, [MALLORY], "UNKNOWN_SIGNER")
    book.release("an admin is no deployer", "test/web", app, [ALICE], "UNKNOWN_SIGNER")
    book.release("one signer too many", "test/web", app, [CI, MALLORY], "UNKNOWN_SIGNER")
    statement_value = book.release_statement("test/web", app)
    book.add(
        "signature over another payload", forged(statement_value, [CI], CI), app, "BAD_SIGNATURE"
    )
    leaf = forged(book.release_statement("prod/web", app), [CI, OPS], OPS)
    book.add("one good signature, one bad", leaf, app, "BAD_SIGNATURE")
    book.add("S + L", with_s_plus_l(statement_value, CI), app, "BAD_SIGNATURE")
    denied = "SIGNER_NOT_ALLOWED"
    book.release("environment not listed", "test/web", app, [OPS], denied)
    book.release("one of two may not", "test/web", app, [CI, OPS], denied)
    book.release(
        "action not listed", "prod/web", app, [CI, OPS], denied, action="rollback", rollbackTo=1
    )
    book.release("one approval where two are needed", "prod/web", app, [CI], "TOO_FEW_APPROVALS")
    book.release("sequence again", "test/web", app, [CI], "WRONG_SEQUENCE", sequence=1)
    book.release("sequence skipped", "test/web", app, [CI], "WRONG_SEQUENCE", sequence=3)
    book.release("first sequence is 2", "test/db", app, [CI], "WRONG_SEQUENCE", sequence=2)
    genesis = book.ledger.genesis.hex()
    wrong = "WRONG_PREVIOUS"
    book.release("previous is another leaf", "test/web", app, [CI], wrong, previous=genesis)
    book.release("previous absent", "test/web", app, [CI], wrong, previous=None)
    book.release("previous at sequence 1", "test/db", app, [CI], wrong, previous=genesis)
    another = crypto.sha256(b"another ledger").hex()
    book.release("another ledger", "test/web", app, [CI], "WRONG_LEDGER", ledger=another)
    refused_rollbacks(book, app)
    refused_documents(book)
    refused_in_order(book, app, another)
    book.record()
    return book


def refused_rollbacks(book, app):
    def refused(name, environment, document, reason, **others):
        book.release(name, environment, document, [CI], reason, **others)

    refused(
        "rollback at sequence 1", "test/db", app, "ROLLBACK_TARGET", action="rollback", rollbackTo=1
    )
    refused(
        "rollback to itself", "test/web", app, "ROLLBACK_TARGET", action="rollback", rollbackTo=2
    )
    refused(
        "rollback to the future",
        "test/web",
        app,
        "ROLLBACK_TARGET",
        action="rollback",
        rollbackTo=9,
    )
    refused(
        "rollback to other artifacts",
        "test/web",
        files(app="2"),
        "ROLLBACK_ARTIFACTS",
        action="rollback",
        rollbackTo=1,
    )
    accepting = files(app="1").replace(b'"refuse"', b'"accept"')
    refused(
        "retire with another manifest",
        "test/web",
        files(app="2"),
        "RETIRE_MANIFEST",
        action="retire",
    )
    refused(
        "retire with the same artifacts in another manifest",
        "test/web",
        accepting,
        "RETIRE_MANIFEST",
        action="retire",
    )
    refused("retire at sequence 1", "test/db", app, "ALREADY_RETIRED", action="retire")
    refused("retire", "test/web", app, None, action="retire")
    refused("retire twice", "test/web", app, "ALREADY_RETIRED", action="retire")
    refused(
        "rollback to a retire", "test/web", app, "ROLLBACK_TARGET", action="rollback", rollbackTo=2
    )
    refused(
        "rollback may have another comparison",
        "test/web",
        accepting,
        None,
        action="rollback",
        rollbackTo=1,
    )


def refused_documents(book):
    app, other = files(app="1"), files(app="2")
    value = book.release_statement("test/web", app)
    mismatch = "DOCUMENT_MISMATCH"
    book.add("another document", sign(value, [CI]), other, mismatch)
    digests = value["subject"][0]["digest"]
    for name in ("blake3", "sha256"):
        wrong = {**digests, name: crypto.sha256(b"wrong").hex()}
        changed = {**value, "subject": [{"digest": wrong, "name": "test/web"}]}
        book.add(f"{name} of another document", sign(changed, [CI]), app, mismatch)
    spaced = app.replace(b":", b": ", 1)
    leaf = sign(book.release_statement("test/web", spaced), [CI])
    book.add("manifest not canonical", leaf, spaced, "JSON_NOT_CANONICAL")
    book.add("manifest of a later schema", *later(book, app), "NEEDS_NEWER_CAIRN")
    kind = sign({**value, "predicateType": "urn:cairn:approval:v1"}, [CI])
    book.add("a reserved kind", kind, app, "NEEDS_NEWER_CAIRN")


def later(book, app):
    document = app.replace(b"cairn.manifest/v1", b"cairn.manifest/v2")
    return sign(book.release_statement("test/web", document), [CI]), document


def refused_in_order(book, app, another):
    """Two faults each: the first of section 7 names the reason."""

    def refused(name, reason, signers, environment="test/web", **others):
        book.release(f"in order: {name}", environment, app, signers, reason, **others)

    refused("ledger before signer", "WRONG_LEDGER", [MALLORY], ledger=another)
    refused("signer before sequence", "UNKNOWN_SIGNER", [MALLORY], sequence=9)
    refused(
        "permission before approvals",
        "SIGNER_NOT_ALLOWED",
        [OPS],
        "prod/web",
        action="rollback",
        rollbackTo=1,
    )
    refused("approvals before sequence", "TOO_FEW_APPROVALS", [CI], "prod/web", sequence=9)
    refused("no previous at sequence 9", "WRONG_SEQUENCE", [CI], sequence=9, previous=None)
    refused("sequence before previous", "WRONG_SEQUENCE", [CI], sequence=9, previous=another)
    refused(
        "previous before target",
        "WRONG_PREVIOUS",
        [CI],
        previous=another,
        action="rollback",
        rollbackTo=8,
    )
    value = book.release_statement("test/web", app, sequence=9)
    leaf = forged(value, [CI, MALLORY], CI)
    book.add("in order: signer before signature", leaf, app, "UNKNOWN_SIGNER")
    book.add("in order: signature before sequence", forged(value, [CI], CI), app, "BAD_SIGNATURE")
    other = files(app="2")
    value = book.release_statement("test/web", app, ledger=another)
    book.add("in order: document before ledger", sign(value, [CI]), other, "DOCUMENT_MISMATCH")


def with_s_plus_l(value, signer):
    envelope = envelope_value(canon.encode(value), [signer])
    item = envelope["signatures"][0]
    signature = base64_bytes(item["sig"])
    scalar = int.from_bytes(signature[32:], "little") + L
    item["sig"] = base64_text(signature[:32] + scalar.to_bytes(32, "little"))
    return canon.encode(envelope)
