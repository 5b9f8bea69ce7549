"""The encodings are those of the vectors, made by this code and by the page's."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import by_the_page
import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from vault_world import payload

from upcare_mpc.errors import ProtocolError
from upcare_mpc.vault.edition import Edition, Group, Place, open_head, signed_bytes
from upcare_mpc.vault.encoding import name_of
from upcare_mpc.vault.opening import check_head
from upcare_mpc.vault.payload import tumours
from upcare_mpc.vault.receipts import check_receipt, token_of
from upcare_mpc.vault.sealing import ROW, open_rows, open_slot, seal_rows, seal_slot

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "vault.json").read_text())
PLACE = VECTORS["place"]
HEADER = bytes.fromhex(PLACE["header"])


def verify(said: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(VECTORS["public_key"])).verify(
            signature, said
        )
    except InvalidSignature:
        raise ProtocolError("not signed") from None


def test_payload() -> None:
    case = VECTORS["payload"]

    assert payload(*case["tumours"]).decode() == case["payload"]
    back = tumours([bytes(16)], [case["payload"].encode()]).to_pylist()
    known = [{k: v for k, v in row.items() if v is not None and k != "record"} for row in back]
    assert known == case["tumours"]


def test_slot() -> None:
    case = VECTORS["slot"]
    identity, key = bytes.fromhex(case["id"]), bytes.fromhex(case["key"])
    same = {"registry": "de-a", "identity": identity, "version": 2, "key": key}
    plain, sealed = VECTORS["payload"]["payload"].encode(), bytes.fromhex(case["sealed"])

    assert seal_slot(plain, size=9, **same) == sealed
    assert open_slot(sealed, **same) == plain
    bound = by_the_page.slot_bound("de-a", identity, 2)
    assert AESGCM(key).encrypt(identity[:12], plain.ljust(496, b"\0"), bound) == sealed


def test_place_and_rows() -> None:
    case = VECTORS["rows"]
    place = Place(**{name: PLACE[name] for name in ("registry", "epoch", "sequence", "policy")})
    rows = np.frombuffer(bytes.fromhex("".join(case["plain"])), ROW)
    wrapping_key, sealed = bytes.fromhex(case["wrapping_key"]), bytes.fromhex(case["sealed"])
    digest = place.digest(HEADER)

    assert place.context.hex() == PLACE["context"]
    assert by_the_page.context("de-a", "2026-11", 7).hex() == PLACE["context"]
    assert digest.hex() == PLACE["digest"]
    assert by_the_page.row_bound("de-a", "2026-11", 7, PLACE["policy"], HEADER).endswith(digest)
    assert seal_rows(rows, wrapping_key=wrapping_key, place=digest, first=4096) == sealed
    assert (open_rows(sealed, wrapping_key=wrapping_key, place=digest, first=4096) == rows).all()


@pytest.mark.parametrize("case", VECTORS["names"], ids=lambda case: case["kind"])
def test_names(case: dict[str, str]) -> None:
    content = bytes.fromhex(case["content"])

    assert name_of(case["kind"], content) == case["name"]
    assert by_the_page.name(case["kind"], content) == case["name"]


def test_group_edition_and_head() -> None:
    group = Group.from_bytes(bytes.fromhex(VECTORS["names"][3]["content"]))
    case = VECTORS["edition"]
    head, encoded = bytes.fromhex(case["head"]), bytes.fromhex(case["edition"])

    edition, seen = check_head(
        head, registry="de-a", verify=verify, earliest=date(2026, 11, 23), seen=None
    )

    assert open_head(head)[0] == encoded == bytes(edition)
    assert Edition.from_bytes(encoded) == edition
    assert signed_bytes(encoded).hex() == case["signed"]
    assert by_the_page.read_head(head)[0].hex() == case["signed"]
    assert (edition.sequence, seen.sequence, edition.day.isoformat()) == (7, 7, case["day"])
    assert edition.groups[0].name == VECTORS["names"][3]["name"]
    assert edition.groups[0].place == group.place
    assert edition.shelf == group.shelf == VECTORS["names"][2]["name"]


@pytest.mark.parametrize("case", VECTORS["bad_heads"], ids=lambda case: case["name"])
def test_bad_heads_are_refused(case: dict[str, str]) -> None:
    with pytest.raises(ProtocolError):
        check_head(
            bytes.fromhex(case["head"]),
            registry="de-a",
            verify=verify,
            earliest=date(2026, 11, 23),
            seen=None,
        )


def test_receipt() -> None:
    case = VECTORS["receipt"]

    receipt = check_receipt(case["receipt"], registry="de-a", verify=verify)

    assert receipt.token == case["token"] == token_of(bytes.fromhex(case["pseudonym"]), 7)
    when = datetime.fromisoformat(receipt.deleted)
    assert when == datetime(2026, 11, 23, 22, tzinfo=UTC)
