from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DistributionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISTRIBUTION_KIND_UNSPECIFIED: _ClassVar[DistributionKind]
    DISTRIBUTION_KIND_CONSTANT: _ClassVar[DistributionKind]
    DISTRIBUTION_KIND_UNIFORM: _ClassVar[DistributionKind]
    DISTRIBUTION_KIND_EXPONENTIAL: _ClassVar[DistributionKind]
    DISTRIBUTION_KIND_LOGNORMAL: _ClassVar[DistributionKind]
    DISTRIBUTION_KIND_PARETO: _ClassVar[DistributionKind]
    DISTRIBUTION_KIND_CHOICE: _ClassVar[DistributionKind]
DISTRIBUTION_KIND_UNSPECIFIED: DistributionKind
DISTRIBUTION_KIND_CONSTANT: DistributionKind
DISTRIBUTION_KIND_UNIFORM: DistributionKind
DISTRIBUTION_KIND_EXPONENTIAL: DistributionKind
DISTRIBUTION_KIND_LOGNORMAL: DistributionKind
DISTRIBUTION_KIND_PARETO: DistributionKind
DISTRIBUTION_KIND_CHOICE: DistributionKind

class TimeDistribution(_message.Message):
    __slots__ = ("kind", "mean_ns", "low_ns", "high_ns", "cv", "alpha", "values_ns", "weights")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MEAN_NS_FIELD_NUMBER: _ClassVar[int]
    LOW_NS_FIELD_NUMBER: _ClassVar[int]
    HIGH_NS_FIELD_NUMBER: _ClassVar[int]
    CV_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    VALUES_NS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    kind: DistributionKind
    mean_ns: float
    low_ns: float
    high_ns: float
    cv: float
    alpha: float
    values_ns: _containers.RepeatedScalarFieldContainer[float]
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, kind: _Optional[_Union[DistributionKind, str]] = ..., mean_ns: _Optional[float] = ..., low_ns: _Optional[float] = ..., high_ns: _Optional[float] = ..., cv: _Optional[float] = ..., alpha: _Optional[float] = ..., values_ns: _Optional[_Iterable[float]] = ..., weights: _Optional[_Iterable[float]] = ...) -> None: ...

class SizeDistribution(_message.Message):
    __slots__ = ("kind", "mean_bytes", "low_bytes", "high_bytes", "cv", "alpha", "values_bytes", "weights")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MEAN_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOW_BYTES_FIELD_NUMBER: _ClassVar[int]
    HIGH_BYTES_FIELD_NUMBER: _ClassVar[int]
    CV_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    VALUES_BYTES_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    kind: DistributionKind
    mean_bytes: float
    low_bytes: float
    high_bytes: float
    cv: float
    alpha: float
    values_bytes: _containers.RepeatedScalarFieldContainer[float]
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, kind: _Optional[_Union[DistributionKind, str]] = ..., mean_bytes: _Optional[float] = ..., low_bytes: _Optional[float] = ..., high_bytes: _Optional[float] = ..., cv: _Optional[float] = ..., alpha: _Optional[float] = ..., values_bytes: _Optional[_Iterable[float]] = ..., weights: _Optional[_Iterable[float]] = ...) -> None: ...
