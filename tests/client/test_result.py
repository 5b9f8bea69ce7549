"""What a researcher believes: an answer that is all of one piece, signed by who should have."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from registries import NAMES, Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.client.result import OpenedResult, open_parts
from upcare_mpc.errors import OpeningError, ProtocolError, UpcareError
from upcare_mpc.link.statements import spent_statement
from upcare_mpc.mpc import field
from upcare_mpc.mpc.opening import output_statement, seal_share

Parts = list[coordinator_pb2.ResultResponse]
NOISY = np.array([5, -2, 70, 0], dtype=np.int64)
AGREEMENT = b"\5" * 32


class Answer:
    """A true answer in parts, as the platform hands it out."""

    def __init__(self, network: Registries) -> None:
        self.network = network
        self.study = counts()
        self.descriptor, proposal = network.proposal(self.study)
        generator = np.random.default_rng(1)

        def words(size: int) -> field.Words:
            return generator.integers(0, field.PRIME, size, dtype=np.uint64)

        shares = field.share(field.encode(NOISY), parties=3, threshold=1, random=words)
        part = coordinator_pb2.ResultResponse
        self.parts: Parts = [
            part(descriptor=self.descriptor.canonical()),
            *(part(certificate=pem) for pem in proposal.certificates),
            *(part(output=self.output(index, share)) for index, share in enumerate(shares)),
            *(part(spent=self.spent(name)) for name in NAMES),
        ]

    def output(
        self, index: int, share: field.Words, agreement: bytes = AGREEMENT
    ) -> study_pb2.Output:
        """One registry's sealed and signed share."""
        sealed = seal_share(
            share,
            self.network.researcher.sealing_key,
            session=self.descriptor.digest,
            sender=NAMES[index],
            index=index,
        )
        statement = output_statement(self.descriptor.digest, index, agreement, sealed)
        return study_pb2.Output(
            session_digest=self.descriptor.digest,
            index=index,
            agreement=agreement,
            sealed=sealed,
            signature=self.network.identity(NAMES[index]).sign(statement),
        )

    def spent(self, name: str, epsilon: str = "1") -> study_pb2.Spent:
        """One registry's signed charge."""
        spent = study_pb2.Spent(
            session_digest=self.descriptor.digest, registry=name, epsilon=epsilon, delta="0"
        )
        spent.signature = self.network.identity(name).sign(spent_statement(spent))
        return spent

    def open(self, parts: Parts | None = None) -> OpenedResult:
        """Open it as the researcher does."""
        return open_parts(
            self.parts if parts is None else parts, self.study, self.network.researcher
        )

    def changed(self, change: Callable[[Parts], object]) -> Parts:
        """A copy of the parts, changed by whoever carried them."""
        parts = [
            coordinator_pb2.ResultResponse.FromString(p.SerializeToString()) for p in self.parts
        ]
        change(parts)
        return parts


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answer]:
    network = registries(tmp_path_factory.mktemp("registries"))
    yield Answer(network)
    network.close()


FIRST_OUTPUT = 1 + len(NAMES)


def test_a_true_answer_opens(answer: Answer) -> None:
    opened = answer.open()

    assert opened.noisy.tolist() == NOISY.tolist()
    assert (opened.opened.shares, opened.opened.checked) == (3, True)
    assert {registry.name: registry.spent for registry in opened.registries} == dict.fromkeys(
        NAMES, 1
    )


def test_two_shares_open_and_the_label_says_that_they_are_unchecked(answer: Answer) -> None:
    opened = answer.open(answer.changed(lambda parts: parts.pop(FIRST_OUTPUT)))

    assert opened.noisy.tolist() == NOISY.tolist()
    assert opened.label()["shares_checked"] is False


def test_a_charge_that_is_not_stated_is_shown_as_unknown(answer: Answer) -> None:
    opened = answer.open(answer.changed(lambda parts: parts.pop()))

    assert [registry.spent for registry in opened.registries] == [1, 1, 1, None]


def _flip(parts: Parts) -> None:
    sealed = bytearray(parts[FIRST_OUTPUT].output.sealed)
    sealed[-1] ^= 1
    parts[FIRST_OUTPUT].output.sealed = bytes(sealed)


CHANGES: dict[str, Callable[[Parts], object]] = {
    "one share left": lambda parts: (parts.pop(FIRST_OUTPUT), parts.pop(FIRST_OUTPUT)),
    "no share left": lambda parts: [parts.pop(FIRST_OUTPUT) for _ in range(3)],
    "no descriptor": lambda parts: parts.pop(0),
    "two descriptors": lambda parts: parts.append(parts[0]),
    "a certificate missing": lambda parts: parts.pop(1),
    "two certificates exchanged": lambda parts: parts.insert(1, parts.pop(2)),
    "a sealed byte flipped": _flip,
    "an output twice": lambda parts: parts.append(parts[FIRST_OUTPUT]),
    "an output from outside the committee": lambda parts: setattr(
        parts[FIRST_OUTPUT].output, "index", 3
    ),
    "an output in another's place": lambda parts: setattr(parts[FIRST_OUTPUT].output, "index", 1),
    "another agreement": lambda parts: setattr(parts[FIRST_OUTPUT].output, "agreement", bytes(32)),
    "another charge": lambda parts: setattr(parts[-1].spent, "epsilon", "0"),
    "a charge of nobody": lambda parts: setattr(parts[-1].spent, "registry", "de-z"),
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda name: name.replace(" ", "-"))
def test_an_answer_that_was_changed_on_the_way_is_rejected(answer: Answer, change: str) -> None:
    with pytest.raises(ProtocolError):
        answer.open(answer.changed(CHANGES[change]))


def test_a_share_off_the_polynomial_rejects_the_whole_answer(answer: Answer) -> None:
    wrong = np.zeros(4, dtype=np.uint64)

    def lie(parts: Parts) -> None:
        parts[FIRST_OUTPUT].output.CopyFrom(answer.output(0, wrong))

    with pytest.raises(OpeningError):
        answer.open(answer.changed(lie))


def test_registries_that_agreed_on_different_inputs_are_rejected(answer: Answer) -> None:
    other = answer.output(0, np.zeros(4, dtype=np.uint64), agreement=bytes(32))

    with pytest.raises(OpeningError, match="did not agree on one sum"):
        answer.open(answer.changed(lambda parts: parts[FIRST_OUTPUT].output.CopyFrom(other)))


def test_a_signed_charge_that_is_no_number_is_rejected_in_words(answer: Answer) -> None:
    nonsense = answer.spent("fr-a", epsilon="1/0")

    with pytest.raises(ProtocolError, match="wanted an exact fraction"):
        answer.open(answer.changed(lambda parts: parts[-1].spent.CopyFrom(nonsense)))


def test_the_answer_to_another_question_is_rejected(answer: Answer) -> None:
    with pytest.raises(UpcareError, match="another study"):
        open_parts(answer.parts, counts("Another question"), answer.network.researcher)


def test_an_answer_sealed_to_somebody_else_is_rejected(answer: Answer) -> None:
    other = answer.descriptor.canonical().replace(
        answer.descriptor.sealing_key.hex().encode(), (b"\7" * 32).hex().encode()
    )

    with pytest.raises(ProtocolError, match="sealing key"):
        open_parts(
            answer.changed(lambda parts: setattr(parts[0], "descriptor", other)),
            answer.study,
            answer.network.researcher,
        )
