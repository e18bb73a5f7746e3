"""The ledgers of rules.json in which releases are approved again and hosts enrolled."""

from .. import crypto
from ..crypto import Signer
from .builder import Book, artifact, comparison, deployer, files, forged, host, manifest, policy
from .builder import sign
from .rule_ledgers import ALICE, BOB, CI, DAVE, MALLORY, OPS, TWO_FOR_PROD

EU, US, ANY = Signer("eu"), Signer("us"), Signer("any")
FIRST, SECOND = Signer("host-one"), Signer("host-two")
NAMES = {signer.keyid: signer.label for signer in (EU, US, ANY, FIRST)}
UNKNOWN, NOT_ALLOWED, FEW = "UNKNOWN_SIGNER", "SIGNER_NOT_ALLOWED", "TOO_FEW_APPROVALS"
NUMBER, PREVIOUS, SEQUENCE = "WRONG_NUMBER", "WRONG_PREVIOUS", "WRONG_SEQUENCE"
OTHER = crypto.sha256(b"another leaf").hex()
HOST_OTHER, SAME = "HOST_OTHER", "APPROVAL_MANIFEST"


def approvals():
    book = Book("ledger.example/approvals")
    deployers = [
        deployer(CI),
        deployer(OPS, ["prod/**"], ["release"]),
        deployer(DAVE, ["**"], ["enrol", "retire", "rollback"]),
    ]
    book.genesis("genesis", policy(1, [ALICE, BOB], 1, deployers, [TWO_FOR_PROD]), [ALICE])
    document = files(a="1")
    absent = {"document": document, "sequence": 1}
    book.approve("nothing was released", "test/web", [CI], SEQUENCE, **absent)
    book.release("release", "test/web", document, [CI])
    book.release("release", "prod/web", files(a="2"), [CI, OPS])
    book.record()
    refused_approvals(book)
    book.approve("approval 1", "prod/web", [CI, OPS])
    book.approve("approval 1 again", "prod/web", [CI, OPS], NUMBER, number=1)
    book.approve("approval 3", "prod/web", [CI, OPS], NUMBER, number=3)
    book.approve("approval 2", "prod/web", [CI, OPS], reason="by the new keys")
    book.record("map record: no row changed")
    book.release("another release", "prod/web", files(a="3"), [CI, OPS])
    book.approve("its number goes on", "prod/web", [CI, OPS], NUMBER, number=3)
    older = {"number": 3, "sequence": 1}
    book.approve("of the release before", "prod/web", [CI, OPS], SEQUENCE, **older)
    book.approve("its number begins again", "prod/web", [CI, OPS])
    first = {"action": "rollback", "rollbackTo": 1}
    book.release("rollback", "prod/web", files(a="2"), [CI], FEW, **first)
    book.release("rollback", "prod/web", files(a="2"), [CI, DAVE], **first)
    book.approve("a rollback by who may release", "prod/web", [CI, OPS])
    book.approve("a rollback by who may roll back", "prod/web", [CI, DAVE], NOT_ALLOWED)
    book.release("retire", "prod/web", None, [CI, DAVE], action="retire")
    gone = "ALREADY_RETIRED"
    book.approve("a retirement", "prod/web", [CI, OPS], gone)
    other = {"document": files(a="9"), "number": 7}
    book.approve("in order: retired before manifest", "prod/web", [CI, OPS], gone, **other)
    book.record()
    return book


def refused_approvals(book):
    both = [CI, OPS]
    for name, environment, signers, expect in (
        ("one signer of two", "prod/web", [CI], FEW),
        ("an admin", "prod/web", [ALICE, CI], UNKNOWN),
        ("a stranger beside them", "prod/web", [*both, MALLORY], UNKNOWN),
        ("who may not release", "prod/web", [CI, DAVE], NOT_ALLOWED),
        ("who may not there", "test/web", [CI, OPS], NOT_ALLOWED),
        ("an environment of which nothing is known", "prod/db", both, SEQUENCE),
    ):
        document = files(a="2") if environment == "prod/db" else None
        others = {"sequence": 1} if environment == "prod/db" else {}
        title = f"approval: {name}"
        book.approve(title, environment, signers, expect, document, **others)
    listed = book.ledger.environments["test/web"].leaf_hash.hex()
    alike = manifest(artifact("a", b"2"), comparison=comparison(unmeasured="accept"))
    for name, expect, others in (
        ("of the next release", SEQUENCE, {"sequence": 2}),
        ("another leaf", PREVIOUS, {"release": OTHER}),
        ("the release of another environment", PREVIOUS, {"release": listed}),
        ("another manifest", SAME, {"document": files(a="1")}),
        ("the same artifacts, compared otherwise", SAME, {"document": alike}),
        ("another ledger", "WRONG_LEDGER", {"ledger": OTHER}),
        ("in order: sequence before release", SEQUENCE, {"sequence": 2, "release": OTHER}),
        ("in order: release before manifest", PREVIOUS, {"release": OTHER, "document": alike}),
        ("in order: manifest before number", SAME, {"document": alike, "number": 2}),
    ):
        book.approve(f"approval: {name}", "prod/web", both, expect, **others)
    few = {"sequence": 2, "number": 9}
    book.approve("in order: signers first", "prod/web", [CI], FEW, **few)
    value, document = book.approval_statement("prod/web")
    book.add("a signature is bad", forged(value, both, OPS), document, "BAD_SIGNATURE")
    book.add("another document", sign(value, both), alike, "DOCUMENT_MISMATCH")


