"""A registry that runs no node: what is charged, counted and stored before a deposit leaves."""

import asyncio
import datetime
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from registries import Registries, Registry, registries

from upcare_mpc.consent.use import of_study
from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.errors import BudgetExceeded, RefusedError
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.node import server
from upcare_mpc.node.books import Books
from upcare_mpc.node.offline import OfflineRegistry
from upcare_mpc.storage.sessions import SessionState
from upcare_mpc.study.spec import Study, parse

HOLDERS = ("de-a", "de-b", "de-c")


def asked(title: str = "Grades", *, epsilon: str = "4", registries: str = '"fr-a"') -> Study:
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        'registries = ["de-a", "de-b", "de-c"]\noverlap = 1\n'
        f"[deposits]\nregistries = [{registries}]\n"
        f'[cohort]\nwhere = "true"\n[privacy]\nepsilon = {epsilon}\n[counts]\nby = ["sex"]\n',
        name="study.toml",
    )


def question_of(study: Study) -> Question:
    return work_out(study, network_overlap=1)


@dataclass
class Encrypter:
    """Stands for the encryption; keeps what it was given, and may fail."""

    seen: list[npt.NDArray[np.int64]] = field(default_factory=list)
    fails: bool = False

    def __call__(self, vector: npt.NDArray[np.int64]) -> bytes:
        self.seen.append(vector)
        if self.fails:
            raise KeyboardInterrupt
        return os.urandom(40)


@dataclass
class Operator:
    """The operator of fr-a."""

    network: Registries
    registry: Registry

    def __post_init__(self) -> None:
        self.encrypt = Encrypter()

    @property
    def books(self) -> Books:
        """As a new process opens them."""
        return Books(self.registry.database, self.registry.node.party.policy, b"")

    def offline(self) -> OfflineRegistry:
        node = self.registry.node
        return OfflineRegistry(party=node.party, books=self.books, load=lambda: node.snapshot)

    def collection(self, study: Study) -> Collection:
        question = question_of(study)
        return Collection(
            network=self.network.researcher.network.fingerprint,
            study=question.digest,
            signing_key=self.network.researcher.signing_key,
            cells=question.layout.cells,
            envelope="rlwe",
            holders=tuple(Holder(name=name, certificate=bytes(32)) for name in HOLDERS),
            threshold=1,
            depositors=("fr-a",),
            vouchers=(),
            opened=1,
            closes=2,
            nonce=os.urandom(16),
        )

    def deposits(self, collection: Collection, study: Study, *, approve: bool = False) -> bytes:
        return self.offline().deposit(
            collection, study, question_of(study), self.encrypt, approve=approve
        )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Operator]]:
    made = []

    def operator(approval: str = "automatic") -> Operator:
        network = registries(tmp_path / approval, names=("fr-a",), approval=approval)
        made.append(network)
        return Operator(network, network["fr-a"])

    yield operator
    for network in made:
        network.close()


@pytest.fixture
def operator(make: Callable[[], Operator]) -> Operator:
    return make()


def test_the_table_is_what_a_node_would_count_and_the_charge_is_final(operator: Operator) -> None:
    study = asked()

    operator.deposits(operator.collection(study), study)

    (vector,) = operator.encrypt.seen
    snapshot, question = operator.registry.node.snapshot, question_of(study)
    use = of_study(study, data_set="fr-a")
    assert vector.tobytes() == snapshot.tabulate(question.kind, use)
    assert vector.sum() == 63  # all tumours of the delivery
    assert operator.registry.charges == ["settled"]


def test_the_ledger_is_charged_before_the_vector_is_given_to_the_encryption(
    operator: Operator,
) -> None:
    states = []

    def encrypt(vector: npt.NDArray[np.int64]) -> bytes:
        states.extend(operator.registry.charges)
        return b"deposit"

    study = asked()
    operator.offline().deposit(
        operator.collection(study), study, question_of(study), encrypt, approve=False
    )

    assert states == ["spent"]


def test_a_second_time_the_same_bytes_come_back_at_no_cost(operator: Operator) -> None:
    study = asked()
    collection = operator.collection(study)

    first = operator.deposits(collection, study)
    again = operator.deposits(collection, study)

    assert first == again
    assert len(operator.encrypt.seen) == 1
    assert operator.registry.charges == ["settled"]


