"""What the submissions of witness.json are made of: logs, notes, bodies, proofs of large trees."""

from .. import crypto, merkle, notes
from ..crypto import Signer
from ..names import base64_text

ORIGIN, OTHER_ORIGIN = "ledger.example/one", "ledger.example/two"
LOG, OTHER = Signer("witness log"), Signer("witness log of another")
WITNESS = Signer("witness")
WITNESS_VKEY = notes.Vkey("witness.example", notes.COSIGNER_KEY, WITNESS.public)
NOW = 1_767_323_045
LEAVES = [merkle.leaf_hash(b"leaf %d" % i) for i in range(40)]
EMPTY = merkle.EMPTY
LAST = 2**64 - 1


def root(size):
    return merkle.root(LEAVES[:size])


def proof(old, size):
    return merkle.consistency_proof(LEAVES[:size], old)


def number(index):
    return crypto.sha256(b"cairn vectors hash %d" % index)


def large_tree(old, size):
    """(old root, new root, proof): hashes that prove, of trees that nobody could hold."""
    made = [number(0)]
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old_root = new_root = made[0]
    while sn:
        item = number(len(made))
        made.append(item)
        if fn & 1 or fn == sn:
            old_root, new_root = merkle.node(item, old_root), merkle.node(item, new_root)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            new_root = merkle.node(new_root, item)
        fn, sn = fn >> 1, sn >> 1
    if old & (old - 1) == 0:
        del made[0]
    assert merkle.verify_consistency(old, size, made, old_root, new_root)
    return old_root, new_root, made


def log_vkey(signer=LOG, name=ORIGIN):
    return notes.Vkey(name, notes.LOG_KEY, signer.public).text()


def latest(size, value=None):
    return {"size": size, "root_hex": (root(size) if value is None else value).hex()}


def known(cosigned=None, origin=ORIGIN, vkeys=None):
    """A log that the witness knows, perhaps with what it cosigned last."""
    listed = [log_vkey()] if vkeys is None else list(vkeys)
    return {"origin_text": origin, "vkeys": listed, "latest": cosigned}


def text_of(size, value=None, origin=ORIGIN, extensions=()):
    text = notes.note_text(origin, size, root(size) if value is None else value)
    return text + b"".join(line.encode() + b"\n" for line in extensions)


def line(text, signer=LOG, name=ORIGIN):
    return notes.log_line(signer, name, text)


def forged(text, signer=LOG, name=ORIGIN):
    """A line under the key's name and ID that another key signed."""
    key_id = notes.key_id(name, notes.LOG_KEY, signer.public)
    return notes.signature_line(name, key_id, WITNESS.sign(text))


def note_of(text, *lines):
    return text + b"\n" + b"".join(lines or (line(text),))


def body_of(old, hashes, note):
    """The body of a request; `old` is any text."""
    listed = "".join(base64_text(item) + "\n" for item in hashes)
    return f"old {old}\n{listed}\n".encode() + note


def submission(name, status, body, *logs, time=NOW, **expected):
    """By default the witness knows one log, of which it cosigned size 13."""
    inputs = {
        "name": f"submission: {name}",
        "kind": "submission",
        "logs": list(logs) or [known(latest(13))],
        "witness_vkey": WITNESS_VKEY.text(),
        "witness_seed_hex": WITNESS.seed.hex(),
        "time": time,
        "body_base64": base64_text(body),
    }
    return inputs, {"ok": True, "status": status, **expected}


GOOD_TEXT = text_of(21)
GOOD_NOTE = note_of(GOOD_TEXT)
GOOD = body_of(13, proof(13, 21), GOOD_NOTE)
