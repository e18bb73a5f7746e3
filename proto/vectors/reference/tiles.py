"""Paths of the read API, entry bundles and document bundles (SPEC 6)."""

import re

from .canon import Refused

PATH = re.compile(
    r"/(?P<what>tile/(?P<level>[0-7])|tile/entries|documents)"
    r"/(?P<groups>(x[0-9]{3}/)*[0-9]{3})(\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


def number_path(number):
    groups = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        groups.append(f"x{number % 1000:03}")
    return "/".join(reversed(groups))


def path(what, number, width=256):
    """`what` is a level 0 to 7, `entries` or `documents`; a width of 256 is a full tile."""
    head = "/documents" if what == "documents" else f"/tile/{what}"
    tail = "" if width == 256 else f".p/{width}"
    return f"{head}/{number_path(number)}{tail}"


def parse_path(text):
    """(what, number, width) of a path in its only spelling."""
    found = PATH.fullmatch(text)
    if not found:
        raise Refused(None, "path")
    number = int(re.sub("[x/]", "", found["groups"]))
    width = int(found["width"]) if found["width"] else 256
    what = found["what"].removeprefix("tile/")
    what = int(what) if found["level"] else what
    other = path(what, number, width) != text
    if other or number >= 2**64 or width > 256 or (width == 256 and found["width"]):
        raise Refused(None, "path")
    return what, number, width


def encode_entries(entries):
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_entries(data, width):
    entries, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + length]
        if at + 2 > len(data) or len(entry) != length:
            raise Refused(None, "the entry bundle ends inside an entry")
        entries.append(entry)
        at += 2 + length
    if len(entries) != width:
        raise Refused(None, "the entry bundle has another number of entries")
    return entries


def encode_documents(documents):
    """`documents`: (offset of the entry in the bundle, bytes), ascending."""
    return b"".join(bytes([at]) + len(doc).to_bytes(4, "big") + doc for at, doc in documents)


def decode_documents(data, width):
    documents, at = [], 0
    while at < len(data):
        if at + 5 > len(data):
            raise Refused(None, "the document bundle ends inside a header")
        offset, length = data[at], int.from_bytes(data[at + 1 : at + 5], "big")
        document = data[at + 5 : at + 5 + length]
        if len(document) != length:
            raise Refused(None, "the document bundle ends inside a document")
        if offset >= width or (documents and offset <= documents[-1][0]):
            raise Refused(None, "offsets do not ascend within the bundle")
        documents.append((offset, document))
        at += 5 + length
    return documents
