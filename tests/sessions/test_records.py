"""A registry's sealed records at a real platform; it is killed meanwhile, and so is the command."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest
from fragile_network import wait_for
from keyed_network import KeyedNetwork, background
from lone_platform import LonePlatform
from sealed_registry import SealedRegistry

from upcare_mpc.cli.node import open_database
from upcare_mpc.config import load_party
from upcare_mpc.errors import ConfigError, LinkError
from upcare_mpc.link.vaults import KeptVault
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.vault.edition import HEAD
from upcare_mpc.vault.receipts import check_receipt
from upcare_mpc.vault.store import Folder, Store, named_by_head

pytestmark = [pytest.mark.parties, pytest.mark.slow]

TUESDAY = date(2026, 11, 3)


class KilledAt:
    """A vault at a platform that is killed before the upload's n-th object, or before its head."""

    def __init__(self, store: KeptVault, platform: LonePlatform, *, objects: int | None) -> None:
        self._store = store
        self._platform = platform
        self._left = objects

    def put(self, name: str, content: bytes) -> None:
        if self._left == 0 or (self._left is None and name == HEAD):
            self._platform.kill()
        if self._left is not None:
            self._left -= 1
        self._store.put(name, content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[LonePlatform]:
    with LonePlatform.in_folder(tmp_path / "network") as running:
        yield running


@pytest.fixture
def registry(tmp_path: Path, platform: LonePlatform) -> Iterator[SealedRegistry]:
    found = SealedRegistry(tmp_path / "de-a", identity=platform.identity)
    yield found
    found.close()


def at_the_platform(platform: LonePlatform) -> tuple[Folder, set[str]]:
    """The platform's folder of the registry's vault, and what is in it."""
    return Folder(platform.vault), {file.name for file in platform.vault.iterdir()}


def test_sealed_records_go_to_the_platform_and_open_from_there(
    platform: LonePlatform, registry: SealedRegistry
) -> None:
    registry.freeze(*range(300))
    registry.permit(*range(200))
    with platform.store() as store:
        registry.platform = store
        registry.seal()

        assert registry.vault.check().whole
        assert registry.opened("use:hmb") == list(range(200))
        registry.withdraw(7)
        registry.on(TUESDAY)
        assert registry.opened("use:hmb") == [n for n in range(200) if n != 7]
        (text,) = registry.receipts.of(registry.pseudonym(7))
    folder, held = at_the_platform(platform)
    receipt = check_receipt(text, registry="de-a", verify=registry.verify)
    assert receipt.block not in held
    assert held == {HEAD, *named_by_head(folder)}


def test_an_upload_during_which_the_platform_was_killed_goes_on(
    platform: LonePlatform, registry: SealedRegistry
) -> None:
    registry.freeze(*range(1300))
    registry.permit(*range(1300))
    for number, objects in enumerate([1, 12, None]):
        registry.withdraw(number)
        registry.today = date(2026, 11, 2 + number)
        with platform.store() as store:
            registry.platform = cast("Store", KilledAt(store, platform, objects=objects))
            with pytest.raises(LinkError, match="the platform cannot be reached"):
                registry.seal()
        platform.start_and_wait()
        if number:  # what was in force is in force, and whole
            folder, held = at_the_platform(platform)
            assert held >= {HEAD, *named_by_head(folder)}
            registry.platform = folder
            assert registry.edition.sequence == number

        with platform.store() as store:
            registry.platform = store
            sealed = registry.seal()
            assert not sealed.fresh
            assert registry.vault.check().whole
            assert registry.opened("use:hmb") == list(range(number + 1, 1300))
        folder, held = at_the_platform(platform)
        assert held == {HEAD, *named_by_head(folder)}
    assert len(registry.receipts.of(registry.pseudonym(2))) == 1


def test_the_platform_takes_no_edition_twice(
    platform: LonePlatform, registry: SealedRegistry
) -> None:
    """A registry that lost its folder cannot contradict what it has published, by accident."""
    registry.freeze(*range(3))
    registry.permit(*range(3))
    with platform.store() as store:
        registry.platform = store
        registry.seal()
        shutil.rmtree(registry.folder / "vault")

        with pytest.raises(ConfigError, match=r"holds edition 1 .* knows 0"):
            registry.on(TUESDAY)
        assert registry.on(TUESDAY, anew=True).edition == 2
        assert registry.vault.check().whole


def test_a_command_that_was_killed_while_it_uploaded_is_finished_by_the_next() -> None:
    with KeyedNetwork.of_three() as network:
        said = ("--activity", "records", "--permission", "DUO:0000006", "--from", "2020-01-01")
        network.at("de-a", "consent", "record", "--patient", "DE-A-0001", *said)
        party, vault = network.party_folder("de-a"), network.folder / "platform/state/vault/de-a"
        command = background("records", "seal", "--party", str(party))
        wait_for(
            lambda: command.poll() is not None or (vault.is_dir() and any(vault.iterdir())),
            within_s=60,
            what="the first object is at the platform",
        )
        command.kill()
        command.communicate()

        ran = network.at("de-a", "records", "seal")

        assert "edition 1 of" in ran.out
        assert "1  patients sealed" in ran.out
        assert "and no other" in network.at("de-a", "records", "check").out
        with open_database(load_party(party)) as database:
            kinds = [entry.kind for entry in SqlJournal(database).entries()]
        assert kinds.count("vault.publish") == kinds.count("vault.withdraw") == 1
