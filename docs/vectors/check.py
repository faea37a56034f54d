#!/usr/bin/env python3
"""Reads the pinned vectors by the layouts of docs/protocol.md, with nothing but Python's standard library: a second
implementation, small enough to be read beside the document. Run it from anywhere; it says what it checked, and fails on
the first difference. Not checked: `wrapped-key`, which is HPKE as in RFC 9180."""

import base64
import hashlib
import pathlib
import zlib

from primitives import blake3, ed25519, kdf, mac, public, unseal, x25519_public

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "crates/core/tests/vectors"
checked = 0


def check(what, found, expected):
    global checked
    checked += 1
    if found != expected:
        raise SystemExit(f"{what}: found {found!r}, expected {expected!r}")


def rows(name):
    return [line.split(" ") for line in (VECTORS / name).read_text().splitlines()]


class Reader:
    """Section 1."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, count):
        if self.at + count > len(self.data):
            raise ValueError("the bytes end inside a field")
        self.at += count
        return self.data[self.at - count:self.at]

    def uint(self, count):
        return int.from_bytes(self.raw(count), "big")

    def u8(self):
        return self.uint(1)

    def u16(self):
        return self.uint(2)

    def u32(self):
        return self.uint(4)

    def u64(self):
        return self.uint(8)

    def bool(self):
        value = self.u8()
        if value > 1:
            raise ValueError("neither 0 nor 1")
        return bool(value)

    def bytes(self):
        return self.raw(self.u32())

    def text(self):
        return self.bytes().decode()

    def rest(self):
        return self.raw(len(self.data) - self.at)

    def list(self, item):
        return [item() for _ in range(self.u16())]

    def end(self):
        if self.at != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes follow the end")


def signed(label, message):
    """Section 3."""
    return b"farshore v1 " + label.encode() + b"\0" + message


def base58check(data):
    """Section 2."""
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def ascending(items, key=lambda item: item):
    return all(key(a) < key(b) for a, b in zip(items, items[1:]))


def entry(data):
    """Section 9: the fields, and where the sealed-over part and the header end."""
    r = Reader(data)
    e = dict(version=r.u8(), suite=r.u8(), flags=r.u16(), space=r.raw(32), collection=r.raw(16), device=r.raw(32))
    e |= dict(incarnation=r.raw(16), seq=r.u64(), prev=r.raw(32), first=r.u64(), count=r.u16(), epoch=r.raw(32), time=r.u64())
    e["heads"] = r.list(lambda: r.raw(32))
    e["deps"] = r.list(lambda: (r.raw(32), r.raw(16), r.u64(), r.raw(32)))
    e["extension"] = r.raw(r.u16())
    e["bound"] = data[:r.at]
    length, e["sealed hash"] = r.u32(), r.raw(32)
    e["header"] = data[:r.at]
    e["signature"], e["sealed"] = r.raw(64), r.raw(length)
    r.end()
    return e


def payload(data):
    """Section 10: a list of (document, generation, kind, what)."""
    r = Reader(data)
    length, codec, block = r.u32(), r.u8(), r.rest()
    plain = {0: lambda: block, 1: lambda: zlib.decompress(block, -15)}[codec]()
    check("declared length of a payload", length, len(plain))
    r = Reader(plain)

    def item():
        document, generation, kind, body = r.raw(16), r.u32(), r.u8(), Reader(r.bytes())
        change = lambda: (body.raw(16), body.bytes()) if body.u8() else (None, body.bytes())
        what = body.list({1: change, 2: lambda: body.raw(32)}[kind])
        body.end()
        return document, generation, kind, what

    items = r.list(item)
    r.end()
    return items


def leb128(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def restore(compact, actor, previous):
    """Section 11: the hash and the chunk."""
    if compact[0] == 1:
        deps, rest = b"\1" + previous, compact[1:]
    else:
        end = 2 + 32 * compact[1]  # fewer than 128 dependencies here
        deps, rest = compact[1:end], compact[end:]
    body = deps + leb128(16) + actor + rest
    hashed = b"\1" + leb128(len(body)) + body
    digest = hashlib.sha256(hashed).digest()
    return digest, bytes.fromhex("856f4a83") + digest[:4] + hashed


def frame(data):
    """Section 15: the type and the fields."""
    r = Reader(data)
    journal = lambda: (r.raw(16), r.raw(32), r.raw(16))
    handle, ticket = lambda: r.raw(8), lambda: r.raw(16)
    layouts = {
        0x01: lambda: (r.raw(4), r.u16(), r.u16(), r.u64(), r.raw(32), r.raw(16), r.raw(32)),
        0x02: lambda: (r.raw(64),),
        0x03: lambda: (r.list(lambda: r.raw(16)),),
        0x04: lambda: (r.text(),),
        0x05: lambda: (r.u8(), r.u32()),
        0x10: lambda: (handle(), r.bool(), r.u8(), r.raw(32), r.raw(32), r.bool(), r.u64(), r.raw(16), r.u64()),
        0x11: lambda: (handle(), r.bool(), r.list(lambda: (r.raw(32), r.u64(), r.raw(32)))),
        0x12: lambda: (handle(), r.bytes()),
        0x13: lambda: (handle(),),
        0x14: lambda: (handle(), r.bool(), r.bool(), r.u64(), r.list(lambda: (journal(), r.u64(), r.raw(32), branch()))),
        0x15: lambda: (handle(), r.bool(), r.list(lambda: (journal(), r.u64(), r.u64(), of()))),
        0x16: lambda: (handle(), r.list(lambda: (journal(), r.u64()))),
        0x17: lambda: (handle(), r.list(lambda: (r.raw(32), r.bytes(), r.list(r.text)))),
        0x18: lambda: (handle(), r.bool(), r.list(lambda: (r.u64(), r.u8(), digests()))),
        0x19: lambda: (handle(), r.u8(), r.bool(), r.u8(), r.list(lambda: (r.raw(16), r.u8()))),
        0x20: lambda: (ticket(), r.bytes(), r.raw(32)),
        0x21: lambda: (ticket(), r.raw(32), r.raw(32)),
        0x22: lambda: (ticket(), r.text()),
        0x23: lambda: (ticket(), r.bool(), r.bytes()),
        0x30: lambda: (handle(), r.rest()),
        0x31: lambda: (handle(), r.raw(32), r.u32(), r.u32(), r.rest()),
        0x32: lambda: (handle(), r.raw(4), r.rest()),
        0x42: lambda: (handle(), r.bytes(), r.list(lambda: (r.raw(32), r.raw(64)))),
        0x44: lambda: (handle(), r.raw(32), r.u32(), r.u32(), r.u32()),
        0x45: lambda: (handle(), r.raw(32), r.u32(), r.u32(), r.u32(), r.rest()),
        0x46: lambda: (handle(), r.raw(16), r.raw(32), r.raw(32), r.raw(64)),
    }
    branch = lambda: {0: lambda: None, 1: lambda: (r.raw(32), r.u64()), 2: lambda: ("floor", r.u64())}[r.u8()]()
    of = lambda: {0: lambda: None, 1: lambda: ("branch", r.raw(32)), 2: lambda: ("entry", r.raw(32)),
                  3: lambda: ("rest", r.raw(32), r.u32())}[r.u8()]()
    digests = lambda: {0: lambda: None, 1: lambda: [r.raw(16) for _ in range(16)]}[r.u8()]()
    kind = r.u8()
    fields = layouts[kind]()
    r.end()
    return kind, fields


def check_entries(v):
    epoch = bytes([3]) * 32
    tags = kdf("farshore v1 tag key", epoch)
    check("collection tag", mac(tags, b"collection" + b"todos")[:16], v["collection-tag"])
    check("document id", mac(tags, b"document\0\0" + v["collection-tag"] + b"milk")[:16], v["document"])
    number = lambda value: value.to_bytes(4, "big")
    derived = b"farshore actor" + v["space"] + v["collection-tag"] + v["device"] + v["document"] + number(1) + v["incarnation"]
    check("derived actor", blake3(derived)[:16], v["derived-actor"])
    genesis = b"farshore genesis" + v["document"] + number(1) + number(1) + number(5) + b"notes" + b"\3"
    check("genesis actor", blake3(genesis)[:16], v["genesis-actor"])

    e = entry(v["entry"])
    fill = lambda byte, count: bytes([byte]) * count
    expected = dict(version=1, suite=1, flags=0, extension=b"", space=v["space"], collection=v["collection-tag"], device=v["device"])
    expected |= dict(incarnation=v["incarnation"], seq=3, prev=fill(0x13, 32), first=2, count=4)
    expected |= dict(epoch=kdf("farshore v1 epoch id", epoch), time=1_800_000_000_000 << 16 | 7)
    expected |= dict(heads=[fill(0x14, 32), fill(0x15, 32)], deps=[(fill(0x16, 32), fill(0x17, 16), 9, fill(0x18, 32))])
    expected |= {"bound": v["entry-bound"], "sealed": v["sealed-payload"], "sealed hash": blake3(v["sealed-payload"])}
    for name, value in expected.items():
        check(f"entry: {name}", e[name], value)
    check("offset of the signature", len(e["header"]), 232 + 32 * len(e["heads"]) + 88 * len(e["deps"]))
    check("entry: order of heads", ascending(e["heads"]), True)
    check("entry: hash", kdf("farshore 2026 entry hash v1", e["header"]), v["entry-hash"])
    check("entry: signature", ed25519(e["device"], signed("farshore entry v1", e["header"]), e["signature"]), True)

    # Section 19: what every version keeps.
    newer = entry(v["entry-newer"])
    changed = {"version": 2, "flags": 1, "extension": bytes([0xA1, 0xA2, 0xA3])}
    for name in ("version", "suite", "flags", "space", "device", "seq", "prev", "heads", "deps", "extension", "sealed"):
        check(f"newer entry: {name}", newer[name], changed.get(name, e[name]))
    check("newer entry: hash", kdf("farshore 2026 entry hash v1", newer["header"]), v["entry-newer-hash"])
    check("newer entry: signature", ed25519(e["device"], signed("farshore entry v1", newer["header"]), newer["signature"]), True)

    root = kdf("farshore v1 collection content", epoch + v["collection-tag"])
    nonce, sealed = e["sealed"][:24], e["sealed"][24:]
    plain = unseal(kdf("farshore v1 seal cipher", root), nonce, sealed, e["bound"])
    check("entry: payload", plain, v["payload-plain"])
    made = mac(kdf("farshore v1 seal nonce", root), len(e["bound"]).to_bytes(8, "big") + e["bound"] + plain)
    check("entry: nonce", made[:24], nonce)

    changes = [(v["genesis-actor"], v["compact-genesis-change"]), (None, v["compact-own-change"])]
    check("payload", payload(v["payload-plain"]), [(v["document"], 1, 1, changes)])
    heads = [fill(1, 32), fill(2, 32), fill(3, 32)]
    check("deflated payload", payload(v["payload-deflated"]), [(fill(0x21, 16), 5, 2, heads)])
    first, chunk = restore(v["compact-genesis-change"], v["genesis-actor"], None)
    check("genesis change", chunk, v["genesis-change"])
    check("own change", restore(v["compact-own-change"], v["derived-actor"], first)[1], v["own-change"])


def place(r):
    return r.raw(32), r.raw(16), r.u64(), r.raw(32)


def statement(r):
    """Section 24."""
    start = r.at
    s = dict(version=r.u8(), suite=r.u8(), space=r.raw(32), collection=r.raw(16), heads=r.list(lambda: r.raw(32)))
    s |= dict(journals=r.u32(), frontier=r.raw(32), lives=r.u64(), root=r.raw(32))
    s["bytes"] = r.data[start:r.at]
    return s


def packed(data):
    """The block of section 10: length, codec, what it holds."""
    r = Reader(data)
    length, codec, block = r.u32(), r.u8(), r.rest()
    plain = {0: lambda: block, 1: lambda: zlib.decompress(block, -15)}[codec]()
    check("declared length", length, len(plain))
    return plain


def change_deps_and_seq(chunk):
    """Of a change chunk as `restore` makes it: its dependencies (fewer than 128)."""
    at = 9
    while chunk[at] > 127:
        at += 1
    count = chunk[at + 1]
    return [chunk[at + 2 + 32 * n:at + 34 + 32 * n] for n in range(count)]


def segments(data, space, journals):
    """Section 24: the leaves of a chunk whose lives all end in it. `journals` are (id, last seq)."""
    r = Reader(data)
    check("chunk version", r.u8(), 1)
    leaves = []
    for _ in range(r.u32()):
        document, generation, flags = r.raw(16), r.u32(), r.u8()
        count = r.u32()
        column = lambda read: [read() for _ in range(count)]
        whole = lambda deltas: [sum(deltas[:n + 1]) % 2**64 for n in range(count)]
        of, genesis, seqs, items = column(r.u16), column(r.bool), whole(column(r.u64)), column(r.u16)
        indexes, counts, times = column(r.u16), column(r.u16), whole(column(r.u64))
        check("indexes", all(index < 8192 for index in indexes), True)
        check("items and times", (all(item < 1024 for item in items), all(time > 0 for time in times)), (True, True))
        heads, previous = {}, None
        for run in range(count):
            journal = journals[of[run]]
            check("seq within the frontier", seqs[run] <= journal[1], True)
            collection, device, incarnation = journal[0][:16], journal[0][16:48], journal[0][48:]
            number = generation.to_bytes(4, "big")
            derived = blake3(b"farshore actor" + space + collection + device + document + number + incarnation)[:16]
            for _ in range(counts[run]):
                actor = r.raw(16) if genesis[run] else derived
                previous, chunk = restore(r.bytes(), actor, previous)
                for dep in change_deps_and_seq(chunk):
                    heads.pop(dep, None)
                heads[previous] = device + incarnation + seqs[run].to_bytes(8, "big")
        count_of = lambda items: len(items).to_bytes(2, "big")
        hashes = r.list(lambda: r.raw(32))
        leaf = document + generation.to_bytes(4, "big") + count_of(heads)
        leaf += b"".join(head + heads[head] + hash for head, hash in zip(sorted(heads), hashes, strict=True))
        leaf += bytes([flags == 3])
        if flags == 3:
            seen = r.list(lambda: r.raw(32))
            spots = r.list(lambda: (journals[r.u16()][0][16:], r.raw(8), r.raw(32)))
            leaf += count_of(seen) + b"".join(seen) + count_of(spots) + b"".join(sorted(map(b"".join, spots)))
        leaves.append(kdf("farshore 2026 checkpoint leaf v1", leaf))
    r.end()
    return leaves


def check_checkpoint(v):
    """Section 24."""
    key = bytes([3]) * 32
    content = kdf("farshore v1 collection content", key + v["collection-tag"])
    last = entry(v["entry-2"])
    journal = v["collection-tag"] + v["device"] + last["incarnation"]
    position = journal + (2).to_bytes(8, "big") + kdf("farshore 2026 entry hash v1", last["header"])
    s = statement(Reader(v["statement"]))
    check("statement", s["bytes"], v["statement"])
    expected = dict(version=1, suite=1, space=v["space"], collection=v["collection-tag"], heads=[bytes([0x14]) * 32])
    expected |= dict(journals=1, frontier=kdf("farshore 2026 checkpoint frontier v1", position), lives=2, root=v["state-root"])
    for name, value in expected.items():
        check(f"statement: {name}", s[name], value)
    check("statement: hash", kdf("farshore 2026 checkpoint statement v1", v["statement"]), v["statement-hash"])
    word = signed("checkpoint statement", v["statement"])
    check("attestation", ed25519(v["device"], word, v["attestation"]), True)

    bound = b"farshore v1 checkpoint chunk" + v["statement-hash"] + bytes(4)
    check("chunk", opened(content, v["chunk"], bound), v["chunk-plain"])
    leaves = segments(packed(v["chunk-plain"]), v["space"], [(journal, 2)])
    top = kdf("farshore 2026 checkpoint node v1", leaves[0] + leaves[1])
    state = v["space"] + v["collection-tag"] + len(leaves).to_bytes(8, "big") + top
    check("state root", kdf("farshore 2026 checkpoint state v1", state), v["state-root"])

    r = Reader(v["manifest"])
    check("manifest: version", (r.u8(), r.u8(), r.u16()), (1, 1, 0))
    check("manifest: statement", statement(r)["bytes"], v["statement"])
    fields = (r.raw(32), r.raw(32), r.u64(), r.u64(), r.u32(), r.u64())
    sizes = len(v["entry-1"]) + len(v["entry-2"])
    epoch = kdf("farshore v1 epoch id", key)
    check("manifest: head", fields, (v["device"], epoch, (1_800_000_000_000 << 16) + 9, sizes, 1, len(v["chunk"])))
    bound = v["manifest"][:r.at]
    length, sealed_hash = r.u32(), r.raw(32)
    head = v["manifest"][:r.at]
    check("checkpoint id", kdf("farshore 2026 checkpoint manifest v1", head), v["checkpoint-id"])
    check("manifest: signature", ed25519(v["device"], signed("checkpoint manifest", head), r.raw(64)), True)
    sealed = r.raw(length)
    r.end()
    check("manifest: ciphertext", blake3(sealed), sealed_hash)
    r = Reader(packed(opened(content, sealed, bound)))
    closings = [r.bytes() for _ in range(r.u32())]
    chunks = [(r.raw(32), r.u32()) for _ in range(r.u32())]
    r.end()
    check("manifest: closings", closings, [last["header"] + last["signature"]])
    check("manifest: chunks", chunks, [(blake3(v["chunk"]), len(v["chunk"]))])


def check_frames(v, frames):
    kinds = set()
    for name, stream, data in frames:
        kind, fields = frame(data)
        kinds.add(kind)
        entries = dict.fromkeys((0x30, 0x31, 0x32), ["live", "bulk"])
        streams = {0x12: ["live"], 0x13: ["live"], 0x23: ["live"], 0x45: ["bulk"]} | entries
        check(f"stream of {name}", stream in streams.get(kind, ["ctl"]), True)
        if kind not in (0x30, 0x31, 0x32, 0x45):  # these end in bytes without a length
            for end in range(1, len(data)):
                try:
                    frame(data[:end])
                except (ValueError, UnicodeDecodeError):
                    continue
                raise SystemExit(f"{name} cut at {end} is read")
    check("kinds of frames", len(kinds), 26)
    f = {name: frame(data)[1] for name, _, data in frames}
    fill = lambda byte, count: bytes([byte]) * count
    handle, journal, ticket = fill(0x31, 8), (v["collection-tag"], v["device"], v["incarnation"]), fill(0x51, 16)
    hello = (b"FSHR", 1, 2, 0x0102030405060708, fill(0x41, 32), fill(0x42, 16), v["device"])
    hint = (v["device"], fill(0x77, 38), ["/ip4/192.168.1.7/tcp/4001", "/ip6/::1/udp/4001/quic-v1"])
    expected = {
        "hello": hello,
        "spaces": ([fill(0x61, 16), fill(0x62, 16)],),
        "goodbye": ("à bientôt",),
        "credit-live": (1, 1_000),
        "credit-bulk": (2, 65_537),
        "welcome": (ticket, v["space"], fill(0x53, 32)),
        "refuse": (ticket, "it expired"),
        "grant": (ticket, True, fill(0x54, 5)),
        "state": (handle, True, 5, fill(0x71, 32), fill(0x72, 32), True, 1_000, fill(0x73, 16), 999),
        "scope": (handle, 6, True, 0, [(fill(0x7D, 16), 1), (fill(0x7E, 16), 3)]),
        "scope-rest": (handle, 7, False, 2, []),
        "tree": (handle, True, [
            (0, 0, [fill(0x7A, 16) if child == 3 else bytes(16) for child in range(16)]),
            (0x3F << 56, 2, None),
        ]),
        "roster-have": (handle, True, [(fill(0x74, 32), 4, fill(0x75, 32))]),
        "roster-op": (handle, fill(0x78, 5)),
        "roster-end": (handle,),
        "frontier": (handle, True, False, 1_000, [(journal, 3, fill(0x76, 32), None)]),
        "frontier-branch": (handle, True, False, 1_000, [(journal, 3, fill(0x76, 32), b) for b in (None, (fill(0x79, 32), 1))]),
        "frontier-floor": (handle, True, False, 1_000, [(journal, 3, fill(0x76, 32), ("floor", 2))]),
        "checkpoint": (handle, fill(0x83, 5), [(v["device"], fill(0x82, 64))]),
        "fetch": (handle, fill(0x81, 32), 2, 65_000, 7),
        "checkpoint-piece": (handle, fill(0x81, 32), 2, 70_000, 65_000, fill(0x84, 50)),
        "attest": (handle, v["collection-tag"], fill(0x85, 32), v["device"], fill(0x82, 64)),
        "want-branch": (handle, False, [(journal, 4, 1_000_000, ("branch", fill(0x79, 32)))]),
        "want-entry": (handle, False, [(journal, 4, 4, ("entry", fill(0x7a, 32)))]),
        "want-rest": (handle, False, [(journal, 4, 1_000_000, ("rest", fill(0x7B, 32), 65_000))]),
        "want": (handle, False, [(journal, 4, 1_000_000, None)]),
        "want-nothing": (handle, False, []),
        "receipt": (handle, [(journal, 3)]),
        "peers": (handle, [hint]),
        "part-first": (handle, fill(0x7C, 32), len(v["entry"]), 0, v["entry"][:100]),
        "part-last": (handle, fill(0x7C, 32), len(v["entry"]), 100, v["entry"][100:]),
        "entry": (handle, v["entry"]),
        "next": (handle, fill(0x7F, 4), v["entry"][:4] + v["entry"][140:]),
    }
    for name, fields in expected.items():
        check(f"frame {name}", f[name], fields)
    lengthy = lambda data: len(data).to_bytes(4, "big") + data
    message = lengthy(fill(0x46, 38)) + lengthy(fill(0x47, 38)) + hello[4] + fill(0x43, 32) + v["device"] + fill(0x45, 32)
    check("auth message", message, v["auth-message"])
    check("auth signature", ed25519(v["device"], signed("farshore hello v1", message), f["auth"][0]), True)
    check("join", (f["join"][0], f["join"][2]), (ticket, fill(0x52, 32)))
    check_certificate(f["join"][1], v["device"])


def tree_digest(journals, depth=0):
    """Section 17, frontier digest: of (path, journal, seq, hash)."""
    if not journals:
        return bytes(32)
    if len(journals) <= 16 or depth == 16:
        held = b"".join(journal + seq.to_bytes(8, "big") + hash for _, journal, seq, hash in sorted(journals))
        return kdf("farshore 2026 frontier bucket v1", held)
    below = [[j for j in journals if j[0] >> (60 - 4 * depth) & 15 == nibble] for nibble in range(16)]
    return kdf("farshore 2026 frontier branch v1", b"".join(tree_digest(part, depth + 1) for part in below))


def check_trees():
    for count, digest in ((int(count), bytes.fromhex(digest)) for count, digest in rows("tree.txt")):
        journals = []
        for index in range(count):
            journal = bytes([7]) * 16 + index.to_bytes(4, "big") + bytes(28) + bytes([9]) * 16
            path = int.from_bytes(blake3(journal)[:8], "big")
            journals.append((path, journal, index % 7 + 1, bytes([index % 256]) * 32))
        check(f"tree of {count} journals", tree_digest(journals), digest)


def check_certificate(data, device):
    """Section 5."""
    r = Reader(data)
    version, user, of, _, name = r.u8(), r.raw(32), r.raw(32), r.raw(32), r.text()
    fields = data[:r.at]
    possession = r.raw(64)
    check("certificate", (version, of, name), (1, device, "Ada's phone"))
    check("certificate: device", ed25519(of, signed("device possession", fields), possession), True)
    check("certificate: user", ed25519(user, signed("device certificate", fields + possession), r.raw(64)), True)
    r.end()


OP_BODIES = {
    1: lambda r: (r.raw(32), r.bytes()),
    2: lambda r: (r.raw(32), r.u8()),
    3: lambda r: (r.bytes(),),
    4: lambda r: (r.raw(32), r.u8(), retain(r)),
    5: lambda r: (r.raw(32), retain(r)),
    6: lambda r: (r.raw(32), retain(r)),
    7: lambda r: (r.raw(32), r.list(lambda: (r.raw(32), r.raw(72))), r.list(lambda: (r.raw(32), r.raw(80)))),
    8: lambda r: (r.raw(32), r.raw(32), r.raw(80)),
    9: lambda r: (r.raw(16), r.raw(32), r.bytes()),
    10: lambda r: (r.raw(32), r.bytes()),
} | {kind: lambda r: (r.rest(),) for kind in range(11, 16)}


def retain(r):
    return r.list(lambda: (r.raw(16), r.raw(32), r.raw(16), r.u64(), r.raw(32)))


def operation(data):
    """Section 6."""
    r = Reader(data)
    o = dict(version=r.u8(), suite=r.u8(), space=r.raw(32), parents=r.list(lambda: r.raw(32)), author=r.raw(32))
    o |= dict(seq=r.u64(), prev=r.raw(32), claimed=r.u64(), kind=r.u8())
    body = Reader(r.bytes())
    o["body"] = OP_BODIES[o["kind"]](body)
    body.end()
    signed_part = data[:r.at]
    o["hash"] = kdf("farshore v1 roster operation", signed_part)
    check("operation: signature", ed25519(o["author"], signed("roster operation", signed_part), r.raw(64)), True)
    r.end()
    check("operation: version", (o["version"], o["suite"], ascending(o["parents"])), (1, 1, True))
    return o


def opened(root, data, aad):
    """Section 4: what was sealed, its nonce checked as well."""
    plain = unseal(kdf("farshore v1 seal cipher", root), data[:24], data[24:], aad)
    check("sealed bytes open", plain is not None, True)
    nonce = mac(kdf("farshore v1 seal nonce", root), len(aad).to_bytes(8, "big") + aad + plain)[:24]
    check("nonce of sealed bytes", nonce, data[:24])
    return plain


def check_keys(v):
    fill = lambda byte, count: bytes([byte]) * count
    entropy = kdf("farshore v1 entropy", fill(1, 32) + b"user")
    check("entropy", mac(entropy, b""), v["entropy"][:32])
    check("user key", v["user-secret"], b"\1" + v["entropy"][:32])
    check("user id", public(v["user-secret"][1:]), v["user-id"])
    check("device id", public(v["device-secret"][1:33]), v["device-id"])
    check("device X25519 key", x25519_public(v["device-secret"][33:]), v["device-kem"])
    check("device X25519 key in the certificate", v["certificate"][65:97], v["device-kem"])
    epoch = fill(3, 32)
    tags = kdf("farshore v1 tag key", epoch)
    check("collection tag", mac(tags, b"collectiontodos")[:16], v["collection-tag"])
    check("document id", mac(tags, b"document\0\0" + v["collection-tag"] + b"milk")[:16], v["document-id"])
    check("epoch id", kdf("farshore v1 epoch id", epoch), v["epoch-id"])
    nonces = fill(4, 32) + fill(5, 32)
    check("discovery tag", mac(kdf("farshore v1 discovery", epoch), nonces)[:16], v["discovery-tag"])
    relay = mac(kdf("farshore v1 relay discovery", fill(6, 32)), nonces)[:16]
    check("discovery tag for relays", relay, v["relay-discovery-tag"])
    content = kdf("farshore v1 collection content", epoch + v["collection-tag"])
    check("sealed content", opened(content, v["sealed-content"], b"header"), b"milk")
    roster = kdf("farshore v1 roster content", epoch)
    check("sealed roster content", opened(roster, v["sealed-roster-content"], b"header"), b"milk")
    parent, root = fill(7, 32), kdf("farshore v1 parent epoch", epoch)
    check("parent key", opened(root, v["sealed-parent-key"], kdf("farshore v1 epoch id", parent)), parent)
    check("signature", ed25519(v["device-id"], signed("label", b"message"), v["signature"]), True)
    check_certificate(v["certificate"], v["device-id"])


def check_operations(v):
    ops = {name: operation(data) for name, data in v.items() if name.startswith("op-") and name != "op-add-user-hash"}
    check("kinds of operations", {o["kind"] for o in ops.values()}, set(range(1, 16)))
    genesis, epoch, name = ops["op-genesis"], ops["op-first-epoch"], ops["op-space-name"]
    check("space id", genesis["hash"], v["space-id"])
    check("genesis", (genesis["space"], genesis["parents"], genesis["seq"], genesis["prev"]), (bytes(32), [], 1, bytes(32)))
    check("genesis: creator", genesis["body"][1], v["certificate"])
    check("first epoch", (epoch["parents"], epoch["seq"], epoch["prev"]), ([genesis["hash"]], 2, genesis["hash"]))
    check("first epoch: parents", epoch["body"][1], [])
    check("name", (name["parents"], name["body"][0]), ([epoch["hash"]], epoch["body"][0]))
    check("roster digest", kdf("farshore v1 roster digest", name["hash"]), v["roster-digest"])
    check("hash of an operation", ops["op-add-user"]["hash"], v["op-add-user-hash"])
    check("fields of an operation", (ops["op-add-user"]["seq"], ops["op-add-user"]["claimed"]), (4, 0x0102030405060708))
    check("add user", ops["op-add-user"]["body"], (v["user-id"], 3))
    kept = [(bytes([1]) * 16, v["device-id"], bytes([2]) * 16, 5, bytes([3]) * 32)]
    check("retain", ops["op-revoke-device"]["body"], (v["device-id"], kept))
    check("reserved", ops["op-settle"]["body"], (b"\1\2\3",))

    r = Reader(v["definition"])
    fields = (r.u8(), r.text(), r.u8(), r.u8(), r.u32(), r.list(lambda: (r.list(r.text), r.u8())))
    r.end()
    check("definition", fields, (1, "todos", 2, 2, 7, [(["notes"], 1), (["notes", "free"], 3)]))


def check_ticket(text, v):
    """Section 18."""
    check("ticket: prefix", text[:9], "farshore1")
    data = base64.b32decode(text[9:].upper() + "=" * (-len(text[9:]) % 8))
    payload, checksum = data[:-4], data[-4:]
    check("ticket: checksum", kdf("farshore v1 ticket checksum", payload)[:4], checksum)
    fill = lambda byte, count: bytes([byte]) * count
    r = Reader(payload)
    fields = (r.u8(), r.u16(), r.raw(32), r.u8(), r.raw(32), r.u64(), r.raw(32), r.bytes(), r.list(r.text))
    r.end()
    addresses = ["/ip4/192.168.1.7/tcp/4001"]
    expected = (1, len(payload), fill(1, 32), 3, fill(2, 32), 1_800_000_000, fill(3, 32), fill(4, 38), addresses)
    check("ticket", fields, expected)
    secret = fields[4]
    check("ticket id", kdf("farshore v1 ticket id", secret)[:16], v["ticket-id"])
    lengthy = lambda data: len(data).to_bytes(4, "big") + data
    transcript = fill(1, 32) + lengthy(fill(4, 38)) + lengthy(fill(5, 38)) + fill(6, 32) + fill(7, 32)
    transcript += fill(8, 32) + fill(3, 32) + lengthy(v["certificate"])
    for side in ("join", "welcome"):
        check(f"{side} proof", mac(kdf(f"farshore v1 pairing {side}", secret), transcript), v[f"{side}-mac"])


def main():
    check("blake3 of nothing", blake3(b"").hex(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
    texts = {row[0]: row[1] for row in rows("entry.txt")}
    text = texts.pop("document-text")
    v = {name: bytes.fromhex(value) for name, value in texts.items()}
    check("text of a document id", base58check(v["document"]), text)
    check_entries(v)
    texts = {row[0]: row[1] for row in rows("roster.txt")}
    ticket = texts.pop("ticket")
    roster = {name: bytes.fromhex(value) for name, value in texts.items()}
    check_keys(roster)
    check_operations(roster)
    check_ticket(ticket, roster)
    check_frames(v, [(name, stream, bytes.fromhex(value)) for name, stream, value in rows("frames.txt")])
    check_trees()
    check_checkpoint({name: bytes.fromhex(value) for name, value in rows("checkpoint.txt")})
    print(f"{checked} checks: the vectors are as docs/protocol.md says")


if __name__ == "__main__":
    main()
