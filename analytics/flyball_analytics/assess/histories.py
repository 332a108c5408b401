"""Judges recorded metrics, named by a map or given beside it: does a target need adaptive thresholds?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from flyball_analytics.integrations import IntegrationMap
from flyball_analytics.labels import Labels
from flyball_analytics.thresholds.analysis import analyse
from flyball_analytics.thresholds.metric import ERRORS, read_metrics
from flyball_analytics.thresholds.recommend import Recommendation
from flyball_controller.policy_set import load_preset


def named_histories(known: IntegrationMap, *, folder: Path) -> dict[str, Path]:
    """Return the histories that targets of a map name.

    Args:
        known: The map.
        folder: Where relative paths begin: the folder of the map.
    """
    return {
        name: folder / target.history for name, target in known.targets.items() if target.history is not None
    }


def recommendations(
    histories: Mapping[str, Path], *, now_s: float, labels: Mapping[str, Labels] | None = None
) -> Iterator[tuple[str, Recommendation | None]]:
    """Yield each target and what its history says; None: the history has no error ratio.

    Args:
        histories: A file, or the folder of a target in a history, by target.
        now_s: What counts as now; later rows are impossible.
        labels: The true incidents by target, where they are known; else every firing counts as false.

    Raises:
        SeriesError: A file is no metric history.
        OSError: A file cannot be read.
    """
    policy = load_preset("fixed").default
    for name, path in histories.items():
        metrics = read_metrics(path, target=name, columns={}, period_s=None, delay_s=0.0, now_s=now_s)
        chosen = [metric for metric in metrics if metric.name == ERRORS]
        truth = (labels or {}).get(name)
        yield name, analyse(chosen[0], policy, labels=truth, curve=False).recommendation if chosen else None
