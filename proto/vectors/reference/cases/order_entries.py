"""The entries of entries.json that are approvals, enrolments and orders, and releases that name a
break-glass order."""

from ..entries import ORDERS
from .builder import CREATED, statement
from .entry_maker import DOCUMENT, LEDGER, PREVIOUS, changed, payload_case, release

INVALID, UNKNOWN = "JSON_INVALID_VALUE", "JSON_UNKNOWN_MEMBER"
MISSING, NEWER = "JSON_MISSING_MEMBER", "NEEDS_NEWER_CAIRN"
SUBJECT = "STATEMENT_SUBJECT"
LARGEST = 2**53 - 1


def approval(**others):
    predicate = {
        "createdAt": CREATED,
        "environment": "prod/web",
        "ledger": LEDGER,
        "number": 1,
        "release": PREVIOUS,
        "schema": "cairn.approval/v1",
        "sequence": 2,
        **others,
    }
    return statement("approval", DOCUMENT, predicate["environment"] or "prod/web", predicate)


def enrolment(**others):
    predicate = {
        "action": "enrol",
        "createdAt": CREATED,
        "ledger": LEDGER,
        "number": 2,
        "previous": PREVIOUS,
        "schema": "cairn.enrolment/v1",
        **others,
    }
    return statement("enrolment", DOCUMENT, "host", predicate)


def order(kind, **others):
    schema = "cairn.order/v1"
    predicate = {"ledger": LEDGER, "number": 2, "previous": PREVIOUS, "schema": schema, **others}
    return statement(kind, DOCUMENT, "order", predicate)


def redaction(**others):
    return order("redaction", **others)


MADE = {
    "approval": approval,
    "enrolment": enrolment,
    "redaction": redaction,
    "break-glass": lambda **others: order("break-glass", **others),
    "key-succession": lambda **others: order("key-succession", **others),
}
# Of each kind that differs in its members, what must be there and what may be.
MEMBERS = {
    "approval": ("createdAt environment ledger number release sequence", "reason"),
    "enrolment": ("action createdAt ledger number", "previous reason"),
    "redaction": ("ledger number", "previous"),
}


def good_orders():
    for kind, make in MADE.items():
        yield payload_case(kind, make())
        yield payload_case(f"{kind}: the largest number", make(number=LARGEST))
    for name, value in (
        ("approval: with a reason", approval(reason="\u00e9" * 512)),
        ("approval: the largest sequence", approval(sequence=LARGEST)),
        ("enrolment: dismiss", enrolment(action="dismiss", reason="sold")),
        ("enrolment: the first", enrolment(number=1, previous=None)),
        ("enrolment: the first with a previous: judged by the rules", enrolment(number=1)),
        ("enrolment: the second without: judged by the rules", enrolment(previous=None)),
        ("redaction: the first", redaction(number=1, previous=None)),
        ("redaction: the first with a previous: judged by the rules", redaction(number=1)),
        ("redaction: the second without: judged by the rules", redaction(previous=None)),
        ("release under a break-glass order", release(breakGlass=PREVIOUS)),
        ("rollback under one", release(action="rollback", breakGlass=PREVIOUS, rollbackTo=1)),
        ("retire under one", release(action="retire", breakGlass=PREVIOUS)),
    ):
        yield payload_case(name, value)


def refused_orders():
    for kind in MEMBERS:
        yield from without_or_with(kind)
    for kind, make in MADE.items():
        schema = make()["predicate"]["schema"].replace("/v1", "/v2")
        yield payload_case(f"{kind}: a later schema", make(schema=schema), NEWER)
        yield payload_case(f"{kind}: no schema", make(schema=None), MISSING)
        other = changed(make(), predicateType=f"urn:cairn:{kind}:v2", zone=1)
        yield payload_case(f"{kind}: a later kind", other, NEWER)
        yield payload_case(f"{kind}: another subject", with_subject(make(), "policy"), SUBJECT)
        yield payload_case(f"{kind}: number 0", make(number=0), INVALID)
    for kind in ORDERS:
        own = order(kind, schema=f"cairn.{kind}/v1")
        yield payload_case(f"{kind}: the schema of its document", own, NEWER)
    yield from subjects()
    yield from values()


def without_or_with(kind):
    """Each member left out, null, and of another type."""
    make, (required, optional) = MADE[kind], MEMBERS[kind]
    for member in required.split():
        yield payload_case(f"{kind}: no {member}", make(**{member: None}), MISSING)
    for member in f"{required} {optional}".split():
        for what, value in (("an object", {}), ("true", True)):
            wrong = make()
            wrong["predicate"][member] = value
            yield payload_case(f"{kind}: {member} is {what}", wrong, INVALID)
    for member in optional.split():
        wrong = make()
        wrong["predicate"][member] = None
        yield payload_case(f"{kind}: {member} is null", wrong, INVALID)
    yield payload_case(f"{kind}: another member", make(zone=1), UNKNOWN)
    yield payload_case(f"{kind}: negative number", make(number=-1), INVALID)
    yield payload_case(f"{kind}: number as text", make(number="1"), INVALID)
    yield payload_case(f"{kind}: number 2^53", make(number=2**53), "JSON_NUMBER")


def with_subject(value, name):
    return changed(value, subject=[{**value["subject"][0], "name": name}])


def subjects():
    for name, value, subject in (
        ("approval: the subject of another environment", approval(), "prod/db"),
        ("enrolment: the environment for a subject", enrolment(), "prod/web"),
        ("enrolment: the subject of an order", enrolment(), "order"),
        ("redaction: the subject of a host", redaction(), "host"),
        ("release: the subject of an order", release(), "order"),
    ):
        yield payload_case(name, with_subject(value, subject), SUBJECT)


def values():
    capital, short = "AB" * 32, "ab" * 31
    for name, value, reason in (
        ("release: breakGlass too short", release(breakGlass=short), INVALID),
        ("release: breakGlass in capitals", release(breakGlass=capital), INVALID),
        ("release: breakGlass is a number", release(breakGlass=1), INVALID),
        ("approval: breakGlass", approval(breakGlass=PREVIOUS), UNKNOWN),
        ("approval: previous", approval(previous=PREVIOUS), UNKNOWN),
        ("approval: action", approval(action="release"), UNKNOWN),
        ("approval: sequence 0", approval(sequence=0), INVALID),
        ("approval: release too short", approval(release=short), INVALID),
        ("approval: release in capitals", approval(release=capital), INVALID),
        ("approval: reason empty", approval(reason=""), INVALID),
        ("approval: reason of 1,025 bytes", approval(reason="\u00e9" * 512 + "a"), INVALID),
        ("approval: createdAt no date", approval(createdAt="2026-02-29T00:00:00Z"), INVALID),
        ("approval: a pattern", approval(environment="prod/*"), INVALID),
        ("enrolment: an action of releases", enrolment(action="release"), INVALID),
        ("enrolment: action in capitals", enrolment(action="Enrol"), INVALID),
        ("enrolment: environment", enrolment(environment="prod/web"), UNKNOWN),
        ("enrolment: previous too short", enrolment(previous=short), INVALID),
        ("enrolment: reason empty", enrolment(reason=""), INVALID),
        ("enrolment: createdAt in lower case", enrolment(createdAt=CREATED.lower()), INVALID),
        ("redaction: reason is of the document", redaction(reason="x"), UNKNOWN),
        ("redaction: createdAt", redaction(createdAt=CREATED), UNKNOWN),
        ("redaction: previous in capitals", redaction(previous=capital), INVALID),
        ("redaction: ledger too short", redaction(ledger=short), INVALID),
    ):
        yield payload_case(name, value, reason)
