"""blake3, Ed25519, X25519 and XChaCha20-Poly1305 in plain Python, for check.py: slow, not constant in time, for reading vectors only."""

import hashlib

MASK = 0xFFFFFFFF

# --- blake3 ---------------------------------------------------------------------------------------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED, CONTEXT, MATERIAL = 1, 2, 4, 8, 16, 32, 64


def words(data):
    return [int.from_bytes(data[i:i + 4], "little") for i in range(0, len(data), 4)]


def compress(cv, block, counter, length, flags):
    m = words(block.ljust(64, b"\0"))
    v = list(cv) + list(IV[:4]) + [counter & MASK, counter >> 32, length, flags]

    def mix(a, b, c, d, x, y):
        for first, second, word in ((16, 12, x), (8, 7, y)):
            v[a] = (v[a] + v[b] + word) & MASK
            t = v[d] ^ v[a]
            v[d] = (t >> first | t << (32 - first)) & MASK
            v[c] = (v[c] + v[d]) & MASK
            t = v[b] ^ v[c]
            v[b] = (t >> second | t << (32 - second)) & MASK

    columns = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
    diagonals = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    for _ in range(7):
        for i, at in enumerate(columns + diagonals):
            mix(*at, m[2 * i], m[2 * i + 1])
        m = [m[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3_with(key, data, flags):
    """32 bytes of output."""

    def chunk(data, counter, last):
        cv = list(key)
        blocks = [data[i:i + 64] for i in range(0, len(data), 64)] or [b""]
        for i, block in enumerate(blocks):
            end = i + 1 == len(blocks)
            own = flags | (CHUNK_START if i == 0 else 0) | (CHUNK_END if end else 0) | (ROOT if end and last else 0)
            cv = compress(cv, block, counter, len(block), own)
        return cv

    def tree(data, counter, root):
        if len(data) <= 1024:
            return chunk(data, counter, root)
        left = 1024
        while left * 2 < len(data):
            left *= 2
        both = tree(data[:left], counter, False) + tree(data[left:], counter + left // 1024, False)
        block = b"".join(w.to_bytes(4, "little") for w in both)
        return compress(key, block, 0, 64, flags | PARENT | (ROOT if root else 0))

    return b"".join(w.to_bytes(4, "little") for w in tree(data, 0, True))


def blake3(data):
    return blake3_with(IV, data, 0)


def mac(key, data):
    return blake3_with(words(key), data, KEYED)


def kdf(context, data):
    return blake3_with(words(blake3_with(IV, context.encode(), CONTEXT)), data, MATERIAL)


# --- Ed25519 (RFC 8032) ---------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    u, v = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = add(out, point)
        point, n = add(point, point), n >> 1
    return out


def point(data):
    """The point of 32 bytes, or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(key, message, signature):
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    x, y = times(s, BASE), add(r, times(k, a))
    return (x[0] * y[2] - y[0] * x[2]) % P == 0 and (x[1] * y[2] - y[1] * x[2]) % P == 0


def affine(secret):
    """Secret times the base point; the secret is clamped as for both curves."""
    n = int.from_bytes(secret, "little") & (1 << 254) - 8 | 1 << 254
    x, y, z, _ = times(n, BASE)
    return x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P


def public(seed):
    """The Ed25519 verifying key of a seed."""
    x, y = affine(hashlib.sha512(seed).digest()[:32])
    return (y | (x & 1) << 255).to_bytes(32, "little")


def x25519_public(secret):
    """The X25519 public key (RFC 7748), by way of the birationally equivalent curve."""
    _, y = affine(secret)
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little")


# --- XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) -------------------------------------------------------------------


def rounds(state):
    v = list(state)

    def quarter(a, b, c, d):
        for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            v[x] = (v[x] + v[y]) & MASK
            t = v[z] ^ v[x]
            v[z] = (t << by | t >> (32 - by)) & MASK

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return v


SIGMA = words(b"expand 32-byte k")


def chacha20_block(key, counter, nonce):
    state = SIGMA + words(key) + [counter] + words(nonce)
    return b"".join(((a + b) & MASK).to_bytes(4, "little") for a, b in zip(state, rounds(state)))


def unseal(key, nonce, ciphertext, aad):
    """The plaintext, or None if the authenticator does not fit."""
    v = rounds(SIGMA + words(key) + words(nonce[:16]))
    key = b"".join(w.to_bytes(4, "little") for w in v[:4] + v[12:])
    nonce = bytes(4) + nonce[16:]
    body, tag = ciphertext[:-16], ciphertext[-16:]
    one_time = chacha20_block(key, 0, nonce)
    r = int.from_bytes(one_time[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    pad = lambda data: data + bytes(-len(data) % 16)
    data = pad(aad) + pad(body) + len(aad).to_bytes(8, "little") + len(body).to_bytes(8, "little")
    total = 0
    for i in range(0, len(data), 16):
        total = (total + int.from_bytes(data[i:i + 16] + b"\1", "little")) * r % (2**130 - 5)
    if ((total + int.from_bytes(one_time[16:32], "little")) % 2**128).to_bytes(16, "little") != tag:
        return None
    stream = b"".join(chacha20_block(key, 1 + i, nonce) for i in range((len(body) + 63) // 64))
    return bytes(a ^ b for a, b in zip(body, stream))
