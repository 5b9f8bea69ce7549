"""One edition a day: whole at the registry and at the platform, wherever a run was cut."""

import os
import shutil
from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sealed_registry import MONDAY, SealedRegistry
from vault_world import PUBLIC, Cut, MemoryStore

from upcare_mpc.consent import duo
from upcare_mpc.errors import ConfigError, DataError, ProtocolError, RefusedError
from upcare_mpc.node.sealing import Records
from upcare_mpc.storage import journal_store
from upcare_mpc.vault.edition import HEAD
from upcare_mpc.vault.receipts import check_receipt, token_of
from upcare_mpc.vault.store import named_by_head

TUESDAY, WEDNESDAY = date(2026, 11, 3), date(2026, 11, 4)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SealedRegistry]:
    found = SealedRegistry(tmp_path / "de-a")
    yield found
    found.close()


def five(registry: SealedRegistry) -> SealedRegistry:
    """Five patients of six have their records sealed."""
    registry.freeze(*range(6))
    registry.permit(*range(5))
    registry.seal()
    return registry


def memory(registry: SealedRegistry) -> MemoryStore:
    assert isinstance(registry.platform, MemoryStore)
    return registry.platform


def is_whole(registry: SealedRegistry) -> bool:
    """Whether the platform holds the edition that it shows, and nothing else."""
    return {HEAD, *named_by_head(registry.platform)} == set(memory(registry).objects)


def test_a_run_says_what_it_came_to(registry: SealedRegistry) -> None:
    registry.freeze(*range(6))
    registry.permit(*range(4))
    registry.permit(4, permission=duo.GRU)

    sealed = registry.seal()

    assert (sealed.edition, sealed.day, sealed.fresh) == (1, MONDAY, True)
    assert (sealed.patients, sealed.policies, sealed.departed) == (5, 2, 0)
    assert sealed.uploaded_bytes == sum(map(len, memory(registry).objects.values()))
    assert registry.opened("use:hmb") == [0, 1, 2, 3]
    assert registry.opened("use:hmb", "use:gru") == [0, 1, 2, 3, 4]


def test_a_second_run_on_a_day_changes_nothing(registry: SealedRegistry) -> None:
    five(registry)
    before = dict(memory(registry).objects)
    registry.withdraw(1)

    sealed = registry.seal()

    assert (sealed.edition, sealed.fresh, sealed.uploaded_bytes) == (1, False, len(before[HEAD]))
    assert memory(registry).objects == before
    assert len(registry.journal("vault.publish")) == 1
    assert len(registry.journal("vault.withdraw")) == 1


def test_there_is_an_edition_each_day_even_if_nothing_has_changed(registry: SealedRegistry) -> None:
    five(registry)

    sealed = registry.on(TUESDAY)

    assert (sealed.edition, sealed.fresh, sealed.patients, sealed.departed) == (2, True, 5, 0)
    assert is_whole(registry)


def test_a_withdrawal_is_in_force_the_next_day_with_a_receipt(registry: SealedRegistry) -> None:
    five(registry).withdraw(1, 3)

    sealed = registry.on(TUESDAY)

    assert (sealed.patients, sealed.departed) == (3, 2)
    assert registry.opened("use:hmb") == [0, 2, 4]
    for patient in (1, 3):
        (text,) = registry.receipts.of(registry.pseudonym(patient))
        receipt = check_receipt(text, registry="de-a", verify=registry.verify)
        assert receipt.token == token_of(registry.pseudonym(patient), 2)
        assert (receipt.edition, receipt.day) == (2, "2026-11-03")
        assert receipt.deleted == "2026-11-03T03:00:00.000Z"
        assert receipt.block not in memory(registry).objects
    assert registry.receipts.of(registry.pseudonym(0)) == ()


def test_each_edition_is_in_the_journal_before_it_is_at_the_platform(
    registry: SealedRegistry,
) -> None:
    five(registry)
    registry.withdraw(1)
    memory(registry).left = 0  # the platform is gone before the first object

    with pytest.raises(Cut):
        registry.on(TUESDAY)

    head = (registry.folder / "vault" / "objects" / "head").read_bytes()
    assert registry.journal("vault.publish")[-1] == {
        "edition": 2,
        "day": "2026-11-03",
        "head": sha256(head).hexdigest(),
    }
    assert [entry["edition"] for entry in registry.journal("vault.withdraw")] == [1]


def test_the_journal_names_the_tokens_of_receipts(registry: SealedRegistry) -> None:
    five(registry).withdraw(1, 3)
    registry.on(TUESDAY)

    tokens = sorted(token_of(registry.pseudonym(n), 2) for n in (1, 3))
    assert registry.journal("vault.withdraw") == [
        {"edition": 1, "tokens": []},
        {"edition": 2, "tokens": tokens},
    ]


def steps(folder: Path) -> int:
    registry = five(SealedRegistry(folder))
    before = len(memory(registry).seen)
    registry.withdraw(1)
    registry.on(TUESDAY)
    registry.close()
    return len(memory(registry).seen) - before


