"""Reading heap profiles: `allocs` and `heap` of /debug/pprof, as gzip profile.proto or as text (`?debug=1`).

Go samples one allocation per `MemProfileRate` bytes on average.  In profile.proto the runtime has scaled the samples to
what they stand for; the text has them as sampled, and they are scaled here in the same way: an object of `size` bytes is
sampled with probability 1 - exp(-size / rate).

Source: github.com/google/pprof/proto/profile.proto (field numbers); go1.27 runtime/pprof writeHeapInternal,
scaleHeapSample (protomem.go).
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gcsim.errors import Problem, SpecError

_TYPES = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
REMEDY = 'give what /debug/pprof/allocs (or heap) answers, or what pprof.Lookup("allocs").WriteTo wrote'


@dataclass(frozen=True, slots=True)
class Frame:
    """A place in the program; `file` and `line` may be empty."""

    function: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeapSample:
    """What one stack allocated, scaled to all allocations.

    Attributes:
        stack: innermost frame first.
        object_bytes: size of each object, where the profile says it (Go 1.10 and later do).
    """

    stack: tuple[Frame, ...]
    alloc_objects: float
    alloc_bytes: float
    inuse_objects: float
    inuse_bytes: float
    object_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class HeapProfile:
    """A profile.  `rate_bytes`: bytes per sampled allocation, on average; 1 = every one."""

    name: str
    samples: tuple[HeapSample, ...]
    rate_bytes: int

    @property
    def alloc_bytes(self) -> float:
        """Allocated since the process began."""
        return math.fsum(s.alloc_bytes for s in self.samples)


def read_heap(path: str | Path) -> HeapProfile:
    """Read a heap or allocs profile.

    Raises:
        SpecError: it cannot be read, is damaged, or is a profile of something else.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except OSError as error:
        raise _bad(path, error.strerror or "unreadable") from error
    except (EOFError, zlib.error) as error:
        raise _bad(path, f"damaged gzip: {error}", "fetch it again") from error
    if raw[:13] == b"heap profile:":
        found = _of_text(path, raw.decode("utf-8", errors="replace"))
    else:
        try:
            found = _of_proto(path, raw)
        except (IndexError, ValueError, UnicodeDecodeError) as error:
            raise _bad(path, "is no pprof profile, or a damaged one") from error
    if found.alloc_bytes <= 0:
        raise _bad(path, "has no allocation in it", "let the program run under load first; " + REMEDY)
    return found


def _bad(path: Path, message: str, remedy: str = REMEDY) -> SpecError:
    return SpecError([Problem(str(path), message=message, remedy=remedy)], source=f"profile {path.name}")


def scale(count: float, size: float, rate: int) -> tuple[float, float]:
    """Objects and bytes that `count` sampled objects of `size` bytes in sum stand for."""
    if count <= 0 or size <= 0:
        return 0.0, 0.0
    if rate <= 1:
        return count, size
    factor = 1 / -math.expm1(-(size / count) / rate)
    return count * factor, size * factor


# ---- text --------------------------------------------------------------------------------------------------------

_HEAD = re.compile(r"heap profile: \d+: \d+ \[\d+: \d+\] @ heap/(\d+)")
_ROW = re.compile(r"(\d+): (\d+) \[(\d+): (\d+)\] @")
_FRAME = re.compile(r"#\s+0x[0-9a-f]+\s+(\S+?)(?:\+0x[0-9a-f]+)?\s+(\S+):(\d+)\s*$")


def _of_text(path: Path, text: str) -> HeapProfile:
    lines = text.splitlines()
    head = _HEAD.match(lines[0])
    if head is None:
        raise _bad(path, f"line 1: {lines[0][:60]!r} is no head of Go's heap profile")
    rate = max(1, int(head[1]) // 2)  # the text says twice the rate, for the sake of old readers
    samples: list[HeapSample] = []
    values: tuple[int, ...] | None = None
    stack: list[Frame] = []

    def finish() -> None:
        if values is None:
            return
        inuse, allocated = scale(values[0], values[1], rate), scale(values[2], values[3], rate)
        samples.append(
            HeapSample(
                stack=tuple(stack),
                alloc_objects=allocated[0],
                alloc_bytes=allocated[1],
                inuse_objects=inuse[0],
                inuse_bytes=inuse[1],
                object_bytes=round(values[3] / values[2]) if values[2] else None,
            )
        )

    for line in lines[1:]:
        row = _ROW.match(line)
        if row is not None:
            finish()
            values, stack = tuple(map(int, row.groups())), []
        elif (frame := _FRAME.match(line)) is not None:
            stack.append(Frame(frame[1], frame[2], int(frame[3])))
        elif line.startswith("# runtime.MemStats"):
            break
    finish()
    return HeapProfile(name=path.name, samples=tuple(samples), rate_bytes=rate)


# ---- profile.proto -----------------------------------------------------------------------------------------------


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a message; raises ValueError or IndexError where it is none."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield field, value
        elif kind == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("cut off")
            yield field, data[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")


def _numbers(value: int | bytes) -> list[int]:
    """A repeated number, packed or not."""
    if isinstance(value, int):
        return [value]
    out, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        out.append(number)
    return out


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def _scalars(data: bytes) -> dict[int, int]:
    return {field: value for field, value in _fields(data) if isinstance(value, int)}


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _of_proto(path: Path, raw: bytes) -> HeapProfile:
    strings: list[str] = []
    types: list[dict[int, int]] = []
    rows: list[bytes] = []
    locations: dict[int, list[dict[int, int]]] = {}
    functions: dict[int, dict[int, int]] = {}
    period = 0
    for field, value in _fields(raw):
        if field == 1:
            types.append(_scalars(_message(value)))
        elif field == 2:
            rows.append(_message(value))
        elif field == 4:
            body = _message(value)
            lines = [_scalars(_message(v)) for f, v in _fields(body) if f == 4]
            locations[_scalars(body).get(1, 0)] = lines
        elif field == 5:
            one = _scalars(_message(value))
            functions[one.get(1, 0)] = one
        elif field == 6:
            strings.append(_message(value).decode("utf-8", errors="replace"))
        elif field == 12 and isinstance(value, int):
            period = value
    names = [strings[t.get(1, 0)] for t in types]
    missing = [name for name in _TYPES if name not in names]
    if missing:
        raise _bad(path, f"is a profile of {', '.join(names) or 'nothing'}, and has no {missing[0]}")

    def frames(location: int) -> Iterator[Frame]:
        for line in locations.get(location, []):
            function = functions.get(line.get(1, 0), {})
            yield Frame(strings[function.get(2, 0)], strings[function.get(4, 0)], line.get(2, 0))

    columns = [names.index(name) for name in _TYPES]
    samples = []
    for row in rows:
        ids: list[int] = []
        values: list[int] = []
        size: int | None = None
        for field, value in _fields(row):
            if field == 1:
                ids += _numbers(value)
            elif field == 2:
                values += map(_signed, _numbers(value))
            elif field == 3:
                label = _scalars(_message(value))
                if strings[label.get(1, 0)] == "bytes":
                    size = label.get(3, 0) or None
        picked = [float(values[c]) for c in columns]
        samples.append(
            HeapSample(
                stack=tuple(f for i in ids for f in frames(i)),
                alloc_objects=picked[0],
                alloc_bytes=picked[1],
                inuse_objects=picked[2],
                inuse_bytes=picked[3],
                object_bytes=size,
            )
        )
    return HeapProfile(name=path.name, samples=tuple(samples), rate_bytes=max(1, period))
