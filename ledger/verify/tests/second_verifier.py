#!/usr/bin/env python3
"""A second verifier, written from ledger/PROTOCOL.md and contracts/LANGUAGE.md alone and with nothing but Python's standard library.

It reads ledger/vectors/*.json, derives every value again and judges every document; exit code 0 means that all agree.
Section numbers are PROTOCOL.md's, letters with numbers in the policy machine LANGUAGE.md's. It is slow (Ed25519, BLAKE3 and AES are spelt out) and not constant-time: a check, not a tool.

    python3 ledger/verify/tests/second_verifier.py [folder of vectors]
"""

import base64
import copy
import hashlib
import hmac
import json
import pathlib
import struct
import sys
import unicodedata

# ---------------------------------------------------------------- BLAKE3, derive_key mode (2)

BLAKE3_IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
BLAKE3_PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, PARENT, ROOT, DERIVE_CONTEXT, DERIVE_MATERIAL = 1, 2, 4, 8, 32, 64
U32 = 0xFFFFFFFF


def blake3_compress(chaining, words, counter, length, flags):
    v = chaining + BLAKE3_IV[:4] + [counter & U32, counter >> 32, length, flags]
    m = list(words)

    def g(a, b, c, d, x, y):
        v[a] = (v[a] + v[b] + x) & U32
        v[d] ^= v[a]
        v[d] = (v[d] >> 16 | v[d] << 16) & U32
        v[c] = (v[c] + v[d]) & U32
        v[b] ^= v[c]
        v[b] = (v[b] >> 12 | v[b] << 20) & U32
        v[a] = (v[a] + v[b] + y) & U32
        v[d] ^= v[a]
        v[d] = (v[d] >> 8 | v[d] << 24) & U32
        v[c] = (v[c] + v[d]) & U32
        v[b] ^= v[c]
        v[b] = (v[b] >> 7 | v[b] << 25) & U32

    for _ in range(7):
        g(0, 4, 8, 12, m[0], m[1])
        g(1, 5, 9, 13, m[2], m[3])
        g(2, 6, 10, 14, m[4], m[5])
        g(3, 7, 11, 15, m[6], m[7])
        g(0, 5, 10, 15, m[8], m[9])
        g(1, 6, 11, 12, m[10], m[11])
        g(2, 7, 8, 13, m[12], m[13])
        g(3, 4, 9, 14, m[14], m[15])
        m = [m[i] for i in BLAKE3_PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3_words(block):
    return struct.unpack("<16I", block.ljust(64, b"\0"))


def blake3(data, key_words, flags):
    def chunk(piece, counter):
        blocks = [piece[i : i + 64] for i in range(0, len(piece), 64)] or [b""]
        chaining = key_words
        for i, block in enumerate(blocks[:-1]):
            chaining = blake3_compress(chaining, blake3_words(block), counter, 64, flags | (CHUNK_START if i == 0 else 0))
        last = flags | CHUNK_END | (CHUNK_START if len(blocks) == 1 else 0)
        return chaining, blake3_words(blocks[-1]), counter, len(blocks[-1]), last

    def tree(piece, first):
        """The last compression's inputs; the caller adds ROOT or takes it as it is."""
        if len(piece) <= 1024:
            return chunk(piece, first)
        chunks = (len(piece) + 1023) // 1024
        left = 1 << ((chunks - 1).bit_length() - 1)
        halves = [tree(piece[: left * 1024], first), tree(piece[left * 1024 :], first + left)]
        words = [word for half in halves for word in blake3_compress(*half)]
        return key_words, words, 0, 64, flags | PARENT

    chaining, words, counter, length, last = tree(data, 0)
    return struct.pack("<8I", *blake3_compress(chaining, words, counter, length, last | ROOT))


def derive_key(context, material):
    key = blake3(context.encode(), BLAKE3_IV, DERIVE_CONTEXT)
    return blake3(material, list(struct.unpack("<8I", key)), DERIVE_MATERIAL)


class Chain:
    def __init__(self, genesis_hash):
        self.genesis_hash = genesis_hash

    def d(self, tag, *parts):
        return derive_key(f"assay {tag} v1", self.genesis_hash + b"".join(parts))

    def merkle_root(self, items):
        level = [self.d("merkle leaf", item) for item in items]
        return self.subtree(level) if level else self.d("merkle empty")

    def subtree(self, leaves):
        if len(leaves) == 1:
            return leaves[0]
        left = 1 << ((len(leaves) - 1).bit_length() - 1)
        return self.d("merkle node", self.subtree(leaves[:left]), self.subtree(leaves[left:]))

    def path_root(self, item, index, count, path):
        return path_root(self.d("merkle leaf", item), index, count, path, lambda l, r: self.d("merkle node", l, r))


def path_root(leaf, index, count, path, node):
    """RFC 9162, 2.1.3.2. None if the path has not the length that index and count ask for."""
    if index >= count:
        return None
    position, last, value = index, count - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if position & 1 or position == last:
            value = node(sibling, value)
            while position & 1 == 0 and position:
                position >>= 1
                last >>= 1
        else:
            value = node(value, sibling)
        position >>= 1
        last >>= 1
    return value if last == 0 else None


# ---------------------------------------------------------------- Ed25519 (3)

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
EDWARDS_D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)


