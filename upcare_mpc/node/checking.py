"""The process that checks deposits: a node's own, with everything else going first.

It is given a collection, the folder of its deposits and the places to check, one JSON object on
standard input; it prints one: why some are refused, and whose tables the others are. A proof takes
some ten milliseconds, and a collection may have thousands.

What a deposit holds is not seen here: it is encrypted.
"""

import asyncio
import datetime
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.envelopes import check_payload, open_share
from upcare_mpc.deposits.key import CollectionKey
from upcare_mpc.deposits.submission import Certify, Deposit
from upcare_mpc.errors import ProtocolError, SessionError
from upcare_mpc.he.scheme import PublicKey
from upcare_mpc.link.certificates import Network
from upcare_mpc.link.signers import certifier

__all__ = ["Checked", "check_deposits", "checked_apart"]

NICENESS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found.

    Attributes:
        refused: Place to reason (``deposits.findings.REASONS``).
        registries: Place to name, of registries' tables that are good.
    """

    refused: dict[int, str]
    registries: dict[int, str]


async def checked_apart(
    collection: Collection,
    *,
    public: bytes,
    network: Network,
    now: datetime.datetime,
    folder: Path,
    places: list[int],
    sealing: bytes,
    holder: int,
) -> Checked:
    """Check deposits in a process of its own, which ends with this one.

    Args:
        collection: Whose they are.
        public: Its encoded RLWE key; empty with envelope ``sealed``.
        network: Whose certificates count.
        now: When they have to be in force.
        folder: One file a deposit, named by its place; from 0, without a gap.
        places: Which to check. The others are read too, for submitters that come twice.
        sealing: The holder's own X25519 key; with envelope ``sealed`` its share of every deposit
            is opened. Secret.
        holder: Its place.

    Raises:
        SessionError: The process ended without an answer.
    """
    job = {
        "collection": collection.canonical().decode(),
        "public": public.hex(),
        "ca": network.ca_pem.decode(),
        "now": now.isoformat(),
        "folder": str(folder),
        "places": places,
        "sealing": sealing.hex(),
        "holder": holder,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "upcare_mpc.node.checking"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await process.communicate(json.dumps(job).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise SessionError("checking the deposits ended without an answer")
    answer = json.loads(out)
    return Checked(
        refused={int(place): reason for place, reason in answer["refused"].items()},
        registries={int(place): name for place, name in answer["registries"].items()},
    )


def check_deposits(
    collection: Collection,
    *,
    public: bytes,
    network: Network,
    now: datetime.datetime,
    folder: Path,
    places: list[int],
    sealing: bytes,
    holder: int,
) -> Checked:
    """Check deposits here; arguments as for ``checked_apart``."""
    key = CollectionKey(public=PublicKey.from_bytes(public) if public else None, sealing=())
    certify, own = certifier(network, now=now), X25519PrivateKey.from_private_bytes(sealing)
    wanted, seen = set(places), set[tuple[str, bytes]]()
    checked = Checked(refused={}, registries={})
    for place in range(len(list(folder.iterdir()))):
        try:
            deposit = Deposit.from_bytes((folder / str(place)).read_bytes())
        except ProtocolError:
            if place in wanted:
                checked.refused[place] = "form"
            continue
        submitter = deposit.role, deposit.submitter
        repeated = submitter in seen
        seen.add(submitter)
        if place not in wanted:
            if not public and not _opens(deposit, collection, own, holder):
                checked.refused[place] = "share"
        elif repeated:
            checked.refused[place] = "repeated"
        elif (reason := _fault(deposit, collection, key, certify)) is not None:
            checked.refused[place] = reason
        elif not public and not _opens(deposit, collection, own, holder):
            checked.refused[place] = "share"
        elif deposit.role == "registry":
            checked.registries[place] = deposit.submitter.decode()
    return checked


def _fault(
    deposit: Deposit, collection: Collection, key: CollectionKey, certify: Certify
) -> str | None:
    try:
        deposit.check(collection, certify)
    except ProtocolError:
        return "submitter"
    try:
        check_payload(deposit.payload, collection, key, context=deposit.context)
    except ProtocolError:
        return "proof"
    return None


def _opens(deposit: Deposit, collection: Collection, own: X25519PrivateKey, holder: int) -> bool:
    try:
        open_share(deposit.payload, collection, own, place=holder, context=deposit.context)
    except ProtocolError:
        return False
    return True


def main() -> None:
    """Entry point of ``python -m upcare_mpc.node.checking``."""
    os.nice(NICENESS)
    job = json.load(sys.stdin)
    checked = check_deposits(
        Collection.from_canonical(job["collection"].encode()),
        public=bytes.fromhex(job["public"]),
        network=Network(job["ca"].encode()),
        now=datetime.datetime.fromisoformat(job["now"]),
        folder=Path(job["folder"]),
        places=job["places"],
        sealing=bytes.fromhex(job["sealing"]),
        holder=job["holder"],
    )
    json.dump({"refused": checked.refused, "registries": checked.registries}, sys.stdout)


if __name__ == "__main__":
    main()
