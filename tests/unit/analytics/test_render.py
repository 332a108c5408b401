"""A replay as text: counts beside every figure, honest where there is too little."""

from __future__ import annotations

from flyball_analytics import render
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.replay import replay_series
from flyball_analytics.score import Score, Step, score_steps
from flyball_analytics.series import read_csv
from flyball_analytics.tally import Tally
from flyball_analytics.wording import reasons
from flyball_controller.policy_set import load_preset

POLICY = load_preset("two-loop").default
NOON_S = 1_700_049_600


def run_of(write, *rows: str, labels: Labels | None = None) -> render.Run:
    """Replay hand-written rows."""
    series = read_csv(write("pay.csv", "timestamp,requests,errors,note", *rows))
    tally = Tally(POLICY, keep_steps=True)
    for replayed in replay_series(series, policy=POLICY):
        tally.add(replayed)
    score = None if labels is None else score_steps(tally.steps_by_window(), labels)
    return render.Run(series, "two-loop", "abc", tally, score)


def rows(*errors: int) -> list[str]:
    """One minute per number, 600 requests each."""
    return [f"{NOON_S + 60 * i},600,{count},x" for i, count in enumerate(errors)]


def test_the_header_says_what_was_read_and_what_was_assumed(write) -> None:
    """A reader must see at once that the file is the one that was meant."""
    lines = [*rows(0, 0, 601), f"{NOON_S + 360},600,0,x"]
    run = run_of(write, *lines)
    text = render.header(run.series, policy_name="two-loop", policy_hash="abc")
    assert "target pay, policy two-loop (abc)" in text
    assert "4 rows, 2023-11-15T12:00:00Z to 2023-11-15T12:06:00Z (7 min), one every 1 min" in text
    assert (
        "1, 3 windows in all; the longest after 2023-11-15T12:02:00Z (3 windows); nothing was filled in"
        in text
    )
    assert "problems  1 x more errors than requests" in text
    assert "pay.csv:4: more errors than requests: errors='601' must be at most requests = 600" in text
    assert "assumed   no column for timeouts or throttles: what failed counts as fast errors" in text
    assert "unused    note" in text


def test_many_problems_are_shown_by_example_and_counted(write) -> None:
    """Five places are enough to find the mistake."""
    run = run_of(write, *rows(0, 0, *[601] * 9))
    text = render.header(run.series, policy_name="p", policy_hash="h")
    assert text.count("pay.csv:") - 1 == render.SHOWN_MAX
    assert "and 4 more" in text


def test_a_file_without_a_usable_row_says_so(write) -> None:
    """No span can be given."""
    series = read_csv(write("a.csv", "timestamp,requests,errors", *rows(0, 0))).between(0.0, 1.0)
    assert "2 rows, none of them usable" in render.header(series, policy_name="p", policy_hash="h")


def test_decisions_are_a_table_with_reasons(write) -> None:
    """Time, regime, action, because."""
    run = run_of(write, *rows(*[0] * 5, *[600] * 4))
    text = render.decisions(run.tally.changes)
    head, _, first, *later = text.splitlines()
    assert head.split() == ["decided", "at", "regime", "action", "because"]
    assert first.startswith("2023-11-15T12:06:00Z")
    assert "dead" in first
    assert "retry budget 0.2 -> 0" in first
    assert any(line.startswith("2023-11-15T12:09:00Z") and "circuit closed -> open" in line for line in later)
    assert render.decisions([]) == "No decision changed anything."


def test_no_word_of_a_reason_is_lost_at_any_width(write) -> None:
    """A decision that cannot be read cannot be trusted; long reasons used to be cut in the middle."""
    run = run_of(write, *rows(0, 0, 590, 590, 590, *[0] * 30))
    wanted = [word for change in run.tally.changes for word in reasons(change.evidence).split()]
    assert wanted
    for width in (100, 140, 200):
        text = render.decisions(run.tally.changes, width=width)
        column = text.splitlines()[0].index("because")
        shown = " ".join(line[column:].strip() for line in text.splitlines()[2:]).split()
        assert shown == wanted


