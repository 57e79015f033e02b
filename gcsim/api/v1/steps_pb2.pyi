from gcsim.api.v1 import distribution_pb2 as _distribution_pb2
from gcsim.api.v1 import objects_pb2 as _objects_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeepBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEEP_BY_UNSPECIFIED: _ClassVar[KeepBy]
    KEEP_BY_REFERENCE: _ClassVar[KeepBy]
    KEEP_BY_COPY: _ClassVar[KeepBy]

class PassBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PASS_BY_UNSPECIFIED: _ClassVar[PassBy]
    PASS_BY_VALUE: _ClassVar[PassBy]
    PASS_BY_POINTER: _ClassVar[PassBy]

class LifetimeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIFETIME_KIND_UNSPECIFIED: _ClassVar[LifetimeKind]
    LIFETIME_KIND_REQUEST: _ClassVar[LifetimeKind]
    LIFETIME_KIND_TEMPORARY: _ClassVar[LifetimeKind]
KEEP_BY_UNSPECIFIED: KeepBy
KEEP_BY_REFERENCE: KeepBy
KEEP_BY_COPY: KeepBy
PASS_BY_UNSPECIFIED: PassBy
PASS_BY_VALUE: PassBy
PASS_BY_POINTER: PassBy
LIFETIME_KIND_UNSPECIFIED: LifetimeKind
LIFETIME_KIND_REQUEST: LifetimeKind
LIFETIME_KIND_TEMPORARY: LifetimeKind

class Step(_message.Message):
    __slots__ = ("cpu", "allocate", "block", "syscall", "lock", "pointer_writes", "replace", "publish", "leak", "pool_get", "pool_put", "gc", "append", "map_insert", "keep", "drop", "call", "delete", "fifo")
    CPU_FIELD_NUMBER: _ClassVar[int]
    ALLOCATE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    SYSCALL_FIELD_NUMBER: _ClassVar[int]
    LOCK_FIELD_NUMBER: _ClassVar[int]
    POINTER_WRITES_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    LEAK_FIELD_NUMBER: _ClassVar[int]
    POOL_GET_FIELD_NUMBER: _ClassVar[int]
    POOL_PUT_FIELD_NUMBER: _ClassVar[int]
    GC_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    MAP_INSERT_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    DROP_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    FIFO_FIELD_NUMBER: _ClassVar[int]
    cpu: CpuStep
    allocate: AllocateStep
    block: BlockStep
    syscall: SyscallStep
    lock: LockStep
    pointer_writes: PointerWritesStep
    replace: ReplaceStep
    publish: PublishStep
    leak: LeakStep
    pool_get: PoolGetStep
    pool_put: PoolPutStep
    gc: GCStep
    append: AppendStep
    map_insert: MapInsertStep
    keep: KeepStep
    drop: DropStep
    call: CallStep
    delete: DeleteStep
    fifo: FifoStep
    def __init__(self, cpu: _Optional[_Union[CpuStep, _Mapping]] = ..., allocate: _Optional[_Union[AllocateStep, _Mapping]] = ..., block: _Optional[_Union[BlockStep, _Mapping]] = ..., syscall: _Optional[_Union[SyscallStep, _Mapping]] = ..., lock: _Optional[_Union[LockStep, _Mapping]] = ..., pointer_writes: _Optional[_Union[PointerWritesStep, _Mapping]] = ..., replace: _Optional[_Union[ReplaceStep, _Mapping]] = ..., publish: _Optional[_Union[PublishStep, _Mapping]] = ..., leak: _Optional[_Union[LeakStep, _Mapping]] = ..., pool_get: _Optional[_Union[PoolGetStep, _Mapping]] = ..., pool_put: _Optional[_Union[PoolPutStep, _Mapping]] = ..., gc: _Optional[_Union[GCStep, _Mapping]] = ..., append: _Optional[_Union[AppendStep, _Mapping]] = ..., map_insert: _Optional[_Union[MapInsertStep, _Mapping]] = ..., keep: _Optional[_Union[KeepStep, _Mapping]] = ..., drop: _Optional[_Union[DropStep, _Mapping]] = ..., call: _Optional[_Union[CallStep, _Mapping]] = ..., delete: _Optional[_Union[DeleteStep, _Mapping]] = ..., fifo: _Optional[_Union[FifoStep, _Mapping]] = ...) -> None: ...

