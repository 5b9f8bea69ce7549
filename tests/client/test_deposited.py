"""Which deposits are in a result: worked out from signed findings, on nobody's word alone."""

import datetime
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from registries import NAMES, Registries, registries
from test_result import AGREEMENT, NOISY, Answer, Parts

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.cli import show
from upcare_mpc.client.signed_json import read_result, result_json
from upcare_mpc.client.study_result import Label
from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.deposits.findings import Findings, FrozenSet, checkers_of, freeze, list_digest
from upcare_mpc.errors import OpeningError, ProtocolError, UpcareError
from upcare_mpc.link.certificates import verify_signature
from upcare_mpc.link.statements import spent_in, spent_statement
from upcare_mpc.mpc import field
from upcare_mpc.mpc.opening import output_statement, seal_share
from upcare_mpc.mpc.programs.contract import program_of
from upcare_mpc.study.spec import parse

part = coordinator_pb2.ResultResponse
COUNT = 7
LIST = list_digest(b"\1" * 32, [b"\2" * 32] * COUNT)
REFUSED = {3: "proof", 5: "submitter"}
TABLES = {0: "fr-b"}
STUDY = parse(
    'version = 1\ntitle = "Grades"\nkind = "counts"\npurpose = "DUO:0000007"\n'
    'registries = ["de-a", "de-b", "de-c", "fr-a"]\noverlap = 2\n'
    '[deposits]\nregistries = ["fr-b"]\npatients = true\n'
    '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 1\n[counts]\nby = ["grade"]\n',
    name="study.toml",
)


class DepositedAnswer(Answer):
    """A true answer of a study with deposits: a table, and six patients of whom two are refused.

    Attributes:
        dropped: What the computing registries drop.
        roster: Registries of the session, the computing ones first.
    """

    dropped: tuple[int, ...] = (4,)
    roster: tuple[str, ...] = NAMES

    def __init__(self, network: Registries) -> None:
        self.network = network
        self.study = STUDY
        self.collection = self.collect()
        self.findings = [self.found(name) for name in NAMES]
        self.compose()

    def collect(self) -> Collection:
        question = self.network.question(STUDY)
        return Collection(
            network=self.network.researcher.network.fingerprint,
            study=STUDY.digest,
            signing_key=self.network.researcher.signing_key,
            cells=question.layout.cells,
            envelope="rlwe",
            holders=tuple(
                Holder(name=name, certificate=self.network.identity(name).party.fingerprint)
                for name in NAMES
            ),
            threshold=1,
            depositors=("fr-b",),
            vouchers=(*NAMES, "fr-b"),
            opened=1_800_000_000,
            closes=1_800_003_600,
            nonce=os.urandom(16),
        )

    def found(
        self,
        name: str,
        *,
        refused: Mapping[int, str] = REFUSED,
        tables: Mapping[int, str] = TABLES,
        present: tuple[str, ...] = NAMES,
    ) -> Findings:
        """What one holder finds: of the deposits that it checks."""

        def own(said: Mapping[int, str]) -> dict[int, str]:
            return {p: what for p, what in said.items() if name in checkers_of(p, present, 1)}

        findings = Findings(
            collection=self.collection.digest,
            count=COUNT,
            deposits=LIST,
            present=present,
            holder=name,
            certificate=self.network.identity(name).certificate_pem,
            refused=own(refused),
            registries=own(tables),
        )
        return findings.signed(self.network.identity(name).sign)

    @property
    def frozen(self) -> FrozenSet:
        """The set that follows from the findings."""

        def verify(name: str, statement: bytes, signature: bytes) -> None:
            certificate = self.network.identity(name).certificate_pem.decode()
            now = datetime.datetime.now(datetime.UTC)
            _, checked = self.network.researcher.network.verify(certificate, now=now)
            verify_signature(checked, statement, signature)

        return freeze(self.collection, self.findings, verify)

    def compose(self, **changed: bytes) -> None:
        """Compose the session and all parts of its answer."""
        plain = Answer(self.network)
        roster = tuple(m for m in plain.descriptor.roster if m.name in self.roster)
        question = self.network.question(STUDY)
        loss, deposits = question.guarantee.loss, self.frozen.digest
        self.descriptor = replace(
            plain.descriptor,
            study=STUDY.digest,
            layout=question.layout.digest,
            law=question.law.digest,
            epsilon=loss.epsilon,
            rho=loss.rho,
            delta=loss.delta,
            overlap=2,
            program=program_of(STUDY.release, deposits=True),
            roster=roster,
            **{"deposits": deposits, **changed},  # type: ignore[arg-type]
        )
        generator = np.random.default_rng(1)

        def words(size: int) -> field.Words:
            return generator.integers(0, field.PRIME, size, dtype=np.uint64)

        self.shares = field.share(field.encode(NOISY), parties=3, threshold=1, random=words)
        pems = [self.network.identity(m.name).certificate_pem.decode() for m in roster]
        self.parts: Parts = [
            part(descriptor=self.descriptor.canonical()),
            *(part(certificate=pem) for pem in pems),
            *(part(output=self.output(index, share)) for index, share in enumerate(self.shares)),
            *(part(spent=self.spent(member.name)) for member in roster),
            part(collection=self.collection.canonical()),
            *(part(findings=signed(found)) for found in self.findings),
        ]

    def output(
        self, index: int, share: field.Words, agreement: bytes = AGREEMENT
    ) -> study_pb2.Output:
        sealed = seal_share(
            share,
            self.network.researcher.sealing_key,
            session=self.descriptor.digest,
            sender=NAMES[index],
            index=index,
        )
        digest = self.descriptor.digest
        statement = output_statement(digest, index, agreement, sealed, self.dropped)
        return study_pb2.Output(
            session_digest=digest,
            index=index,
            agreement=agreement,
            sealed=sealed,
            signature=self.network.identity(NAMES[index]).sign(statement),
            dropped=self.dropped,
        )

    def spent(self, name: str, **changed: str) -> study_pb2.Spent:
        del changed
        spent = spent_in(self.descriptor, name)
        spent.signature = self.network.identity(name).sign(spent_statement(spent))
        return spent


