"""Hashes and signatures (SPEC 2). Verification is by a fast library, with the rules that it
lacks tested first; `ed25519.verify` is the same predicate in full, and `check` compares them."""

import functools
import hashlib

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from . import ed25519


def sha256(data):
    return hashlib.sha256(data).digest()


def blake(data):
    return blake3(data).digest()


def derive(context, data):
    return blake3(data, derive_key_context=context).digest()


def keyed(key, data):
    return blake3(data, key=key).digest()


def keyid(key):
    return hashlib.sha256(key).hexdigest()


# The library compares R with a canonical encoding, so only these eight can still be of small order.
SMALL_ORDER = {ed25519.encode(point) for point in ed25519.torsion_points()}


@functools.lru_cache(maxsize=65536)
def key_ok(key):
    """False for KEY_WEAK."""
    return ed25519.public_key(key) is not None


@functools.lru_cache(maxsize=65536)
def _library_key(key):
    return Ed25519PublicKey.from_public_bytes(key)


def verify(key, message, signature):
    if len(signature) != 64 or not key_ok(key):
        return False
    if int.from_bytes(signature[32:], "little") >= ed25519.L or signature[:32] in SMALL_ORDER:
        return False
    try:
        _library_key(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


class Signer:
    """A key of the vectors: its seed is the SHA-256 of a label."""

    def __init__(self, label):
        self.label = label
        self.seed = sha256(b"cairn vectors key " + label.encode())
        self._private = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = self._private.public_key().public_bytes_raw()
        self.keyid = keyid(self.public)

    def sign(self, message):
        return self._private.sign(message)


# Withheld values (SPEC 5).


def secret_key_id(key):
    return derive("cairn v1 secret key id", key)[:16]


def withheld_tag(key, environment, artifact, pointer, value):
    parts = (environment.encode(), artifact.encode(), pointer.encode(), value)
    return keyed(key, b"".join(len(part).to_bytes(8, "big") + part for part in parts))
