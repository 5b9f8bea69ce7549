"""All tables, on one screen: one schema for a node, one for the coordinator.

A database says whose it is and which version of the schema it has; ``database`` refuses others
by name. Times are ISO 8601 text in UTC; digests and keys are 32 raw bytes.

What is secret: at the coordinator nothing. At a node the journal holds digests, charges and times,
and a sealed output or fragment can be opened by the researcher alone; but ``consents``, ``codes``,
``visits``, ``receipts`` and ``tickets`` speak of patients, by pseudonym, and never leave the
registry. No record, share, count or private key is ever stored here.
"""

from dataclasses import dataclass

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "BANKS",
    "BOARD",
    "CODES",
    "COLLECTIONS",
    "CONSENTS",
    "COORDINATOR",
    "DEPOSITS",
    "EVENTS",
    "FRAGMENTS",
    "HOLDINGS",
    "JOURNAL",
    "NODE",
    "PAPERS",
    "QUESTIONS",
    "RECEIPTS",
    "REQUESTS",
    "SESSIONS",
    "STUDIES",
    "TICKETS",
    "TOPICS",
    "VISITS",
    "Schema",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The tables of one kind of process.

    Attributes:
        owner: ``node`` or ``coordinator``; stored in the database.
        version: Raised with every change of a table.
        tables: The tables.
    """

    owner: str
    version: int
    tables: MetaData


_node = MetaData()
_coordinator = MetaData()

NODE = Schema(owner="node", version=5, tables=_node)
COORDINATOR = Schema(owner="coordinator", version=4, tables=_coordinator)

# A registry's chain of ledger events and approvals; see upcare_mpc.journal.
JOURNAL = Table(
    "journal",
    _node,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("time", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", LargeBinary, nullable=False, unique=True),  # so a chain cannot fork
    Column("digest", LargeBinary, nullable=False),
)

# What this node has done in each session; see upcare_mpc.storage.sessions.
SESSIONS = Table(
    "sessions",
    _node,
    Column("session", LargeBinary, primary_key=True),
    Column("study", LargeBinary, nullable=False),
    Column("request", LargeBinary, unique=True),  # NULL where the session was never agreed to
    Column("state", Text, nullable=False),
    Column("sealed_output", LargeBinary),
    Column("created", Text, nullable=False),
    Column("changed", Text, nullable=False),
    CheckConstraint(
        "(state = 'output') = (sealed_output IS NOT NULL)",
        name="only_an_output_has_bytes",
    ),
)

# Which segments of its noise banks a node may still use; see upcare_mpc.storage.bank.
BANKS = Table(
    "banks",
    _node,
    Column("epoch", LargeBinary, primary_key=True),
    Column("segments", Integer, nullable=False),
    Column("next", Integer),  # NULL until all parties have confirmed the fill
)

# Studies that this registry took part in, for the patients' page; see upcare_mpc.storage.sessions.
QUESTIONS = Table(
    "questions",
    _node,
    Column("study", LargeBinary, primary_key=True),
    Column("canonical", LargeBinary, nullable=False),
    Column("first", Text, nullable=False),
)

# What patients have said; appended to, never changed. Secret. See upcare_mpc.storage.consents.
CONSENTS = Table(
    "consents",
    _node,
    Column("patient", LargeBinary, primary_key=True),
    Column("data_set", Text, primary_key=True),
    Column("activity", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),  # answers of one version can contradict
    Column("canonical", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),  # of the commitment in the journal
    Column("recorded", Text, nullable=False),
)

# One-time codes that let a patient in, and visits they began; both by SHA-256. Secret.
CODES = Table(
    "codes",
    _node,
    Column("code", LargeBinary, primary_key=True),
    Column("patient", LargeBinary, nullable=False),
    Column("expires", Text, nullable=False),
)
VISITS = Table(
    "visits",
    _node,
    Column("token", LargeBinary, primary_key=True),
    Column("patient", LargeBinary, nullable=False),
    Column("expires", Text, nullable=False),
)

# Signed receipts of withdrawals from the vault. Secret: whose they are.
RECEIPTS = Table(
    "receipts",
    _node,
    Column("token", Text, primary_key=True),
    Column("patient", LargeBinary, nullable=False, index=True),
    Column("text", Text, nullable=False),
)

# Tickets that this registry has given its patients for collections, one each, and what they have
# deposited through its page. Secret: whose they are. See upcare_mpc.storage.tickets.
TICKETS = Table(
    "tickets",
    _node,
    Column("collection", LargeBinary, primary_key=True),
    Column("patient", LargeBinary, primary_key=True),
    Column("key", LargeBinary, nullable=False),
    Column("ticket", LargeBinary, nullable=False),
    Column("certificate", LargeBinary, nullable=False),  # whose key has signed the ticket
    Column("study", LargeBinary, nullable=False),  # canonical
    Column("given", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("deposit", LargeBinary),
    Column("receipt", LargeBinary),
    UniqueConstraint("collection", "key"),
    CheckConstraint(
        "(state = 'kept') = (deposit IS NOT NULL)"
        " AND (state = 'delivered') = (receipt IS NOT NULL)",
        name="only_what_is_kept_has_bytes",
    ),
)

# Requests for keys that this registry has seen on the board, each with its filing.
REQUESTS = Table(
    "requests",
    _node,
    Column("request", LargeBinary, primary_key=True),
    Column("filing", LargeBinary, nullable=False),
    Column("seen", Text, nullable=False),
)

# This registry's fragments, sealed to who asked and signed; sent again only as they are.
FRAGMENTS = Table(
    "fragments",
    _node,
    Column("request", LargeBinary, primary_key=True),
    Column("paper", LargeBinary, nullable=False),
)

# Collections whose key this registry holds a part of; see upcare_mpc.storage.holdings. The part
# itself lies in a file, which goes when the collection is over.
HOLDINGS = Table(
    "holdings",
    _node,
    Column("collection", LargeBinary, primary_key=True),
    Column("request", LargeBinary, nullable=False, unique=True),  # that its key was dealt on
    Column("papers", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("frozen", LargeBinary),  # the one set of deposits that it may be used for
    Column("session", LargeBinary),  # the latest one on this set
    Column("attempts", Integer, nullable=False),
)

# Questions as the coordinator knows them: what was asked, by which key, and how far it is. The
# digest is over the study's digest and the researcher's key; the session is the latest attempt.
STUDIES = Table(
    "studies",
    _coordinator,
    Column("digest", LargeBinary, primary_key=True),
    Column("researcher", Text, nullable=False, index=True),
    Column("canonical", LargeBinary, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("session", LargeBinary, index=True),
    Column("error", Text),
    Column("created", Text, nullable=False),
    Column("updated", Text, nullable=False),
)

# Progress of a study, in the order in which it happened.
EVENTS = Table(
    "events",
    _coordinator,
    Column("study", LargeBinary, ForeignKey(STUDIES.c.digest), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("time", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
)

# What belongs to a session: its descriptor, certificates, outputs (each sealed to the researcher
# by one computing registry), and signed words about charges. And what belongs to a collection:
# the holders' certificates and signed keys.
PAPERS = Table(
    "papers",
    _coordinator,
    Column("session", LargeBinary, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("party", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# What is collected for which question; see upcare_mpc.storage.deposits.
COLLECTIONS = Table(
    "collections",
    _coordinator,
    Column("collection", LargeBinary, primary_key=True),
    Column("question", LargeBinary, ForeignKey(STUDIES.c.digest), nullable=False, index=True),
    Column("number", Integer, nullable=False, unique=True),  # in the order in which they began
    Column("canonical", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
)

# Deposits, each in a file of its own; what is here stays when the file goes.
DEPOSITS = Table(
    "deposits",
    _coordinator,
    Column("collection", LargeBinary, ForeignKey(COLLECTIONS.c.collection), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("role", Text, nullable=False),
    Column("submitter", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    UniqueConstraint("collection", "role", "submitter"),
)

# What the board is about: key ceremonies and requests for keys.
TOPICS = Table(
    "topics",
    _coordinator,
    Column("number", Integer, primary_key=True),
    Column("topic", LargeBinary, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("owner", LargeBinary, nullable=False),  # researcher's key; empty for a ceremony
    Column("created", Text, nullable=False),
)

# Papers on the board; see upcare_mpc.storage.board.
BOARD = Table(
    "board",
    _coordinator,
    Column("topic", LargeBinary, ForeignKey(TOPICS.c.topic), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sender", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("time", Text, nullable=False),
    UniqueConstraint("topic", "sender", "kind", "digest"),
)
