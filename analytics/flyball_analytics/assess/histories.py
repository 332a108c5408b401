"""Judges the recorded metrics that a map names: does a target need adaptive thresholds?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flyball_analytics.integrations import IntegrationMap
from flyball_analytics.thresholds.analysis import analyse
from flyball_analytics.thresholds.metric import ERRORS, read_metrics
from flyball_analytics.thresholds.recommend import Recommendation
from flyball_controller.policy_set import load_preset


def recommendations(
    known: IntegrationMap, *, folder: Path, now_s: float
) -> Iterator[tuple[str, Recommendation | None]]:
    """Yield each target that names a history, and what that says; None: the history has no error ratio.

    Args:
        known: The map.
        folder: Where relative paths begin: the folder of the map.
        now_s: What counts as now; later rows are impossible.

    Raises:
        SeriesError: A file is no metric history.
        OSError: A file cannot be read.
    """
    policy = load_preset("fixed").default
    for name, target in known.targets.items():
        if target.history is None:
            continue
        path = folder / target.history
        metrics = read_metrics(path, target=name, columns={}, period_s=None, delay_s=0.0, now_s=now_s)
        chosen = [metric for metric in metrics if metric.name == ERRORS]
        yield name, analyse(chosen[0], policy, curve=False).recommendation if chosen else None
