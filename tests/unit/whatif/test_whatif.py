"""A recorded incident as an experiment: worlds, faults, load, and what the runs come to."""

from __future__ import annotations

import itertools
import math

import pytest

from core_runs import T0
from flyball_analytics.algorithms import algorithm
from flyball_analytics.closedloop import run
from flyball_analytics.compare import ALL, Pair
from flyball_analytics.labels import Incident
from flyball_analytics.plant import Service, Traffic
from flyball_analytics.plant.faults import FaultKind
from flyball_analytics.whatif import (
    Cause,
    Outcome,
    World,
    by_world,
    capacity_faults,
    capacity_of,
    lost_of,
    lost_pairs,
    outcome,
    plan,
    ranges,
    recorded_lost,
    scenario_of,
    utilisation,
    worlds_of,
)
from flyball_analytics.whatif_fit import Demand, Fit

INCIDENT = Incident(T0 + 1_800.0, T0 + 2_040.0, T0 + 1_800.0, T0 + 2_040.0, "test")
LOST = World(2.0, Cause.CAPACITY)


def demand(
    minute: int, *, per_s: float = 10.0, timeouts: float = 0.0, fast: float = 0.0, throttles: float = 0.0
):
    """One minute of ten requests a second, of which 2 were lost."""
    start_s = T0 + 60.0 * minute
    return Demand(start_s, start_s + 60.0, 10.0, 15.0, timeouts, fast, throttles, 2.0)


def service_fit(bad=None, *, mean_per_s: float = 10.0, peak_per_s: float = 20.0) -> Fit:
    """Two hours of calm with five bad minutes from minute 30 on; work of 0.1 s."""
    bad = bad or {"timeouts": 0.5}
    windows = tuple(demand(m, **(bad if 30 <= m < 35 else {})) for m in range(120))
    return Fit("t", 60.0, windows, mean_per_s, peak_per_s, 0.01, 0.1, 0.3, 0.2, 0.01, ())


def scenario(fit: Fit, world: World = LOST, *, scale: float = 1.0, until_s: float = math.inf):
    """The incident of that service."""
    return scenario_of(fit, INCIDENT, world, scale=scale, seeds=(0,), until_s=until_s)


def test_the_capacity_is_varied_over_the_proven_peak_but_never_under_one_server() -> None:
    """20/s proven: 22 to 80. With 1/s proven one server of 0.1 s still serves 10/s, and that is one world."""
    capacities = [capacity_of(service_fit(), world) for world in worlds_of(service_fit(), INCIDENT)]
    assert capacities == [22.0, 22.0, 30.0, 30.0, 50.0, 50.0, 80.0, 80.0]
    small = service_fit(peak_per_s=1.0)
    assert [capacity_of(small, world) for world in worlds_of(small, INCIDENT)] == [10.0, 10.0]


def test_silence_is_a_world_only_where_calls_timed_out() -> None:
    """Fast errors were answered."""
    causes = {world.cause for world in worlds_of(service_fit({"fast": 0.5}), INCIDENT)}
    assert causes == {Cause.CAPACITY}
    assert {world.cause for world in worlds_of(service_fit(), INCIDENT)} == set(Cause)


def test_the_experiment_begins_ten_minutes_before_and_ends_half_an_hour_after() -> None:
    """Minutes 20 to 65; the incident lies at 10 to 15 of it."""
    made = scenario(service_fit())
    assert (made.start_s, made.duration_s) == (T0 + 1_200.0, 2_700.0)
    assert (made.incidents[0].start_s, made.incidents[0].end_s) == (600.0, 900.0)
    assert scenario(service_fit(), until_s=T0 + 2_400.0).duration_s == 1_200.0


def test_the_next_incident_ends_it_early() -> None:
    """What it does is not this one's doing; a minute is left to end in."""
    assert scenario(service_fit(), until_s=T0 + 1_900.0).duration_s == 960.0


