"""Nodes of a small network in this process: real certificates, books and data; workers are fakes.

What the platform sends is delivered as messages, so a test can play a platform that lies.
"""

import asyncio
import datetime
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.config import Agreement, load_agreement, load_party
from upcare_mpc.consent.model import Activity, Answer, Consent
from upcare_mpc.coordinator.run import compose
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.statements import RequestMethod
from upcare_mpc.mpc.programs.fill import LIFE_BYTES, Fill
from upcare_mpc.node.bank import NoiseBank
from upcare_mpc.node.books import Books
from upcare_mpc.node.consents import Freezes
from upcare_mpc.node.pipe import Message
from upcare_mpc.node.server import Node
from upcare_mpc.node.snapshot import load_snapshot, renewed, snapshots_of
from upcare_mpc.storage.bank import BankMarks
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.holdings import Holdings
from upcare_mpc.storage.schema import NODE
from upcare_mpc.storage.snapshot_rows import pseudonym
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.spec import Study, parse

NAMES = ("de-a", "de-b", "de-c", "fr-a")
NOW = 1_700_000_000.0
TODAY = datetime.date(2026, 11, 22)

_DELIVERY = Path(__file__).parents[2] / "parties" / "fr-b" / "data" / "FR-B_encr_incidence.csv"
_PARTY = """version = 1
name = "{name}"
computes = true
[platform]
address = "localhost:1"
[link]
host = "localhost"
ports = [0]
[data]
files = ["delivery.csv"]
cases_at_most = 1000
[policy]
approval = "{approval}"
purposes = ["DUO:0000007"]
kinds = ["counts", "incidence", "questionnaire"]
epsilon_per_study = 5.0
[policy.caps]
epsilon = 10.0
delta = 1e-6
[policy.researchers]
"Dr Example" = "{key}"
{bank}"""


def counts(
    title: str = "Grades",
    *,
    epsilon: str = "1",
    privacy: str = "",
    release: str = "",
    names: tuple[str, ...] = NAMES,
) -> Study:
    """A small study; ``privacy`` and ``release`` are the lines of these tables."""
    listed = ", ".join(f'"{name}"' for name in names)
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        f'registries = [{listed}]\noverlap = 1\n[cohort]\nwhere = "true"\n'
        f"[privacy]\n{privacy or f'epsilon = {epsilon}'}\n[release]\n{release}\n"
        '[counts]\nby = ["grade"]\n',
        name="study.toml",
    )


@dataclass
class FakeWorker:
    """Stands where a worker process would be; says what a test puts into ``messages``."""

    alive: bool = True
    assigned: bytes | None = None
    vector: bytes | None = None
    told: list[str] = field(default_factory=list)
    messages: "asyncio.Queue[Message | None]" = field(default_factory=asyncio.Queue)

    async def assign(self, descriptor: Descriptor, *, vector: bytes, **_: Any) -> int:
        self.assigned = descriptor.digest
        self.vector = vector
        return 7000

    async def assign_fill(self, fill: Fill, **_: Any) -> int:
        self.assigned = fill.digest
        return 7000

    async def assign_key(self, collection: Collection, **_: Any) -> int:
        self.assigned = collection.digest
        return 7000

    def tell(self, say: str, /, **_: Any) -> None:
        self.told.append(say)

    async def next_message(self) -> Message | None:
        return await self.messages.get()

    async def end(self) -> None:
        self.alive = False
        self.messages.put_nowait(None)


@dataclass
class Clock:
    """Says which day it is."""

    today: datetime.date = TODAY


@dataclass
class Registry:
    """One node, and everything it was seen to do."""

    node: Node
    database: Database
    clock: Clock
    workers: list[FakeWorker]
    log: list[str]

    @property
    def charges(self) -> list[str]:
        """The state of every charge in its ledger."""
        return [account.state.value for account in self.node.books.ledger().accounts.values()]

    async def hear(self, **message: Any) -> list[coordinator_pb2.AttendRequest]:
        """Deliver one message of the platform and return what the node answers."""
        await self.node._handle(coordinator_pb2.AttendResponse(call=1, **message))
        return self.said()

    def objects(self, patient_id: str) -> None:
        """One of its patients objects to being counted."""
        party = self.node.party
        secret = snapshots_of(party.data, party.state_folder).secret()
        consent = Consent(
            patient=pseudonym(secret, patient_id),
            data_set=party.name,
            activity=Activity.STATISTICS,
            version=1,
            answer=Answer.WITHDRAWN,
            given=self.clock.today,
            form="urn:upcare:form:page-1-de",
        )
        Consents(self.database).record([consent], time=datetime.datetime.now(datetime.UTC))

    def hears(self, **message: Any) -> list[coordinator_pb2.AttendRequest]:
        """``hear``, from outside a loop."""
        return asyncio.run(self.hear(**message))

    def said(self) -> list[coordinator_pb2.AttendRequest]:
        """What the node has said since."""
        said = []
        while not self.node._outbox.empty():
            said.append(self.node._outbox.get_nowait())
        return said


