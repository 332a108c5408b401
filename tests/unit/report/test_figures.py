"""Estimates, costliest decisions, verdict sentences, and the front of a sweep, worked by hand."""

from __future__ import annotations

import pytest

from flyball_analytics.compare import compare
from flyball_analytics.report.estimates import estimates
from flyball_analytics.report.model import UNLABELLED, build, facts
from flyball_analytics.report.pareto import Effect, Point, Sweep, front
from flyball_analytics.report.summary import summary
from flyball_analytics.report.watch import Flow
from flyball_analytics.report.worst import worst_decisions
from report_world import MANIFEST, OUTAGE, watched


def _by_name(services):
    return {one.name: one for one in estimates(services)}


def test_estimates_are_ratios_of_sums_over_all_services(payments):
    """26,400 attempts for 24,000 requests; 310 of 2,400 retries are forbidden."""
    found = _by_name([payments])
    assert found["amplification"].value == pytest.approx(1.1)
    assert found["amplification_kept"].value == pytest.approx(26_090 / 24_000)
    assert found["retries_saved_ratio"].value == pytest.approx(310 / 2_400)
    assert found["amplification"].interval is None, "one day is one piece"
    assert found["amplification"].pieces == 1
    assert found["refused_failing_ratio"].value is None, "nothing was refused"


def test_six_services_are_drawn_as_wholes(payments):
    """Six equal services leave no doubt; the interval has no width."""
    found = _by_name([payments._replace(target=f"s{n}") for n in range(6)])
    one = found["amplification"]
    assert (one.pieces, one.piece) == (6, "services")
    assert one.interval is not None
    assert one.interval.low == pytest.approx(1.1)
    assert one.interval.high == pytest.approx(1.1)


def test_six_days_of_one_service_are_pieces_too(payments):
    """A service that refuses on one day of six has an interval that begins at 0."""
    days = {n: Flow(requests=100, refused=60.0 if n == 0 else 0.0) for n in range(6)}
    one = _by_name([payments._replace(flows=days)])["refused_ratio"]
    assert (one.value, one.pieces, one.piece) == (pytest.approx(0.1), 6, "days")
    assert one.interval is not None
    assert one.interval.low == 0.0
    assert one.interval.high > 0.1


def test_without_labels_no_share_is_called_healthy(payments):
    """Nobody knows it."""
    assert "refused_well_ratio" in _by_name([payments])
    assert "refused_well_ratio" not in _by_name([watched(known=False)])


def test_the_costliest_decision_is_explained_as_why_does(payments):
    """What it cost, on which numbers, what would have changed it, and how to ask again."""
    bad = worst_decisions([payments])[0]
    assert bad.title == "retry budget 0.2 -> 0"
    assert bad.cost == "1 min of healthy time restricted"
    lines = dict(bad.lines)
    assert lines["seen"].startswith("window 2026-01-05T02:00:00Z (1 min): 100 requests, 100 failed (100 %)")
    assert "otherwise" in lines
    assert bad.again == "flyball why payments@2026-01-05T02:01:00Z payments.csv --policy two-loop"


def test_what_an_incident_explains_is_no_fault_and_without_labels_refusals_rank():
    """With labels only the tail after the incident is charged; without them all of it is worth a look."""
    one = watched(fast=True)
    tail, total = sum(c.refused_well for c in one.costs), sum(c.refused for c in one.costs)
    assert 0.0 < tail < 0.2 * total
    # half-open with 90 % admitted for 3 min of 100 requests: 30, and all of the 3 min restricted
    assert worst_decisions([one])[0].cost == (
        "about 30 requests refused in healthy time, 3 min of healthy time still restricted"
    )
    unknown = watched(fast=True, known=False)
    costliest = max(cost.refused for cost in unknown.costs)
    assert worst_decisions([unknown])[0].cost == f"about {costliest:,.0f} requests refused"


def test_traffic_refused_while_all_was_well_comes_first(payments):
    """An outage that nobody labelled: to the labels, all of it was well."""
    wrong = watched("wrong", fast=True, outage=range(120, 150))
    elsewhere = wrong.labels._replace(incidents=())
    healthy = watched("healthy", fast=True)._replace(labels=elsewhere)
    costs = tuple(c.__class__(c.refused, c.refused, c.restricted_well_s) for c in healthy.costs)
    bad = worst_decisions([payments, healthy._replace(costs=costs)], count=1)[0]
    assert bad.target == "healthy"
    assert "requests refused in healthy time" in bad.cost


