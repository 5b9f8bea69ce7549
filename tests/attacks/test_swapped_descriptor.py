"""A platform that proposes another session than the researcher asked for.

The researcher signs a question, not a session; the platform composes the session. If a node took
the platform's word, it could be made to answer under less noise, to another key, with other peers
or over other data. So every line of the descriptor is held against the signed question, the
network's agreement and the node's own data; a node that finds a difference takes no worker, counts
nothing and reserves nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from registries import Registries, counts, registries

from upcare_mpc.study.descriptor import Descriptor, Member


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    made = registries(tmp_path_factory.mktemp("registries"))
    yield made
    made.close()


def test_an_honest_proposal_is_approved(tmp_path: Path) -> None:
    honest = registries(tmp_path)
    descriptor, proposal = honest.proposal(counts())

    (answer,) = honest["de-a"].hears(proposal=proposal)

    assert answer.approval.session_digest == descriptor.digest
    assert honest["de-a"].charges == ["reserved"]
    honest.close()


def _other_member(descriptor: Descriptor, place: int, **changes: bytes | str) -> Descriptor:
    roster = list(descriptor.roster)
    roster[place] = replace(roster[place], **changes)
    return replace(descriptor, roster=tuple(roster))


SWAPS: dict[str, Callable[[Descriptor], Descriptor]] = {
    "another network": lambda d: replace(d, network=bytes(32)),
    "another study": lambda d: replace(d, study=bytes(32)),
    "another layout": lambda d: replace(d, layout=bytes(32)),
    "more cells": lambda d: replace(d, cells=d.cells + 1),
    "another law of the noise": lambda d: replace(d, law=bytes(32)),
    "a smaller epsilon": lambda d: replace(d, epsilon=Fraction(1, 2)),
    "a larger epsilon": lambda d: replace(d, epsilon=Fraction(2)),
    "a charge in rho alone": lambda d: replace(d, epsilon=None),
    "a smaller rho": lambda d: replace(d, rho=d.rho / 2),
    "a smaller delta": lambda d: replace(d, delta=d.delta / 2),
    "more overlap": lambda d: replace(d, overlap=d.overlap + 1),
    "another program": lambda d: replace(d, program="plain-sum/1"),
    "another sealing key": lambda d: replace(d, sealing_key=b"\7" * 32),
    "another signing key": lambda d: replace(d, signing_key=b"\7" * 32),
    "a registry that was not asked": lambda d: replace(
        d,
        roster=(*d.roster, Member(name="de-z", certificate=bytes(32), snapshot=bytes(32))),
    ),
    "a registry left out": lambda d: replace(d, roster=d.roster[:-1]),
    "this registry's other snapshot": lambda d: _other_member(d, 0, snapshot=bytes(32)),
    "this registry's other certificate": lambda d: _other_member(d, 0, certificate=bytes(32)),
    "a peer's other certificate": lambda d: _other_member(d, 1, certificate=bytes(32)),
    "two names exchanged": lambda d: replace(
        d,
        roster=(
            replace(d.roster[0], name=d.roster[1].name),
            replace(d.roster[1], name=d.roster[0].name),
            *d.roster[2:],
        ),
    ),
}


@pytest.mark.parametrize("swap", SWAPS, ids=lambda name: name.replace(" ", "-"))
def test_a_swapped_descriptor_is_refused_and_costs_nothing(network: Registries, swap: str) -> None:
    descriptor, proposal = network.proposal(counts())
    proposal.descriptor = SWAPS[swap](descriptor).canonical()

    (answer,) = network["de-a"].hears(proposal=proposal)

    assert answer.HasField("failure")
    assert network["de-a"].charges == []
    assert network["de-a"].workers == []


GAUSSIAN_SWAPS: dict[str, Callable[[Descriptor], Descriptor]] = {
    "a smaller rho": lambda d: replace(d, rho=d.rho / 2),
    "a smaller delta": lambda d: replace(d, delta=d.delta / 2),
    "a charge in epsilon": lambda d: replace(d, epsilon=Fraction(1, 1000)),
}


@pytest.mark.parametrize("swap", GAUSSIAN_SWAPS, ids=lambda name: name.replace(" ", "-"))
def test_a_gaussian_study_is_not_charged_less_than_its_noise_costs(
    network: Registries, swap: str
) -> None:
    study = counts(privacy='mechanism = "gaussian"\nepsilon = 1\ndelta = 1e-9')
    descriptor, proposal = network.proposal(study)
    proposal.descriptor = GAUSSIAN_SWAPS[swap](descriptor).canonical()

    (answer,) = network["de-a"].hears(proposal=proposal)

    assert "than the study implies" in answer.failure.text
    assert network["de-a"].charges == []


@pytest.mark.parametrize("committee", [5, 7])
def test_another_committee_is_refused(network: Registries, committee: int) -> None:
    descriptor, proposal = network.proposal(counts())
    seats = tuple(
        Member(name=f"de-{i}", certificate=bytes(32), snapshot=bytes(32)) for i in range(committee)
    )
    larger = replace(
        descriptor,
        roster=(*descriptor.roster, *seats),
        parties=committee,
        threshold=(committee - 1) // 2,
    )
    proposal.descriptor = larger.canonical()

    (answer,) = network["de-a"].hears(proposal=proposal)

    assert "committee" in answer.failure.text
    assert network["de-a"].charges == []


def test_a_certificate_put_in_the_place_of_another_is_refused(network: Registries) -> None:
    _, proposal = network.proposal(counts())
    proposal.certificates[1] = network.identity("de-c").certificate_pem.decode()

    (answer,) = network["de-a"].hears(proposal=proposal)

    assert answer.failure.text == "the certificate of de-b names de-c.registry.upcare"


def test_bytes_that_are_no_descriptor_do_not_end_the_node(network: Registries) -> None:
    _, proposal = network.proposal(counts())
    for garbage in (b"", b"{}", b"[]", b"\xff" * 100, b'{"version":1}', b"[" * 100_000):
        proposal.descriptor = garbage

        (answer,) = network["de-a"].hears(proposal=proposal)

        assert answer.failure.code == "protocol"
