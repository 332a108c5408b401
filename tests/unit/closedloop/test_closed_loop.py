"""The closed loop as a whole: causes before effects, nothing lost, nothing random, storms as in theory."""

from __future__ import annotations

import math

import pytest

from flyball_analytics.algorithms import algorithm
from flyball_analytics.arrivals import ModelError
from flyball_analytics.closedloop import observation, quiet_minutes, rank, run
from flyball_analytics.closedloop_control import FlyballControl, FutureDataError, Inbox
from flyball_analytics.plant import Service, Traffic
from flyball_analytics.scenarios.measures import MEASURES
from flyball_controller.core.model import Observation
from flyball_controller.policy_set import load_preset
from flyball_controller.ports import PortError

FLYBALL, CLIENT, STATIC = algorithm("flyball"), algorithm("flyball-static"), algorithm("static-3")


def window(start_s: float, *, arrived_s: float, failed: int = 0) -> Observation:
    """Return a minute of 600 requests."""
    return Observation(
        "api", start_s, 60.0, arrived_s, requests=600, errors_fast=failed, attempts=600, request_failures=0
    )


def test_a_window_that_is_not_over_cannot_be_handed_to_the_controller() -> None:
    """No future data by construction: neither an early delivery nor a mislabelled window gets in."""
    inbox = Inbox({})
    with pytest.raises(FutureDataError):
        inbox.deliver(window(0.0, arrived_s=80.0), now_s=79.9)
    with pytest.raises(FutureDataError):
        inbox.deliver(window(0.0, arrived_s=59.0), now_s=79.9)
    inbox.deliver(window(0.0, arrived_s=80.0), now_s=80.0)
    assert inbox.read(["api"], since_s={"api": -1.0}, now_s=79.9) == {}
    assert len(inbox.read(["api"], since_s={"api": -1.0}, now_s=80.0)["api"]) == 1
    assert inbox.read(["api"], since_s={"api": 0.0}, now_s=80.0) == {}


def test_the_past_that_is_learned_ends_before_the_scenario() -> None:
    """History is bounded by the moment of asking, whatever it holds."""
    inbox = Inbox({"api": (window(0.0, arrived_s=60.0), window(600.0, arrived_s=660.0))})
    assert [seen.start_s for seen in inbox.history("api", until_s=600.0, days=1)] == [0.0]


def test_what_happens_later_changes_nothing_before(make) -> None:
    """Two worlds that part at minute 4 are the same until then, decisions and requests alike."""
    loss = run(make(), FLYBALL, seed=3, sampled=True)
    outage = run(make('refused: "0 x4m, 100% x3m"'), FLYBALL, seed=3, sampled=True)
    before = [sample for sample in loss.samples if sample.at_s < 230.0]
    assert before == [sample for sample in outage.samples if sample.at_s < 230.0]
    assert loss.samples != outage.samples


@pytest.mark.parametrize("lag", [20.0, 90.0, 150.0])
def test_no_action_comes_before_the_first_bad_window_has_arrived(make, lag: float) -> None:
    """Onset at minute 4: the window ends at 5, and is seen `lag` later at the earliest."""
    scenario = make('refused: "0 x4m, 100% x4m"', lag=f"{lag:g}s", until="8m")
    found = run(scenario, FLYBALL, seed=1)
    first_s = found.actions[0].at_s - scenario.start_s
    assert 300.0 + lag <= first_s <= 300.0 + lag + 3.0
    assert found.measures["detect_s"] == pytest.approx(first_s - 240.0)
    assert found.measures["effective_s"] >= found.measures["detect_s"]


def test_one_seed_is_one_run_and_another_seed_another(make) -> None:
    """A pure function of its arguments: that is what makes a failure reproducible."""
    first, again, other = (run(make(), FLYBALL, seed=s, sampled=True) for s in (1, 1, 2))
    assert repr(first) == repr(again)
    assert first.measures["lost_min"] != other.measures["lost_min"]


def test_every_algorithm_meets_the_same_requests(make) -> None:
    """Otherwise a difference could be luck."""
    arrived = [
        [sample.arrived for sample in run(make(), chosen, seed=1, sampled=True).samples]
        for chosen in (FLYBALL, CLIENT, STATIC)
    ]
    assert arrived[0] == arrived[1] == arrived[2]


def test_every_request_succeeds_fails_or_is_refused(make) -> None:
    """Conservation: what the model loses would be goodput won by the policy."""
    for chosen in (FLYBALL, STATIC):
        found = run(make(), chosen, seed=1, sampled=True)
        arrived = sum(sample.arrived for sample in found.samples)
        good = sum(sample.ok for sample in found.samples)
        assert found.measures["goodput_ratio"] == pytest.approx(good / arrived)
        assert found.measures["lost_min"] == pytest.approx((arrived - good) / (arrived / 14.0))