def test_the_closing_counts_regimes_changes_and_minutes(write) -> None:
    """What it came to, without labels."""
    run = run_of(write, *rows(*[0] * 5, *[600] * 6))
    text = render.closing(run)
    assert "nominal 5" in text
    assert "2 tightened (1 opened)" in text
    assert "restricted 6 min, of these open or half-open 3 min" in text
    assert "labels" not in text


def score(pattern: str, labels: Labels, period_s: float = 60.0) -> Score:
    """Score a pattern of T (tightens and opens) and dots."""
    steps = [
        Step(i * period_s, (i + 1) * period_s, period_s, c == "T", False, c == "T", c == "T", c == "T")
        for i, c in enumerate(pattern)
    ]
    return score_steps(steps, labels)


def test_too_little_healthy_time_gives_no_rate() -> None:
    """8 minutes are no week; the bound says how little they prove."""
    text = "\n".join(render.score_lines(score("..T.....", Labels(()))))
    assert "no incident is labelled: recall cannot be judged" in text
    assert "1 alarm, 1 action, 1 open in 0.00 healthy weeks (not enough data for a rate; at most" in text
    assert "falsely restricted 1 min (12.5 %)" in text
    nothing = "\n".join(render.score_lines(score("", Labels(()))))
    assert "(not enough data for a rate)" in nothing
    assert "(not enough data)" in nothing


def test_enough_healthy_time_gives_a_rate_with_its_bound() -> None:
    """Two weeks of hours, two opens: 1 a week, and the 95 % bound 6.296 / 2."""
    pattern = "T" + "." * 100 + "T" + "." * 234
    text = "\n".join(render.score_lines(score(pattern, Labels(()), period_s=3_600.0)))
    assert (
        "2 alarms, 2 actions, 2 opens in 2.00 healthy weeks (1 opens/week, at most 3.15 with 95 % confidence)"
        in text
    )


def test_recall_comes_with_counts_delay_and_what_was_restricted_already() -> None:
    """Each figure beside what it hides."""
    caught = Incident(120.0, 180.0, 120.0, 240.0)
    missed = Incident(60.0, 60.0, 60.0, 60.0)
    text = render.score_lines(score("T.." + "T..", Labels((missed, caught))))[0]
    assert "2 incidents: 1 recognised, 1 answered, 1 opened; recognised 1 row late (median), 2 min" in text
    assert text.endswith("1 more began while already restricted")


def test_the_summary_has_a_line_per_target_and_a_total(write) -> None:
    """Names are not broken by the numbers beside them."""
    labels = Labels((Incident(NOON_S + 300.0, NOON_S + 360.0, NOON_S + 300.0, NOON_S + 360.0),))
    run = run_of(write, *rows(*[0] * 5, *[600] * 3), labels=labels)
    plain = run._replace(score=None)
    text = render.summary([run, plain], run.score)
    assert "1/1" in text
    assert "all 2 targets" in text
    assert len([line for line in text.splitlines() if line.startswith("pay")]) == 2
    assert "wered" not in render.summary([plain], None)


def test_the_json_of_a_run_holds_plain_values(write) -> None:
    """For programs: null where a person reads "not enough data"."""
    labels = Labels((Incident(NOON_S + 300.0, NOON_S + 360.0, NOON_S + 300.0, NOON_S + 360.0),))
    run = run_of(write, *rows(*[0] * 5, *[600] * 3), labels=labels)
    document = render.run_json(run)
    assert document["regimes"] == {"NOMINAL": 5, "DEAD": 3}
    inner = document["score"]
    assert isinstance(inner, dict)
    assert (inner["recall"], inner["answered_rows_median"], inner["false_opens_per_week"]) == (1.0, 0, None)
    assert render.run_json(run._replace(score=None))["score"] is None
