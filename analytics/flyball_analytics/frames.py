"""A replay as data frames: what changed, and how it fits the labels (extra `sim`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flyball_analytics.score import Score
from flyball_analytics.tally import Change
from flyball_analytics.wording import REGIME_WORDS, action, reasons

if TYPE_CHECKING:
    import pandas as pd


def changes_frame(changes: Sequence[Change]) -> pd.DataFrame:
    """Return one row per decision that changed something: when, regime, action, reasons in words."""
    import pandas as pd

    rows = [
        {
            "decided": change.at_s,
            "window": change.start_s,
            "regime": REGIME_WORDS[change.regime],
            "action": action(change.before, change.applied),
            "because": reasons(change.evidence),
            "tightened": change.tightened,
        }
        for change in changes
    ]
    frame = pd.DataFrame(rows, columns=["decided", "window", "regime", "action", "because", "tightened"])
    for name in ("decided", "window"):
        frame[name] = pd.to_datetime(frame[name].astype("float64"), unit="s", utc=True)
    return frame


def incidents_frame(score: Score) -> pd.DataFrame:
    """Return one row per labelled incident: how late it was recognised, answered, opened (windows, s)."""
    import pandas as pd

    rows = [{**one._asdict(), **one.incident._asdict()} for one in score.incidents]
    names = [
        "start_s",
        "end_s",
        "note",
        "recognised_rows",
        "recognised_s",
        "acted_rows",
        "acted_s",
        "opened_rows",
    ]
    frame = pd.DataFrame(rows, columns=names).rename(columns={"start_s": "start", "end_s": "end"})
    for name in ("start", "end"):
        frame[name] = pd.to_datetime(frame[name].astype("float64"), unit="s", utc=True)
    return frame
