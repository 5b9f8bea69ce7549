"""What the registries state about their data, as the platform heard it; public.

Kept in memory: after a restart of the platform a registry is listed again once it has attended.
"""

from collections.abc import Callable, Collection

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.link.availability import read_availability

__all__ = ["Catalogue"]

Entry = coordinator_pb2.CatalogueEntry


class Catalogue:
    """One entry a registry; as many as there are certificates of registries.

    Args:
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[str, Entry] = {}

    def hear(self, name: str, join: coordinator_pb2.Join) -> None:
        """Keep what a registry states; one that states nothing is listed so.

        Raises:
            ProtocolError: It is not a statement; what was kept before stays.
        """
        known = self._entries.get(name)
        entry = Entry(registry=name, since=known.since if known is not None else 0.0)
        if join.HasField("availability"):
            read_availability(join.availability)
            entry.availability.CopyFrom(join.availability)
        if entry != known:
            entry.since = self._clock()
            self._entries[name] = entry

    def entries(self, *, attending: Collection[str]) -> list[Entry]:
        """All entries by name, those of registries that are away included."""
        listed = []
        for name in sorted(self._entries):
            entry = Entry(attending=name in attending)
            entry.MergeFrom(self._entries[name])
            listed.append(entry)
        return listed
