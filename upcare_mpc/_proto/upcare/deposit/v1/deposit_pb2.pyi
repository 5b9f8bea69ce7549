from upcare_mpc._proto.upcare.study.v1 import study_pb2 as _study_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OpenRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OpenResponse(_message.Message):
    __slots__ = ("collections",)
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    collections: _containers.RepeatedCompositeFieldContainer[Listed]
    def __init__(self, collections: _Optional[_Iterable[_Union[Listed, _Mapping]]] = ...) -> None: ...

class Listed(_message.Message):
    __slots__ = ("collection", "study")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    study: bytes
    def __init__(self, collection: _Optional[bytes] = ..., study: _Optional[bytes] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    def __init__(self, collection: _Optional[bytes] = ...) -> None: ...

class Description(_message.Message):
    __slots__ = ("collection", "study", "certificates", "keys", "platform", "open")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    study: bytes
    certificates: _containers.RepeatedScalarFieldContainer[str]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    platform: str
    open: bool
    def __init__(self, collection: _Optional[bytes] = ..., study: _Optional[bytes] = ..., certificates: _Optional[_Iterable[str]] = ..., keys: _Optional[_Iterable[bytes]] = ..., platform: _Optional[str] = ..., open: _Optional[bool] = ...) -> None: ...

class DepositRequest(_message.Message):
    __slots__ = ("collection", "piece")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    piece: bytes
    def __init__(self, collection: _Optional[bytes] = ..., piece: _Optional[bytes] = ...) -> None: ...

class DepositResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: bytes
    def __init__(self, receipt: _Optional[bytes] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("collection", "first")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    first: int
    def __init__(self, collection: _Optional[bytes] = ..., first: _Optional[int] = ...) -> None: ...

class FetchResponse(_message.Message):
    __slots__ = ("place", "piece", "last")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    place: int
    piece: bytes
    last: bool
    def __init__(self, place: _Optional[int] = ..., piece: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class CollectionProposal(_message.Message):
    __slots__ = ("collection", "request", "certificates")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    request: _study_pb2.StudyRequest
    certificates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[bytes] = ..., request: _Optional[_Union[_study_pb2.StudyRequest, _Mapping]] = ..., certificates: _Optional[_Iterable[str]] = ...) -> None: ...

class SignedKey(_message.Message):
    __slots__ = ("collection", "key")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    key: bytes
    def __init__(self, collection: _Optional[bytes] = ..., key: _Optional[bytes] = ...) -> None: ...

class Closing(_message.Message):
    __slots__ = ("collection", "count", "deposits", "present")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DEPOSITS_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    count: int
    deposits: bytes
    present: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[bytes] = ..., count: _Optional[int] = ..., deposits: _Optional[bytes] = ..., present: _Optional[_Iterable[str]] = ...) -> None: ...

class SignedFindings(_message.Message):
    __slots__ = ("collection", "findings", "signature")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    findings: bytes
    signature: bytes
    def __init__(self, collection: _Optional[bytes] = ..., findings: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Discard(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: bytes
    def __init__(self, collection: _Optional[bytes] = ...) -> None: ...
