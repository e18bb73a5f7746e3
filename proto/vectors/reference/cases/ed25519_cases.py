"""ed25519.json: strict Ed25519, and the signatures on which verifiers in the field disagree."""

from .. import crypto, ed25519
from ..crypto import Signer
from ..ed25519 import BASE, L, P, add, encode, multiply, negate

DESCRIPTION = (
    "Strict Ed25519. `key_ok`: the public key is not KEY_WEAK; `ok`: the signature verifies. "
    "Where a name says that an equation holds, a verifier without that rule would accept."
)
SPEC = "2"

MESSAGE = b"cairn vectors"
TORSION = ed25519.torsion_points()


class Secret:
    """A secret scalar with a public key that may carry a torsion component."""

    def __init__(self, torsion=0):
        self.scalar = int.from_bytes(crypto.sha256(b"cairn vectors scalar"), "little") % L
        self.torsion = torsion
        self.public = encode(add(multiply(self.scalar, BASE), TORSION[torsion]))

    def sign(self, message, nonce_torsion, nonce=12345):
        """R = rB - jT and S = r + ka: with the cofactor always an equation, without it rarely."""
        point = add(multiply(nonce, BASE), negate(TORSION[nonce_torsion]))
        nonce_point = encode(point)
        k = ed25519.challenge(nonce_point, self.public, message)
        return nonce_point + le((nonce + k * self.scalar) % L), k


def le(number):
    return number.to_bytes(32, "little")


def case(name, public, message, signature, ok, key_ok=True):
    inputs = {
        "name": name,
        "public_hex": public.hex(),
        "message_hex": message.hex(),
        "signature_hex": signature.hex(),
    }
    return inputs, {"ok": ok, "key_ok": key_ok}


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit >> 3] ^= 1 << (bit & 7)
    return bytes(changed)


def ordinary():
    signer, other = Signer("ed25519 one"), Signer("ed25519 two")
    for length in (0, 1, 64, 300):
        message = bytes(i & 255 for i in range(length))
        yield case(f"valid, {length} bytes", signer.public, message, signer.sign(message), True)
    signature = signer.sign(MESSAGE)
    yield case("wrong message", signer.public, MESSAGE + b".", signature, False)
    yield case("wrong key", other.public, MESSAGE, signature, False)
    for bit in (0, 255, 256, 500):
        name = f"bit {bit} of the signature flipped"
        yield case(name, signer.public, MESSAGE, flipped(signature, bit), False)
    yield case("signature of 63 bytes", signer.public, MESSAGE, signature[:63], False)
    yield case("signature of 65 bytes", signer.public, MESSAGE, signature + b"\x00", False)
    yield case("no signature", signer.public, MESSAGE, b"", False)
    yield case("signature of zeros", signer.public, MESSAGE, bytes(64), False)
    scalar = int.from_bytes(signature[32:], "little")
    for name, value in (("S + L", scalar + L), ("S + 8L", scalar + 8 * L), ("S is L", L)):
        yield case(name, signer.public, MESSAGE, signature[:32] + le(value), False)
    high = signature[:63] + bytes([signature[63] | 0x20])
    yield case("a high bit of S set", signer.public, MESSAGE, high, False)


def small_order_keys():
    """R = rB and S = r: with k a multiple of 8, [k]A is the identity and the equation holds."""
    encodings = {
        encode(point): f"order {order(i)}, multiple {i}" for i, point in enumerate(TORSION)
    }
    for y, sign, name in (
        (1, 1, "identity with the sign of x set"),
        (P - 1, 1, "order 2 with the sign of x set"),
        (P, 0, "y is p, order 4"),
        (P, 1, "y is p, order 4, other sign"),
        (P + 1, 0, "y is p + 1, the identity"),
        (P + 1, 1, "y is p + 1, the identity with the sign of x set"),
    ):
        encodings[le(y | sign << 255)] = name
    nonce_point = encode(multiply(777, BASE))
    for public, name in encodings.items():
        messages = (b"%d" % counter for counter in range(400))
        message = next(m for m in messages if ed25519.challenge(nonce_point, public, m) % 8 == 0)
        name = f"small-order key, {name}: equation holds"
        yield case(name, public, message, nonce_point + le(777), False, False)


