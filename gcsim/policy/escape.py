"""Whether an allocation site ends up on the stack or in the heap, and why: what Go's compiler would decide.

The compiler follows where the *address* of what is allocated can go. Sites are declared here with what happens to
that address (`Flow`), so the analysis itself is reduced to its outcome: an address that outlives its function, or
goes where the compiler cannot look, escapes; and what does not escape must still fit the frame.

Two questions have two answers. `Decision.escapes` is the compiler's verdict, as `go build -gcflags=-m` prints it;
`Decision.place` is where the memory really is, which differs where the verdict leaves the rest to the runtime: a slice
of variable size is only on the stack while it is small, and before 1.25 append is no site to the compiler at all.

Source: cmd/compile/internal/escape, ir/cfg.go, walk (go1.21 .. go1.27), inlining off; 1.19 and 1.20 are taken to be as
1.21. Checked against compilers of these releases over constructs x sizes x flows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gcsim.policy.constants import KIB
from gcsim.policy.maps import SLOTS
from gcsim.policy.releases import ReleaseRules

# derived: cmd/compile/internal/ir/cfg.go MaxImplicitStackVarSize (go1.19 .. go1.27)
MAX_IMPLICIT_STACK_BYTES: Final = 64 * KIB
# derived: cmd/compile/internal/walk/convert.go dataWord: the largest value that is boxed in the frame (go1.19 .. go1.27)
MAX_STACK_BOXED_BYTES: Final = 1024
# derived: runtime/string.go tmpStringBufSize: the buffer in the frame for a conversion that stays (go1.19 .. go1.27)
STACK_CONVERSION_BYTES: Final = 32


class Construct(StrEnum):
    """What allocates."""

    VARIABLE = "variable"  # an explicit variable whose address is taken
    NEW = "new"
    COMPOSITE = "composite"  # &T{...}
    MAKE = "make"  # a slice
    MAKE_MAP = "make_map"
    APPEND = "append"
    CONVERSION = "conversion"  # string to bytes
    INTERFACE_CONVERSION = "interface_conversion"


class Flow(StrEnum):
    """What happens to the address of what is allocated."""

    RETURNED = "returned"
    GLOBAL = "global"
    STORED_IN_ARGUMENT = "stored_in_argument"
    COPIED = "copied"
    CLOSURE_LOCAL = "closure_local"
    CLOSURE_RETURNED = "closure_returned"
    GOROUTINE = "goroutine"
    DEFER = "defer"
    CHANNEL = "channel"
    MAP_VALUE = "map_value"
    INTERFACE_ESCAPING = "interface_escaping"
    INTERFACE_LOCAL = "interface_local"
    CONTAINER_LOCAL = "container_local"
    ARGUMENT_NOT_RETAINED = "argument_not_retained"
    ARGUMENT_TO_UNKNOWN_FUNCTION = "argument_to_unknown_function"
    METHOD_VALUE_RETURNED = "method_value_returned"
    OUTLIVES_LOOP_ITERATION = "outlives_loop_iteration"


ESCAPING: Final[dict[Flow, str]] = {
    Flow.RETURNED: "its address is returned, and the frame is gone by then",
    Flow.GLOBAL: "a package variable keeps its address",
    Flow.STORED_IN_ARGUMENT: "it is stored in memory that an argument points to, which outlives the call",
    Flow.CLOSURE_RETURNED: "a closure that leaves the function keeps it",
    Flow.GOROUTINE: "another goroutine uses it, on a stack of its own",
    Flow.CHANNEL: "its address is sent away on a channel",
    Flow.MAP_VALUE: "a map keeps its address, and the compiler does not follow addresses into maps",
    Flow.INTERFACE_ESCAPING: "it is in an interface value that leaves the function",
    Flow.ARGUMENT_TO_UNKNOWN_FUNCTION: "it is passed to a function the compiler cannot look into",
    Flow.METHOD_VALUE_RETURNED: "a method value that leaves the function keeps it",
    Flow.OUTLIVES_LOOP_ITERATION: "each turn of the loop makes a new one and the address outlives the turn",
}
"""Flows by which an address leaves, and how; by any other it stays."""


MOVED: Final = frozenset({Flow.RETURNED, Flow.GLOBAL, Flow.STORED_IN_ARGUMENT, Flow.MAP_VALUE})
"""Flows by a return or an assignment: before these a slice that append filled can be moved to the heap."""


class Place(StrEnum):
    """Where the memory is."""

    STACK = "stack"
    HEAP = "heap"
    BY_SIZE = "by_size"  # on the stack up to a size known only at run time


@dataclass(frozen=True, slots=True)
class Site:
    """One allocation site.

    Attributes:
        construct: what allocates.
        size_bytes: bytes of the object, None where the compiler does not know them.
        constant_size: for make: the size is a constant.
        flows: what happens to the address; none = only used inside the function.
        verdict: what a compiler said about it, where that is known: it stands instead of the rules.
    """

    construct: Construct
    size_bytes: int | None = None
    constant_size: bool = True
    flows: tuple[Flow, ...] = ()
    verdict: bool | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Stack or heap.

    Attributes:
        escapes: the compiler's verdict: it says "escapes to heap" or "moved to heap".
        place: where the memory is.
        reason: why, in one line.
        stack_bytes: with Place.BY_SIZE, the largest size that is on the stack; with Place.HEAP, the size up to which
            append fills an array in the frame before it moves to the heap.
    """

    escapes: bool
    place: Place
    reason: str
    stack_bytes: int = 0

    def is_heap(self, size_bytes: int) -> bool:
        """Whether an object of so many bytes, known at run time, is in the heap."""
        return self.place is Place.HEAP or (self.place is Place.BY_SIZE and size_bytes > self.stack_bytes)


