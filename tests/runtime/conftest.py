"""The `world` fixture: tiny worlds whose books are closed and whose invariants are checked when the test is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.runtime.tiny import Tiny, tiny


class Worlds:
    """Makes tiny worlds; `tiny` says how."""

    def __init__(self) -> None:
        self.made: list[Tiny] = []

    def __call__(self, costs: dict[str, float], *requests: dict[str, Any], **parts: Any) -> Tiny:
        self.made.append(tiny(costs, *requests, **parts))
        return self.made[-1]


@pytest.fixture
def world() -> Iterator[Worlds]:
    worlds = Worlds()
    yield worlds
    for made in worlds.made:
        made.finish()
