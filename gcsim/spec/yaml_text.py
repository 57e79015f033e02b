"""YAML to plain data, with the line of every value.

The safe subset: YAML 1.2's scalars (so ``off``, ``yes``, ``1:30`` and dates stay text and ``1e6`` is a number),
no tags, no merge keys, duplicate keys refused, aliases counted as often as they are expanded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from gcsim.errors import Problem, SpecError
from gcsim.spec.check import SpecPath, path_text

# assumed: a spec by hand has hundreds of values; recorded arrival times written inline may be 100,000s
MAX_NODES = 1_000_000
MAX_ALIASED_NODES = 10_000
MAX_DEPTH = 50
MAX_CHARS = 64 << 20

_INT = re.compile(r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, Any] = {"": None, "~": None} | {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.capitalize(), word.upper())
}
# Text whatever it looks like: an unquoted `go: 1.20` is a release, not 1.2.
_TEXT_PATHS: frozenset[SpecPath] = frozenset({("runtime", "go")})
# What PyYAML gives to nodes without a tag of their own.
_IMPLICIT_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value", "seq", "map")
)
# "9" * 5000 is no number that any field takes; Python itself refuses beyond 4,300 digits.
_MAX_DIGITS = 400


@dataclass
class Document:
    """Plain data, where each part of it stands and what is wrong with the text itself."""

    data: Any = None
    lines: dict[SpecPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def scalar(text: str) -> Any:
    """The value of an unquoted YAML 1.2 scalar: null, a bool, an int, a float or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MAX_DIGITS and _INT.fullmatch(text):
        base = 16 if text.startswith("0x") else 8 if text.startswith("0o") else 10
        return int(text, base)
    if _NOT_FINITE.fullmatch(text):
        return float(text.lower().replace(".", ""))
    if len(text) <= _MAX_DIGITS and _FLOAT.fullmatch(text):
        return float(text)
    return text


def read_yaml(text: str, *, at: SpecPath = ()) -> Document:
    """Read one YAML document.  ``at`` is the path that its top stands for.

    Raises:
        SpecError: the text is no YAML at all, too big, or aliases expand to too much.
    """
    if len(text) > MAX_CHARS:
        raise SpecError(
            [Problem(path=path_text(at), message=f"the text has more than {MAX_CHARS:,} characters")]
        )
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else None
        raise SpecError([_not_yaml(at, line, message)]) from error
    except (yaml.YAMLError, RecursionError) as error:
        message = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SpecError([_not_yaml(at, None, message)]) from error
    reader = _Reader()
    if node is not None:
        reader.out.data = reader.read(node, at, depth=0)
    return reader.out


def _not_yaml(at: SpecPath, line: int | None, message: str) -> Problem:
    remedy = "check indentation, colons and quotes; text that holds ': ' or '#' needs quotes"
    return Problem(path=path_text(at), line=line, message=f"not YAML: {message}", remedy=remedy)


class _Reader:
    """Walks the composed nodes once; aliases are walked again wherever they stand, which is what is counted."""

    def __init__(self) -> None:
        self.out = Document()
        self._nodes = 0
        self._aliased = 0
        self._visited: set[int] = set()  # id() of nodes that live as long as the tree: membership only
        self._open: list[yaml.Node] = []

    def read(self, node: yaml.Node, at: SpecPath, *, depth: int, inside_alias: bool = False) -> Any:
        line = node.start_mark.line + 1
        inside_alias = inside_alias or id(node) in self._visited
        self._visited.add(id(node))
        self._nodes += 1
        self._aliased += inside_alias
        if self._nodes > MAX_NODES or self._aliased > MAX_ALIASED_NODES:
            message = f"the document expands to more than {MAX_ALIASED_NODES if inside_alias else MAX_NODES:,} values"
            raise SpecError(
                [
                    Problem(
                        path=path_text(at), line=line, message=message, remedy="write less, or fewer aliases"
                    )
                ]
            )
        if depth > MAX_DEPTH or any(node is parent for parent in self._open):
            problem = "nested too deeply" if depth > MAX_DEPTH else "an alias that contains itself"
            raise SpecError(
                [Problem(path=path_text(at), line=line, message=problem, remedy="write it out flat")]
            )
        self.out.lines.setdefault(at, line)
        if node.tag not in _IMPLICIT_TAGS:
            self._problem(at, node, node.tag, "is a tag, which specs do not have", "remove it")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, at)
        self._open.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return [
                    self.read(item, (*at, index), depth=depth + 1, inside_alias=inside_alias)
                    for index, item in enumerate(node.value)
                ]
            return self._mapping(node, at, depth=depth, inside_alias=inside_alias)
        finally:
            self._open.pop()

    def _scalar(self, node: yaml.ScalarNode, at: SpecPath) -> Any:
        if node.style is not None or at in _TEXT_PATHS:
            return node.value
        return scalar(node.value)

    def _mapping(self, node: yaml.Node, at: SpecPath, *, depth: int, inside_alias: bool) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(
                    at, key_node, "", "a key is no plain text", "write a field's name before the colon"
                )
                continue
            key = key_node.value
            here = (*at, key)
            if key in out:
                first = self.out.lines[here]
                self._problem(here, key_node, "", f"given twice, first in line {first}", "keep one of them")
                continue
            self.out.lines[here] = key_node.start_mark.line + 1
            out[key] = self.read(value_node, here, depth=depth + 1, inside_alias=inside_alias)
        return out

    def _problem(self, at: SpecPath, node: yaml.Node, value: str, message: str, remedy: str) -> None:
        line = node.start_mark.line + 1
        self.out.problems.append(
            Problem(path=path_text(at), line=line, value=value, message=message, remedy=remedy)
        )
