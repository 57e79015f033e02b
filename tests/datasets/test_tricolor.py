"""The table tricolor of real runs: colours add up to the heap, and marking only ever blackens."""

import pandas as pd
import pytest

from gcsim.datasets.run import run_spec
from gcsim.spec.load import spec_from_dict


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    spec = spec_from_dict(
        {
            "version": 1,
            "name": "colours",
            "run": {"duration": "600ms", "seed": 3},
            "record": {"tricolor": True},
            "retained": [
                {
                    "name": "cache",
                    "entries": 12000,
                    "objects": [{"count": 32, "size": "64B", "pointer_words": 2}],
                }
            ],
            "requests": [
                {
                    "workers": 2,
                    "steps": [
                        {"cpu": "10us"},
                        {"allocate": {"count": 20, "size": "1KiB"}},
                        {"replace": {"set": "cache", "count": 1}},
                    ],
                }
            ],
        }
    )
    result = run_spec(spec, tmp_path_factory.mktemp("colours") / "run")
    return {name: result.tables[name].to_pandas() for name in ("tricolor", "cycles")}


def test_samples_lie_within_the_marking_of_their_cycle(tables: dict[str, pd.DataFrame]) -> None:
    joined = tables["tricolor"].merge(tables["cycles"], on="cycle", suffixes=("", "_of_cycle"))
    assert len(joined) > 50
    assert (joined.time_ns >= joined.mark_start_ns).all()
    assert (joined.time_ns <= joined.end_ns).all()


def test_the_colours_are_the_heap_at_the_start_and_what_has_come_since(
    tables: dict[str, pd.DataFrame],
) -> None:
    """White, grey and black objects of a cycle stay the same in number; their bytes grow by what is allocated black."""
    for _, rows in tables["tricolor"].groupby("cycle"):
        if len(rows) < 3:
            continue
        objects = rows.white_objects + rows.grey_objects + rows.black_objects
        assert objects.max() - objects.min() <= 3  # shares are rounded down one by one
        total = rows.white_bytes + rows.grey_bytes + rows.black_bytes
        assert (total.diff().dropna() >= -3).all()


def test_black_never_turns_white_again_and_new_objects_are_black(tables: dict[str, pd.DataFrame]) -> None:
    checked = 0
    for _, rows in tables["tricolor"].groupby("cycle"):
        assert (rows.black_bytes.diff().dropna() >= 0).all()
        assert (rows.black_objects.diff().dropna() >= 0).all()
        assert (rows.white_bytes + rows.grey_bytes).diff().dropna().le(2).all()
        checked += len(rows) > 2
    assert checked > 3


def test_nothing_is_blackened_that_the_cycle_does_not_mark(tables: dict[str, pd.DataFrame]) -> None:
    """Marked counts whole spans, so it is a little more than the black objects at the end of marking."""
    joined = tables["tricolor"].merge(tables["cycles"], on="cycle", suffixes=("", "_of_cycle"))
    assert (joined.black_bytes <= joined.heap_marked_bytes).all()
    assert (joined[["white_bytes", "grey_bytes", "black_bytes"]] >= 0).all().all()
