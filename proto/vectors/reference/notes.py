"""Signed notes, checkpoints and verifier keys (SPEC 6).

A refusal with reason None is of bytes that are no note, or a note of somebody else: SPEC
names a code only for a signature that does not verify and for a time in the future.
"""

import re
from typing import NamedTuple

from . import crypto
from .canon import Refused
from .names import base64_bytes, base64_text, hex_bytes, is_origin

LOG_KEY, CLOCK_KEY = 1, 4
NOTE_BYTES_MAX, NOTE_LINES_MAX = 16_384, 64
CLOCK_SKEW_MAX = 300
KEY_NAME = re.compile(r"[^\s+]+")
SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
VKEY_NAME = re.compile(r"[\x21-\x2a\x2c-\x7e]+")


class Vkey(NamedTuple):
    name: str
    kind: int
    public: bytes

    @property
    def id(self):
        return key_id(self.name, self.kind, self.public)

    def text(self):
        body = bytes([self.kind]) + self.public
        return f"{self.name}+{self.id.hex()}+{base64_text(body)}"


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes
    clock_time: int | None


def key_id(name, kind, public):
    return crypto.sha256(name.encode() + b"\n" + bytes([kind]) + public)[:4]


def parse_vkey(text):
    parts = text.split("+", 2) if isinstance(text, str) else []
    if len(parts) != 3 or not VKEY_NAME.fullmatch(parts[0]):
        raise Refused("JSON_INVALID_VALUE", "vkey")
    body = base64_bytes(parts[2], 33)
    vkey = Vkey(parts[0], body[0], body[1:])
    if hex_bytes(parts[1], 4) != vkey.id:
        raise Refused("JSON_INVALID_VALUE", "key ID of a vkey")
    if not crypto.key_ok(vkey.public):
        raise Refused("KEY_WEAK", vkey.name)
    return vkey


def note_text(origin, size, root):
    return f"{origin}\n{size}\n{base64_text(root)}\n".encode()


def cosigned_message(text, time):
    return f"cosignature/v1\ntime {time}\n".encode() + text


def signature_line(name, key_id_bytes, signature):
    return f"\u2014 {name} {base64_text(key_id_bytes + signature)}\n".encode()


def log_line(signer, origin, text):
    return signature_line(origin, key_id(origin, LOG_KEY, signer.public), signer.sign(text))


def clock_line(signer, origin, text, time):
    name = f"{origin}/clock"
    blob = time.to_bytes(8, "big") + signer.sign(cosigned_message(text, time))
    return signature_line(name, key_id(name, CLOCK_KEY, signer.public), blob)


def _malformed(detail):
    return Refused(None, detail)


def parse_text(text):
    """(origin, size, root) of a checkpoint without extension lines."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise _malformed("a checkpoint has three lines")
    if not is_origin(lines[0]) or not SIZE.fullmatch(lines[1]):
        raise _malformed("origin or size")
    try:
        return lines[0], int(lines[1]), base64_bytes(lines[2], 32)
    except Refused as error:
        raise _malformed("root") from error


def parse_line(line):
    """(name, key ID, what follows the key ID) of a signature line."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "\u2014" or not KEY_NAME.fullmatch(name):
        raise _malformed("signature line")
    try:
        blob = base64_bytes(encoded)
    except Refused as error:
        raise _malformed("signature line") from error
    if len(blob) < 5:
        raise _malformed("signature line")
    return name, blob[:4], blob[4:]


def parse_note(data):
    """(signed text, signature lines): the shape of a note, nothing verified."""
    if len(data) > NOTE_BYTES_MAX or data.count(b"\n") > NOTE_LINES_MAX:
        raise _malformed("note too large")
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("not UTF-8") from error
    body, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise _malformed("no signatures")
    return body + "\n", [parse_line(line) for line in tail[:-1].split("\n")]


def open_checkpoint(data, log_key, clock_key, now):
    """Step 1 of section 9. `now` is the verifier's clock in unix seconds, None to skip it."""
    text, lines = parse_note(data)
    origin, size, root = parse_text(text)
    if origin != log_key.name:
        raise _malformed("another origin")
    signed, clock_time = False, None
    for name, line_key_id, blob in lines:
        if (name, line_key_id) == (log_key.name, log_key.id):
            if not crypto.verify(log_key.public, text.encode(), blob):
                raise Refused("NOTE_SIGNATURE", "log")
            signed = True
        elif clock_key and (name, line_key_id) == (clock_key.name, clock_key.id):
            time, signature = int.from_bytes(blob[:8], "big"), blob[8:]
            message = cosigned_message(text.encode(), time)
            if not crypto.verify(clock_key.public, message, signature):
                raise Refused("NOTE_SIGNATURE", "clock")
            if now is not None and time > now + CLOCK_SKEW_MAX:
                raise Refused("NOTE_FROM_THE_FUTURE", str(time))
            clock_time = time if clock_time is None else max(clock_time, time)
    if not signed:
        raise _malformed("the log did not sign")
    return Checkpoint(origin, size, root, clock_time)