def point_add(a, b):
    """Extended coordinates (X, Y, Z, T)."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * EDWARDS_D % P
    h = 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


IDENTITY = (0, 1, 1, 0)


def point_multiply(scalar, point):
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        scalar >>= 1
    return result


def point_decode(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, (y & (2**255 - 1)) % P
    u, v = (y * y - 1) % P, (EDWARDS_D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == (-u) % P:
        x = x * SQRT_MINUS_ONE % P
    if v * x * x % P != u:
        return None
    if x & 1 != sign:
        x = (-x) % P
    return x, y, 1, x * y % P


def point_encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def is_small_order(point):
    return point_encode(point_multiply(8, point)) == point_encode(IDENTITY)


BASE = point_decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def key_is_sound(key):
    point = point_decode(key)
    return point is not None and not is_small_order(point) and point_encode(point) == key


def verifies(key, message, signature):
    encoded_r, s = signature[:32], int.from_bytes(signature[32:], "little")
    a, r = point_decode(key), point_decode(encoded_r)
    if s >= L or a is None or r is None or is_small_order(a) or is_small_order(r):
        return False
    k = int.from_bytes(hashlib.sha512(encoded_r + key + message).digest(), "little") % L
    minus_a = (P - a[0], a[1], 1, P - a[3])
    return point_encode(point_add(point_multiply(s, BASE), point_multiply(k, minus_a))) == encoded_r


# ---------------------------------------------------------------- AES-256-GCM (6)


def aes_tables():
    sbox, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1) ^ (0x11B if p & 0x80 else 0)
        p &= 0xFF
        for shift in (1, 2, 4):
            q ^= q << shift & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        rotated = [(q << n | q >> 8 - n) & 0xFF for n in range(5)]
        sbox[p] = rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63
        if p == 1:
            break
    sbox[0] = 0x63
    return sbox


SBOX = aes_tables()


def aes256_encrypt(key, block):
    words = [list(key[i : i + 4]) for i in range(0, 32, 4)]
    rcon = 1
    for i in range(8, 60):
        word = list(words[i - 1])
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = rcon << 1 ^ (0x11B if rcon & 0x80 else 0)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    keys = [sum(words[4 * r : 4 * r + 4], []) for r in range(15)]
    double = lambda b: (b << 1 ^ (0x11B if b & 0x80 else 0)) & 0xFF
    state = [a ^ b for a, b in zip(block, keys[0])]
    for r in range(1, 15):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if r < 14:
            mixed = []
            for c in range(0, 16, 4):
                column = state[c : c + 4]
                every = column[0] ^ column[1] ^ column[2] ^ column[3]
                mixed += [column[i] ^ every ^ double(column[i] ^ column[(i + 1) % 4]) for i in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, keys[r])]
    return bytes(state)


def gcm_open(key, associated, sealed, nonce=bytes(12)):
    """None if the tag does not fit."""
    ciphertext, tag = sealed[:-16], sealed[-16:]
    h = int.from_bytes(aes256_encrypt(key, bytes(16)), "big")

    def times_h(x):
        z, v = 0, h
        for i in range(127, -1, -1):
            if x >> i & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        return z

    hashed = 0
    for data in (associated, ciphertext):
        for i in range(0, len(data), 16):
            hashed = times_h(hashed ^ int.from_bytes(data[i : i + 16].ljust(16, b"\0"), "big"))
    hashed = times_h(hashed ^ (len(associated) * 8 << 64 | len(ciphertext) * 8))
    counter = lambda n: aes256_encrypt(key, nonce + n.to_bytes(4, "big"))
    if hashed ^ int.from_bytes(counter(1), "big") != int.from_bytes(tag, "big"):
        return None
    stream = b"".join(counter(2 + i) for i in range((len(ciphertext) + 15) // 16))
    return bytes(a ^ b for a, b in zip(ciphertext, stream))


# ---------------------------------------------------------------- X25519, KEM keys, HPKE Base (4, 6)


def x25519(scalar, point):
    scalar = bytearray(scalar)
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    k, x1 = int.from_bytes(scalar, "little"), (int.from_bytes(point, "little") & 2**255 - 1) % P
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        b = k >> t & 1
        if swap != b:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = b
        a, c, d, e = (x2 + z2) % P, (x2 - z2) % P, (x3 + z3) % P, (x3 - z3) % P
        aa, cc, da, eb = a * a % P, c * c % P, e * a % P, d * c % P
        x3, z3 = (da + eb) ** 2 % P, x1 * (da - eb) ** 2 % P
        x2, z2 = aa * cc % P, (aa - cc) * (aa + 121665 * (aa - cc)) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


ORDER_8 = (
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
)
SMALL_ORDER = {0, 1, P - 1, P, P + 1} | {int.from_bytes(bytes.fromhex(point), "little") for point in ORDER_8}


def kem_key_is_sound(suite, key):
    if len(key) != {1: 32, 2: 1216}[suite]:
        return False
    if suite == 2:
        polynomials = int.from_bytes(key[:1152], "little")
        if any(polynomials >> 12 * i & 0xFFF >= 3329 for i in range(768)):
            return False
    return int.from_bytes(key[-32:], "little") & 2**255 - 1 not in SMALL_ORDER


class Hpke:
    """RFC 9180, Base, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; one message, no associated data."""

    KEM, SUITE = b"KEM\0\x20", b"HPKE\0\x20\0\1\0\2"

    def extract(suite, salt, label, ikm):
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(suite, prk, label, info, length):
        info, out, block, n = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, b"", b"", 1
        while len(out) < length:
            block = hmac.digest(prk, block + info + bytes([n]), "sha256")
            out, n = out + block, n + 1
        return out[:length]

    def derive_key_pair(ikm):
        secret = Hpke.expand(Hpke.KEM, Hpke.extract(Hpke.KEM, b"", b"dkp_prk", ikm), b"sk", b"", 32)
        return secret, x25519(secret, u(9, 32))

    def open(secret, public, enc, info, sealed):
        prk = Hpke.extract(Hpke.KEM, b"", b"eae_prk", x25519(secret, enc))
        shared = Hpke.expand(Hpke.KEM, prk, b"shared_secret", enc + public, 32)
        hashes = Hpke.extract(Hpke.SUITE, b"", b"psk_id_hash", b""), Hpke.extract(Hpke.SUITE, b"", b"info_hash", info)
        context, secret = b"\0" + hashes[0] + hashes[1], Hpke.extract(Hpke.SUITE, shared, b"secret", b"")
        key = Hpke.expand(Hpke.SUITE, secret, b"key", context, 32)
        return gcm_open(key, b"", sealed, Hpke.expand(Hpke.SUITE, secret, b"base_nonce", context, 12))


# ---------------------------------------------------------------- encoding (1)


class Refused(Exception):
    pass


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Refused("ends in a field")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self, size):
        return int.from_bytes(self.take(size), "little")

    u8 = lambda self: self.integer(1)
    u16 = lambda self: self.integer(2)
    u32 = lambda self: self.integer(4)
    u64 = lambda self: self.integer(8)
    u128 = lambda self: self.integer(16)
    i64 = lambda self: int.from_bytes(self.take(8), "little", signed=True)
    hash = lambda self: self.take(32)
    sig = lambda self: self.take(64)

    def one_of(self, *values):
        value = self.u8()
        if value not in values:
            raise Refused(f"{value} is none of {values}")
        return value

    def opt(self, read):
        return read() if self.one_of(0, 1) else None

    def list(self, read, most):
        count = self.u16()
        if count > most:
            raise Refused("too many")
        return [read() for _ in range(count)]

    def bytes(self, most):
        count = self.u16()
        if count > most:
            raise Refused("too long")
        return self.take(count)

    def text(self, most):
        try:
            text = self.bytes(most).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("not UTF-8") from None
        if any(unicodedata.category(c) == "Cc" for c in text):
            raise Refused("a control character")
        return text

    def currency(self):
        letters = self.take(3)
        if not all(65 <= c <= 90 for c in letters):
            raise Refused("not A to Z")
        return letters.decode()

    def layout(self, **fields):
        return {name: read() for name, read in fields.items()}

    def end(self):
        if self.at != len(self.data):
            raise Refused("bytes left over")


def decode(data, read):
    reader = Reader(data)
    value = read(reader)
    reader.end()
    return value


def i(value, size):
    return value.to_bytes(size, "little", signed=True)


def u(value, size):
    return value.to_bytes(size, "little")


def encoded_list(items):
    return u(len(items), 2) + b"".join(items)


# ---------------------------------------------------------------- layouts (4, 8, 9)


def read_line(r):
    """A directory line. Keys in order: consensus, bundle, cosign, desk, offer, link, engine peer, data-plane peer."""
    start = r.at
    line = r.layout(number=r.u16, name=lambda: r.text(32), roles=lambda: r.one_of(*range(1, 32)), power=r.u64)
    line["keys"] = [r.hash() for _ in range(8)]
    line["kem"] = r.bytes(1216)
    line["central"] = r.opt(lambda: [r.hash() for _ in range(4)])
    line["bytes"] = r.data[start : r.at]
    return line


def read_genesis(r):
    genesis = r.layout(
        version=lambda: r.one_of(1), currency=r.currency, exponent=r.u8, kem=lambda: r.one_of(1, 2), time_ms=r.u64,
        origin=lambda: r.text(64), officers=lambda: r.list(r.hash, 16), threshold=r.u8, depth=r.u8, expiry_window_ms=r.u64,
        release_deadline_ms=r.u64, quota=r.u64, batch_records_max=r.u32,
        series=lambda: r.list(lambda: (r.u32(), r.text(32)), 256),
        preissues=lambda: r.list(lambda: r.layout(series=r.u32, seed=r.hash, bank=r.u16, owner=r.hash, amount=r.u64, count=r.u32), 256),
    )  # fmt: skip
    start = r.at
    genesis["directory"] = r.list(lambda: read_line(r), 256)
    genesis["directory_bytes"] = r.data[start : r.at]
    return genesis


def read_validators(r):
    validators = r.list(lambda: r.layout(number=r.u16, power=r.u64, consensus=r.hash, bundle=r.hash, cosign=r.hash), 256)
    numbers = [v["number"] for v in validators]
    if sorted(set(numbers)) != numbers or any(v["power"] == 0 for v in validators):
        raise Refused("order or power")
    if not 1 <= sum(v["power"] for v in validators) < 2**32:
        raise Refused("total power")
    return validators


def encode_validators(validators):
    keys = ("consensus", "bundle", "cosign")
    return encoded_list([u(v["number"], 2) + u(v["power"], 8) + b"".join(v[key] for key in keys) for v in validators])


def read_record(r):
    return r.layout(
        status=lambda: r.one_of(1, 2, 3, 4), batch=r.u64, height=r.u64, time_ms=r.u64, contract=r.u32, failed_check=r.u16, tag=r.hash
    )


def read_state_leaf(r):
    return r.layout(batch=r.u64, height=r.u64, time_ms=r.u64, map_root=r.hash, set_hash=r.hash, issued=r.u128, redeemed=r.u128)


def read_basis(r):
    basis = r.take(8)
    text = basis.rstrip(b"\0")
    if not text or text.strip(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"):
        raise Refused("basis code")
    return basis


def read_request(r):
    return r.layout(request_class=lambda: r.one_of(1, 2, 3), basis=lambda: read_basis(r), epoch=r.u64, commitment=r.hash)


def read_feed_name(r):
    name = r.bytes(32)
    if not name or name.strip(b"abcdefghijklmnopqrstuvwxyz0123456789_-."):
        raise Refused("name of a feed")
    return name


def read_feed_definition(r):
    start = r.at
    definition = r.layout(feed=r.u32, name=lambda: read_feed_name(r), unit=lambda: r.one_of(1, 2, 3))
    definition["currency"] = r.currency() if definition["unit"] == 3 else None
    definition |= r.layout(
        scale=r.u8, frequency=lambda: r.one_of(1, 2, 3, 4), publishers=lambda: r.list(r.hash, 16), threshold=r.u8, step_max=r.u64
    )
    return definition | {"bytes": r.data[start : r.at]}


def read_item_head(r):
    start = r.at
    head = r.layout(feed=r.u32, period=r.u32, vintage=r.u32, scale=r.u8, published_ms=r.u64, valid_until_ms=r.u64)
    return head | {"bytes": r.data[start : r.at]}


def read_publication(r):
    return read_item_head(r), r.list(lambda: (r.u8(), r.i64(), r.sig()), 16)


def median(values):
    return sorted(values)[(len(values) - 1) // 2]


def read_contract_order(r):
    order = r.layout(action=lambda: r.one_of(1, 2, 3, 4), contract=r.u32)
    if order["action"] == 1:
        order |= r.layout(version=r.u32, notice=r.u32, report=r.hash, package=lambda: r.bytes(32768))
    if order["action"] == 4:
        order |= r.layout(sector=r.u32, basis=lambda: read_basis(r), evidence=r.hash)
        order |= r.layout(activation=lambda: r.bytes(1147), ciphertext=r.hash)
    return order | (r.layout(notice=r.u32) if order["action"] == 3 else {})


def read_contract_event(r):
    return r.layout(
        action=lambda: r.one_of(1, 2, 3), contract=r.u32, version=r.u32, policy=r.hash, report=r.hash, binds_at=r.u64
    )


def read_receipt(r):
    looked = lambda: (r.u32(), r.u16(), r.opt(lambda: (r.u32(), r.u32(), r.i64())))
    return r.layout(
        obligation=r.hash, contract=r.u32, version=r.u32, policy=r.hash, rate=r.i64, from_ms=r.u64, to_ms=r.u64, fuel=r.u32,
        inputs=lambda: r.list(looked, 512),
    )  # fmt: skip


# 12.1: the map's type of a key's first byte, the length of the id, and the value.
ENTRIES = {
    1: (3, 4, lambda r: r.layout(newest=r.u32, stopped=r.u32, retires_at=lambda: r.opt(r.u64))),
    2: (3, 8, lambda r: r.layout(policy=r.hash, report=r.hash, deployed_at=r.u64, binds_at=r.u64)),
    3: (4, 4, lambda r: (read_feed_definition(r), r.opt(r.u32))),
    4: (4, 12, lambda r: (read_item_head(r), r.i64())),
    5: (5, 32, lambda r: r.layout(contract=r.u32, version=r.u32, policy=r.hash, activated_ms=r.u64, due_ms=r.u64)),
}


def read_false_statement(r):
    return r.layout(obligation=r.hash, contract=r.u32, stated=r.u32, found=r.u32, basis=lambda: read_basis(r), evidence=r.hash)


def read_log_leaf(r):
    pair = lambda: (r.hash(), r.u16())
    recovered = lambda: (r.hash(), r.one_of(1, 2, 3), r.u16())
    kinds = {1: lambda: (r.hash(), read_record(r)), 2: pair, 3: pair, 4: recovered, 5: r.hash, 6: r.hash}
    kinds[7] = lambda: read_state_leaf(r)
    kinds[8] = lambda: read_request(r)
    kinds[9], kinds[10] = lambda: read_contract_event(r), lambda: read_feed_definition(r)
    kinds[11], kinds[12] = lambda: (read_item_head(r), r.i64()), lambda: read_receipt(r)
    kinds[13] = lambda: read_false_statement(r)
    kinds[14] = lambda: (r.u8(), r.u64())
    kind = r.one_of(*kinds)
    return kind, kinds[kind]()


def read_signed_by(r):
    return r.list(lambda: (r.u16(), r.sig()), 256)


def read_header(r):
    start = r.at
    header = r.layout(
        version=r.u8, height=r.u64, parent=r.hash, time_ms=r.u64, certificates_root=r.hash, results_root=r.hash, state_root=r.hash,
        log_size=r.u64, log_root=r.hash, map_root=r.hash, participants=r.hash, next_set=r.hash, parent_round=r.u32,
    )  # fmt: skip
    header["bytes"] = r.data[start : r.at]
    return header


def read_certificate(r):
    return r.layout(height=r.u64, round=r.u32, block=r.hash, precommits=lambda: read_signed_by(r))


def read_officers(r):
    return r.list(lambda: (r.u8(), r.sig()), 16)


# ---------------------------------------------------------------- log, map, notes (9)

sha256 = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
log_leaf_hash = lambda leaf: sha256(b"\0", leaf)
log_node = lambda left, right: sha256(b"\1", left, right)


def log_root(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return log_leaf_hash(leaves[0])
    left = 1 << ((len(leaves) - 1).bit_length() - 1)
    return log_node(log_root(leaves[:left]), log_root(leaves[left:]))


def consistency(first, first_root, second, second_root, proof):
    """RFC 9162, 2.1.4.2: "holds", "length" or "root"."""
    if first == 0 and first_root != sha256() or first == second and first_root != second_root:
        return "root"
    if first in (0, second):
        return "length" if proof else "holds"
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    rest = list(proof)
    if first & (first - 1):
        if not rest:
            return "length"
        start = rest.pop(0)
    else:
        start = first_root
    old = new = start
    for sibling in rest:
        if last == 0:
            return "length"
        if position & 1 or position == last:
            old, new = log_node(sibling, old), log_node(sibling, new)
            while position & 1 == 0 and position:
                position >>= 1
                last >>= 1
        else:
            new = log_node(new, sibling)
        position >>= 1
        last >>= 1
    if last:
        return "length"
    return "holds" if (old, new) == (first_root, second_root) else "root"


EMPTY = b"SPARSE_MERKLE_PLACEHOLDER_HASH__"
map_leaf = lambda key, value: sha256(b"JMT::LeafNode", key, value)
map_inner = lambda left, right: sha256(b"JMT::IntrnalNode", left, right)
bit = lambda key, depth: key[depth // 8] >> 7 - depth % 8 & 1


def map_root(entries, depth=0):
    """Of {key hash: value hash}."""
    if not entries:
        return EMPTY
    if len(entries) == 1:
        return map_leaf(*next(iter(entries.items())))
    side = lambda wanted: {key: value for key, value in entries.items() if bit(key, depth) == wanted}
    return map_inner(map_root(side(0), depth + 1), map_root(side(1), depth + 1))


def read_map_proof(r):
    leaf = (r.hash(), r.hash()) if r.one_of(0, 1) else None
    depth = r.u16()
    if depth > 256:
        raise Refused("too deep")
    bitmap = r.take((depth + 7) // 8)
    if any(bit(bitmap, d) for d in range(depth, 8 * len(bitmap))):
        raise Refused("bits beyond the depth")
    siblings = [r.hash() if bit(bitmap, d) else EMPTY for d in range(depth)]
    if sum(s == EMPTY for s in siblings) != sum(not bit(bitmap, d) for d in range(depth)):
        raise Refused("an empty sibling is listed")
    return leaf, siblings


def map_proof_root(proof, key):
    leaf, siblings = proof
    value = map_leaf(*leaf) if leaf else EMPTY
    for d in reversed(range(len(siblings))):
        value = map_inner(siblings[d], value) if bit(key, d) else map_inner(value, siblings[d])
    return value


def map_holds(root, key, value_hash, proof):
    return proof[0] == (key, value_hash) and map_proof_root(proof, key) == root


def map_lacks(root, key, proof):
    leaf, siblings = proof
    if leaf and (leaf[0] == key or any(bit(leaf[0], d) != bit(key, d) for d in range(len(siblings)))):
        return False
    return map_proof_root(proof, key) == root


def strict_base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if base64.b64encode(data).decode() == text else None


def key_id(name, kind, key):
    return sha256(name.encode(), b"\n", bytes([kind]), key)[:4]


def parse_note(data):
    """(text, [(name, key id, signature)]), or None."""
    if len(data) > 256 * 1024:
        return None
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if any(ord(c) < 32 and c != "\n" for c in note) or "\n\n" not in note:
        return None
    at = note.rindex("\n\n")
    text, block = note[: at + 1], note[at + 2 :]
    if not block.endswith("\n") or block.count("\n") > 256:
        return None
    lines = []
    for line in block[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—" or not 1 <= len(parts[1].encode()) <= 255:
            return None
        if "+" in parts[1] or any(c.isspace() for c in parts[1]):
            return None
        data = strict_base64(parts[2])
        if data is None or not 5 <= len(data) <= 8196:
            return None
        lines.append((parts[1], data[:4], data[4:]))
    return text, lines


def parse_checkpoint(text):
    """(origin, size, root, extension lines), or None."""
    lines = text[:-1].split("\n")
    if not text.endswith("\n") or len(lines) < 3 or not all(lines):
        return None
    origin, size, root = lines[:3]
    if not size.isascii() or not size.isdigit() or (size[0] == "0" and size != "0") or int(size) >= 2**64:
        return None
    root = strict_base64(root)
    return (origin, int(size), root, lines[3:]) if root and len(root) == 32 else None


# ---------------------------------------------------------------- verifying (10)


class Invalid(Exception):
    def __init__(self, number):
        self.number = number


class NotEnoughPower(Exception):
    def __init__(self, have, need):
        self.have, self.need = have, need


def require(condition, number):
    if not condition:
        raise Invalid(number)


class Trust:
    def __init__(self, document):
        self.genesis = decode(document, read_genesis)
        self.chain = Chain(derive_key("assay genesis v1", document))
        lines = [line for line in self.genesis["directory"] if line["roles"] & 1]
        key = lambda line, n: line["keys"][n]
        self.move_to(
            [
                {"number": v["number"], "power": v["power"], "consensus": key(v, 0), "bundle": key(v, 1), "cosign": key(v, 2)}
                for v in lines
            ],
            0,
        )
        (central,) = [line for line in self.genesis["directory"] if line["roles"] & 2]
        self.log_key = central["central"][0]
        self.past, self.newest = [], None

    def move_to(self, validators, since):
        self.validators, self.since = validators, since
        self.set_hash = self.chain.d("validator set", encode_validators(validators))

    def quorum(self):
        return 2 * sum(v["power"] for v in self.validators) // 3 + 1

    def judge(self, power):
        if power < self.quorum():
            raise NotEnoughPower(power, self.quorum())

    def stands_at(self, set_hash):
        require(set_hash not in self.past, 8)
        require(set_hash == self.set_hash, 7)

    def remember(self, size, root, proof):
        if self.newest:
            first, second = sorted([self.newest, (size, root)], key=lambda head: head[0])
            if self.newest[0] == size:
                first, second = self.newest, (size, root)
            found = consistency(*first, *second, proof)
            require(found != "length", 14)
            require(found == "holds" and (first[0] != second[0] or first[1] == second[1]), 13)
        if not self.newest or size > self.newest[0]:
            self.newest = size, root
        return {"newest_size": self.newest[0]}

    def signed_power(self, signed_by, key, message):
        power, last = 0, -1
        for signer, signature in signed_by:
            require(signer > last, 9)
            last = signer
            found = [v for v in self.validators if v["number"] == signer]
            require(found, 10)
            require(verifies(found[0][key], message(signer), signature), 11)
            power += found[0]["power"]
        return power


def read_state_proof(r):
    proof = r.layout(version=lambda: r.one_of(1), genesis_hash=r.hash)
    start = r.at
    proof["leaf"] = read_state_leaf(r)
    proof["leaf_bytes"] = r.data[start : r.at]
    proof.update(r.layout(path=lambda: r.list(r.hash, 64), checkpoint=lambda: r.bytes(46374)))
    return proof


def check_state(trust, proof):
    """10.1 but 11 and 12: what the last step judges."""
    require(proof["genesis_hash"] == trust.chain.genesis_hash, 2)
    note = parse_note(proof["checkpoint"])
    checkpoint = note and parse_checkpoint(note[0])
    require(checkpoint, 3)
    (text, lines), (origin, size, root, extensions) = note, checkpoint
    require(origin == trust.genesis["origin"], 2)
    require(not extensions, 3)
    by_log = [line for line in lines if line[0] == origin]
    require(by_log, 4)
    require(len(by_log) == 1, 9)
    (_, identifier, signature), log = by_log[0], trust.log_key
    good = identifier == key_id(origin, 1, log) and len(signature) == 64 and verifies(log, text.encode(), signature)
    require(good, 5)
    leaf = log_leaf_hash(b"\7" + proof["leaf_bytes"])
    require(size and path_root(leaf, size - 1, size, proof["path"], log_node) == root, 6)
    trust.stands_at(proof["leaf"]["set_hash"])
    names = {f"{origin}/{v['number']}": v for v in trust.validators}
    cosigned = {}
    for name, identifier, signature in lines:
        if name != origin:
            require(name in names, 10)
            require(name not in cosigned, 9)
            cosigned[name] = identifier, signature
    signers = []
    for name, validator in names.items():
        if name in cosigned:
            (identifier, signature), key = cosigned[name], validator["cosign"]
            require(identifier == key_id(name, 4, key) and len(signature) == 72, 11)
            time_s = int.from_bytes(signature[:8], "big")
            message = f"cosignature/v1\ntime {time_s}\n{text}".encode()
            require(time_s < 2**63 and verifies(key, message, signature[8:]), 11)
            signers.append((time_s, validator))
    require(trust.newest is None or trust.newest[0] != size or trust.newest[1] == root, 13)
    return size, root, signers


def judge_state(trust, proof, checked, now_ms):
    size, root, signers = checked
    power = sum(v["power"] for _, v in signers)
    trust.judge(power)
    reached = 0
    for time_s, validator in sorted(signers, key=lambda signer: -signer[0]):
        reached += validator["power"]
        if reached >= trust.quorum():
            break
    leaf = proof["leaf"]
    return {
        "batch": leaf["batch"], "height": leaf["height"], "time_ms": leaf["time_ms"], "size": size, "root": root.hex(),
        "signers": [v["number"] for _, v in signers], "power": power, "signed_at_ms": time_s * 1000,
        "age_ms": max(0, now_ms - time_s * 1000), "stale": abs(now_ms - time_s * 1000) > 120_000,
    }  # fmt: skip


def verify_state(trust, data, now_ms):
    proof = decode(data, read_state_proof)
    return judge_state(trust, proof, check_state(trust, proof), now_ms)


def verify_supply(trust, data, now_ms):
    proof = decode(data, read_state_proof)
    checked = check_state(trust, proof)
    issued, redeemed = proof["leaf"]["issued"], proof["leaf"]["redeemed"]
    require(redeemed <= issued, 15)
    state = judge_state(trust, proof, checked, now_ms)
    return {"issued": str(issued), "redeemed": str(redeemed), "in_circulation": str(issued - redeemed), "state": state}


def read_coin_proof(r):
    state, coin, start = read_state_proof(r), r.hash(), r.at
    record = r.opt(lambda: read_record(r))
    record_bytes = r.data[start + 1 : r.at]
    return state, coin, record, record_bytes, decode(r.bytes(8291), read_map_proof)


def verify_coin(trust, asked, data, now_ms):
    state, coin, record, record_bytes, map_proof = decode(data, read_coin_proof)
    require(coin == asked, 16)
    checked = check_state(trust, state)
    root, key = state["leaf"]["map_root"], sha256(b"\1", coin)
    if record:
        require(map_holds(root, key, sha256(record_bytes), map_proof), 12)
    else:
        require(map_lacks(root, key, map_proof), 12)
    return record, judge_state(trust, state, checked, now_ms)


def read_request_proof(r):
    state, start = read_state_proof(r), r.at
    request = read_request(r)
    return state, request, r.data[start : r.at], r.u64(), r.list(r.hash, 64)


def verify_request(trust, coin, blind, data, now_ms):
    state, request, request_bytes, index, path = decode(data, read_request_proof)
    checked = check_state(trust, state)
    _, size, root, _ = parse_checkpoint(parse_note(state["checkpoint"])[0])
    require(index < size and path_root(log_leaf_hash(b"\x08" + request_bytes), index, size, path, log_node) == root, 17)
    require(request["commitment"] == trust.chain.d("disclosure", coin, blind), 16)
    require(now_ms // 86400000 <= request["epoch"] + 1, 18)
    shown = {"class": request["request_class"], "basis": request["basis"].rstrip(b"\0").decode(), "epoch": request["epoch"]}
    return shown | {"index": index, "state": judge_state(trust, state, checked, now_ms)}


def read_entry_proof(r):
    state, start = read_state_proof(r), r.at
    r.take(ENTRIES[r.one_of(*ENTRIES)][1])
    return state, r.data[start : r.at], r.opt(lambda: r.bytes(2048)), decode(r.bytes(8291), read_map_proof)


def verify_entry(trust, asked, data, now_ms):
    """10.9"""
    state, key, value, map_proof = decode(data, read_entry_proof)
    require(key == asked, 16)
    checked = check_state(trust, state)
    kind, _, read = ENTRIES[key[0]]
    root, place = state["leaf"]["map_root"], sha256(bytes([kind]), key[1:])
    if value is None:
        require(map_lacks(root, place, map_proof), 12)
    else:
        require(map_holds(root, place, sha256(value), map_proof), 12)
        try:
            decode(value, read)
        except Refused:
            raise Invalid(12) from None
    return {"value": None if value is None else value.hex(), "state": judge_state(trust, state, checked, now_ms)}


def read_leaf_proof(r):
    state, start = read_state_proof(r), r.at
    read_log_leaf(r)
    return state, r.data[start : r.at], r.u64(), r.list(r.hash, 64)


def keys_of(leaf):
    """10.10: the keys of 10.9 that a leaf is about."""
    kind, body = leaf[0], leaf[1:]
    if kind == 9:
        action, contract, version = body[0], body[1:5], body[5:9]
        return [b"\x01" + contract] + ([b"\x02" + contract + version] if action == 1 else [])
    return {10: [b"\x03" + body[:4]], 11: [b"\x04" + body[:12]], 12: [b"\x05" + body[:32]], 13: [b"\x05" + body[:32]]}.get(kind, [])


def verify_leaf(trust, asked, data, now_ms):
    """10.10"""
    state, leaf, index, path = decode(data, read_leaf_proof)
    require(asked in keys_of(leaf), 16)
    checked = check_state(trust, state)
    _, size, root, _ = parse_checkpoint(parse_note(state["checkpoint"])[0])
    require(index < size and path_root(log_leaf_hash(leaf), index, size, path, log_node) == root, 19)
    return {"leaf": leaf.hex(), "index": index, "state": judge_state(trust, state, checked, now_ms)}


def read_bucket_proof(r):
    state, bits, prefix = read_state_proof(r), r.u8(), r.take(4)
    if bits > 32 or any(bit(prefix, d) for d in range(bits, 32)):
        raise Refused("no prefix")
    siblings = r.list(r.hash, 32)
    entries = r.list(lambda: (r.hash(), r.bytes(2048)), 1024)
    if any(one[0] >= following[0] for one, following in zip(entries, entries[1:])):
        raise Refused("entries are not ascending")
    return state, bits, prefix, siblings, entries


def begins(key, prefix, bits):
    return all(bit(key, d) == bit(prefix, d) for d in range(bits))


def verify_bucket(trust, asked, data, now_ms):
    """10.7"""
    state, bits, prefix, siblings, entries = decode(data, read_bucket_proof)
    require((bits, prefix) == asked, 16)
    checked = check_state(trust, state)
    depth = len(siblings)
    require(depth <= bits and (depth == bits or len(entries) <= 1), 12)
    require(all(begins(key, prefix, depth) for key, _ in entries), 12)
    root = map_root({key: sha256(value) for key, value in entries}, depth)
    for d in reversed(range(depth)):
        root = map_inner(siblings[d], root) if bit(prefix, d) else map_inner(root, siblings[d])
    require(root == state["leaf"]["map_root"], 12)
    return dict(entries), judge_state(trust, state, checked, now_ms)


def bucket_answer(asked, entries, coin):
    (bits, prefix), key = asked, sha256(b"\1", coin)
    require(begins(key, prefix, bits), 16)
    if key not in entries:
        return None
    try:
        return decode(entries[key], read_record)
    except Refused:
        raise Invalid(12) from None


# B-13: version 2 is version 1 under another number.
RULES_KNOWN = 2


def check_block(trust, header, certificate):
    block = trust.chain.d("block", header["bytes"])
    require(header["version"] >= 1 and certificate["block"] == block and certificate["height"] == header["height"], 20)
    require(header["height"] > trust.since, 8)
    place = u(certificate["height"], 8) + u(certificate["round"], 4)
    message = lambda signer: trust.chain.d("vote", b"\2", place, b"\1", block, u(signer, 2))
    power = trust.signed_power(certificate["precommits"], "consensus", message)
    require(header["version"] <= RULES_KNOWN, 24 if power >= trust.quorum() else 20)
    return power


def verify_run(trust, last, blocks):
    """10.4; `last` is a verified header or None. Gives the last header."""
    powers = []
    for header, certificate in blocks:
        if last:
            height, parent, time_ms = last["height"], trust.chain.d("block", last["bytes"]), last["time_ms"]
        else:
            height, parent, time_ms = 0, trust.chain.genesis_hash, trust.genesis["time_ms"]
        require(header["height"] == height + 1 and header["parent"] == parent and header["time_ms"] > time_ms, 21)
        if last:
            trust.stands_at(last["next_set"])
        powers.append(check_block(trust, header, certificate))
        last = header
    require(last, 21)
    for power in powers:
        trust.judge(power)
    return last


def read_acknowledgement(r):
    document = r.layout(header=lambda: read_header(r), certificate=lambda: read_certificate(r), envelope=r.hash, code=r.u16)
    return document | r.layout(index=r.u32, count=r.u32, path=lambda: r.list(r.hash, 32))


def verify_acknowledgement(trust, data):
    ack = decode(data, read_acknowledgement)
    power = check_block(trust, ack["header"], ack["certificate"])
    item = trust.chain.d("result", ack["envelope"], u(ack["code"], 2))
    require(trust.chain.path_root(item, ack["index"], ack["count"], ack["path"]) == ack["header"]["results_root"], 22)
    require(ack["code"] == 0, 23)
    trust.judge(power)
    return {"envelope": ack["envelope"].hex(), "height": ack["header"]["height"], "time_ms": ack["header"]["time_ms"]}


def read_challenge(r):
    return r.layout(text=lambda: r.text(256), nonce=lambda: r.bytes(32), not_after_ms=r.u64)


def read_ownership(r):
    proof = r.layout(coin=r.hash, owner=r.hash, blind=r.hash)
    start = r.at
    proof["challenge"] = read_challenge(r)
    proof["challenge_bytes"] = r.data[start : r.at]
    proof["sig"] = r.sig()
    return proof


def verify_ownership(trust, coin, record, asked, data, now_ms):
    proof = decode(data, read_ownership)
    require(proof["coin"] == coin, 16)
    require(proof["challenge_bytes"] == asked, 40)
    require(now_ms <= proof["challenge"]["not_after_ms"], 41)
    tag = trust.chain.d("owner tag", coin, proof["owner"], proof["blind"])
    require(record and record["tag"] == tag, 42)
    message = trust.chain.d("ownership", coin, tag, proof["challenge_bytes"])
    require(verifies(proof["owner"], message, proof["sig"]), 43)
    return {}


def read_hand_over_order(r):
    start = r.at
    order = r.layout(number=r.u32, outgoing=r.hash, incoming=lambda: read_validators(r))
    return order | {"order_bytes": r.data[start : r.at]}


def read_hand_over(r):
    document = read_hand_over_order(r)
    return document | r.layout(officers=lambda: read_officers(r), header=lambda: read_header(r), certificate=lambda: read_certificate(r))


def less_than_a_third_moves(before, after):
    same = lambda a, b: all(a[field] == b[field] for field in ("number", "consensus", "bundle", "cosign"))
    kept = sum(min(a["power"], b["power"]) for a in before for b in after if same(a, b))
    return all(3 * (total - kept) < total for total in (sum(v["power"] for v in side) for side in (before, after)))


def officers_sign(genesis, officers, message):
    numbers, keys = [number for number, _ in officers], genesis["officers"]
    enough = len(numbers) >= genesis["threshold"] and ascends(numbers)
    return enough and all(n < len(keys) and verifies(keys[n], message, sig) for n, sig in officers)


def verify_hand_over(trust, data):
    document = decode(data, read_hand_over)
    incoming, header, chain = document["incoming"], document["header"], trust.chain
    trust.stands_at(document["outgoing"])
    require(document["number"] == len(trust.past) + 1, 30)
    keys = [v[key] for v in incoming for key in ("consensus", "bundle", "cosign")]
    sound = all(key_is_sound(key) for key in keys) and len(set(keys)) == len(keys)
    require(sound and all(v["number"] != 65535 for v in incoming), 31)
    require(less_than_a_third_moves(trust.validators, incoming), 32)
    require(officers_sign(trust.genesis, document["officers"], chain.d("hand over", document["order_bytes"])), 33)
    require(header["height"] > trust.since, 30)
    require(header["next_set"] == chain.d("validator set", encode_validators(incoming)), 34)
    trust.judge(check_block(trust, header, document["certificate"]))
    trust.past.append(trust.set_hash)
    trust.move_to(incoming, header["height"])
    return {"set_hash": trust.set_hash.hex()}


CODES = {
    1: "malformed", 2: "other_chain", 3: "malformed_checkpoint", 4: "missing_log_signature", 5: "forged_log_signature",
    6: "stale_root", 7: "omitted_update", 8: "wrong_set", 9: "duplicated_signer", 10: "unknown_signer", 11: "forged_signer",
    12: "wrong_record", 13: "split_view", 14: "consistency_not_shown", 15: "impossible_supply", 16: "other_coin",
    17: "request_not_logged", 18: "request_expired", 19: "leaf_not_logged",
    20: "wrong_block", 21: "broken_chain", 22: "wrong_result", 23: "envelope_refused", 24: "unknown_rules", 30: "hand_over_not_next",
    31: "unsound_set", 32: "too_much_power_moved", 33: "not_authorized", 34: "hand_over_not_decided", 40: "other_challenge",
    41: "challenge_expired", 42: "not_the_owner", 43: "forged_ownership",
}  # fmt: skip


def outcome(check):
    try:
        return {"verified": check()}
    except Refused:
        return {"invalid": {"number": 1, "code": CODES[1]}}
    except Invalid as reason:
        return {"invalid": {"number": reason.number, "code": CODES[reason.number]}}
    except NotEnoughPower as power:
        return {"not_enough_power": {"have": power.have, "need": power.need}}


# ---------------------------------------------------------------- coins and envelopes (5, 6)

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def coin_text(coin):
    value, width, data = 0, 0, []
    for byte in coin:
        value, width = value << 8 | byte, width + 8
        while width >= 5:
            width -= 5
            data.append(value >> width & 31)
    data.append(value << 5 - width & 31)

    def polymod(values):
        check = 1
        for v in values:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ v
            for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                check ^= generator if top >> i & 1 else 0
        return check

    prefix = [ord(c) >> 5 for c in "coin"] + [0] + [ord(c) & 31 for c in "coin"]
    check = polymod(prefix + data + [0] * 6) ^ 0x2BC830A3
    return "coin1" + "".join(BECH32[v] for v in data + [check >> 5 * (5 - i) & 31 for i in range(6)])


def opening_bytes(amount, currency, series, terms, owner, rho):
    return u(amount, 8) + currency.encode() + u(series, 4) + terms + owner + rho


def derive_coin(chain, opening, rho, origin, index, bank):
    """(note, kappa, custody, link, coin id)."""
    note, kappa = chain.d("note", opening), chain.d("custody blind", rho)
    custody = chain.d("custody", u(bank, 2), kappa)
    link = chain.d("link", origin, u(index, 1), note)
    return note, kappa, custody, link, chain.d("coin", link, custody)


def read_core(r):
    core = r.layout(version=lambda: r.one_of(1), kind=lambda: r.one_of(2), submitter=r.u16)
    core.update(
        r.layout(
            inputs=lambda: r.list(lambda: (r.hash(), r.hash()), 8),
            outputs=lambda: r.list(lambda: (r.hash(), r.hash(), r.one_of(0, 1)), 8),
            contract=r.u32, expiry_ms=r.u64, bucket=lambda: r.one_of(1, 2, 3), hint=lambda: r.take(16), salt=r.hash,
        )  # fmt: skip
    )
    return core


def read_envelope_header(r):
    """Any kind; `unsigned` is the core as its authorization signs it."""
    start = r.at
    e = r.layout(version=lambda: r.one_of(1), kind=lambda: r.one_of(*range(1, 15)), submitter=r.u16)
    kind = e["kind"]
    e["inputs"] = r.list(r.hash, 1000) if kind in (6, 7) else r.list(lambda: (r.hash(), r.hash()), 8)
    e["outputs"] = r.list(lambda: (r.hash(), r.hash(), r.one_of(0, 1)), 8)
    e.update(r.layout(contract=r.u32, expiry_ms=r.u64, bucket=lambda: r.one_of(0, 1, 2, 3)))
    if (e["bucket"] == 0) != (kind >= 8):
        raise Refused("bucket of this kind")
    e.update(r.layout(hint=lambda: r.take(16), salt=r.hash))
    context = {
        1: {"series": r.u32, "issue_number": r.u64, "amount": r.u64}, 2: {}, 3: {"sector": r.u32, "rate": r.i64, "term_days": r.u16},
        4: {"amount": r.u64}, 5: {"obligation": r.hash, "rate": r.i64, "amount": r.u64},
        6: {"reason": lambda: r.one_of(1, 2, 3)}, 7: {"amount": r.u64}, 8: {"line": lambda: read_line(r)},
        9: {"request": lambda: (r.at, read_request(r))}, 10: {"order": lambda: read_contract_order(r)},
        11: {"definition": lambda: read_feed_definition(r)}, 12: {"publication": lambda: read_publication(r)},
        13: {"hand_over": lambda: read_hand_over_order(r)}, 14: {"rules": r.u8, "activates_at": r.u64},
    }  # fmt: skip
    e.update(r.layout(**context[kind]))
    e["unsigned"] = r.data[start : r.at]
    if kind == 9:
        at, e["request"] = e["request"]
        e["request_bytes"] = r.data[at : r.at]
    if kind in (1, 4, 5):
        e["unsigned"] += bytes(64)
        e["sig"] = r.sig()
    elif kind in (6, 8, 9, 10, 11, 13, 14):
        e["unsigned"] += u(0, 2)
        e["officers"] = read_officers(r)
    r.hash()
    e["header"] = r.data[start : r.at]
    return e


def read_envelope(r):
    start, e = r.at, read_envelope_header(r)
    ciphertext = r.take((0, 528, 1040, 4112)[e["bucket"]])
    e["id"] = lambda chain: chain.d("envelope", e["header"], chain.d("ciphertext", ciphertext))
    e["size"] = r.at - start
    return e


def read_signed_batch(r):
    start, pair = r.at, lambda: (r.hash(), r.u16())
    record = lambda: r.layout(coin=r.hash, status=lambda: r.one_of(1, 2, 3, 4), failed_check=r.u16, tag=r.hash)
    batch = r.layout(
        number=r.u64, previous=r.hash, records=lambda: r.list(record, 20000), settled=lambda: r.list(r.hash, 20000),
        overdue=lambda: r.list(pair, 20000), cleared=lambda: r.list(pair, 20000),
    )  # fmt: skip
    batch["bytes"], batch["sig"] = r.data[start : r.at], r.sig()
    batch["hash"] = lambda chain: chain.d("batch", batch["bytes"])
    batch["id"] = lambda chain: chain.d("envelope", batch["hash"](chain), chain.d("ciphertext", batch["sig"]))
    return batch


# ---------------------------------------------------------------- the policy machine (LANGUAGE.md: P, R, E, V, Instructions)

DAY_MS = 86_400_000
ISIC = (
    "A 1 3, B 5 9, C 10 33, D 35 35, E 36 39, F 41 43, G 45 47, H 49 53, I 55 56, J 58 63, K 64 66, L 68 68, M 69 75, N 77 82, "
    "O 84 84, P 85 85, Q 86 88, R 90 93, S 94 96, T 97 98, U 99 99"
)


def sector_codes():
    """T-11: the list's codes in its order, each section before its divisions."""
    for letter, first, last in (entry.split() for entry in ISIC.split(", ")):
        section = ord(letter) << 8
        yield section
        yield from (section | division for division in range(int(first), int(last) + 1))


