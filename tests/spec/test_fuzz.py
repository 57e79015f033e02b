"""Whatever comes in, a spec or a SpecError comes out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gcsim.errors import Problem, SpecError
from gcsim.spec.load import parse_spec, spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides
from tests.strategies import spec_data

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["off", "10ms", "1KiB", "<5", "cache", "cpu", "gc", "1.27", b"bytes"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "name", "cpu", "mean", "steps", "pool", "x"]), inner, max_size=3
        )
        | st.dictionaries(st.none() | st.integers() | st.booleans(), inner, max_size=1)
    ),
    max_leaves=5,
)


def _places(data: Any) -> list[tuple[Any, Any]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in items for place in [(data, key), *_places(value)]]


@settings(max_examples=100)
@given(spec_data(), st.data())
def test_plain_data_with_junk_in_it(data: dict[str, Any], draw: st.DataObject) -> None:
    data = copy.deepcopy(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        container, key = draw.draw(st.sampled_from(_places(data)))
        container[key] = draw.draw(JUNK)
        if not data:
            break
    _accept_or_refuse(data)


@settings(max_examples=100)
@given(JUNK)
def test_junk(data: Any) -> None:
    _accept_or_refuse(data)


@settings(max_examples=100)
@given(JUNK, st.sampled_from(["retained", "requests", "phases", "thresholds", "machine", "run", "version"]))
def test_a_section_of_junk(junk: Any, section: str) -> None:
    _accept_or_refuse({"name": "a", section: junk})


def _accept_or_refuse(data: Any) -> None:
    _problems_of(lambda: spec_from_dict(data))


def _problems_of(make: Callable[[], Spec]) -> None:
    """Nothing but a SpecError is raised, and each of its problems says where and what."""
    problems: tuple[Problem, ...] | None = None
    try:
        make()
    except SpecError as error:
        problems = error.problems
    if problems is not None:
        assert problems
        assert all(problem.path.startswith("$") and problem.message for problem in problems)
        assert str(SpecError(problems))


@settings(max_examples=200)
@given(st.text("ab:-[]{}&*!|>'\"\n #,\t0.~<%@`é\x00", max_size=30))
def test_any_text(text: str) -> None:
    _problems_of(lambda: parse_spec(text))


SPEC = spec_from_dict({"name": "a", "requests": [{"workers": 1, "steps": [{"cpu": 10}, "gc"]}]})


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            ["requests", "[0]", "[1]", "steps", "cpu", "gc", "request", "run", "x", ".", "phases"]
        ),
        max_size=6,
    ),
    st.text("5a[]{}:- =\x00", max_size=5),
)
def test_any_override(parts: list[str], value: str) -> None:
    override = f"{'.'.join(parts).replace('.[', '[')}={value}"
    _problems_of(lambda: apply_overrides(SPEC, [override]))
