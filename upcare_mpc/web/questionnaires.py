"""The questionnaires that this registry's patients can answer, as the platform lists them.

A thread asks the platform once a minute, whether or not anybody is looking: so the platform does
not learn from it when a patient is on the page. The same thread hands on what patients have
deposited; the page never waits for the platform, and works without it.

Each collection is checked as ``client.deposits`` does before it is shown: it is what its study
implies, and all holders have signed its key. Adversary: the platform, which may list, describe and
refuse whatever it likes; it can keep a questionnaire from patients, or a deposit from the study.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from upcare_mpc.client.deposits import DepositClient, OpenCollection, check_description
from upcare_mpc.config import Agreement
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.envelopes import check_payload, most_bytes
from upcare_mpc.deposits.key import HolderKey
from upcare_mpc.deposits.submission import Deposit
from upcare_mpc.errors import LinkError, ProtocolError, RefusedError, UpcareError
from upcare_mpc.kinds.question import work_out
from upcare_mpc.kinds.questionnaire.kind import Questionnaire
from upcare_mpc.link.deposits import Depositor
from upcare_mpc.link.signers import certifier
from upcare_mpc.node.tickets import TicketOffice
from upcare_mpc.storage.tickets import GivenTicket, Tickets, TicketState
from upcare_mpc.study.spec import Study

__all__ = ["Offered", "Questionnaires"]

EVERY_S: Final = 60.0
FRESH: Final = timedelta(minutes=5)
"""How old what the platform has said may be, before the page says that it does not know."""

DELIVERY_S: Final = 10.0
"""How long a patient waits for the platform's receipt, before the page says: on its way."""

