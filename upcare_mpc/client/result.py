"""From sealed shares to an answer that carries its guarantee.

Checked before anything is believed: the session is about the very study that was asked, with this
researcher's keys, in this network; every certificate is the roster's, and was in force when she
asked (``link.roster.agreed_at``); every output is signed by its sender over one and the same
agreement; every share lies on one polynomial of degree t; and if the study has a rule about what is
shown, all say the same about that.
Whoever carried the result could withhold it; leave out a charge; or leave out outputs down to
t + 1, so that the shares cannot be checked against each other, which the label then says.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from cryptography import x509
from google.protobuf.message import DecodeError

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.errors import OpeningError, ProtocolError
from upcare_mpc.kinds import Result
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.link.certificates import verify_signature
from upcare_mpc.link.roster import agreed_at, check_roster
from upcare_mpc.link.statements import check_request, spent_in, spent_statement
from upcare_mpc.mpc.opening import Opened, open_sealed, output_statement
from upcare_mpc.mpc.programs.contract import check_descriptor
from upcare_mpc.privacy.accountant import Loss
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.spec import Study

if TYPE_CHECKING:
    from upcare_mpc.client.deposited import Deposited

__all__ = ["Charged", "OpenedResult", "open_papers", "open_parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """What one registry did in a study, and what it signed that it charged.

    Attributes:
        name: The registry.
        role: ``computing`` or ``contributing``; or ``depositing``, which was not online.
        spent: What it has signed that it charged, which is the session's loss; None if its
            statement has not arrived, and of a depositing one, which tells only itself.
    """

    name: str
    role: str
    spent: Loss | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedResult:
    """A finished study at the researcher.

    Attributes:
        question: What was asked and what follows from it.
        session: Digest of the session descriptor.
        opened: The noisy vector, and how well it could be checked.
        result: The estimates.
        registries: Who took part and what each has charged.
        snapshots: By registry, what names the data that it answered from; 32 bytes.
        deposits: What entered besides; None for a study without deposits.
        papers: What the platform handed out: her request, descriptor, certificates, sealed and
            signed outputs, signed charges. ``open_papers`` opens them again; she alone can.
    """

    question: Question
    session: bytes
    opened: Opened
    result: Result
    registries: tuple[Charged, ...]
    snapshots: Mapping[str, bytes]
    deposits: "Deposited | None"
    papers: tuple[bytes, ...]

    @property
    def noisy(self) -> npt.NDArray[np.int64]:
        """The noisy table as one vector, in the layout's order."""
        return self.opened.noisy

    def label(self) -> dict[str, Any]:
        """The privacy label, JSON-ready; exact fractions as text beside rounded figures."""
        guarantee = self.question.guarantee
        return {
            "mechanism": guarantee.mechanism,
            "epsilon": float(guarantee.epsilon),
            "epsilon_exact": str(guarantee.epsilon),
            "delta": float(guarantee.delta),
            "delta_exact": str(guarantee.delta),
            "scale": float(guarantee.scale),
            "scale_exact": str(guarantee.scale),
            "rho": _rounded(guarantee.rho),
            "rho_exact": _exact(guarantee.rho),
            "rho_delta": _rounded(guarantee.rho_delta),
            "rho_delta_exact": _exact(guarantee.rho_delta),
            "unit": guarantee.unit,
            "overlap": guarantee.overlap,
            "error95": self.question.error95,
            "noise_sd": self.question.noise.per(self.question.layout.tables[0].weight).sd,
            "cells": self.question.layout.cells,
            "tables": self._tables(),
            "minimum_cohort": self.question.study.release.minimum_cohort,
            "suppress_below": self.question.study.release.suppress_below,
            "purpose": self.question.study.purpose,
            "session": self.session.hex(),
            "snapshots": {name: snapshot.hex() for name, snapshot in self.snapshots.items()},
            "missing": self._missing(),
            "deposits": None if self.deposits is None else self.deposits.label(),
            "shares": self.opened.shares,
            "shares_checked": self.opened.checked,
            "adversary": "up to t = (m-1)/2 computing registries, honest but curious, with the "
            "platform and any researchers",
        }

    def _missing(self) -> list[str] | None:
        """Registries of the study that were lost after the deposits; only deposits allow that."""
        if self.deposits is None:
            return None
        return sorted(set(self.question.study.registries) - self.snapshots.keys())

    def _tables(self) -> list[dict[str, Any]]:
        """Name, cells and noise of each table, in its own unit; its cells are in this order."""
        noise = self.question.noise
        return [
            {
                "name": table.name,
                "cells": table.cells,
                "weight": table.weight,
                "error95": noise.per(table.weight).quantile95,
                "noise_sd": noise.per(table.weight).sd,
            }
            for table in self.question.layout.tables
        ]


