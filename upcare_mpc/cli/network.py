"""`upcare network`: found a network, admit parties."""

import datetime
import re
from pathlib import Path

import click

from upcare_mpc.errors import ConfigError
from upcare_mpc.link.certificates import Authority, Role, new_authority, new_request

__all__ = ["admit_party", "found_network", "network"]

_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)


@click.group()
def network() -> None:
    """Found a network of registries and admit its parties."""


@network.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", default="network", show_default=True, help="Name of the network.")
@click.option(
    "--overlap",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="How many registries may know one patient.",
)
@click.option(
    "--committee",
    type=click.Choice(["3", "5", "7"]),
    default="3",
    show_default=True,
    help="How many registries compute in a study.",
)
def init(folder: Path, name: str, overlap: int, committee: str) -> None:
    """Make the certificate authority and the agreement of a new network.

    Example: upcare network init net --name demo --overlap 1
    """
    found_network(folder, name=name, overlap=overlap, committee=int(committee))
    click.echo(f"{folder}/ca.key admits parties: keep it offline", err=True)


@network.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["registry", "platform"]), default="registry", show_default=True
)
@click.option(
    "--request",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The party's request, from 'upcare network request'. Without it a key is made here.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Identity folder to make, or to send back to the party.",
)
def admit(folder: Path, name: str, role: Role, request: Path | None, out: Path) -> None:
    """Admit one party: its certificate and the network's files.

    Example: upcare network admit net de-a --request de-a.csr --out for-de-a
    """
    admit_party(folder, name, role=role, out=out, request=request)


@network.command()
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Identity folder to make.",
)
def request(name: str, out: Path) -> None:
    """Make this party's key, and the request that the network's founder certifies.

    Send party.csr to the founder; put what comes back beside party.key, which stays here.

    Example: upcare network request de-a --out de-a/identity
    """
    if (out / "party.key").exists():
        raise ConfigError("this folder has an identity already; it is not overwritten")
    content, key = new_request(name)
    out.mkdir(parents=True, exist_ok=True)
    _write_secret(out / "party.key", key)
    (out / "party.csr").write_bytes(content)
    click.echo(f"send {out}/party.csr to the network's founder", err=True)


def found_network(folder: Path, *, name: str, overlap: int, committee: int) -> None:
    """Make ``ca.pem``, ``ca.key`` and ``network.toml`` in a folder.

    Raises:
        ConfigError: There is a network already.
    """
    if (folder / "ca.key").exists():
        raise ConfigError("this folder has a network already; it is not overwritten")
    folder.mkdir(parents=True, exist_ok=True)
    authority = new_authority(name, now=datetime.datetime.now(datetime.UTC))
    _write_secret(folder / "ca.key", authority.key_pem)
    (folder / "ca.pem").write_bytes(authority.certificate_pem)
    (folder / "network.toml").write_text(
        f'version = 1\nname = "{name}"\noverlap = {overlap}\ncommittee = {committee}\n', "utf-8"
    )


def admit_party(
    folder: Path,
    name: str,
    *,
    role: Role,
    out: Path,
    request: Path | None = None,
    days: int = 397,
) -> None:
    """Make an identity folder for one party; with its key only if the party made no request.

    Raises:
        ConfigError: The name is not one, the folder is no network, or the identity exists.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a party has a name like de-a, got {name!r}")
    if (out / ("party.key" if request is None else "party.pem")).exists():
        raise ConfigError("this folder has an identity already; it is not overwritten")
    try:
        authority = Authority(
            certificate_pem=(folder / "ca.pem").read_bytes(),
            key_pem=(folder / "ca.key").read_bytes(),
        )
        agreement = (folder / "network.toml").read_bytes()
    except FileNotFoundError:
        raise ConfigError("this folder is no network; 'upcare network init' makes one") from None
    now = datetime.datetime.now(datetime.UTC)
    out.mkdir(parents=True, exist_ok=True)
    if request is None:
        certificate, key = authority.admit(name, role, now=now, days=days)
        _write_secret(out / "party.key", key)
    else:
        certificate = authority.certify(request.read_bytes(), name, role, now=now, days=days)
    (out / "party.pem").write_bytes(certificate)
    (out / "ca.pem").write_bytes(authority.certificate_pem)
    (out / "network.toml").write_bytes(agreement)


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
