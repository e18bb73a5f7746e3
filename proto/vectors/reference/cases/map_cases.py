"""map.json: keys, rows, roots and proofs of the map."""

from .. import crypto, trie
from ..names import base64_bytes, base64_text

DESCRIPTION = (
    "The map. An `op` is `key` (`kind` and `name_hex` give `key_hex`, `row_hex` gives "
    "`row_hash_hex`), `root` (`pairs` of a key, any 32 bytes, and a row of kind `digest` give "
    "`root_hex`) or `proof` (`proof_base64` under `root_hex` for `key_hex`: of presence with "
    "`row_hash_hex`, of absence where that is null; where `among` names a `root` case, the proof "
    "is the one that its map makes) or `row` (whether `row_hex` is a row of `kind`)."
)
SPEC = "8"

HASH = crypto.sha256(b"cairn vectors leaf")
ROWS = {
    ("environment", b"prod/web"): trie.EnvironmentRow(3, 17, HASH, 2, HASH[::-1]).bytes(),
    ("environment", b"prod/db"): trie.EnvironmentRow(1, 5, HASH[::-1], 1, HASH).bytes(),
    ("policy", b"policy"): trie.PolicyRow(2, 9, HASH, HASH[::-1]).bytes(),
    ("orders", b"orders"): trie.PolicyRow(4, 23, HASH[::-1], HASH).bytes(),
    ("host", HASH): trie.EnvironmentRow(2, 21, HASH, 2, HASH[::-1]).bytes(),
    ("digest", HASH): trie.digest_row(5, 17, 2, HASH[::-1]),
}


def key(number):
    return crypto.sha256(b"cairn vectors map %d" % number)


def row_bytes(number):
    return trie.digest_row(number, number + 1, 2, crypto.blake(b"cairn vectors row %d" % number))


def row(number):
    return trie.row_hash("digest", row_bytes(number))


ROW_OF = {row(number): row_bytes(number) for number in range(256)}


def pairs_of(count):
    return {key(i): row(i) for i in range(count)}


def special_sets():
    """Keys that part at the first bit, at the last one, and at every depth between."""
    zero, one = bytes(32), b"\xff" * 32
    yield "first bit", {zero: row(0), one: row(1)}
    yield "last bit", {zero: row(0), bytes(31) + b"\x01": row(1)}
    steps = {zero: row(0)}
    for bit in (255, 200, 128, 64, 9, 8, 7, 0):
        steps[(1 << (255 - bit)).to_bytes(32, "big")] = row(bit)
    yield "a chain", steps
    full = {bytes([i << 5]) + bytes(31): row(i) for i in range(8)}
    yield "a full tree of three bits", full


def all_sets():
    for count in (0, 1, 2, 3, 5, 17):
        yield f"{count} rows", pairs_of(count)
    yield from special_sets()


def make(pairs):
    made = trie.Trie()
    for key_bytes, row_hash in pairs.items():
        made.set(key_bytes, row_hash)
    return made


def pair(key_bytes, row_hash):
    return {"key_hex": key_bytes.hex(), "row_hex": ROW_OF[row_hash].hex()}


def proof_case(name, root, key_bytes, row_hash, proof, ok=True, **among):
    inputs = {
        "name": name,
        "op": "proof",
        "root_hex": root.hex(),
        "key_hex": key_bytes.hex(),
        "row_hash_hex": None if row_hash is None else row_hash.hex(),
        "proof_base64": base64_text(proof),
        **among,
    }
    return inputs, {"ok": True} if ok else {"ok": False, "reason": "MAP_PROOF"}


def good_proofs():
    for name, pairs in all_sets():
        if name.startswith(("3", "a full")):
            continue
        made = make(pairs)
        keys = list(pairs)
        for i in sorted({0, len(keys) - 1} if keys else ()):
            proof = made.prove(keys[i])
            title = f"presence of row {i} among {name}"
            among = {"among": f"root of {name}"}
            yield proof_case(title, made.root(), keys[i], pairs[keys[i]], proof, **among)
        missing = key(1000)
        proof = made.prove(missing)
        among = {"among": f"root of {name}"}
        yield proof_case(f"absence among {name}", made.root(), missing, None, proof, **among)


