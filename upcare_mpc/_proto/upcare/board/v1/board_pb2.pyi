from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TopicKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOPIC_KIND_UNSPECIFIED: _ClassVar[TopicKind]
    TOPIC_KIND_CEREMONY: _ClassVar[TopicKind]
    TOPIC_KIND_REQUEST: _ClassVar[TopicKind]
TOPIC_KIND_UNSPECIFIED: TopicKind
TOPIC_KIND_CEREMONY: TopicKind
TOPIC_KIND_REQUEST: TopicKind

class Paper(_message.Message):
    __slots__ = ("number", "sender", "kind", "content", "time")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    number: int
    sender: str
    kind: str
    content: bytes
    time: float
    def __init__(self, number: _Optional[int] = ..., sender: _Optional[str] = ..., kind: _Optional[str] = ..., content: _Optional[bytes] = ..., time: _Optional[float] = ...) -> None: ...

class PostRequest(_message.Message):
    __slots__ = ("topic", "kind", "content")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    topic: bytes
    kind: str
    content: bytes
    def __init__(self, topic: _Optional[bytes] = ..., kind: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class PostResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("topic", "after")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    topic: bytes
    after: int
    def __init__(self, topic: _Optional[bytes] = ..., after: _Optional[int] = ...) -> None: ...

class TopicsRequest(_message.Message):
    __slots__ = ("kind", "after")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    kind: TopicKind
    after: int
    def __init__(self, kind: _Optional[_Union[TopicKind, str]] = ..., after: _Optional[int] = ...) -> None: ...

class TopicsResponse(_message.Message):
    __slots__ = ("topics",)
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    topics: _containers.RepeatedCompositeFieldContainer[Topic]
    def __init__(self, topics: _Optional[_Iterable[_Union[Topic, _Mapping]]] = ...) -> None: ...

class Topic(_message.Message):
    __slots__ = ("number", "topic")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    number: int
    topic: bytes
    def __init__(self, number: _Optional[int] = ..., topic: _Optional[bytes] = ...) -> None: ...

class FileRequest(_message.Message):
    __slots__ = ("filing",)
    FILING_FIELD_NUMBER: _ClassVar[int]
    filing: bytes
    def __init__(self, filing: _Optional[bytes] = ...) -> None: ...

class FileResponse(_message.Message):
    __slots__ = ("topic",)
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    topic: bytes
    def __init__(self, topic: _Optional[bytes] = ...) -> None: ...

class FollowRequest(_message.Message):
    __slots__ = ("authorization", "after")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    authorization: AccessAuthorization
    after: int
    def __init__(self, authorization: _Optional[_Union[AccessAuthorization, _Mapping]] = ..., after: _Optional[int] = ...) -> None: ...

class CeremoniesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CeremonyPaper(_message.Message):
    __slots__ = ("topic", "paper")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PAPER_FIELD_NUMBER: _ClassVar[int]
    topic: bytes
    paper: Paper
    def __init__(self, topic: _Optional[bytes] = ..., paper: _Optional[_Union[Paper, _Mapping]] = ...) -> None: ...

class AccessAuthorization(_message.Message):
    __slots__ = ("request_digest", "signing_key", "not_after", "method", "signature")
    REQUEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    request_digest: bytes
    signing_key: bytes
    not_after: int
    method: str
    signature: bytes
    def __init__(self, request_digest: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ..., not_after: _Optional[int] = ..., method: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...
