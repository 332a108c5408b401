"""The demo's world: twelve services, incidents of every kind, metastable without help."""

from __future__ import annotations

import pytest

from flyball_analytics.plant import FaultKind
from flyball_analytics.plant.faults import check_fault
from flyball_local.demo.scenario import SERVICES, scenario


def test_there_are_twelve_services_and_every_kind_of_incident() -> None:
    """Capacity loss, errors, outage, throttle, ramp, low traffic, black hole, poison, and no incident."""
    world = scenario()
    assert len(world.services) == 12
    assert {incident.fault.kind for incident in world.incidents} == set(FaultKind)
    assert [i.service for i in world.incidents if i.harmless] == ["catalogue"]
    low = next(s for s in world.services if s.name == "license-check")
    assert low.traffic.mean_per_s * 60.0 == 3.0


@pytest.mark.parametrize("hours", [2, 6, 24])
def test_incidents_lie_inside_the_day_with_room_to_recover(hours: int) -> None:
    """A fault that the end of the day cuts off could not be judged."""
    world = scenario(hours=hours)
    for incident in world.incidents:
        check_fault(incident.fault)
        assert world.start_s < incident.fault.start_s
        assert incident.fault.end_s + 600.0 <= world.end_s


def test_busy_services_are_metastable_under_three_static_retries() -> None:
    """Utilisation over 25 % sustains four attempts; under 83 % a budget of a fifth recovers."""
    for service in SERVICES:
        if service.traffic.mean_per_s >= 10.0:
            assert 0.25 < service.traffic.mean_per_s / service.capacity_per_s < 1.0 / 1.2


def test_services_can_be_chosen_and_keep_their_incidents() -> None:
    """For short runs."""
    world = scenario(hours=2, only=("pricing-api",))
    assert [s.name for s in world.services] == ["pricing-api"]
    assert [f.kind for f in world.faults("pricing-api")] == [FaultKind.ERRORS]
    assert world.faults("catalogue") == ()


@pytest.mark.parametrize("hours", [0, 1, 25])
def test_a_day_too_short_or_too_long_is_refused(hours: int) -> None:
    """The bounds are named."""
    with pytest.raises(ValueError, match=rf"hours={hours} must lie in \[2, 24\]"):
        scenario(hours=hours)


def test_an_unknown_service_is_refused() -> None:
    """With the known ones."""
    with pytest.raises(ValueError, match=r"only='payment' is no service.*payments-api"):
        scenario(only=("payment",))
