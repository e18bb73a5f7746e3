"""tiles.json: paths of the read API and its bundles."""

from .. import merkle, tiles
from ..crypto import blake
from ..names import base64_bytes, base64_text

DESCRIPTION = (
    "Read API. An `op` is `path` (`what` is a tile level, `entries` or `documents`; `width` 256 is "
    "a full one), `entries` (an entry bundle of `width` entries), `documents` (a document bundle "
    "for `width` entries, `offsets` beside `documents_base64`) or `tile` (the hashes of one tile "
    "of the tree of `size` leaves, leaf i being the ASCII text `leaf i`; `tile_blake3_hex` is of "
    "its bytes)."
)
SPEC = "6"

GOOD_PATHS = (
    "/tile/0/000",
    "/tile/0/000.p/1",
    "/tile/0/000.p/255",
    "/tile/7/001",
    "/tile/1/999",
    "/tile/1/x001/000",
    "/tile/0/x001/x234/067",
    "/tile/0/x001/x234/067.p/89",
    "/tile/0/x001/x000/000",
    "/tile/0/x018/x446/x744/x073/x709/x551/615",
    "/tile/entries/000",
    "/tile/entries/x010/001.p/7",
    "/documents/000",
    "/documents/x001/002",
    "/documents/012.p/255",
)
BAD_PATHS = (
    "/tile/8/000",
    "/tile/00/000",
    "/tile/-1/000",
    "/tile/0/0",
    "/tile/0/00",
    "/tile/0/0000",
    "/tile/0/1000",
    "/tile/0/x000/001",
    "/tile/0/001/000",
    "/tile/0/x001",
    "/tile/0/x001/0",
    "/tile/0/x001/x000",
    "/tile/0/x018/x446/x744/x073/x709/x551/616",
    "/tile/0/X001/000",
    "/tile/0/000.p/0",
    "/tile/0/000.p/00",
    "/tile/0/000.p/01",
    "/tile/0/000.p/256",
    "/tile/0/000.p/257",
    "/tile/0/000.p/",
    "/tile/0/000.p",
    "/tile/0/000/p/1",
    "/tile/0/000/",
    "/tile//000",
    "/tile/entries",
    "/tile/entries/",
    "/tile/data/000",
    "/tile/entries/+01",
    "/documents/",
    "/documents/1",
    "/documents/0/000",
    "tile/0/000",
    "",
)
ENTRIES = [b"{}", b'{"cairn":"map/v1"}', bytes(300)]
DOCUMENTS = [(0, b"policy"), (3, b"manifest"), (255, b"")]


def entry_bundles():
    data = tiles.encode_entries(ENTRIES)
    length_only = b"\x00\x05"
    for name, width, value, ok in (
        ("three entries", 3, data, True),
        ("one entry", 1, tiles.encode_entries(ENTRIES[:1]), True),
        ("fewer entries than the width", 4, data, False),
        ("more entries than the width", 2, data, False),
        ("cut inside an entry", 3, data[:-1], False),
        ("cut inside a length", 2, tiles.encode_entries(ENTRIES[:1]) + b"\x00", False),
        ("a length alone", 1, length_only, False),
        ("a byte after the last entry", 3, data + b"\x00", False),
        ("nothing", 1, b"", False),
    ):
        inputs = {"op": "entries", "width": width, "bundle_base64": base64_text(value)}
        yield {"name": f"entry bundle: {name}", **inputs}, {"ok": ok}


def document_bundles():
    data = tiles.encode_documents(DOCUMENTS)
    for name, width, value, ok in (
        ("three documents", 256, data, True),
        ("no document", 256, b"", True),
        ("one document, of the last entry", 4, tiles.encode_documents([(3, b"x")]), True),
        ("offsets not ascending", 256, tiles.encode_documents(DOCUMENTS[::-1]), False),
        ("one offset twice", 256, tiles.encode_documents([(1, b"a"), (1, b"b")]), False),
        ("offset outside the bundle", 3, tiles.encode_documents(DOCUMENTS[:2]), False),
        ("cut inside a document", 256, tiles.encode_documents(DOCUMENTS[:2])[:-1], False),
        ("cut inside a header", 256, data[:-1], False),
    ):
        inputs = {"op": "documents", "width": width, "bundle_base64": base64_text(value)}
        yield {"name": f"document bundle: {name}", **inputs}, {"ok": ok}


def build():
    for path in GOOD_PATHS:
        yield {"name": f"path {path}", "op": "path", "path": path}, {"ok": True}
    for path in BAD_PATHS:
        yield {"name": f"no path: {path!r}", "op": "path", "path": path}, {"ok": False}
    yield from entry_bundles()
    yield from document_bundles()
    for size, level, number in ((1, 0, 0), (256, 0, 0), (256, 1, 0), (600, 0, 2), (600, 1, 0)):
        name = f"tile {level}/{number} of {size}"
        yield {"name": name, "op": "tile", "size": size, "level": level, "number": number}, {}


def run(case, _earlier):
    if case["op"] == "path":
        what, number, width = tiles.parse_path(case["path"])
        return {"what": what, "number": number, "width": width}
    if case["op"] == "tile":
        hashes = [merkle.leaf_hash(b"leaf %d" % i) for i in range(case["size"])]
        start = 256 * case["number"]
        row = merkle.tile_levels(hashes)[case["level"]][start : start + 256]
        path = tiles.path(case["level"], case["number"], len(row))
        return {"path": path, "tile_blake3_hex": blake(b"".join(row)).hex()}
    data = base64_bytes(case["bundle_base64"])
    if case["op"] == "entries":
        found = tiles.decode_entries(data, case["width"])
        assert tiles.encode_entries(found) == data
        return {"entries_base64": [base64_text(entry) for entry in found]}
    found = tiles.decode_documents(data, case["width"])
    assert tiles.encode_documents(found) == data
    contents = [base64_text(document) for _, document in found]
    return {"offsets": [offset for offset, _ in found], "documents_base64": contents}
