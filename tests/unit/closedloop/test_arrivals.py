"""Arrivals follow the series, and crowds make their counts more variable without changing the mean."""

from __future__ import annotations

import statistics

import pytest

from flyball_analytics.arrivals import EXACT, ModelError, arrivals_of, varied
from flyball_analytics.plant import Service, Traffic
from flyball_analytics.scenarios.model import DAY_START_S, Caller
from flyball_analytics.scenarios.notation import Quantity, parse_series


def caller(load: str, **traffic: float) -> Caller:
    """Return a caller with this load."""
    pieces = parse_series(load, Quantity.RATE)
    spec = Traffic(pieces[0].first, **traffic)  # type: ignore[arg-type]  # test shorthand
    return Caller("api", "api", "", Service("api", spec), pieces, ())


def counts(chosen: Caller, minutes: int, model: ModelError = EXACT, seed: int = 1) -> list[int]:
    """Return arrivals per ten seconds."""
    arrivals = arrivals_of(chosen, start_s=DAY_START_S, seed=seed, model=model)
    first = round(DAY_START_S / 60.0)
    found = [0] * (6 * minutes)
    for minute in range(first, first + minutes):
        times = arrivals(minute)
        assert times == sorted(times)
        for at_s in times:
            found[int((at_s - DAY_START_S) // 10.0)] += 1
    return found


def test_the_load_changes_on_the_ten_second_grid() -> None:
    """A surge that begins at 0:20 is not smeared over its minute; after the series its last level holds."""
    found = counts(caller("1/s x20s, 50/s x20s, 1/s x20s"), 2)
    assert all(count < 40 for count in (*found[:2], *found[4:]))
    assert all(count > 400 for count in found[2:4])


def test_swing_and_batch_multiply_the_series() -> None:
    """Midnight of a target that peaks at midnight: half as much again, and four times that in the batch."""
    swung = counts(caller("20/s x10m", swing_ratio=0.5, peak_s=0.0), 10)
    assert statistics.fmean(swung) == pytest.approx(300.0, rel=0.05)
    batch = counts(caller("20/s x10m", batch_factor=4.0, batch_minutes=3), 10)
    assert statistics.fmean(batch[:18]) == pytest.approx(800.0, rel=0.05)
    assert statistics.fmean(batch[18:]) == pytest.approx(200.0, rel=0.05)


def test_crowds_keep_the_mean_and_raise_the_variance() -> None:
    """Variance over mean of ten-second counts: 1 for Poisson, 5 for a burst of 5."""
    plain = counts(caller("20/s x100m"), 100)
    crowded = counts(caller("20/s x100m"), 100, ModelError(burst=5.0))
    assert statistics.fmean(crowded) == pytest.approx(200.0, rel=0.05)
    assert statistics.variance(plain) / statistics.fmean(plain) == pytest.approx(1.0, abs=0.3)
    assert statistics.variance(crowded) / statistics.fmean(crowded) == pytest.approx(5.0, abs=1.5)


def test_a_larger_fleet_has_more_of_everything() -> None:
    """Rate, servers, queue and environments together: the utilisation stays."""
    service = Service("api", Traffic(12.0), servers=4, work_mean_s=0.2, queue_max=60)
    big = varied(service, ModelError(fleet_factor=3.0))
    assert (big.traffic.mean_per_s, big.servers, big.queue_max, big.environments_max) == (36.0, 12, 180, 1200)
    assert statistics.fmean(counts(caller("12/s x10m"), 10, ModelError(fleet_factor=3.0))) == pytest.approx(
        360.0, rel=0.05
    )


@pytest.mark.parametrize("rho", [0.2, 0.55, 0.9])
def test_rho_is_met_exactly_with_whole_servers(rho: float) -> None:
    """12 per second at 90 % is 13.3 per second of capacity, whatever the servers."""
    found = varied(Service("api", Traffic(12.0), servers=4, work_mean_s=0.2), ModelError(rho=rho))
    assert 12.0 / found.capacity_per_s == pytest.approx(rho)
    assert found.servers >= 1