def open_parts(
    parts: Sequence[coordinator_pb2.ResultResponse], study: Study, researcher: Researcher
) -> OpenedResult:
    """Check and open everything that the platform has handed out.

    Raises:
        ProtocolError: Something is not what was asked, or not signed by who should have.
        OpeningError: The shares do not open or do not belong together.
    """
    descriptor = _descriptor(parts)
    question = work_out(study, network_overlap=researcher.agreement.overlap)
    check_descriptor(
        descriptor,
        question,
        signing_key=researcher.signing_key,
        sealing_key=researcher.sealing_key,
        network=researcher.network.fingerprint,
        committee=researcher.agreement.committee,
    )
    pems = [part.certificate for part in parts if part.HasField("certificate")]
    agreed = _agreed(parts, study, researcher, pems)
    certificates = check_roster(descriptor, pems, researcher.network, at=agreed)
    outputs = _outputs(parts, descriptor, certificates)
    dropped = tuple(next(iter(outputs.values())).dropped)
    deposits = _deposits(parts, question, descriptor, agreed, dropped, researcher)
    opened = open_sealed(
        {index: output.sealed for index, output in outputs.items()},
        researcher.sealing,
        descriptor,
    )
    return OpenedResult(
        question=question,
        session=descriptor.digest,
        opened=opened,
        result=_finish(question, opened),
        registries=(
            *_charges(parts, descriptor, certificates, question.guarantee.loss),
            *_depositing(deposits),
        ),
        snapshots={member.name: member.snapshot for member in descriptor.roster},
        deposits=deposits,
        papers=tuple(part.SerializeToString() for part in parts),
    )


def open_papers(papers: Sequence[bytes], study: Study, researcher: Researcher) -> OpenedResult:
    """Open papers that were kept, with every check of ``open_parts``.

    Raises:
        ProtocolError, OpeningError: As ``open_parts``; or they are no papers of a result.
    """
    try:
        parts = [coordinator_pb2.ResultResponse.FromString(paper) for paper in papers]
    except DecodeError:
        raise ProtocolError("wanted the papers of a result") from None
    return open_parts(parts, study, researcher)


def _finish(question: Question, opened: Opened) -> Result:
    """The kind's estimates, or that the cohort is too small for any."""
    minimum, passing = question.study.release.minimum_cohort, opened.passing
    if minimum is None or passing is None:
        return question.kind.finish(opened.noisy, question.noise)
    if passing.cohort_met:
        result = question.kind.finish(opened.noisy, question.noise)
        cohort = {"minimum": minimum, "met": True}
        return replace(result, statistics={**result.statistics, "cohort": cohort})
    import pandas as pd  # noqa: PLC0415  spared to commands that open no result

    return Result(
        rows=pd.DataFrame(),
        statistics={"cohort": {"minimum": minimum, "met": False}},
        notes=(
            f"Below the minimum cohort: the noisy total of the table is less than {minimum}.",
            "Nothing else was opened. The study is charged all the same.",
        ),
    )


def _descriptor(parts: Sequence[coordinator_pb2.ResultResponse]) -> Descriptor:
    received = [part.descriptor for part in parts if part.HasField("descriptor")]
    if len(received) != 1:
        raise ProtocolError("a result comes with one session descriptor")
    return Descriptor.from_canonical(received[0])


