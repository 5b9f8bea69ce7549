"""What a researcher believes: an answer that is all of one piece, signed by who should have."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from registries import NAMES, Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.client.result import OpenedResult, open_parts
from upcare_mpc.errors import OpeningError, ProtocolError, UpcareError
from upcare_mpc.link.statements import spent_in, spent_statement
from upcare_mpc.mpc import field
from upcare_mpc.mpc.opening import output_statement, seal_share

Parts = list[coordinator_pb2.ResultResponse]
NOISY = np.array([5, -2, 70, 0], dtype=np.int64)
AGREEMENT = b"\5" * 32


class Answer:
    """A true answer in parts, as the platform hands it out."""

    def __init__(self, network: Registries, privacy: str = "epsilon = 1") -> None:
        self.network = network
        self.study = counts(privacy=privacy)
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
            part(request=proposal.request),
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

    def spent(self, name: str, **changed: str) -> study_pb2.Spent:
        """One registry's signed charge; what is changed is changed before signing."""
        spent = spent_in(self.descriptor, name)
        spent.MergeFrom(study_pb2.Spent(**changed))
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
    loss = opened.question.guarantee.loss
    assert loss.epsilon == 1
    assert {registry.name: registry.spent for registry in opened.registries} == dict.fromkeys(
        NAMES, loss
    )


def test_the_label_of_a_gaussian_answer_says_what_composes(answer: Answer) -> None:
    privacy = 'mechanism = "gaussian"\nepsilon = 1\ndelta = 1e-9'
    gaussian = Answer(answer.network, privacy)

    opened = gaussian.open()

    label, loss = opened.label(), opened.question.guarantee.loss
    assert label["mechanism"] == "discrete Gaussian"
    assert label["rho_exact"] == str(loss.rho)
    assert label["rho_delta_exact"] == str(loss.delta)
    assert 0 < label["rho_delta"] < label["delta"] <= 1e-9
    assert {registry.spent for registry in opened.registries} == {loss}
    json.dumps(label)


def test_the_label_of_a_laplace_answer_has_no_rho(answer: Answer) -> None:
    label = answer.open().label()

    assert {label["rho"], label["rho_exact"], label["rho_delta"]} == {None}


def test_the_label_says_the_noise_of_each_table_in_its_unit(answer: Answer) -> None:
    opened = answer.open()
    first = opened.question.layout.tables[0]
    layout = replace(opened.question.layout, tables=(first, replace(first, name="b", weight=4)))

    (one,) = opened.label()["tables"]
    label = replace(opened, question=replace(opened.question, layout=layout)).label()

    assert (one["name"], one["cells"], one["weight"]) == (first.name, first.cells, 1)
    assert (one["error95"], one["noise_sd"]) == (label["error95"], label["noise_sd"])
    assert label["tables"][0] == one
    assert label["tables"][1] == {
        "name": "b",
        "cells": first.cells,
        "weight": 4,
        "error95": one["error95"] / 4,
        "noise_sd": pytest.approx(one["noise_sd"] / 4),
    }
    json.dumps(label)


def test_two_shares_open_and_the_label_says_that_they_are_unchecked(answer: Answer) -> None:
    opened = answer.open(answer.changed(lambda parts: parts.pop(FIRST_OUTPUT)))

    assert opened.noisy.tolist() == NOISY.tolist()
    assert opened.label()["shares_checked"] is False


def test_a_charge_that_is_not_stated_is_shown_as_unknown(answer: Answer) -> None:
    opened = answer.open(answer.changed(lambda parts: parts.pop()))

    loss = opened.question.guarantee.loss
    assert [registry.spent for registry in opened.registries] == [loss, loss, loss, None]


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
    "her request twice": lambda parts: parts.append(parts[FIRST_OUTPUT + 3]),
    "her request altered": lambda parts: setattr(
        parts[FIRST_OUTPUT + 3].request, "not_after", parts[FIRST_OUTPUT + 3].request.not_after - 1
    ),
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


@pytest.mark.parametrize(
    "other", [{"epsilon": "1/0"}, {"epsilon": "1/2"}, {"rho": "1/8"}, {"delta": "0"}], ids=str
)
def test_a_charge_that_is_not_the_sessions_is_rejected_though_it_is_signed(
    answer: Answer, other: dict[str, str]
) -> None:
    wrong = answer.spent("fr-a", **other)

    with pytest.raises(ProtocolError, match="fr-a states another charge than the session's"):
        answer.open(answer.changed(lambda parts: parts[-1].spent.CopyFrom(wrong)))


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
