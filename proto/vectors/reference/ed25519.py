"""Strict Ed25519 (SPEC 2) by its own arithmetic: slow, short, and free of any library's habits.

Points are (X, Y, Z, T) in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)


def add(left, right):
    a = (left[1] - left[0]) * (right[1] - right[0]) % P
    b = (left[1] + left[0]) * (right[1] + right[0]) % P
    c = 2 * left[3] * right[3] * D % P
    d = 2 * left[2] * right[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def negate(point):
    return (-point[0] % P, point[1], point[2], -point[3] % P)


def encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data):
    """The point of an encoding, its y taken modulo p; None where no point has that y."""
    number = int.from_bytes(data, "little")
    y, sign = (number & (2**255 - 1)) % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P != 0:
        return None
    if x & 1 != sign:
        x = -x % P
    return (x, y, 1, x * y % P)


BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_small_order(point):
    """8 times the point is the identity."""
    x, y, z, _ = multiply(8, point)
    return x == 0 and (y - z) % P == 0


def public_key(data):
    """The point of a key that SPEC 2 accepts, None where it is KEY_WEAK."""
    if len(data) != 32 or int.from_bytes(data, "little") & (2**255 - 1) >= P:
        return None
    point = decode(data)
    return None if point is None or is_small_order(point) else point


def challenge(nonce_point, key, message):
    digest = hashlib.sha512(nonce_point + key + message).digest()
    return int.from_bytes(digest, "little") % L


def verify(key, message, signature):
    """Strict verification: no cofactor, no second encoding of anything."""
    point = public_key(key)
    if point is None or len(signature) != 64:
        return False
    nonce_point, scalar = signature[:32], int.from_bytes(signature[32:], "little")
    if scalar >= L:
        return False
    decoded = decode(nonce_point)
    if decoded is None or is_small_order(decoded):
        return False
    k = challenge(nonce_point, key, message)
    return encode(add(multiply(scalar, BASE), negate(multiply(k, point)))) == nonce_point


def torsion_points():
    """The eight points of small order, multiples of one of order 8."""
    y = 2
    while True:
        point = decode(y.to_bytes(32, "little"))
        if point is not None:
            generator = multiply(L, point)
            if encode(multiply(4, generator)) != encode(IDENTITY):
                return [multiply(i, generator) for i in range(8)]
        y += 1
