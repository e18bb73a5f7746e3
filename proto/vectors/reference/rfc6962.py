"""Runs a folder of RFC 6962 proof vectors: `inclusion/` and `consistency/`, JSON files in
any depth, with roots and hashes in base64 and `wantErr`."""

import base64
import json
import pathlib

from . import merkle


def _bytes(text):
    return base64.b64decode(text or "")


def holds(kind, case):
    proof = [_bytes(item) for item in case["proof"] or []]
    if kind == "inclusion":
        index, size = case["leafIdx"], case["treeSize"]
        leaf, root = _bytes(case["leafHash"]), _bytes(case["root"])
        return merkle.verify_inclusion(leaf, index, size, proof, root)
    roots = _bytes(case["root1"]), _bytes(case["root2"])
    return merkle.verify_consistency(case["size1"], case["size2"], proof, *roots)


def run(folder):
    passed = failed = 0
    for kind in ("inclusion", "consistency"):
        for path in sorted((pathlib.Path(folder) / kind).rglob("*.json")):
            case = json.loads(path.read_text(encoding="utf-8"))
            good = holds(kind, case) != case["wantErr"]
            passed, failed = passed + good, failed + (not good)
            if not good:
                print(f"{path.relative_to(folder)}: {case['desc']}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1
