from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("registry", "attending", "snapshot", "waiting", "running")
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    ATTENDING_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    registry: str
    attending: bool
    snapshot: bytes
    waiting: _containers.RepeatedCompositeFieldContainer[WaitingStudy]
    running: int
    def __init__(self, registry: _Optional[str] = ..., attending: _Optional[bool] = ..., snapshot: _Optional[bytes] = ..., waiting: _Optional[_Iterable[_Union[WaitingStudy, _Mapping]]] = ..., running: _Optional[int] = ...) -> None: ...

class WaitingStudy(_message.Message):
    __slots__ = ("question_digest", "study", "signing_key")
    QUESTION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    question_digest: bytes
    study: bytes
    signing_key: bytes
    def __init__(self, question_digest: _Optional[bytes] = ..., study: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ...) -> None: ...

class ApproveRequest(_message.Message):
    __slots__ = ("question_digest",)
    QUESTION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    question_digest: bytes
    def __init__(self, question_digest: _Optional[bytes] = ...) -> None: ...

class ApproveResponse(_message.Message):
    __slots__ = ("question_digest",)
    QUESTION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    question_digest: bytes
    def __init__(self, question_digest: _Optional[bytes] = ...) -> None: ...

class RefuseRequest(_message.Message):
    __slots__ = ("question_digest", "reason")
    QUESTION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    question_digest: bytes
    reason: str
    def __init__(self, question_digest: _Optional[bytes] = ..., reason: _Optional[str] = ...) -> None: ...

class RefuseResponse(_message.Message):
    __slots__ = ("question_digest",)
    QUESTION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    question_digest: bytes
    def __init__(self, question_digest: _Optional[bytes] = ...) -> None: ...

class BankRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BankResponse(_message.Message):
    __slots__ = ("registry", "cells", "ready")
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    registry: str
    cells: int
    ready: _containers.RepeatedCompositeFieldContainer[ReadyNoise]
    def __init__(self, registry: _Optional[str] = ..., cells: _Optional[int] = ..., ready: _Optional[_Iterable[_Union[ReadyNoise, _Mapping]]] = ...) -> None: ...

class ReadyNoise(_message.Message):
    __slots__ = ("law", "law_digest", "registries", "cells", "filled")
    LAW_FIELD_NUMBER: _ClassVar[int]
    LAW_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REGISTRIES_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    FILLED_FIELD_NUMBER: _ClassVar[int]
    law: str
    law_digest: bytes
    registries: _containers.RepeatedScalarFieldContainer[str]
    cells: int
    filled: int
    def __init__(self, law: _Optional[str] = ..., law_digest: _Optional[bytes] = ..., registries: _Optional[_Iterable[str]] = ..., cells: _Optional[int] = ..., filled: _Optional[int] = ...) -> None: ...
