"""Signed notes, checkpoints and verifier keys (SPEC 6)."""

import re
from typing import NamedTuple

from . import crypto
from .canon import Refused, require
from .names import base64_bytes, base64_text, hex_bytes, is_origin, u64_of_text

LOG_KEY, COSIGNER_KEY = 1, 4
NOTE_BYTES_MAX, NOTE_LINES_MAX = 16_384, 64
CLOCK_SKEW_MAX = 300
COSIGNERS_MAX = 16  # of each kind
KEY_NAME = re.compile(r"[^\s+]+")
VKEY_NAME = re.compile(r"[\x21-\x2a\x2c-\x7e]{1,255}")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


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
    audited_times: list  # of each pinned auditor that cosigned it, newest first
    witnessed_times: list  # likewise of each pinned witness


class Cosigners(NamedTuple):
    """The auditors or the witnesses that a trust file pins."""

    keys: list
    quorum: int

    def reached(self, times):
        """How many cosigned, of whose times these are; None where they are too few."""
        return len(times) if len(times) >= self.quorum else None


class Pins(NamedTuple):
    auditors: Cosigners | None = None
    witnesses: Cosigners | None = None

    @property
    def keys(self):
        return [key for pinned_ones in self if pinned_ones for key in pinned_ones.keys]

    def time(self, head):
        """The time that age counts from: of the last cosigner that a quorum takes, or the clock."""
        for cosigners, times in (
            (self.witnesses, head.witnessed_times),
            (self.auditors, head.audited_times),
        ):
            if cosigners and cosigners.reached(times) is not None:
                return times[cosigners.quorum - 1]
        return head.clock_time


NOBODY = Pins()


def key_id(name, kind, public):
    return crypto.sha256(name.encode() + b"\n" + bytes([kind]) + public)[:4]


def parse_vkey(text):
    try:
        return _vkey(text)
    except Refused as error:
        raise Refused("VKEY_SYNTAX", str(error)) from error


def _vkey(text):
    parts = text.split("+", 2) if isinstance(text, str) else []
    require(len(parts) == 3 and VKEY_NAME.fullmatch(parts[0]), "vkey")
    body = base64_bytes(parts[2], 33)
    vkey = Vkey(parts[0], body[0], body[1:])
    require(vkey.kind in (LOG_KEY, COSIGNER_KEY), "type of a vkey")
    require(hex_bytes(parts[1], 4) == vkey.id, "key ID of a vkey")
    require(crypto.key_ok(vkey.public), "weak key")
    return vkey


def parse_pins(value, others):
    """`auditors` and `witnesses` of a trust file, whose other keys are given (SPEC 9)."""
    present = [member for member in Pins._fields if member in value]
    pins = Pins(**{member: parse_cosigners(value[member], others) for member in present})
    publics = {key.public for key in pins.keys}
    pinned(len(publics) == len(pins.keys), "an auditor who is a witness")
    return pins


def parse_cosigners(value, others):
    pinned(isinstance(value, dict) and set(value) == {"keys", "quorum"}, "members")
    listed, quorum = value["keys"], value["quorum"]
    pinned(isinstance(listed, list) and 1 <= len(listed) <= COSIGNERS_MAX, "number of cosigners")
    pinned(type(quorum) is int and 1 <= quorum <= len(listed), "quorum of cosigners")
    keys = [parse_vkey(text) for text in listed]
    pinned(all(key.kind == COSIGNER_KEY for key in keys), "type of a cosigner's key")
    publics = {key.public for key in keys}
    pinned(len(publics) == len(keys), "a cosigner twice")
    pinned(publics.isdisjoint(key.public for key in others), "a cosigner with a key of the log")
    return Cosigners(keys, quorum)


def pinned(condition, detail):
    """SPEC names no code for a trust file that says what it may not."""
    if not condition:
        raise Refused(None, detail)


def note_text(origin, size, root):
    return f"{origin}\n{size}\n{base64_text(root)}\n".encode()


def cosigned_message(text, time):
    return f"cosignature/v1\ntime {time}\n".encode() + text


def signature_line(name, key_id_bytes, signature):
    return f"\u2014 {name} {base64_text(key_id_bytes + signature)}\n".encode()