class CpuStep(_message.Message):
    __slots__ = ("ns", "distribution", "calibrated_spin")
    NS_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    CALIBRATED_SPIN_FIELD_NUMBER: _ClassVar[int]
    ns: int
    distribution: _distribution_pb2.TimeDistribution
    calibrated_spin: bool
    def __init__(self, ns: _Optional[int] = ..., distribution: _Optional[_Union[_distribution_pb2.TimeDistribution, _Mapping]] = ..., calibrated_spin: _Optional[bool] = ...) -> None: ...

class AllocateStep(_message.Message):
    __slots__ = ("count", "size_bytes", "size_distribution", "pointer_words", "lifetime", "shape", "scaled", "site", "name")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SIZE_DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    POINTER_WORDS_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    SCALED_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    count: float
    size_bytes: int
    size_distribution: _distribution_pb2.SizeDistribution
    pointer_words: int
    lifetime: Lifetime
    shape: _objects_pb2.Shape
    scaled: bool
    site: str
    name: str
    def __init__(self, count: _Optional[float] = ..., size_bytes: _Optional[int] = ..., size_distribution: _Optional[_Union[_distribution_pb2.SizeDistribution, _Mapping]] = ..., pointer_words: _Optional[int] = ..., lifetime: _Optional[_Union[Lifetime, _Mapping]] = ..., shape: _Optional[_Union[_objects_pb2.Shape, str]] = ..., scaled: _Optional[bool] = ..., site: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class BlockStep(_message.Message):
    __slots__ = ("ns", "distribution", "timer")
    NS_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    TIMER_FIELD_NUMBER: _ClassVar[int]
    ns: int
    distribution: _distribution_pb2.TimeDistribution
    timer: bool
    def __init__(self, ns: _Optional[int] = ..., distribution: _Optional[_Union[_distribution_pb2.TimeDistribution, _Mapping]] = ..., timer: _Optional[bool] = ...) -> None: ...

class SyscallStep(_message.Message):
    __slots__ = ("ns", "distribution")
    NS_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    ns: int
    distribution: _distribution_pb2.TimeDistribution
    def __init__(self, ns: _Optional[int] = ..., distribution: _Optional[_Union[_distribution_pb2.TimeDistribution, _Mapping]] = ...) -> None: ...

class LockStep(_message.Message):
    __slots__ = ("name", "hold_ns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOLD_NS_FIELD_NUMBER: _ClassVar[int]
    name: str
    hold_ns: int
    def __init__(self, name: _Optional[str] = ..., hold_ns: _Optional[int] = ...) -> None: ...

class PointerWritesStep(_message.Message):
    __slots__ = ("count", "set", "drops_subtree")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    DROPS_SUBTREE_FIELD_NUMBER: _ClassVar[int]
    count: int
    set: str
    drops_subtree: bool
    def __init__(self, count: _Optional[int] = ..., set: _Optional[str] = ..., drops_subtree: _Optional[bool] = ...) -> None: ...

class ReplaceStep(_message.Message):
    __slots__ = ("set", "count")
    SET_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    set: str
    count: float
    def __init__(self, set: _Optional[str] = ..., count: _Optional[float] = ...) -> None: ...

class DeleteStep(_message.Message):
    __slots__ = ("set", "count")
    SET_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    set: str
    count: float
    def __init__(self, set: _Optional[str] = ..., count: _Optional[float] = ...) -> None: ...

class FifoStep(_message.Message):
    __slots__ = ("set", "count", "clear")
    SET_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CLEAR_FIELD_NUMBER: _ClassVar[int]
    set: str
    count: float
    clear: bool
    def __init__(self, set: _Optional[str] = ..., count: _Optional[float] = ..., clear: _Optional[bool] = ...) -> None: ...

class PublishStep(_message.Message):
    __slots__ = ("set", "count")
    SET_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    set: str
    count: float
    def __init__(self, set: _Optional[str] = ..., count: _Optional[float] = ...) -> None: ...

class LeakStep(_message.Message):
    __slots__ = ("size_bytes", "pointer_words", "slot_bytes")
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    POINTER_WORDS_FIELD_NUMBER: _ClassVar[int]
    SLOT_BYTES_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    pointer_words: int
    slot_bytes: int
    def __init__(self, size_bytes: _Optional[int] = ..., pointer_words: _Optional[int] = ..., slot_bytes: _Optional[int] = ...) -> None: ...

class PoolGetStep(_message.Message):
    __slots__ = ("pool", "size_bytes", "touch")
    POOL_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOUCH_FIELD_NUMBER: _ClassVar[int]
    pool: str
    size_bytes: int
    touch: bool
    def __init__(self, pool: _Optional[str] = ..., size_bytes: _Optional[int] = ..., touch: _Optional[bool] = ...) -> None: ...

class PoolPutStep(_message.Message):
    __slots__ = ("pool",)
    POOL_FIELD_NUMBER: _ClassVar[int]
    pool: str
    def __init__(self, pool: _Optional[str] = ...) -> None: ...

class GCStep(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AppendStep(_message.Message):
    __slots__ = ("count", "elements", "element_size_bytes", "pointer_words", "hint", "chunk", "lifetime", "site", "name")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    POINTER_WORDS_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    count: float
    elements: int
    element_size_bytes: int
    pointer_words: int
    hint: int
    chunk: int
    lifetime: Lifetime
    site: str
    name: str
    def __init__(self, count: _Optional[float] = ..., elements: _Optional[int] = ..., element_size_bytes: _Optional[int] = ..., pointer_words: _Optional[int] = ..., hint: _Optional[int] = ..., chunk: _Optional[int] = ..., lifetime: _Optional[_Union[Lifetime, _Mapping]] = ..., site: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class MapInsertStep(_message.Message):
    __slots__ = ("count", "keys", "hint", "key_size_bytes", "value_size_bytes", "key_pointers", "value_pointers", "lifetime", "site", "name")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    KEY_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    VALUE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEY_POINTERS_FIELD_NUMBER: _ClassVar[int]
    VALUE_POINTERS_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    count: float
    keys: int
    hint: int
    key_size_bytes: int
    value_size_bytes: int
    key_pointers: bool
    value_pointers: bool
    lifetime: Lifetime
    site: str
    name: str
    def __init__(self, count: _Optional[float] = ..., keys: _Optional[int] = ..., hint: _Optional[int] = ..., key_size_bytes: _Optional[int] = ..., value_size_bytes: _Optional[int] = ..., key_pointers: _Optional[bool] = ..., value_pointers: _Optional[bool] = ..., lifetime: _Optional[_Union[Lifetime, _Mapping]] = ..., site: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class KeepStep(_message.Message):
    __slots__ = ("name", "by", "size_bytes", "pointer_words", "lifetime")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    POINTER_WORDS_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    by: KeepBy
    size_bytes: int
    pointer_words: int
    lifetime: _distribution_pb2.TimeDistribution
    def __init__(self, name: _Optional[str] = ..., by: _Optional[_Union[KeepBy, str]] = ..., size_bytes: _Optional[int] = ..., pointer_words: _Optional[int] = ..., lifetime: _Optional[_Union[_distribution_pb2.TimeDistribution, _Mapping]] = ...) -> None: ...

class DropStep(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CallStep(_message.Message):
    __slots__ = ("count", "size_bytes", "by", "frame_bytes", "nested")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    NESTED_FIELD_NUMBER: _ClassVar[int]
    count: int
    size_bytes: int
    by: PassBy
    frame_bytes: int
    nested: bool
    def __init__(self, count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., by: _Optional[_Union[PassBy, str]] = ..., frame_bytes: _Optional[int] = ..., nested: _Optional[bool] = ...) -> None: ...

class Lifetime(_message.Message):
    __slots__ = ("kind", "distribution")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    kind: LifetimeKind
    distribution: _distribution_pb2.TimeDistribution
    def __init__(self, kind: _Optional[_Union[LifetimeKind, str]] = ..., distribution: _Optional[_Union[_distribution_pb2.TimeDistribution, _Mapping]] = ...) -> None: ...
