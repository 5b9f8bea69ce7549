"""Noise banks for tests: filled as a fill would, with shares of noise that the test knows."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from registries import Registries

from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.programs.fill import LIFE_BYTES, Fill, Seat
from upcare_mpc.mpc.programs.segments import Segments, seal_segments
from upcare_mpc.mpc.prss import LocalRandom
from upcare_mpc.node.bank import NoiseBank
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.storage.bank import BankMarks
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import NODE
from upcare_mpc.study.draw import SEGMENT_CELLS
from upcare_mpc.study.layout import Sensitivity
from upcare_mpc.study.spec import Study

LAW = sample_law(Fraction(2), Sensitivity(d0=1, d1=1, dinf=1))
NAMES = ("de-a", "de-b", "de-c")


def made(folder: Path, *, cells: int = 10 * SEGMENT_CELLS) -> NoiseBank:
    """A bank on a folder, as a node makes it at its start; each call is a new life."""
    folder.mkdir(exist_ok=True)
    database = Database(f"sqlite:///{folder / 'node.db'}", NODE)
    return NoiseBank(folder / "bank", BankMarks(database), cells=cells, life=os.urandom(LIFE_BYTES))


def fill_of(
    lives: Sequence[bytes],
    *,
    law: Law = LAW,
    segments: int = 4,
    network: bytes = bytes(32),
    certificates: Sequence[bytes] = (bytes(32),) * 3,
    names: Sequence[str] = NAMES,
) -> Fill:
    """A fill of a committee whose processes live these lives."""
    seats = zip(names, certificates, lives, strict=True)
    return Fill(
        network=network,
        law=law.digest,
        segments=segments,
        roster=tuple(Seat(name=n, certificate=c, life=x) for n, c, x in seats),
        nonce=os.urandom(16),
    )


def nothing(fill: Fill) -> Segments:
    """What a worker would hand over, of zero noise."""
    return seal_segments(np.zeros(fill.cells, np.uint64), epoch=fill.digest, place=0)


def put(bank: NoiseBank, fill: Fill, name: str, segments: Segments) -> None:
    """Take one registry's bank through a whole fill."""
    bank.begin(fill, name=name)
    bank.store(fill, segments)
    bank.confirm(fill)


def fill_registries(network: Registries, study: Study, noise: Words | None = None) -> Fill:
    """Fill the banks of a study's committee; ``noise`` has ``k * SEGMENT_CELLS`` values."""
    law, members = network.question(study).law, study.registries[:3]
    noise = np.zeros(4 * SEGMENT_CELLS, np.uint64) if noise is None else noise
    fill = fill_of(
        [network[name].node.bank.life for name in members],
        law=law,
        segments=noise.shape[0] // SEGMENT_CELLS,
        network=network.researcher.network.fingerprint,
        certificates=[network.identity(name).party.fingerprint for name in members],
        names=members,
    )
    shares = field.share(noise, parties=3, threshold=1, random=LocalRandom().words)
    for place, name in enumerate(members):
        bank = network[name].node.bank
        bank.want(fill.committee, members, law)
        put(bank, fill, name, seal_segments(shares[place], epoch=fill.digest, place=place))
    return fill
