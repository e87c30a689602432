#!/usr/bin/env python3
"""A second verifier, written from ledger/PROTOCOL.md alone and with nothing but Python's standard library.

It reads ledger/vectors/*.json, derives every value again and judges every document; exit code 0 means that all agree.
Section numbers are PROTOCOL.md's. It is slow (Ed25519, BLAKE3 and AES are spelt out) and not constant-time: a check, not a tool.

    python3 ledger/verify/tests/second_verifier.py [folder of vectors]
"""

import base64
import hashlib
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


def gcm_open(key, associated, sealed):
    """Nonce zero. None if the tag does not fit."""
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
    counter = lambda n: aes256_encrypt(key, bytes(12) + n.to_bytes(4, "big"))
    if hashed ^ int.from_bytes(counter(1), "big") != int.from_bytes(tag, "big"):
        return None
    stream = b"".join(counter(2 + i) for i in range((len(ciphertext) + 15) // 16))
    return bytes(a ^ b for a, b in zip(ciphertext, stream))


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


def u(value, size):
    return value.to_bytes(size, "little")


def encoded_list(items):
    return u(len(items), 2) + b"".join(items)


# ---------------------------------------------------------------- layouts (4, 8, 9)


def read_line(r):
    """A directory line. Keys in order: consensus, bundle, cosign, desk, offer, link, engine peer, data-plane peer."""
    line = r.layout(number=r.u16, name=lambda: r.text(32), roles=lambda: r.one_of(*range(1, 32)), power=r.u64)
    line["keys"] = [r.hash() for _ in range(8)]
    line["kem"] = r.bytes(1216)
    line["central"] = r.opt(lambda: [r.hash() for _ in range(4)])
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


def read_log_leaf(r):
    pair = lambda: (r.hash(), r.u16())
    recovered = lambda: (r.hash(), r.one_of(1, 2, 3), r.u16())
    kinds = {1: lambda: (r.hash(), read_record(r)), 2: pair, 3: pair, 4: recovered, 5: r.hash, 6: r.hash}
    kinds[7] = lambda: read_state_leaf(r)
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


def check_block(trust, header, certificate):
    block = trust.chain.d("block", header["bytes"])
    require(header["version"] == 1 and certificate["block"] == block and certificate["height"] == header["height"], 20)
    require(header["height"] > trust.since, 8)
    place = u(certificate["height"], 8) + u(certificate["round"], 4)
    message = lambda signer: trust.chain.d("vote", b"\2", place, b"\1", block, u(signer, 2))
    return trust.signed_power(certificate["precommits"], "consensus", message)


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


def read_hand_over(r):
    document = r.layout(number=r.u32, outgoing=r.hash, incoming=lambda: read_validators(r))
    document["order_bytes"] = r.data[: r.at]
    return document | r.layout(officers=lambda: read_officers(r), header=lambda: read_header(r), certificate=lambda: read_certificate(r))


def verify_hand_over(trust, data):
    document = decode(data, read_hand_over)
    incoming, header, chain = document["incoming"], document["header"], trust.chain
    trust.stands_at(document["outgoing"])
    require(document["number"] == len(trust.past) + 1, 30)
    keys = [v[key] for v in incoming for key in ("consensus", "bundle", "cosign")]
    sound = all(key_is_sound(key) for key in keys) and len(set(keys)) == len(keys)
    require(sound and all(v["number"] != 65535 for v in incoming), 31)
    same = lambda a, b: all(a[field] == b[field] for field in ("number", "consensus", "bundle", "cosign"))
    kept = sum(min(a["power"], b["power"]) for a in trust.validators for b in incoming if same(a, b))
    for total in (sum(v["power"] for v in side) for side in (trust.validators, incoming)):
        require(3 * (total - kept) < total, 32)
    numbers, officers = [number for number, _ in document["officers"]], trust.genesis["officers"]
    require(sorted(set(numbers)) == numbers and len(numbers) >= trust.genesis["threshold"], 33)
    message = chain.d("hand over", document["order_bytes"])
    require(all(n < len(officers) and verifies(officers[n], message, sig) for n, sig in document["officers"]), 33)
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
    20: "wrong_block", 21: "broken_chain", 22: "wrong_result", 23: "envelope_refused", 30: "hand_over_not_next",
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
    readers["option u32"] = lambda r: r.opt(r.u32)
    readers["list u16 max 8"] = lambda r: r.list(r.u16, 8)
    readers["octets max 8"] = lambda r: r.bytes(8).hex()
    readers["text max 8"] = lambda r: r.text(8)
    readers["record"] = lambda r: {k: x.hex() if k == "tag" else x for k, x in read_record(r).items()}
    show = {"map_root": bytes.hex, "set_hash": bytes.hex, "issued": str, "redeemed": str}
    readers["state leaf"] = lambda r: {k: show.get(k, int)(x) for k, x in read_state_leaf(r).items()}
    readers["log leaf"] = lambda r: {1: "record", 6: "hand over", 7: "state"}[read_log_leaf(r)[0]]
    readers["validator set"] = read_validators
    for case in data["accepted"]:
        v.equal(case["type"], decode(unhex(case["hex"]), readers[case["type"]]), case["value"])
    for case in data["refused"]:
        try:
            decode(unhex(case["hex"]), readers[case["type"]])
            v.true(f"{case['type']} {case['hex']} is refused: {case['because']}", False)
        except Refused:
            v.true(case["because"], True)


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


CHECKS = [
    check_genesis, check_encoding, check_hash, check_signature, check_coin, check_merkle, check_log, check_map, check_payment,
    check_checkpoint, check_coin_proof, check_acknowledgement, check_ownership, check_hand_over,
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
