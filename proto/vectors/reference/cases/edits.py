"""Texts told by what differs: a case has `<field>_text`, or `<field>_base` and `<field>_edits`.

The base is an earlier case of the file by name. Each edit is [at, length, text]: `length`
bytes at offset `at` of the base's UTF-8 give way to the text. Offsets ascend.
"""

import difflib
import json
import re

TOKEN = re.compile(rb"[A-Za-z0-9]+|[\x80-\xff]+|.", re.DOTALL)
HOW_TO_READ = (
    " Where a case has `F_base` and `F_edits` for `F_text`, the text is that of the earlier case "
    "named (told in either way), with each edit [at, length, text] made: `length` bytes at "
    "offset `at` of the base's UTF-8 "
    "give way to the text (offsets are those of the base, and ascend)."
)


def between(base, new):
    """The edits that make `new` of `base`, token by token."""
    old_tokens, new_tokens = TOKEN.findall(base), TOKEN.findall(new)
    starts = [0]
    for token in old_tokens:
        starts.append(starts[-1] + len(token))
    found = []
    matcher = difflib.SequenceMatcher(None, old_tokens, new_tokens, autojunk=False)
    for what, i, j, k, m in matcher.get_opcodes():
        if what != "equal":
            found.append([starts[i], starts[j] - starts[i], b"".join(new_tokens[k:m]).decode()])
    return found


def apply(base, edits):
    parts, at = [], 0
    for offset, length, text in edits:
        parts += [base[at:offset], text.encode()]
        at = offset + length
    return b"".join(parts) + base[at:]


def size(edits):
    return len(json.dumps(edits, ensure_ascii=False))


def smallest(bases, data):
    """(name, edits) by the base that makes for the least, or None where the text is no longer."""
    near = sorted(bases.items(), key=lambda item: abs(len(item[1]) - len(data)))[:24]
    tried = [(name, between(base, data)) for name, base in near]
    best = min(tried, key=lambda item: size(item[1]), default=None)
    return best if best and 4 * size(best[1]) < 3 * len(data) else None


def tell(field, data, bases):
    """The members that tell a text."""
    best = smallest(bases, data)
    if best is None:
        return {f"{field}_text": data.decode()}
    return {f"{field}_base": best[0], f"{field}_edits": best[1]}


def compacted(field, cases):
    """Tell each text by what differs from an earlier one, where that is shorter."""
    bases = {}
    for inputs, expected in cases:
        text = inputs.get(f"{field}_text")
        if text is not None:
            others = {k: v for k, v in inputs.items() if k != f"{field}_text"}
            inputs = {**others, **tell(field, text.encode(), bases)}
            bases[inputs["name"]] = text.encode()
        yield inputs, expected


def text_of(field, case, earlier):
    """The bytes of a case's text, however it is told."""
    if f"{field}_text" in case:
        return case[f"{field}_text"].encode()
    base = text_of(field, earlier[case[f"{field}_base"]], earlier)
    return apply(base, case[f"{field}_edits"])
