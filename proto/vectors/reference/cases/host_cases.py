"""hosts.json: what is proven of a host."""

from .. import crypto, merkle, trie, trust
from ..bundle import PolicyLine, relied_on
from ..canon import Refused
from ..crypto import Signer
from ..host_proof import HostVerifier, Newest, Proof
from ..names import base64_bytes, base64_text
from .builder import Book, by_key, deployer, files, host, map_record, policy, revocation
from .bundle_maker import ADMIN, CI, NOW, OPS

DESCRIPTION = (
    "What a verifier believes of a host (`host_hex` is its keyid) by `trust` at `now` (unix "
    "seconds). `proof` has a note, the last leaf with its inclusion proof, the host's row, or "
    "none, and the policy's, each with its map proof, all policies, and the entry that the row "
    "states, or none; bytes and lists of hashes are base64. A case with a `base` has all that it "
    "does not tell of the case of that name, and so has its `proof`. Accepted, `present` says "
    "whether it was ever enrolled; `signers_hex` are the keyids of the signers that count."
)
SPEC = "7.9, 8, 9"
LEFT, EU = Signer("left"), Signer("eu")
FIRST, SECOND, THIRD, NOBODY = (Signer(f"host-{number}") for number in (1, 2, 3, 4))
BASE = "enrolled"
ENROL = ["enrol"]
MISMATCH, UNPROVEN = "ROW_MISMATCH", "INCLUSION_UNPROVEN"


def make_book(since=None, end=None):
    """Three hosts; the newest of three policies revokes LEFT since an index, by default 3."""
    book = Book("ledger.example/proven-hosts")
    deployers = [deployer(OPS, ["**"], ["enrol", "release"]), deployer(EU, ["prod/eu"], ENROL)]
    deployers.append(deployer(CI))
    old = [*deployers, deployer(LEFT, ["**"], ENROL)]
    book.genesis("genesis", policy(1, [ADMIN], 1, old), [ADMIN])
    book.release("release", "prod/eu", files(a="1"), [CI])
    book.enrol("a host", host(SECOND, "prod/us"), [LEFT])
    book.enrol("another", host(FIRST, "prod/eu"), [EU])
    book.policy("policy 2", policy(2, [ADMIN], 1, old), [ADMIN])
    book.enrol("it is enrolled again", host(FIRST, "prod/eu", name="web"), [EU, LEFT])
    book.enrol("a third", host(THIRD, "prod/eu"), [OPS])
    book.enrol("and dismissed", host(THIRD, "prod/eu"), [OPS], action="dismiss")
    revoked = by_key([revocation(LEFT, 3 if since is None else since)])
    book.policy("policy 3", policy(3, [ADMIN], 1, deployers, revoked=revoked), [ADMIN])
    if end:
        end(book)
    book.record()
    return book


class Maker:
    """Makes the proof of a host; what is overridden is what a dishonest log would say."""

    def __init__(self, book, signer):
        self.book, self.raw, self.rows = book, list(book.raw), dict(book.ledger.rows)
        self.keyid = crypto.sha256(signer.public)
        self.documents = [
            book.documents[item["document"]] if "document" in item else b"" for item in book.leaves
        ]

    def state(self, **others):
        """Another row of the host than the rules give it."""
        row = trie.parse_host_row(self.rows["host", self.keyid])
        self.rows["host", self.keyid] = row._replace(**others).bytes()
        return self

    def stand(self, index, **others):
        """The row of an entry that the rules refused."""
        leaf_hash = merkle.leaf_hash(self.raw[index])
        values = {"sequence": 1, "action": 1, "history": leaf_hash, **others}
        row = trie.EnvironmentRow(index=index, leaf_hash=leaf_hash, **values)
        self.rows["host", self.keyid] = row.bytes()
        return self

    def make(self):
        made = trie.Trie()
        for (kind, name), row in self.rows.items():
            made.set(trie.key(kind, name), trie.row_hash(kind, row))
        record = map_record(len(self.raw) - 1, made.root(), made.rows, self.book.time)
        raw = [*self.raw[:-1], record]
        hashes = [merkle.leaf_hash(leaf) for leaf in raw]

        def inclusion(index):
            return b"".join(merkle.inclusion_proof(hashes, index))

        row = self.rows.get(("host", self.keyid), b"")
        policies = [PolicyLine(*item, b"") for item in self.book.policies]
        newest = None
        if row:
            index = trie.parse_host_row(row).index
            newest = Newest(index, raw[index], self.documents[index], inclusion(index))
            for place in relied_on(policies, [index]):
                line = policies[place]
                policies[place] = line._replace(inclusion=inclusion(line.index))
        return Proof(
            self.book.checkpoint(raw, NOW - 60),
            record,
            inclusion(len(raw) - 1),
            row,
            made.prove(trie.key("host", self.keyid)),
            self.rows["policy", b"policy"],
            made.prove(trie.key("policy", b"policy")),
            policies,
            newest,
        )


