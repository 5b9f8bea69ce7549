"""A second writer and reader, from docs/vault.md alone: no code of the vault is used."""

from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from upcare_mpc.abe.kem import decapsulate, encapsulate
from upcare_mpc.abe.keys import AttributeKey, PublicKey
from upcare_mpc.abe.policy import parse


def measured(field: bytes) -> bytes:
    return len(field).to_bytes(4, "big") + field


def name(kind: str, content: bytes) -> str:
    return sha256(
        f"upcare/vault/v1/{kind}|".encode() + len(content).to_bytes(8) + content
    ).hexdigest()


def context(registry: str, epoch: str, sequence: int) -> bytes:
    fields = [registry.encode(), epoch.encode(), sequence.to_bytes(8)]
    return b"upcare/vault/v1/group|" + sha256(b"".join(map(measured, fields))).digest()


def row_bound(registry: str, epoch: str, sequence: int, policy: str, header: bytes) -> bytes:
    fields = [registry.encode(), epoch.encode(), sequence.to_bytes(8), policy.encode()]
    fields.append(sha256(header).digest())
    return b"upcare/vault/v1/row|" + sha256(b"".join(map(measured, fields))).digest()


def slot_bound(registry: str, identity: bytes, version: int) -> bytes:
    return b"upcare/vault/v1/slot|" + registry.encode() + b"|" + identity + version.to_bytes(4)


def write(
    public: PublicKey,
    policy: str,
    payload: bytes,
    *,
    registry: str,
    epoch: str,
    sequence: int,
    random: Any,
    copies: int = 1,
) -> tuple[dict[str, bytes], str]:
    """Objects of a group with one record, in slot 5 of the only block; and the group's name."""
    identity, key, version = random(16), random(32), 7
    slots = [random(1024) for _ in range(64)]
    slots[5] = AESGCM(key).encrypt(
        identity[:12], payload.ljust(1008, b"\0"), slot_bound(registry, identity, version)
    )
    block = b"UVB1" + b"".join(slots)
    shelf = b"UVL1" + bytes([10]) + bytes.fromhex(name("block", block))
    canonical = str(parse(policy))
    header, wrapping = encapsulate(
        public, parse(policy), context=context(registry, epoch, sequence), random=random
    )
    plain = [identity + (5).to_bytes(4) + version.to_bytes(4) + key] * copies
    plain += [bytes(56)] * (64 - copies)
    bound = row_bound(registry, epoch, sequence, canonical, header)
    rows = [AESGCM(wrapping).encrypt(i.to_bytes(12), row, bound) for i, row in enumerate(plain)]
    sheet = b"UVS1" + b"".join(rows)
    group = b"".join(
        [
            b"UVG1",
            measured(registry.encode()),
            measured(epoch.encode()),
            sequence.to_bytes(8),
            measured(canonical.encode()),
            measured(header),
            (64).to_bytes(4),
            bytes.fromhex(name("shelf", shelf)),
            bytes.fromhex(name("sheet", sheet)),
        ]
    )
    objects = {
        name(kind, content): content
        for kind, content in (
            ("block", block),
            ("shelf", shelf),
            ("sheet", sheet),
            ("group", group),
        )
    }
    return objects, name("group", group)


def read_head(head: bytes) -> tuple[bytes, bytes, dict[str, Any]]:
    """What is signed, the signature, and the fields of the edition."""
    assert head[:4] == b"UVH1"
    edition, rest = take(head[4:])
    signature, rest = take(rest)
    assert not rest
    assert edition[:4] == b"UVE1"
    registry, rest = take(edition[4:])
    day, rest = take(rest)
    sequence, rest = int.from_bytes(rest[:8]), rest[8:]
    shelf, count, rest = rest[:32].hex(), int.from_bytes(rest[32:34]), rest[34:]
    groups = {}
    for _ in range(count):
        policy, rest = take(rest)
        groups[policy.decode()] = (int.from_bytes(rest[:4]), rest[4:36].hex())
        rest = rest[36:]
    assert not rest
    fields = {
        "registry": registry.decode(),
        "day": day.decode(),
        "sequence": sequence,
        "shelf": shelf,
        "groups": groups,
    }
    return b"upcare/vault/v1/edition|" + edition, signature, fields


def read(
    public: PublicKey, key: AttributeKey, objects: dict[str, bytes], root: str
) -> list[tuple[bytes, bytes]]:
    """Ids and payloads of a group."""
    group = objects[root]
    assert name("group", group) == root
    assert group[:4] == b"UVG1"
    registry, rest = take(group[4:])
    epoch, rest = take(rest)
    sequence, rest = int.from_bytes(rest[:8]), rest[8:]
    policy, rest = take(rest)
    header, rest = take(rest)
    count, shelf_name, rest = int.from_bytes(rest[:4]), rest[4:36].hex(), rest[36:]
    sheets = [rest[at : at + 32].hex() for at in range(0, len(rest), 32)]
    shelf = objects[shelf_name]
    assert name("shelf", shelf) == shelf_name
    listed = [shelf[at : at + 33] for at in range(4, len(shelf), 33)]
    wrapping = decapsulate(
        public, key, header, context=context(registry.decode(), epoch.decode(), sequence)
    )
    bound = row_bound(registry.decode(), epoch.decode(), sequence, policy.decode(), header)
    found, number = [], 0
    for sheet_name in sheets:
        sheet = objects[sheet_name]
        assert name("sheet", sheet) == sheet_name
        for at in range(4, len(sheet), 72):
            row = AESGCM(wrapping).decrypt(number.to_bytes(12), sheet[at : at + 72], bound)
            number += 1
            if row == bytes(56):
                continue
            identity, slot, version = row[:16], int.from_bytes(row[16:20]), row[20:24]
            size, block_name = 2 ** listed[slot // 64][0], listed[slot // 64][1:].hex()
            block = objects[block_name]
            assert name("block", block) == block_name
            begin = 4 + slot % 64 * size
            padded = AESGCM(row[24:]).decrypt(
                identity[:12],
                block[begin : begin + size],
                slot_bound(registry.decode(), identity, int.from_bytes(version)),
            )
            found.append((identity, padded.rstrip(b"\0")))
    assert number == count
    return found


def take(content: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(content[:4])
    return content[4:end], content[end:]
