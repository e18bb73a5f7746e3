"""Witnesses (SPEC 6.1): what one answers to a submission, and what a log takes from an answer."""

from typing import NamedTuple

from . import crypto, merkle, notes
from .canon import Refused, require
from .names import base64_bytes, u64_of_text

HASHES_MAX = 63
BUSY = (429, 503)


class Log(NamedTuple):
    """What a witness knows of a log; size and root are those that it cosigned last."""

    keys: list
    size: int = 0
    root: bytes = merkle.EMPTY


class Submission(NamedTuple):
    old: int
    hashes: list
    origin: str
    size: int
    root: bytes
    text: bytes  # what is signed
    lines: list


def parse_submission(body):
    """`old`, hashes, an empty line, a note; a refusal where the body is not of the form."""
    head, separator, note = body.partition(b"\n\n")
    require(separator and head.isascii(), "no empty line before the note")
    first, *listed = head.decode().split("\n")
    word, _, old = first.partition(" ")
    require(word == "old", "the line of the old size")
    require(len(listed) <= HASHES_MAX, "too many hashes")
    hashes = [base64_bytes(line, 32) for line in listed]
    text, lines = notes.parse_note(note)
    said = text[:-1].split("\n")
    require(len(said) >= 3 and all(said), "lines of the checkpoint")
    size, root = u64_of_text(said[1]), base64_bytes(said[2], 32)
    return Submission(u64_of_text(old), hashes, said[0], size, root, text.encode(), lines)


def is_signed(keys, text, lines):
    """Some key has lines, and all of them verify."""
    for key in keys:
        own = [blob for name, key_id, blob in lines if (name, key_id) == (key.name, key.id)]
        if own and all(crypto.verify(key.public, text, blob) for blob in own):
            return True
    return False


def is_consistent(log, given):
    if given.old in (0, given.size):
        return not given.hashes
    return merkle.verify_consistency(given.old, given.size, given.hashes, log.root, given.root)


def judge(logs, body):
    """(status, submission or None). `logs` are by origin; what 200 means is left to do."""
    try:
        given = parse_submission(body)
    except Refused:
        return 400, None
    log = logs.get(given.origin)
    if log is None:
        return 404, given
    if not is_signed(log.keys, given.text, given.lines):
        return 403, given
    if given.old > given.size:
        return 400, given
    if given.old != log.size or (given.old == given.size and given.root != log.root):
        return 409, given
    return (200 if is_consistent(log, given) else 422), given


def taken(body, note, key, now):
    """(line, time) that a log takes from the body of an answer of 200, or None."""
    text, _ = notes.parse_note(note)
    *lines, _ = body.split(b"\n")
    for line in lines:
        try:
            name, key_id, blob = notes.parse_line(line.decode())
            if (name, key_id) != (key.name, key.id):
                continue
            time = notes.cosigned_time(key, text.encode(), blob)
        except (Refused, UnicodeDecodeError):
            continue
        if time <= now + notes.CLOCK_SKEW_MAX:
            return line + b"\n", time
    return None


def named_size(body):
    """The size in the body of a 409, perhaps with white space around it; None where it is none."""
    try:
        return u64_of_text(body.decode().strip(" \t\r\n"))
    except (Refused, UnicodeDecodeError):
        return None
