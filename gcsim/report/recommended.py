"""What `gcsim optimize` recommends, where a sweep is the work of a search: the first box of its page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcsim.datasets.metrics import METRIC_BY_NAME
from gcsim.datasets.sweep import RECOMMENDATION_NAME
from gcsim.errors import DatasetError
from gcsim.report import page, words


def recommendation(directory: Path, places: Mapping[str, int]) -> page.Section | None:
    """The box, or None where nothing is recommended.

    Args:
        directory: of the sweep.
        places: point id -> number of the point on the page; a click on a row shows it.
    Raises:
        DatasetError: the file is there and damaged.
    """
    path = directory / RECOMMENDATION_NAME
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return _section(said, places)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: damaged ({error}); `gcsim optimize --resume` writes it anew") from error


def _section(said: Mapping[str, Any], places: Mapping[str, int]) -> page.Section:
    best, present = said["recommended"], said["present"]
    wanted = ", ".join([*said["objectives"], *said["constraints"]])
    runs = best["replications"]
    text = (
        f"Of {said['settings']} settings the best to {page.escape(wanted)}. Figures are means of {runs} runs of each, paired by "
        "seed; a click on a row shows the setting below."
    )
    metrics = [difference["metric"] for difference in said["differences"]]
    rows = [
        _row("present", present, metrics),
        _row("recommended", best, metrics),
        ["difference", *(_difference(difference) for difference in said["differences"])],
    ]
    attributes = [f'data-point="{places[one["point_id"]]}"' for one in (present, best)]
    variables = " ".join(f"{name}={value}" for name, value in best["environment"].items()) or best["label"]
    notes = "".join(f"<p>{page.escape(warning)}</p>" for warning in said["warnings"])
    body = (
        f"<pre>{page.escape(variables)}</pre>"
        f"{page.table([('', False), *((name, True) for name in metrics)], rows, attributes=[*attributes, ''])}{notes}"
    )
    return page.Section("Recommended setting", text, body=body)


def _row(name: str, one: Mapping[str, Any], metrics: list[str]) -> list[str]:
    cells = [f"{name}: {page.escape(one['label'])}"]
    for metric in metrics:
        mean, low = one["metrics"][metric]["mean"], one["metrics"][metric]["ci95_low"]
        spread = (
            f" <small>±{100 * abs((mean - low) / mean):.1f} %</small>" if mean and low is not None else ""
        )
        cells.append(words.value_text(METRIC_BY_NAME[metric], mean) + spread)
    return cells


def _difference(one: Mapping[str, Any]) -> str:
    delta, present = one["difference"], one["present"]
    if delta is None or not present:
        return "–"
    if one["significant"] is False:
        return "no significant difference"
    text = f"{100 * delta / abs(present):+.1f} %"
    if one["ci95_low"] is None:
        return text
    low, high = (100 * one[end] / abs(present) for end in ("ci95_low", "ci95_high"))
    return f"{text} <small>{low:+.1f} .. {high:+.1f} %</small>"
