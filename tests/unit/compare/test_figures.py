"""What one contender did, in pieces: delays of incidents, and days of healthy time."""

from __future__ import annotations

from compare_runs import NOON_S, acted, incident
from flyball_analytics.compare_figures import (
    Day,
    acted_windows,
    figures_of,
    figures_of_steps,
    join_days,
)
from flyball_analytics.labels import Labels
from flyball_analytics.replay import replay_series, scoring_step
from flyball_analytics.series import read_csv
from flyball_controller.core.state import nominal_setpoint
from flyball_controller.policy_set import load_preset


def of(windows, labels, *, acts=True):
    """Figures of `pay` under `ours`."""
    return figures_of(windows, labels, target="pay", contender="ours", acts=acts)


def test_a_delay_runs_from_the_first_bad_window_to_the_decision() -> None:
    """Minute 5 is the first bad one; trouble is named at the end of minute 6: two minutes."""
    windows = [acted(m, troubled=6 <= m <= 8) for m in range(12)]
    found = of(windows, Labels((incident(5, 8),)))
    assert [(s.delay_s, s.missed) for s in found.incidents] == [(120.0, False)]


def test_a_missed_incident_counts_with_its_whole_length() -> None:
    """A rule that never fires must not have the shortest mean delay: minutes 5 to 8 are four."""
    found = of([acted(m) for m in range(12)], Labels((incident(5, 8),)))
    assert [(s.delay_s, s.missed) for s in found.incidents] == [(240.0, True)]


def test_refused_time_is_weighed_by_the_refused_share() -> None:
    """Half of the calls refused for two healthy minutes is one minute."""
    windows = [acted(m, refused=0.5 if m < 2 else 0.0, restricted=m < 3) for m in range(10)]
    total = of(windows, Labels(())).total
    assert (total.refused_s, total.restricted_s, total.healthy_s) == (60.0, 180.0, 600.0)


def test_time_in_an_incident_is_no_healthy_time_but_recorded() -> None:
    """Refusing calls to a dead target costs nothing; changes are counted wherever they come."""
    windows = [acted(m, refused=0.9, restricted=True, changed=m == 5) for m in range(4, 8)]
    total = of(windows, Labels((incident(4, 7),))).total
    assert total == Day(240.0, 1, 0.0, 0, 0.0, 0.0)


def test_probation_and_ignored_stretches_say_nothing() -> None:
    """Two rows of learning, and two that nobody can judge."""
    windows = [acted(m, troubled=True, restricted=True) for m in range(6)]
    labels = Labels((), ignore=((NOON_S + 120.0, NOON_S + 180.0),), probation=2)
    total = of(windows, labels).total
    assert (total.recorded_s, total.healthy_s, total.restricted_s) == (240.0, 120.0, 120.0)


def test_trouble_that_comes_back_within_half_an_hour_is_the_same_alarm() -> None:
    """One episode wakes one operator once; at 31 minutes after its end it is a new one."""
    windows = [acted(m, troubled=m in (0, 30, 62)) for m in range(70)]
    assert of(windows, Labels(())).total.false_alarms == 2


def test_days_are_cut_at_midnight_utc_and_join_to_the_same_sums() -> None:
    """From noon, 720 minutes lie before midnight."""
    found = of([acted(m, restricted=m == 0) for m in range(730)], None)
    first, second = (found.days[key] for key in sorted(found.days))
    assert (first.recorded_s, second.recorded_s) == (43_200.0, 600.0)
    assert join_days([first, second]) == found.total
    assert not found.labelled


def test_a_detector_neither_acts_nor_refuses() -> None:
    """It only fires: measures of acting are not asked of it."""
    found = figures_of_steps(
        [acted(m, troubled=m == 1, restricted=True).step for m in range(3)], None, target="a", contender="r"
    )
    assert (found.acts, found.total.refused_s, found.total.false_alarms) == (False, 0.0, 1)


def test_without_a_window_there_are_no_days() -> None:
    """An empty history has no figures, and asks for none."""
    assert of([], Labels((incident(1, 2),))).days == {}


def test_the_windows_are_those_of_a_replay(tmp_path) -> None:
    """A comparison speaks of the decisions of production, gap and flagged row included."""
    rows = ["timestamp,requests,errors"]
    minutes = [m for m in range(40) if not 20 <= m < 23]
    rows += [f"{NOON_S + 60 * m:.0f},600,{600 if 8 <= m < 13 else 700 if m == 30 else 0}" for m in minutes]
    path = tmp_path / "pay.csv"
    path.write_text("\n".join(rows) + "\n")
    series, policy = read_csv(path), load_preset("two-loop").default
    nominal = nominal_setpoint(policy)
    wanted = [scoring_step(replayed, nominal) for replayed in replay_series(series, policy=policy)]
    found = acted_windows(series, policy)
    assert [one.step for one in found] == [step for step in wanted if step is not None]
    assert sum(one.changed for one in found) >= 2
    assert max(one.refused_ratio for one in found) == 0.9
