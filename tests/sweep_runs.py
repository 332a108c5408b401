"""Small histories for searches: an hour of learning, then an outage in the middle of calm."""

from __future__ import annotations

from collections.abc import Sequence

from flyball_analytics.labels import Incident, Labels
from flyball_analytics.series import Series
from flyball_controller.core.model import Observation

START_S = 1_700_006_400.0  # 2023-11-15T00:00:00Z, a midnight: days and the history begin together
MINUTE_S = 60.0


def history(
    target: str = "pay", *, minutes: int = 240, bad: Sequence[range] = (range(100, 115),), requests: int = 600
) -> Series:
    """Return minutes of calm in which ranges of minutes fail by 95 %."""
    failing = {minute for stretch in bad for minute in stretch}
    seen = tuple(
        Observation(
            target,
            START_S + MINUTE_S * minute,
            MINUTE_S,
            START_S + MINUTE_S * (minute + 1),
            requests=requests,
            errors_fast=requests * 95 // 100 if minute in failing else minute % 3,
            attempts=requests,
        )
        for minute in range(minutes)
    )
    return Series(target, "", MINUTE_S, seen, minutes, (), (), {}, (), ())


def labels(*bad: range) -> Labels:
    """Return the incidents of ranges of minutes."""
    incidents = []
    for stretch in bad or (range(100, 115),):
        first, last = START_S + MINUTE_S * stretch[0], START_S + MINUTE_S * stretch[-1]
        incidents.append(Incident(first, last, first, last))
    return Labels(tuple(incidents))


def csv_text(series: Series) -> str:
    """Return a history as the CSV file that commands read."""
    rows = [f"{o.start_s:.0f},{o.requests},{o.errors_fast}" for o in series.observations]
    return "\n".join(["timestamp,requests,errors", *rows]) + "\n"


def labels_text(name: str, truth: Labels) -> str:
    """Return labels as the JSON file that commands read."""
    import json

    incidents = [{"start": str(i.start_s), "end": str(i.end_s)} for i in truth.incidents]
    return json.dumps({"series": {name: {"incidents": incidents}}})
