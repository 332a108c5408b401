"""Verdicts: what is needed for one, and that too little data gives none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare_runs import figures, seen
from flyball_analytics.compare import (
    ALL,
    UNLABELLED,
    Interval,
    Lost,
    Pair,
    Rules,
    Verdict,
    compare,
    judge,
    paired_interval,
)
from flyball_analytics.compare_figures import Day, Figures
from flyball_analytics.score import WEEK_S


def fleet(contender: str, delays: list[tuple[float, ...]], day: Day | None = None) -> list[Figures]:
    """One service per tuple of delays."""
    return [figures(f"s{n}", contender, delays=one, day=day) for n, one in enumerate(delays)]


def measure(comparison, name: str):
    """One measure of a comparison."""
    return next(one for one in comparison.measures if one.measure == name)


def test_the_whole_interval_beyond_the_margin_is_a_verdict() -> None:
    """Margin 60 s: 61 to 90 s later is worse, as much earlier is better."""
    asked = {"pieces": 8, "differing": 8, "margin": 60.0, "piece": "incidents"}
    assert judge(Interval(61.0, 90.0), **asked) == (Verdict.WORSE, "")
    assert judge(Interval(-90.0, -61.0), **asked) == (Verdict.BETTER, "")


def test_the_whole_interval_inside_the_margin_is_the_same_both_ends_included() -> None:
    """A difference of exactly the margin does not matter yet."""
    asked = {"pieces": 8, "differing": 8, "margin": 60.0, "piece": "incidents"}
    assert judge(Interval(-60.0, 60.0), **asked) == (Verdict.SAME, "")


@pytest.mark.parametrize("interval", [(-61.0, 0.0), (0.0, 61.0), (60.0, 61.0), (-100.0, 100.0)])
def test_an_interval_across_the_margin_is_no_verdict(interval) -> None:
    """It may matter and it may not."""
    found = judge(Interval(*interval), pieces=8, differing=8, margin=60.0, piece="incidents")
    assert found == (Verdict.INCONCLUSIVE, "the interval crosses the margin")


def test_five_pieces_are_too_few_however_clear_they_are() -> None:
    """Five on one side happen by chance 6 times in 100: 2 / 2**5."""
    assert paired_interval([Pair(600.0, 1.0, 0.0, 1.0)] * 5) is None
    found = judge(None, pieces=5, differing=5, margin=0.0, piece="incidents")
    assert found == (Verdict.INCONCLUSIVE, "5 of 6 incidents needed")


def test_a_side_is_taken_only_where_six_pieces_differ() -> None:
    """Twenty incidents of which five differ carry the evidence of five."""
    found = judge(Interval(-9.0, -2.0), pieces=20, differing=5, margin=1.0, piece="incidents")
    assert found == (Verdict.INCONCLUSIVE, "5 of 6 differing incidents needed")
    assert judge(Interval(-9.0, -2.0), pieces=20, differing=6, margin=1.0, piece="incidents")[0] == "better"


def test_the_difference_is_that_of_ratios_of_sums() -> None:
    """1 alarm in 3 weeks beside 6 in 3 weeks: 2 - 1/3; where all pieces are equal there is no width."""
    pairs = [Pair(1.0, 3.0, 6.0, 3.0)] * 6
    low, high = paired_interval(pairs)
    assert low == pytest.approx(5 / 3)
    assert high == pytest.approx(5 / 3)


def test_earlier_in_eight_services_and_nothing_else_is_better() -> None:
    """Five minutes beside one, everywhere; healthy time alike."""
    total, services = compare(fleet("a", [(300.0,)] * 8), fleet("b", [(60.0,)] * 8))
    assert (total.target, total.base, total.other) == (ALL, "a", "b")
    assert total.verdict is Verdict.BETTER
    assert total.why == "better: delay_s; nothing worse"
    one = measure(total, "delay_s")
    assert (one.base, one.other, one.difference) == (300.0, 60.0, -240.0)
    assert (one.pieces, one.piece, one.differing) == (8, "services", 8)
    assert {s.verdict for s in services} == {Verdict.INCONCLUSIVE}  # one incident each


def test_the_same_from_the_other_side_is_worse() -> None:
    """Who is called the baseline must not matter."""
    total, _ = compare(fleet("b", [(60.0,)] * 8), fleet("a", [(300.0,)] * 8))
    assert (total.verdict, total.why) == (Verdict.WORSE, "worse: delay_s")


def test_earlier_but_restricting_is_mixed_and_left_to_the_reader() -> None:
    """No weighted score: a trade is named as one. 1 % of the healthy week is over the margin of 0.1 %."""
    day = Day(WEEK_S, 0, WEEK_S, 0, 0.0, WEEK_S / 100.0)
    total, _ = compare(fleet("a", [(300.0,)] * 8), fleet("b", [(60.0,)] * 8, day))
    assert (total.verdict, total.why) == (Verdict.MIXED, "better: delay_s; worse: restricted_ratio")


def test_equal_contenders_are_the_same() -> None:
    """Every difference is 0, in eight services."""
    total, _ = compare(fleet("a", [(60.0,)] * 8), fleet("b", [(60.0,)] * 8))
    assert (total.verdict, total.why) == (Verdict.SAME, "every difference is within its margin")


def test_better_is_withheld_while_something_may_be_worse() -> None:
    """Two of eight services refused traffic for an hour: no proof that it is worse, none that it is not."""
    base, other = fleet("a", [(300.0,)] * 8), fleet("b", [(60.0,)] * 8)
    bad = Day(WEEK_S, 0, WEEK_S, 0, 3_600.0, 0.0)
    other[:2] = [one._replace(days={0: bad}) for one in other[:2]]
    total, _ = compare(base, other)
    assert total.verdict is Verdict.INCONCLUSIVE
    assert total.why == (
        "better: delay_s; but not known: false_open_min_per_week (the interval crosses the margin)"
    )


def test_not_worse_is_not_yet_better() -> None:
    """Two of eight services lost an hour of false opens: nothing is worse, better is not shown."""
    bad = Day(WEEK_S, 0, WEEK_S, 0, 3_600.0, 0.0)
    base, other = fleet("a", [(60.0,)] * 8), fleet("b", [(60.0,)] * 8)
    base[:2] = [one._replace(days={0: bad}) for one in base[:2]]
    total, _ = compare(base, other)
    assert total.verdict is Verdict.INCONCLUSIVE
    assert total.why.startswith("not worse; whether better is not known: false_open_min_per_week")


def test_few_services_are_drawn_incident_by_incident() -> None:
    """Two services with four incidents each: eight incidents, not two services."""
    total, _ = compare(fleet("a", [(300.0,) * 4] * 2), fleet("b", [(60.0,) * 4] * 2))
    one = measure(total, "delay_s")
    assert (one.pieces, one.piece, one.verdict) == (8, "incidents", Verdict.BETTER)


def test_under_a_week_of_healthy_time_no_rate_is_judged() -> None:
    """One event would decide it; a service of a day has no alarms per week."""
    day = Day(86_400.0, 0, 86_400.0, 0, 0.0, 0.0)
    total, _ = compare(fleet("a", [()] * 6, day), fleet("b", [()] * 6, day))
    one = measure(total, "false_alarms_per_week")
    assert (one.verdict, one.interval, one.why) == (
        Verdict.INCONCLUSIVE, None, "under a week of healthy time",
    )  # fmt: skip
    assert measure(total, "restricted_ratio").interval is None
    assert measure(total, "changes_per_h").interval == Interval(0.0, 0.0)
    assert measure(total, "delay_s").why == "no incidents to compare"


def test_without_labels_nothing_is_better() -> None:
    """A policy that never acts restricts least; only labels can say that it should have."""
    base = [one._replace(labelled=False) for one in fleet("a", [()] * 8)]
    other = [one._replace(labelled=False) for one in fleet("b", [()] * 8)]
    total, _ = compare(base, other)
    assert (total.verdict, total.why) == (Verdict.INCONCLUSIVE, UNLABELLED)


def test_a_detector_is_compared_in_what_detectors_do() -> None:
    """It opens no circuit: false-open minutes of 0 would be no merit."""
    other = [one._replace(acts=False) for one in fleet("rule", [(60.0,)] * 8)]
    total, _ = compare(fleet("a", [(60.0,)] * 8), other)
    assert [m.measure for m in total.measures] == ["missed_ratio", "delay_s", "false_alarms_per_week"]


def test_margins_and_limits_are_the_users() -> None:
    """240 s earlier does not matter to who allows 300; a limit of 59 s is broken by 60."""
    rules = Rules({"delay_s": 300.0}, {"delay_s": 59.0, "missed_ratio": 0.0})
    total, _ = compare(fleet("a", [(300.0,)] * 8), fleet("b", [(60.0,)] * 8), rules)
    one = measure(total, "delay_s")
    assert (one.verdict, one.margin, one.limit, one.kept) == (Verdict.SAME, 300.0, 59.0, False)
    assert measure(total, "missed_ratio").kept


def test_missed_incidents_are_counted_per_incident() -> None:
    """Two of four missed beside none: 50 %."""
    base = fleet("a", [(60.0,) * 4])
    other = [base[0]._replace(contender="b", incidents=(seen(600.0, missed=True),) * 2 + (seen(60.0),) * 2)]
    one = measure(compare(base, other)[0], "missed_ratio")
    assert (one.base, one.other, one.differing) == (0.0, 0.5, 2)


def test_lost_requests_of_a_closed_loop_are_one_more_measure() -> None:
    """100 lost of 1,000 beside 20, in seven incidents of one service."""
    base, other = fleet("a", [(60.0,) * 8]), fleet("b", [(60.0,) * 8])
    lost = Lost({"s0": [Pair(100.0, 1_000.0, 20.0, 1_000.0)] * 7}, {ALL: (-0.08, -0.01)})
    one = measure(compare(base, other, lost=lost)[0], "lost_ratio")
    assert (one.base, one.other, one.pieces, one.verdict) == (0.1, 0.02, 7, Verdict.BETTER)


def test_different_fleets_cannot_be_paired() -> None:
    """Pairs are the same rows under both contenders; anything else is a mistake of the caller."""
    with pytest.raises(ValueError, match="same targets"):
        compare(fleet("a", [()]), fleet("b", [(), ()]))


@given(
    st.lists(st.tuples(st.floats(0.0, 3_600.0), st.floats(0.0, 3_600.0)), min_size=6, max_size=12),
)
def test_swapping_the_contenders_mirrors_the_interval(delays) -> None:
    """No side is favoured: low and high change places and sign."""
    pairs = [Pair(a, 1.0, b, 1.0) for a, b in delays]
    low, high = paired_interval(pairs, draws=200)
    swapped = paired_interval([Pair(b, 1.0, a, 1.0) for a, b in delays], draws=200)
    assert swapped == pytest.approx((-high, -low))


@given(st.lists(st.floats(0.0, 3_600.0), min_size=6, max_size=12))
def test_the_interval_of_equals_is_zero(delays) -> None:
    """Paired draws: the same pieces are taken for both, so luck in drawing cancels out."""
    assert paired_interval([Pair(d, 1.0, d, 1.0) for d in delays], draws=200) == (0.0, 0.0)