def order(index):
    return {0: 1, 4: 2, 2: 4, 6: 4}.get(index, 8)


def other_bad_keys():
    signature = Signer("ed25519 one").sign(MESSAGE)
    shown = 0
    for y in range(2, 19):
        point = ed25519.decode(le(y))
        if point is not None and not ed25519.is_small_order(point) and shown < 2:
            shown += 1
            name = f"key with y = p + {y}, else a good point"
            yield case(name, le(P + y), MESSAGE, signature, False, False)
            yield case(f"key with y = {y}, a good point", le(y), MESSAGE, signature, False, True)
    bad = next(y for y in range(2, 100) if ed25519.decode(le(y)) is None)
    yield case("key that is no point", le(bad), MESSAGE, signature, False, False)
    yield case("key with y = 2^255 - 1", le(2**255 - 1), MESSAGE, signature, False, False)
    yield case("key of 0xff bytes", b"\xff" * 32, MESSAGE, signature, False, False)


def small_order_nonces():
    """R of small order: R + [k]A = [S]B with S = ka where R is the identity."""
    secret = Secret()
    encodings = {
        encode(point): f"order {order(i)}, multiple {i}" for i, point in enumerate(TORSION)
    }
    encodings[le(1 | 1 << 255)] = "identity with the sign of x set"
    encodings[le(P + 1)] = "identity, y is p + 1"
    for nonce_point, name in encodings.items():
        k = ed25519.challenge(nonce_point, secret.public, MESSAGE)
        signature = nonce_point + le(k * secret.scalar % L)
        what = "equation holds" if ed25519.decode(nonce_point)[:2] == (0, 1) else "cofactor needed"
        yield case(f"small-order R, {name}: {what}", secret.public, MESSAGE, signature, False)


def other_bad_nonces():
    secret = Secret()
    bad = next(y for y in range(2, 100) if ed25519.decode(le(y)) is None)
    good = next(y for y in range(2, 19) if ed25519.decode(le(y)) is not None)
    scalar = secret.sign(MESSAGE, 0)[0][32:]
    yield case("R is no point", secret.public, MESSAGE, le(bad) + scalar, False)
    yield case("R with y above p", secret.public, MESSAGE, le(P + good) + scalar, False)


def mixed_order():
    plain = Secret()
    signature, _ = plain.sign(MESSAGE, 0)
    yield case("made without torsion", plain.public, MESSAGE, signature, True)
    for torsion in (1, 4):
        signature, _ = plain.sign(MESSAGE, torsion)
        name = f"R of mixed order (multiple {torsion}): only the cofactored equation holds"
        yield case(name, plain.public, MESSAGE, signature, False)
    for torsion in (1, 2, 4):
        secret = Secret(torsion)
        yield from mixed_key(secret, f"key of mixed order (multiple {torsion})")


def mixed_key(secret, name):
    """A = aB + T: what [k]T leaves over must be met by R, else only the cofactor hides it."""
    found = set()
    for counter in range(400):
        message = b"%d" % counter
        signature, k = secret.sign(message, 0)
        holds = k * secret.torsion % 8 == 0
        if holds not in found:
            found.add(holds)
            what = "both equations hold" if holds else "only the cofactored equation holds"
            yield case(f"{name}: {what}", secret.public, message, signature, holds)
        if len(found) == 2:
            break
    for counter in range(400):
        message = b"%d" % counter
        signature, k = secret.sign(message, 1)
        if k * secret.torsion % 8 == 1:
            what = "R of mixed order that meets it, both equations hold"
            yield case(f"{name}: {what}", secret.public, message, signature, True)
            break


def build():
    for cases in (
        ordinary,
        small_order_keys,
        other_bad_keys,
        small_order_nonces,
        other_bad_nonces,
        mixed_order,
    ):
        yield from cases()


def run(case, _earlier):
    parts = [bytes.fromhex(case[f"{name}_hex"]) for name in ("public", "message", "signature")]
    ok, key_ok = ed25519.verify(*parts), ed25519.public_key(parts[0]) is not None
    assert ok == crypto.verify(*parts) and key_ok == crypto.key_ok(parts[0]), case["name"]
    return {"ok": ok, "key_ok": key_ok}