SECTORS = {code: at for at, code in enumerate(sector_codes())}

# Code, name, operands (P).
INSTRUCTIONS = {
    code: (name, operands)
    for code, name, *operands in (
        (0x01, "push", "unit", "value"), (0x02, "loan_rate"), (0x03, "loan_term"), (0x04, "loan_age"), (0x05, "months", "count"),
        (0x10, "level", "feed", "back"), (0x11, "average", "feed", "periods"), (0x12, "highest", "feed", "periods"),
        (0x13, "lowest", "feed", "periods"), (0x14, "change", "feed", "periods"), (0x15, "growth", "feed", "periods"),
        (0x16, "falls", "feed", "periods"), (0x17, "rises", "feed", "periods"), (0x20, "add"), (0x21, "subtract"),
        (0x22, "times", "factor"), (0x23, "min"), (0x24, "max"), (0x25, "in_bp"), (0x26, "in_percent"), (0x30, "less"),
        (0x31, "at_most"), (0x32, "equal"), (0x33, "at_least"), (0x34, "greater"), (0x38, "time_from", "day"),
        (0x39, "time_until", "day"), (0x3A, "month_in", "months"), (0x3B, "weekday_in", "days"), (0x3C, "sector_in", "sectors"),
        (0x40, "and"), (0x41, "or"), (0x42, "not"), (0x50, "deny_if", "reason", "line"), (0x51, "deny_unless", "reason", "line"),
        (0x52, "permit"), (0x58, "skip_unless", "target"), (0x59, "pay"),
    )
}  # fmt: skip
OPERANDS = {
    "unit": 5, "value": 8, "factor": 8, "feed": 1, "back": 1, "periods": 1, "count": 2, "day": 4, "months": 2, "days": 1,
    "sectors": 16, "reason": 1, "line": 1, "target": 2,
}  # fmt: skip
LOOKS_BACK = {"level", "average", "highest", "lowest", "change", "growth", "falls", "rises"}