def test_a_run_that_was_cut_anywhere_is_finished_by_the_next(tmp_path: Path) -> None:
    total = steps(tmp_path / "trial")
    assert total > 10
    for left in range(total):
        registry = five(SealedRegistry(tmp_path / str(left)))
        registry.withdraw(1)
        memory(registry).left = left
        with pytest.raises(Cut):
            registry.on(TUESDAY)
        memory(registry).left = None

        again = registry.seal()

        assert (again.edition, again.fresh, again.departed) == (2, False, 1)
        assert is_whole(registry)
        assert registry.opened("use:hmb") == [0, 2, 3, 4]
        assert len(registry.receipts.of(registry.pseudonym(1))) == 1
        assert [entry["edition"] for entry in registry.journal("vault.publish")] == [1, 2]
        assert [entry["edition"] for entry in registry.journal("vault.withdraw")] == [1, 2]
        registry.close()


def test_a_run_of_the_next_day_finishes_the_last_one_first(registry: SealedRegistry) -> None:
    five(registry).withdraw(1)
    memory(registry).left = 3
    with pytest.raises(Cut):
        registry.on(TUESDAY)
    memory(registry).left = None

    sealed = registry.on(WEDNESDAY)

    assert (sealed.edition, sealed.departed) == (3, 0)
    (text,) = registry.receipts.of(registry.pseudonym(1))
    assert check_receipt(text, registry="de-a", verify=registry.verify).edition == 2
    assert is_whole(registry)


