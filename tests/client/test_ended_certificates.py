"""An answer opens for as long as its researcher keeps her keys, not only its registries theirs.

Certificates last 397 days, studies are read for longer. What a certificate still shows after its
end is who signed what the researcher asked while it was in force: her own signed request says when.
Whoever finds the keys of ended certificates can make no answer to what she asks later.
"""

import datetime
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from registries import Registries, counts, registries
from test_result import NOISY, Answer

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.client.result import open_papers
from upcare_mpc.errors import ConfigError, ProtocolError
from upcare_mpc.link.certificates import Identity, Network, new_authority
from upcare_mpc.link.roster import agreed_at
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.spec import Study

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
FOUNDED = NOW - 800 * DAY  # certificates end 397 days later, 403 days ago
ENDED = FOUNDED + 397 * DAY


class Past:
    """The registries of a network as they were: certificates that have ended since."""

    def __init__(self, network: Registries, asked: datetime.datetime) -> None:
        authority = new_authority("test", now=FOUNDED)
        trust = Network(authority.certificate_pem)
        self._network = network
        self._asked = asked
        self.researcher = replace(network.researcher, network=trust)
        self._identities = {}
        for name in network.nodes:
            pem, key = authority.admit(name, "registry", now=FOUNDED)
            party, _ = trust.verify(pem.decode(), now=FOUNDED)
            self._identities[name] = Identity(
                party=party, network=trust, certificate_pem=pem, key_pem=key
            )

    def identity(self, name: str) -> Identity:
        return self._identities[name]

    def proposal(self, study: Study) -> tuple[Descriptor, coordinator_pb2.Proposal]:
        """The same session, with the certificates of then."""
        now, _ = self._network.proposal(study)
        descriptor = replace(
            now,
            network=self.researcher.network.fingerprint,
            roster=tuple(
                replace(member, certificate=self.identity(member.name).party.fingerprint)
                for member in now.roster
            ),
        )
        return descriptor, coordinator_pb2.Proposal(
            descriptor=descriptor.canonical(),
            request=self.researcher.request(study, now=self._asked.timestamp()),
            certificates=[
                self.identity(member.name).certificate_pem.decode() for member in descriptor.roster
            ],
        )


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    made = registries(tmp_path_factory.mktemp("registries"))
    yield made
    made.close()


def answered(network: Registries, asked: datetime.datetime) -> Answer:
    return Answer(Past(network, asked))  # type: ignore[arg-type]


def test_an_answer_opens_when_its_certificates_have_ended(network: Registries) -> None:
    answer = answered(network, FOUNDED + 100 * DAY)

    opened = answer.open()
    again = open_papers(opened.papers, answer.study, answer.network.researcher)

    assert opened.noisy.tolist() == again.noisy.tolist() == NOISY.tolist()
    assert {registry.spent for registry in opened.registries} == {opened.question.guarantee.loss}


def test_ended_certificates_answer_nothing_that_she_asks_later(network: Registries) -> None:
    """Somebody has found the keys of all registries, on old disks, and makes an answer up."""
    forged = answered(network, NOW)

    with pytest.raises(ProtocolError, match="ended before the study was asked"):
        forged.open()


def test_a_certificate_that_ends_while_a_request_is_valid_is_good_for_it(
    network: Registries,
) -> None:
    """Whether a session ran before the end or not is told by nobody whom she could believe."""
    asked = ENDED - DAY

    assert answered(network, asked).open().noisy.tolist() == NOISY.tolist()


def test_papers_without_her_request_open_while_certificates_are_in_force(
    network: Registries,
) -> None:
    def without(answer: Answer) -> list[coordinator_pb2.ResultResponse]:
        return [part for part in answer.parts if not part.HasField("request")]

    today, past = Answer(network), answered(network, FOUNDED + 100 * DAY)

    assert today.open(without(today)).noisy.tolist() == NOISY.tolist()
    with pytest.raises(ConfigError, match="is not in force"):
        past.open(without(past))


@pytest.mark.parametrize("other", ["study", "signing", "sealing"])
def test_only_her_own_request_for_this_study_tells_the_time(
    network: Registries, other: str
) -> None:
    """The same forgery, and an old request: for another study, or with somebody else's key."""
    forged = answered(network, NOW)
    me, asked = forged.network.researcher, forged.study
    if other == "study":
        asked = counts("Another question")
    if other == "signing":
        me = replace(me, signing=Ed25519PrivateKey.generate())
    if other == "sealing":
        me = replace(me, sealing=X25519PrivateKey.generate())
    old = me.request(asked, now=(FOUNDED + 100 * DAY).timestamp())
    parts = [part for part in forged.parts if not part.HasField("request")]
    parts.append(coordinator_pb2.ResultResponse(request=old))

    with pytest.raises(ProtocolError, match="the one request that it answers"):
        forged.open(parts)


def test_the_moment_is_the_latest_that_fits_all() -> None:
    authority = new_authority("test", now=FOUNDED)
    long, short = (
        authority.admit(name, "registry", now=FOUNDED, days=days)[0].decode()
        for name, days in (("de-a", 397), ("de-b", 100))
    )

    def moment(end: datetime.datetime, now: datetime.datetime = NOW) -> datetime.timedelta:
        request = study_pb2.StudyRequest(not_after=int(end.timestamp()))
        return agreed_at(request, [long, short], now=now) - FOUNDED

    assert round(moment(FOUNDED + 50 * DAY) / DAY) == 50
    assert round(moment(FOUNDED + 120 * DAY) / DAY) == 100
    assert round(moment(FOUNDED + 50 * DAY, now=FOUNDED + 45 * DAY) / DAY) == 45
    with pytest.raises(ProtocolError, match="ended before"):
        moment(FOUNDED + 132 * DAY)
    with pytest.raises(ConfigError, match="cannot be read"):
        agreed_at(study_pb2.StudyRequest(not_after=0), ["-"], now=NOW)