def test_a_stop_after_the_charge_is_taken_up_without_another_charge(operator: Operator) -> None:
    study = asked()
    collection = operator.collection(study)
    operator.encrypt.fails = True
    with pytest.raises(KeyboardInterrupt):
        operator.deposits(collection, study)
    assert operator.books.progress(collection.digest) is SessionState.SPENT

    operator.encrypt.fails = False
    operator.deposits(collection, study)

    assert operator.registry.charges == ["settled"]


def test_another_collection_of_the_same_study_is_another_charge(operator: Operator) -> None:
    study = asked()
    operator.deposits(operator.collection(study), study)
    operator.deposits(operator.collection(study), study)
    assert operator.registry.charges == ["settled", "settled"]

    with pytest.raises(BudgetExceeded):  # 4 + 4 of 10
        operator.deposits(operator.collection(study), study)
    assert len(operator.encrypt.seen) == 2


@pytest.mark.parametrize(
    ("study", "says"),
    [
        (asked(epsilon="6"), "fr-a accepts at most epsilon 5 a study"),
        (asked(registries='"fr-b"'), "fr-a is not asked by this study"),
    ],
)
def test_what_the_policy_does_not_list_is_refused_before_any_charge(
    operator: Operator, study: Study, says: str
) -> None:
    with pytest.raises(RefusedError, match=says):
        operator.deposits(operator.collection(study), study)

    assert operator.registry.charges == []
    assert operator.encrypt.seen == []


def test_a_stranger_is_refused(operator: Operator) -> None:
    study = asked()
    collection = operator.collection(study)
    object.__setattr__(collection, "signing_key", b"\1" * 32)

    with pytest.raises(RefusedError, match="does not know this researcher's key"):
        operator.deposits(collection, study)


def test_with_manual_approval_the_operator_has_to_say_yes_once(
    make: Callable[[str], Operator],
) -> None:
    operator = make("manual")
    study = asked()
    collection = operator.collection(study)
    with pytest.raises(RefusedError, match="waits for its operator"):
        operator.deposits(collection, study)
    assert operator.registry.charges == []

    first = operator.deposits(collection, study, approve=True)

    assert operator.deposits(collection, study) == first  # sent again: nothing to approve
    with pytest.raises(RefusedError, match="waits for its operator"):  # her yes is used up
        operator.deposits(operator.collection(study), study)


def test_who_objects_is_not_in_the_deposit(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "renewal_time", lambda _: 0.0)
    study = asked()
    delivery = operator.network.folder / "fr-a" / "delivery.csv"
    somebody = delivery.read_text("utf-8").splitlines()[1].split(";")[0].strip('"')
    operator.deposits(operator.collection(study), study)

    operator.registry.objects(somebody)
    operator.registry.clock.today += datetime.timedelta(days=7)
    asyncio.run(operator.registry.node.renew_data())
    operator.deposits(operator.collection(study), study)

    before, after = operator.encrypt.seen
    assert before.sum() - after.sum() == 1


def test_a_reservation_is_given_back_when_the_collection_is_over(operator: Operator) -> None:
    study = asked()
    collection, question = operator.collection(study), question_of(study)
    offline = operator.offline()

    def broken(*_: object) -> bytes:
        raise OSError("the disk is full")

    offline.books.spend = broken  # type: ignore[assignment]
    with pytest.raises(OSError, match="disk"):
        offline.deposit(collection, study, question, operator.encrypt, approve=False)
    assert operator.registry.charges == ["reserved"]

    assert operator.offline().give_up(collection, question)

    assert operator.registry.charges == ["released"]
    with pytest.raises(RefusedError, match="has given this collection up"):
        operator.deposits(collection, study)


def test_a_deposit_that_was_stored_is_not_given_up(operator: Operator) -> None:
    study = asked()
    collection = operator.collection(study)
    operator.deposits(collection, study)

    assert not operator.offline().give_up(collection, question_of(study))
    assert operator.registry.charges == ["settled"]
