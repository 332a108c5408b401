"""The measures of control quality, on hand-made ledgers and actions with numbers worked by hand."""

from __future__ import annotations

import math

import pytest

from flyball.contract import CircuitState, TargetParams
from flyball_analytics.closedloop_control import Action, Control, Sighting
from flyball_analytics.closedloop_measures import CallerRun, Evidence, measure
from flyball_analytics.plant import Fault, FaultKind, Service, Traffic
from flyball_analytics.plant.ledger import Ledger
from flyball_analytics.scenarios.model import Caller, Incident, Scenario
from flyball_analytics.scenarios.notation import Piece
from flyball_controller.aws.publish_plan import Limits
from flyball_controller.core.model import Setpoint

NOMINAL = Setpoint(4, 0.2, 1_000, CircuitState.CLOSED, 1.0, 3)
TIGHT = NOMINAL._replace(budget_ratio=0.0)
HOUR_S = 3_600.0


def scenario(*incidents: Incident) -> Scenario:
    """Return an hour of one caller from time 0."""
    fault = Fault(FaultKind.OUTAGE, 600.0, 1_200.0, 1.0)
    caller = Caller("api", "api", "", Service("api", Traffic(1.0)), (Piece(0.0, HOUR_S, 1.0, 1.0),), (fault,))
    return Scenario("s", "s.yaml", "d", (1,), HOUR_S, 0.0, 0.0, 60.0, 20.0, (caller,), incidents)


def ledger(*bad: tuple[int, int, int, int]) -> Ledger:
    """Return 10 good requests in each ten seconds, but for (first, last, failed, rejected) steps."""
    found = Ledger()
    for step in range(360):
        tally = found.step(step * 10.0)
        tally.arrived = tally.attempts = tally.ok = 10
        for first, last, failed, rejected in bad:
            if first <= step < last:
                tally.failed, tally.rejected, tally.ok = failed, rejected, 10 - failed - rejected
                tally.attempts = 10 - rejected + 3 * failed
                tally.wasted = 4 * failed
    return found


INCIDENT = Incident("outage", 600.0, 1_200.0, ("api",))


def judge(found: Ledger, *incidents: Incident, control: Control | None = None) -> dict[str, float]:
    """Return the measures."""
    return measure(Evidence(scenario(*incidents), (CallerRun("api", "api", found, 7),), control))


def control(*actions: tuple[float, Setpoint, bool], sighted_s: float | None = None) -> Control:
    """Return a control that acted so."""
    made = Control({"api": TargetParams()}, {"api": NOMINAL}, policy_hash="", limits=Limits(), seed=1)
    before = NOMINAL
    for number, (at_s, after, urgent) in enumerate(actions):
        made.actions.append(Action(at_s, "api", "", "", "", before, after, urgent, number, 1))
        before = after
    if sighted_s is not None:
        made.sightings.append(Sighting(sighted_s, "api", "DEAD", True))
    return made


def test_lost_minutes_are_unsuccessful_requests_over_the_mean_minute() -> None:
    """Ten minutes in which half fail and a tenth is refused: six minutes are lost."""
    found = judge(ledger((60, 120, 5, 1)), INCIDENT)
    assert found["lost_min"] == pytest.approx(6.0)
    assert found["goodput_in_ratio"] == pytest.approx(0.4)
    assert found["goodput_after_ratio"] == 1.0
    assert found["goodput_ratio"] == pytest.approx(1.0 - 360.0 / 3_600.0)
    assert found["rejected_ratio"] == pytest.approx(60.0 / 3_600.0)


def test_amplification_counts_attempts_per_request_that_arrived() -> None:
    """With 5 of 10 failing after four attempts each, ten seconds see 25 attempts: peak over 20 s is 2.5."""
    found = judge(ledger((60, 120, 5, 0)), INCIDENT)
    assert found["amplification_peak"] == pytest.approx(2.5)
    assert found["amplification"] == pytest.approx((3_000.0 + 60 * 25.0) / 3_600.0)
    assert found["wasted_ratio"] == pytest.approx(60 * 20.0 / 4_500.0)