_AT_ONCE: Final = 32
_END_S: Final = 10.0
_LONGEST: Final = timedelta(days=31)  # no collection is open for longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A questionnaire that takes answers.

    Attributes:
        found: Its collection, checked.
        kind: Its questions.
        certificates: Of the holders, PEM, in their order.
        keys: What each of them has signed.
    """

    found: OpenCollection
    kind: Questionnaire
    certificates: tuple[str, ...]
    keys: tuple[HolderKey, ...]

    @property
    def digest(self) -> bytes:
        """Names the collection."""
        return self.found.collection.digest

    @property
    def closes(self) -> datetime:
        """From when on nothing is taken, UTC."""
        return datetime.fromtimestamp(self.found.collection.closes, UTC)


class Questionnaires:
    """What can be answered here, and what is on its way; use as a context manager.

    Args:
        office: Of the registry.
        agreement: Of its network.
        connect: Reaches the platform as this registry.
        log: Takes one line; none of them tells who a patient is.
    """

    def __init__(
        self,
        office: TicketOffice,
        agreement: Agreement,
        connect: Callable[[], Depositor],
        log: Callable[[str], None],
    ) -> None:
        self.office = office
        self.tickets = Tickets(office.database)
        self._agreement = agreement
        self._connect = connect
        self._log = log
        self._offered: dict[bytes, Offered] = {}
        self._seen: datetime | None = None
        self._wake = threading.Event()
        self._moved = threading.Condition()
        self._ended = False
        self._noted: deque[str] = deque(maxlen=_AT_ONCE)
        self._said: str | None = None  # what went wrong last
        self._connection: Depositor | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._wake.set()
        connection = self._connection
        if connection is not None:
            connection.__exit__()  # whatever is under way there ends
        self._thread.join(_END_S)

    def offered(self) -> tuple[Offered, ...] | None:
        """Return what can be answered now; None if the platform has not said it lately."""
        now = self.office.clock()
        if self._seen is None or now - self._seen > FRESH:
            return None
        return tuple(one for one in self._offered.values() if now < one.closes)

    def find(self, digest: bytes) -> Offered | None:
        """Return a questionnaire that can be answered now, by its collection's digest."""
        for one in self.offered() or ():
            if one.digest == digest:
                return one
        return None

    def most_bytes(self, offered: Offered) -> int:
        """How long a deposit can be."""
        return most_bytes(offered.found.collection)

    def keep(self, offered: Offered, given: GivenTicket, encoded: bytes) -> None:
        """Check and keep what a patient sends, and hand it on.

        Waits a little for the platform's receipt; without one it is delivered later.

        Raises:
            ProtocolError: It is no deposit of hers for this collection, or its proof does not hold.
            RefusedError: There is another one of hers.
        """
        found, deposit = offered.found, Deposit.from_bytes(encoded)
        if deposit.ticket != given.ticket:
            raise ProtocolError("the deposit is not made with this patient's ticket")
        now = self.office.clock()
        network = self.office.identity.network
        deposit.check(found.collection, certifier(network, now=now))
        check_payload(deposit.payload, found.collection, found.key, context=deposit.context)
        if not self.tickets.keep(given.collection, given.patient, encoded):
            raise RefusedError("this patient has deposited before")
        self._wake.set()
        with self._moved:
            self._moved.wait_for(lambda: not self._is_kept(given), DELIVERY_S)

    def refresh(self) -> None:
        """Ask the platform what is open, and hand on what is kept.

        Raises:
            LinkError: The platform cannot be reached.
        """
        with self._connect() as connection:
            self._connection = connection
            try:
                self._list(connection)
                self._deliver(connection)
            finally:
                self._connection = None

    # -- the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._ended:
            said = None
            try:
                self.refresh()
            except UpcareError as error:
                said = str(error)
            except Exception as error:  # noqa: BLE001 - deposits have to be handed on in a minute
                said = f"failed: {type(error).__name__}"
            if said != self._said and not self._ended:
                self._log(f"questionnaires: {said or 'the platform is there again'}")
            self._said = said
            self._wake.wait(EVERY_S)
            self._wake.clear()

    def _list(self, connection: Depositor) -> None:
        offered: dict[bytes, Offered] = {}
        for listed in connection.open():
            try:
                collection = Collection.from_canonical(listed.collection)
            except ProtocolError:  # of a later version, say: others can be read
                continue
            if self.office.party.name not in collection.vouchers:
                continue
            if len(offered) == _AT_ONCE:
                break
            try:
                one = self._looked_at(connection, collection, listed.study)
            except LinkError:
                raise
            except UpcareError as error:
                self._note(collection, str(error))
                continue
            if one is not None:
                offered[collection.digest] = one
        self._offered = offered
        self._seen = self.office.clock()

    def _looked_at(
        self, connection: Depositor, collection: Collection, study: bytes
    ) -> Offered | None:
        """What is offered of it; None if it is not for this page. The key is fetched once."""
        if self.office.party.name not in collection.vouchers:
            return None
        question = work_out(Study.from_canonical(study), network_overlap=self._agreement.overlap)
        kind = question.kind
        if not isinstance(kind, Questionnaire):
            return None
        self.office.check(collection, question)
        if not self.office.agreed(collection):
            raise RefusedError("it waits for the operator")
        known = self._offered.get(collection.digest)
        if known is not None:
            return known
        found, certificates, keys = self._ask(connection, collection.digest)
        return Offered(found=found, kind=kind, certificates=certificates, keys=keys)

    def _note(self, collection: Collection, reason: str) -> None:
        """Say once why a questionnaire is not offered."""
        line = f"questionnaires: {collection.digest.hex()[:12]} is not offered: {reason}"
        if line not in self._noted:
            self._noted.append(line)
            self._log(line)

    def _ask(
        self, connection: Depositor, digest: bytes
    ) -> tuple[OpenCollection, tuple[str, ...], tuple[HolderKey, ...]]:
        description = connection.describe(digest)
        found = check_description(
            description,
            digest=digest,
            network=self.office.identity.network,
            agreement=self._agreement,
            now=self.office.clock(),
        )
        keys = {key.holder: key for key in map(HolderKey.from_bytes, description.keys)}
        ordered = tuple(keys[name] for name in found.collection.names)
        return found, tuple(description.certificates), ordered

    def _deliver(self, connection: Depositor) -> None:
        client = DepositClient(connection, self.office.identity.network, self._agreement)
        for given, encoded in self.tickets.kept():
            if self._ended:
                return
            try:
                known = self._offered.get(given.collection)
                found = known.found if known else self._ask(connection, given.collection)[0]
                receipt = client.send(found, encoded)
                self.tickets.deliver(given.collection, given.patient, receipt.to_bytes())
            except LinkError:
                raise
            except UpcareError as error:
                self._log(f"questionnaires: a deposit is not delivered: {error}")
                if self._over(connection, given):
                    self.tickets.drop(given.collection, given.patient)
            with self._moved:
                self._moved.notify_all()

    def _over(self, connection: Depositor, given: GivenTicket) -> bool:
        """Whether a deposit that was not taken will never be; else it is tried again."""
        if self.office.clock() - given.given > _LONGEST:
            return True
        try:
            return not self._ask(connection, given.collection)[0].taking
        except RefusedError:  # the platform does not know it any more
            return True
        except LinkError:
            raise
        except UpcareError:
            return False

    def _is_kept(self, given: GivenTicket) -> bool:
        now = self.tickets.get(given.collection, given.patient)
        return now is not None and now.state is TicketState.KEPT