def test_a_missed_incident_stands_among_them():
    """Two failing requests in one window are no evidence, but the label says that it was one."""
    quiet = watched(outage=range(120, 121))
    missed = quiet.score.incidents[0]._replace(recognised_rows=None, recognised_s=None)
    one = quiet._replace(score=quiet.score._replace(incidents=(missed,)), moments={})
    bad = worst_decisions([one])[0]
    assert (bad.title, bad.cost, bad.again) == ("incident not recognised", "1 min without an answer", "")


def test_the_facts_say_what_was_caught_what_was_false_and_what_was_done(payments):
    """10,800 s of healthy time are 0.0179 weeks; no false open in them rules out 168 a week."""
    assert facts([payments]) == (
        "two-loop recognised 1 of 1 labelled incident, in the median 1 min after the first bad window began. "
        "In 0.0179 healthy service-weeks it opened no circuit (at most 1.7e+02 a week, 95 %), refused no "
        "traffic and never named trouble. Over the whole history two-loop would have changed parameters "
        "twice on 1 of 1 service."
    )


def test_the_facts_know_what_nobody_labelled():
    """No labels, no incident in them, and no change at all: three other sentences."""
    assert facts([watched(known=False)]).endswith(UNLABELLED)
    quiet = watched(outage=range(0), known=False)
    assert facts([quiet]).startswith("Over the whole history two-loop would never have changed a parameter.")
    one = watched()
    score = one.score._replace(incidents=(), false_opens=3)
    total = dict.fromkeys(one.figures.days)
    days = {day: one.figures.days[day]._replace(refused_s=90.0) for day in total}
    false = one._replace(score=score, figures=one.figures._replace(days=days))
    told = facts([false])
    assert told.startswith("No incident is labelled. In 0.0179 healthy service-weeks it opened 3 circuits")
    assert "refused 1.5 min of traffic" in told


def test_a_report_begins_with_the_verdict_and_orders_by_need(payments):
    """A service whose incident was missed comes before one whose was not."""
    missed = payments.score.incidents[0]._replace(recognised_rows=None)
    other = payments._replace(target="zebra", score=payments.score._replace(incidents=(missed,)))
    done = compare([payments.figures], [payments.figures._replace(contender="new")])
    made = build([payments, other], MANIFEST, comparisons=[done])
    assert [one.target for one in made.services] == ["zebra", "payments"]
    assert made.verdict == done[0].verdict
    assert made.sentences[0].startswith("new against two-loop: ")
    assert len(made.sentences) == 2


def test_a_report_needs_a_service():
    """An empty page helps nobody."""
    with pytest.raises(ValueError, match="at least one service"):
        build([], MANIFEST)


def test_the_front_holds_what_nothing_beats():
    """(2,4) is beaten by (2,3); of equal ones the first stands; order is by the first objective."""
    points = [
        Point("d", {}, (3.0, 1.0)),
        Point("c", {}, (2.0, 4.0)),
        Point("b", {}, (2.0, 3.0)),
        Point("b2", {}, (2.0, 3.0)),
        Point("a", {}, (1.0, 5.0)),
    ]
    assert [p.name for p in front(points)] == ["a", "b", "d"]


def test_the_summary_has_the_same_numbers_as_plain_values(payments):
    """A program reads what a person reads."""
    sweep = Sweep(
        ("delay, s", "false open, min"), (Point("a", {"x": 1}, (1.0, 2.0)),), (Effect("x", "y", 0.5),)
    )
    plain = summary(build([payments], MANIFEST, sweep=sweep))
    assert plain["schema"] == 1
    assert plain["verdict"] is None
    service = plain["services"][0]
    assert (service["requests"], service["failures"], service["changes"]) == (24_000, len(OUTAGE) * 100, 2)
    assert service["false_open_min"] == 0.0
    assert plain["pareto"]["front"] == [{"name": "a", "settings": {"x": 1}, "values": [1.0, 2.0]}]
    unlabelled = summary(build([watched(known=False)], MANIFEST))
    assert unlabelled["score"] is None
    assert unlabelled["services"][0]["false_open_min"] is None