def encode_proof(steps, tail):
    return len(steps).to_bytes(2, "big") + b"".join(steps) + tail


def split_proof(proof):
    count = int.from_bytes(proof[:2], "big")
    return [proof[2 + 33 * i : 35 + 33 * i] for i in range(count)], proof[2 + 33 * count :]


def bad_proofs():
    pairs = pairs_of(6)
    made, asked, other, missing = make(pairs), key(3), key(4), key(1000)
    root, proof = made.root(), made.prove(asked)
    steps, tail = split_proof(proof)
    swapped = [steps[1], steps[0], *steps[2:]]
    index = bytes([steps[0][0] + 1]) + steps[0][1:]
    away = made.prove(missing)
    wrong = bytes(32)
    for name, row_hash, changed in (
        ("presence proven, absence asked", None, proof),
        ("another row hash", wrong, proof),
        ("another leaf", row(4), made.prove(other)),
        ("bit indices descend", row(3), encode_proof(swapped, tail)),
        ("a bit index changed", row(3), encode_proof([index, *steps[1:]], tail)),
        ("a step less", row(3), encode_proof(steps[:-1], tail)),
        ("first step less", row(3), encode_proof(steps[1:], tail)),
        ("a step twice", row(3), encode_proof([steps[0], *steps], tail)),
        ("a sibling changed", row(3), encode_proof([steps[0][:1] + wrong, *steps[1:]], tail)),
        ("no steps", row(3), encode_proof([], tail)),
        ("empty map claimed", None, encode_proof([], b"\x00")),
        ("empty map claimed after steps", None, encode_proof(steps, b"\x00")),
        ("row hash of the leaf changed", row(3), proof[:-32] + wrong),
        ("unknown tail", row(3), encode_proof(steps, b"\x02" + tail[1:])),
        ("a byte more", row(3), proof + b"\x00"),
        ("a byte less", row(3), proof[:-1]),
        ("count too large", row(3), b"\x00\xff" + proof[2:]),
        ("count too small", row(3), (len(steps) - 1).to_bytes(2, "big") + proof[2:]),
        ("no tail", row(3), encode_proof(steps, b"")),
        ("nothing", row(3), b""),
    ):
        yield proof_case(f"refused: {name}", root, asked, row_hash, changed, False)
    title = "refused: absence proven, presence asked"
    yield proof_case(title, root, missing, row(3), away, False)
    yield proof_case("refused: another root", made.root()[::-1], asked, row(3), proof, False)
    yield from wrong_side()


def wrong_side():
    """Proofs whose hashes fold up to the root, for a key that their leaf does not answer for."""
    pairs = pairs_of(6)
    made = make(pairs)
    present = key(3)
    first = trie.first_difference(min(pairs), max(pairs))
    away = next(k for k in pairs if trie.bit(k, first) != trie.bit(present, first))
    proof = made.prove(away)
    title = "refused: absence shown by a leaf on the other side"
    yield proof_case(title, made.root(), present, None, proof, False)
    one, two = bytes(32), b"\x80" + bytes(31)
    small = make({one: row(1), two: row(2)})
    proof = encode_proof([b"\x00" + trie.leaf_node(two, row(2))], b"\x01" + one + row(1))
    asked = b"\xc0" + bytes(31)
    title = "refused: absence, the tested bit of the leaf reached differs"
    yield proof_case(title, small.root(), asked, None, proof, False)
    yield proof_case("presence in the same map", small.root(), one, row(1), proof)
    forged = trie.inner_node(0, trie.leaf_node(two, row(2)), trie.leaf_node(one, row(1)))
    proof = encode_proof([b"\x00" + trie.leaf_node(one, row(1))], b"\x01" + two + row(2))
    asked = b"\x40" + bytes(31)
    title = "refused: a leaf on the wrong side, though the hashes fold up"
    yield proof_case(title, forged, asked, None, proof, False)
    empty = encode_proof([], b"\x00")
    yield proof_case("refused: presence in an empty map", trie.EMPTY, one, row(1), empty, False)
    steps = [b"\x00" + bytes(32)]
    title = "refused: empty map, but with a step"
    yield proof_case(title, trie.EMPTY, one, None, encode_proof(steps, b"\x00"), False)
    equal = [b"\x00" + trie.leaf_node(two, row(2))] * 2
    inner = trie.inner_node(0, trie.leaf_node(one, row(1)), trie.leaf_node(two, row(2)))
    forged = trie.inner_node(0, inner, trie.leaf_node(two, row(2)))
    title = "refused: one bit index twice, though the hashes fold up"
    tail = b"\x01" + one + row(1)
    yield proof_case(title, forged, one, row(1), encode_proof(equal, tail), False)


