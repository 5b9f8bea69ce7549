"""What entered a study besides the tables of its online registries: worked out again from papers.

The holders' signed findings say which deposits enter; the set that follows from them is the one in
the session descriptor, which every registry of the session has approved. Places that were dropped
in the session, because they were no valid answer, are in what every computing registry has signed.

Trusted: that of the t + 1 holders who checked a deposit one was honest, as everywhere.
"""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.findings import Findings, FrozenSet, freeze
from upcare_mpc.deposits.matching import check_collection
from upcare_mpc.errors import OpeningError, ProtocolError
from upcare_mpc.he.parameters import flooding_distance
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.certificates import Network
from upcare_mpc.link.signers import holders_verifier
from upcare_mpc.study.descriptor import Descriptor

__all__ = ["Deposited", "open_deposits"]

MAX_ATTEMPTS = 3  # sessions that a holder joins on one key


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited:
    """The deposits of a study that is done.

    Attributes:
        collection: What was collected.
        frozen: Which deposits were converted, and why others were not.
        dropped: Places of converted deposits of patients that were no valid answer; not added.
    """

    collection: Collection
    frozen: FrozenSet
    dropped: tuple[int, ...]

    @property
    def registries(self) -> tuple[str, ...]:
        """Registries whose tables are in the sum."""
        return tuple(sorted(self.frozen.registries.values()))

    @property
    def patients(self) -> int:
        """How many patients' answers are in the sum."""
        return len(self.frozen.accepted) - len(self.frozen.registries) - len(self.dropped)

    @property
    def flooding(self) -> Fraction | None:
        """Bound on how far from perfect the masks were of what opened in the conversions.

        Of all sessions that may have been tried. None where nothing opens: with envelope
        ``sealed``, and where three registries compute (``mpc.programs.rounding``).
        """
        if self.collection.envelope != "rlwe" or self.collection.threshold == 1:
            return None
        tables = len(self.frozen.registries)
        answers = len(self.frozen.accepted) - tables
        distance = Fraction(0)
        for conversions, deposits in ((int(tables > 0), tables), (answers, 1)):
            if conversions:
                distance += conversions * flooding_distance(
                    cells=self.collection.cells,
                    deposits=deposits,
                    holders=self.collection.parties,
                )
        return distance * MAX_ATTEMPTS

    def label(self) -> dict[str, Any]:
        """For the privacy label, JSON-ready."""
        flooding = self.flooding
        return {
            "envelope": self.collection.envelope,
            "collection": self.collection.digest.hex(),
            "registries": list(self.registries),
            "patients": self.patients,
            "refused": dict(sorted(Counter(self.frozen.refused.values()).items())),
            "dropped": len(self.dropped),
            "flooding": None if flooding is None else _power(flooding),
            "flooding_exact": None if flooding is None else str(flooding),
            "holders": list(self.collection.names),
            "threshold": self.collection.threshold,
        }


def open_deposits(
    parts: Sequence[coordinator_pb2.ResultResponse],
    question: Question,
    descriptor: Descriptor,
    network: Network,
    *,
    at: datetime.datetime,
    dropped: tuple[int, ...],
    committee: int,
) -> Deposited:
    """Check which deposits entered a session.

    Args:
        parts: What the platform has handed out.
        question: What was asked.
        descriptor: The session, checked.
        network: Trust anchor.
        at: When the holders' certificates have to be in force.
        dropped: What every output says was dropped; signed.
        committee: How many registries compute in this network.

    Raises:
        ProtocolError: The collection is not the study's, a signature is missing or not a holder's,
            or another set follows from the findings than the one in the session.
        ConfigError: A holder's certificate was not in force then, or is of another network.
        OpeningError: What was dropped is not among what was converted.
    """
    received = [part.collection for part in parts if part.HasField("collection")]
    if len(received) != 1:
        raise ProtocolError("the result of a study with deposits comes with their collection")
    collection = Collection.from_canonical(received[0])
    check_collection(collection, question, network=descriptor.network, committee=committee)
    if collection.signing_key != descriptor.signing_key:
        raise ProtocolError("the deposits were collected for another researcher")
    findings = [
        Findings.from_canonical(part.findings.findings, part.findings.signature)
        for part in parts
        if part.HasField("findings")
    ]
    frozen = freeze(collection, findings, holders_verifier(collection, findings, network, at=at))
    if frozen.digest != descriptor.deposits:
        raise ProtocolError("the session has other deposits than the holders have found")
    _check_dropped(dropped, frozen)
    return Deposited(collection=collection, frozen=frozen, dropped=dropped)


def _check_dropped(dropped: tuple[int, ...], frozen: FrozenSet) -> None:
    entering: Mapping[int, str] = frozen.registries
    good = set(frozen.accepted) - set(entering)
    if list(dropped) != sorted(set(dropped) & good):
        raise OpeningError("the computing registries dropped what is no patient's deposit")


def _power(distance: Fraction) -> str:
    """The least power of two that is not below it."""
    if not distance:
        return "0"
    exponent = distance.numerator.bit_length() - distance.denominator.bit_length()
    while Fraction(2) ** exponent < distance:
        exponent += 1
    while Fraction(2) ** (exponent - 1) >= distance:
        exponent -= 1
    return f"2^{exponent}"