def told(proof):
    """A proof as text."""
    value = {
        f"{name}_base64": base64_text(getattr(proof, name))
        for name in Proof._fields
        if name not in ("policies", "newest")
    }
    newest = proof.newest and told_line(proof.newest)
    return {**value, "policies": [told_line(line) for line in proof.policies], "newest": newest}


def told_line(line):
    texts = {f"{name}_base64": base64_text(getattr(line, name)) for name in line._fields[1:]}
    return {"index": line.index, **texts}


def read(value):
    fields = {
        name: base64_bytes(value[f"{name}_base64"])
        for name in Proof._fields
        if name not in ("policies", "newest")
    }
    newest = value["newest"] and read_line(Newest, value["newest"])
    policies = [read_line(PolicyLine, line) for line in value["policies"]]
    return Proof(**fields, policies=policies, newest=newest)


def read_line(kind, value):
    texts = (base64_bytes(value[f"{name}_base64"]) for name in kind._fields[1:])
    return kind(value["index"], *texts)


def case_of(name, base, proof, reason=None, signer=FIRST, **expected):
    """A case that tells what differs from the base."""
    told_now = told(proof)
    changed = {k: v for k, v in told_now.items() if v != told(base)[k]}
    keyid = {} if signer is FIRST else {"host_hex": signer.keyid}
    inputs = {"name": name, "base": BASE, **keyid, "proof": changed}
    return inputs, {"ok": False, "reason": reason} if reason else {"ok": True, **expected}


def build():
    book = make_book()
    base = Maker(book, FIRST).make()
    inputs = {"trust": book.trust(), "now": NOW, "host_hex": FIRST.keyid, "proof": told(base)}
    signers = {"signers_hex": [EU.keyid]}
    expected = {"present": True, "number": 2, "action": "enrol", "environment": "prod/eu"}
    yield {"name": BASE, **inputs}, {"ok": True, **expected, **signers}
    yield from standing(book, base)
    yield from changes(base)
    yield from dishonest(base)


def standing(book, base):
    made = Maker(book, THIRD).make()
    yield case_of("dismissed", base, made, signer=THIRD, action="dismiss", number=2)
    made = Maker(book, NOBODY).make()
    yield case_of("never enrolled", base, made, signer=NOBODY, present=False)
    made = Maker(book, SECOND).make()
    name = "its only signer is revoked since a later index"
    yield case_of(name, base, made, signer=SECOND, signers_hex=[LEFT.keyid])
    for since, reason in ((2, "SIGNER_COMPROMISED"), (0, "SIGNER_COMPROMISED"), (3, None)):
        made = Maker(make_book(since), SECOND).make()
        name = f"its only signer, at 2, is revoked since {since}"
        yield case_of(name, base, made, reason, SECOND)
    other = Maker(book, SECOND).make()
    name = "never enrolled, it is said, by the proof of another"
    absent = other._replace(row=b"", newest=None)
    yield case_of(name, base, absent, "MAP_PROOF")


