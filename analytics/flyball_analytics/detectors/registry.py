"""Every detector by name. A rule's title says its formula; its source, who recommends it."""

from __future__ import annotations

from flyball_analytics.detectors.anomalyband import AnomalyBand
from flyball_analytics.detectors.base import Detector, DetectorEntry, UnknownDetector
from flyball_analytics.detectors.grafana import GrafanaAdaptive, GrafanaRobust
from flyball_analytics.detectors.levelprofile import LevelProfile
from flyball_analytics.detectors.simple import Ewma, Fixed, Random, RollingMean
from flyball_controller.core.band_settings import RATIO

OURS = "level-profile"
OURS_RATIO = "level-profile-ratio"
_HOUR_S = 3_600.0
_DAY_S = 86_400.0
_THEORY = "docs/theory/thresholds.md"

_ALL = (
    DetectorEntry(OURS, "level, seasons and lonely peaks", _THEORY, lambda rows: LevelProfile()),
    DetectorEntry(
        OURS_RATIO, "the same for a ratio in 0..1, floor 5 %", _THEORY, lambda rows: LevelProfile(RATIO)
    ),
    DetectorEntry("fixed", "mean + 3 sd of the first 15 % of the rows", "common practice", Fixed),
    DetectorEntry(
        "rolling-2x-1h",
        "2 x mean of the last hour",
        "common practice",
        lambda rows: RollingMean(_HOUR_S, multiple=2.0),
    ),
    DetectorEntry(
        "rolling-2x-1d",
        "2 x mean of the last day",
        "common practice",
        lambda rows: RollingMean(_DAY_S, multiple=2.0),
    ),
    DetectorEntry(
        "plus-50-percent-1d",
        "50 % over the mean of the last day",
        "common practice",
        lambda rows: RollingMean(_DAY_S, multiple=1.5),
    ),
    DetectorEntry(
        "ewma-3sd", "EWMA (6 h) + 3 sd", "Roberts (1959), Technometrics 1, 239-250", lambda rows: Ewma()
    ),
    DetectorEntry(
        "rolling-3sd-1d",
        "mean + 3 sd of the last day",
        "NAB's windowed Gaussian, one-sided",
        lambda rows: RollingMean(_DAY_S, k=3.0),
    ),
    DetectorEntry(
        "grafana-adaptive",
        "1 h mean + 2 filtered sd, 1.5 x, a day and a week ago, for 5 min",
        "grafana/promql-anomaly-detection",
        lambda rows: GrafanaAdaptive(),
    ),
    DetectorEntry(
        "grafana-robust",
        "1 d median + 2 MAD, 1.5 x, a day and a week ago, for 5 min",
        "grafana/promql-anomaly-detection",
        lambda rows: GrafanaRobust(),
    ),
    DetectorEntry(
        "cloudwatch-band",
        "seasonal mean + 2 sd of two weeks, after CloudWatch's description",
        "Amazon CloudWatch user guide",
        lambda rows: AnomalyBand(),
    ),
    DetectorEntry("random", "by lot, once a week", "", lambda rows: Random()),
)

DETECTORS: dict[str, DetectorEntry] = {entry.name: entry for entry in _ALL}


def detector_names() -> tuple[str, ...]:
    """Return every name, ours first, chance last."""
    return tuple(DETECTORS)


def new_detector(name: str, *, rows: int) -> Detector:
    """Return a fresh detector of this name for a history of `rows` rows.

    Raises:
        UnknownDetector: There is none; the message names the nearest.

    >>> new_detector("rolling-2x-1h", rows=100).feed(0.0, 1.0, 60.0).ready
    False
    """
    entry = DETECTORS.get(name)
    if entry is None:
        raise UnknownDetector(name, detector_names())
    return entry.new(rows)