def test_lost_capacity_leaves_what_was_served() -> None:
    """40/s of capacity, 10/s demanded and half of it served: 5/s stay, of four servers one half as fast."""
    caller = scenario(service_fit()).callers[0]
    assert (caller.service.servers, caller.service.capacity_per_s) == (4, 40.0)
    first = caller.faults[:2]
    assert [(f.kind, f.start_s, f.end_s) for f in first] == [
        (FaultKind.CAPACITY_LOSS, 600.0, 660.0),
        (FaultKind.SLOWDOWN, 600.0, 660.0),
    ]
    assert [f.size for f in first] == pytest.approx([0.75, 1.0])
    assert len(caller.faults) == 10


def test_nothing_served_is_no_server_and_all_served_is_no_fault() -> None:
    """The two ends."""
    service = Service("a", Traffic(9.0), servers=4)
    assert [(f.kind, f.size) for f in capacity_faults(service, 0.0, 0.0, 60.0)] == [
        (FaultKind.CAPACITY_LOSS, 1.0)
    ]
    assert not list(capacity_faults(service, 10.0, 0.0, 60.0))
    assert [f.kind for f in capacity_faults(service, 9.0, 0.0, 60.0)] == [FaultKind.SLOWDOWN]


@pytest.mark.parametrize(
    ("bad", "world", "kind", "size"),
    [
        ({"timeouts": 0.5}, World(2.0, Cause.SILENCE), FaultKind.BLACK_HOLE, 0.5),
        ({"fast": 0.31}, LOST, FaultKind.ERRORS, 0.3),
        ({"fast": 0.91}, LOST, FaultKind.OUTAGE, 0.9),
        ({"throttles": 0.4}, LOST, FaultKind.THROTTLE, 9.0),
    ],
)
def test_each_class_of_failure_is_its_fault(bad, world, kind, size) -> None:
    """Errors over the usual 1 %; over 60 % they are refusals; throttles let 60 % of 15 attempts/s in."""
    faults = scenario(service_fit(bad), world).callers[0].faults
    assert {fault.kind for fault in faults} == {kind}
    assert faults[0].size == pytest.approx(size)
    assert len(faults) == 5


def test_a_large_fleet_is_simulated_smaller() -> None:
    """Ten times smaller: rate, capacity and throttle limit together; loads without gaps to the end."""
    caller = scenario(service_fit({"throttles": 0.4}), scale=10.0).callers[0]
    assert caller.service.capacity_per_s == pytest.approx(4.0)
    assert caller.faults[0].size == pytest.approx(0.9)
    assert {piece.first for piece in caller.load} == {1.0}
    ends = [(piece.start_s, piece.end_s) for piece in caller.load]
    assert ends[0][0] == 0.0
    assert ends[-1][1] == 2_700.0
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))


def test_a_missing_window_goes_on_like_the_one_before() -> None:
    """A gap in the recording is no gap in the demand; before the first window its own level holds."""
    fit = service_fit()
    holed = tuple(d for d in fit.demand if not T0 + 2_400.0 <= d.start_s < T0 + 2_700.0)
    load = scenario(fit._replace(demand=holed)).callers[0].load
    assert any(piece.end_s - piece.start_s == 300.0 for piece in load)
    empty = scenario(fit._replace(demand=())).callers[0].load
    assert [(p.start_s, p.end_s, p.first) for p in empty] == [(0.0, 2_700.0, 10.0)]


def test_runs_are_planned_for_every_world_seed_and_algorithm() -> None:
    """Two worlds, two seeds, two algorithms; slow services get a longer time-out: three times 0.5 s."""
    worlds = [LOST, World(2.0, Cause.SILENCE)]
    found = list(plan(service_fit(), INCIDENT, ("none", "static-3"), worlds=worlds, seeds=(0, 1)))
    assert len(found) == 8
    assert found[0].job.model.timeout_factor == 1.0
    slow = service_fit()._replace(p99_s=0.5)
    first = next(plan(slow, INCIDENT, ("none",), worlds=worlds, seeds=(0,)))
    assert first.job.model.timeout_factor == 1.5
    given = next(plan(slow, INCIDENT, ("none",), worlds=worlds, seeds=(0,), timeout_s=3.0))
    assert given.job.model.timeout_factor == 3.0
    large = next(plan(service_fit(mean_per_s=200.0), INCIDENT, ("none",), worlds=worlds, seeds=(0,)))
    assert large.scale == 10.0


