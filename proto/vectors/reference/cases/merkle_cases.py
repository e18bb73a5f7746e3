"""merkle.json: RFC 6962 roots and proofs."""

from .. import merkle
from ..canon import Refused
from ..names import base64_bytes, base64_text

DESCRIPTION = (
    "RFC 6962 over SHA-256. Leaf i of every tree is the ASCII text `leaf i` (`leaf 0`, `leaf 1`, "
    "...). `proof_base64` is the concatenation of the proof's hashes. An `op` is `root`, "
    "`inclusion` (`index` in the tree of `size`) or `consistency` (`old_size` to `size`). A "
    "consistency proof from size 0 is refused."
)
SPEC = "2"
REASONS = {"inclusion": "INCLUSION_UNPROVEN", "consistency": "CONSISTENCY_UNPROVEN"}

SIZE_MAX = 40
LEAVES = [merkle.leaf_hash(b"leaf %d" % i) for i in range(SIZE_MAX)]
ROOTS = [merkle.root(LEAVES[:size]) for size in range(SIZE_MAX + 1)]
INCLUSIONS = {1: [0], 2: [0, 1], 3: range(3), 5: range(5), 8: [0, 3, 7]}
INCLUSIONS |= {13: [5, 8, 12], 21: [0, 15, 16, 20], 33: [31, 32], 40: [17, 32, 39]}
CONSISTENCIES = {1: [1], 2: [1, 2], 3: [1, 2, 3], 5: [2, 3, 4], 8: [1, 4, 5, 7]}
CONSISTENCIES |= {21: [1, 13, 16, 20, 21], 40: [7, 31, 32, 33, 39]}


def inclusion(name, index, size, proof, ok=True, leaf=None, root=None):
    inputs = {
        "name": name,
        "op": "inclusion",
        "size": size,
        "index": index,
        "leaf_hash_hex": (leaf or LEAVES[index]).hex(),
        "root_hex": (root or ROOTS[size]).hex(),
        "proof_base64": base64_text(b"".join(proof)),
    }
    return inputs, {"ok": ok}


def consistency(name, old_size, size, proof, ok=True, old_root=None, root=None):
    inputs = {
        "name": name,
        "op": "consistency",
        "old_size": old_size,
        "size": size,
        "old_root_hex": (old_root or ROOTS[old_size]).hex(),
        "root_hex": (root or ROOTS[size]).hex(),
        "proof_base64": base64_text(b"".join(proof)),
    }
    return inputs, {"ok": ok}


def refused_inclusions():
    proof = merkle.inclusion_proof(LEAVES[:21], 16)
    for name, index, size, changed in (
        ("another index", 17, 21, proof),
        ("a smaller tree", 16, 20, proof),
        ("a larger tree", 16, 22, proof),
        ("one hash less", 16, 21, proof[:-1]),
        ("one hash more", 16, 21, [*proof, ROOTS[1]]),
        ("order reversed", 16, 21, proof[::-1]),
        ("no proof", 16, 21, []),
        ("index is the size", 21, 21, proof),
        ("index beyond the size", 37, 21, proof),
    ):
        yield inclusion(f"inclusion refused: {name}", index, size, changed, False, LEAVES[16])
    yield inclusion("inclusion refused: another leaf", 16, 21, proof, False, LEAVES[15])
    yield inclusion("inclusion refused: another root", 16, 21, proof, False, None, ROOTS[20])
    yield inclusion("inclusion refused: empty tree", 0, 0, [], False, ROOTS[0], ROOTS[0])
    node = merkle.node(LEAVES[0], LEAVES[1])
    name = "an inner node as a leaf, of a tree half the size"
    yield inclusion(name, 0, 2, [merkle.node(LEAVES[2], LEAVES[3])], True, node, ROOTS[4])


def refused_consistencies():
    proof = merkle.consistency_proof(LEAVES[:21], 13)
    for name, old_size, size, changed in (
        ("another old size", 12, 21, proof),
        ("another size", 13, 33, proof),
        ("one hash less", 13, 21, proof[:-1]),
        ("one hash more", 13, 21, [*proof, ROOTS[1]]),
        ("no proof", 13, 21, []),
        ("sizes swapped", 21, 13, proof),
    ):
        roots = ROOTS[13], ROOTS[21]
        name = f"consistency refused: {name}"
        yield consistency(name, old_size, size, changed, False, *roots)
    name = "consistency refused:"
    yield consistency(f"{name} another old root", 13, 21, proof, False, ROOTS[12])
    yield consistency(f"{name} another root", 13, 21, proof, False, None, ROOTS[22])
    yield consistency(f"{name} equal sizes, a proof", 21, 21, [ROOTS[21]], False)
    yield consistency(f"{name} equal sizes, two roots", 21, 21, [], False, ROOTS[20])
    yield consistency(f"{name} from size 0", 0, 21, [], False)
    yield consistency(f"{name} from size 0 to 0", 0, 0, [], False)


def build():
    for size in range(SIZE_MAX + 1):
        yield {"name": f"root of {size}", "op": "root", "size": size}, {"ok": True}
    for size, indices in INCLUSIONS.items():
        for index in indices:
            proof = merkle.inclusion_proof(LEAVES[:size], index)
            yield inclusion(f"inclusion of {index} in {size}", index, size, proof)
    for size, olds in CONSISTENCIES.items():
        for old in olds:
            proof = merkle.consistency_proof(LEAVES[:size], old)
            yield consistency(f"consistency of {old} and {size}", old, size, proof)
    yield from refused_inclusions()
    yield from refused_consistencies()


def run(case, _earlier):
    size = case["size"]
    if case["op"] == "root":
        growing = merkle.Growing()
        for leaf in LEAVES[:size]:
            growing.append(leaf)
        assert growing.root() == ROOTS[size]
        return {"root_hex": ROOTS[size].hex()}
    data = base64_bytes(case["proof_base64"])
    proof = [data[i : i + 32] for i in range(0, len(data), 32)]
    root = bytes.fromhex(case["root_hex"])
    if case["op"] == "inclusion":
        leaf = bytes.fromhex(case["leaf_hash_hex"])
        holds = merkle.verify_inclusion(leaf, case["index"], size, proof, root)
    else:
        old_root = bytes.fromhex(case["old_root_hex"])
        holds = merkle.verify_consistency(case["old_size"], size, proof, old_root, root)
    if not holds:
        raise Refused(REASONS[case["op"]])
    return {}