@pytest.mark.parametrize("event", ["vault.publish", "vault.withdraw"])
def test_a_crash_beside_the_journal_loses_no_receipt(
    registry: SealedRegistry, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    five(registry).withdraw(1)
    append = journal_store.append

    def cut(head: Any, what: Any, *, time: Any) -> Any:
        if what.kind == event:
            raise Cut
        return append(head, what, time=time)

    with monkeypatch.context() as patched:
        patched.setattr(journal_store, "append", cut)
        with pytest.raises(Cut):
            registry.on(TUESDAY)
    assert registry.receipts.of(registry.pseudonym(1)) == ()
    registry.seal()

    assert len(registry.receipts.of(registry.pseudonym(1))) == 1
    assert [entry["edition"] for entry in registry.journal("vault.publish")] == [1, 2]


def test_there_is_no_receipt_while_the_platform_lists_what_it_was_told_to_delete(
    registry: SealedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    five(registry).withdraw(1)
    with monkeypatch.context() as patched:
        patched.setattr(memory(registry), "delete", lambda _: None)
        with pytest.raises(DataError, match="edition 2 is uploaded, and the platform does not"):
            registry.on(TUESDAY)
        assert registry.vault.check().left_over > 0
    assert registry.receipts.of(registry.pseudonym(1)) == ()

    registry.seal()

    assert len(registry.receipts.of(registry.pseudonym(1))) == 1


def test_a_bad_snapshot_leaves_the_edition_of_yesterday(registry: SealedRegistry) -> None:
    five(registry)
    (registry.folder / "snapshots" / "current").unlink()

    with pytest.raises(DataError, match="no snapshot is in force"):
        registry.on(TUESDAY)
    assert (registry.edition.sequence, registry.opened("use:hmb")) == (1, [0, 1, 2, 3, 4])


# --- losses -----------------------------------------------------------------------------------


def test_a_folder_put_back_from_an_old_copy_seals_nothing(
    registry: SealedRegistry, tmp_path: Path
) -> None:
    five(registry)
    shutil.copytree(registry.folder / "vault", tmp_path / "old")
    registry.on(TUESDAY)
    shutil.rmtree(registry.folder / "vault")
    shutil.copytree(tmp_path / "old", registry.folder / "vault")

    with pytest.raises(ConfigError, match=r"holds edition 2 .* knows 1: put the latest"):
        registry.on(WEDNESDAY)
    sealed = registry.on(WEDNESDAY, anew=True)

    assert (sealed.edition, sealed.patients) == (3, 5)
    assert registry.opened("use:hmb") == [0, 1, 2, 3, 4]
    assert is_whole(registry)


def test_a_folder_that_is_lost_is_noticed_and_all_is_sealed_anew(registry: SealedRegistry) -> None:
    five(registry)
    shutil.rmtree(registry.folder / "vault")

    with pytest.raises(ConfigError, match=r"holds edition 1 .* knows 0"):
        registry.on(TUESDAY)
    with pytest.raises(RefusedError, match="has its edition of 2026-11-02"):
        registry.on(MONDAY, anew=True)
    sealed = registry.on(TUESDAY, anew=True)

    assert (sealed.edition, sealed.patients, sealed.departed) == (2, 5, 0)
    assert registry.opened("use:hmb") == [0, 1, 2, 3, 4]
    assert registry.on(WEDNESDAY).edition == 3


@pytest.mark.parametrize("lost", ["list", "block"])
def test_after_a_loss_at_the_registry_all_is_sealed_anew(
    registry: SealedRegistry, lost: str
) -> None:
    five(registry)
    folder = registry.folder / "vault"
    if lost == "list":
        (folder / "sealed-1.state").unlink()
    else:
        blocks = (
            name for name, kind in named_by_head(registry.platform).items() if kind == "block"
        )
        (folder / "objects" / next(blocks)).unlink()
    registry.withdraw(1)
    with pytest.raises(DataError, match="seal all records anew"):
        registry.on(TUESDAY)

    sealed = registry.on(TUESDAY, anew=True)

    assert (sealed.edition, sealed.patients) == (2, 4)
    assert registry.opened("use:hmb") == [0, 2, 3, 4]
    assert is_whole(registry)


def test_a_platform_that_shows_an_old_edition_does_not_turn_the_registry_back(
    registry: SealedRegistry,
) -> None:
    five(registry)
    old = memory(registry).objects[HEAD]
    registry.on(TUESDAY)
    memory(registry).objects[HEAD] = old
    (registry.folder / "vault" / "sealed-2.state").unlink()

    assert registry.on(WEDNESDAY, anew=True).edition == 3


def test_keys_that_a_crash_left_are_gone_before_a_receipt_says_so(
    registry: SealedRegistry,
) -> None:
    five(registry).withdraw(1)
    folder = registry.folder / "vault"
    left = (folder / "sealed-1.state").read_bytes()
    memory(registry).left = 0
    with pytest.raises(Cut):
        registry.on(TUESDAY)
    memory(registry).left = None
    (folder / "sealed-1.state").write_bytes(left)  # as if the crash had come a moment earlier

    registry.seal()

    assert len(registry.receipts.of(registry.pseudonym(1))) == 1
    assert [path.name for path in folder.glob("sealed-*")] == ["sealed-2.state"]


def test_a_number_that_the_registry_has_not_signed_is_not_taken(
    registry: SealedRegistry, tmp_path: Path
) -> None:
    stranger = five(SealedRegistry(tmp_path / "stranger"))  # same name, another network
    stranger.on(TUESDAY)
    stranger.close()
    registry.platform = stranger.platform
    registry.freeze(1)

    with pytest.raises(ConfigError, match="holds edition 2"):
        registry.on(WEDNESDAY)
    with pytest.raises(ProtocolError, match="not the named party's"):
        registry.on(WEDNESDAY, anew=True)
    assert not (registry.folder / "vault" / "objects" / "head").exists()


def test_a_head_that_is_none_is_written_over(registry: SealedRegistry) -> None:
    five(registry)
    memory(registry).objects[HEAD] = b"no head"

    registry.seal()

    assert registry.opened("use:hmb") == [0, 1, 2, 3, 4]


def test_what_the_platform_has_lost_is_brought_again(registry: SealedRegistry) -> None:
    five(registry)
    memory(registry).objects.clear()

    sealed = registry.seal()

    assert not sealed.fresh
    assert sealed.uploaded_bytes == sum(map(len, memory(registry).objects.values()))
    assert registry.opened("use:hmb") == [0, 1, 2, 3, 4]


def test_one_process_works_on_the_vault_at_a_time(registry: SealedRegistry) -> None:
    five(registry)
    other = registry.vault

    def meanwhile(*_: Any) -> Any:
        with pytest.raises(ConfigError, match="another process is writing the vault"):
            other.check()
        return iter(())

    registry.today = TUESDAY
    registry.vault.seal(meanwhile, public=PUBLIC, random=os.urandom)


# --- looking ----------------------------------------------------------------------------------


def test_a_look_finds_what_is_there(registry: SealedRegistry) -> None:
    five(registry)

    held = registry.vault.check()

    assert held.whole
    assert (held.edition, held.day) == (1, MONDAY)
    assert held.objects == len(memory(registry).objects) - 1


def test_a_look_finds_what_is_missing_and_what_should_be_gone(registry: SealedRegistry) -> None:
    five(registry)
    old = dict(memory(registry).objects)
    registry.on(TUESDAY)
    objects = memory(registry).objects
    del objects[next(name for name in objects if name != HEAD and name not in old)]
    objects["0" * 64] = b"a copy"

    held = registry.vault.check()
    assert (held.same_head, held.missing, held.left_over, held.whole) == (True, 1, 1, False)


def test_a_look_finds_another_edition_than_the_one_in_force(registry: SealedRegistry) -> None:
    five(registry)
    old = memory(registry).objects[HEAD]
    registry.on(TUESDAY)
    memory(registry).objects[HEAD] = old

    held = registry.vault.check()

    assert (held.same_head, held.missing, held.left_over, held.whole) == (False, 0, 0, False)


def test_before_the_first_edition_there_is_nothing_to_look_at(registry: SealedRegistry) -> None:
    with pytest.raises(DataError, match="nothing is sealed yet"):
        registry.vault.check()


def test_all_of_it_is_the_owners_alone(registry: SealedRegistry) -> None:
    five(registry)

    for path in (registry.folder / "vault").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_what_is_said_before_an_edition_is_sealed_is_in_it(registry: SealedRegistry) -> None:
    five(registry)
    found = Records(registry.snapshots, registry.consents.all(), registry="de-a")
    registry.withdraw(1)
    registry.today = TUESDAY

    registry.vault.seal(found.wanted, public=PUBLIC, random=os.urandom)

    assert registry.opened("use:hmb") == [0, 2, 3, 4]
