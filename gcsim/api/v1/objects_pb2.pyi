from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Shape(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHAPE_UNSPECIFIED: _ClassVar[Shape]
    SHAPE_TREE: _ClassVar[Shape]
    SHAPE_LIST: _ClassVar[Shape]
    SHAPE_SLICE: _ClassVar[Shape]
    SHAPE_MAP: _ClassVar[Shape]
SHAPE_UNSPECIFIED: Shape
SHAPE_TREE: Shape
SHAPE_LIST: Shape
SHAPE_SLICE: Shape
SHAPE_MAP: Shape

class ObjectGroup(_message.Message):
    __slots__ = ("count", "size_bytes", "pointer_words", "shape")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    POINTER_WORDS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    count: int
    size_bytes: int
    pointer_words: int
    shape: Shape
    def __init__(self, count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., pointer_words: _Optional[int] = ..., shape: _Optional[_Union[Shape, str]] = ...) -> None: ...