def _agreed(
    parts: Sequence[coordinator_pb2.ResultResponse],
    study: Study,
    researcher: Researcher,
    certificates: Sequence[str],
) -> datetime.datetime:
    """When the registries can have agreed, by her own request; now, if the papers hold none."""
    now = datetime.datetime.now(datetime.UTC)
    received = [part.request for part in parts if part.HasField("request")]
    if not received:
        return now
    request = received[0]
    asked = (request.study, request.signing_key, request.sealing_key)
    if len(received) > 1 or asked != (
        study.canonical(),
        researcher.signing_key,
        researcher.sealing_key,
    ):
        raise ProtocolError("a result comes with the one request that it answers")
    check_request(request, "submit", "close", now=min(now.timestamp(), request.not_after))
    return agreed_at(request, certificates, now=now)


def _outputs(
    parts: Sequence[coordinator_pb2.ResultResponse],
    descriptor: Descriptor,
    certificates: Sequence[x509.Certificate],
) -> dict[int, study_pb2.Output]:
    """Check who sealed what, and that all agreed on the same inputs and noise."""
    outputs: dict[int, study_pb2.Output] = {}
    agreements, dropped = set(), set()
    for part in parts:
        if not part.HasField("output"):
            continue
        output = part.output
        if output.index >= descriptor.parties or output.index in outputs:
            raise OpeningError("an output comes from outside the committee, or twice")
        statement = output_statement(
            descriptor.digest, output.index, output.agreement, output.sealed, tuple(output.dropped)
        )
        verify_signature(certificates[output.index], statement, output.signature)
        outputs[output.index] = output
        agreements.add(output.agreement)
        dropped.add(tuple(output.dropped))
    if len(agreements) != 1 or len(dropped) != 1:
        raise OpeningError("the computing registries did not agree on one sum")
    return outputs


def _charges(
    parts: Sequence[coordinator_pb2.ResultResponse],
    descriptor: Descriptor,
    certificates: Sequence[x509.Certificate],
    loss: Loss,
) -> tuple[Charged, ...]:
    """Check who has signed that it charged the session's loss, and nothing else."""
    stated = set()
    for part in parts:
        if part.HasField("spent") and part.spent.session_digest == descriptor.digest:
            name = part.spent.registry
            place, statement = descriptor.place(name), spent_statement(part.spent)
            verify_signature(certificates[place], statement, part.spent.signature)
            if statement != spent_statement(spent_in(descriptor, name)):
                raise ProtocolError(f"{name} states another charge than the session's")
            stated.add(name)
    return tuple(
        Charged(
            name=member.name,
            role="computing" if index < descriptor.parties else "contributing",
            spent=loss if member.name in stated else None,
        )
        for index, member in enumerate(descriptor.roster)
    )


def _deposits(
    parts: Sequence[coordinator_pb2.ResultResponse],
    question: Question,
    descriptor: Descriptor,
    agreed: datetime.datetime,
    dropped: tuple[int, ...],
    researcher: Researcher,
) -> "Deposited | None":
    """Check which deposits are in the sum, if the study takes any."""
    if not descriptor.deposits:
        if dropped:
            raise OpeningError("a session without deposits has dropped some")
        return None
    from upcare_mpc.client.deposited import open_deposits  # noqa: PLC0415  spared to other studies

    return open_deposits(
        parts,
        question,
        descriptor,
        researcher.network,
        at=agreed,
        dropped=dropped,
        committee=researcher.agreement.committee,
    )


def _depositing(deposits: "Deposited | None") -> Iterator[Charged]:
    """Registries whose tables were deposited; what each has charged is known to itself alone."""
    for name in () if deposits is None else deposits.registries:
        yield Charged(name=name, role="depositing", spent=None)


def _rounded(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _exact(value: Fraction | None) -> str | None:
    return None if value is None else str(value)
