"""Nodes that hold the key of a collection, as a platform, honest or not, sees them.

Workers, deposits and checks are made up; certificates, books and what is held are real.
"""

import asyncio
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from registries import NAMES, Registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.deposits.findings import Findings, FrozenSet, freeze, list_digest
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.signers import verifier
from upcare_mpc.node.checking import Checked, Checks
from upcare_mpc.node.pipe import Message
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.spec import Study, parse

SIGMA = os.urandom(22 * 8192)
DIGESTS = [bytes([number]) * 32 for number in range(5)]
Said = list[coordinator_pb2.AttendRequest]


def study_of(title: str = "Grades", *, envelope: str = "sealed", days: int = 14) -> Study:
    listed = ", ".join(f'"{name}"' for name in NAMES)
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        f"registries = [{listed}]\noverlap = 1\n"
        f'[deposits]\nenvelope = "{envelope}"\nregistries = ["fr-b"]\ndays = {days}\n'
        '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 1\n[counts]\nby = ["grade"]\n',
        name="study.toml",
    )


def questionnaire() -> Study:
    """One that a registry without a node vouches for patients in."""
    listed = ", ".join(f'"{name}"' for name in NAMES)
    return parse(
        'version = 1\ntitle = "Smoking"\nkind = "questionnaire"\npurpose = "DUO:0000007"\n'
        f"registries = [{listed}]\noverlap = 1\n"
        '[deposits]\nenvelope = "sealed"\npatients = true\nregistries = ["fr-b"]\n'
        '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 1\n'
        '[[questionnaire.questions]]\ntext = "Have you ever smoked?"\n'
        'options = ["never", "in the past", "today"]\n',
        name="study.toml",
    )


def composed(network: Registries, study: Study, /, **changed: Any) -> Collection:
    """What an honest platform composes."""
    question, now = network.question(study), int(time.time())
    assert study.deposits is not None
    fields: dict[str, Any] = {
        "network": network.researcher.network.fingerprint,
        "study": question.digest,
        "signing_key": network.researcher.signing_key,
        "cells": question.layout.cells,
        "envelope": study.deposits.envelope,
        "holders": tuple(
            Holder(name=name, certificate=network.identity(name).party.fingerprint)
            for name in NAMES
        ),
        "threshold": 1,
        "depositors": ("fr-b",),
        "vouchers": (*NAMES, "fr-b") if study.deposits.patients else (),
        "opened": now,
        "closes": now + study.deposits.days * 24 * 3600,
        "nonce": os.urandom(16),
    }
    return Collection(**fields | changed)


def proposed(
    network: Registries, study: Study, collection: Collection
) -> deposit_pb2.CollectionProposal:
    return deposit_pb2.CollectionProposal(
        collection=collection.canonical(),
        request=network.request(study),
        certificates=[pem(network, name) for name in collection.names],
    )


def pem(network: Registries, name: str) -> str:
    return network.identity(name).certificate_pem.decode()


def start_of(network: Registries, collection: Collection, study: Study) -> coordinator_pb2.Start:
    """Every holder approves."""
    approvals = []
    for name in collection.names:
        (answer,) = network[name].hears(collection=proposed(network, study, collection))
        approvals.append(answer.approval)
    return coordinator_pb2.Start(session_digest=collection.digest, approvals=approvals)


def dealt_by(worker: Any, public: bytes = b"the key") -> None:
    """What a worker says when the key is dealt."""
    worker.messages.put_nowait(
        Message(say="key", fields={"public": len(public)}, blob=public + SIGMA)
    )
    worker.messages.put_nowait(Message(say="done"))


def hold(network: Registries, study: Study) -> Collection:
    """All holders hold a key of a collection, as they do when it is open."""
    collection = composed(network, study)
    start = start_of(network, collection, study)
    for name in NAMES:
        (said,) = network[name].hears(start=start)
        assert said.HasField("key")
    return collection


def secrets_of(network: Registries, name: str) -> list[Path]:
    return list((network.folder / name / "state" / "holdings").iterdir())