def signed(found: Findings) -> deposit_pb2.SignedFindings:
    return deposit_pb2.SignedFindings(
        collection=found.collection, findings=found.canonical(), signature=found.signature
    )


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    made = registries(tmp_path_factory.mktemp("registries"))
    yield made
    made.close()


@pytest.fixture
def answer(network: Registries) -> DepositedAnswer:
    return DepositedAnswer(network)


def test_the_label_says_what_entered_and_what_did_not(answer: DepositedAnswer) -> None:
    opened = answer.open()

    label = opened.label()
    assert opened.deposits is not None
    assert label["missing"] == []
    assert label["deposits"] == {
        "envelope": "rlwe",
        "collection": answer.collection.digest.hex(),
        "registries": ["fr-b"],
        "patients": 3,  # 1, 2 and 6; 4 was dropped, 3 and 5 refused
        "refused": {"proof": 1, "submitter": 1},
        "dropped": 1,
        "flooding": None,
        "flooding_exact": None,
        "holders": list(NAMES),
        "threshold": 1,
    }
    json.dumps(label)


def test_where_three_compute_nothing_opens_and_no_mask_is_stated(answer: DepositedAnswer) -> None:
    deposits = answer.open().deposits
    assert deposits is not None
    assert deposits.flooding is None
    assert deposits.label()["flooding"] is None


def test_the_bound_on_the_masks_covers_every_conversion_of_every_session(
    answer: DepositedAnswer,
) -> None:
    deposits = answer.open().deposits
    assert deposits is not None
    deposits = replace(deposits, collection=of_seven(deposits.collection))
    # 4 cells; one conversion of one table, and four of a patient each; 7 holders; 3 sessions.
    worst = 21 * (2 * 8192 * 7 + 1) + 1 + 7
    assert deposits.flooding == Fraction(3 * 5 * 4 * worst, 1 << 111)
    power = deposits.label()["flooding"]
    exponent = int(power.removeprefix("2^"))
    assert Fraction(2) ** (exponent - 1) < deposits.flooding <= Fraction(2) ** exponent


def of_seven(collection: Collection) -> Collection:
    """The same, of a network in which five compute."""
    more = tuple(Holder(name=f"more-{i}", certificate=bytes(32)) for i in range(7))
    return replace(collection, holders=(*collection.holders, *more)[:7], threshold=2)


def test_a_depositing_registry_is_named_and_its_charge_is_its_own(answer: DepositedAnswer) -> None:
    opened = answer.open()

    last = opened.registries[-1]
    assert (last.name, last.role, last.spent) == ("fr-b", "depositing", None)
    assert [r.spent for r in opened.registries[:-1]] == [opened.question.guarantee.loss] * 4