@dataclass
class Registries:
    """A network of nodes, its agreement, and its researcher."""

    folder: Path
    agreement: Agreement
    researcher: Researcher
    nodes: dict[str, Registry]

    def __getitem__(self, name: str) -> Registry:
        return self.nodes[name]

    def identity(self, name: str) -> Identity:
        """A registry's certificate and key."""
        return self.nodes[name].node.identity

    def question(self, study: Study) -> Question:
        """What a study implies here."""
        return work_out(study, network_overlap=self.agreement.overlap)

    def request(
        self,
        study: Study,
        method: RequestMethod = "submit",
        *,
        now: float | None = None,
        collection: bytes = b"",
    ) -> study_pb2.StudyRequest:
        """The researcher's signed request."""
        import time

        now = time.time() if now is None else now
        return self.researcher.request(study, method, now=now, collection=collection)

    def proposal(
        self, study: Study, request: study_pb2.StudyRequest | None = None
    ) -> tuple[Descriptor, coordinator_pb2.Proposal]:
        """What an honest platform proposes on a request; on a new one if none is given."""
        request = request or self.request(study)
        offer = coordinator_pb2.Offer(request=request, submitted=True)
        quotes = [self.nodes[name].node._quote(offer) for name in study.registries]
        prints = {
            self.identity(name).certificate_pem.decode(): self.identity(name).party.fingerprint
            for name in self.nodes
        }
        network = self.researcher.network.fingerprint
        descriptor, certificates = compose(
            self.question(study), request, quotes, self.agreement, network, prints.__getitem__
        )
        proposal = coordinator_pb2.Proposal(
            descriptor=descriptor.canonical(), request=request, certificates=certificates
        )
        return descriptor, proposal

    def close(self) -> None:
        """Close all books."""
        for registry in self.nodes.values():
            registry.database.close()


def registries(
    folder: Path,
    *,
    names: tuple[str, ...] = NAMES,
    approval: str = "automatic",
    bank_cells: int = 0,
) -> Registries:
    """Make a network of nodes below ``folder``."""
    network = folder / "net"
    found_network(network, name="test", overlap=1, committee=3)
    key = new_researcher(folder / "me", identity_folder=network, platform="localhost:1")
    nodes = {}
    bank = f"[bank]\ncells = {bank_cells}\n" if bank_cells else ""
    for name in names:
        home = folder / name
        admit_party(network, name, role="registry", out=home / "identity")
        (home / "party.toml").write_text(
            _PARTY.format(name=name, approval=approval, key=key, bank=bank)
        )
        (home / "delivery.csv").symlink_to(_DELIVERY)
        (home / "state").mkdir()
        party = load_party(home)
        database = Database(f"sqlite:///{party.state_folder / 'node.db'}", NODE)
        clock = Clock()
        freezes = Freezes(
            folder=party.state_folder / "consents",
            consents=Consents(database),
            data_set=name,
            calendar=party.data.consents,
            today=lambda clock=clock: clock.today,  # type: ignore[misc]
        )
        snapshot = load_snapshot(party.data, party.state_folder, freezes)
        log: list[str] = []
        node = Node(
            party,
            Identity.load(party.identity_folder, now=datetime.datetime.now(datetime.UTC)),
            load_agreement(party.identity_folder),
            snapshot,
            Books(database, party.policy, snapshot.digest),
            NoiseBank(
                party.state_folder / "bank",
                BankMarks(database),
                cells=party.bank_cells,
                life=os.urandom(LIFE_BYTES),
            ),
            Holdings(database, party.state_folder / "holdings"),
            renew=partial(renewed, party.data, party.state_folder, freezes),
            log=log.append,
        )
        workers: list[FakeWorker] = []

        async def take_worker(workers: list[FakeWorker] = workers) -> Any:
            workers.append(FakeWorker())
            return workers[-1]

        node._take_worker = take_worker  # type: ignore[method-assign]
        node._filler.start_worker = take_worker
        node.dealer.start_worker = take_worker
        node._prepare_worker = lambda: None  # type: ignore[method-assign]  # no real process
        nodes[name] = Registry(node, database, clock, workers, log)
    return Registries(folder, load_agreement(network), Researcher.load(folder / "me"), nodes)