def changes(base):
    """Proofs that say something else than the log does."""
    policies, newest = base.policies, base.newest

    def lines(place, **fields):
        return [p._replace(**fields) if i == place else p for i, p in enumerate(policies)]

    cut = {"inclusion": newest.inclusion[:-32]}
    bit = base.row[:-1] + bytes([base.row[-1] ^ 1])
    short = base.map_record_inclusion[:-32]
    other = {"document": host(FIRST, "prod/us")}
    for name, reason, fields in (
        ("the row is changed", "MAP_PROOF", {"row": bit}),
        ("the row is cut", "MAP_PROOF", {"row": base.row[:-1]}),
        ("no row", "MAP_PROOF", {"row": b"", "newest": None}),
        ("the proof of another row", "MAP_PROOF", {"row_proof": base.policy_proof}),
        ("the map record is not proven", UNPROVEN, {"map_record_inclusion": short}),
        ("no entry", UNPROVEN, {"newest": None}),
        ("another index", MISMATCH, {"newest": newest._replace(index=newest.index + 1)}),
        ("its inclusion is cut", UNPROVEN, {"newest": newest._replace(**cut)}),
        ("another record", "DOCUMENT_MISMATCH", {"newest": newest._replace(**other)}),
        ("another entry", MISMATCH, {"newest": newest._replace(leaf=policies[1].leaf)}),
        ("no policies", "POLICY_CHAIN", {"policies": []}),
        ("the newest policy is left out", "POLICY_CHAIN", {"policies": policies[:-1]}),
        ("the policy in force is not proven", UNPROVEN, {"policies": lines(1, inclusion=b"")}),
        ("its successor is not proven", UNPROVEN, {"policies": lines(2, inclusion=b"")}),
        ("what is not looked at is wrong", None, {"policies": lines(0, inclusion=bytes(32))}),
    ):
        yield case_of(f"proof: {name}", base, base._replace(**fields), reason)
    yield case_of("proof: that of another host", base, base, "MAP_PROOF", SECOND)


def dishonest(base):
    """A log whose row says what is not so, or that sequenced what section 7 refuses."""
    book = make_book()
    for name, fields in (
        ("another number", {"sequence": 3}),
        ("another action", {"action": 2}),
    ):
        made = Maker(book, FIRST).state(**fields).make()
        yield case_of(f"dishonest: {name}", base, made, MISMATCH)
    for name, index in (("the entry of another host", 2), ("a release", 1), ("a policy", 4)):
        made = Maker(book, FIRST).stand(index).make()
        yield case_of(f"dishonest: {name}", base, made, MISMATCH)
    for name, signers, reason, others in (
        ("by who may not there", [EU], "SIGNER_NOT_ALLOWED", {}),
        ("by who may not enrol", [CI], "SIGNER_NOT_ALLOWED", {}),
        ("by the key that was revoked", [LEFT], "UNKNOWN_SIGNER", {}),
        ("by the admin", [ADMIN], "UNKNOWN_SIGNER", {}),
        ("of another ledger", [OPS], "WRONG_LEDGER", {"ledger": "00" * 32}),
        ("its previous is another", [OPS], "WRONG_PREVIOUS", {"previous": "00" * 32}),
    ):

        def end(book, made=(signers, reason), others=others):
            book.enrol("dishonest", host(NOBODY, "prod/us"), *made, **others)

        book = make_book(end=end)
        made = Maker(book, NOBODY).stand(len(book.raw) - 2).make()
        refused = None if reason == "WRONG_PREVIOUS" else reason
        yield case_of(f"dishonest: {name}", base, made, refused, NOBODY)


def run(case, earlier):
    base = earlier[case["base"]] if "base" in case else case
    full = {**base, **case, "proof": {**base["proof"], **case["proof"]}}
    verifier = HostVerifier(trust.parse(full["trust"]), full["now"])
    try:
        return verifier.host(bytes.fromhex(full["host_hex"]), read(full["proof"]))
    except Refused as refused:
        raise Refused(refused.reason, str(refused)) from refused  # without its step