class Unsound(Exception):
    pass


class BigEndian(Reader):
    def number(self, size, signed=False):
        return int.from_bytes(self.take(size), "big", signed=signed)

    def name(self):
        return self.take(self.number(1)).decode("ascii")


class Program:
    """Its layout (P, V-1). That it verifies (V-2 to V-8) and that its source gives it (P-3) is the compiler's to say."""

    def __init__(self, data):
        r = BigEndian(data)
        if r.take(4) != b"APL\1":
            raise Unsound("it begins otherwise")
        self.name, self.version, self.currency = r.name(), r.number(4), r.take(3).decode()
        self.idle_days, self.due_days = r.number(2), r.number(2)
        self.lower, self.upper, self.step = (r.number(8, signed=True) for _ in range(3))
        self.feeds = [self.read_feed(r) for _ in range(r.number(1))]
        self.activation, self.return_rate = (self.read_code(r.take(r.number(2))) for _ in range(2))
        r.end()

    def read_feed(self, r):
        feed = {"series": r.name(), "frequency": r.number(1), "unit": r.number(1), "scale": r.number(1), "currency": r.take(3)}
        feed |= {"max_age_days": r.number(2), "vintage": r.number(1)}
        feed["fallback"] = r.number(8, signed=True) if r.number(1) else None
        # A rate counts hundredths of a basis point, six decimals of 1; a percent series has fewer.
        feed["finer"] = 10 ** (4 - feed["scale"]) if feed["unit"] == 1 else 1
        return feed | {"periods": r.number(1)}

    def read_code(self, data):
        r, code = BigEndian(data), []
        while r.at < len(data):
            at = r.number(1)
            if at not in INSTRUCTIONS:
                raise Unsound("unknown instruction")
            name, operands = INSTRUCTIONS[at]
            code.append((name, *(r.number(OPERANDS[o], signed=o in ("value", "factor", "day")) for o in operands)))
        return code


class Stopped(Exception):
    """Deny, from the middle of a run: reason and line or feed."""


class Unfound(Exception):
    """R-4: what was asked for is missing, stale, out of place or out of range."""