def one(algorithm_name: str, lost: float, world: World = LOST, *, attempts: float = 1_000.0) -> Outcome:
    """A run of a thousand requests."""
    return Outcome("t", INCIDENT, algorithm_name, world, 0, 1_000.0, lost, attempts)


def test_results_are_ranges_over_the_worlds() -> None:
    """10 lost in one world, 50 in the other: 10 to 50, mean 30; 1.0 to 1.5 attempts."""
    other = World(4.0, Cause.SILENCE)
    (found,) = ranges([one("a", 10.0), one("a", 50.0, other, attempts=1_500.0)])
    assert (found.low, found.high, found.mean, found.arrived) == (10.0, 50.0, 30.0, 1_000.0)
    assert (found.amplification_low, found.amplification_high) == (1.0, 1.5)


def test_a_pair_is_an_incident_and_worlds_are_kept_apart_to_see_whether_they_agree() -> None:
    """Better by 4 % in one world, worse by 2 % in the other: a mean of 1 % hides that."""
    other = World(4.0, Cause.SILENCE)
    runs = [one("a", 50.0), one("a", 50.0, other), one("b", 10.0), one("b", 70.0, other)]
    assert lost_pairs(runs, "a", "b") == {"t": [Pair(50.0, 1_000.0, 40.0, 1_000.0)]}
    assert by_world(runs, "a", "b") == pytest.approx({LOST: -0.04, other: 0.02})
    lost = lost_of(runs, "a", "b")
    assert lost.worlds[ALL] == lost.worlds["t"] == pytest.approx((-0.04, 0.02))


def test_utilisation_and_recorded_losses_are_of_the_incident() -> None:
    """10/s of 40/s; five minutes with two lost each; unknown where one was not measured."""
    fit = service_fit()
    assert utilisation(fit, INCIDENT, LOST) == 0.25
    assert recorded_lost(fit, INCIDENT) == 10.0
    holed = tuple(d._replace(lost=-1.0) if d.start_s == INCIDENT.start_s else d for d in fit.demand)
    assert recorded_lost(fit._replace(demand=holed), INCIDENT) is None
    assert utilisation(fit._replace(demand=()), INCIDENT, LOST) == 0.25


def test_an_outage_lived_through_again_loses_what_arrives_in_it() -> None:
    """Five minutes at 10/s in which nothing is served: 3,000 of 21,000, give or take Poisson."""
    fit = service_fit({"fast": 1.0})
    (made,) = plan(fit, INCIDENT, ("none",), worlds=[LOST], seeds=(0,))
    found = outcome(made, run(made.job.scenario, algorithm("none"), seed=0, sampled=True))
    assert found.arrived == pytest.approx(21_000, rel=0.03)
    assert found.lost - 0.01 * (found.arrived - 3_000) == pytest.approx(3_000, rel=0.08)
    twice = made._replace(scale=2.0)
    again = outcome(twice, run(made.job.scenario, algorithm("none"), seed=0, sampled=True))
    assert again.lost == 2.0 * found.lost


def test_static_retries_make_the_storm_that_a_budget_does_not() -> None:
    """Half of the calls time out for want of capacity: why the loop must be closed."""
    fit = service_fit(peak_per_s=18.0)
    world = World(1.1, Cause.CAPACITY)
    lost = {}
    for made in plan(fit, INCIDENT, ("static-3", "flyball-static"), worlds=[world], seeds=(0,)):
        name = made.job.algorithm
        lost[name] = outcome(made, run(made.job.scenario, algorithm(name), seed=0, sampled=True)).lost
    assert lost["static-3"] > 3.0 * lost["flyball-static"]
