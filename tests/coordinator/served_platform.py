"""A platform that serves on loopback from a thread, its network, and what may be filed there."""

import asyncio
import datetime
import os
import threading
import time
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upcare_mpc.abe.request import Request
from upcare_mpc.access.application import Application, attributes_of
from upcare_mpc.access.papers import Filing, filing_statement, requester_of
from upcare_mpc.cli.local.network import _free_ports
from upcare_mpc.config import Agreement, PlatformFile
from upcare_mpc.coordinator.platform import Platform
from upcare_mpc.coordinator.service import serve
from upcare_mpc.link.board import RegistryBoard, ResearcherBoard
from upcare_mpc.link.certificates import Authority, Identity, Network, Role, new_authority
from upcare_mpc.link.vaults import FetchedVault, KeptVault
from upcare_mpc.storage.board import Board
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies
from upcare_mpc.vault.edition import Edition, head_bytes, signed_bytes
from upcare_mpc.vault.encoding import name_of

AGREEMENT = Agreement(name="test", overlap=1, committee=3)


class ServedPlatform:
    """The platform of a network; use as a context manager."""

    def __init__(
        self, folder: Path, *, gigabytes_per_registry: int = 1, deposit_room: int = 10**9
    ) -> None:
        now = datetime.datetime.now(datetime.UTC)
        self.authority = new_authority("test", now=now)
        self.network = Network(self.authority.certificate_pem)
        self.registries, self.researchers = (f"127.0.0.1:{port}" for port in _free_ports(2))
        self.vaults = folder / "state" / "vault"
        self._room = deposit_room
        self._file = PlatformFile(
            folder=folder,
            registries=self.registries,
            researchers=self.researchers,
            gigabytes_per_registry=gigabytes_per_registry,
        )
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()

    async def _run(self) -> None:
        self._end = asyncio.Event()
        identity = self.admit("platform", role="platform")
        url = f"sqlite:///{self._file.folder / 'coordinator.db'}"
        with Database(url, COORDINATOR) as database:
            self.board = Board(database)
            self.studies = Studies(database)
            self.deposits = Deposits(database, self._file.folder / "deposits", room=self._room)
            platform = Platform(identity, AGREEMENT, self.studies, self.deposits)
            servers = await serve(platform, self.board, identity, self._file)
            self._ready.set()
            await self._end.wait()
            for server in servers:
                await server.stop(grace=0)

    # -- who calls ------------------------------------------------------------------------------

    def admit(
        self,
        name: str,
        *,
        role: Role = "registry",
        authority: Authority | None = None,
    ) -> Identity:
        """An identity; of another network if another authority admits it."""
        issuer = authority or self.authority
        now = datetime.datetime.now(datetime.UTC)
        certificate, key = issuer.admit(name, role, now=now)
        party, _ = Network(issuer.certificate_pem).verify(certificate.decode(), now=now)
        return Identity(party=party, network=self.network, certificate_pem=certificate, key_pem=key)

    def of_registry(self, identity: Identity) -> RegistryBoard:
        return RegistryBoard(self.registries, identity)

    def of_researcher(self, signing: Ed25519PrivateKey) -> ResearcherBoard:
        return ResearcherBoard(self.researchers, self.network, signing)

    def kept_by(self, identity: Identity) -> KeptVault:
        return KeptVault(self.registries, identity)

    def fetched_by(
        self, signing: Ed25519PrivateKey, request: bytes, *, registry: str = "de-a"
    ) -> FetchedVault:
        return FetchedVault(
            self.researchers, self.network, signing, request=request, registry=registry
        )


def filed(signing: Ed25519PrivateKey, *, days: float = 14, **changed: Any) -> Filing:
    """A researcher's signed request for a key to the records of two registries."""
    application = Application(
        **{
            "project": "p-17",
            "title": "Survival after breast cancer",
            "purposes": frozenset({"DUO:0000007"}),
            "registries": ("de-a", "fr-a"),
            "epoch": "2026-11",
            "salt": os.urandom(16),
        }
        | changed
    )
    key = signing.public_key().public_bytes_raw()
    request = Request(
        network="test",
        committee=bytes(32),
        epoch=application.epoch,
        project=application.project,
        requester=requester_of(key),
        sealing_key=bytes(range(32)),
        nonce=application.nonce,
        not_after=int(time.time() + days * 24 * 3600),
        attributes=attributes_of(application),
    )
    signature = signing.sign(filing_statement(request))
    return Filing(request=request, application=application, key=key, signature=signature)


def head_of(identity: Identity, sequence: int = 1, *, registry: str | None = None) -> bytes:
    """A head that a registry has signed, of no records."""
    edition = Edition(
        registry=registry or identity.party.name,
        day=datetime.date(2026, 11, 22),
        sequence=sequence,
        shelf=name_of("shelf", b"UVL1"),
        groups=(),
    )
    return head_bytes(edition, identity.sign(signed_bytes(bytes(edition))))
