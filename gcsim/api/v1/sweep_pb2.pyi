import datetime

from gcsim.api.v1 import run_pb2 as _run_pb2
from gcsim.api.v1 import spec_pb2 as _spec_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SweepState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SWEEP_STATE_UNSPECIFIED: _ClassVar[SweepState]
    SWEEP_STATE_RUNNING: _ClassVar[SweepState]
    SWEEP_STATE_CANCELLING: _ClassVar[SweepState]
    SWEEP_STATE_SUCCEEDED: _ClassVar[SweepState]
    SWEEP_STATE_PARTIAL: _ClassVar[SweepState]
    SWEEP_STATE_CANCELLED: _ClassVar[SweepState]

class SweepLayout(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SWEEP_LAYOUT_UNSPECIFIED: _ClassVar[SweepLayout]
    SWEEP_LAYOUT_GRID: _ClassVar[SweepLayout]
    SWEEP_LAYOUT_ZIP: _ClassVar[SweepLayout]
    SWEEP_LAYOUT_LATIN_HYPERCUBE: _ClassVar[SweepLayout]
    SWEEP_LAYOUT_LIST: _ClassVar[SweepLayout]
SWEEP_STATE_UNSPECIFIED: SweepState
SWEEP_STATE_RUNNING: SweepState
SWEEP_STATE_CANCELLING: SweepState
SWEEP_STATE_SUCCEEDED: SweepState
SWEEP_STATE_PARTIAL: SweepState
SWEEP_STATE_CANCELLED: SweepState
SWEEP_LAYOUT_UNSPECIFIED: SweepLayout
SWEEP_LAYOUT_GRID: SweepLayout
SWEEP_LAYOUT_ZIP: SweepLayout
SWEEP_LAYOUT_LATIN_HYPERCUBE: SweepLayout
SWEEP_LAYOUT_LIST: SweepLayout

class AxisValues(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class AxisRange(_message.Message):
    __slots__ = ("low", "high", "log")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    low: str
    high: str
    log: bool
    def __init__(self, low: _Optional[str] = ..., high: _Optional[str] = ..., log: _Optional[bool] = ...) -> None: ...

class SweepAxis(_message.Message):
    __slots__ = ("path", "values", "range")
    PATH_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    path: str
    values: AxisValues
    range: AxisRange
    def __init__(self, path: _Optional[str] = ..., values: _Optional[_Union[AxisValues, _Mapping]] = ..., range: _Optional[_Union[AxisRange, _Mapping]] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("path", "value")
    PATH_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    path: str
    value: str
    def __init__(self, path: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ExplicitPoint(_message.Message):
    __slots__ = ("assignments",)
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    def __init__(self, assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ...) -> None: ...

class IntervalWidth(_message.Message):
    __slots__ = ("metric", "half_width_frac")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    HALF_WIDTH_FRAC_FIELD_NUMBER: _ClassVar[int]
    metric: str
    half_width_frac: float
    def __init__(self, metric: _Optional[str] = ..., half_width_frac: _Optional[float] = ...) -> None: ...

class StopRule(_message.Message):
    __slots__ = ("least_replications", "widths")
    LEAST_REPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    WIDTHS_FIELD_NUMBER: _ClassVar[int]
    least_replications: int
    widths: _containers.RepeatedCompositeFieldContainer[IntervalWidth]
    def __init__(self, least_replications: _Optional[int] = ..., widths: _Optional[_Iterable[_Union[IntervalWidth, _Mapping]]] = ...) -> None: ...

class KnobColumn(_message.Message):
    __slots__ = ("column", "path")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    column: str
    path: str
    def __init__(self, column: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class KnobValue(_message.Message):
    __slots__ = ("column", "text", "integer", "number", "flag")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    column: str
    text: str
    integer: int
    number: float
    flag: bool
    def __init__(self, column: _Optional[str] = ..., text: _Optional[str] = ..., integer: _Optional[int] = ..., number: _Optional[float] = ..., flag: _Optional[bool] = ...) -> None: ...

class SweepCounts(_message.Message):
    __slots__ = ("total", "pending", "queued", "running", "cancelling", "succeeded", "failed", "cancelled", "skipped")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    CANCELLING_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    total: int
    pending: int
    queued: int
    running: int
    cancelling: int
    succeeded: int
    failed: int
    cancelled: int
    skipped: int
    def __init__(self, total: _Optional[int] = ..., pending: _Optional[int] = ..., queued: _Optional[int] = ..., running: _Optional[int] = ..., cancelling: _Optional[int] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., skipped: _Optional[int] = ...) -> None: ...

class Sweep(_message.Message):
    __slots__ = ("name", "spec", "plan_id", "state", "counts", "points", "replications", "seed", "layout", "columns", "revision", "create_time", "end_time", "engine_version", "etag", "labels", "has_inline_machine_profile", "until")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    REPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ENGINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HAS_INLINE_MACHINE_PROFILE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: _spec_pb2.Spec
    plan_id: str
    state: SweepState
    counts: SweepCounts
    points: int
    replications: int
    seed: int
    layout: SweepLayout
    columns: _containers.RepeatedCompositeFieldContainer[KnobColumn]
    revision: int
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    engine_version: str
    etag: str
    labels: _containers.ScalarMap[str, str]
    has_inline_machine_profile: bool
    until: StopRule
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[_spec_pb2.Spec, _Mapping]] = ..., plan_id: _Optional[str] = ..., state: _Optional[_Union[SweepState, str]] = ..., counts: _Optional[_Union[SweepCounts, _Mapping]] = ..., points: _Optional[int] = ..., replications: _Optional[int] = ..., seed: _Optional[int] = ..., layout: _Optional[_Union[SweepLayout, str]] = ..., columns: _Optional[_Iterable[_Union[KnobColumn, _Mapping]]] = ..., revision: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., engine_version: _Optional[str] = ..., etag: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., has_inline_machine_profile: _Optional[bool] = ..., until: _Optional[_Union[StopRule, _Mapping]] = ...) -> None: ...

class SweepRun(_message.Message):
    __slots__ = ("number", "point_id", "label", "assignments", "knobs", "replication", "dataset", "run", "state", "error", "skipped")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    POINT_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    KNOBS_FIELD_NUMBER: _ClassVar[int]
    REPLICATION_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    number: int
    point_id: str
    label: str
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    knobs: _containers.RepeatedCompositeFieldContainer[KnobValue]
    replication: int
    dataset: str
    run: str
    state: _run_pb2.RunState
    error: _run_pb2.RunError
    skipped: bool
    def __init__(self, number: _Optional[int] = ..., point_id: _Optional[str] = ..., label: _Optional[str] = ..., assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ..., knobs: _Optional[_Iterable[_Union[KnobValue, _Mapping]]] = ..., replication: _Optional[int] = ..., dataset: _Optional[str] = ..., run: _Optional[str] = ..., state: _Optional[_Union[_run_pb2.RunState, str]] = ..., error: _Optional[_Union[_run_pb2.RunError, _Mapping]] = ..., skipped: _Optional[bool] = ...) -> None: ...
