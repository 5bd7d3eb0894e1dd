"""Ed25519 as this protocol uses it (RFC 8032, with the strict checks that leave one meaning).

A signature is 64 bytes: R (a point, 32 bytes) and S (a number, 32 bytes, little-endian). It holds
for a message under the key A where

    S * B  ==  R + SHA-512(R || A || message) * A          (without the cofactor)

and three things that RFC 8032 leaves open are refused: S that is not below the group's order L,
and a key or an R of small order (with such a key one signature holds for many messages).

Nothing here is constant in time: it verifies, and signs for tests only.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)

# Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z.
NEUTRAL = (0, 1, 1, 0)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(number, point):
    result = NEUTRAL
    while number:
        if number & 1:
            result = add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def equal(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def decompress(data):
    """A point out of 32 bytes: y, and x's lowest bit on top. None where there is no such point."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, (number & (2**255 - 1)) % P
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P:
        return None
    if x & 1 != sign:
        x = -x % P
    return x, y, 1, x * y % P


def compress(point):
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def of_small_order(point):
    return equal(multiply(8, point), NEUTRAL)


def _hash(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


def verify(key, message, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    r_bytes, s = signature[:32], int.from_bytes(signature[32:], "little")
    a, r = decompress(key), decompress(r_bytes)
    if a is None or r is None or s >= L or of_small_order(a) or of_small_order(r):
        return False
    return equal(multiply(s, BASE), add(r, multiply(_hash(r_bytes, key, message), a)))


def _expand(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:]


def public_key(seed):
    return compress(multiply(_expand(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = _expand(seed)
    key = compress(multiply(scalar, BASE))
    nonce = _hash(prefix, message)
    r_bytes = compress(multiply(nonce, BASE))
    s = (nonce + _hash(r_bytes, key, message) * scalar) % L
    return r_bytes + s.to_bytes(32, "little")
