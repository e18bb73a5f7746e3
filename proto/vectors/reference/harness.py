"""Writes vector files and checks them, one module of `cases` for each file.

A module offers DESCRIPTION, SPEC, `build()`, which yields (inputs, expected), and
`run(case, earlier)`, which returns what it computes from the inputs or raises Refused;
`earlier` are the cases of the file before it, by name. What is observed is stored beside the
inputs; `expected` is what the author says it must be.
"""

import json
import pathlib

from .canon import Refused
from .cases import (
    bundle_cases,
    document_cases,
    ed25519_cases,
    entry_cases,
    host_cases,
    json_cases,
    map_cases,
    merkle_cases,
    name_cases,
    note_cases,
    order_cases,
    rule_cases,
    succession_cases,
    tile_cases,
    witness_cases,
)

FILES = {
    "json.json": json_cases,
    "ed25519.json": ed25519_cases,
    "notes.json": note_cases,
    "merkle.json": merkle_cases,
    "tiles.json": tile_cases,
    "names.json": name_cases,
    "entries.json": entry_cases,
    "documents.json": document_cases,
    "map.json": map_cases,
    "rules.json": rule_cases,
    "bundle.json": bundle_cases,
    "orders.json": order_cases,
    "hosts.json": host_cases,
    "succession.json": succession_cases,
    "witness.json": witness_cases,
}


def observe(module, case, earlier):
    try:
        return {"ok": True, **module.run(case, earlier)}
    except Refused as refused:
        step = {} if refused.step is None else {"step": refused.step}
        return {"ok": False, "reason": refused.reason, **step}


def differences(observed, stored):
    missing = object()
    return [name for name, value in observed.items() if stored.get(name, missing) != value]


def build(module):
    cases = {}
    for inputs, expected in module.build():
        name = inputs["name"]
        observed = observe(module, inputs, cases)
        wrong = differences(expected, observed)
        if name in cases:
            raise AssertionError(f"two cases are named {name}")
        if wrong:
            found = {field: observed.get(field) for field in wrong}
            raise AssertionError(f"{name}: expected {expected}, observed {found}")
        cases[name] = {**inputs, **observed}
    head = {"description": module.DESCRIPTION, "spec": module.SPEC}
    return {**head, "cases": list(cases.values())}


def dump(value):
    """One line a case: small, and differences can be read."""
    head = json.dumps(
        {k: v for k, v in value.items() if k != "cases"}, indent=1, ensure_ascii=False
    )
    short = {"ensure_ascii": False, "separators": (",", ":")}
    lines = ",\n".join(json.dumps(case, **short) for case in value["cases"])
    return head.rstrip("}\n") + ',\n "cases": [\n' + lines + "\n]}\n"


def generate(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, module in FILES.items():
        data = dump(build(module)).encode()
        (folder / name).write_bytes(data)
        total += len(data)
        print(f"{name}: {len(data)} bytes")
    print(f"{len(FILES)} files, {total} bytes")
    return 0


def check(folder):
    passed = failed = 0
    for name, module in FILES.items():
        cases = json.loads((pathlib.Path(folder) / name).read_text(encoding="utf-8"))["cases"]
        earlier = {}
        for case in cases:
            wrong = differences(observe(module, case, earlier), case)
            earlier[case["name"]] = case
            passed, failed = passed + (not wrong), failed + bool(wrong)
            if wrong:
                print(f"{name}: {case['name']}: differs in {', '.join(wrong)}")
        if not cases:
            failed += 1
            print(f"{name}: no cases")
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1
