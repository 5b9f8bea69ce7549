"""Story: a platform disturbs the daily upload on purpose, to see how the registry reacts.

It cuts the connection at a place of its choice, refuses to delete, or lists objects that it has
not. The registry's next run finishes what was begun, and what has left the vault has a receipt.
Were an edition without withdrawals finished in another way, or blocks deleted by name because a
record has left them, the platform would read off whether anybody withdrew that day.

Two registries, alike but for two patients who withdraw at one of them, meet the same platform. It
sees the same calls in the same order, with the same sizes, and their journals are of one length.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sealed_registry import SealedRegistry
from vault_world import Cut, MemoryStore

from upcare_mpc.errors import DataError
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.vault.edition import HEAD

TUESDAY, WEDNESDAY = date(2026, 11, 3), date(2026, 11, 4)
Trace = list[tuple[str, int]]


class Watching(MemoryStore):
    """A platform that writes down every call with its size."""

    def get(self, name: str, *, at_most: int) -> bytes | None:
        found = super().get(name, at_most=at_most)
        self._step("head" if name == HEAD else "get", len(found or b""))
        return found

    def names(self) -> list[str]:
        self._step("names", len(self.objects))
        return super().names()

    def _step(self, what: str, size: int) -> None:
        super()._step(what, 0 if what == "head" else size)  # signatures are 70 to 72 bytes


@contextmanager
def honest(_: Watching) -> Iterator[None]:
    yield


def cut_after(calls: int) -> Callable[[Watching], Any]:
    @contextmanager
    def cutting(store: Watching) -> Iterator[None]:
        store.left = calls
        yield
        store.left = None

    return cutting


@contextmanager
def keeping_everything(store: Watching) -> Iterator[None]:
    delete, store.delete = store.delete, lambda _: None  # type: ignore[method-assign]
    yield
    store.delete = delete  # type: ignore[method-assign]


@contextmanager
def listing_what_is_gone(store: Watching) -> Iterator[None]:
    names, before = store.names, [name for name in store.objects if name != HEAD]
    store.names = lambda: [*dict.fromkeys([*names(), *before])]  # type: ignore[method-assign]
    yield
    store.names = names  # type: ignore[method-assign]


def seen(
    folder: Path, disturbing: Callable[[Watching], Any], *, withdrawn: tuple[int, ...]
) -> tuple[Trace, list[str]]:
    """What the platform sees of three days, and the kinds of the journal's entries."""
    registry = SealedRegistry(folder, platform=(store := Watching()))
    registry.freeze(*range(300))
    registry.permit(*range(200))
    registry.seal()
    registry.withdraw(*(withdrawn or (250, 251)))  # two others say no who were not in the vault
    with disturbing(store):
        registry.today = TUESDAY
        try:
            registry.seal()
        except (Cut, DataError):
            store.seen.append(("the run ends", 0))
    registry.on(WEDNESDAY)
    kinds = [entry.kind for entry in SqlJournal(registry.database).entries()]
    assert registry.opened("use:hmb") == [n for n in range(200) if n not in withdrawn]
    registry.close()
    return store.seen, kinds


DISTURBANCES = {
    "honest": honest,
    "keeping_everything": keeping_everything,
    "listing_what_is_gone": listing_what_is_gone,
    **{f"cut_after_{calls}": cut_after(calls) for calls in (0, 2, 8, 12, 18)},
}
FIRST = {"honest", "cut_after_8"}  # also in `make test`


@pytest.mark.parametrize(
    "disturbance",
    [pytest.param(d, marks=[] if d in FIRST else [pytest.mark.slow]) for d in DISTURBANCES],
)
def test_what_the_platform_sees_of_a_disturbed_upload_tells_of_no_withdrawal(
    tmp_path: Path, disturbance: str
) -> None:
    nobody = seen(tmp_path / "nobody", DISTURBANCES[disturbance], withdrawn=())
    two = seen(tmp_path / "two", DISTURBANCES[disturbance], withdrawn=(7, 11))

    assert nobody == two


def test_the_story_can_tell_a_registry_that_asks_for_more(tmp_path: Path) -> None:
    """Had the registry deleted blocks by name, as records left them, it would have shown."""
    from upcare_mpc.node import vault

    class Eager(vault.RegistryVault):
        def _hand_over(self, state: Any) -> None:
            super()._hand_over(state)
            for departure in state.departures:
                self._platform.delete(departure.block)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sealed_registry.RegistryVault", Eager)
        nobody = seen(tmp_path / "nobody", honest, withdrawn=())
        two = seen(tmp_path / "two", honest, withdrawn=(7, 11))

    assert nobody != two
