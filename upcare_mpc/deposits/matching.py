"""A collection held against the study that it is for.

Contributors, holders and the researcher all ask this, so that nobody takes part in a collection
that says of the study what its text does not say.
"""

from upcare_mpc.deposits.collection import Collection
from upcare_mpc.errors import ProtocolError
from upcare_mpc.kinds.question import Question

__all__ = ["check_collection"]

PAIR_COMMITTEE = 3
"""Where three compute, two convert a deposit and open nothing (``mpc.programs.rounding``). What
more of them open of a crafted ciphertext tells of the key: there patients' are not taken."""
_DAY_S = 24 * 3600


def check_collection(
    collection: Collection, question: Question, *, network: bytes, committee: int
) -> None:
    """Check that every line of a collection is what the question implies.

    Args:
        collection: As it was received.
        question: What the study implies in this network.
        network: SHA-256 of the network's CA certificate.
        committee: How many registries compute in a study of this network.

    Raises:
        ProtocolError: It is of another study or network, or is not what the study asks for.
    """
    study = question.study
    asked = study.deposits
    if asked is None:
        raise ProtocolError("the study takes no deposits")
    wanted = (
        ("network", collection.network, network),
        ("study", collection.study, question.digest),
        ("number of cells", collection.cells, question.layout.cells),
        ("envelope", collection.envelope, asked.envelope),
        ("threshold", collection.threshold, (committee - 1) // 2),
        (
            "list of depositors",
            sorted(collection.depositors),
            sorted(asked.registries),
        ),
    )
    for what, got, want in wanted:
        if got != want:
            raise ProtocolError(f"the collection has another {what} than the study implies")
    if asked.patients and asked.envelope == "rlwe" and committee > PAIR_COMMITTEE:
        raise ProtocolError(
            f"patients deposit in envelope sealed where {committee} registries compute"
        )
    vouching = {*study.registries, *asked.registries} if asked.patients else set()
    if not set(collection.vouchers) <= vouching or bool(collection.vouchers) != asked.patients:
        raise ProtocolError("the collection lets others vouch for patients than the study implies")
    if not set(collection.names) <= set(study.registries) or collection.parties < committee:
        raise ProtocolError("the collection's key is held by others than the study's registries")
    if collection.closes - collection.opened > asked.days * _DAY_S:
        raise ProtocolError(f"the study's deposits are taken for {asked.days} days at most")
