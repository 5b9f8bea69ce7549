from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2 as _deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2 as _study_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PreviewRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: _study_pb2.StudyRequest
    def __init__(self, request: _Optional[_Union[_study_pb2.StudyRequest, _Mapping]] = ...) -> None: ...

class PreviewResponse(_message.Message):
    __slots__ = ("quotes",)
    QUOTES_FIELD_NUMBER: _ClassVar[int]
    quotes: _containers.RepeatedCompositeFieldContainer[Quote]
    def __init__(self, quotes: _Optional[_Iterable[_Union[Quote, _Mapping]]] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: _study_pb2.StudyRequest
    def __init__(self, request: _Optional[_Union[_study_pb2.StudyRequest, _Mapping]] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("study_digest", "known")
    STUDY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    study_digest: bytes
    known: bool
    def __init__(self, study_digest: _Optional[bytes] = ..., known: _Optional[bool] = ...) -> None: ...

class CloseRequest(_message.Message):
    __slots__ = ("request", "without")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    request: _study_pb2.StudyRequest
    without: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request: _Optional[_Union[_study_pb2.StudyRequest, _Mapping]] = ..., without: _Optional[_Iterable[str]] = ...) -> None: ...

class CloseResponse(_message.Message):
    __slots__ = ("study_digest", "deposits")
    STUDY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEPOSITS_FIELD_NUMBER: _ClassVar[int]
    study_digest: bytes
    deposits: int
    def __init__(self, study_digest: _Optional[bytes] = ..., deposits: _Optional[int] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _study_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_study_pb2.Authorization, _Mapping]] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("sequence", "time", "phase", "text", "last")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: float
    phase: str
    text: str
    last: bool
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[float] = ..., phase: _Optional[str] = ..., text: _Optional[str] = ..., last: _Optional[bool] = ...) -> None: ...

