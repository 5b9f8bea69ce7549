"""The session descriptor: everything that one joint run is about, in one digest.

The digest is in every approval, Hello, share, ledger line, signature and sealed output of the
session. Two parties with equal digests agree on the question, on who takes part with which data,
on who computes, on the law of the noise, and on who can read the result. A retry has a new nonce
and so is a new session, with new approvals and a new charge.

Canonical bytes: JSON, keys sorted, ASCII, no spaces; only the exact canonical form is read.
Everything in it is public to the parties.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from upcare_mpc.errors import ProtocolError
from upcare_mpc.study.draw import Draw, committee_digest, read_draw

__all__ = ["Descriptor", "Member"]

MAX_BYTES = 256 << 10
_VERSION = 1
_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One registry of the roster.

    Attributes:
        name: As in its certificate.
        certificate: SHA-256 of the certificate, 32 bytes.
        snapshot: Digest of the data it will answer from, 32 bytes.
    """

    name: str
    certificate: bytes
    snapshot: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """One joint run.

    Attributes:
        network: SHA-256 of the network's CA certificate.
        study: Digest of the canonical study.
        layout: Digest of the table's layout.
        cells: Number of cells of the table.
        law: Digest of the exact law of the noise.
        noise: Where the noise comes from, ``direct`` or a draw of the noise bank.
        program: Name and version of the program.
        epsilon: What every registry is charged, with Laplace noise; none with Gaussian noise.
        rho: What every registry is charged, as zero-concentrated loss.
        delta: What every registry is charged next to either.
        overlap: Registries that may know one patient.
        signing_key: Ed25519 key of the researcher, 32 bytes.
        sealing_key: X25519 key that the result is sealed to, 32 bytes.
        roster: The registries; the first ``parties`` of them compute.
        parties: m.
        threshold: t, how many computing registries may pool what they see.
        nonce: 16 bytes chosen by the platform; makes each run its own.
        deposits: Digest of the frozen set of deposits that enter the sum; empty if none do.
    """

    network: bytes
    study: bytes
    layout: bytes
    cells: int
    law: bytes
    noise: str
    program: str
    epsilon: Fraction | None
    rho: Fraction
    delta: Fraction
    overlap: int
    signing_key: bytes
    sealing_key: bytes
    roster: tuple[Member, ...]
    parties: int
    threshold: int
    nonce: bytes
    deposits: bytes = b""

    def __post_init__(self) -> None:
        """Refuse what no honest platform would compose."""
        digests = [self.network, self.study, self.layout, self.law]
        digests += [self.signing_key, self.sealing_key]
        digests += [part for m in self.roster for part in (m.certificate, m.snapshot)]
        digests += [self.deposits] if self.deposits else []
        if any(len(digest) != 32 for digest in digests) or len(self.nonce) != 16:
            raise ProtocolError("a session descriptor holds 32-byte digests and a 16-byte nonce")
        names = [member.name for member in self.roster]
        if len(set(names)) != len(names) or not all(_NAME.fullmatch(name) for name in names):
            raise ProtocolError("a session's roster holds distinct registry names")
        if self.parties not in (3, 5, 7) or self.threshold != (self.parties - 1) // 2:
            raise ProtocolError(
                f"a session has 3, 5 or 7 computing registries and t = (m - 1) / 2, "
                f"got m = {self.parties}, t = {self.threshold}"
            )
        if len(self.roster) < self.parties:
            raise ProtocolError(
                f"{self.parties} computing registries are wanted, the roster has {len(names)}"
            )
        if not 1 <= self.cells <= 1 << 20:
            raise ProtocolError(f"a table has 1 to {1 << 20} cells, got {self.cells}")
        read_draw(self.noise, cells=self.cells)

    @property
    def draw(self) -> Draw | None:
        """The draw of the noise bank; ``None`` where the noise is drawn in the session."""
        return read_draw(self.noise, cells=self.cells)

    @property
    def committee(self) -> bytes:
        """Digest of the computing registries in their order."""
        seats = self.roster[: self.parties]
        return committee_digest(self.network, [(m.name, m.certificate) for m in seats])

    def place(self, name: str) -> int:
        """Give a registry's place in the roster."""
        for index, member in enumerate(self.roster):
            if member.name == name:
                return index
        raise ProtocolError(f"{name} is not in the session's roster")

    def canonical(self) -> bytes:
        """Encode as canonical bytes."""
        content: dict[str, Any] = {
            "version": _VERSION,
            "network": self.network.hex(),
            "study": self.study.hex(),
            "layout": self.layout.hex(),
            "cells": self.cells,
            "law": self.law.hex(),
            "noise": self.noise,
            "program": self.program,
            "epsilon": None if self.epsilon is None else _ratio(self.epsilon),
            "rho": _ratio(self.rho),
            "delta": _ratio(self.delta),
            "overlap": self.overlap,
            "signing_key": self.signing_key.hex(),
            "sealing_key": self.sealing_key.hex(),
            "roster": [
                {
                    "name": member.name,
                    "certificate": member.certificate.hex(),
                    "snapshot": member.snapshot.hex(),
                }
                for member in self.roster
            ],
            "parties": self.parties,
            "threshold": self.threshold,
            "nonce": self.nonce.hex(),
        }
        if self.deposits:
            content["deposits"] = self.deposits.hex()
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes, domain separated; names the session."""
        return hashlib.sha256(b"upcare/v1/session|" + self.canonical()).digest()

    @classmethod
    def from_canonical(cls, received: bytes) -> "Descriptor":
        """Decode canonical bytes from the network.

        Raises:
            ProtocolError: They are not the canonical form of a descriptor.
        """
        if len(received) > MAX_BYTES:
            raise ProtocolError(f"a session descriptor has at most {MAX_BYTES} bytes")
        try:
            content = json.loads(received)
            if content["version"] != _VERSION:
                raise ProtocolError(f"session descriptor version {_VERSION} is spoken here")
            descriptor = cls(
                network=bytes.fromhex(content["network"]),
                study=bytes.fromhex(content["study"]),
                layout=bytes.fromhex(content["layout"]),
                cells=int(content["cells"]),
                law=bytes.fromhex(content["law"]),
                noise=str(content["noise"]),
                program=str(content["program"]),
                epsilon=None if content["epsilon"] is None else Fraction(content["epsilon"]),
                rho=Fraction(content["rho"]),
                delta=Fraction(content["delta"]),
                overlap=int(content["overlap"]),
                signing_key=bytes.fromhex(content["signing_key"]),
                sealing_key=bytes.fromhex(content["sealing_key"]),
                roster=tuple(
                    Member(
                        name=str(member["name"]),
                        certificate=bytes.fromhex(member["certificate"]),
                        snapshot=bytes.fromhex(member["snapshot"]),
                    )
                    for member in content["roster"]
                ),
                parties=int(content["parties"]),
                threshold=int(content["threshold"]),
                nonce=bytes.fromhex(content["nonce"]),
                deposits=bytes.fromhex(content.get("deposits", "")),
            )
        except (ArithmeticError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProtocolError("a session descriptor cannot be read") from error
        if descriptor.canonical() != received:
            raise ProtocolError("a session descriptor is not in canonical form")
        return descriptor


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
