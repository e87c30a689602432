#!/usr/bin/env python3
"""A client of the public log that shares no code with the node: Python's standard library and the program openssl.

Written from ledger/PROTOCOL.md and the C2SP pages (tlog-tiles, tlog-checkpoint, tlog-cosignature, tlog-proof, signed-note). It
reads the whole log of a node in tiles and entry bundles, computes the root from the entries, checks every tile against it, lets
openssl check the signatures of the log and of the validators, and judges consistency, proof files, states and refusals.

    python3 node/tests/nodes/public_log.py http://HOST:PORT genesis.bin COIN COIN_HASH_HEX

Exit code 0: everything holds; the last line says what was checked.
"""

import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

BASE, GENESIS, COIN, COIN_HASH = sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2]), sys.argv[3], bytes.fromhex(sys.argv[4])
TILE = 256


def fail(what):
    raise SystemExit(f"the public log is wrong: {what}")


def hold(condition, what):
    if not condition:
        fail(what)


# ---------------------------------------------------------------- HTTP


def get(path):
    """Status, headers, body."""
    try:
        with urllib.request.urlopen(BASE + path, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def get_ok(path, kind):
    status, headers, body = get(path)
    hold(status == 200, f"{path} answers {status}: {body[:200]}")
    hold(headers["content-type"] == kind, f"{path} is {headers['content-type']}")
    return headers, body


def get_json(path):
    return json.loads(get_ok(path, "application/json")[1])


# ---------------------------------------------------------------- RFC 6962


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


leaf_hash = lambda leaf: sha256(b"\0", leaf)
node_hash = lambda left, right: sha256(b"\1", left, right)


def root_of(hashes):
    if not hashes:
        return sha256()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(root_of(hashes[:split]), root_of(hashes[split:]))


def path_leads_to(leaf, index, size, path):
    """RFC 9162, 2.1.3.2; the root, or None."""
    fn, sn, reached = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            reached = node_hash(sibling, reached)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            reached = node_hash(reached, sibling)
        fn, sn = fn >> 1, sn >> 1
    return reached if sn == 0 else None


def consistent(first, first_root, second, second_root, path):
    """RFC 9162, 2.1.4.2, for 0 < first < second."""
    if first & first - 1 == 0:
        path = [first_root] + path
    if not path:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for sibling in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(sibling, fr), node_hash(sibling, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


# ---------------------------------------------------------------- genesis document (PROTOCOL.md 4): origin, keys, powers


def read_genesis(data):
    at = 0

    def take(count):
        nonlocal at
        at += count
        hold(at <= len(data), "the genesis document ends early")
        return data[at - count : at]

    integer = lambda size: int.from_bytes(take(size), "little")
    octets = lambda: take(integer(2))
    hold(integer(1) == 1, "the genesis document has another version")
    take(3 + 1 + 1 + 8)
    origin = octets().decode()
    take(32 * integer(2))
    take(1 + 1 + 8 + 8 + 8 + 4)
    for _ in range(integer(2)):
        take(4), octets()
    for _ in range(integer(2)):
        take(4 + 32 + 2 + 32 + 8 + 4)
    log, validators = None, {}
    for _ in range(integer(2)):
        number, _name, roles, power = integer(2), octets(), integer(1), integer(8)
        keys = [take(32) for _ in range(8)]
        octets()
        if integer(1):
            log = take(32)
            take(3 * 32)
        if roles & 1:
            validators[f"{origin}/{number}"] = (keys[2], power)
    hold(at == len(data) and log and validators, "the genesis document has bytes left over, or names no log or validator")
    return origin, log, validators


# ---------------------------------------------------------------- notes, checked by openssl


def openssl_verifies(key, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        files = {name: pathlib.Path(folder) / name for name in ("key.der", "message", "signature")}
        # SubjectPublicKeyInfo of Ed25519 (RFC 8410).
        files["key.der"].write_bytes(bytes.fromhex("302a300506032b6570032100") + key)
        files["message"].write_bytes(message)
        files["signature"].write_bytes(signature)
        command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", files["key.der"]]
        command += ["-in", files["message"], "-sigfile", files["signature"]]
        return subprocess.run(command, capture_output=True).returncode == 0


def judge_note(note, origin, log, validators):
    """The checkpoint's size and root, if the log has signed it and a quorum has cosigned it."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    named, size, root = text.split("\n")[:3]
    hold(named == origin and text.count("\n") == 3, "the checkpoint is of another origin, or has extension lines")
    power, by_log = 0, 0
    for line in lines.rstrip("\n").split("\n"):
        dash, name, encoded = line.split(" ")
        hold(dash == "—", "a signature line begins with an em dash")
        raw = base64.b64decode(encoded, validate=True)
        identifier, signature = raw[:4], raw[4:]
        if name == origin:
            hold(identifier == sha256(f"{name}\n".encode(), b"\1", log)[:4], "the log's key id")
            hold(openssl_verifies(log, text.encode(), signature), "openssl refuses the log's signature")
            hold(not openssl_verifies(log, text.encode() + b"x", signature), "openssl accepts anything")
            by_log += 1
        else:
            key, weight = validators[name]
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            hold(identifier == sha256(f"{name}\n".encode(), b"\4", key)[:4], f"{name}'s key id")
            message = f"cosignature/v1\ntime {time}\n{text}".encode()
            hold(openssl_verifies(key, message, signature), f"openssl refuses the cosignature of {name}")
            power += weight
    hold(by_log == 1, "the log has signed once")
    hold(3 * power > 2 * sum(weight for _, weight in validators.values()), "less than a quorum has cosigned")
    return int(size), base64.b64decode(root, validate=True)


# ---------------------------------------------------------------- tiles


def tile_index(number):
    groups = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        groups.append(f"x{number % 1000:03}")
    return "/".join(reversed(groups))


def tile_paths(count):
    """Of so many hashes or entries: (path of the tile, width)."""
    for number in range(count // TILE):
        yield tile_index(number), TILE
    if count % TILE:
        yield f"{tile_index(count // TILE)}.p/{count % TILE}", count % TILE


def immutable(headers, path):
    hold("immutable" in headers["cache-control"] and "max-age=" in headers["cache-control"], f"{path} can be cached for long")


def read_entries(size):
    entries = []
    for path, width in tile_paths(size):
        headers, bundle = get_ok(f"/log/tile/entries/{path}", "application/octet-stream")
        immutable(headers, path)
        before, at = len(entries), 0
        while at < len(bundle):
            length = int.from_bytes(bundle[at : at + 2], "big")
            entries.append(bundle[at + 2 : at + 2 + length])
            at += 2 + length
        hold(at == len(bundle) and len(entries) - before == width, f"the entry bundle {path} has {width} entries")
    return entries


def check_tiles(leaves):
    """Every tile of every level is what the leaves say."""
    level, hashes, tiles = 0, leaves, 0
    while hashes:
        got = b""
        for path, width in tile_paths(len(hashes)):
            headers, tile = get_ok(f"/log/tile/{level}/{path}", "application/octet-stream")
            immutable(headers, path)
            hold(len(tile) == 32 * width, f"the tile {level}/{path} holds {width} hashes")
            got += tile
            tiles += 1
        hold(got == b"".join(hashes), f"the tiles of level {level} are not those of the entries")
        hashes = [root_of(hashes[at : at + TILE]) for at in range(0, len(hashes) - TILE + 1, TILE)]
        level += 1
    return tiles


# ---------------------------------------------------------------- the run


def main():
    origin, log, validators = read_genesis(GENESIS.read_bytes())
    headers, note = get_ok("/log/checkpoint", "text/plain; charset=utf-8")
    hold("immutable" not in headers["cache-control"], "a checkpoint is cached for seconds")
    size, root = judge_note(note.decode(), origin, log, validators)

    entries = read_entries(size)
    leaves = [leaf_hash(entry) for entry in entries]
    hold(root_of(leaves) == root, "the entries lead to another root than the signed one")
    tiles = check_tiles(leaves)

    # A partial tile of an earlier size goes on being served; what lies behind the checkpoint is not, and is not cached.
    hold(get("/log/tile/0/000.p/7")[2] == b"".join(leaves[:7]), "a partial tile of an earlier size")
    far = f"/log/tile/0/{tile_index(size // TILE + 4)}"
    status, headers, body = get(far)
    hold(status == 404 and json.loads(body)["code"] == "not_found", f"{far} answers {status}")
    hold(headers["cache-control"] == "no-store", "a tile that is not there yet must not be cached as missing")
    for bad in ["0/0", "00/000", "64/000", "0/x000/000", "0/000.p/256", "0/000.p/0", "entries/1", "0/..%2f000", "0/000/", "x"]:
        status, headers, body = get(f"/log/tile/{bad}")
        hold(status == 400 and headers["content-type"] == "application/problem+json", f"{bad} answers {status}")
        hold(json.loads(body)["code"] == "bad_tile_path", f"{bad}: {body}")

    # A proof file, offline but for the fetching of it.
    _, file = get_ok(f"/v1/coins/{COIN}/log-proof", "text/plain; charset=utf-8")
    head, _, proof_note = file.decode().partition("\n\n")
    version, extra, index, *path = head.split("\n")
    hold(version == "c2sp.org/tlog-proof@v1" and extra.startswith("extra ") and index.startswith("index "), "the file's head")
    leaf, index = base64.b64decode(extra[6:], validate=True), int(index[6:])
    hold(leaf[0] == 1 and leaf[1:33] == COIN_HASH and len(leaf) == 96, "the file's leaf is a record of the coin")
    proof_size, proof_root = judge_note(proof_note, origin, log, validators)
    path = [base64.b64decode(line, validate=True) for line in path]
    hold(path_leads_to(leaf_hash(leaf), index, proof_size, path) == proof_root, "the proof file does not hold")
    if proof_size == size:
        hold(entries[index] == leaf, "the proof file's index is not that of the entry")

    # Checkpoints that were complete before, each a prefix of the newest.
    seen = [c for c in get_json("/v1/checkpoints?limit=100") if c["size"] <= size]
    hold(seen and all(c["signers"] * 3 > 2 * len(validators) for c in seen), "every checkpoint has a quorum")
    hold([c["size"] for c in seen] == sorted({c["size"] for c in seen}, reverse=True), "checkpoints come newest first")
    for checkpoint in seen:
        earlier, earlier_root = checkpoint["size"], bytes.fromhex(checkpoint["root"])
        hold(root_of(leaves[:earlier]) == earlier_root, f"the checkpoint of size {earlier} is of another log")
        document = get_json(f"/v1/consistency?from={earlier}&to={size}")
        path = [bytes.fromhex(line) for line in document["path"]]
        holds = not path if earlier == size else consistent(earlier, earlier_root, size, root, path)
        hold(holds, f"consistency from {earlier} to {size} is not shown")
    page = get_json(f"/v1/checkpoints?before={seen[0]['size']}&limit=1")
    hold([c["size"] for c in page] == [c["size"] for c in seen[1:2]], "the second page of checkpoints")
    hold(get(f"/v1/consistency?from={size}&to=1")[0] == 400, "sizes in the wrong order")
    hold(get(f"/v1/consistency?from=1&to={size + 10**6}")[0] == 404, "a size that no checkpoint covers")

    # States: the log's own state leaves, page by page.
    expected, before = [], 0
    for at, entry in enumerate(entries, 1):
        if entry[0] == 7:
            records = sum(leaf[0] == 1 for leaf in entries[before:at])
            expected.append((at, int.from_bytes(entry[1:9], "little"), entry[25:57].hex(), records))
            before = at
    states, cursor = [], size
    while page := get_json(f"/v1/states?before={cursor}&limit=2"):
        states += page
        cursor = page[-1]["log_size"]
    newest = [state for state in get_json("/v1/states?limit=100") if state["log_size"] == size]
    found = [(s["log_size"], s["batch"], s["map_root"], s["records"]) for s in newest + states]
    hold(found == expected[::-1], f"states {found} are not the log's {expected[::-1]}")
    hold(get("/v1/states?before=2")[0] == 400, "a size that ends on no state leaf")
    hold(get("/v1/states?limit=0")[0] == 400 and get("/v1/states?limit=101")[0] == 400, "a page has 1 to 100 states")

    print(f"{size} entries, {tiles} tiles, {len(seen)} checkpoints, {len(expected)} states hold")


if __name__ == "__main__":
    main()
