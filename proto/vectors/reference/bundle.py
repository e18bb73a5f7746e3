"""Bundles (SPEC 10): the container. `verify` is what a verifier does with what is in it."""

from typing import NamedTuple

from . import crypto, entries, names
from .canon import Refused, require
from .names import base64_text

BUNDLE_BYTES_MAX = 67_108_864
HASHES_MAX = 128
KINDS_OF_LINES = "policy order approval"
BEFORE_POLICIES = (
    "environment checkpoint map-record map-record-inclusion environment-row environment-proof "
    "policy-row policy-proof entry entry-inclusion"
).split()


class PolicyLine(NamedTuple):
    index: int
    leaf: bytes
    document: bytes
    inclusion: bytes  # empty where it is not given


class OrderLine(NamedTuple):
    index: int
    leaf: bytes
    document: bytes
    inclusion: bytes
    consistency: bytes  # of a succession, from its head; else empty


class ApprovalLine(NamedTuple):
    index: int
    leaf: bytes
    inclusion: bytes


class Bundle(NamedTuple):
    environment: str
    checkpoint: bytes
    map_record: bytes
    map_record_inclusion: bytes
    environment_row: bytes
    environment_proof: bytes
    policy_row: bytes
    policy_proof: bytes
    entry_index: int
    entry: bytes
    entry_inclusion: bytes
    policies: list
    manifest: bytes
    orders: list = []
    approval: ApprovalLine | None = None


def _value(text):
    data = names.base64_bytes(text)
    require(data, "an empty value")
    return data


def _hashes(text):
    data = b"" if text == "-" else _value(text)
    require(len(data) % 32 == 0 and len(data) <= 32 * HASHES_MAX, "a list of hashes")
    return data


def hashes(data):
    """The hashes of one concatenated value."""
    return [data[i : i + 32] for i in range(0, len(data), 32)]


def _line(bundle):
    yield f"environment {bundle.environment}"
    for name in BEFORE_POLICIES[1:8]:
        yield f"{name} {_text(getattr(bundle, name.replace('-', '_')))}"
    yield f"entry {bundle.entry_index} {_text(bundle.entry)}"
    yield f"entry-inclusion {_text(bundle.entry_inclusion)}"
    approvals = [bundle.approval] if bundle.approval else []
    for word, lines in (
        ("policy", bundle.policies),
        ("order", bundle.orders),
        ("approval", approvals),
    ):
        for line in lines:
            parts = " ".join(_text(part) for part in line[1:])
            yield f"{word} {line.index} {parts}"
    yield f"manifest {_text(bundle.manifest)}"


def _text(data):
    return base64_text(data) or "-"


def encode(bundle):
    body = "".join(line + "\n" for line in ("cairn.bundle/v1", *_line(bundle))).encode()
    return seal(body)


def seal(body):
    return body + f"blake3 {crypto.blake(body).hex()}\n".encode()


def decode(data):
    try:
        return _decode(data)
    except Refused as error:
        raise Refused("BUNDLE_SYNTAX", str(error), step=0) from error


def _decode(data):
    require(len(data) <= BUNDLE_BYTES_MAX and data.isascii() and data.endswith(b"\n"), "form")
    body, _, last = data[:-1].rpartition(b"\n")
    require(seal(body + b"\n") == data and last, "the last line")
    lines = body.decode().split("\n")
    require(lines[0] == "cairn.bundle/v1", "first line")
    head, listed, tail = lines[1:11], lines[11:-1], lines[-1]
    words = [line.split(" ") for line in head]
    require([word[0] for word in words] == BEFORE_POLICIES, "lines before the policies")
    require([len(word) for word in words] == [2] * 8 + [3, 2], "number of values")
    values = dict(zip(BEFORE_POLICIES, (word[-1] for word in words)))
    require(names.is_environment(values.pop("environment")), "environment")
    found = {
        name.replace("-", "_"): (_hashes if name.endswith("inclusion") else _value)(text)
        for name, text in values.items()
    }
    name, _, manifest = tail.partition(" ")
    require(name == "manifest", "manifest")
    index = names.u64_of_text(words[8][1])
    policies, orders, approval = _evidence(listed, index)
    others = {"entry_index": index, "policies": policies, "manifest": _value(manifest)}
    others |= {"orders": orders, "approval": approval}
    return Bundle(environment=words[0][1], **found, **others)


def _evidence(listed, index):
    """The lines between those of the entry, at `index`, and the manifest."""
    words = [line.split(" ") for line in listed]
    kinds = [word[0] for word in words]
    require(kinds == sorted(kinds, key=KINDS_OF_LINES.find), "order of the lines")
    policies = [_policy_line(word) for word in words if word[0] == "policy"]
    orders = [_order_line(word) for word in words if word[0] == "order"]
    approvals = [_approval_line(word) for word in words if word[0] == "approval"]
    require(len(policies) + len(orders) + len(approvals) == len(words), "an unknown line")
    require(len(approvals) < 2, "two approvals")
    require(all(a.index < b.index for a, b in zip(orders, orders[1:])), "orders ascend")
    asked_for = relied_on(policies, [index, *(line.index for line in orders + approvals)])
    for place, line in enumerate(policies):
        require(place in asked_for or not line.inclusion, "an inclusion that is not asked for")
    return policies, orders, approvals[0] if approvals else None


def in_force(lines, index):
    """The place of the policy in force at an index: the last whose index is below it."""
    return sum(line.index < index for line in lines) - 1


def relied_on(lines, indices):
    """The places of those whose inclusion is proven: in force at an index, its successor, the
    newest."""
    places = {len(lines) - 1}
    for index in indices:
        below = sum(line.index < index for line in lines)
        places |= {below - 1, below}
    return [place for place in sorted(places) if 0 <= place < len(lines)]


def _policy_line(words):
    require(len(words) == 5, "policy line")
    index, leaf, document = names.u64_of_text(words[1]), _value(words[2]), _value(words[3])
    return PolicyLine(index, leaf, document, _hashes(words[4]))


def _order_line(words):
    require(len(words) == 6, "order line")
    index, leaf, document = names.u64_of_text(words[1]), _value(words[2]), _value(words[3])
    line = OrderLine(index, leaf, document, _hashes(words[4]), _hashes(words[5]))
    require(not line.consistency or not _is_of_another_kind(leaf), "a consistency proof")
    return line


def _is_of_another_kind(leaf):
    """An order that is no succession. What does not decode is not judged here."""
    try:
        return entries.decode(leaf).kind in ("redaction", "break-glass")
    except (Refused, AttributeError):
        return False


def _approval_line(words):
    require(len(words) == 4, "approval line")
    return ApprovalLine(names.u64_of_text(words[1]), _value(words[2]), _hashes(words[3]))