class ResultRequest(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _study_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_study_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ResultResponse(_message.Message):
    __slots__ = ("descriptor", "output", "spent", "certificate", "collection", "findings", "request")
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    descriptor: bytes
    output: _study_pb2.Output
    spent: _study_pb2.Spent
    certificate: str
    collection: bytes
    findings: _deposit_pb2.SignedFindings
    request: _study_pb2.StudyRequest
    def __init__(self, descriptor: _Optional[bytes] = ..., output: _Optional[_Union[_study_pb2.Output, _Mapping]] = ..., spent: _Optional[_Union[_study_pb2.Spent, _Mapping]] = ..., certificate: _Optional[str] = ..., collection: _Optional[bytes] = ..., findings: _Optional[_Union[_deposit_pb2.SignedFindings, _Mapping]] = ..., request: _Optional[_Union[_study_pb2.StudyRequest, _Mapping]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("authorization", "study_digest", "after", "limit")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    STUDY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    authorization: _study_pb2.Authorization
    study_digest: bytes
    after: bytes
    limit: int
    def __init__(self, authorization: _Optional[_Union[_study_pb2.Authorization, _Mapping]] = ..., study_digest: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("studies", "more")
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    studies: _containers.RepeatedCompositeFieldContainer[Listed]
    more: bool
    def __init__(self, studies: _Optional[_Iterable[_Union[Listed, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class Listed(_message.Message):
    __slots__ = ("study_digest", "title", "state", "reason", "submitted", "changed", "collection")
    STUDY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    study_digest: bytes
    title: str
    state: str
    reason: str
    submitted: float
    changed: float
    collection: bytes
    def __init__(self, study_digest: _Optional[bytes] = ..., title: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., submitted: _Optional[float] = ..., changed: _Optional[float] = ..., collection: _Optional[bytes] = ...) -> None: ...

class CatalogueRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CatalogueResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[CatalogueEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[CatalogueEntry, _Mapping]]] = ...) -> None: ...

class CatalogueEntry(_message.Message):
    __slots__ = ("registry", "attending", "since", "availability")
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    ATTENDING_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    registry: str
    attending: bool
    since: float
    availability: Availability
    def __init__(self, registry: _Optional[str] = ..., attending: _Optional[bool] = ..., since: _Optional[float] = ..., availability: _Optional[_Union[Availability, _Mapping]] = ...) -> None: ...

class Availability(_message.Message):
    __slots__ = ("variables", "first_year", "last_year", "population", "note")
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    FIRST_YEAR_FIELD_NUMBER: _ClassVar[int]
    LAST_YEAR_FIELD_NUMBER: _ClassVar[int]
    POPULATION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    variables: _containers.RepeatedScalarFieldContainer[str]
    first_year: int
    last_year: int
    population: str
    note: str
    def __init__(self, variables: _Optional[_Iterable[str]] = ..., first_year: _Optional[int] = ..., last_year: _Optional[int] = ..., population: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class Quote(_message.Message):
    __slots__ = ("study_digest", "registry", "verdict", "reason", "snapshot", "computes", "certificate", "epsilon_left", "rho_left")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[Quote.Verdict]
        VERDICT_YES: _ClassVar[Quote.Verdict]
        VERDICT_PENDING: _ClassVar[Quote.Verdict]
        VERDICT_NO: _ClassVar[Quote.Verdict]
        VERDICT_ABSENT: _ClassVar[Quote.Verdict]
    VERDICT_UNSPECIFIED: Quote.Verdict
    VERDICT_YES: Quote.Verdict
    VERDICT_PENDING: Quote.Verdict
    VERDICT_NO: Quote.Verdict
    VERDICT_ABSENT: Quote.Verdict
    STUDY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    COMPUTES_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_LEFT_FIELD_NUMBER: _ClassVar[int]
    RHO_LEFT_FIELD_NUMBER: _ClassVar[int]
    study_digest: bytes
    registry: str
    verdict: Quote.Verdict
    reason: str
    snapshot: bytes
    computes: bool
    certificate: str
    epsilon_left: str
    rho_left: str
    def __init__(self, study_digest: _Optional[bytes] = ..., registry: _Optional[str] = ..., verdict: _Optional[_Union[Quote.Verdict, str]] = ..., reason: _Optional[str] = ..., snapshot: _Optional[bytes] = ..., computes: _Optional[bool] = ..., certificate: _Optional[str] = ..., epsilon_left: _Optional[str] = ..., rho_left: _Optional[str] = ...) -> None: ...

class AttendRequest(_message.Message):
    __slots__ = ("call", "join", "quote", "approval", "phase", "output", "spent", "failure", "decision", "banks", "key", "findings")
    CALL_FIELD_NUMBER: _ClassVar[int]
    JOIN_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    BANKS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    call: int
    join: Join
    quote: Quote
    approval: _study_pb2.Approval
    phase: Phase
    output: _study_pb2.Output
    spent: _study_pb2.Spent
    failure: Failure
    decision: Decision
    banks: Banks
    key: _deposit_pb2.SignedKey
    findings: _deposit_pb2.SignedFindings
    def __init__(self, call: _Optional[int] = ..., join: _Optional[_Union[Join, _Mapping]] = ..., quote: _Optional[_Union[Quote, _Mapping]] = ..., approval: _Optional[_Union[_study_pb2.Approval, _Mapping]] = ..., phase: _Optional[_Union[Phase, _Mapping]] = ..., output: _Optional[_Union[_study_pb2.Output, _Mapping]] = ..., spent: _Optional[_Union[_study_pb2.Spent, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., banks: _Optional[_Union[Banks, _Mapping]] = ..., key: _Optional[_Union[_deposit_pb2.SignedKey, _Mapping]] = ..., findings: _Optional[_Union[_deposit_pb2.SignedFindings, _Mapping]] = ...) -> None: ...

class AttendResponse(_message.Message):
    __slots__ = ("call", "offer", "proposal", "start", "abort", "releases", "recall", "finished", "fill", "collection", "closing", "discard")
    CALL_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    DISCARD_FIELD_NUMBER: _ClassVar[int]
    call: int
    offer: Offer
    proposal: Proposal
    start: Start
    abort: Abort
    releases: Releases
    recall: Recall
    finished: Finished
    fill: FillProposal
    collection: _deposit_pb2.CollectionProposal
    closing: _deposit_pb2.Closing
    discard: _deposit_pb2.Discard
    def __init__(self, call: _Optional[int] = ..., offer: _Optional[_Union[Offer, _Mapping]] = ..., proposal: _Optional[_Union[Proposal, _Mapping]] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., abort: _Optional[_Union[Abort, _Mapping]] = ..., releases: _Optional[_Union[Releases, _Mapping]] = ..., recall: _Optional[_Union[Recall, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., fill: _Optional[_Union[FillProposal, _Mapping]] = ..., collection: _Optional[_Union[_deposit_pb2.CollectionProposal, _Mapping]] = ..., closing: _Optional[_Union[_deposit_pb2.Closing, _Mapping]] = ..., discard: _Optional[_Union[_deposit_pb2.Discard, _Mapping]] = ...) -> None: ...

class Join(_message.Message):
    __slots__ = ("version", "availability")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    version: str
    availability: Availability
    def __init__(self, version: _Optional[str] = ..., availability: _Optional[_Union[Availability, _Mapping]] = ...) -> None: ...

class Offer(_message.Message):
    __slots__ = ("request", "submitted")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    request: _study_pb2.StudyRequest
    submitted: bool
    def __init__(self, request: _Optional[_Union[_study_pb2.StudyRequest, _Mapping]] = ..., submitted: _Optional[bool] = ...) -> None: ...

class Proposal(_message.Message):
    __slots__ = ("descriptor", "request", "certificates", "collection", "findings")
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    descriptor: bytes
    request: _study_pb2.StudyRequest
    certificates: _containers.RepeatedScalarFieldContainer[str]
    collection: bytes
    findings: _containers.RepeatedCompositeFieldContainer[_deposit_pb2.SignedFindings]
    def __init__(self, descriptor: _Optional[bytes] = ..., request: _Optional[_Union[_study_pb2.StudyRequest, _Mapping]] = ..., certificates: _Optional[_Iterable[str]] = ..., collection: _Optional[bytes] = ..., findings: _Optional[_Iterable[_Union[_deposit_pb2.SignedFindings, _Mapping]]] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("session_digest", "approvals")
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    approvals: _containers.RepeatedCompositeFieldContainer[_study_pb2.Approval]
    def __init__(self, session_digest: _Optional[bytes] = ..., approvals: _Optional[_Iterable[_Union[_study_pb2.Approval, _Mapping]]] = ...) -> None: ...

class Abort(_message.Message):
    __slots__ = ("session_digest", "reason")
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    reason: str
    def __init__(self, session_digest: _Optional[bytes] = ..., reason: _Optional[str] = ...) -> None: ...

class Releases(_message.Message):
    __slots__ = ("descriptor", "certificates", "words")
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    descriptor: bytes
    certificates: _containers.RepeatedScalarFieldContainer[str]
    words: _containers.RepeatedCompositeFieldContainer[_study_pb2.NoOutput]
    def __init__(self, descriptor: _Optional[bytes] = ..., certificates: _Optional[_Iterable[str]] = ..., words: _Optional[_Iterable[_Union[_study_pb2.NoOutput, _Mapping]]] = ...) -> None: ...

class Recall(_message.Message):
    __slots__ = ("session_digest",)
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    def __init__(self, session_digest: _Optional[bytes] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("session_digest",)
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    def __init__(self, session_digest: _Optional[bytes] = ...) -> None: ...

class Banks(_message.Message):
    __slots__ = ("life", "room", "banks")
    LIFE_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    BANKS_FIELD_NUMBER: _ClassVar[int]
    life: bytes
    room: int
    banks: _containers.RepeatedCompositeFieldContainer[Bank]
    def __init__(self, life: _Optional[bytes] = ..., room: _Optional[int] = ..., banks: _Optional[_Iterable[_Union[Bank, _Mapping]]] = ...) -> None: ...

class Bank(_message.Message):
    __slots__ = ("committee", "law", "epoch", "next", "segments")
    COMMITTEE_FIELD_NUMBER: _ClassVar[int]
    LAW_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    committee: bytes
    law: bytes
    epoch: bytes
    next: int
    segments: int
    def __init__(self, committee: _Optional[bytes] = ..., law: _Optional[bytes] = ..., epoch: _Optional[bytes] = ..., next: _Optional[int] = ..., segments: _Optional[int] = ...) -> None: ...

class FillProposal(_message.Message):
    __slots__ = ("fill", "certificates")
    FILL_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    fill: bytes
    certificates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fill: _Optional[bytes] = ..., certificates: _Optional[_Iterable[str]] = ...) -> None: ...

class Phase(_message.Message):
    __slots__ = ("session_digest", "phase")
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    phase: str
    def __init__(self, session_digest: _Optional[bytes] = ..., phase: _Optional[str] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("session_digest", "code", "text", "no_output")
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NO_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    code: str
    text: str
    no_output: _study_pb2.NoOutput
    def __init__(self, session_digest: _Optional[bytes] = ..., code: _Optional[str] = ..., text: _Optional[str] = ..., no_output: _Optional[_Union[_study_pb2.NoOutput, _Mapping]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("study_digest",)
    STUDY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    study_digest: bytes
    def __init__(self, study_digest: _Optional[bytes] = ...) -> None: ...
