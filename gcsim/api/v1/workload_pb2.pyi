from gcsim.api.v1 import objects_pb2 as _objects_pb2
from gcsim.api.v1 import settings_pb2 as _settings_pb2
from gcsim.api.v1 import steps_pb2 as _steps_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Built(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUILT_UNSPECIFIED: _ClassVar[Built]
    BUILT_START_UP: _ClassVar[Built]
    BUILT_LOAD_START: _ClassVar[Built]

class Arrivals(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARRIVALS_UNSPECIFIED: _ClassVar[Arrivals]
    ARRIVALS_POISSON: _ClassVar[Arrivals]
    ARRIVALS_CONSTANT: _ClassVar[Arrivals]
    ARRIVALS_RECORDED: _ClassVar[Arrivals]
BUILT_UNSPECIFIED: Built
BUILT_START_UP: Built
BUILT_LOAD_START: Built
ARRIVALS_UNSPECIFIED: Arrivals
ARRIVALS_POISSON: Arrivals
ARRIVALS_CONSTANT: Arrivals
ARRIVALS_RECORDED: Arrivals

class RetainedSet(_message.Message):
    __slots__ = ("name", "entries", "objects", "table_slot_bytes", "built", "map")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    TABLE_SLOT_BYTES_FIELD_NUMBER: _ClassVar[int]
    BUILT_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    name: str
    entries: int
    objects: _containers.RepeatedCompositeFieldContainer[_objects_pb2.ObjectGroup]
    table_slot_bytes: int
    built: Built
    map: MapTable
    def __init__(self, name: _Optional[str] = ..., entries: _Optional[int] = ..., objects: _Optional[_Iterable[_Union[_objects_pb2.ObjectGroup, _Mapping]]] = ..., table_slot_bytes: _Optional[int] = ..., built: _Optional[_Union[Built, str]] = ..., map: _Optional[_Union[MapTable, _Mapping]] = ...) -> None: ...

class MapTable(_message.Message):
    __slots__ = ("key_size_bytes", "value_size_bytes", "key_pointers", "value_pointers", "remade")
    KEY_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    VALUE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEY_POINTERS_FIELD_NUMBER: _ClassVar[int]
    VALUE_POINTERS_FIELD_NUMBER: _ClassVar[int]
    REMADE_FIELD_NUMBER: _ClassVar[int]
    key_size_bytes: int
    value_size_bytes: int
    key_pointers: bool
    value_pointers: bool
    remade: bool
    def __init__(self, key_size_bytes: _Optional[int] = ..., value_size_bytes: _Optional[int] = ..., key_pointers: _Optional[bool] = ..., value_pointers: _Optional[bool] = ..., remade: _Optional[bool] = ...) -> None: ...

class Globals(_message.Message):
    __slots__ = ("scan_bytes", "objects")
    SCAN_BYTES_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    scan_bytes: int
    objects: _containers.RepeatedCompositeFieldContainer[_objects_pb2.ObjectGroup]
    def __init__(self, scan_bytes: _Optional[int] = ..., objects: _Optional[_Iterable[_Union[_objects_pb2.ObjectGroup, _Mapping]]] = ...) -> None: ...

class IdleGoroutines(_message.Message):
    __slots__ = ("count", "stack_used_bytes")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STACK_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    count: int
    stack_used_bytes: int
    def __init__(self, count: _Optional[int] = ..., stack_used_bytes: _Optional[int] = ...) -> None: ...

class RequestClass(_message.Message):
    __slots__ = ("name", "workers", "rate_per_s", "arrivals", "arrival_times_ns", "dispatcher", "max_in_flight", "stack_used_bytes", "steps")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    ARRIVALS_FIELD_NUMBER: _ClassVar[int]
    ARRIVAL_TIMES_NS_FIELD_NUMBER: _ClassVar[int]
    DISPATCHER_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    STACK_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    workers: int
    rate_per_s: float
    arrivals: Arrivals
    arrival_times_ns: _containers.RepeatedScalarFieldContainer[int]
    dispatcher: bool
    max_in_flight: int
    stack_used_bytes: int
    steps: _containers.RepeatedCompositeFieldContainer[_steps_pb2.Step]
    def __init__(self, name: _Optional[str] = ..., workers: _Optional[int] = ..., rate_per_s: _Optional[float] = ..., arrivals: _Optional[_Union[Arrivals, str]] = ..., arrival_times_ns: _Optional[_Iterable[int]] = ..., dispatcher: _Optional[bool] = ..., max_in_flight: _Optional[int] = ..., stack_used_bytes: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[_steps_pb2.Step, _Mapping]]] = ...) -> None: ...

class Phase(_message.Message):
    __slots__ = ("duration_ns", "rate_per_s", "garbage_scale", "entries", "gogc", "gomemlimit")
    DURATION_NS_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    GARBAGE_SCALE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    GOGC_FIELD_NUMBER: _ClassVar[int]
    GOMEMLIMIT_FIELD_NUMBER: _ClassVar[int]
    duration_ns: int
    rate_per_s: PhaseRate
    garbage_scale: float
    entries: EntryCounts
    gogc: _settings_pb2.GogcSetting
    gomemlimit: _settings_pb2.MemoryLimitSetting
    def __init__(self, duration_ns: _Optional[int] = ..., rate_per_s: _Optional[_Union[PhaseRate, _Mapping]] = ..., garbage_scale: _Optional[float] = ..., entries: _Optional[_Union[EntryCounts, _Mapping]] = ..., gogc: _Optional[_Union[_settings_pb2.GogcSetting, _Mapping]] = ..., gomemlimit: _Optional[_Union[_settings_pb2.MemoryLimitSetting, _Mapping]] = ...) -> None: ...

class ClassRates(_message.Message):
    __slots__ = ("per_s",)
    class PerSEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    PER_S_FIELD_NUMBER: _ClassVar[int]
    per_s: _containers.ScalarMap[str, float]
    def __init__(self, per_s: _Optional[_Mapping[str, float]] = ...) -> None: ...

class PhaseRate(_message.Message):
    __slots__ = ("all_per_s", "by_class")
    ALL_PER_S_FIELD_NUMBER: _ClassVar[int]
    BY_CLASS_FIELD_NUMBER: _ClassVar[int]
    all_per_s: float
    by_class: ClassRates
    def __init__(self, all_per_s: _Optional[float] = ..., by_class: _Optional[_Union[ClassRates, _Mapping]] = ...) -> None: ...

class EntryCounts(_message.Message):
    __slots__ = ("entries",)
    class EntriesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.ScalarMap[str, int]
    def __init__(self, entries: _Optional[_Mapping[str, int]] = ...) -> None: ...
