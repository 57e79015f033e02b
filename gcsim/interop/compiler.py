"""What Go's compiler says about allocations (``go build -gcflags=-m``), read into allocation sites.

With ``-m`` the compiler gives a verdict for each site, which the site keeps (`escapes`). With ``-m=2`` it also says by
which way an address leaves; then the site gets flows instead, and can be decided anew for another release. Variables
that stay on the stack are not mentioned by the compiler, and so are none of the sites here; a bare name that "does not
escape" is a parameter and no site either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from gcsim.policy.escape import Construct, Flow

_LINE = re.compile(r"^(?P<file>[^\s:][^:]*\.go):(?P<line>\d+):(?P<column>\d+): (?P<text>.*)$")
_VERDICT = re.compile(
    r"^(?:moved to heap: (?P<moved>.+)|(?P<what>.+?) (?P<verdict>escapes to heap|does not escape))$"
)
_EXPLAINED = re.compile(r"^(?P<what>\S.*) escapes to heap(?: in .+)?:$")
_FROM = re.compile(r"^\s+from (?P<what>.+) \((?P<how>[^()]+)\) at ")
_FLOW = re.compile(r"^\s+flow: (?P<to>.+?) (?:←|=) ")
_METHOD_VALUE = re.compile(r"^\{storage for [\w.]+\.\w+\}$")
_IDENTIFIER = re.compile(r"^[\w.]+$")

# Reasons of the compiler that are about size, not about where an address goes.
_BY_SIZE: Final = ("too large for stack", "non-constant size", "too aligned for stack", "zero-sized element")

# derived: Go language specification, sizes on 64 bits: bytes and words up to the last pointer
_BASIC: Final[dict[str, tuple[int, int]]] = {
    **dict.fromkeys(("bool", "byte", "int8", "uint8"), (1, 0)),
    **dict.fromkeys(("int16", "uint16"), (2, 0)),
    **dict.fromkeys(("int32", "uint32", "rune", "float32"), (4, 0)),
    **dict.fromkeys(("int", "uint", "int64", "uint64", "uintptr", "float64", "complex64"), (8, 0)),
    "complex128": (16, 0),
    "string": (16, 1),
    "unsafe.Pointer": (8, 1),
    **dict.fromkeys(("any", "error"), (16, 2)),
}


@dataclass(frozen=True, slots=True)
class CompilerSite:
    """A site that the compiler named.

    Attributes:
        where: file:line:column.
        says: the compiler's words.
        construct: what allocates.
        escapes: its verdict.
        flows: by which ways the address leaves, where the compiler explained itself (-m=2).
        is_explained: it did, so that verdict and flows are worth the same; not for what is decided by size.
        size_bytes, pointer_words: of the object, where its type is written out; None = not known.
        constant_size: for make: the number of elements is a literal.
    """

    where: str
    says: str
    construct: Construct
    escapes: bool
    flows: tuple[Flow, ...] = ()
    is_explained: bool = False
    size_bytes: int | None = None
    pointer_words: int = 0
    constant_size: bool = True

    @property
    def file(self) -> str:
        """The file alone."""
        return self.where.rsplit(":", 2)[0]


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of an address on its way out: where to, by which statement, and what the compiler calls that."""

    to: str
    what: str
    how: str


@dataclass(slots=True)
class _Explanation:
    """The lines with which -m=2 explains one escape."""

    to: str = ""
    steps: list[_Step] = field(default_factory=list)


def is_compiler_output(text: str) -> bool:
    """Whether any line names a place as the compiler does, or there is none at all (it had nothing to say)."""
    return not text.strip() or any(_LINE.match(line) for line in text.splitlines())


def read_compiler_output(text: str) -> list[CompilerSite]:
    """The sites in the order in which the compiler names them; what was said twice is there once."""
    explanations: dict[tuple[str, str], _Explanation] = {}
    current: _Explanation | None = None
    said: dict[tuple[str, str, bool], None] = {}
    for raw in text.splitlines():
        match = _LINE.match(raw)
        if match is None:
            continue
        where = ":".join(match.group("file", "line", "column"))
        words = match["text"]
        if (header := _EXPLAINED.match(words)) is not None:
            current = explanations.setdefault((where, header["what"]), _Explanation())
        elif words.startswith("  "):
            if current is not None:
                _explain(current, words)
        else:
            current = None
            if (verdict := _VERDICT.match(words)) is None:
                continue
            if verdict["moved"] is not None:
                said[where, f"moved to heap: {verdict['moved']}", True] = None
            else:
                said[where, words, verdict["verdict"] == "escapes to heap"] = None
    has_explanations = bool(explanations)
    sites = []
    for where, words, escapes in said:
        match = _VERDICT.match(words)
        assert match is not None
        construct = _construct(match["moved"], match["what"] or "", escapes)
        if construct is not None:
            what = match["moved"] or match["what"]
            explanation = explanations.get((where, what))
            if construct is Construct.APPEND:  # explained with its arguments, judged without
                explained = (
                    e for (at, call), e in explanations.items() if at == where and call[:7] == "append("
                )
                explanation = next(explained, None)
            sites.append(_site(where, words, what, construct, escapes, explanation, has_explanations))
    return sites


