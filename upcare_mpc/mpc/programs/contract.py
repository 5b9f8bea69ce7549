"""What all parties of a session must share, and the checks that they do.

The program digest is compared in Hello. It covers wire behaviour, parameters and the law of the
noise, not source text: a change that cannot be seen on the wire needs no new version, one that
can steps the program's version, counted from the first release on. A session names its program in
its descriptor.
"""

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version

from upcare_mpc.errors import ProtocolError
from upcare_mpc.kinds.question import Question
from upcare_mpc.mpc import field
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.layout import Layout
from upcare_mpc.study.spec import Release

__all__ = [
    "KEY_PROGRAM",
    "NOISY_SUM",
    "PASSING_SUM",
    "WITH_DEPOSITS",
    "Rules",
    "check_descriptor",
    "compares",
    "program_digest",
    "program_of",
]

NOISY_SUM = "noisy-sum/1"
PASSING_SUM = "passing-noisy-sum/1"  # of which only what passes the study's rules opens
KEY_PROGRAM = "deposit-key/1"  # deals the key of a collection
WITH_DEPOSITS = "+deposits/1"  # behind either: converted deposits enter the sum too


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A study's rules about what is shown, in the units of the vector.

    Attributes:
        minimum_cohort: Nothing opens if the total of the first ``cohort`` cells is below it.
        suppress_below: A cell opens only if it is at least this.
        cohort: Cells of the layout's first table, which hold each tumour that counts once.
    """

    minimum_cohort: int | None = None
    suppress_below: int | None = None
    cohort: int

    @classmethod
    def of(cls, release: Release, layout: Layout) -> "Rules":
        """Return the rules of a study; every tumour counts as often as the first table says."""
        first = layout.tables[0]
        least = release.minimum_cohort
        return cls(
            minimum_cohort=None if least is None else least * first.weight,
            suppress_below=release.suppress_below,
            cohort=first.cells,
        )


def program_of(release: Release, *, deposits: bool = False) -> str:
    """Name the program that a study asks for, by its rules about what is shown and its deposits."""
    program = NOISY_SUM if release == Release() else PASSING_SUM
    return program + WITH_DEPOSITS if deposits else program


def compares(program: str) -> bool:
    """Whether a program decides in the protocol what of its result may open."""
    return program.removesuffix(WITH_DEPOSITS) == PASSING_SUM


def program_digest(program: str, law: bytes) -> bytes:
    """Digest of the program as both ends must run it, 32 bytes.

    Args:
        program: Its name and version.
        law: Digest of the exact law of the noise.

    MPyC labels messages by ``hash()`` of its program counters, which Python's minor version and
    MPyC's version decide; so both enter.
    """
    minor = platform.python_version_tuple()[1]
    text = f"{program}|p={field.PRIME}|mpyc={version('mpyc')}|python=3.{minor}|law={law.hex()}"
    return hashlib.sha256(b"upcare/v1/program|" + text.encode()).digest()


def check_descriptor(
    descriptor: Descriptor,
    question: Question,
    *,
    signing_key: bytes,
    sealing_key: bytes,
    network: bytes,
    committee: int,
) -> None:
    """Hold a session against a question: every line must be what the question implies.

    Raises:
        ProtocolError: The session is about something else than what was asked.
    """
    study, loss = question.study, question.guarantee.loss
    wanted = (
        ("network", descriptor.network, network),
        ("study", descriptor.study, question.digest),
        ("layout", descriptor.layout, question.layout.digest),
        ("number of cells", descriptor.cells, question.layout.cells),
        ("law of the noise", descriptor.law, question.law.digest),
        (
            "program",
            descriptor.program,
            program_of(study.release, deposits=study.deposits is not None),
        ),
        ("epsilon", descriptor.epsilon, loss.epsilon),
        ("rho", descriptor.rho, loss.rho),
        ("delta", descriptor.delta, loss.delta),
        ("overlap", descriptor.overlap, question.guarantee.overlap),
        ("researcher's signing key", descriptor.signing_key, signing_key),
        ("researcher's sealing key", descriptor.sealing_key, sealing_key),
        ("committee", descriptor.parties, committee),
        ("word on deposits", bool(descriptor.deposits), study.deposits is not None),
    )
    for what, got, want in wanted:
        if got != want:
            raise ProtocolError(f"the session has another {what} than the study implies")
    asked = {member.name for member in descriptor.roster}
    # Deposits were made once, to one key: a registry that is lost later does not lose them too.
    lacks = asked < set(study.registries) and study.deposits is not None
    if asked != set(study.registries) and not lacks:
        raise ProtocolError("the session has another roster than the study implies")
