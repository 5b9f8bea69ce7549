"""What a study asks of this registry, worked out before anything is spent.

Everything here is a function of the study's text, the network's agreement and the registry's
policy; no record is looked at, so nothing visible can depend on one.
"""

from dataclasses import dataclass
from functools import lru_cache

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.kinds import Kind, of
from upcare_mpc.link.statements import check_request
from upcare_mpc.mpc.programs.contract import PROGRAM
from upcare_mpc.node.config import Agreement, Policy
from upcare_mpc.privacy.guarantee import Guarantee, laplace_release
from upcare_mpc.privacy.laplace import SampledLaplace
from upcare_mpc.privacy.ledger import Charge
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.layout import Layout
from upcare_mpc.study.spec import Study

__all__ = ["Question", "check_descriptor", "check_policy", "read_question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A researcher's signed study and what follows from it.

    Attributes:
        request: As signed.
        study: Parsed, with the network's overlap filled in.
        digest: Digest of the study as the researcher signed it.
        kind: The statistic.
        layout: The table's cells and sensitivity.
        law: Exact law of the noise.
        guarantee: What the release guarantees, and what every registry is charged.
    """

    request: study_pb2.StudyRequest
    study: Study
    digest: bytes
    kind: Kind
    layout: Layout
    law: SampledLaplace
    guarantee: Guarantee

    @property
    def charge(self) -> Charge:
        """What every registry pays: the full cost of the pooled release."""
        return Charge(
            epsilon=self.guarantee.epsilon,
            delta=self.guarantee.delta,
            purpose=self.study.purpose,
        )


_release = lru_cache(maxsize=64)(laplace_release)


def read_question(
    request: study_pb2.StudyRequest, agreement: Agreement, *, now: float
) -> Question:
    """Check a signed request and work out what it asks.

    Raises:
        ProtocolError: Not signed by the key it names, or too old.
        StudyError: Not a study that this network can answer.
    """
    check_request(request, now=now)
    signed = Study.from_canonical(request.study)
    study = signed.resolved(agreement.overlap)
    kind = of(study)
    layout = kind.layout()
    law, guarantee = _release(study.epsilon, layout.sensitivity, study.overlap or 1)
    return Question(
        request=request,
        study=study,
        digest=signed.digest,
        kind=kind,
        layout=layout,
        law=law,
        guarantee=guarantee,
    )


def check_policy(question: Question, policy: Policy, *, registry: str) -> None:
    """Hold a question against the policy: whatever is not listed is refused.

    Raises:
        RefusedError: One sentence that says which line of the policy it is.
    """
    study = question.study
    if registry not in study.registries:
        raise RefusedError(f"{registry} is not asked by this study")
    if question.request.signing_key not in policy.researchers.values():
        raise RefusedError(f"{registry} does not know this researcher's key")
    if study.purpose not in policy.purposes:
        accepted = ", ".join(sorted(policy.purposes)) or "none"
        raise RefusedError(
            f"{registry} does not accept purpose {study.purpose} (accepted: {accepted})"
        )
    if study.kind not in policy.kinds:
        raise RefusedError(f"{registry} does not accept studies of kind {study.kind}")
    if question.guarantee.epsilon > policy.epsilon_per_study:
        raise RefusedError(
            f"{registry} accepts at most epsilon {float(policy.epsilon_per_study):g} a study, "
            f"{float(question.guarantee.epsilon):g} asked"
        )


def check_descriptor(
    descriptor: Descriptor, question: Question, *, network: bytes, committee: int
) -> None:
    """Hold a proposed session against the question: every line must be what it implies.

    Raises:
        ProtocolError: The platform proposes something else than what was asked.
    """
    study = question.study
    wanted = (
        ("network", descriptor.network, network),
        ("study", descriptor.study, question.digest),
        ("layout", descriptor.layout, question.layout.digest),
        ("number of cells", descriptor.cells, question.layout.cells),
        ("law of the noise", descriptor.law, question.law.digest),
        ("program", descriptor.program, PROGRAM),
        ("epsilon", descriptor.epsilon, question.guarantee.epsilon),
        ("overlap", descriptor.overlap, question.guarantee.overlap),
        ("researcher's signing key", descriptor.signing_key, question.request.signing_key),
        ("researcher's sealing key", descriptor.sealing_key, question.request.sealing_key),
        ("committee", descriptor.parties, committee),
        ("roster", sorted(m.name for m in descriptor.roster), sorted(study.registries)),
    )
    for what, got, want in wanted:
        if got != want:
            raise ProtocolError(f"the proposed session has another {what} than the study implies")