class Closing:
    """Deposits that are there, and checks whose answer a test chooses."""

    def __init__(self, network: Registries, collection: Collection) -> None:
        self.network = network
        self.collection = collection
        self.checks: dict[str, list[Checks]] = {name: [] for name in NAMES}
        self.found = Checked(refused={}, registries={})
        self.fetches = 0
        for name in NAMES:
            collector = network[name].node.collector
            collector.check = partial(self._check, name)
            collector.deposits.fetch = partial(self._fetch, name)  # type: ignore[method-assign]

    async def _fetch(self, name: str, collection: Collection, *, count: int, listed: bytes) -> None:
        self.fetches += 1
        place = self.network[name].node.collector.deposits.place(collection.digest)
        place.mkdir(parents=True, exist_ok=True)
        (place / "digests").write_bytes(b"".join(DIGESTS[:count]))
        if list_digest(collection.digest, DIGESTS[:count]) != listed:
            raise ProtocolError("the platform hands out other deposits than it has announced")

    async def _check(self, name: str, checks: Checks) -> Checked:
        self.checks[name].append(checks)
        mine = set(checks.places)
        return Checked(
            refused={place: why for place, why in self.found.refused.items() if place in mine},
            registries={p: who for p, who in self.found.registries.items() if p in mine},
        )

    def message(self, present: tuple[str, ...] = NAMES, count: int = 5) -> deposit_pb2.Closing:
        return deposit_pb2.Closing(
            collection=self.collection.digest,
            count=count,
            deposits=list_digest(self.collection.digest, DIGESTS[:count]),
            present=present,
        )

    async def says(self, name: str, message: deposit_pb2.Closing) -> Said:
        """What a node says to a closing in the end."""
        registry = self.network[name]
        said = await registry.hear(closing=message)
        tasks = list(registry.node.collector._closing.values())
        if tasks:
            await asyncio.wait(tasks)
            await asyncio.sleep(0)
        return said + registry.said()

    def findings(self, present: tuple[str, ...] = NAMES) -> list[deposit_pb2.SignedFindings]:
        """Of every holder present."""
        found = []
        for name in present:
            (said,) = asyncio.run(self.says(name, self.message(present)))
            found.append(said.findings)
        return found


def frozen_set(
    network: Registries, collection: Collection, findings: list[deposit_pb2.SignedFindings]
) -> FrozenSet:
    """What follows from some findings."""
    read = [Findings.from_canonical(one.findings, one.signature) for one in findings]
    return freeze(collection, read, verifier({name: pem(network, name) for name in NAMES}))


def session_of(
    network: Registries,
    study: Study,
    collection: Collection,
    findings: list[deposit_pb2.SignedFindings],
    *,
    names: tuple[str, ...] = NAMES,
    deposits: bytes | None = None,
) -> tuple[Descriptor, coordinator_pb2.Proposal]:
    """What a platform proposes on some findings; the first three of ``names`` compute."""
    descriptor, proposal = network.proposal(study)
    closing = network.request(study, "close", collection=collection.digest)
    proposal.request.CopyFrom(closing)
    by_name = {member.name: member for member in descriptor.roster}
    if deposits is None:
        deposits = frozen_set(network, collection, findings).digest
    roster = tuple(by_name[name] for name in names)
    descriptor = replace(descriptor, deposits=deposits, roster=roster)
    proposal.descriptor = descriptor.canonical()
    proposal.collection = collection.canonical()
    del proposal.certificates[:]
    proposal.certificates.extend(pem(network, name) for name in names)
    proposal.findings.extend(findings)
    return descriptor, proposal


def admit(network: Registries, name: str, proposal: coordinator_pb2.Proposal) -> Any:
    """Have one node admit the deposits of a session, which is over then."""
    descriptor = Descriptor.from_canonical(proposal.descriptor)
    question = network.question(Study.from_canonical(proposal.request.study))
    collector = network[name].node.collector
    try:
        return collector.admit(proposal, question, descriptor)
    finally:
        collector.leave(descriptor.digest)
