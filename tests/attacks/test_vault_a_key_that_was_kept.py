"""Story: a reader keeps what she once could open, and comes back when she may not any more.

A copy of what was opened cannot be called back, and this is said. But everything that is sealed
later is out of reach of old keys: a record that was narrowed, corrected or withdrawn has a new data
key, and rows of a new edition a new wrapping key. Consent that widens keeps the data key, so the
decision which of the two a change is must never err to that side.
"""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from vault_world import (
    HMB,
    PUBLIC,
    REFUSAL,
    World,
    kinds,
    policy,
    pseudonym,
    reader,
)

from upcare_mpc.abe.kem import decapsulate
from upcare_mpc.errors import ProtocolError
from upcare_mpc.vault.changes import Change
from upcare_mpc.vault.edition import Group
from upcare_mpc.vault.sealing import open_rows
from upcare_mpc.vault.state import State

TUESDAY, DECEMBER = date(2026, 11, 3), date(2026, 12, 1)
WIDE = "or(use:hmb,use:methods)"


def data_keys(world: World, terms: str, *held: str) -> list[bytes]:
    """What a reader learns of a group, and may keep."""
    root = world.root(terms)
    group = Group.from_bytes(world.store.objects[root.name])
    wrapping = decapsulate(PUBLIC, reader(root, *held), group.header, context=group.place.context)
    sealed = world.store.objects[group.sheets[0]][4:]
    rows = open_rows(sealed, wrapping_key=wrapping, place=group.place.digest(group.header), first=0)
    return [key.tobytes() for key in rows["key"] if any(key.tobytes())]


def opens_something(world: World, state: State, keys: list[bytes], patient: int) -> bool:
    """Try kept keys on every slot of the vault, with the record's id and version given away."""
    at = state.find(pseudonym(patient))
    assert at is not None
    record = state.records[at]
    identity = record["id"].tobytes()
    bound = b"upcare/vault/v1/slot|de-a|" + identity + int(record["version"]).to_bytes(4)
    for name, kind in kinds(world.store):
        if kind != "UVB1":
            continue
        block = world.store.objects[name][4:]
        for key in keys:
            for slot in range(64):
                try:
                    AESGCM(key).decrypt(identity[:12], block[512 * slot : 512 * (slot + 1)], bound)
                except InvalidTag:
                    continue
                return True
    return False


def change(terms: str | None, payload: Any = None, *, day: date = TUESDAY) -> Change:
    return Change(
        pseudonym=pseudonym(1),
        policy=None if terms is None else policy(terms, day=day),
        payload=payload,
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.publish(world.change(1, WIDE), world.change(2, WIDE))
    return world


def test_a_kept_key_opens_the_record_while_nothing_has_changed(world: World) -> None:
    kept = data_keys(world, WIDE, "use:methods")

    assert opens_something(world, world.keeper.state(), kept, 1)


@pytest.mark.parametrize("terms", [HMB, "and(use:hmb,use:methods)", "use:other"])
def test_a_kept_key_opens_nothing_of_a_record_that_was_narrowed(world: World, terms: str) -> None:
    kept = data_keys(world, WIDE, "use:methods")
    state = world.publish(change(terms), day=TUESDAY)

    assert not opens_something(world, state, kept, 1)
    with pytest.raises(ProtocolError, match=REFUSAL):
        world.open(terms, key=reader(world.root(terms), "use:methods"))


def test_a_kept_key_opens_nothing_of_a_record_that_was_corrected(world: World) -> None:
    kept = data_keys(world, WIDE, "use:methods")
    state = world.publish(world.change(1, WIDE, age=44), day=TUESDAY)

    assert not opens_something(world, state, kept, 1)


def test_narrowing_and_widening_again_does_not_bring_the_old_key_back(world: World) -> None:
    kept = data_keys(world, WIDE, "use:methods")
    world.publish(change(HMB), day=TUESDAY)
    state = world.publish(change(WIDE), day=TUESDAY.replace(day=4))

    assert not opens_something(world, state, kept, 1)
    assert world.patients(WIDE) == [1, 2]


def test_a_withdrawn_record_is_not_in_the_vault_for_any_key(world: World) -> None:
    before = world.keeper.state()
    kept = data_keys(world, WIDE, "use:methods")
    world.publish(change(None), day=TUESDAY)

    assert not opens_something(world, before, kept, 1)


def test_a_key_of_november_opens_no_edition_of_december(world: World) -> None:
    november = reader(world.root(WIDE), "use:hmb", "use:methods")
    world.publish(day=DECEMBER)

    with pytest.raises(ProtocolError, match=REFUSAL):
        world.open(WIDE, key=november)
    assert world.patients(WIDE) == [1, 2]


def test_a_policy_without_its_registry_or_month_is_never_sealed_under(world: World) -> None:
    with pytest.raises(Exception, match="is sealed under"):
        world.publish(
            Change(pseudonym=pseudonym(1), policy="and(epoch:2026-11,use:hmb)", payload=None),
            day=TUESDAY,
        )