def _explain(into: _Explanation, words: str) -> None:
    if (flow := _FLOW.match(words)) is not None:
        into.to = flow["to"]
    elif (step := _FROM.match(words + " at ")) is not None:
        into.steps.append(_Step(into.to, step["what"], step["how"]))


def _construct(moved: str | None, what: str, escapes: bool) -> Construct | None:
    """What allocates, by the compiler's words for it; None where that is no site."""
    if moved is not None:
        return Construct.VARIABLE
    if what == "append":
        return Construct.APPEND
    if what.startswith("new("):
        return Construct.NEW
    if what.startswith("make(map["):
        return Construct.MAKE_MAP
    if what.startswith("make(["):
        return Construct.MAKE
    if what.startswith("make("):
        return None  # a channel, or a type whose name does not say what it is
    if re.match(r"^(\(\[\](byte|rune)\)|\[\](byte|rune)|string)\(", what):
        return Construct.CONVERSION
    if what == "func literal" or what == "... argument" or what.startswith("&") or what.endswith("}"):
        return Construct.COMPOSITE
    if _IDENTIFIER.match(what) and not escapes:
        return None  # a parameter
    return Construct.INTERFACE_CONVERSION


def _site(
    where: str,
    words: str,
    what: str,
    construct: Construct,
    escapes: bool,
    explanation: _Explanation | None,
    has_explanations: bool,
) -> CompilerSite:
    size, pointer_words, constant = _size(construct, what)
    flows: tuple[Flow, ...] = ()
    explained = has_explanations and not escapes
    if explanation is not None:
        by_size = any(step.how in _BY_SIZE for step in explanation.steps)
        flow = None if by_size else _flow(explanation)
        flows = (flow,) if flow is not None else ()
        # What its size decides, the rules decide too, where the size is known or known to vary.
        explained = flow is not None or (by_size and (size is not None or not constant))
    elif construct is Construct.MAKE and size is None and constant:
        explained = False  # the rules would take the unknown size for a variable one
    return CompilerSite(where, words, construct, escapes, flows, explained, size, pointer_words, constant)


def _flow(explanation: _Explanation) -> Flow | None:
    """By which way it leaves: the first step that the rules know as one."""
    hows = [step.how for step in explanation.steps]
    if "captured by a closure" in hows:
        return (
            Flow.CLOSURE_RETURNED
        )  # or started by a go statement: whose closure it is, is explained elsewhere
    if _METHOD_VALUE.match(explanation.to):
        return Flow.METHOD_VALUE_RETURNED
    for step in explanation.steps:
        match step.how:
            case "send":
                return Flow.CHANNEL
            case "call parameter" if step.to == "{heap}":
                return Flow.ARGUMENT_TO_UNKNOWN_FUNCTION
            case "return":
                return Flow.RETURNED
            case "interface-converted" if explanation.to == "{heap}":
                return Flow.INTERFACE_ESCAPING
            case "assign" | "assign-pair" if step.to == "{heap}":
                into_memory = re.search(r"[*.\[]", step.what.split("=")[0])
                return Flow.STORED_IN_ARGUMENT if into_memory else Flow.GLOBAL
    return Flow.OUTLIVES_LOOP_ITERATION if hows[-1:] == ["assign"] else None


def _size(construct: Construct, what: str) -> tuple[int | None, int, bool]:
    """Bytes, pointer words and whether the size is a constant, as far as the words say."""
    if construct is Construct.NEW:
        known = _type_size(what.removeprefix("new(").removesuffix(")"))
        return (known[0], known[1], True) if known else (None, 0, True)
    if construct is Construct.MAKE:
        arguments = [part.strip() for part in what.removeprefix("make(").removesuffix(")").split(",")]
        element = _type_size(arguments[0].removeprefix("[]"))
        if not arguments[-1].isdigit():
            return None, 0, False
        if element is None:
            return None, 0, True
        count = int(arguments[-1])
        words = ((count - 1) * element[0] // 8 + element[1]) if count and element[1] else 0
        return count * element[0], words, True
    return None, 0, True


def _type_size(name: str) -> tuple[int, int] | None:
    """Bytes and pointer words of a type that is written out, None of a named one."""
    if name in _BASIC:
        return _BASIC[name]
    if name.startswith("[]"):
        return 24, 1
    if name.startswith(("*", "map[", "chan ", "<-chan ", "func(")):
        return 8, 1
    if (array := re.match(r"^\[(\d+)\](.+)$", name)) is not None:
        element = _type_size(array[2])
        if element is None:
            return None
        count = int(array[1])
        return count * element[0], ((count - 1) * element[0] // 8 + element[1]) if count and element[1] else 0
    return None
