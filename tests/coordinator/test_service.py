"""The platform's door for registries: who is let in, by certificate alone."""

import asyncio
import datetime
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2, coordinator_pb2_grpc
from upcare_mpc.cli.local.network import _free_ports
from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.config import Agreement, PlatformFile
from upcare_mpc.coordinator.platform import Platform
from upcare_mpc.coordinator.service import serve
from upcare_mpc.errors import ConfigError
from upcare_mpc.link.certificates import Authority, Identity, host_of
from upcare_mpc.storage.board import Board
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies

AGREEMENT = Agreement(name="test", overlap=1, committee=3)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for network in ("net", "other"):
        found_network(tmp_path / network, name=network, overlap=1, committee=3)
        for name in ("de-a", "platform"):
            role = "platform" if name == "platform" else "registry"
            admit_party(tmp_path / network, name, role=role, out=tmp_path / network / name)
    return tmp_path


def knock(
    folder: Path,
    credentials: grpc.ChannelCredentials,
    version: str = "1",
    says: coordinator_pb2.Availability | None = None,
) -> str:
    """Attend with these credentials; ``heard``, or the name of the status that ends it."""

    async def attend() -> str:
        now = datetime.datetime.now(datetime.UTC)
        identity = Identity.load(folder / "net" / "platform", now=now)
        first, second = (f"localhost:{port}" for port in _free_ports(2))
        file = PlatformFile(folder=folder, registries=first, researchers=second)
        with Database(f"sqlite:///{folder / 'coordinator.db'}", COORDINATOR) as database:
            deposits = Deposits(database, folder / "deposits", room=0)
            platform = Platform(identity, AGREEMENT, Studies(database), deposits)
            servers = await serve(platform, Board(database), identity, file)
            options = [("grpc.ssl_target_name_override", host_of("platform", "platform"))]
            try:
                async with grpc.aio.secure_channel(first, credentials, options=options) as channel:
                    call = coordinator_pb2_grpc.AttendanceStub(channel).Attend(timeout=5)
                    join = coordinator_pb2.Join(version=version, availability=says)
                    await call.write(coordinator_pb2.AttendRequest(join=join))
                    answer = await call.read()
                    return "heard" if answer is not grpc.aio.EOF else (await call.code()).name
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
            finally:
                for server in servers:
                    await server.stop(grace=0)

    return asyncio.run(attend())


def credentials(folder: Path, party: str, ca: str = "net") -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        (folder / ca / "ca.pem").read_bytes(),
        (folder / party / "party.key").read_bytes(),
        (folder / party / "party.pem").read_bytes(),
    )


def test_a_registry_of_the_network_is_heard(folder: Path) -> None:
    assert knock(folder, credentials(folder, "net/de-a")) == "heard"


def test_a_registry_of_another_network_is_not(folder: Path) -> None:
    assert knock(folder, credentials(folder, "other/de-a")) == "UNAVAILABLE"


def test_a_caller_without_a_certificate_is_not(folder: Path) -> None:
    ca = (folder / "net" / "ca.pem").read_bytes()

    assert knock(folder, grpc.ssl_channel_credentials(ca)) == "UNAVAILABLE"


def test_a_registry_whose_certificate_has_ended_is_not(folder: Path) -> None:
    network = folder / "net"
    authority = Authority(
        certificate_pem=(network / "ca.pem").read_bytes(), key_pem=(network / "ca.key").read_bytes()
    )
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=10)
    certificate, key = authority.admit("de-a", "registry", now=past, days=9)
    (network / "de-a" / "party.pem").write_bytes(certificate)
    (network / "de-a" / "party.key").write_bytes(key)

    assert knock(folder, credentials(folder, "net/de-a")) == "UNAVAILABLE"


def test_the_platform_is_no_registry(folder: Path) -> None:
    assert knock(folder, credentials(folder, "net/platform")) == "UNAUTHENTICATED"


def test_another_version_of_the_protocol_is_refused(folder: Path) -> None:
    assert knock(folder, credentials(folder, "net/de-a"), version="2") == "FAILED_PRECONDITION"


def test_a_statement_about_data_that_is_none_is_refused(folder: Path) -> None:
    good = coordinator_pb2.Availability(variables=["sex"], first_year=1999, last_year=2023)
    large = coordinator_pb2.Availability(variables=["x" * 5000])

    assert knock(folder, credentials(folder, "net/de-a"), says=good) == "heard"
    assert knock(folder, credentials(folder, "net/de-a"), says=large) == "INVALID_ARGUMENT"


def test_a_registry_does_not_talk_to_the_platform_of_another_network(folder: Path) -> None:
    assert knock(folder, credentials(folder, "net/de-a", ca="other")) == "UNAVAILABLE"


def test_anyone_who_reaches_the_researchers_port_may_read_the_catalogue(folder: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    identity = Identity.load(folder / "net" / "platform", now=now)
    first, second = (f"localhost:{port}" for port in _free_ports(2))
    file = PlatformFile(folder=folder, registries=first, researchers=second)
    said = coordinator_pb2.Availability(variables=["sex"], first_year=1999, last_year=2023)
    options = [("grpc.ssl_target_name_override", host_of("platform", "platform"))]

    async def ask() -> coordinator_pb2.CatalogueResponse:
        with Database(f"sqlite:///{folder / 'coordinator.db'}", COORDINATOR) as database:
            deposits = Deposits(database, folder / "deposits", room=0)
            platform = Platform(identity, AGREEMENT, Studies(database), deposits)
            platform.catalogue.hear("de-a", coordinator_pb2.Join(version="1", availability=said))
            servers = await serve(platform, Board(database), identity, file)
            trust = grpc.ssl_channel_credentials((folder / "net" / "ca.pem").read_bytes())
            try:
                async with grpc.aio.secure_channel(second, trust, options=options) as channel:
                    stub = coordinator_pb2_grpc.ResearchStub(channel)
                    return await stub.Catalogue(coordinator_pb2.CatalogueRequest(), timeout=5)
            finally:
                for server in servers:
                    await server.stop(grace=0)

    (entry,) = asyncio.run(ask()).entries

    assert (entry.registry, entry.attending, entry.availability) == ("de-a", False, said)


def test_a_port_in_use_is_said_in_one_line(folder: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    identity = Identity.load(folder / "net" / "platform", now=now)
    first, second = (f"localhost:{port}" for port in _free_ports(2))
    file = PlatformFile(folder=folder, registries=first, researchers=second)

    async def serve_twice() -> None:
        with Database(f"sqlite:///{folder / 'coordinator.db'}", COORDINATOR) as database:
            deposits = Deposits(database, folder / "deposits", room=0)
            platform = Platform(identity, AGREEMENT, Studies(database), deposits)
            servers = await serve(platform, Board(database), identity, file)
            try:
                await serve(platform, Board(database), identity, file)
            finally:
                for server in servers:
                    await server.stop(grace=0)

    with pytest.raises(ConfigError, match=f"{first} cannot be listened on; is the port in use"):
        asyncio.run(serve_twice())
