"""Kinds of fields: sizes, times, names, settings that can be off, distributions.

Numbers are strict (neither ``true`` nor ``"5"`` is one), finite and bounded; sizes and times may be text.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gcsim.units import SIZE_PATTERN, TIME_PATTERN, parse_bytes, parse_duration_ns

# Bounds against slips of the pen and overflow, far beyond any real program.
MAX_BYTES = 1 << 47  # derived: user address space of linux/amd64, runtime/malloc.go heapAddrBits = 48
MAX_NS = 1_000_000 * 1_000_000_000  # assumed: eleven days; nobody waits for a longer simulation
MAX_COUNT = 1_000_000_000  # assumed: objects, entries, goroutines; each needs at least 8 B, so 8 GB
MAX_FLOAT = 1e15  # assumed: rates and means; beyond, a float no longer counts ns or bytes exactly


def _off_to_none(value: object) -> object:
    # YAML 1.1 reads a bare `off` as False.
    return None if value is False or (isinstance(value, str) and value.strip().lower() == "off") else value


def _whole(value: object) -> object:
    """1e6 is a whole number, whatever YAML says."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _unit_texts(parse: Any) -> BeforeValidator:
    """Let the numbers of a distribution be text with a unit: ``mean: 10us``."""

    def number(value: object) -> object:
        try:
            return parse(value)
        except ValueError:
            return value  # pydantic names the very field

    def convert(value: object) -> object:
        if not isinstance(value, dict):
            return value
        out = dict(value)
        for key in ("mean", "low", "high"):
            if key in out:
                out[key] = number(out[key])
        if isinstance(out.get("values"), list | tuple):
            out["values"] = [number(item) for item in out["values"]]
        return out

    return BeforeValidator(convert)


_SIZE_JSON = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": SIZE_PATTERN}]}
_TIME_JSON = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": TIME_PATTERN}]}
_OFF_JSON: dict[str, Any] = {"anyOf": [{"const": "off"}, {"const": False}, {"type": "null"}]}
_GOGC_JSON = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 1_000_000}, *_OFF_JSON["anyOf"]]}

# strict: neither `true` nor "5" is a number
Int = Annotated[int, BeforeValidator(_whole), Strict()]
Float = Annotated[float, Strict()]
Bool = Annotated[bool, Strict()]
Count = Annotated[Int, Field(ge=0, le=MAX_COUNT)]
Amount = Annotated[Float, Field(ge=0, le=MAX_COUNT)]
Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    BeforeValidator(_whole),
    Strict(),
    Field(ge=0, le=MAX_BYTES),
    WithJsonSchema(_SIZE_JSON),
]
DurationNs = Annotated[
    int,
    BeforeValidator(parse_duration_ns),
    BeforeValidator(_whole),
    Strict(),
    Field(ge=0, le=MAX_NS),
    WithJsonSchema(_TIME_JSON),
]
_OFF = PlainSerializer(lambda v: "off" if v is None else v)
GogcPercent = Annotated[
    Annotated[Int, Field(ge=0, le=1_000_000)] | None,
    BeforeValidator(_off_to_none),
    _OFF,
    WithJsonSchema(_GOGC_JSON),
]
MemoryLimit = Annotated[
    Annotated[int, BeforeValidator(parse_bytes), BeforeValidator(_whole), Strict(), Field(ge=0, lt=2**63)]
    | None,
    BeforeValidator(_off_to_none),
    _OFF,
    WithJsonSchema({"anyOf": [*_SIZE_JSON["anyOf"], *_OFF_JSON["anyOf"]]}),
]
# CFS bandwidth control takes quotas from 1 ms on.  Source: Linux kernel/sched/core.c min_cfs_quota_period.
CfsQuota = Annotated[
    Annotated[DurationNs, Field(ge=1_000_000)] | None,
    BeforeValidator(_off_to_none),
    _OFF,
    WithJsonSchema({"anyOf": [*_TIME_JSON["anyOf"], *_OFF_JSON["anyOf"]]}),
]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Shape = Literal["tree", "list", "slice", "map"]


def fault(message: str, remedy: str, *, at: str = "") -> PydanticCustomError:
    """A rule of one model that spans its fields: ``at`` is the field to blame, ``remedy`` what to write."""
    return PydanticCustomError(
        "rule",
        "{message}",
        {"message": message, "remedy": remedy, "at": at},  # pydantic wants a literal template
    )


def check_pointers(size_bytes: int | None, pointer_words: int) -> None:
    """Refuse pointers that do not fit into an object."""
    if size_bytes is not None and pointer_words * 8 > size_bytes:
        raise fault(
            f"{pointer_words} pointer words need {pointer_words * 8} B, but the object has {size_bytes} B",
            f"write at most {size_bytes // 8}",
            at="pointer_words",
        )


class Model(BaseModel):
    """Frozen plain data that rejects unknown fields and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# ---- numbers that vary -------------------------------------------------------------------------------------

_NEEDS: dict[str, tuple[str, ...]] = {
    "constant": ("mean",),
    "uniform": ("low", "high"),
    "exponential": ("mean",),
    "lognormal": ("mean", "cv"),
    "pareto": ("mean", "alpha"),
    "choice": ("values",),
}


class Distribution(Model):
    """A random quantity >= 0: a size in bytes, a time in ns or a count, by the field that holds it.

    Where it is a time or a size, its numbers may be text with a unit (``mean: 10us``).
    """

    kind: Literal["constant", "uniform", "exponential", "lognormal", "pareto", "choice"] = Field(
        default="constant", description="the family; says which of the other fields are needed"
    )
    mean: Float | None = Field(
        default=None, gt=0, le=MAX_FLOAT, description="mean; constant, exponential, lognormal, pareto"
    )
    low: Float | None = Field(default=None, ge=0, le=MAX_FLOAT, description="uniform: least value")
    high: Float | None = Field(default=None, gt=0, le=MAX_FLOAT, description="uniform: greatest value")
    cv: Float | None = Field(
        default=None, gt=0, le=100, description="lognormal: standard deviation over mean"
    )
    alpha: Float | None = Field(default=None, gt=1, le=1000, description="pareto: tail exponent")
    values: tuple[Annotated[Float, Field(ge=0, le=MAX_FLOAT)], ...] = Field(
        default=(), max_length=10_000, description="choice: the values to choose from"
    )
    weights: tuple[Annotated[Float, Field(ge=0, le=MAX_FLOAT)], ...] = Field(
        default=(), max_length=10_000, description="choice: relative weights; equal when empty"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = _NEEDS[self.kind]
        given = {
            name
            for name in ("mean", "low", "high", "cv", "alpha", "values")
            if getattr(self, name) not in (None, ())
        }
        for name in needed:
            if name not in given:
                raise fault(f"a {self.kind} distribution needs {' and '.join(needed)}", f"add {name}")
        for name in sorted(given - set(needed)):
            raise fault(f"{name} means nothing to a {self.kind} distribution", f"remove {name}", at=name)
        if self.kind == "uniform" and self.low is not None and self.high is not None and self.low > self.high:
            raise fault(f"low {self.low:g} is above high {self.high:g}", "swap low and high", at="low")
        if self.weights and len(self.weights) != len(self.values):
            raise fault(
                f"{len(self.weights)} weights for {len(self.values)} values",
                "give one weight per value",
                at="weights",
            )
        if self.weights and sum(self.weights) <= 0:
            raise fault("all weights are 0", "give at least one weight above 0", at="weights")
        return self


TimeDistribution = Annotated[Distribution, _unit_texts(parse_duration_ns)]
SizeDistribution = Annotated[Distribution, _unit_texts(parse_bytes)]