def test_recovery_is_the_time_from_the_incidents_end_or_never() -> None:
    """Bad for 70 s after the end is 70 s; bad until the end of the hour is never."""
    assert judge(ledger((60, 127, 10, 0)), INCIDENT)["recovery_s"] == 70.0
    down = judge(ledger((60, 360, 10, 0)), INCIDENT)
    assert (down["recovery_s"], down["recovered"]) == (math.inf, 0.0)
    assert judge(ledger(), INCIDENT)["recovered"] == 1.0


def test_the_next_incident_ends_the_time_to_recover() -> None:
    """What the second one breaks is not the first one's fault, but not being back by then is."""
    second = Incident("again", 1_500.0, 1_800.0, ("api",))
    assert judge(ledger((60, 150, 10, 0)), INCIDENT, second)["recovery_s"] == math.inf
    assert judge(ledger((60, 140, 10, 0)), INCIDENT, second)["recovery_s"] == 200.0


def test_refusals_are_false_only_where_the_target_is_well_and_nothing_is_on() -> None:
    """Half refused for two healthy minutes is one false-open minute; inside the incident it is none."""
    assert judge(ledger((60, 120, 0, 5)), INCIDENT)["false_open_min"] == 0.0
    assert judge(ledger((120, 132, 0, 5)), INCIDENT)["false_open_min"] == pytest.approx(1.0)
    sick = ledger((120, 132, 0, 5))
    for step in range(120, 132):
        sick.step(step * 10.0).sick = True
    assert judge(sick, INCIDENT)["false_open_min"] == 0.0


def test_a_tightening_soon_after_a_loosening_is_a_flap() -> None:
    """599 s is too early, 600 s is a new event; one loosening counts once."""
    early = control((700.0, TIGHT, True), (1_000.0, NOMINAL, False), (1_599.0, TIGHT, True))
    late = control((700.0, TIGHT, True), (1_000.0, NOMINAL, False), (1_600.0, TIGHT, True))
    assert judge(ledger(), INCIDENT, control=early)["flaps"] == 1.0
    assert judge(ledger(), INCIDENT, control=late)["flaps"] == 0.0


def test_actions_are_false_where_no_incident_called_for_them() -> None:
    """Before the incident, long after it, and during a harmless one."""
    acts = control(
        (500.0, TIGHT, True), (700.0, NOMINAL, False), (2_900.0, TIGHT, True), (3_100.0, NOMINAL, False)
    )
    assert judge(ledger(), INCIDENT, control=acts)["false_actions"] == 2.0
    assert judge(ledger(), INCIDENT._replace(harmless=True), control=acts)["false_actions"] == 4.0


def test_detection_and_restoring_are_measured_from_the_incidents_ends() -> None:
    """Named 80 s after the onset, nominal again 150 s after the end; never if it stays tight."""
    back = control((680.0, TIGHT, True), (1_350.0, NOMINAL, False), sighted_s=680.0)
    back.deliveries["api"].obeyed_s[("circuit", 0)] = 683.0
    found = judge(ledger(), INCIDENT, control=back)
    assert (found["detect_s"], found["effective_s"], found["restore_s"]) == (80.0, 83.0, 150.0)
    stuck = judge(ledger(), INCIDENT, control=control((680.0, TIGHT, True)))
    assert (stuck["detect_s"], stuck["effective_s"], stuck["restore_s"]) == (math.inf, math.inf, math.inf)
    assert judge(ledger(), INCIDENT, control=control())["restore_s"] == 0.0


def test_the_busiest_hour_counts_deployments() -> None:
    """Deployments, not wishes: what every environment has to receive."""
    made = control()
    for number, at_s in enumerate((0.0, 1_000.0, 3_700.0)):
        params = TargetParams()._replace(retry=TargetParams().retry._replace(budget_ratio=0.1 * number + 1.0))
        made.publisher.publish({"api": params}, urgent=True, policy_hash="", now_s=at_s)
    assert judge(ledger(), control=made)["config_changes_per_h"] == 2.0


def test_without_a_controller_nothing_is_done_and_nothing_detected() -> None:
    """Zero actions are a number; a time of detection is not."""
    found = judge(ledger((60, 120, 5, 0)), INCIDENT)
    assert (found["changes"], found["false_actions"], found["flaps"]) == (0.0, 0.0, 0.0)
    assert math.isnan(found["detect_s"])
    assert found["environments_peak"] == 7.0
