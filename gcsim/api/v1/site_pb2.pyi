from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Construct(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSTRUCT_UNSPECIFIED: _ClassVar[Construct]
    CONSTRUCT_VARIABLE: _ClassVar[Construct]
    CONSTRUCT_NEW: _ClassVar[Construct]
    CONSTRUCT_COMPOSITE: _ClassVar[Construct]
    CONSTRUCT_MAKE: _ClassVar[Construct]
    CONSTRUCT_MAKE_MAP: _ClassVar[Construct]
    CONSTRUCT_APPEND: _ClassVar[Construct]
    CONSTRUCT_CONVERSION: _ClassVar[Construct]
    CONSTRUCT_INTERFACE_CONVERSION: _ClassVar[Construct]

class Flow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FLOW_UNSPECIFIED: _ClassVar[Flow]
    FLOW_RETURNED: _ClassVar[Flow]
    FLOW_GLOBAL: _ClassVar[Flow]
    FLOW_STORED_IN_ARGUMENT: _ClassVar[Flow]
    FLOW_COPIED: _ClassVar[Flow]
    FLOW_CLOSURE_LOCAL: _ClassVar[Flow]
    FLOW_CLOSURE_RETURNED: _ClassVar[Flow]
    FLOW_GOROUTINE: _ClassVar[Flow]
    FLOW_DEFER: _ClassVar[Flow]
    FLOW_CHANNEL: _ClassVar[Flow]
    FLOW_MAP_VALUE: _ClassVar[Flow]
    FLOW_INTERFACE_ESCAPING: _ClassVar[Flow]
    FLOW_INTERFACE_LOCAL: _ClassVar[Flow]
    FLOW_CONTAINER_LOCAL: _ClassVar[Flow]
    FLOW_ARGUMENT_NOT_RETAINED: _ClassVar[Flow]
    FLOW_ARGUMENT_TO_UNKNOWN_FUNCTION: _ClassVar[Flow]
    FLOW_METHOD_VALUE_RETURNED: _ClassVar[Flow]
    FLOW_OUTLIVES_LOOP_ITERATION: _ClassVar[Flow]
CONSTRUCT_UNSPECIFIED: Construct
CONSTRUCT_VARIABLE: Construct
CONSTRUCT_NEW: Construct
CONSTRUCT_COMPOSITE: Construct
CONSTRUCT_MAKE: Construct
CONSTRUCT_MAKE_MAP: Construct
CONSTRUCT_APPEND: Construct
CONSTRUCT_CONVERSION: Construct
CONSTRUCT_INTERFACE_CONVERSION: Construct
FLOW_UNSPECIFIED: Flow
FLOW_RETURNED: Flow
FLOW_GLOBAL: Flow
FLOW_STORED_IN_ARGUMENT: Flow
FLOW_COPIED: Flow
FLOW_CLOSURE_LOCAL: Flow
FLOW_CLOSURE_RETURNED: Flow
FLOW_GOROUTINE: Flow
FLOW_DEFER: Flow
FLOW_CHANNEL: Flow
FLOW_MAP_VALUE: Flow
FLOW_INTERFACE_ESCAPING: Flow
FLOW_INTERFACE_LOCAL: Flow
FLOW_CONTAINER_LOCAL: Flow
FLOW_ARGUMENT_NOT_RETAINED: Flow
FLOW_ARGUMENT_TO_UNKNOWN_FUNCTION: Flow
FLOW_METHOD_VALUE_RETURNED: Flow
FLOW_OUTLIVES_LOOP_ITERATION: Flow

class AllocationSite(_message.Message):
    __slots__ = ("name", "construct", "size_bytes", "constant_size", "pointer_words", "flows", "escapes", "where")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSTRUCT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_SIZE_FIELD_NUMBER: _ClassVar[int]
    POINTER_WORDS_FIELD_NUMBER: _ClassVar[int]
    FLOWS_FIELD_NUMBER: _ClassVar[int]
    ESCAPES_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    name: str
    construct: Construct
    size_bytes: int
    constant_size: bool
    pointer_words: int
    flows: _containers.RepeatedScalarFieldContainer[Flow]
    escapes: bool
    where: str
    def __init__(self, name: _Optional[str] = ..., construct: _Optional[_Union[Construct, str]] = ..., size_bytes: _Optional[int] = ..., constant_size: _Optional[bool] = ..., pointer_words: _Optional[int] = ..., flows: _Optional[_Iterable[_Union[Flow, str]]] = ..., escapes: _Optional[bool] = ..., where: _Optional[str] = ...) -> None: ...
