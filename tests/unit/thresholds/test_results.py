"""Results of any detector as steps, and their figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from drawn_histories import HOUR_S, T0, draw, flat, series_of, with_failures
from flyball_analytics.judged import judge, judge_all, judged_json
from flyball_analytics.judged_text import judged_table
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.moments import utc
from flyball_analytics.problems import SeriesError
from flyball_analytics.replay import replay_series
from flyball_analytics.results import (
    is_journal,
    result_column,
    result_of_replay,
    result_of_table,
    results_of_journal,
)
from flyball_analytics.tally import Tally
from flyball_controller.codec import canonical_json
from flyball_controller.policy_set import load_preset

Write = Callable[..., Path]
POLICY = load_preset("two-loop").default
SPAN = (T0 + 2 * HOUR_S, T0 + 2.5 * HOUR_S)
SERIES = series_of(with_failures(draw(400, ratio=flat(0.002)), *SPAN, 1.0), target="pay")
LABELS = Labels((Incident(SPAN[0], SPAN[1] - 60.0, SPAN[0], SPAN[1]),), probation=5)


def journal(path: Path) -> Path:
    """The journal of a replay, as `flyball replay --format json` writes it."""
    records = (canonical_json(r.record()).decode() for r in replay_series(SERIES, policy=POLICY))
    path.write_text("\n".join(records) + "\n\n")
    return path


def test_a_journal_is_scored_exactly_as_its_replay(tmp_path: Path) -> None:
    """Steps read back from the journal are those of the tally, field by field."""
    tally = Tally(POLICY, keep_steps=True)
    for replayed in replay_series(SERIES, policy=POLICY):
        tally.add(replayed)
    (read,) = results_of_journal(journal(tmp_path / "j.jsonl"), lambda target: POLICY)
    assert list(read.steps) == tally.steps_by_window()
    direct = result_of_replay(SERIES, POLICY, rule="flyball")
    assert (read.steps, read.rows, read.cuts) == (direct.steps, direct.rows, direct.cuts)
    assert read.target == SERIES.observations[0].target


def test_what_is_no_journal_is_refused_with_its_line(tmp_path: Path) -> None:
    """A broken line, a record without a decision, a journal about nothing, a file that is not there."""
    path = tmp_path / "j.jsonl"
    path.write_text("{broken\n")
    with pytest.raises(SeriesError, match="cannot be read as JSON lines"):
        results_of_journal(path, lambda target: POLICY)
    path.write_text('\n{"observation": {}}\n')
    with pytest.raises(SeriesError, match=r"j\.jsonl:2: is no journal record"):
        results_of_journal(path, lambda target: POLICY)
    path.write_text("\n")
    with pytest.raises(SeriesError, match="holds no decision"):
        results_of_journal(path, lambda target: POLICY)
    with pytest.raises(SeriesError, match="cannot be read"):
        results_of_journal(tmp_path / "none.jsonl", lambda target: POLICY)
    assert is_journal(path)
    assert not is_journal(tmp_path / "a.csv")


def table(write: Write, word: str, scores: list[object], name: str = "other.csv") -> Path:
    """A table of verdicts, one per minute."""
    return write(
        name, f"timestamp,{word}", *(f"{utc(T0 + 60.0 * i)},{score}" for i, score in enumerate(scores))
    )


def test_a_table_of_firings_is_a_result(write: Write) -> None:
    """1/0, true/false, yes/no and empty; one firing of three rows."""
    path = table(write, "firing", [0, 1, "true", "", "yes", "no"])
    result = result_of_table(path, target="t", threshold=None, period_s=None)
    assert [s.start_s - T0 for s in result.steps if s.opened] == [60.0]
    assert [s.restricted for s in result.steps] == [False, True, True, True, True, False]
    assert result_column(("time", "Anomaly_Score")) == "anomaly_score"
    assert result_column(("time", "value")) is None


def test_a_table_of_scores_fires_from_the_threshold_on(write: Write) -> None:
    """The scores are kept for NAB, which tunes its own threshold."""
    path = table(write, "anomaly_score", [0.1, 0.5, 0.7, 0.2])
    result = result_of_table(path, target="t", threshold=0.6, period_s=60.0)
    assert [s.opened for s in result.steps] == [False, False, True, False]
    assert [score for _, score in result.rows] == [0.1, 0.5, 0.7, 0.2]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("timestamp,value", "1767571200,1"), "needs a column timestamp and one of firing"),
        (("timestamp,firing", "1767571200,maybe", "1767571260,1"), "a.csv:2: cannot be read"),
        (("timestamp,firing", "1767571260,1", "1767571200,1"), "a.csv:3: is not later"),
        (("timestamp,firing", "1767571260,1"), "1 row"),
    ],
)
def test_a_table_that_cannot_be_a_result_says_why(write: Write, lines: tuple[str, ...], message: str) -> None:
    """With its place."""
    with pytest.raises(SeriesError, match=message):
        result_of_table(write("a.csv", *lines), target="t", threshold=None, period_s=None)


def test_the_figures_of_one_series_and_of_a_rule() -> None:
    """The incident is seen in its first window; sums over two copies; chance stands beside the score."""
    result = result_of_replay(SERIES, POLICY, rule="flyball")
    one = judge(result, LABELS)
    assert (one.score.recognised, one.score.opened, one.score.false_alarms) == (1, 1, 0)
    assert one.score.incidents[0].recognised_rows == 0
    assert one.nab is not None
    assert one.by_lot is not None
    assert one.nab.score > one.by_lot.score
    assert one.interval is None
    both = judge_all([result, result], [one, one])
    assert (both.target, len(both.score.incidents), both.score.recognised) == ("*", 2, 2)
    assert both.nab is not None
    assert both.nab.windows == 2
    many = judge_all([result] * 6, [one] * 6)
    assert many.interval == (0.0, 0.0)


def test_the_figures_as_plain_values_and_as_a_table(write: Write) -> None:
    """A rule that only fires opens nothing: that is null, not a number; below a week there is no rate."""
    quiet = result_of_table(
        table(write, "firing", [0] * 90), target="other-" * 12, threshold=None, period_s=None
    )
    judged = [judge(result_of_replay(SERIES, POLICY, rule="flyball"), LABELS), judge(quiet, Labels(()))]
    plain = [json.loads(canonical_json(judged_json(one))) for one in judged]
    assert plain[0]["score"]["opened"] == 1
    assert plain[0]["score"]["missed"] == 0
    assert plain[1]["score"]["opened"] is None
    assert plain[1]["nab"] == {
        "own_threshold": None,
        "tuned": None,
        "tuned_threshold": None,
        "random": None,
        "windows": 0,
    }
    assert plain[0]["score"]["false_alarms_per_week"] is None
    text = judged_table(judged, [judge_all([quiet], judged)])
    lines = text.splitlines()
    assert max(map(len, lines)) <= 110
    assert lines[3].split()[1].endswith("…") or "…" in lines[3]
    assert any(line.startswith("all") for line in lines)
    assert "all" not in judged_table(judged[:1], [judged[0]]).splitlines()[-8]


def test_a_week_of_false_alarms_has_a_rate_with_an_interval(write: Write) -> None:
    """Ten days of hours, one alarm on each of five days: 3.5 a week."""
    rows = [1 if i % 48 == 10 else 0 for i in range(240)]
    path = write(
        "h.csv", "timestamp,firing", *(f"{utc(T0 + 3_600.0 * i)},{row}" for i, row in enumerate(rows))
    )
    one = judge(result_of_table(path, target="t", threshold=None, period_s=None), Labels(()))
    assert judged_json(one)["score"]["false_alarms_per_week"] == pytest.approx(3.5)  # type: ignore[index]
    assert one.interval is not None
    assert one.interval.low < 3.5 < one.interval.high
    assert "3.50 [" in judged_table([one], [one])
