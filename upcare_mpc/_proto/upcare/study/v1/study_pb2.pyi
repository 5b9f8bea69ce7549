from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class StudyRequest(_message.Message):
    __slots__ = ("study", "signing_key", "sealing_key", "not_after", "nonce", "signature", "method", "collection")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    SEALING_KEY_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    study: bytes
    signing_key: bytes
    sealing_key: bytes
    not_after: int
    nonce: bytes
    signature: bytes
    method: str
    collection: bytes
    def __init__(self, study: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ..., sealing_key: _Optional[bytes] = ..., not_after: _Optional[int] = ..., nonce: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., method: _Optional[str] = ..., collection: _Optional[bytes] = ...) -> None: ...

class Authorization(_message.Message):
    __slots__ = ("study_digest", "signing_key", "not_after", "method", "signature")
    STUDY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    study_digest: bytes
    signing_key: bytes
    not_after: int
    method: str
    signature: bytes
    def __init__(self, study_digest: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ..., not_after: _Optional[int] = ..., method: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("session_digest", "registry", "endpoint", "signature")
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    registry: str
    endpoint: str
    signature: bytes
    def __init__(self, session_digest: _Optional[bytes] = ..., registry: _Optional[str] = ..., endpoint: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("session_digest", "index", "agreement", "sealed", "signature", "dropped")
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    index: int
    agreement: bytes
    sealed: bytes
    signature: bytes
    dropped: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, session_digest: _Optional[bytes] = ..., index: _Optional[int] = ..., agreement: _Optional[bytes] = ..., sealed: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., dropped: _Optional[_Iterable[int]] = ...) -> None: ...

class NoOutput(_message.Message):
    __slots__ = ("session_digest", "registry", "signature")
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    registry: str
    signature: bytes
    def __init__(self, session_digest: _Optional[bytes] = ..., registry: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Spent(_message.Message):
    __slots__ = ("session_digest", "registry", "epsilon", "delta", "signature", "rho")
    SESSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    RHO_FIELD_NUMBER: _ClassVar[int]
    session_digest: bytes
    registry: str
    epsilon: str
    delta: str
    signature: bytes
    rho: str
    def __init__(self, session_digest: _Optional[bytes] = ..., registry: _Optional[str] = ..., epsilon: _Optional[str] = ..., delta: _Optional[str] = ..., signature: _Optional[bytes] = ..., rho: _Optional[str] = ...) -> None: ...
