"""Faults add up to conditions, on a grid, inside bounds."""

from __future__ import annotations

import pytest

from flyball_analytics.plant.faults import HEALTHY, Fault, FaultKind, check_fault, conditions_at


def test_a_fault_acts_from_its_start_and_not_at_its_end() -> None:
    """Half-open, so that two faults in a row never act together."""
    fault = Fault(FaultKind.ERRORS, 60.0, 120.0, 0.3)
    assert [conditions_at([fault], at).error_ratio for at in (50.0, 60.0, 110.0, 120.0)] == [
        0.0,
        0.3,
        0.3,
        0.0,
    ]
    assert conditions_at([fault], 50.0) is HEALTHY


def test_faults_of_one_kind_add_and_stop_at_one() -> None:
    """0.7 and 0.6 of all attempts are all attempts."""
    faults = [Fault(FaultKind.OUTAGE, 0.0, 10.0, 0.7), Fault(FaultKind.OUTAGE, 0.0, 10.0, 0.6)]
    assert conditions_at(faults, 0.0).outage_ratio == 1.0


def test_the_lowest_throttle_limit_holds() -> None:
    """Two limits in a row: the smaller one decides."""
    faults = [Fault(FaultKind.THROTTLE, 0.0, 10.0, 7.0), Fault(FaultKind.THROTTLE, 0.0, 10.0, 5.0)]
    assert conditions_at(faults, 0.0).throttle_per_s == 5.0


def test_a_ramp_climbs_and_stays() -> None:
    """A quarter of the way after a quarter of the ramp."""
    fault = Fault(FaultKind.SLOWDOWN, 0.0, 100.0, 2.0, ramp_s=40.0)
    assert [conditions_at([fault], at).slow_factor for at in (0.0, 10.0, 40.0, 90.0)] == [1.0, 1.5, 3.0, 3.0]


def test_only_latency_is_harmless() -> None:
    """It decides whether a refusal was a false one."""
    assert not conditions_at([Fault(FaultKind.LATENCY, 0.0, 10.0, 0.5)], 0.0).harmful
    assert conditions_at([Fault(FaultKind.POISON, 0.0, 10.0, 0.5)], 0.0).harmful


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(FaultKind.ERRORS, 60.0, 60.0, 0.3), "end_s=60.0 must be after"),
        (Fault(FaultKind.ERRORS, 0.0, 61.0, 0.3), "end_s=61.0 must be a multiple"),
        (Fault(FaultKind.ERRORS, 0.0, 60.0, 1.5), r"size=1.5 of a ERRORS fault must lie in \(0, 1\]"),
        (Fault(FaultKind.THROTTLE, 0.0, 60.0, 0.0), r"size=0.0 of a THROTTLE fault must lie in \(0, inf\)"),
    ],
)
def test_a_fault_that_cannot_be_simulated_is_refused(fault: Fault, message: str) -> None:
    """Field, value and bound."""
    with pytest.raises(ValueError, match=message):
        check_fault(fault)