@pytest.mark.parametrize("seed", [1, 2])
def test_three_static_retries_stay_down_and_flyball_does_not(make, seed: int) -> None:
    """Metastability: at 60 % of capacity a storm of four attempts sustains itself; a budget ends it."""
    static, mine = run(make(), STATIC, seed=seed), run(make(), FLYBALL, seed=seed)
    assert static.measures["recovery_s"] == math.inf
    assert static.measures["recovered"] == 0.0
    assert static.measures["amplification_peak"] > 3.5
    assert mine.measures["recovered"] == 1.0
    assert mine.measures["amplification"] < 1.1


def test_a_ladder_rule_on_a_reference_client_is_steered_with_the_same_delays(make) -> None:
    """Its parameters travel by document: deployment and poll, later than our circuit item."""
    found = run(make(), algorithm("ladder-rule"), seed=1)
    (action,) = found.actions[:1]
    assert (action.before.max_attempts, action.after.max_attempts) == (4, 2)
    assert action.urgent
    assert found.measures["effective_s"] > found.measures["detect_s"] + 10.0
    assert found.measures["recovered"] == 0.0  # one retry at 60 % is still a storm


def test_ten_second_metrics_are_seen_sooner(make) -> None:
    """The period is a parameter of the world, not of the controller."""
    scenario = make('refused: "0 x4m, 100% x4m"', until="8m")
    found = run(scenario, FLYBALL, seed=1, model=ModelError(period_s=10.0))
    assert found.measures["detect_s"] < 50.0


def test_a_period_off_the_plants_grid_is_refused(make) -> None:
    """Windows are made of whole steps."""
    with pytest.raises(ValueError, match="multiple of 10 s"):
        run(make(), CLIENT, seed=1, model=ModelError(period_s=15.0))


def test_model_errors_change_the_world_and_nothing_else(make) -> None:
    """With three times the capacity a quarter of it suffices; all others are other worlds, too."""
    exact = run(make(), CLIENT, seed=1).measures
    assert run(make(), CLIENT, seed=1, model=ModelError(capacity_factor=3.0)).measures["lost_min"] < 0.5
    for model in (
        ModelError(timeout_factor=2.0),
        ModelError(reuse_random=True),
        ModelError(burst=4.0),
        ModelError(rho=0.3),
        ModelError(fleet_factor=0.5),
    ):
        assert run(make(), CLIENT, seed=1, model=model).measures != exact, model


def test_blind_metrics_leave_the_controller_without_evidence(make) -> None:
    """Missing is not zero: nothing is done about what cannot be seen."""
    scenario = make('refused: "0 x4m, 100% x4m"', until="8m")._replace(blind=((0.0, 840.0),))
    found = run(scenario, FLYBALL, seed=1)
    assert found.actions == ()
    assert "OBSERVATION_MISSING" in found.reached.reasons


def test_months_are_counted_in_seconds(make) -> None:
    """A counted day is seen by the controller minute by minute, and nothing is simulated."""
    calm = make(faults="", minutes=1440)._replace(incidents=(), counted=True)
    found = run(calm, FLYBALL, seed=1, sampled=True)
    assert found.measures["changes"] == 0.0
    assert found.measures["goodput_ratio"] > 0.9999
    assert found.samples == ()
    assert found.reached.regimes == {"NOMINAL"}


def test_every_measure_has_a_value_or_no_meaning(make) -> None:
    """The words and the numbers are one list."""
    assert set(run(make(), FLYBALL, seed=1).measures) == set(MEASURES)
    calm = run(make(faults="")._replace(incidents=()), FLYBALL, seed=1).measures
    without = {name for name, value in calm.items() if math.isnan(value)}
    assert without == {name for name, measure in MEASURES.items() if measure.needs_incident}


def test_latencies_are_ranked_as_a_datapoint_would_be() -> None:
    """Nearest rank, and -1 where nothing was measured."""
    ordered = [float(value) for value in range(1, 101)]
    assert (rank(ordered, 0.5), rank(ordered, 0.99), rank([7.0], 0.99)) == (50.0, 99.0, 7.0)
    (counters,) = quiet_minutes(Service("api", Traffic(1.0)), 1, 0, 1)
    counters.latencies_ms.clear()
    assert observation("api", counters, 0.0, 60.0, 80.0).latency_ms_p99 == -1.0


def test_a_failing_port_is_a_defect_of_the_simulation() -> None:
    """A run that went on without its controller would be judged as if it had one."""
    control = FlyballControl(["api"], policies=load_preset("two-loop"), seed=1, past={})
    control._ports.checkpoints.fail_next(1)
    with pytest.raises(PortError):
        control.round(80.0, [window(0.0, arrived_s=80.0)])
