"""Ledgers as text for rules.json, and their leaves back: payloads and documents by what differs."""

from .. import canon, entries
from ..names import base64_bytes, base64_text
from . import edits


def payload_of(leaf):
    return base64_bytes(canon.decode(leaf)["payload"])


def tell(item, leaf, payloads, names):
    """A leaf by what it is made of; `payloads` are those before it, by number of the leaf."""
    if leaf.startswith(b'{"cairn":'):
        return {"name": item["name"], "leaf_text": leaf.decode()}
    told = edits.tell("payload", payload_of(leaf), payloads)
    signatures = [
        {"by": names[signature["keyid"]], "sig_base64": signature["sig"]}
        for signature in canon.decode(leaf)["signatures"]
    ]
    return {"name": item["name"], **told, "signatures": signatures}


def told_case(name, book, names, **others):
    leaves, payloads, documents, told_documents = [], {}, {}, []
    for number, (item, leaf) in enumerate(zip(book.leaves, book.raw)):
        told = tell(item, leaf, payloads, names)
        if "signatures" in told:
            payloads[number] = payload_of(leaf)
        leaves.append({**told, **{k: item[k] for k in ("document",) if k in item}})
    for number, document in enumerate(book.documents):
        told_documents.append(edits.tell("document", document, documents))
        documents[number] = document
    used = {signature["by"] for leaf in leaves for signature in leaf.get("signatures", ())}
    keyids = {label: keyid for keyid, label in names.items() if label in used}
    inputs = {"name": name, **others, "keyids_hex": keyids, "documents": told_documents}
    return {**inputs, "leaves": leaves}, {"ok": True}


def leaf_of(item, case):
    """The bytes of a leaf."""
    if "leaf_text" in item:
        return item["leaf_text"].encode()
    earlier = dict(enumerate(case["leaves"]))
    payload = edits.text_of("payload", item, earlier)
    signatures = [
        {"keyid": case["keyids_hex"][signature["by"]], "sig": signature["sig_base64"]}
        for signature in item["signatures"]
    ]
    value = {"payload": base64_text(payload), "payloadType": entries.PAYLOAD_TYPE}
    return canon.encode({**value, "signatures": signatures})


def documents_of(case):
    told = dict(enumerate(case["documents"]))
    return [edits.text_of("document", item, told) for item in case["documents"]]