def test_the_label_can_be_read_by_people(
    answer: DepositedAnswer, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = answer.open()

    show.print_result(opened)
    shown = capsys.readouterr().out
    assert "table of fr-b, 3 patients" in shown
    assert "patient, in at most 2 sources: registries' tables and deposits of her own" in (
        " ".join(shown.split())
    )
    assert "1 for proof, 1 for submitter, 1 no answer" in shown
    assert "fr-b known to itself (depositing)" in " ".join(shown.split())
    assert "deposits: patients" in repr(Label(opened.label()))


def test_papers_and_json_carry_the_findings(answer: DepositedAnswer) -> None:
    over_http = read_result(json.loads(json.dumps(result_json(answer.parts))))

    assert answer.open(list(over_http)).label() == answer.open().label()


def test_a_registry_that_was_lost_after_the_deposits_is_named(network: Registries) -> None:
    answer = DepositedAnswer(network)
    answer.roster = NAMES[:3]
    answer.findings = [answer.found(name, present=NAMES[:3]) for name in NAMES[:3]]
    answer.compose()

    assert answer.open().label()["missing"] == ["fr-a"]


def test_findings_of_a_registry_that_was_lost_after_it_had_checked_count(
    network: Registries,
) -> None:
    """A session before failed; its set stays, and the findings that it follows from."""
    answer = DepositedAnswer(network)
    answer.roster = NAMES[:3]
    answer.compose()

    opened = answer.open()

    assert opened.label()["missing"] == ["fr-a"]
    assert opened.label()["deposits"]["refused"] == {"proof": 1, "submitter": 1}


def test_findings_come_with_their_holder_s_certificate(answer: DepositedAnswer) -> None:
    other = answer.network.identity("de-b").certificate_pem
    found = replace(answer.findings[3], certificate=other)
    answer.findings[3] = found.signed(answer.network.identity("de-b").sign)
    answer.parts[-1].findings.CopyFrom(signed(answer.findings[3]))

    with pytest.raises(ProtocolError, match="the findings of fr-a come without its certificate"):
        answer.open()


def refuses(answer: DepositedAnswer, change: Callable[[Parts], object], says: str) -> None:
    with pytest.raises(UpcareError, match=says):
        answer.open(answer.changed(change))


def of(parts: Parts, name: str) -> list[int]:
    return [place for place, each in enumerate(parts) if each.HasField(name)]


def test_findings_cannot_be_left_out_or_altered(answer: DepositedAnswer) -> None:
    def without_one(parts: Parts) -> None:
        del parts[of(parts, "findings")[0]]

    def without_collection(parts: Parts) -> None:
        del parts[of(parts, "collection")[0]]

    def altered(parts: Parts) -> None:
        found = parts[of(parts, "findings")[1]].findings
        found.findings = found.findings.replace(b'"count":7', b'"count":8')

    refuses(answer, without_one, "findings of every holder present")
    refuses(answer, without_collection, "comes with their collection")
    refuses(answer, altered, "do not have the same deposits|not the named party's")


def test_a_session_on_another_set_than_was_found_is_noticed(answer: DepositedAnswer) -> None:
    answer.compose(deposits=b"\7" * 32)

    with pytest.raises(ProtocolError, match="other deposits than the holders have found"):
        answer.open()


def test_a_holder_cannot_find_for_another(answer: DepositedAnswer) -> None:
    answer.findings[1] = replace(answer.findings[1], signature=answer.findings[0].signature)
    answer.parts[-3].findings.CopyFrom(signed(answer.findings[1]))

    with pytest.raises(ProtocolError, match="not the named party's"):
        answer.open()


def test_the_collection_of_another_researcher_is_none(answer: DepositedAnswer) -> None:
    answer.collection = replace(answer.collection, signing_key=b"\3" * 32)
    answer.findings = [answer.found(name) for name in NAMES]
    answer.compose()

    with pytest.raises(ProtocolError, match="for another researcher"):
        answer.open()


def test_what_was_dropped_is_signed_and_the_same_at_all(answer: DepositedAnswer) -> None:
    def hide(parts: Parts) -> None:
        for place in of(parts, "output"):
            parts[place].output.ClearField("dropped")

    refuses(answer, hide, "not the named party's")

    outputs = of(answer.parts, "output")
    answer.dropped = (6,)
    answer.parts[outputs[2]].output.CopyFrom(answer.output(2, answer.shares[2]))
    with pytest.raises(OpeningError, match="did not agree on one sum"):
        answer.open()


@pytest.mark.parametrize("dropped", [(0,), (3,), (9,), (6, 4), (4, 4)])
def test_only_patients_who_entered_can_be_dropped(
    network: Registries, dropped: tuple[int, ...]
) -> None:
    answer = DepositedAnswer(network)
    answer.dropped = dropped
    answer.compose()

    with pytest.raises(OpeningError, match="dropped what is no patient's deposit"):
        answer.open()


def test_checkers_who_differ_about_whose_table_it_is_freeze_nothing(
    answer: DepositedAnswer,
) -> None:
    first = checkers_of(0, NAMES, 1)[0]
    answer.findings = [answer.found(name, tables={} if name == first else TABLES) for name in NAMES]

    with pytest.raises(ProtocolError, match="do not say the same about whose"):
        answer.compose()