def civil(day):
    """Year, month and day of a day since 1970-01-01: counted from 0000-03-01 in runs of 400 years."""
    day += 719_468
    era, day = divmod(day, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    return era * 400 + year + (month >= 10), month + 3 if month < 10 else month - 9, day + 1


def day_number(year, month, day):
    year -= month <= 2
    era, year = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year * 365 + year // 4 - year // 100 + day_of_year - 719_468


def months_ahead(day, months):
    """T-10: days to the same day so many months ahead, or the last of that month."""
    year, month, of_month = civil(day)
    year, month = (year * 12 + month - 1 + months) // 12, (month - 1 + months) % 12 + 1
    first_after = day_number(year + month // 12, month % 12 + 1, 1)
    return min(day_number(year, month, 1) + of_month, first_after) - 1 - day


def half_to_even(number, by):
    whole, rest = divmod(number, by)
    return whole + (2 * rest > by or (2 * rest == by and whole % 2))


def in_64_bits(value, otherwise):
    if not -(2**63) <= value < 2**63:
        raise otherwise
    return value


class Run:
    """One evaluation. `readings[feed][back]` is (period, vintage, value, published_ms, valid_until_ms), or None."""

    def __init__(self, program, readings, time_ms, activated_ms, sector=None, loan_rate=0, term_days=0):
        self.program, self.readings, self.time_ms, self.activated_ms = program, readings, time_ms, activated_ms
        self.sector, self.loan_rate, self.term_days = sector, loan_rate, term_days
        self.fuel, self.inputs, self.still, self.stack = 0, [], {}, []

    def reading(self, feed, back):
        """R-6."""
        if (feed, back) not in self.inputs:
            self.inputs.append((feed, back))
        found = self.readings[feed][back] if back < len(self.readings[feed]) else None
        if found is None:
            raise Unfound
        return found

    def newest(self, feed):
        """R-2."""
        found = self.reading(feed, 0)
        age_ms = self.time_ms - found[3]
        if not 0 <= age_ms <= self.program.feeds[feed]["max_age_days"] * DAY_MS or self.time_ms > found[4]:
            raise Unfound
        return found

    def ends(self, feed, back):
        """R-3: the newest value, and the one so many periods before it."""
        newest = self.newest(feed)
        if back == 0:
            return newest[2], newest[2]
        older = self.reading(feed, back)
        between = newest[0] - older[0]
        if between < 1 if self.program.feeds[feed]["frequency"] == 1 else between != back:
            raise Unfound
        return newest[2], older[2]

    def walk(self, feed, periods):
        """R-3: values of the newest so many periods, newest first."""
        found = [self.newest(feed)]
        for back in range(1, periods):
            found.append(self.reading(feed, back))
            between = found[-2][0] - found[-1][0]
            if between < 1 or (self.program.feeds[feed]["frequency"] != 1 and between > 1):
                raise Unfound
        return [reading[2] for reading in found]

    def look_back(self, name, feed, periods):
        finer = self.program.feeds[feed]["finer"]
        scaled = lambda value: in_64_bits(value * finer, Unfound())
        if name in ("level", "change", "growth"):
            newest, older = self.ends(feed, periods)
            if name == "level":
                return scaled(older)
            if name == "change":
                return in_64_bits(scaled(newest) - scaled(older), Unfound())
            if older <= 0:
                raise Unfound
            return in_64_bits(half_to_even((newest - older) * 1_000_000, older), Unfound())
        if name in ("falls", "rises"):
            values = self.walk(feed, periods + 1)
            return int(all(a < b if name == "falls" else a > b for a, b in zip(values, values[1:])))
        values = self.walk(feed, periods)
        if name == "average":
            return in_64_bits(half_to_even(sum(values) * finer, periods), Unfound())
        return scaled(max(values) if name == "highest" else min(values))

    @staticmethod
    def asked(name, periods):
        """Readings that a look-back may ask for: its fuel but for the one of the instruction itself."""
        if name in ("level", "change", "growth"):
            return 2 if periods else 1
        return periods + (name in ("falls", "rises"))

    def of_feed(self, name, feed, periods):
        """R-4: what it finds, or the declared branch."""
        fallback = self.program.feeds[feed]["fallback"]
        if fallback is None:
            try:
                return self.look_back(name, feed, periods)
            except Unfound:
                raise Stopped(10, feed) from None
        if feed not in self.still:
            self.still[feed] = self.stands_still(feed)
        if not self.still[feed]:
            return self.look_back(name, feed, periods)
        return 0 if name in ("change", "growth", "falls", "rises") else fallback * self.program.feeds[feed]["finer"]

    def stands_still(self, feed):
        for name, periods in self.tried[feed]:
            self.fuel += self.asked(name, periods)
            try:
                self.look_back(name, feed, periods)
            except Unfound:
                return True
        return False

    def run(self, code):
        """How it ends: ("permit",) or ("pay", rate); Stopped if otherwise."""
        looks = [(name, *rest) for name, *rest in code if name in LOOKS_BACK]
        self.tried = {feed: list(dict.fromkeys((n, p) for n, f, p in looks if f == feed)) for _, feed, _ in looks}
        at, stack, day = 0, self.stack, self.time_ms // DAY_MS
        checked = lambda value: in_64_bits(value, Stopped(11, 0))
        two = {
            "add": lambda a, b: checked(a + b), "subtract": lambda a, b: checked(a - b), "min": min, "max": max,
            "less": lambda a, b: int(a < b), "at_most": lambda a, b: int(a <= b), "equal": lambda a, b: int(a == b),
            "at_least": lambda a, b: int(a >= b), "greater": lambda a, b: int(a > b),
            "and": lambda a, b: a & b, "or": lambda a, b: a | b,
        }  # fmt: skip
        gives = {
            "loan_rate": lambda: self.loan_rate, "loan_term": lambda: self.term_days,
            "loan_age": lambda: max(self.time_ms - self.activated_ms, 0) // DAY_MS,
        }  # fmt: skip
        while True:
            name, *operands = code[at]
            at += 1
            self.fuel += (4 if name == "times" else 1) + (self.asked(name, operands[1]) if name in LOOKS_BACK else 0)
            if name in LOOKS_BACK:
                stack.append(self.of_feed(name, *operands))
            elif name in two:
                b, a = stack.pop(), stack.pop()
                stack.append(two[name](a, b))
            elif name in gives:
                stack.append(gives[name]())
            elif name == "push":
                stack.append(operands[1])
            elif name == "months":
                stack.append(months_ahead(self.activated_ms // DAY_MS, operands[0]))
            elif name == "times":
                stack.append(checked(half_to_even(stack.pop() * operands[0], 1_000_000)))
            elif name in ("time_from", "time_until"):
                stack.append(int((day >= operands[0]) == (name == "time_from")))
            elif name == "month_in":
                stack.append(operands[0] >> civil(day)[1] - 1 & 1)
            elif name == "weekday_in":
                stack.append(operands[0] >> (day + 3) % 7 & 1)
            elif name == "sector_in":
                if self.sector not in SECTORS:
                    raise Stopped(4, 0)  # E-4
                stack.append(operands[0] >> SECTORS[self.sector] & 1)
            elif name == "not":
                stack.append(1 - stack.pop())
            elif name in ("deny_if", "deny_unless"):
                if stack.pop() == (name == "deny_if"):
                    raise Stopped(*operands)
            elif name == "skip_unless":
                at = at if stack.pop() else operands[0]
            elif name == "permit":
                return ("permit",)
            elif name == "pay":
                return "pay", stack.pop()


def activate(program, readings, time_ms, sector, rate, term_days):
    """E-1, E-3: ((due days, None) or (None, (reason, line or feed)), fuel, inputs)."""
    run = Run(program, readings, time_ms, time_ms, sector, rate, term_days)
    try:
        run.run(program.activation)
        verdict = term_days + program.due_days, None
    except Stopped as stopped:
        verdict = None, stopped.args
    return verdict, run.fuel, run.inputs


def rate_of_return(program, readings, activated_ms, time_ms):
    """E-2, E-5, E-6."""
    run = Run(program, readings, time_ms, activated_ms)
    try:
        rate = run.run(program.return_rate)[1]
        rate = half_to_even(min(max(rate, program.lower), program.upper), program.step) * program.step
    except Stopped:
        rate = program.upper
    return rate, run.fuel, run.inputs


def program_of(package):
    """The program in a package (P). A package that is cut short, or has leftovers, is unsound."""
    try:
        r = BigEndian(package)
        if r.take(4) != b"APK\1":
            raise Unsound("it begins otherwise")
        fields = [r.take(r.number(4)) for _ in range(4)]
        r.end()
        return Program(fields[0])
    except Refused as refused:
        raise Unsound(*refused.args) from None


# ---------------------------------------------------------------- the transition (5, 8, 9, 11.1)


class Refusal(Exception):
    pass


def unless(condition, code):
    if not condition:
        raise Refusal(code)


ascends = lambda items: all(a < b for a, b in zip(items, items[1:]))
is_a_bank = lambda line: bool(line["roles"] & 6)


def directory_holds(lines):
    """G-2 but for the KEM keys' soundness, which needs the suite."""
    keys = [key for line in lines for key in line["keys"] + (line["central"] or [])]
    return (
        ascends([line["number"] for line in lines])
        and all(line["number"] != 65535 for line in lines)
        and [bool(line["roles"] & 2) for line in lines] == [line["central"] is not None for line in lines]
        and sum(line["central"] is not None for line in lines) == 1
        and all((line["power"] > 0) == bool(line["roles"] & 1) for line in lines)
        and 1 <= sum(line["power"] for line in lines) < 2**32
        and len(set(keys)) == len(keys)
        and all(key_is_sound(key) for key in keys)
        and len({line["kem"] for line in lines}) == len(lines)
    )


def set_of(lines):
    return [(x["number"], x["power"], x["keys"][:3]) for x in lines if x["roles"] & 1]


def with_roles(line, roles, power):
    """The line with other roles and another power: they stand behind number and name."""
    at = 4 + len(line["name"].encode())
    changed = line["bytes"][:at] + u(roles, 1) + u(power, 8) + line["bytes"][at + 9 :]
    return line | {"roles": roles, "power": power, "bytes": changed}


class Ledger:
    """The whole state, rebuilt from genesis; maps and logs are hashed anew where their roots are asked for."""

    def __init__(self, document):
        # G-4: in `deciding` the set that decides the next height; the directory names the incoming one.
        self.deciding = Trust(document)
        self.genesis, self.chain = self.deciding.genesis, self.deciding.chain
        self.hand_overs, self.under_way = 0, None
        # B-13: the first heights of versions 2, 3, …
        self.rules_begin = []
        self.height, self.block, self.time_ms = 0, self.chain.genesis_hash, self.genesis["time_ms"]
        self.directory = {line["number"]: line for line in self.genesis["directory"]}
        self.coins, self.records, self.map, self.log = {}, {}, {}, []
        self.delta, self.lanes, self.overdue, self.used, self.pending, self.events = bytes(32), {}, set(), {}, {}, []
        self.batch, self.batch_hash = 0, self.chain.d("batch", bytes(8 + 32 + 4 * 2))
        self.next_issue = {number: 0 for number, _ in self.genesis["series"]}
        self.issued = self.redeemed = 0
        # 12: contracts and feeds by their numbers, items by feed and period, obligations by id, programs by policy hash.
        self.contracts, self.feeds, self.items, self.obligations, self.programs = {}, {}, {}, {}, {}
        for p in self.genesis["preissues"]:
            for i in range(p["count"]):
                rho = self.chain.d("preissue rho", p["seed"], u(i, 4))
                origin = self.chain.d("issue origin", u(p["series"], 4), u(self.next_issue[p["series"]], 8))
                opening = opening_bytes(p["amount"], self.genesis["currency"], p["series"], bytes(32), p["owner"], rho)
                coin = derive_coin(self.chain, opening, rho, origin, 0, p["bank"])[4]
                self.next_issue[p["series"]] += 1
                self.issued += p["amount"]
                self.coins[coin] = (2, 0, None)
                tag = self.chain.d("owner tag", coin, p["owner"], self.chain.d("tag blind", rho))
                self.log.append(self.put_record(coin, 1, 0, 0, tag))
        for line in self.directory.values():
            self.put(2, u(line["number"], 2), line["bytes"])
        self.append_state_leaf()

    def put(self, kind, identifier, value):
        self.map[sha256(bytes([kind]), identifier)] = sha256(value)

    def put_record(self, coin, status, contract, failed_check, tag):
        """Gives the log's leaf."""
        place = u(self.batch, 8) + u(self.height, 8) + u(self.time_ms, 8)
        record = u(status, 1) + place + u(contract, 4) + u(failed_check, 2) + tag
        self.records[coin] = status, contract
        self.put(1, coin, record)
        return b"\1" + coin + record

    def append_state_leaf(self):
        root = map_root(self.map)
        place = u(self.batch, 8) + u(self.height, 8) + u(self.time_ms, 8)
        self.log.append(b"\7" + place + root + self.deciding.set_hash + u(self.issued, 16) + u(self.redeemed, 16))

    # What an envelope must be, and does.

    def authorized_by_issue_key(self, e):
        message = self.chain.d("authorization", e["unsigned"])
        unless(verifies(self.central["central"][3], message, e["sig"]), 13)

    def authorized_by_officers(self, e):
        message = self.chain.d("authorization", e["unsigned"])
        unless(message not in self.used and officers_sign(self.genesis, e["officers"], message), 13)
        return message

    def replace(self, inputs, origin, outputs, contract=0, issued_ms=None):
        for coin in inputs:
            del self.coins[coin]
        for index, (note, custody, flag) in enumerate(outputs):
            coin = self.chain.d("coin", self.chain.d("link", origin, u(index, 1), note), custody)
            self.coins[coin] = (1, contract, issued_ms) if flag else (1, 0, None)

    def spendable(self, inputs, statuses, contract):
        unless(all(coin in self.coins for coin in inputs), 16)
        unless(all(self.coins[coin][0] in statuses for coin in inputs), 17)
        unless(all(self.coins[coin][1] == contract for coin in inputs), 18)

    def envelope(self, e, bundle_submitter):
        chain, kind, submitter, contract = self.chain, e["kind"], self.parent.get(e["submitter"]), e["contract"]
        unless(e["submitter"] == bundle_submitter, 2)
        may = {1: lambda x: x["roles"] & 2, 2: is_a_bank, 3: is_a_bank, 8: lambda x: True, 9: lambda x: True}
        unless(submitter and may.get(kind, may[1])(submitter), 3)
        unless(e["expiry_ms"] >= self.time_ms, 4)
        unless(e["expiry_ms"] - self.time_ms <= self.genesis["expiry_window_ms"], 5)
        of_spends = {1: (0, 0, 1, 8), 2: (1, 8, 1, 8), 3: (1, 8, 1, 8), 4: (1, 8, 0, 8), 5: (1, 8, 0, 8)}
        least_most = (of_spends | {6: (1, 1000, 0, 8), 7: (1, 1000, 0, 0)}).get(kind, (0, 0, 0, 0))
        count_in, count_out = len(e["inputs"]), len(e["outputs"])
        unless(least_most[0] <= count_in <= least_most[1] and least_most[2] <= count_out <= least_most[3], 6)
        spent = lambda link, kappa: chain.d("coin", link, chain.d("custody", u(e["submitter"], 2), kappa))
        inputs = e["inputs"] if kind in (6, 7) else [spent(*i) for i in e["inputs"]]
        unless(ascends(inputs), 7)
        unless(ascends([note for note, _, _ in e["outputs"]]), 8)
        unless(contract == 0 or (contract in self.before.contracts and self.binding(contract)), 9)
        unless(kind != 10 or e["order"]["action"] == 1 or e["order"]["contract"] in self.before.contracts, 9)
        flags = [flag for _, _, flag in e["outputs"]]
        plain = contract == 0 and not any(flags)
        terms = {1: plain or (contract and all(flags)), 3: contract and flags.count(0) == 1, 6: plain or contract, 7: contract}
        unless(terms.get(kind, plain), 10)
        unless(e.get("amount") != 0, 11)
        unless("series" not in e or e["series"] in self.next_issue, 12)
        if kind in (1, 4, 5):
            self.authorized_by_issue_key(e)
        elif kind in (6, 8, 9, 10, 11, 14):
            authorization = self.authorized_by_officers(e)
        of_officers = {8: self.update, 9: self.request, 10: self.contract_order, 11: self.feed_order, 14: self.rules_order}
        if kind in of_officers:
            of_officers[kind](e)
            self.used[authorization] = e["expiry_ms"]
        elif kind == 13:
            self.hand_over(e["hand_over"], e["officers"])
        elif kind == 12:
            self.publication(*e["publication"])
        elif kind == 1:
            number = self.next_issue[e["series"]]
            unless(e["issue_number"] == number < 2**64 - 1, 14)
            unless(contract == 0 or self.in_force(contract), 60)
            self.next_issue[e["series"]] += 1
            self.pending[e["id"](chain)] = e["amount"], 0
            origin = chain.d("issue origin", u(e["series"], 4), u(number, 8))
            self.replace([], origin, e["outputs"], contract, self.time_ms)
        else:
            unless(kind not in (2, 3) or not any(s == e["submitter"] for _, s in self.overdue), 15)
            self.spendable(inputs, (2, 3, 4) if kind == 6 else (2,), contract)
            issued = [self.coins[coin][2] for coin in inputs]
            {3: self.activate, 5: self.return_loan, 6: self.recover, 7: self.reclaim}.get(kind, lambda *_: None)(e, inputs, issued)
            if kind in (4, 5, 7):
                self.pending[e["id"](chain)] = 0, e["amount"]
            origin = chain.d("origin", encoded_list(inputs))
            self.replace(inputs, origin, e["outputs"], contract, min(issued) if contract else None)

    def request(self, e):
        unless(e["request"]["epoch"] == e["expiry_ms"] // DAY_MS, 22)
        self.events.append(b"\x08" + e["request_bytes"])

    def recover(self, e, inputs, _):
        self.events.append(b"\4" + e["id"](self.chain) + u(e["reason"], 1) + u(len(inputs), 2))

    # Contracts and feeds (12). What is as of h − 1 stands in `before` (K-1).

    def is_retired(self, contract):
        return contract["retires_at"] is not None and contract["retires_at"] <= self.height

    def binding(self, number):
        """K-7: the newest version whose notice is over, and its policy hash."""
        versions = self.before.contracts[number]["versions"]
        return next(((at + 1, v[0]) for at, v in reversed(list(enumerate(versions))) if v[3] <= self.height), None)

    def in_force(self, number):
        contract, binding = self.before.contracts[number], self.binding(number)
        return binding if binding and binding[0] > contract["stopped"] and not self.is_retired(contract) else None

    def feed_meant(self, used):
        """K-7: the registered feed that a program means."""
        unit = {1: (1, None), 3: (2, None), 4: (3, used["currency"].decode())}.get(used["unit"])
        for number, feed in self.before.feeds.items():
            of_feed = feed["name"].decode(), (feed["unit"], feed["currency"]), feed["scale"], feed["frequency"]
            if of_feed == (used["series"], unit, used["scale"], used["frequency"]):
                return number
        return None

    def readings(self, program):
        """K-12: of each feed the newest periods, newest first."""
        readings = []
        for used in program.feeds:
            number = self.feed_meant(used)
            periods = sorted((period for feed, period in self.before.items if feed == number), reverse=True)
            of_period = [self.before.items[number, period][0 if used["vintage"] == 1 else -1] for period in periods]
            fields = ("period", "vintage", "value", "published_ms", "valid_until_ms")
            readings.append([tuple(item[field] for field in fields) for item in of_period[: used["periods"]]])
        return readings

    def update_contract(self, number, action, binds_at):
        contract = self.contracts[number]
        retires_at = contract["retires_at"]
        head = u(contract["newest"], 4) + u(contract["stopped"], 4)
        self.put(3, u(number, 4), head + (b"\0" if retires_at is None else b"\1" + u(retires_at, 8)))
        policy, report, deployed_at, version_binds_at = contract["versions"][-1]
        event = u(action, 1) + u(number, 4) + u(contract["newest"], 4) + policy + report + u(binds_at, 8)
        self.events.append(b"\x09" + event)
        self.ordered.add(number)
        if action == 1:
            version = policy + report + u(deployed_at, 8) + u(version_binds_at, 8)
            self.put(3, u(number, 4) + u(contract["newest"], 4), version)

    def contract_order(self, e):
        """K-7, K-8, K-9."""
        order = e["order"]
        if order["action"] == 4:
            self.dispute(order)
            return
        number, action, contract = order["contract"], order["action"], self.contracts.get(order["contract"])
        binds_at = self.height + order.get("notice", 1)
        if action == 1:
            unless(number == len(self.contracts) + 1 if contract is None else True, 76)
            unless(order["version"] == (contract["newest"] if contract else 0) + 1 and number not in self.ordered, 76)
            unless(contract is None or contract["retires_at"] is None, 77)
            unless(order["notice"] >= 2, 78)
            policy = self.chain.d("policy", order["package"])
            try:
                program = program_of(order["package"])
            except Unsound:
                raise Refusal(79) from None
            unless(program.currency == self.genesis["currency"] and program.version == order["version"], 79)
            before = contract and self.programs[contract["versions"][-1][0]]
            unless(not before or (before.name == program.name and before.idle_days >= program.idle_days), 79)
            unless(all(self.feed_meant(used) is not None for used in program.feeds), 80)
            if contract is None:
                contract = self.contracts[number] = {"newest": 0, "stopped": 0, "retires_at": None, "versions": []}
            contract["newest"] = order["version"]
            contract["versions"].append((policy, order["report"], self.height, binds_at))
            self.programs[policy] = program
        else:
            unless(not self.is_retired(contract), 77)
            if action == 2:
                contract["stopped"] = contract["newest"]
            else:
                unless(contract["retires_at"] is None or binds_at < contract["retires_at"], 77)
                unless(number not in self.ordered, 77)
                unless(order["notice"] >= 2, 78)
                contract["retires_at"] = binds_at
        self.update_contract(number, action, binds_at)

    def dispute(self, order):
        """K-9: all but the sector that was found follows from the activation's own bytes."""
        try:
            loan = decode(order["activation"], read_envelope_header)
        except Refused:
            raise Refusal(86) from None
        unless(loan["kind"] == 3 and loan["contract"] == order["contract"] and order["sector"] in SECTORS, 86)
        stated, found = divmod(loan["sector"], 256), divmod(order["sector"], 256)
        unless(stated[0] != found[0] or (0 not in (stated[1], found[1]) and stated[1] != found[1]), 86)
        activation = self.chain.d("envelope", order["activation"], order["ciphertext"])
        identifier = self.chain.d("obligation", u(loan["submitter"], 2), activation, loan["salt"])
        returned = any(leaf[:33] == b"\x0c" + identifier for leaf in self.log[: self.logged_before])
        unless(identifier in self.before.obligations or returned, 73)
        statement = identifier + u(order["contract"], 4) + u(loan["sector"], 4) + u(order["sector"], 4)
        self.events.append(b"\x0d" + statement + order["basis"] + order["evidence"])

    def put_feed(self, number):
        feed = self.feeds[number]
        self.put(4, u(number, 4), feed["bytes"] + (b"\0" if feed["newest"] is None else b"\1" + u(feed["newest"], 4)))

    def feed_order(self, e):
        """K-10."""
        definition = e["definition"]
        number, publishers, known = definition["feed"], definition["publishers"], self.feeds.get(definition["feed"])
        is_sound = len(set(publishers)) == len(publishers) and all(key_is_sound(key) for key in publishers)
        is_sound = is_sound and len(publishers) / 2 < definition["threshold"] <= len(publishers)
        unless(is_sound and definition["scale"] <= 9, 81)
        if known is None:
            unless(number == len(self.feeds) + 1, 82)
            unless(all(feed["name"] != definition["name"] for feed in self.feeds.values()), 82)
        else:
            unless(all(definition[f] == known[f] for f in ("name", "unit", "currency", "scale", "frequency")), 82)
        self.feeds[number] = definition | {"newest": known and known["newest"]}
        self.put_feed(number)
        self.events.append(b"\x0a" + definition["bytes"])

    def publication(self, head, values):
        """K-11."""
        number, period, feed = head["feed"], head["period"], self.before.feeds.get(head["feed"])
        unless(feed and feed["scale"] == head["scale"], 80)
        published_ms = head["published_ms"]
        unless(self.time_ms - DAY_MS <= published_ms <= self.time_ms and published_ms < head["valid_until_ms"], 83)
        year, month, _ = civil(published_ms // DAY_MS)
        begun = {1: published_ms // DAY_MS, 2: 12 * year + month - 1, 3: 4 * year + (month - 1) // 3, 4: year}
        unless(period <= begun[feed["frequency"]], 83)
        unless(number not in self.published, 84)
        is_newer = feed["newest"] is None or period > feed["newest"]
        last = self.before.items.get((number, feed["newest"] if is_newer else period))
        unless(is_newer or last, 84)
        unless(head["vintage"] == (0 if is_newer else last[-1]["vintage"] + 1), 84)
        unless(len(values) >= feed["threshold"] and ascends([publisher for publisher, _, _ in values]), 13)
        for publisher, value, signature in values:
            message = self.chain.d("feed value", head["bytes"], i(value, 8))
            unless(publisher < len(feed["publishers"]) and verifies(feed["publishers"][publisher], message, signature), 13)
        value = median([value for _, value, _ in values])
        unless(not last or abs(value - last[-1]["value"]) <= feed["step_max"], 85)
        item = head["bytes"] + i(value, 8)
        self.items.setdefault((number, period), []).append(head | {"value": value})
        self.put(4, u(number, 4) + u(period, 4) + u(head["vintage"], 4), item)
        self.feeds[number]["newest"] = max(period, self.feeds[number]["newest"] or 0)
        self.put_feed(number)
        self.published.add(number)
        self.events.append(b"\x0b" + item)

    def activate(self, e, _, issued):
        """K-5, K-2, K-3, K-6."""
        in_force = self.in_force(e["contract"])
        unless(in_force, 60)
        version, policy = in_force
        bank_and_contract = e["submitter"], e["contract"]
        owed = [o for o in self.before.obligations.values() if (o["bank"], o["contract"]) == bank_and_contract]
        unless(all(o["due_ms"] >= self.time_ms for o in owed), 61)
        program = self.programs[policy]
        unless(self.time_ms < min(issued) + program.idle_days * DAY_MS, 63)
        loan = e["sector"], e["rate"], e["term_days"]
        (due_days, why), _, _ = activate(program, self.readings(program), self.time_ms, *loan)
        unless(why is None, why and 61 + why[0])
        activated_ms = self.time_ms // DAY_MS * DAY_MS
        due_ms = activated_ms + (due_days + 1) * DAY_MS - 1
        identifier = self.chain.d("obligation", u(e["submitter"], 2), e["id"](self.chain), e["salt"])
        made = {"bank": e["submitter"], "contract": e["contract"], "version": version, "policy": policy}
        self.obligations[identifier] = made | {"activated_ms": activated_ms, "due_ms": due_ms}
        entry = u(e["contract"], 4) + u(version, 4) + policy + u(activated_ms, 8) + u(due_ms, 8)
        self.put(5, identifier, entry)

    def return_loan(self, e, *_):
        """K-2: the obligation as of h − 1, and returned once."""
        identifier = e["obligation"]
        unless(identifier in self.before.obligations and identifier in self.obligations, 73)
        loan = self.obligations[identifier]
        program = self.programs[loan["policy"]]
        readings = self.readings(program)
        rate, fuel, inputs = rate_of_return(program, readings, loan["activated_ms"], self.time_ms)
        unless(rate == e["rate"], 74)
        del self.obligations[identifier]
        del self.map[sha256(b"\5", identifier)]
        looked = []
        for feed, back in inputs:
            found = readings[feed][back] if back < len(readings[feed]) else None
            found = b"\0" if found is None else b"\1" + u(found[0], 4) + u(found[1], 4) + i(found[2], 8)
            looked.append(u(self.feed_meant(program.feeds[feed]) or 0, 4) + u(back, 2) + found)
        receipt = identifier + u(loan["contract"], 4) + u(loan["version"], 4) + loan["policy"] + i(rate, 8)
        receipt += u(loan["activated_ms"], 8) + u(self.time_ms, 8) + u(fuel, 4) + encoded_list(looked)
        self.events.append(b"\x0c" + receipt)

    def reclaim(self, e, _, issued):
        """K-3."""
        program = self.programs[self.binding(e["contract"])[1]]
        is_idle = self.time_ms >= max(issued) + program.idle_days * DAY_MS
        unless(is_idle or self.is_retired(self.before.contracts[e["contract"]]), 75)

    def update(self, e):
        line = e["line"]
        unless(line["number"] in self.directory, 19)
        unless(kem_key_is_sound(self.genesis["kem"], line["kem"]), 20)
        changed = [line if x["number"] == line["number"] else x for x in self.directory.values()]
        unless(directory_holds(changed), 20)
        log_key = lambda lines: next(x["central"][0] for x in lines if x["central"])
        unless(log_key(changed) == log_key(self.directory.values()), 20)
        unless(set_of(changed) == set_of(self.directory.values()), 21)
        self.directory = {x["number"]: x for x in changed}
        self.put(2, u(line["number"], 2), line["bytes"])
        self.events.append(b"\5" + self.participants_hash())

    def hand_over(self, order, officers):
        """G-4: the directory names the incoming set at once."""
        incoming, outgoing = order["incoming"], self.deciding
        unless(officers_sign(self.genesis, officers, self.chain.d("hand over", order["order_bytes"])), 13)
        unless(all(v["number"] in self.directory for v in incoming), 19)
        unless(self.under_way is None, 23)
        unless(order["number"] == self.hand_overs + 1 and order["outgoing"] == outgoing.set_hash, 24)
        of_line = lambda v: self.directory[v["number"]]["keys"][:3] == [v["consensus"], v["bundle"], v["cosign"]]
        unless(all(of_line(v) for v in incoming), 25)
        unless(less_than_a_third_moves(outgoing.validators, incoming), 26)
        incoming_hash = self.chain.d("validator set", encode_validators(incoming))
        unless(incoming_hash != outgoing.set_hash, 27)
        power = {v["number"]: v["power"] for v in incoming}
        unless(not self.central["roles"] & 1 or self.central["number"] in power, 28)
        for number, line in list(self.directory.items()):
            if number in power:
                self.directory[number] = with_roles(line, line["roles"] | 1, power[number])
            elif line["roles"] & 1:
                self.directory[number] = with_roles(line, line["roles"] & ~1 | 8, 0)
            self.put(2, u(number, 2), self.directory[number]["bytes"])
        self.events += [b"\5" + self.participants_hash(), b"\6" + incoming_hash]
        self.under_way = order | {"incoming_hash": incoming_hash, "binds_at": None}
        self.put_hand_over()

    def put_hand_over(self):
        order = self.under_way
        binds_at = b"\0" if order["binds_at"] is None else b"\1" + u(order["binds_at"], 8)
        self.put(7, u(order["number"], 4), order["outgoing"] + order["incoming_hash"] + binds_at)

    def log_hand_over(self):
        """G-4: a batch of this height has logged what waited."""
        if self.under_way and self.under_way["binds_at"] is None:
            self.under_way["binds_at"] = self.height + 2
            self.put_hand_over()

    def bind_hand_over(self):
        """G-4: at the end of the outgoing set's last block."""
        if self.under_way and self.under_way["binds_at"] == self.height + 1:
            self.deciding.move_to(self.under_way["incoming"], self.height)
            self.hand_overs, self.under_way = self.hand_overs + 1, None

    def rules_at(self, height):
        """B-13: the version that governs a height."""
        return 1 + sum(begins <= height for begins in self.rules_begin)

    def rules_order(self, e):
        """B-13."""
        version, activates_at, newest = e["rules"], e["activates_at"], 1 + len(self.rules_begin)
        unless(self.rules_at(self.height) == newest, 29)
        unless(version == newest + 1, 30)
        unless(2 <= activates_at - self.height <= 10_000_000, 31)
        self.rules_begin.append(activates_at)
        self.put(8, u(version, 1), u(activates_at, 8))
        self.events.append(b"\x0e" + u(version, 1) + u(activates_at, 8))

    def participants_hash(self):
        return self.chain.d("participants", encoded_list([line["bytes"] for line in self.directory.values()]))

    # What a batch must be, and does.

    def take_batch(self, b):
        unless(b["number"] == self.batch + 1 < 2**64, 40)
        unless(b["previous"] == self.batch_hash, 41)
        unless(verifies(self.central["central"][1], b["hash"](self.chain), b["sig"]), 42)
        unless(len(b["records"]) <= self.genesis["batch_records_max"], 43)
        lists = [x["coin"] for x in b["records"]], b["settled"], b["overdue"], b["cleared"]
        unless(all(ascends(items) for items in lists), 44)
        none = bytes(32)
        tag_fits = lambda x: {1: x["tag"] != none, 2: x["tag"] == none, 3: x["tag"] != none, 4: True}[x["status"]]
        unless(all(tag_fits(x) and (x["failed_check"] != 0) == (x["status"] == 4) for x in b["records"]), 45)
        logged = []
        for x in b["records"]:
            if x["coin"] not in self.coins:
                last = self.records.get(x["coin"])
                if x["status"] == 2 and last and last[0] != 2:
                    logged.append((x, last[1], None))
                continue
            status, contract, _ = self.coins[x["coin"]]
            becomes = {1: {1: 2, 3: 2, 4: 2}, 2: {}, 3: {1: 3, 2: 3}, 4: {1: 4}}[x["status"]].get(status)
            unless(becomes, 46)
            logged.append((x, contract, becomes))
        unless(all(identifier in self.pending for identifier in b["settled"]), 47)
        held = lambda submitter: sum(s == submitter for _, s in self.overdue) + sum(s == submitter for _, s in b["overdue"])
        unless(all(x not in self.overdue and x[1] in self.parent for x in b["overdue"]), 48)
        unless(all(held(submitter) <= 1000 for submitter in {s for _, s in b["overdue"]}), 48)
        unless(all(x in self.overdue for x in b["cleared"]), 48)

        self.batch, self.batch_hash = b["number"], b["hash"](self.chain)
        for x, contract, becomes in logged:
            if becomes:
                self.coins[x["coin"]] = becomes, *self.coins[x["coin"]][1:]
            self.log.append(self.put_record(x["coin"], x["status"], contract, x["failed_check"], x["tag"]))
        for identifier in b["settled"]:
            issued, redeemed = self.pending.pop(identifier)
            self.issued, self.redeemed = self.issued + issued, self.redeemed + redeemed
        self.overdue |= set(b["overdue"])
        self.log += [b"\2" + identifier + u(s, 2) for identifier, s in b["overdue"]]
        self.overdue -= set(b["cleared"])
        self.log += [b"\3" + identifier + u(s, 2) for identifier, s in b["cleared"]]
        self.log += self.events
        self.events = []
        self.log_hand_over()

    def check_certificate(self, certificate, bundle):
        """8: acks of a quorum of the set that decides this height."""
        assert certificate[:52] == bundle[:52]
        digest = self.chain.d("bundle", bundle[:52])
        acks = decode(certificate[52:], read_signed_by)
        power = self.deciding.signed_power(acks, "bundle", lambda signer: self.chain.d("ack", digest, u(signer, 2)))
        assert power >= self.deciding.quorum()

    def take_block(self, time_ms, parent_round, certificates, bundles):
        """Gives the results and the header's bytes."""
        chain, before, batch_before = self.chain, dict(self.coins), self.batch
        self.height, self.time_ms, parent_block = self.height + 1, time_ms, self.block
        self.parent, self.ordered, self.published = dict(self.directory), set(), set()
        self.before, self.logged_before = copy.copy(self), len(self.log)
        for field in ("contracts", "feeds", "items", "obligations"):
            setattr(self.before, field, copy.deepcopy(getattr(self, field)))
        (self.central,) = [line for line in self.parent.values() if line["central"]]
        self.used = {message: expiry for message, expiry in self.used.items() if expiry >= time_ms}
        version = self.rules_at(self.height)
        assert version <= RULES_KNOWN
        results, refused_bytes = [], {}
        for certificate, bundle in zip(certificates, bundles, strict=True):
            self.check_certificate(certificate, bundle)
            reader = Reader(bundle)
            submitter, incarnation, sequence = reader.u16(), reader.u32(), reader.u64()
            count, size, ids_root, signature = reader.u16(), reader.u32(), reader.hash(), reader.sig()
            key = self.central["central"][1] if submitter == 65535 else self.parent[submitter]["keys"][1]
            assert size == len(bundle) - 116 and verifies(key, chain.d("bundle", bundle[:52]), signature)
            assert (incarnation, sequence) == self.lanes.get(submitter, (0, 0))[:2]
            read = read_signed_batch if submitter == 65535 else read_envelope
            items = [read(reader) for _ in range(count)]
            reader.end()
            assert chain.merkle_root([item["id"](chain) for item in items]) == ids_root
            refused_bytes.setdefault(submitter, 0)
            for item in items:
                try:
                    self.take_batch(item) if submitter == 65535 else self.envelope(item, submitter)
                    code = 0
                except Refusal as refusal:
                    (code,) = refusal.args
                    refused_bytes[submitter] += size if submitter == 65535 else item["size"]
                results.append((item["id"](chain), code))
            self.lanes[submitter] = incarnation, sequence + 1
        for submitter, refused in refused_bytes.items():
            incarnation, sequence = self.lanes[submitter]
            lane = u(incarnation, 4) + u(sequence, 8) + u(self.height, 8) + u(refused, 8)
            self.put(6, u(submitter, 2), lane)
        self.bind_hand_over()
        root = map_root(self.map)
        if self.batch != batch_before:
            self.append_state_leaf()
        state = lambda status, contract, issued_ms: u(status, 1) + u(contract, 4) + (u(issued_ms, 8) if contract else b"")
        row = lambda coin: coin + state(*self.coins[coin])
        rows = lambda items: u(len(items), 4) + b"".join(items)
        created = [row(coin) for coin in sorted(self.coins) if coin not in before]
        deleted = [coin for coin in sorted(before) if coin not in self.coins]
        changed = [row(coin) for coin in sorted(self.coins) if before.get(coin, self.coins[coin]) != self.coins[coin]]
        self.delta = chain.d("delta", self.delta, rows(created), rows(deleted), rows(changed))
        numbers = chain.d("issue numbers", rows([u(s, 4) + u(n, 8) for s, n in sorted(self.next_issue.items())]))
        overdue = chain.d("overdue", rows([identifier + u(s, 2) for identifier, s in sorted(self.overdue)]))
        self.state_root = chain.d("state", self.delta, root, self.batch_hash, numbers, overdue)
        header = (
            u(version, 1) + u(self.height, 8) + parent_block + u(time_ms, 8)
            + chain.merkle_root([chain.d("certificate", certificate) for certificate in certificates])
            + chain.merkle_root([chain.d("result", identifier, u(code, 2)) for identifier, code in results])
            + self.state_root + u(len(self.log), 8) + log_root(self.log) + root
            + self.participants_hash() + self.deciding.set_hash + u(parent_round, 4)
        )  # fmt: skip
        self.block = chain.d("block", header)
        return results, header


def read_sealed(r):
    sealed = r.layout(terms=lambda: r.opt(r.hash), currency=r.currency)
    coin = lambda **more: r.layout(amount=r.u64, owner=r.hash, rho=r.hash, **more)
    sealed["inputs"] = r.list(lambda: coin(origin=r.hash, index=r.u8, series=r.u32, bank=r.u16), 1000)
    sealed["outputs"] = r.list(lambda: coin(bank=r.u16), 8)
    order = lambda: r.layout(payee=lambda: r.opt(r.u8), nonce=r.u64, expiry_ms=r.u64, sigs=lambda: r.list(r.sig, 8))
    sealed["order"] = r.opt(order)
    sealed["acceptance"] = r.opt(lambda: r.layout(expiry_ms=r.u64, sig=r.sig))
    sealed["memo"] = r.bytes(1024)
    return sealed


# ---------------------------------------------------------------- the vectors (14)


class Vectors:
    def __init__(self, folder):
        self.folder, self.checks = folder, 0

    def load(self, name):
        self.name = name
        return json.loads((self.folder / f"{name}.json").read_text())

    def equal(self, what, found, expected):
        self.checks += 1
        if found != expected:
            raise SystemExit(f"{self.name}.json: {what}: found {found!r}, expected {expected!r}")

    def true(self, what, holds):
        self.equal(what, bool(holds), True)


unhex = bytes.fromhex


def check_genesis(v):
    data = v.load("genesis")
    document = unhex(data["document"])
    trust = Trust(document)
    v.equal("genesis hash", trust.chain.genesis_hash.hex(), data["genesis_hash"])
    v.equal("origin", trust.genesis["origin"], data["origin"])
    v.equal("currency", trust.genesis["currency"], data["currency"])
    v.equal("officers", [key.hex() for key in trust.genesis["officers"]], data["officers"])
    v.equal("threshold", trust.genesis["threshold"], data["officer_threshold"])
    v.equal("log key", trust.log_key.hex(), data["log_key"])
    vkey = lambda name, kind, key: f"{name}+{key_id(name, kind, key).hex()}+{base64.b64encode(bytes([kind]) + key).decode()}"
    v.equal("log vkey", vkey(trust.genesis["origin"], 1, trust.log_key), data["log_vkey"])
    for mine, theirs in zip(trust.validators, data["validators"], strict=True):
        for field in ("consensus", "bundle", "cosign"):
            v.equal(f"validator {field}", mine[field].hex(), theirs[field])
        v.equal("validator power", (mine["number"], mine["power"]), (theirs["number"], theirs["power"]))
        name = f"{trust.genesis['origin']}/{mine['number']}"
        v.equal("cosigner vkey", vkey(name, 4, mine["cosign"]), theirs["cosign_vkey"])
    v.equal("set", encode_validators(trust.validators).hex(), data["validator_set"])
    v.equal("set decodes", decode(unhex(data["validator_set"]), read_validators), trust.validators)
    v.equal("set hash", trust.set_hash.hex(), data["validator_set_hash"])
    v.equal("participants hash", trust.chain.d("participants", trust.genesis["directory_bytes"]).hex(), data["participants_hash"])


def check_encoding(v):
    data = v.load("encoding")
    number = lambda name: (lambda r: getattr(r, name)())
    readers = {name: number(name) for name in ("u8", "u16", "u32", "u64", "currency")}
    readers["u128"] = lambda r: str(r.u128())
    readers["i64"] = lambda r: r.i64()
    readers["option u32"] = lambda r: r.opt(r.u32)
    readers["list u16 max 8"] = lambda r: r.list(r.u16, 8)
    readers["octets max 8"] = lambda r: r.bytes(8).hex()
    readers["text max 8"] = lambda r: r.text(8)
    readers["record"] = lambda r: {k: x.hex() if k == "tag" else x for k, x in read_record(r).items()}
    show = {"map_root": bytes.hex, "set_hash": bytes.hex, "issued": str, "redeemed": str}
    readers["state leaf"] = lambda r: {k: show.get(k, int)(x) for k, x in read_state_leaf(r).items()}
    readers["log leaf"] = lambda r: {1: "record", 6: "hand over", 7: "state", 8: "request", 14: "rules"}[read_log_leaf(r)[0]]
    readers["validator set"] = read_validators
    for case in data["accepted"]:
        v.equal(case["type"], decode(unhex(case["hex"]), readers[case["type"]]), case["value"])
    check_refused(v, data, readers)


def check_hash(v):
    data = v.load("hash")
    for case in data["hashes"]:
        material = unhex(data["genesis_hash"]) + unhex(case["input"])
        v.equal(case["context"], derive_key(case["context"], material).hex(), case["hash"])


def check_signature(v):
    for case in v.load("signature")["cases"]:
        key, message, signature = (unhex(case[field]) for field in ("key", "message", "signature"))
        v.equal(case["name"], verifies(key, message, signature), case["valid"])
        v.equal(f"key of {case['name']}", key_is_sound(key), case["key_is_sound"])


def check_coin(v):
    data = v.load("coin")
    chain = Chain(unhex(data["genesis_hash"]))
    for case in data["coins"]:
        o = case["opening"]
        rho, owner = unhex(o["rho"]), unhex(o["owner"])
        opening = opening_bytes(o["amount"], o["currency"], o["series"], unhex(o["terms"]), owner, rho)
        v.equal("opening", opening.hex(), case["opening_bytes"])
        made = case["derived_from"]
        if "inputs" in made:
            origin = chain.d("origin", encoded_list([unhex(i) for i in made["inputs"]]))
        else:
            origin = chain.d("issue origin", u(made["series"], 4), u(made["issue_number"], 8))
        v.equal("origin", origin.hex(), case["origin"])
        derived = derive_coin(chain, opening, rho, origin, case["output_index"], case["bank"])
        for name, value in zip(("note", "kappa", "custody", "link", "coin_id"), derived):
            v.equal(name, value.hex(), case[name])
        coin, blind = derived[4], chain.d("tag blind", rho)
        v.equal("coin text", coin_text(coin), case["coin_text"])
        v.equal("tag blind", blind.hex(), case["tag_blind"])
        v.equal("owner tag", chain.d("owner tag", coin, owner, blind).hex(), case["owner_tag"])
    rho = data["preissue_rho"]
    v.equal("preissue rho", chain.d("preissue rho", unhex(rho["seed"]), u(rho["index"], 4)).hex(), rho["rho"])


def check_merkle(v):
    data = v.load("merkle")
    chain, items = Chain(unhex(data["genesis_hash"])), [unhex(item) for item in data["items"]]
    for tree in data["trees"]:
        v.equal("root", chain.merkle_root(items[: tree["count"]]).hex(), tree["root"])
        for index, path in enumerate(tree["paths"]):
            root = chain.path_root(items[index], index, tree["count"], [unhex(node) for node in path])
            v.equal("path", root.hex(), tree["root"])


def check_snapshot(v):
    data = v.load("snapshot")
    chain = Chain(unhex(data["genesis_hash"]))
    package = bytes([1] * 32) + u(6, 4) + b"policy"
    for case in data["states"]:
        coins = [i.to_bytes(32, "big") + u(i % 4 + 1, 1) + u(0, 4) for i in range(case["coins"])]
        chunks = []
        for part, rows in ((1, [b"small"]), (2, coins), (4, [package])):
            chunk = bytearray()
            for row in rows:
                chunk += (b"" if chunk else u(part, 1)) + row
                if len(chunk) >= 131_072:
                    chunks.append(bytes(chunk))
                    chunk = bytearray()
            chunks += [bytes(chunk)] if chunk else []
        v.equal("chunk bytes", [len(chunk) for chunk in chunks], case["chunk_bytes"])
        v.equal("first bytes", [chunk[:80].hex() for chunk in chunks], case["first_bytes"])
        hashes = [chain.d("snapshot chunk", chunk) for chunk in chunks]
        v.equal("chunk hashes", [hash.hex() for hash in hashes], case["chunk_hashes"])
        root = chain.merkle_root(hashes)
        v.equal("root of chunks", root.hex(), case["chunks_root"])
        hash = chain.d("snapshot", u(data["height"], 8), unhex(data["block_hash"]), u(len(chunks), 4), root)
        v.equal("snapshot hash", hash.hex(), case["snapshot_hash"])


def check_log(v):
    data = v.load("log")
    leaves, roots = [unhex(leaf) for leaf in data["leaves"]], [unhex(root) for root in data["roots"]]
    for size, root in enumerate(roots):
        v.equal("root", log_root(leaves[:size]).hex(), root.hex())
    for case in data["inclusion"]:
        index, size, proof = case["index"], case["size"], [unhex(node) for node in case["proof"]]
        v.equal("inclusion", path_root(log_leaf_hash(leaves[index]), index, size, proof, log_node), roots[size])
        v.true("another leaf", path_root(log_leaf_hash(b"other"), index, size, proof, log_node) != roots[size])
    for case in data["consistency"]:
        first, second, proof = case["first"], case["second"], [unhex(node) for node in case["proof"]]
        v.equal("consistency", consistency(first, roots[first], second, roots[second], proof), "holds")
        v.equal("a hash too many", consistency(first, roots[first], second, roots[second], proof + [EMPTY]), "length")
        v.equal("another root", consistency(first, roots[first], second, EMPTY, proof), "root" if first else "holds")


def check_map(v):
    data = v.load("map")
    key = lambda case: sha256(bytes([case["type"]]), unhex(case["id"]))
    entries = [(key(case), sha256(unhex(case["value"]))) for case in data["included"]]
    for count, root in enumerate(data["roots"]):
        v.equal("root", map_root(dict(entries[:count])).hex(), root)
    root = unhex(data["root"])
    for case, (key_hash, value_hash) in zip(data["included"], entries):
        proof = decode(unhex(case["proof"]), read_map_proof)
        v.true("present", map_holds(root, key_hash, value_hash, proof))
        v.true("not absent", not map_lacks(root, key_hash, proof))
        v.true("no other value", not map_holds(root, key_hash, sha256(b"other"), proof))
    for case in data["absent"]:
        proof = decode(unhex(case["proof"]), read_map_proof)
        v.true("absent", map_lacks(root, key(case), proof))


def check_payment(v):
    data = v.load("payment")
    trust = Trust(unhex(data["genesis"]))
    chain, envelope, epoch_key = trust.chain, unhex(data["envelope"]), unhex(data["epoch_key"])
    reader = Reader(envelope)
    core = read_core(reader)
    core_bytes = envelope[: reader.at]
    commitment = reader.hash()
    header = envelope[: reader.at]
    ciphertext = reader.take({1: 512, 2: 1024, 3: 4096}[core["bucket"]] + 16)
    reader.end()
    v.equal("core", core_bytes.hex(), data["core_bytes"])
    v.equal("core and header bytes", (len(core_bytes), len(header), len(envelope)), (263, 295, data["envelope_bytes"]))
    v.equal("id", chain.d("envelope", header, chain.d("ciphertext", ciphertext)).hex(), data["envelope_id"])
    v.equal("hint", core["hint"], chain.d("hint", epoch_key, u(data["counter"], 8))[:16])
    root = chain.d("envelope key", epoch_key, chain.d("core", core_bytes))
    v.equal("root", root.hex(), data["root"])
    v.equal("commitment", chain.d("key commit", root), commitment)
    key, associated = chain.d("seal", root), chain.d("header", header)
    v.equal("data key", key.hex(), data["data_key"])
    v.equal("associated data", associated.hex(), data["associated_data"])
    padded = gcm_open(key, associated, ciphertext)
    v.true("opens", padded is not None)
    v.true("a changed header does not open", gcm_open(key, chain.d("header", core_bytes), ciphertext) is None)
    reader = Reader(padded)
    sealed = read_sealed(reader)
    v.equal("plaintext", padded[: reader.at].hex(), data["plaintext"])
    v.equal("plaintext bytes", reader.at, data["plaintext_bytes"])
    v.true("zero padding", not any(padded[reader.at :]))

    # Rules P, in order.
    submitter = core["submitter"]
    coin = lambda x, series: opening_bytes(x["amount"], sealed["currency"], series, sealed["terms"] or bytes(32), x["owner"], x["rho"])
    v.true("custody of the inputs", all(x["bank"] == submitter for x in sealed["inputs"]))
    inputs = []
    for (link, kappa), x in zip(core["inputs"], sealed["inputs"], strict=True):
        spent = chain.d("coin", link, chain.d("custody", u(submitter, 2), kappa))
        v.equal("input", derive_coin(chain, coin(x, x["series"]), x["rho"], x["origin"], x["index"], x["bank"])[4], spent)
        inputs.append(spent)
    v.equal("input ids", [i.hex() for i in inputs], data["input_ids"])
    v.equal("currency", sealed["currency"], trust.genesis["currency"])
    series = {x["series"] for x in sealed["inputs"]}
    series = series.pop() if len(series) == 1 else 0
    origin, outputs = chain.d("origin", encoded_list(sorted(inputs))), []
    for index, ((note, custody, _), x) in enumerate(zip(core["outputs"], sealed["outputs"], strict=True)):
        derived = derive_coin(chain, coin(x, series), x["rho"], origin, index, x["bank"])
        v.equal("output", (derived[0], derived[2]), (note, custody))
        outputs.append(derived[4].hex())
    v.equal("output ids", outputs, data["output_ids"])
    order, payee = sealed["order"], sealed["outputs"][sealed["order"]["payee"]]
    change = sorted({x["owner"] for index, x in enumerate(sealed["outputs"]) if index != order["payee"]})
    order_hash = chain.d(
        "order", encoded_list(inputs), b"\1", u(payee["bank"], 2), payee["owner"], u(payee["amount"], 8), sealed["currency"].encode(),
        encoded_list(change), u(order["nonce"], 8), u(order["expiry_ms"], 8), chain.d("memo", sealed["memo"]),
    )  # fmt: skip
    v.equal("order", order_hash.hex(), data["order_hash"])
    owners = sorted({x["owner"] for x in sealed["inputs"]})
    v.true("order signed", all(verifies(o, order_hash, s) for o, s in zip(owners, order["sigs"], strict=True)))
    note, custody, _ = core["outputs"][order["payee"]]
    acceptance = sealed["acceptance"]
    message = chain.d("acceptance", order_hash, encoded_list([note + custody]), u(acceptance["expiry_ms"], 8))
    v.equal("acceptance", message.hex(), data["acceptance_message"])
    v.equal("payee's bank", payee["bank"], data["payee_bank"])
    line = lambda number: next(x for x in trust.genesis["directory"] if x["number"] == number)
    v.equal("desk key", line(payee["bank"])["keys"][3].hex(), data["payee_desk_key"])
    v.true("acceptance signed", verifies(line(payee["bank"])["keys"][3], message, acceptance["sig"]))
    v.true("expiries", core["expiry_ms"] <= min(order["expiry_ms"], acceptance["expiry_ms"]))
    v.equal("value", sum(x["amount"] for x in sealed["inputs"]), sum(x["amount"] for x in sealed["outputs"]))

    bundle = unhex(data["bundle"])
    digest = chain.d("bundle", bundle[:52])
    v.equal("digest", digest.hex(), data["bundle_digest"])
    v.equal("bundle key", line(submitter)["keys"][1].hex(), data["submitter_bundle_key"])
    v.true("bundle signed", verifies(line(submitter)["keys"][1], digest, bundle[52:116]))
    reader = Reader(bundle[:52])
    slot = reader.layout(submitter=reader.u16, incarnation=reader.u32, sequence=reader.u64, count=reader.u16, bytes=reader.u32)
    v.equal("slot", (slot["submitter"], slot["count"], slot["bytes"]), (submitter, 1, len(bundle) - 116))
    v.equal("ids root", chain.merkle_root([unhex(data["envelope_id"])]), reader.hash())
    v.equal("body", bundle[116:], envelope)
    certificate = unhex(data["certificate"])
    v.equal("certificate hash", chain.d("certificate", certificate).hex(), data["certificate_hash"])
    v.equal("certificate header", certificate[:52], bundle[:52])
    acks = decode(certificate[52:], read_signed_by)
    power = trust.signed_power(acks, "bundle", lambda signer: chain.d("ack", digest, u(signer, 2)))
    v.true("quorum of acks", power >= trust.quorum())


def check_channel(v):
    data = v.load("channel")
    trust, signed, epoch_key = Trust(unhex(data["genesis"])), unhex(data["signed_offer"]), unhex(data["epoch_key"])
    chain, r = trust.chain, Reader(unhex(data["signed_offer"]))
    offer = r.layout(sender=r.u16, epoch=r.u64, members=lambda: r.list(r.u16, 8), not_after_ms=r.u64, commitment=r.hash)
    offer["sealed"] = r.list(lambda: (r.u16(), r.bytes(1120), r.take(48)), 8)
    message = chain.d("epoch offer", signed[: r.at])
    signature = r.sig()
    r.end()
    offer_key = lambda number: next(x["keys"][4] for x in trust.genesis["directory"] if x["number"] == number)
    v.equal("message", message.hex(), data["message"])
    v.true("signed", verifies(offer_key(offer["sender"]), message, signature))
    v.equal("commitment", chain.d("epoch commit", epoch_key), offer["commitment"])
    v.true("members", ascends(offer["members"]) and offer["sender"] in offer["members"])
    v.equal("receivers", [member for member, _, _ in offer["sealed"]], [m for m in offer["members"] if m != offer["sender"]])
    for (member, enc, sealed), case in zip(offer["sealed"], data["receivers"], strict=True):
        secret, public = Hpke.derive_key_pair(unhex(case["kem_seed"]))
        v.equal("KEM key", public.hex(), case["kem_key"])
        v.true("sound", kem_key_is_sound(1, public))
        members = encoded_list([u(m, 2) for m in offer["members"]])
        info = chain.d("epoch info", u(offer["sender"], 2), u(offer["epoch"], 8), members, u(member, 2))
        v.equal("epoch key", Hpke.open(secret, public, enc, info, sealed), epoch_key)
        v.true("no other's", Hpke.open(secret, public, enc, chain.d("epoch info"), sealed) is None)
        r = Reader(unhex(case["acknowledgement"]))
        v.equal("acknowledges", (r.u16(), r.u64(), r.u16()), (offer["sender"], offer["epoch"], case["member"]))
        acknowledged = chain.d("epoch ack", message, u(member, 2))
        v.equal("acknowledgement", acknowledged.hex(), case["acknowledgement_message"])
        v.true("acknowledged", verifies(offer_key(member), acknowledged, r.sig()))
        r.end()


def check_transition(v):
    check_blocks(v, v.load("transition"))


def check_governance(v):
    check_blocks(v, v.load("governance"))


def check_lending(v):
    check_blocks(v, v.load("lending"))


def check_blocks(v, data):
    ledger = Ledger(unhex(data["genesis"]))
    for case in data["blocks"]:
        lists = ([unhex(x) for x in case[field]] for field in ("certificates", "bundles"))
        results, header = ledger.take_block(case["time_ms"], case["parent_round"], *lists)
        for (identifier, code), expected in zip(results, case["results"], strict=True):
            v.equal(expected["item"], (identifier.hex(), code), (expected["envelope"], expected["code"]))
        v.equal("height", ledger.height, case["height"])
        v.equal("delta", ledger.delta.hex(), case["delta"])
        v.equal("state root", ledger.state_root.hex(), case["state_root"])
        v.equal("header", header.hex(), case["header"])
        v.equal("block hash", ledger.block.hex(), case["block_hash"])


def check_supply(v):
    data = v.load("supply")
    trust = Trust(unhex(data["genesis"]))
    for case in data["cases"]:
        found = outcome(lambda: verify_supply(trust, unhex(case["state_proof"]), case["now_ms"]))
        v.equal(case["name"], found, case["outcome"])


def check_run_of_blocks(v):
    data = v.load("run_of_blocks")
    trust = Trust(unhex(data["genesis"]))
    shown = lambda last: {"height": last["height"], "block_hash": trust.chain.d("block", last["bytes"]).hex()}
    for case in data["cases"]:
        block = lambda x: (decode(unhex(x["header"]), read_header), decode(unhex(x["certificate"]), read_certificate))
        blocks, at = [block(x) for x in case["blocks"]], case["from"]
        before = verify_run(trust, None, blocks[:at]) if at else None
        v.equal(case["name"], outcome(lambda: shown(verify_run(trust, before, blocks[at:]))), case["outcome"])


def check_remembering(v):
    data = v.load("remembering")
    trust = Trust(unhex(data["genesis"]))
    for step in data["steps"]:
        proof = [unhex(node) for node in step["consistency"]]
        found = outcome(lambda: trust.remember(step["size"], unhex(step["root"]), proof))
        v.equal(step["name"], found, step["outcome"])
        v.equal("newest", trust.newest[0], step["newest_size_after"])
    for case in data["then"]:
        found = outcome(lambda: verify_state(trust, unhex(case["state_proof"]), case["now_ms"]))
        v.equal(case["name"], found, case["outcome"])


def check_checkpoint(v):
    data = v.load("checkpoint")
    trust = Trust(unhex(data["genesis"]))
    for case in data["cases"]:
        found = outcome(lambda: verify_state(trust, unhex(case["state_proof"]), case["now_ms"]))
        v.equal(case["name"], found, case["outcome"])


def check_coin_proof(v):
    data = v.load("coin_proof")
    trust = Trust(unhex(data["genesis"]))

    def shown(case, data):
        record, state = verify_coin(trust, unhex(case["asked"]), data, case["now_ms"])
        return {"record": record and record | {"tag": record["tag"].hex()}, "state": state}

    for case in data["cases"]:
        proof = unhex(case["proof"])
        v.equal(case["name"], outcome(lambda: shown(case, proof)), case["outcome"])
        if "verified" not in case["outcome"]:
            continue
        # A sample of single-bit flips: none is accepted.
        for flipped in range(0, 8 * len(proof), 331):
            altered = bytearray(proof)
            altered[flipped // 8] ^= 1 << flipped % 8
            v.true(f"bit {flipped} of {case['name']}", "verified" not in outcome(lambda: shown(case, bytes(altered))))


def check_request_proof(v):
    data = v.load("request_proof")
    trust = Trust(unhex(data["genesis"]))
    for case in data["cases"]:
        shown = lambda: verify_request(trust, unhex(case["coin"]), unhex(case["r"]), unhex(case["proof"]), case["now_ms"])
        v.equal(case["name"], outcome(shown), case["outcome"])


def check_contract(v):
    data = v.load("contract")
    chain = Chain(unhex(data["genesis_hash"]))
    policy = chain.d("policy", unhex(data["package"]))
    v.equal("policy hash", policy.hex(), data["policy_hash"])
    v.equal("terms", chain.d("terms", u(data["contract"], 4), policy).hex(), data["terms"])
    loan = data["obligation"]
    obligation = chain.d("obligation", u(loan["bank"], 2), unhex(loan["activation"]), unhex(loan["salt"]))
    v.equal("obligation id", obligation.hex(), loan["id"])
    head, values = decode(unhex(data["publication"]), read_publication)
    definition, newest = decode(unhex(data["feed"]), ENTRIES[3][2])
    for publisher, value, signature in values:
        message = chain.d("feed value", head["bytes"], i(value, 8))
        v.true(f"publisher {publisher}", verifies(definition["publishers"][publisher], message, signature))
    item = head["bytes"] + i(median([value for _, value, _ in values]), 8)
    v.equal("item", item.hex(), data["item"])
    v.equal("newest period", newest, head["period"])
    for leaf, kind in zip(data["leaves"], (9, 10, 11, 12, 13), strict=True):
        v.equal(leaf["name"], decode(unhex(leaf["hex"]), read_log_leaf)[0], kind)
    for case in data["owed"]:
        days = case["to_ms"] // 86400000 - case["from_ms"] // 86400000
        owed = case["principal"] + half_to_even(case["principal"] * case["rate"] * days, 365 * 10**6)
        v.equal("owed", owed if days >= 0 and 0 <= owed < 2**64 else None, case["owed"])


def check_program(v):
    """LANGUAGE.md's machine: programs, readings and loans, and what becomes of them."""
    data = v.load("program")
    for case in data["programs"]:
        program = Program(unhex(case["program"]))
        for at, run in enumerate(case["runs"]):
            readings = [[read_reading(back) for back in feed] for feed in run["readings"]]
            loan = run["activation"]
            said = activate(program, readings, run["time_ms"], loan["sector"], loan["rate"], loan["term_days"])
            due, why = said[0]
            v.equal(f"{case['name']}, run {at}: activation", (due, why and list(why)), (loan["due_days"], loan["denied"]))
            v.equal(f"{case['name']}, run {at}: its fuel and inputs", (said[1], inputs(said[2])), (loan["fuel"], loan["inputs"]))
            back = run["return"]
            rate, fuel, asked = rate_of_return(program, readings, back["activated_ms"], run["time_ms"])
            v.equal(f"{case['name']}, run {at}: return", (rate, fuel, inputs(asked)), (back["rate"], back["fuel"], back["inputs"]))


def inputs(asked):
    return " ".join(f"{feed}.{back}" for feed, back in asked)


def read_reading(text):
    """period i32, vintage u32, value i64, published_ms u64, valid_until_ms u64, big-endian."""
    return text and struct.unpack(">iIqQQ", unhex(text))


def check_entry_proof(v):
    data = v.load("entry_proof")
    trust = Trust(unhex(data["genesis"]))
    for case in data["cases"]:
        shown = lambda: verify_entry(trust, unhex(case["asked"]), unhex(case["proof"]), case["now_ms"])
        v.equal(case["name"], outcome(shown), case["outcome"])


def check_leaf_proof(v):
    data = v.load("leaf_proof")
    trust = Trust(unhex(data["genesis"]))
    for case in data["cases"]:
        shown = lambda: verify_leaf(trust, unhex(case["asked"]), unhex(case["proof"]), case["now_ms"])
        v.equal(case["name"], outcome(shown), case["outcome"])


def check_bucket(v):
    data = v.load("bucket")
    trust = Trust(unhex(data["genesis"]))

    def shown(case, proof):
        asked = case["bits"], unhex(case["prefix"])
        entries, state = verify_bucket(trust, asked, proof, case["now_ms"])

        def answer(coin):
            try:
                record = bucket_answer(asked, entries, unhex(coin))
            except Invalid as invalid:
                return {"invalid": {"number": invalid.number, "code": CODES[invalid.number]}}
            return {"record": record and record | {"tag": record["tag"].hex()}}

        inside = sum(begins(key, asked[1], asked[0]) for key in entries)
        return {"entries": inside, "answers": [answer(coin) for coin in data["coins"]], "state": state}

    for case in data["cases"]:
        v.equal(case["name"], outcome(lambda: shown(case, unhex(case["proof"]))), case["outcome"])


def check_acknowledgement(v):
    data = v.load("acknowledgement")
    trust = Trust(unhex(data["genesis"]))
    header = unhex(data["first_header"])
    v.equal("header bytes", len(header), 285)
    v.equal("block hash", trust.chain.d("block", header).hex(), data["first_block_hash"])
    v.equal("parent of height 1", decode(header, read_header)["parent"], trust.chain.genesis_hash)
    for case in data["cases"]:
        v.equal(case["name"], outcome(lambda: verify_acknowledgement(trust, unhex(case["acknowledgement"]))), case["outcome"])


def check_ownership(v):
    data = v.load("ownership")
    trust, proof, asked = Trust(unhex(data["genesis"])), unhex(data["coin_proof"]), unhex(data["challenge"])
    coin = decode(proof, read_coin_proof)[1]
    record, _ = verify_coin(trust, coin, proof, data["coin_now_ms"])
    for case in data["cases"]:
        found = outcome(lambda: verify_ownership(trust, coin, record, asked, unhex(case["ownership"]), case["now_ms"]))
        v.equal(case["name"], found, case["outcome"])


def check_hand_over(v):
    data = v.load("hand_over")
    document = unhex(data["genesis"])
    for case in data["cases"]:
        v.equal(case["name"], outcome(lambda: verify_hand_over(Trust(document), unhex(case["hand_over"]))), case["outcome"])
    moved = Trust(document)
    verify_hand_over(moved, unhex(data["cases"][0]["hand_over"]))
    for when in ("after", "before"):
        proof = unhex(data[when]["state_proof"])
        for field, trust in (("with_the_first_hand_over", moved), ("without_it", Trust(document))):
            v.equal(f"{when} {field}", outcome(lambda: verify_state(trust, proof, data["now_ms"])), data[when][field])


def check_consensus(v):
    data = v.load("consensus")
    trust = Trust(unhex(data["genesis"]))
    key_of = lambda number: next(x["consensus"] for x in trust.validators if x["number"] == number)
    readers = {
        "vote": lambda r: r.layout(
            step=lambda: r.one_of(1, 2), height=r.u64, round=r.u32, block=lambda: r.opt(lambda: r.hash().hex()), validator=r.u16
        ),
        "proposal": lambda r: r.layout(
            height=r.u64, round=r.u32, block=lambda: r.hash().hex(), valid_round=lambda: r.opt(r.u32), validator=r.u16
        ),
    }
    for kind, read in readers.items():
        for case in data[f"{kind}s"]:
            signed, found = case["signed"], decode(unhex(case["signed"]["bytes"]), read)
            v.equal(kind, found, case["fields"])
            message = trust.chain.d(kind, unhex(signed["bytes"]))
            v.equal(f"{kind}'s message", message.hex(), signed["message"])
            v.true(f"{kind} is signed", verifies(key_of(found["validator"]), message, unhex(signed["signature"])))
    for case in data["peer_proofs"]:
        key, peer = key_of(case["validator"]), unhex(case["peer_id"])
        line = next(x for x in trust.genesis["directory"] if x["number"] == case["validator"])
        v.equal("consensus key", key.hex(), case["key"])
        v.equal("peer", peer[-32:], line["keys"][6])
        sized = lambda part: len(part).to_bytes(4, "big") + part
        engines = b"PoV" + sized(key) + sized(peer)
        v.equal("the engine's message", engines.hex(), case["engines_message"])
        message = trust.chain.d("peer proof", engines)
        v.equal("peer proof's message", message.hex(), case["message"])
        v.true("peer proof is signed", verifies(key, message, unhex(case["signature"])))
    check_refused(v, data, readers)


def check_refused(v, data, readers):
    for case in data["refused"]:
        try:
            decode(unhex(case["hex"]), readers[case["type"]])
            v.true(f"{case['type']} {case['hex']} is refused: {case['because']}", False)
        except Refused:
            v.true(case["because"], True)


def check_reconciliation(v):
    data = v.load("reconciliation")
    trust = Trust(unhex(data["genesis"]))
    chain, status = trust.chain, lambda r: r.one_of(1, 2, 3, 4)

    def set_of(r):
        return r.layout(status=lambda: status(r), count=r.u64, fingerprint=lambda: r.hash().hex())

    def side_of(r):
        return r.layout(status=lambda: status(r), tag=lambda: r.hash().hex())

    def difference_of(r):
        side = lambda: r.opt(lambda: side_of(r))
        return r.layout(
            kind=lambda: r.one_of(1, 2, 3, 4, 5, 6), coin=lambda: r.hash().hex(), at_bank=side, at_centre=side,
            made_by=lambda: r.opt(lambda: r.hash().hex()),
        )  # fmt: skip

    about = lambda r: r.layout(bank=r.u16, height=r.u64, block=lambda: r.hash().hex(), batch=r.u64)
    readers = {
        "claim": lambda r: (r.one_of(1, 2), about(r), r.list(lambda: set_of(r), 4)),
        "report": lambda r: (about(r), r.list(lambda: difference_of(r), 10_000), r.u64()),
    }
    expected_about = {field: data[field] for field in ("bank", "height", "block", "batch")}
    expected_sets = []
    for case in data["sets"]:
        items = sorted(unhex(item) for item in case["items"])
        head = u(case["bank"], 2) + u(case["status"], 1) + u(len(items), 8)
        fingerprint = chain.d("reconciled set", head, *items).hex()
        v.equal("fingerprint", fingerprint, case["fingerprint"])
        expected_sets.append({"status": case["status"], "count": len(items), "fingerprint": fingerprint})
    v.equal("one set of each status", [x["status"] for x in expected_sets], [1, 2, 3, 4])

    def signed(kind, case, key):
        message = chain.d(f"reconciliation {kind}", unhex(case["bytes"]))
        v.equal(f"{kind}: message", message.hex(), case["message"])
        v.equal(f"{kind}: key", key.hex(), case["key"])
        v.true(f"{kind}: signed", verifies(key, message, unhex(case["signature"])))

    desk = next(x for x in trust.genesis["directory"] if x["number"] == data["bank"])["keys"][3]
    (central,) = [x["central"] for x in trust.genesis["directory"] if x["central"]]
    centre = central[2]
    for side, key, case in zip((1, 2), (desk, centre), data["claims"], strict=True):
        v.equal(case["name"], decode(unhex(case["bytes"]), readers["claim"]), (side, expected_about, expected_sets))
        signed("claim", case, key)
    for differences, unnamed, case in zip(([], data["differences"]), (0, 3), data["reports"], strict=True):
        v.equal(case["name"], decode(unhex(case["bytes"]), readers["report"]), (expected_about, differences, unnamed))
        signed("report", case, centre)
    v.equal("kinds", [x["kind"] for x in data["differences"]], [1, 2, 3, 4, 5, 6])
    check_refused(v, data, readers)


CHECKS = [
    check_genesis, check_encoding, check_hash, check_signature, check_coin, check_snapshot, check_merkle, check_log, check_map, check_payment,
    check_channel, check_transition, check_governance, check_lending, check_checkpoint, check_supply, check_remembering, check_coin_proof, check_bucket,
    check_request_proof, check_contract, check_program, check_entry_proof, check_leaf_proof, check_acknowledgement, check_run_of_blocks, check_ownership, check_hand_over,
    check_consensus, check_reconciliation,
]  # fmt: skip


def main():
    default = pathlib.Path(__file__).resolve().parents[2] / "vectors"
    vectors = Vectors(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
    for check in CHECKS:
        before = vectors.checks
        check(vectors)
        print(f"{vectors.name}.json: {vectors.checks - before} checks hold")
    unread = {path.stem for path in vectors.folder.glob("*.json")} - {check.__name__.removeprefix("check_") for check in CHECKS}
    if unread:
        raise SystemExit(f"vectors that nothing here reads: {sorted(unread)}")
    print(f"{vectors.checks} checks hold")


if __name__ == "__main__":
    main()
