"""What a study asks of this registry, worked out before anything is spent.

Everything here is a function of the study's text, the network's agreement and the registry's
policy; no record is looked at, so nothing visible can depend on one.
"""

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement, Certified, Policy
from upcare_mpc.consent import duo
from upcare_mpc.consent.use import Use, of_study
from upcare_mpc.errors import RefusedError
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.link.statements import RequestMethod, check_request
from upcare_mpc.privacy.ledger import Charge
from upcare_mpc.study.spec import Study

__all__ = ["charge", "check_policy", "read_question", "use_of"]

Request = study_pb2.StudyRequest


def read_question(
    request: Request, agreement: Agreement, *methods: RequestMethod, now: float
) -> Question:
    """Check a signed request and work out what it asks.

    Raises:
        ProtocolError: Not signed by the key it names, or for something else, or too old.
        StudyError: Not a study that this network can answer.
    """
    check_request(request, *methods, now=now)
    study = Study.from_canonical(request.study)
    return work_out(study, network_overlap=agreement.overlap)


def charge(question: Question) -> Charge:
    """What every registry pays: the full cost of the pooled release."""
    return Charge(loss=question.guarantee.loss, purpose=question.study.purpose)


def check_policy(question: Question, request: Request, policy: Policy, *, registry: str) -> None:
    """Hold a question against the policy: whatever is not listed is refused.

    Raises:
        RefusedError: Which line of the policy it is; reads on after the registry's name.
    """
    study = question.study
    deposits = () if study.deposits is None else study.deposits.registries
    if registry not in (*study.registries, *deposits):
        raise RefusedError("is not asked by this study")
    if request.signing_key not in policy.researchers.values():
        raise RefusedError("does not know this researcher's key")
    if not duo.known_purposes({study.purpose}):
        raise RefusedError(f"does not know purpose {study.purpose}")
    if study.purpose not in policy.purposes:
        accepted = ", ".join(sorted(policy.purposes)) or "none"
        raise RefusedError(f"does not accept purpose {study.purpose} (accepted: {accepted})")
    if study.kind not in policy.kinds:
        raise RefusedError(f"does not accept studies of kind {study.kind}")
    delta = question.guarantee.delta if study.delta is None else study.delta
    for name, asked, most in (
        ("epsilon", study.epsilon, policy.epsilon_per_study),
        ("delta", delta, policy.delta_per_study),
    ):
        if asked > most:
            raise RefusedError(
                f"accepts at most {name} {float(most):g} a study, {float(asked):g} asked"
            )
    _check_cohort(study.release.minimum_cohort, policy.minimum_cohort)


def use_of(question: Question, request: Request, policy: Policy, *, registry: str) -> Use:
    """Return what a question asks of the patients' data, for the gate.

    Args:
        question: As it passed `check_policy`.
        request: Names the researcher, of whom the policy may certify something.
        policy: Of this registry.
        registry: Its name, which is that of its data set.
    """
    certified = policy.certified.get(request.signing_key, Certified())
    return of_study(
        question.study, data_set=registry, claims=certified.claims, region=certified.region
    )


def _check_cohort(declared: int | None, wanted: int | None) -> None:
    if wanted is not None and (declared is None or declared < wanted):
        has = "none" if declared is None else str(declared)
        raise RefusedError(
            f"wants release.minimum_cohort of at least {wanted}, this study has {has}"
        )