def start_hosts():
    book = Book("ledger.example/hosts")
    enrol = ["enrol"]
    deployers = [
        deployer(CI),
        deployer(ANY, ["**"], ["enrol", "release"]),
        deployer(EU, ["prod/eu/*"], enrol),
        deployer(US, ["prod/us/*"], enrol),
    ]
    limits = [{"approvals": 2, "environments": "**"}]
    book.genesis("genesis", policy(1, [ALICE], 1, deployers, limits), [ALICE])
    return book


def enrolments():
    book = start_hosts()
    record = host(FIRST, "prod/eu/web", name="web-1")
    refused_enrolments(book, record)
    book.record("map record: no host")
    book.enrol("one signer is enough, whatever a release takes", record, [EU])
    book.record()
    moves(book, record)
    again(book)
    return book


def refused_enrolments(book, record):
    for name, signers, expect, others in (
        ("who may not enrol", [CI], NOT_ALLOWED, {}),
        ("who may not there", [US], NOT_ALLOWED, {}),
        ("one of two may not there", [EU, US], NOT_ALLOWED, {}),
        ("an admin", [ALICE], UNKNOWN, {}),
        ("a stranger beside who may", [EU, MALLORY], UNKNOWN, {}),
        ("the host itself", [FIRST], UNKNOWN, {}),
        ("number 2", [EU], NUMBER, {"number": 2}),
        ("a previous at number 1", [EU], PREVIOUS, {"previous": OTHER}),
        ("another ledger", [EU], "WRONG_LEDGER", {"ledger": OTHER}),
        ("dismissed at first", [EU], HOST_OTHER, {"action": "dismiss"}),
        ("in order: right before number", [US], NOT_ALLOWED, {"number": 2}),
        ("in order: number before previous", [EU], NUMBER, {"number": 2, "previous": OTHER}),
        ("in order: number before other", [EU], NUMBER, {"action": "dismiss", "number": 2}),
        ("who may not dismiss", [US], NOT_ALLOWED, {"action": "dismiss"}),
    ):
        book.enrol(f"enrolment: {name}", record, signers, expect, **others)
    value = book.enrolment_statement(record)
    book.add("a signature is bad", forged(value, [EU], EU), record, "BAD_SIGNATURE")
    other = host(SECOND, "prod/eu/web")
    book.add("another document", sign(value, [EU]), other, "DOCUMENT_MISMATCH")


def moves(book, record):
    """From one environment to another: by who may both."""
    moved = host(FIRST, "prod/us/web", name="web-1")
    for name, signers in (
        ("who may there alone", [US]),
        ("who may here alone", [EU]),
        ("one who may here and one who may there", [EU, US]),
        ("who may both, and who may there alone", [ANY, US]),
        ("who may both, and who may here alone", [ANY, EU]),
    ):
        book.enrol(f"moved by {name}", moved, signers, NOT_ALLOWED)
    late = {"number": 3}
    book.enrol("in order: number before where it was", moved, [US], NUMBER, **late)
    late = {"previous": OTHER}
    book.enrol("in order: previous before where it was", moved, [US], PREVIOUS, **late)
    leaf = book.ledger.hosts[crypto.sha256(FIRST.public)].leaf_hash.hex()
    book.enrol("enrolled again, the same record", record, [EU])
    book.enrol("previous is the first enrolment", record, [EU], PREVIOUS, previous=leaf)
    renamed = host(FIRST, "prod/eu/web", name="web-2")
    book.enrol("enrolled under another name", renamed, [EU])
    dismiss = {"action": "dismiss"}
    book.enrol("dismissed by the record before", record, [EU], HOST_OTHER, **dismiss)
    book.enrol("dismissed where it is not", moved, [ANY], HOST_OTHER, **dismiss)
    book.enrol("moved by who may both", moved, [ANY])
    book.enrol("dismissed where it was", renamed, [EU], HOST_OTHER, **dismiss)
    book.record()
    book.enrol("dismissed", moved, [US], **dismiss)
    book.record()
    book.enrol("dismissed again", moved, [US], HOST_OTHER, **dismiss)


def again(book):
    """After it was dismissed, who may there is enough; another host has a chain of its own."""
    book.enrol("enrolled elsewhere after that", host(FIRST, "prod/eu/db"), [EU])
    other = host(SECOND, "prod/eu/db", name="host.one")
    late = {"number": 7}
    book.enrol("another host: the number of the first", other, [EU], NUMBER, **late)
    book.enrol("another host", other, [EU, ANY])
    second = policy(2, [ALICE], 1, [deployer(CI), deployer(OPS, ["**"], ["enrol"])])
    book.policy("policy 2", second, [ALICE])
    dismiss = {"action": "dismiss"}
    book.enrol("by who might under policy 1", other, [EU], UNKNOWN, **dismiss)
    book.enrol("dismissed by who may now", other, [OPS], **dismiss)
    book.record()
