"""Columns as Arrow arrays: what `pyarrow.array` makes of the same cells, and pandas left alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gcsim.datasets.columns import column, repeated

CELLS: list[tuple[Any, pa.DataType]] = [
    ([1, -2, (1 << 63) - 1], pa.int64()),
    ([1, None, 3], pa.int64()),
    (np.array([4, 5], dtype=np.int32), pa.int64()),
    ([0.5, 2, None], pa.float64()),
    ([True, False] * 9, pa.bool_()),
    ([None, True, False], pa.bool_()),
    (["", "µs", None, "p99"], pa.string()),
    ([None, None], pa.string()),
]


@pytest.mark.parametrize(("cells", "kind"), CELLS)
def test_columns_are_those_of_arrow(cells: Any, kind: pa.DataType) -> None:
    made = column(cells, kind)
    made.validate(full=True)
    assert made.equals(pa.array(cells, type=kind))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [([1.5, None], pa.int64()), ([1 << 63], pa.int64()), (["x"], pa.float64()), ([2], pa.bool_()), ([None, 2], pa.bool_()), ([1], pa.string())],
)  # fmt: skip
def test_a_cell_of_another_type_is_refused(cells: Any, kind: pa.DataType) -> None:
    """Nothing is rounded or converted quietly."""
    with pytest.raises(pa.ArrowInvalid):
        column(cells, kind)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [(("load", "", "µs"), pa.string()), ((1, -2, 3), pa.int64()), ((0.5, 2.0, 1.0), pa.float64())],
)
def test_repeated_cells_are_as_written_out(cells: tuple[Any, ...], kind: pa.DataType) -> None:
    counts = (2, 0, 3)
    made = repeated(cells, counts, kind)
    made.validate(full=True)
    assert made.equals(column([cell for cell, n in zip(cells, counts, strict=True) for _ in range(n)], kind))


@pytest.mark.parametrize("kind", [pa.string(), pa.int64()])
def test_repeated_cells_are_never_none(kind: pa.DataType) -> None:
    with pytest.raises(pa.ArrowInvalid):
        repeated((None,), (2,), kind)


def test_a_run_does_not_import_pandas(tmp_path: Any) -> None:
    """Half a second of start-up and 43 MiB that a run has no use for."""
    code = (
        "import sys; from gcsim.datasets.run import run; from gcsim.bench.cases import BY_NAME; "
        "run(BY_NAME['sim_time-1'].spec(quick=True), out=sys.argv[1] + '/run'); "
        "sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)
