"""RFC 6962 trees over SHA-256 (SPEC 2): roots, proofs, and roots that grow leaf by leaf."""

import hashlib

EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(data):
    return hashlib.sha256(b"\x00" + data).digest()


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size):
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def root(hashes):
    """The root over leaf hashes."""
    if not hashes:
        return EMPTY
    if len(hashes) == 1:
        return hashes[0]
    at = _split(len(hashes))
    return node(root(hashes[:at]), root(hashes[at:]))


def inclusion_proof(hashes, index):
    if len(hashes) <= 1:
        return []
    at = _split(len(hashes))
    if index < at:
        return inclusion_proof(hashes[:at], index) + [root(hashes[at:])]
    return inclusion_proof(hashes[at:], index - at) + [root(hashes[:at])]


def consistency_proof(hashes, old_size, whole=True):
    if old_size == len(hashes):
        return [] if whole else [root(hashes)]
    at = _split(len(hashes))
    if old_size <= at:
        return consistency_proof(hashes[:at], old_size, whole) + [root(hashes[at:])]
    return consistency_proof(hashes[at:], old_size - at, False) + [root(hashes[:at])]


def verify_inclusion(leaf, index, size, proof, expected_root):
    """RFC 9162, 2.1.3.2."""
    if not 0 <= index < size or any(len(item) != 32 for item in [leaf, *proof]):
        return False
    fn, sn, value = index, size - 1, leaf
    for item in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            value = node(item, value)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            value = node(value, item)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and value == expected_root


def verify_consistency(old_size, new_size, proof, old_root, new_root):
    """RFC 9162, 2.1.4.2. An old size of 0 proves nothing and is refused."""
    if not 0 < old_size <= new_size or any(len(item) != 32 for item in proof):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old_value = new_value = path[0]
    for item in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old_value, new_value = node(item, old_value), node(item, new_value)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            new_value = node(new_value, item)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and old_value == old_root and new_value == new_root


class Growing:
    """A tree that grows: keeps only the roots of its perfect subtrees, largest first."""

    def __init__(self):
        self.size = 0
        self.peaks = []

    def append(self, leaf):
        value, size = leaf, self.size
        while size & 1:
            value = node(self.peaks.pop(), value)
            size >>= 1
        self.peaks.append(value)
        self.size += 1

    def root(self):
        if not self.peaks:
            return EMPTY
        value = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            value = node(peak, value)
        return value


def tile_levels(hashes):
    """The hashes of tree levels 0, 8, 16, ... : whole subtrees only (SPEC 6)."""
    levels, row = [], list(hashes)
    while row and len(levels) < 8:
        levels.append(row)
        for _ in range(8):
            row = [node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
    return levels