def decide(site: Site, rules: ReleaseRules) -> Decision:
    """What a release's compiler does with a site.

    Source: escape/utils.go HeapAllocReason, escape/solve.go outlives (go1.21 .. go1.27).
    """
    if site.verdict:
        return Decision(True, Place.HEAP, "the compiler said that it escapes")
    if site.construct is Construct.APPEND and not rules.append_stack_bytes:
        return Decision(
            False,
            Place.HEAP,
            "append takes every array from the heap; before 1.25 it is no site of its own to escape analysis",
        )
    if site.verdict is not None:
        return _stays(site, rules, "the compiler said that it does not escape")
    too_large = _too_large(site, rules)
    if too_large is not None:
        return Decision(True, Place.HEAP, too_large)
    for flow in site.flows:
        if flow in ESCAPING:
            return _leaves(site, flow, rules)
    return _stays(
        site,
        rules,
        "its address stays inside the function" if site.flows else "only used inside the function",
    )


def _leaves(site: Site, flow: Flow, rules: ReleaseRules) -> Decision:
    """Where something is that escapes.

    Source: cmd/compile/internal/slice (go1.26, go1.27).  Simplified: taken to succeed whenever a return or an assignment
    is the only way out; the compiler also gives up where it finds the slice used in ways it does not understand.
    """
    if site.construct is Construct.APPEND and rules.append_moves_to_heap and {*site.flows} <= MOVED:
        moves = (
            f"its first {rules.append_stack_bytes} bytes grow in the frame and move to the heap before that"
        )
        return Decision(True, Place.HEAP, f"{ESCAPING[flow]}; {moves}", rules.append_stack_bytes)
    return Decision(True, Place.HEAP, ESCAPING[flow])


def _too_large(site: Site, rules: ReleaseRules) -> str | None:
    """Why a site is in the heap whatever happens to its address."""
    size = site.size_bytes
    match site.construct:
        case Construct.VARIABLE:
            limit, what = rules.max_stack_variable_bytes, "variables"
        case Construct.NEW | Construct.COMPOSITE:
            limit, what = MAX_IMPLICIT_STACK_BYTES, "new and &T{}"
        case Construct.MAKE:
            if not _is_constant(site):
                return None if rules.variable_make_stack_bytes else "make with a size that is no constant"
            limit, what = MAX_IMPLICIT_STACK_BYTES, "make"
        case _:
            return None
    if size is not None and size > limit:
        return f"{size} bytes are too large for the stack: {what} may have {limit}"
    return None


def _stays(site: Site, rules: ReleaseRules, stays: str) -> Decision:
    """Where something is that does not escape."""
    size = site.size_bytes
    match site.construct:
        case Construct.MAKE if not site.constant_size or (size is None and site.verdict is None):
            return _by_size(rules.variable_make_stack_bytes, stays)
        case Construct.APPEND:
            return _by_size(rules.append_stack_bytes, stays)
        case Construct.CONVERSION:
            return _by_size(STACK_CONVERSION_BYTES, stays)
        case Construct.INTERFACE_CONVERSION if size is not None and size > MAX_STACK_BOXED_BYTES:
            return Decision(
                False,
                Place.HEAP,
                f"{stays}, but a value above {MAX_STACK_BOXED_BYTES} bytes is boxed in the heap",
            )
        case Construct.MAKE_MAP:
            return Decision(
                False,
                Place.STACK,
                f"{stays}: header and first {SLOTS} keys in the frame, what it grows to in the heap",
            )
        case _:
            return Decision(False, Place.STACK, stays)


def _by_size(limit: int, stays: str) -> Decision:
    reason = f"{stays}: in the frame up to {limit} bytes, in the heap above"
    return Decision(False, Place.BY_SIZE, reason, limit)


def _is_constant(site: Site) -> bool:
    return site.constant_size and site.size_bytes is not None
