"""Go functions with one allocation site each, for every construct, size and flow: what the rules are checked on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gcsim.policy.escape import Construct, Flow, Site

KIB = 1024
MIB = 1024 * KIB
# All sizes at which something changes, and their neighbours.
SIZES = (
    0, 1, 8, 24, 31, 32, 33, 64, 128, 1023, 1024, 1025, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB - 1,
    128 * KIB, 128 * KIB + 1, 8 * MIB, 10 * MIB - 1, 10 * MIB, 10 * MIB + 1,
)  # fmt: skip
SIZED = (
    Construct.VARIABLE,
    Construct.NEW,
    Construct.COMPOSITE,
    Construct.MAKE,
    Construct.INTERFACE_CONVERSION,
)

HEADER = """package sites

var globalAny any
var globalByte byte

"""


@dataclass(frozen=True, slots=True)
class GoSite:
    """A site and the function it is in; the line with SITE is its own."""

    site: Site
    source: str


def all_sites() -> Iterator[GoSite]:
    """Every site of the grid that can be written in Go."""
    number = 0
    for construct in Construct:
        sizes: tuple[int | None, ...] = SIZES if construct in SIZED else (None,)
        if construct is Construct.MAKE:
            sizes = (*SIZES, None)
        for size in sizes:
            for flow in (None, *Flow):
                number += 1
                source = _source(number, construct, size, flow)
                if source is not None:
                    flows = () if flow is None else (flow,)
                    constant = not (construct is Construct.MAKE and size is None)
                    yield GoSite(Site(construct, size, constant, flows), source)


def _source(number: int, construct: Construct, size: int | None, flow: Flow | None) -> str | None:
    """The function's text; None where the combination has no meaning."""
    if construct is Construct.INTERFACE_CONVERSION and (flow is Flow.COPIED or flow is Flow.CLOSURE_LOCAL):
        return None  # what is in an interface value is a copy already; it cannot be written to
    t = f"T{number}"
    is_slice = construct in (Construct.MAKE, Construct.APPEND, Construct.CONVERSION)
    pointer = {
        Construct.MAKE_MAP: t,
        Construct.INTERFACE_CONVERSION: "any",
    }.get(construct, t if is_slice else f"*{t}")
    underlying = (
        "[]byte" if is_slice else "map[int]int" if construct is Construct.MAKE_MAP else f"[{size or 0}]byte"
    )
    # p is the address; x the variable itself, where there is one.
    statements = {
        Construct.VARIABLE: f"var x {t} /*SITE*/; p := &x",
        Construct.NEW: f"p := new({t}) /*SITE*/",
        Construct.COMPOSITE: f"p := &{t}{{}} /*SITE*/",
        Construct.MAKE: f"p := make({t}, {'n' if size is None else size}) /*SITE*/",
        Construct.MAKE_MAP: f"p := make({t}) /*SITE*/; p[1] = n",
        Construct.APPEND: f"var p {t}; p = append(p, byte(n)) /*SITE*/",
        Construct.CONVERSION: f"p := {t}(s) /*SITE*/",
        Construct.INTERFACE_CONVERSION: "var p any = v /*SITE*/",
    }[construct]
    touch = {
        Construct.MAKE_MAP: "p[1]++",
        Construct.INTERFACE_CONVERSION: "if p == nil { globalByte++ }",
    }.get(construct, "for i := range p { p[i]++ }")
    captured = touch.replace("p", "x") if construct is Construct.VARIABLE else touch
    if construct is Construct.VARIABLE:
        captured = "for i := range x { x[i]++ }"
    parameters = f"n int, s string, v {t}"
    result, declarations, body = "", f"type {t} {underlying}\nvar g{t} {pointer}\n", ""
    match flow:
        case None:
            body = f"{statements}; {touch}"
        case Flow.RETURNED:
            result, body = pointer, f"{statements}; return p"
        case Flow.GLOBAL:
            body = f"{statements}; g{t} = p"
        case Flow.STORED_IN_ARGUMENT:
            parameters += f", a *{pointer}"
            body = f"{statements}; *a = p"
        case Flow.COPIED:
            copy = "for _, b := range p { globalByte += b }"
            if construct is Construct.MAKE_MAP:
                copy = "globalByte = byte(p[1])"
            body = f"{statements}; {copy}"
        case Flow.CLOSURE_LOCAL:
            body = f"{_without_pointer(statements)}; h := func() {{ {captured} }}; h()"
        case Flow.CLOSURE_RETURNED:
            result, body = "func()", f"{_without_pointer(statements)}; return func() {{ {captured} }}"
        case Flow.GOROUTINE:
            body = f"{_without_pointer(statements)}; go func() {{ {captured} }}()"
        case Flow.DEFER:
            body = f"{_without_pointer(statements)}; defer func() {{ {captured} }}()"
        case Flow.CHANNEL:
            parameters += f", c chan {pointer}"
            body = f"{statements}; c <- p"
        case Flow.MAP_VALUE:
            parameters += f", m map[int]{pointer}"
            body = f"{statements}; m[1] = p"
        case Flow.INTERFACE_ESCAPING:
            body = f"{statements}; globalAny = p"
            if is_slice:
                # The slice header is boxed too, on the same line otherwise.
                body = f"{statements}\n globalAny = p"
        case Flow.INTERFACE_LOCAL:
            body = f"{statements}\n var i any = p; _, ok := i.({pointer}); _ = ok"
        case Flow.CONTAINER_LOCAL:
            body = f"{statements}\n c := []{pointer}{{p}}; _ = len(c); globalByte = byte(len(c)); q := c[n]; _ = q"
        case Flow.ARGUMENT_NOT_RETAINED:
            declarations += f"//go:noinline\nfunc peek{t}(p {pointer}) {{ {touch} }}\n"
            body = f"{statements}; peek{t}(p)"
        case Flow.ARGUMENT_TO_UNKNOWN_FUNCTION:
            parameters += f", h func({pointer})"
            body = f"{statements}; h(p)"
        case Flow.METHOD_VALUE_RETURNED:
            if construct is Construct.INTERFACE_CONVERSION:
                return None
            receiver = pointer
            declarations += f"func (p {receiver}) M() {{ {touch} }}\n"
            result = "func()"
            body = f"{statements}\n return p.M"
        case Flow.OUTLIVES_LOOP_ITERATION:
            if construct is Construct.APPEND:
                return None  # an appended array is what outlives its turn
            q = "if q == nil { globalByte++ }" if construct is Construct.INTERFACE_CONVERSION else touch
            q = q.replace("range p", "range q").replace("p[", "q[")
            body = f"var q {pointer}; for j := 0; j < n; j++ {{ {statements}; q = p }}; {q}"
    return f"{declarations}func f{number}({parameters}) {result} {{\n {body}\n}}\n"


def _without_pointer(statements: str) -> str:
    """For closures the variable itself is captured, not a pointer to it."""
    return statements.replace("; p := &x", "")
