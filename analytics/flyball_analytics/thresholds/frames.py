"""Data frames in, data frames out: the same analysis for notebooks.

A frame is read exactly as the same CSV file would be (series.py): same words for
columns, same checks, same treatment of late and repeated rows. What counts as a frame
says fromframe.py. What comes back are pandas frames (extra `sim`), times as UTC timestamps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flyball_analytics.fromframe import as_file, frame_columns
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.score import median, rate_per_week
from flyball_analytics.thresholds.analysis import Analysis
from flyball_analytics.thresholds.metric import Metric, read_metrics
from flyball_analytics.thresholds.tradeoff import smoothing_factor

if TYPE_CHECKING:
    import pandas as pd


def metrics_of_frame(
    frame: Any,
    *,
    target: str | None = None,
    columns: Mapping[str, str] | None = None,
    period_s: float | None = None,
    delay_s: float = 0.0,
) -> list[Metric]:
    """Return the metrics in a frame, as `read_metrics` returns those of a file.

    Args:
        frame: Columns as in a CSV history; or timestamp and value.
        target: Name of the target, or whose rows to take if there is a target column.
        columns: Field name to column name, where the default words do not fit.
        period_s: Length of a window; default: the commonest distance of rows.
        delay_s: How long after its end a window can be read.

    Raises:
        SeriesError: If the frame cannot give a metric; it is called `frame`.
    """
    with as_file(frame, name=target or "frame") as path:
        found = read_metrics(path, target=target, columns=columns, period_s=period_s, delay_s=delay_s)
    return [metric._replace(path="frame") for metric in found]


def labels_of_frame(incidents: Any, *, target: str | None = None, probation: int = 0) -> Labels:
    """Return labels from a frame with columns start and end (and target); times without a zone are UTC.

    Args:
        incidents: One row per incident; `end` is the start of the last bad window.
        target: Take only the rows of this target.
        probation: How many windows at the beginning are for learning.
    """
    from flyball_analytics.moments import parse_moment

    columns = dict(frame_columns(incidents))
    starts, ends = columns["start"], columns["end"]
    whose = columns.get("target", [target or ""] * len(starts))
    found = []
    for start, end, name in zip(starts, ends, whose, strict=True):
        if target is None or name == target:
            start_s, end_s = parse_moment(start), parse_moment(end)
            found.append(Incident(start_s, end_s, start_s, end_s))
    return Labels(tuple(sorted(found)), probation=probation)


def rules_frame(analysis: Analysis) -> pd.DataFrame:
    """Return one row per rule: firings, false alarms, a week, incidents seen, median delay in windows."""
    import pandas as pd

    rows = []
    for result in analysis.results:
        score = result.score
        rows.append(
            {
                "rule": result.rule,
                "title": result.title,
                "firings": len(result.firings),
                "recurring": result.recurring,
                "false_alarms": score.false_alarms,
                "false_alarms_per_week": rate_per_week(score.false_alarms, score.healthy_weeks),
                "incidents": len(score.incidents),
                "seen": score.recognised,
                "delay_rows": median(i.recognised_rows for i in score.incidents),
                "healthy_weeks": score.healthy_weeks,
            }
        )
    return pd.DataFrame(rows).set_index("rule")


def firings_frame(analysis: Analysis) -> pd.DataFrame:
    """Return one row per firing of any rule: rule, start, end, windows."""
    import pandas as pd

    rows = [
        {"rule": result.rule, "start": f.start_s, "end": f.end_s, "windows": f.rows}
        for result in analysis.results
        for f in result.firings
    ]
    frame = pd.DataFrame(rows, columns=["rule", "start", "end", "windows"])
    for name in ("start", "end"):
        frame[name] = pd.to_datetime(frame[name].astype("float64"), unit="s", utc=True)
    return frame


def bands_frame(analysis: Analysis, rule: str | None = None) -> pd.DataFrame:
    """Return one row per window of a rule (default: ours), by start: value, level, upper, reset, firing."""
    import pandas as pd

    result = next((r for r in analysis.results if r.rule == rule), analysis.results[-1])
    fields = ("value", "level", "upper", "reset", "firing")
    frame = pd.DataFrame(
        {field: [getattr(row, field) for row in result.rows] for field in fields},
        index=pd.to_datetime([row.start_s for row in result.rows], unit="s", utc=True),
    )
    frame.index.name = "start"
    return frame.astype({"level": "float64", "upper": "float64", "reset": "float64"})


def curve_frame(analysis: Analysis) -> pd.DataFrame:
    """Return the trade-off, one row per multiple and half-life (fixed: none); empty if it was not made."""
    import pandas as pd

    if analysis.curve is None:
        return pd.DataFrame()
    period_s = analysis.metric.period_s
    cells = [analysis.curve.fixed, *analysis.curve.cells]
    frame = pd.DataFrame([cell._asdict() for cell in cells])
    frame["smoothing_factor"] = [
        None if cell.half_life_s is None else smoothing_factor(cell.half_life_s, period_s) for cell in cells
    ]
    frame["chosen"] = [cell == analysis.curve.best for cell in cells]
    return frame
