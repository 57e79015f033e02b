from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Collector(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLLECTOR_UNSPECIFIED: _ClassVar[Collector]
    COLLECTOR_CONCURRENT: _ClassVar[Collector]
    COLLECTOR_STOP_THE_WORLD: _ClassVar[Collector]
    COLLECTOR_GENERATIONAL: _ClassVar[Collector]
COLLECTOR_UNSPECIFIED: Collector
COLLECTOR_CONCURRENT: Collector
COLLECTOR_STOP_THE_WORLD: Collector
COLLECTOR_GENERATIONAL: Collector

class GogcSetting(_message.Message):
    __slots__ = ("percent", "off")
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    percent: int
    off: bool
    def __init__(self, percent: _Optional[int] = ..., off: _Optional[bool] = ...) -> None: ...

class MemoryLimitSetting(_message.Message):
    __slots__ = ("limit_bytes", "off")
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    limit_bytes: int
    off: bool
    def __init__(self, limit_bytes: _Optional[int] = ..., off: _Optional[bool] = ...) -> None: ...

class CfsQuotaSetting(_message.Message):
    __slots__ = ("quota_ns", "off")
    QUOTA_NS_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    quota_ns: int
    off: bool
    def __init__(self, quota_ns: _Optional[int] = ..., off: _Optional[bool] = ...) -> None: ...

class Generational(_message.Message):
    __slots__ = ("nursery_bytes", "promotion_age", "remembered_set")
    NURSERY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_AGE_FIELD_NUMBER: _ClassVar[int]
    REMEMBERED_SET_FIELD_NUMBER: _ClassVar[int]
    nursery_bytes: int
    promotion_age: int
    remembered_set: bool
    def __init__(self, nursery_bytes: _Optional[int] = ..., promotion_age: _Optional[int] = ..., remembered_set: _Optional[bool] = ...) -> None: ...

class RuntimeSettings(_message.Message):
    __slots__ = ("go", "gomaxprocs", "gogc", "gomemlimit", "assists", "idle_workers", "collector", "stop_the_world_sweep", "generational")
    GO_FIELD_NUMBER: _ClassVar[int]
    GOMAXPROCS_FIELD_NUMBER: _ClassVar[int]
    GOGC_FIELD_NUMBER: _ClassVar[int]
    GOMEMLIMIT_FIELD_NUMBER: _ClassVar[int]
    ASSISTS_FIELD_NUMBER: _ClassVar[int]
    IDLE_WORKERS_FIELD_NUMBER: _ClassVar[int]
    COLLECTOR_FIELD_NUMBER: _ClassVar[int]
    STOP_THE_WORLD_SWEEP_FIELD_NUMBER: _ClassVar[int]
    GENERATIONAL_FIELD_NUMBER: _ClassVar[int]
    go: str
    gomaxprocs: int
    gogc: GogcSetting
    gomemlimit: MemoryLimitSetting
    assists: bool
    idle_workers: bool
    collector: Collector
    stop_the_world_sweep: bool
    generational: Generational
    def __init__(self, go: _Optional[str] = ..., gomaxprocs: _Optional[int] = ..., gogc: _Optional[_Union[GogcSetting, _Mapping]] = ..., gomemlimit: _Optional[_Union[MemoryLimitSetting, _Mapping]] = ..., assists: _Optional[bool] = ..., idle_workers: _Optional[bool] = ..., collector: _Optional[_Union[Collector, str]] = ..., stop_the_world_sweep: _Optional[bool] = ..., generational: _Optional[_Union[Generational, _Mapping]] = ...) -> None: ...

class Machine(_message.Message):
    __slots__ = ("profile", "cores", "cfs_quota", "cfs_period_ns")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    CFS_QUOTA_FIELD_NUMBER: _ClassVar[int]
    CFS_PERIOD_NS_FIELD_NUMBER: _ClassVar[int]
    profile: str
    cores: int
    cfs_quota: CfsQuotaSetting
    cfs_period_ns: int
    def __init__(self, profile: _Optional[str] = ..., cores: _Optional[int] = ..., cfs_quota: _Optional[_Union[CfsQuotaSetting, _Mapping]] = ..., cfs_period_ns: _Optional[int] = ...) -> None: ...

class RunSettings(_message.Message):
    __slots__ = ("duration_ns", "warm_up_ns", "settle_ns", "seed", "replications", "latency_report_bytes_per_request")
    DURATION_NS_FIELD_NUMBER: _ClassVar[int]
    WARM_UP_NS_FIELD_NUMBER: _ClassVar[int]
    SETTLE_NS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    REPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_REPORT_BYTES_PER_REQUEST_FIELD_NUMBER: _ClassVar[int]
    duration_ns: int
    warm_up_ns: int
    settle_ns: int
    seed: int
    replications: int
    latency_report_bytes_per_request: float
    def __init__(self, duration_ns: _Optional[int] = ..., warm_up_ns: _Optional[int] = ..., settle_ns: _Optional[int] = ..., seed: _Optional[int] = ..., replications: _Optional[int] = ..., latency_report_bytes_per_request: _Optional[float] = ...) -> None: ...

class RecordSettings(_message.Message):
    __slots__ = ("window_ns", "heap_interval_ns", "requests_sample", "p_states", "assists", "tricolor")
    WINDOW_NS_FIELD_NUMBER: _ClassVar[int]
    HEAP_INTERVAL_NS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    P_STATES_FIELD_NUMBER: _ClassVar[int]
    ASSISTS_FIELD_NUMBER: _ClassVar[int]
    TRICOLOR_FIELD_NUMBER: _ClassVar[int]
    window_ns: int
    heap_interval_ns: int
    requests_sample: float
    p_states: bool
    assists: bool
    tricolor: bool
    def __init__(self, window_ns: _Optional[int] = ..., heap_interval_ns: _Optional[int] = ..., requests_sample: _Optional[float] = ..., p_states: _Optional[bool] = ..., assists: _Optional[bool] = ..., tricolor: _Optional[bool] = ...) -> None: ...
