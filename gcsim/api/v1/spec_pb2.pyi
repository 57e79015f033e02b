from gcsim.api.v1 import settings_pb2 as _settings_pb2
from gcsim.api.v1 import site_pb2 as _site_pb2
from gcsim.api.v1 import workload_pb2 as _workload_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Spec(_message.Message):
    __slots__ = ("version", "name", "description", "runtime", "machine", "run", "record", "globals", "idle_goroutines", "retained", "requests", "phases", "repeat_phases", "thresholds", "sites")
    class ThresholdsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    GLOBALS_FIELD_NUMBER: _ClassVar[int]
    IDLE_GOROUTINES_FIELD_NUMBER: _ClassVar[int]
    RETAINED_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    REPEAT_PHASES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    version: int
    name: str
    description: str
    runtime: _settings_pb2.RuntimeSettings
    machine: _settings_pb2.Machine
    run: _settings_pb2.RunSettings
    record: _settings_pb2.RecordSettings
    globals: _workload_pb2.Globals
    idle_goroutines: _workload_pb2.IdleGoroutines
    retained: _containers.RepeatedCompositeFieldContainer[_workload_pb2.RetainedSet]
    requests: _containers.RepeatedCompositeFieldContainer[_workload_pb2.RequestClass]
    phases: _containers.RepeatedCompositeFieldContainer[_workload_pb2.Phase]
    repeat_phases: bool
    thresholds: _containers.ScalarMap[str, str]
    sites: _containers.RepeatedCompositeFieldContainer[_site_pb2.AllocationSite]
    def __init__(self, version: _Optional[int] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., runtime: _Optional[_Union[_settings_pb2.RuntimeSettings, _Mapping]] = ..., machine: _Optional[_Union[_settings_pb2.Machine, _Mapping]] = ..., run: _Optional[_Union[_settings_pb2.RunSettings, _Mapping]] = ..., record: _Optional[_Union[_settings_pb2.RecordSettings, _Mapping]] = ..., globals: _Optional[_Union[_workload_pb2.Globals, _Mapping]] = ..., idle_goroutines: _Optional[_Union[_workload_pb2.IdleGoroutines, _Mapping]] = ..., retained: _Optional[_Iterable[_Union[_workload_pb2.RetainedSet, _Mapping]]] = ..., requests: _Optional[_Iterable[_Union[_workload_pb2.RequestClass, _Mapping]]] = ..., phases: _Optional[_Iterable[_Union[_workload_pb2.Phase, _Mapping]]] = ..., repeat_phases: _Optional[bool] = ..., thresholds: _Optional[_Mapping[str, str]] = ..., sites: _Optional[_Iterable[_Union[_site_pb2.AllocationSite, _Mapping]]] = ...) -> None: ...
