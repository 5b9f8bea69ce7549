"""A researcher's identity: one key to sign questions, one that results are sealed to.

    researcher.key      both private keys; readable by her alone
    researcher.pub      both public keys; registries put the signing key into their policy. And the
                        platform's address, and ``api``, that of the public interface, if any
    ca.pem, network.toml    the network she asks in, and where its platform is

Losing the sealing key loses the results sealed to it; nobody else can open them.
"""

import os
import shutil
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement, load_agreement
from upcare_mpc.errors import ConfigError
from upcare_mpc.link.certificates import Network
from upcare_mpc.link.statements import (
    AUTHORIZATION_SECONDS,
    RequestMethod,
    authorization_statement,
    request_statement,
)
from upcare_mpc.study.spec import Study

__all__ = ["Researcher", "new_researcher"]

REQUEST_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Researcher:
    """A researcher's keys and the network she asks in.

    Attributes:
        signing: Ed25519; proves who asks. Secret.
        sealing: X25519; opens results. Secret.
        network: Trust anchor of the network.
        agreement: What its registries have agreed on.
        platform: Address of the platform for researchers, ``host:port``.
        api: Address of the public interface, if one is stated.
    """

    signing: Ed25519PrivateKey = field(repr=False)
    sealing: X25519PrivateKey = field(repr=False)
    network: Network
    agreement: Agreement
    platform: str
    api: str | None = None

    @classmethod
    def load(cls, folder: Path) -> "Researcher":
        """Read a folder made by ``new_researcher``.

        Raises:
            ConfigError: A file is missing or not usable.
        """
        try:
            keys = tomllib.loads((folder / "researcher.key").read_text("ascii"))
            public = tomllib.loads((folder / "researcher.pub").read_text("utf-8"))
            network = Network((folder / "ca.pem").read_bytes())
            signing = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys["signing"]))
            sealing = X25519PrivateKey.from_private_bytes(bytes.fromhex(keys["sealing"]))
            platform = str(public["platform"])
            api = str(public["api"]) if "api" in public else None
        except FileNotFoundError as error:
            missing = Path(str(error.filename)).name
            raise ConfigError(
                f"{missing} is missing; 'upcare researcher init' makes the folder"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError("the researcher's key files cannot be read") from error
        return cls(
            signing=signing,
            sealing=sealing,
            network=network,
            agreement=load_agreement(folder),
            platform=platform,
            api=api,
        )

    @property
    def signing_key(self) -> bytes:
        """Public key that registries know her by, 32 bytes."""
        return self.signing.public_key().public_bytes_raw()

    @property
    def sealing_key(self) -> bytes:
        """Public key that results are sealed to, 32 bytes."""
        return self.sealing.public_key().public_bytes_raw()

    def request(
        self,
        study: Study,
        method: RequestMethod = "submit",
        *,
        now: float,
        collection: bytes = b"",
    ) -> study_pb2.StudyRequest:
        """Sign a question, for one thing; for a week.

        Args:
            study: What is asked.
            method: What for.
            now: Seconds since 1970.
            collection: Digest of the collection of deposits that is to be closed.
        """
        request = study_pb2.StudyRequest(
            study=study.canonical(),
            signing_key=self.signing_key,
            sealing_key=self.sealing_key,
            not_after=int(now) + REQUEST_SECONDS,
            nonce=os.urandom(16),
            method=method,
            collection=collection,
        )
        request.signature = self.signing.sign(request_statement(request))
        return request

    def authorize(self, study: bytes, method: str, *, now: float) -> study_pb2.Authorization:
        """Sign that she asks about her own study, now."""
        authorization = study_pb2.Authorization(
            study_digest=study,
            signing_key=self.signing_key,
            not_after=int(now) + AUTHORIZATION_SECONDS,
            method=method,
        )
        authorization.signature = self.signing.sign(authorization_statement(authorization))
        return authorization


def new_researcher(
    folder: Path, *, identity_folder: Path, platform: str, api: str | None = None
) -> str:
    """Make a researcher's folder.

    Args:
        folder: New folder.
        identity_folder: Where the network's ``ca.pem`` and ``network.toml`` lie.
        platform: Address of the platform for researchers, ``host:port``.
        api: Address of the public interface; None: she asks the platform itself.

    Returns:
        The public signing key in hexadecimal, for registries' policies.

    Raises:
        ConfigError: The folder has keys already, or the network's files are missing.
    """
    if (folder / "researcher.key").exists():
        raise ConfigError("this folder has a researcher's keys already; they are not overwritten")
    for name in ("ca.pem", "network.toml"):
        if not (identity_folder / name).is_file():
            raise ConfigError(f"{name} of the network is missing in the folder given")
    folder.mkdir(parents=True, exist_ok=True)
    signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    private = folder / "researcher.key"
    private.touch(mode=0o600)
    private.write_text(
        f'signing = "{signing.private_bytes_raw().hex()}"\n'
        f'sealing = "{sealing.private_bytes_raw().hex()}"\n',
        "ascii",
    )
    public = signing.public_key().public_bytes_raw().hex()
    (folder / "researcher.pub").write_text(
        f'signing = "{public}"\n'
        f'sealing = "{sealing.public_key().public_bytes_raw().hex()}"\n'
        f'platform = "{platform}"\n' + (f'api = "{api}"\n' if api else ""),
        "utf-8",
    )
    for name in ("ca.pem", "network.toml"):
        shutil.copyfile(identity_folder / name, folder / name)
    return public
