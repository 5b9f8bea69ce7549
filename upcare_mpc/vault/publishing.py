"""From what is sealed and a batch of changes to the next edition.

A registry publishes once a day, at a fixed hour, whatever has changed, nothing included:

1. ``changes.collect`` decides what each change takes, and seals new payloads.
2. ``placement.place`` finds slots for them, and says which blocks are sealed anew.
3. Each of these blocks is opened; every record in it gets a new id, version, data key and nonce;
   slots that are free are filled with random bytes.
4. For each group one wrapping key is sealed under its policy, and all its rows are sealed under it,
   in the order of slots, empty ones behind. So rows of two editions have nothing in common.
5. The edition, which names all groups and blocks, is signed.

Until ``keeper`` puts the head, the old edition is in force and none of its objects is touched.

How many rows a group shows does not fall within a month. With the first edition of a month it is
worked out anew, and groups without records are left out.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import pairwise
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.abe.kem import encapsulate
from upcare_mpc.abe.keys import PublicKey
from upcare_mpc.errors import RefusedError
from upcare_mpc.vault.blocks import seal_blocks
from upcare_mpc.vault.changes import Change, Collected, collect
from upcare_mpc.vault.edition import (
    Edition,
    Group,
    Place,
    Root,
    epoch_of,
    head_bytes,
    signed_bytes,
)
from upcare_mpc.vault.objects import SHEET_ROWS, sheet_bytes, shelf_bytes
from upcare_mpc.vault.policies import policy_of
from upcare_mpc.vault.sealing import ROW, seal_rows
from upcare_mpc.vault.sizes import BLOCK_SLOTS, rounded_rows
from upcare_mpc.vault.state import Departure, GroupState, Records, State
from upcare_mpc.vault.store import Store, keep

__all__ = ["Sign", "publish"]

Sign: TypeAlias = Callable[[bytes], bytes]
"""Signs bytes with the registry's key."""


def publish(
    state: State,
    changes: Iterable[Change],
    *,
    day: date,
    public: PublicKey,
    store: Store,
    spool: IO[bytes],
    sign: Sign,
    random: RandomBytes,
) -> tuple[State, bytes]:
    """Put all objects of the next edition into the store.

    Args:
        state: What is sealed.
        changes: At most one for each patient; the policies name the month of ``day``.
        day: Of the edition; behind that of the last.
        public: Of the network; with tables (``PublicKey.prepare``) if there are many groups.
        store: Holds the edition of ``state``.
        spool: An empty file for sealed payloads.
        sign: Signs the edition.
        random: Source of keys, ids, and of what fills free slots.

    Returns:
        The state after it, secret, and the head that brings it into force.

    Raises:
        RefusedError: The day has its edition already.
        InputError: As ``changes.collect``.
        DataError: The store fails, or has lost a block; the old edition stays in force.

    Cost: for each new payload, one sealing and two copies; for each block that changes, its records
    opened and sealed; for each group ``abe.kem.encapsulate``; for each row one short sealing. Half
    a kilobyte of memory a record. Times are in docs/vault.md.
    """
    if state.day is not None and day <= state.day:
        raise RefusedError(
            f"the vault has its edition of {state.day}; the next one is of a later day, got {day}"
        )
    found = collect(state, changes, epoch=epoch_of(day), spool=spool, random=random)
    blocks, records = seal_blocks(state, found, store=store, spool=spool, random=random)
    groups, records = _groups(state, found.terms, records, day)
    shelf = keep(store, "shelf", shelf_bytes(blocks))
    roots = []
    for group, members in zip(groups, _members(records, len(groups)), strict=True):
        policy = policy_of(group.terms, registry=state.registry, epoch=epoch_of(day))
        belongs = Place(
            registry=state.registry,
            epoch=epoch_of(day),
            sequence=state.sequence + 1,
            policy=str(policy),
        )
        header, wrapping_key = encapsulate(public, policy, context=belongs.context, random=random)
        bound = belongs.digest(header)
        sheets = tuple(
            keep(
                store,
                "sheet",
                sheet_bytes(seal_rows(rows, wrapping_key=wrapping_key, place=bound, first=first)),
            )
            for first, rows in _sheets(members, group.rows)
        )
        content = Group(place=belongs, header=header, rows=group.rows, shelf=shelf, sheets=sheets)
        name = keep(store, "group", bytes(content))
        roots.append(Root(place=belongs, rows=group.rows, name=name))
    edition = Edition(
        registry=state.registry,
        day=day,
        sequence=state.sequence + 1,
        shelf=shelf,
        groups=tuple(sorted(roots, key=lambda root: root.place.policy)),
    )
    after = State(
        registry=state.registry,
        sequence=edition.sequence,
        day=day,
        groups=groups,
        departures=_departures(state, found),
        blocks=blocks,
        records=records,
    )
    return after, head_bytes(edition, sign(signed_bytes(bytes(edition))))


def _groups(
    state: State, terms: list[str], records: Records, day: date
) -> tuple[tuple[GroupState, ...], Records]:
    """The groups of the edition, and the records with their places among them."""
    counts = np.bincount(records["group"], minlength=len(terms))
    same_month = state.day is not None and epoch_of(state.day) == epoch_of(day)
    shown = [group.rows if same_month else 0 for group in state.groups]
    shown += [0] * (len(terms) - len(shown))
    groups: list[GroupState] = []
    numbers = np.zeros(len(terms), np.uint32)
    for number, (words, count, before) in enumerate(zip(terms, counts, shown, strict=True)):
        if count or before:
            numbers[number] = len(groups)
            groups.append(GroupState(terms=words, rows=max(before, rounded_rows(int(count)))))
    records["group"] = numbers[records["group"]]
    return tuple(groups), records


def _members(records: Records, groups: int) -> Iterator[Records]:
    """The records of each group, by slot."""
    order = np.lexsort((records["slot"], records["group"]))
    edges = np.searchsorted(records["group"][order], np.arange(groups + 1))
    for low, high in pairwise(edges.tolist()):
        yield records[order[low:high]]


def _sheets(members: Records, rows: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """The rows of a group, sheet by sheet; those behind its records are empty."""
    for first in range(0, rows, SHEET_ROWS):
        here = members[first : first + SHEET_ROWS]
        sheet = np.zeros(min(SHEET_ROWS, rows - first), ROW)
        for name in ("id", "slot", "version", "key"):
            sheet[name][: len(here)] = here[name]
        yield first, sheet


def _departures(state: State, found: Collected) -> tuple[Departure, ...]:
    gone = state.records[found.leaving]
    return tuple(
        Departure(
            pseudonym=record["pseudonym"].tobytes().hex(),
            versions=int(record["version"]),
            block=state.blocks["name"][record["slot"] // BLOCK_SLOTS].tobytes().hex(),
        )
        for record in gone
    )