def log_line(signer, origin, text):
    return signature_line(origin, key_id(origin, LOG_KEY, signer.public), signer.sign(text))


def clock_line(signer, origin, text, time):
    return cosigner_line(signer, f"{origin}/clock", text, time)


def cosigner_line(signer, name, text, time):
    blob = time.to_bytes(8, "big") + signer.sign(cosigned_message(text, time))
    return signature_line(name, key_id(name, COSIGNER_KEY, signer.public), blob)


def parse_text(text):
    """(origin, size, root) of a checkpoint without extension lines."""
    lines = text.split("\n")
    try:
        require(len(lines) == 4 and not lines[3], "a checkpoint has three lines")
        require(is_origin(lines[0]), "origin")
        return lines[0], u64_of_text(lines[1]), base64_bytes(lines[2], 32)
    except Refused as error:
        raise Refused("CHECKPOINT_SYNTAX", str(error)) from error


def parse_line(line):
    """(name, key ID, what follows the key ID) of a signature line."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    require(dash == "\u2014" and KEY_NAME.fullmatch(name), "signature line")
    blob = base64_bytes(encoded)
    require(len(blob) >= 5, "signature line")
    return name, blob[:4], blob[4:]


def parse_note(data):
    """(signed text, signature lines): the shape of a note, nothing verified."""
    try:
        return _note(data)
    except (Refused, UnicodeDecodeError) as error:
        raise Refused("NOTE_SYNTAX", str(error)) from error


def _note(data):
    require(len(data) <= NOTE_BYTES_MAX, "note too large")
    note = data.decode("utf-8")
    require(not CONTROL.search(note), "control character")
    body, separator, tail = note.rpartition("\n\n")
    require(separator and tail.endswith("\n"), "no signatures")
    lines = tail[:-1].split("\n")
    require(len(lines) <= NOTE_LINES_MAX, "too many signatures")
    return body + "\n", [parse_line(line) for line in lines]


def claimed(data):
    """What a note states; nothing verified."""
    return Checkpoint(*parse_text(parse_note(data)[0]), None, [], [])


def open_checkpoint(data, log_key, clock_key, now, pins=NOBODY, others=()):
    """Step 1 of section 9. `now` is the verifier's clock in unix seconds, None to skip it;
    `others` are the log's keys at other sizes."""
    text, lines = parse_note(data)
    origin, size, root = parse_text(text)
    if origin != log_key.name:
        raise Refused("WRONG_ORIGIN", origin)
    cosigners = [key for key in (clock_key, *pins.keys) if key]
    signed, times = False, {}  # the newest time of each key that cosigned
    for name, line_key_id, blob in lines:
        if (name, line_key_id) == (log_key.name, log_key.id):
            if not crypto.verify(log_key.public, text.encode(), blob):
                raise Refused("NOTE_SIGNATURE", "log")
            signed = True
        for key in cosigners:
            if (name, line_key_id) == (key.name, key.id):
                time = cosigned_time(key, text.encode(), blob)
                times[key.public] = max(time, times.get(key.public, time))
    if not signed and any(_signed_by(key, text, lines) for key in others):
        raise Refused("KEY_SUCCEEDED", "a key of other sizes")
    if not signed:
        raise Refused("NOTE_SIGNATURE", "the log did not sign")
    if now is not None and any(time > now + CLOCK_SKEW_MAX for time in times.values()):
        raise Refused("NOTE_FROM_THE_FUTURE", str(max(times.values())))
    clock_time = times.get(clock_key.public) if clock_key else None
    counted = (newest_first(times, pinned_ones) for pinned_ones in pins)
    return Checkpoint(origin, size, root, clock_time, *counted)


def _signed_by(key, text, lines):
    return any(
        (name, line_key_id) == (key.name, key.id) and crypto.verify(key.public, text.encode(), blob)
        for name, line_key_id, blob in lines
    )


def newest_first(times, cosigners):
    """The times of those of them that cosigned."""
    listed = cosigners.keys if cosigners else []
    return sorted((times[key.public] for key in listed if key.public in times), reverse=True)


def cosigned_time(key, text, blob):
    time, signature = int.from_bytes(blob[:8], "big"), blob[8:]
    if not crypto.verify(key.public, cosigned_message(text, time), signature):
        raise Refused("NOTE_SIGNATURE", key.name)
    return time