def build():
    for (kind, name), encoded in ROWS.items():
        shown = name.hex() if kind in ("digest", "host") else name.decode()
        title = f"key and row hash of {kind} {shown}"
        inputs = {"op": "key", "kind": kind, "name_hex": name.hex(), "row_hex": encoded.hex()}
        yield {"name": title, **inputs}, {"ok": True}
    for name, pairs in all_sets():
        listed = [pair(k, v) for k, v in pairs.items()]
        yield {"name": f"root of {name}", "op": "root", "pairs": listed}, {"ok": True}
    backwards = [pair(k, v) for k, v in reversed(pairs_of(5).items())]
    expected = {"root_hex": make(pairs_of(5)).root().hex()}
    yield {"name": "root of 5 rows, backwards", "op": "root", "pairs": backwards}, expected
    yield from good_proofs()
    yield from bad_proofs()
    yield from rows()


def rows():
    """The forms of rows: their lengths, and the actions that there are."""
    for (kind, _), encoded in list(ROWS.items())[1:]:
        for what, row_of_it in (
            ("", encoded),
            (" less a byte", encoded[:-1]),
            (" and a byte", encoded + b"\x00"),
            (" of no bytes", b""),
        ):
            yield row_case(f"{kind}{what}", kind, row_of_it, what == "")
    for kind, name, highest in (("environment", b"prod/web", 3), ("host", HASH, 2)):
        encoded = ROWS[kind, name]
        for action in range(5):
            changed = encoded[:48] + bytes([action]) + encoded[49:]
            yield row_case(f"{kind}, action {action}", kind, changed, 1 <= action <= highest)


def row_case(name, kind, encoded, ok):
    inputs = {"name": f"row of {name}", "op": "row", "kind": kind, "row_hex": encoded.hex()}
    return inputs, {"ok": True} if ok else {"ok": False, "reason": "MAP_PROOF"}


def pairs_of_case(case):
    return [
        (bytes.fromhex(p["key_hex"]), trie.row_hash("digest", bytes.fromhex(p["row_hex"])))
        for p in case["pairs"]
    ]


def run(case, earlier):
    if case["op"] == "key":
        name, encoded = bytes.fromhex(case["name_hex"]), bytes.fromhex(case["row_hex"])
        key_hash, row_hash = trie.key(case["kind"], name), trie.row_hash(case["kind"], encoded)
        return {"key_hex": key_hash.hex(), "row_hash_hex": row_hash.hex()}
    if case["op"] == "row":
        trie.parse_row(case["kind"], bytes.fromhex(case["row_hex"]))
        return {}
    if case["op"] == "root":
        listed = pairs_of_case(case)
        made = make(dict(listed))
        assert made.root() == trie.plain_root(dict(listed)) and made.rows == len(listed)
        return {"root_hex": made.root().hex()}
    asked = case["row_hash_hex"]
    row_hash = None if asked is None else bytes.fromhex(asked)
    root, key_bytes = bytes.fromhex(case["root_hex"]), bytes.fromhex(case["key_hex"])
    proof = base64_bytes(case["proof_base64"])
    trie.verify(root, key_bytes, row_hash, proof)
    if "among" in case:
        made = make(dict(pairs_of_case(earlier[case["among"]])))
        assert (made.root(), made.prove(key_bytes)) == (root, proof)
    return {}
