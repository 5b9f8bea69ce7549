"""The process that checks deposits: a node's own, with everything else going first.

It is given one JSON line on standard input: a collection, the folder of its deposits and the places
to check. It prints one JSON object: why some are refused, and whose tables the others are. A proof
takes some ten milliseconds for 8192 cells, and a collection may have thousands.

All holders find the same: nothing here depends on a clock or on who checks, but for shares that are
sealed to this holder alone. What a deposit holds is not seen: with envelope ``rlwe`` it stays
encrypted, with ``sealed`` a share is opened, which says nothing, and is forgotten.

It ends with the node: nobody needs its answer then.
"""

import asyncio
import datetime
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.envelopes import check_payload, open_share
from upcare_mpc.deposits.key import CollectionKey
from upcare_mpc.deposits.submission import Certify, Deposit
from upcare_mpc.errors import ProtocolError, SessionError
from upcare_mpc.he.scheme import PublicKey, blocks_of
from upcare_mpc.link.certificates import Network
from upcare_mpc.link.signers import certifier

__all__ = ["Checked", "Checks", "check_deposits", "checked_apart"]

NICENESS: Final = 10
CHECK_S: Final = 30.0
CHECK_A_BLOCK_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What is to be checked, by one holder.

    Attributes:
        collection: Whose deposits they are.
        public: Its encoded RLWE key; empty with envelope ``sealed``.
        sealing: The holder's X25519 key, which its shares are sealed to; empty with ``rlwe``.
            Secret.
        holder: Its place in the collection.
        network: PEM of the CA whose certificates count.
        folder: One file a deposit, named by its place.
        count: How many there are.
        places: Which to check. Of the others it is found out who deposits, for submitters that
            come twice, and whether the share that is sealed to this holder opens.
    """

    collection: Collection
    public: bytes
    sealing: bytes = field(repr=False)
    holder: int
    network: bytes
    folder: Path
    count: int
    places: tuple[int, ...]

    @property
    def time_s(self) -> float:
        """How long they may take."""
        return CHECK_S + CHECK_A_BLOCK_S * self.count * blocks_of(self.collection.cells)

    def to_json(self) -> bytes:
        """Encode as one line."""
        content = {
            "collection": self.collection.canonical().decode(),
            "public": self.public.hex(),
            "sealing": self.sealing.hex(),
            "holder": self.holder,
            "network": self.network.decode(),
            "folder": str(self.folder),
            "count": self.count,
            "places": self.places,
        }
        return json.dumps(content).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> "Checks":
        """Decode; only a node of this version writes it."""
        content = json.loads(line)
        return cls(
            collection=Collection.from_canonical(content["collection"].encode()),
            public=bytes.fromhex(content["public"]),
            sealing=bytes.fromhex(content["sealing"]),
            holder=content["holder"],
            network=content["network"].encode(),
            folder=Path(content["folder"]),
            count=content["count"],
            places=tuple(content["places"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found.

    Attributes:
        refused: Place to reason (``deposits.findings.REASONS``).
        registries: Place to name, of registries' tables that are good.
    """

    refused: dict[int, str]
    registries: dict[int, str]


async def checked_apart(checks: Checks) -> Checked:
    """Check deposits in a process of its own; it is gone when this returns.

    Raises:
        SessionError: It ended without an answer, or took too long.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "upcare_mpc.node.checking"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(checks.time_s):
            process.stdin.write(checks.to_json())  # and is left open: its end would end the process
            answer = json.loads(await process.stdout.read())
    except TimeoutError:
        raise SessionError(f"the deposits were not checked in {checks.time_s:.0f} s") from None
    except ValueError:
        raise SessionError("checking the deposits ended without an answer") from None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    return Checked(
        refused={int(place): reason for place, reason in answer["refused"].items()},
        registries={int(place): name for place, name in answer["registries"].items()},
    )


def check_deposits(checks: Checks) -> Checked:
    """Check deposits in this process."""
    checker, places = _Checker(checks), frozenset(checks.places)
    checked = Checked(refused={}, registries={})
    for place in range(checks.count):
        try:
            deposit = Deposit.from_bytes((checks.folder / str(place)).read_bytes())
        except ProtocolError:
            if place in places:
                checked.refused[place] = "form"
            continue
        mine = place in places
        reason = checker.fault(deposit, thoroughly=mine)
        if reason is None and mine and deposit.role == "registry":
            checked.registries[place] = deposit.submitter.decode()
        elif reason is not None and (mine or reason == "share"):
            checked.refused[place] = reason
    return checked


class _Checker:
    """Finds out what is wrong with deposits, which it is shown in their order."""

    def __init__(self, checks: Checks) -> None:
        self._seen = set[tuple[str, bytes]]()
        self._collection = checks.collection
        self._certify = _certify(Network(checks.network), checks.collection)
        public = PublicKey.from_bytes(checks.public) if checks.public else None
        self._key = CollectionKey(public=public, sealing=())
        self._holder = checks.holder
        self._sealing = None
        if public is None:
            self._sealing = X25519PrivateKey.from_private_bytes(checks.sealing)

    def fault(self, deposit: Deposit, *, thoroughly: bool) -> str | None:
        """Why a deposit is refused, if it is; the expensive check only if it is this holder's."""
        if not _holds(lambda: deposit.check(self._collection, self._certify)):
            return "submitter"  # and nobody else's deposit is a repetition of it
        submitter = deposit.role, deposit.submitter
        if submitter in self._seen:
            return "repeated"
        self._seen.add(submitter)
        if thoroughly and not _holds(lambda: self._check_payload(deposit)):
            return "proof"
        if not _holds(lambda: self._open(deposit)):
            return "share"
        return None

    def _check_payload(self, deposit: Deposit) -> None:
        check_payload(deposit.payload, self._collection, self._key, context=deposit.context)

    def _open(self, deposit: Deposit) -> None:
        if self._sealing is not None:
            open_share(
                deposit.payload,
                self._collection,
                self._sealing,
                place=self._holder,
                context=deposit.context,
            )


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except ProtocolError:
        return False
    return True


def _certify(network: Network, collection: Collection) -> Certify:
    """Take certificates that were in force when the collection was opened, or are when it closes.

    So one that ends, or is renewed, while deposits are taken is good for them; and when the check
    is made does not matter.
    """
    moments = [
        datetime.datetime.fromtimestamp(moment, datetime.UTC)
        for moment in (collection.opened, collection.closes)
    ]
    first, last = (certifier(network, now=moment) for moment in moments)

    def certify(certificate: bytes, statement: bytes, signature: bytes) -> str:
        try:
            return last(certificate, statement, signature)
        except ProtocolError:
            return first(certificate, statement, signature)

    return certify


def _end_with_the_node() -> None:
    while os.read(0, 1 << 16):
        pass
    os._exit(3)


def main() -> None:
    """Entry point of ``python -m upcare_mpc.node.checking``."""
    os.nice(NICENESS)
    checks = Checks.from_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_node, daemon=True).start()
    checked = check_deposits(checks)
    json.dump({"refused": checked.refused, "registries": checked.registries}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # the thread is still reading


if __name__ == "__main__":
    main()
