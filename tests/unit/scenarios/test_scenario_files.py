"""Scenario files: what they mean, and that every mistake is named by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball_analytics.algorithms import algorithm_names, is_algorithm
from flyball_analytics.plant import Fault, FaultKind
from flyball_analytics.scenarios import Scenario, ScenarioError, load_scenario, parse_scenario
from flyball_analytics.scenarios.model import DAY_START_S

GOOD = """\
description: Three quarters of the servers are lost
duration: 40m
services:
  api:
    load: "12/s x40m"
    rho: 0.6
    faults:
      capacity: "1 x10m, 0.25 x4m"
incidents:
  - {label: loss, from: 10m, to: 14m}
expect:
  flyball: {recovery_s: "<= 60"}
"""


def parse(text: str) -> Scenario:
    """Return the scenario in a text."""
    return parse_scenario(text.encode(), file="s/loss.yaml", known=is_algorithm, names=algorithm_names())


def mistake(text: str) -> ScenarioError:
    """Return the error of a text."""
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    return caught.value


def test_a_file_becomes_a_scenario_with_defaults() -> None:
    """Four lines about what matters; the rest is as production usually is."""
    found = parse(GOOD)
    assert found.name == "loss"
    assert found.seeds == (1, 2, 3)
    assert (found.duration_s, found.period_s, found.lag_s, found.history_s) == (2_400.0, 60.0, 20.0, 86_400.0)
    assert found.start_s == DAY_START_S + 36_000.0  # 10:00
    assert found.targets == ("api",)
    assert found.callers[0].faults == (Fault(FaultKind.CAPACITY_LOSS, 600.0, 840.0, 0.75),)
    assert not found.fast
    assert not found.counted


def test_rho_makes_the_capacity_exact_and_servers_whole() -> None:
    """12 per second at 60 % is 20 per second: four servers of 0.2 s, and three seconds of queue."""
    service = parse(GOOD).callers[0].service
    assert (service.servers, service.work_mean_s, service.queue_max) == (4, pytest.approx(0.2), 60)
    assert service.capacity_per_s == pytest.approx(20.0)


def test_a_ramp_becomes_steps_of_the_plants_clock() -> None:
    """Ten seconds each, at the level of their middle: 0.25, 0.75 on the way from 0 to 1."""
    text = GOOD.replace('capacity: "1 x10m, 0.25 x4m"', 'errors: "ramp 0 to 100% x20s"')
    faults = parse(text).callers[0].faults
    assert [(f.start_s, f.end_s, f.size) for f in faults] == [(0.0, 10.0, 0.25), (10.0, 20.0, 0.75)]


def test_two_services_may_share_a_target() -> None:
    """One setpoint for both, as for two functions of one dependency."""
    second = '  other: {target: api, function: batch, load: "1/s x40m", capacity: "5/s"}\nincidents:'
    found = parse(GOOD.replace("incidents:", second))
    assert found.targets == ("api",)
    assert [caller.function for caller in found.callers] == ["", "batch"]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("rho: 0.6", "roh: 0.6", 6, "did you mean 'rho'"),
        ("description: Three", "descriptoin: Three", 1, "did you mean 'description'"),
        ("capacity: ", "capactiy: ", 8, "did you mean 'capacity'"),
        ("label: loss", "lable: loss", 10, "did you mean 'label'"),
        ("flyball: {", "flybal: {", 12, "did you mean 'flyball'"),
        ("recovery_s", "recovery", 12, "did you mean 'recover"),
        ('"<= 60"', '"<= sixty"', 12, "unknown algorithm"),
        ('"<= 60"', '"about 60"', 12, "is no bound"),
        ('"<= 60"', "true", 12, "is no bound"),
        ("12/s x40m", "12 x40m", 5, "a rate like 12/s"),
        ("12/s x40m", "12/s x50m", 5, "longer than the scenario"),
        ("0.25 x4m", "0.25 x5s", 8, "multiples of 10 s"),
        ("duration: 40m", "duration: 45s", 2, "multiple of 60 s"),
        ("duration: 40m", "duration: 100d", 2, "at most 60d"),
        ("rho: 0.6", "rho: high", 6, "a number from 0.001 to 2"),
        ("rho: 0.6", "swing: 10%", 4, "needs either 'rho'"),
        ("rho: 0.6", 'capacity: "0/s"', 6, "above 0"),
        ("12/s x40m", "0/s x40m", 6, "begins above 0"),
        ("rho: 0.6", "rho: 0.6\n    work: 0ms", 7, "above 0"),
        ("to: 14m", "to: 9m", 10, "after 'from'"),
        ("from: 10m, ", "", 10, "'from' is missing"),
        ("label: loss, ", "", 10, "'label' is missing"),
        ("to: 14m", "to: 14m, services: [apo]", 10, "did you mean 'api'"),
        ("description: Three quarters of the servers are lost\n", "", 1, "'description' is missing"),
        ("description: Three quarters of the servers are lost", "description: ''", 1, "must be text"),
        ("duration: 40m", "duration: 40m\nseeds: [1, 1]", 3, "different seeds"),
        ("duration: 40m", "duration: 40m\nseeds: 3", 3, "must be a list"),
        ("duration: 40m", "duration: 40m\nfast: maybe", 3, "true or false"),
        ("duration: 40m", "duration: 40m\nstarts_at: 9:30", 3, "must be text"),
        ("duration: 40m", "duration: 40m\nstarts_at: '24:00'", 3, "time of day"),
        ("duration: 40m", "duration: 40m\nduration: 50m", 3, "first on line 2"),
        ("duration: 40m", "duration: 40m\ncounted: true", 3, "simulate them"),
        ("duration: 40m", "duration: 40m\nblind: [{from: 10m}]", 3, "'to' is missing"),
        ("duration: 40m", "duration: {}", 2, "must be text"),
        ("duration: 40m", "duration: 40m\n\tx: 1", 3, "is not YAML"),
    ],
)
def test_every_mistake_names_file_line_and_remedy(old: str, new: str, line: int, words: str) -> None:
    """The reader's editor jumps to the place; the message says what to write."""
    assert old in GOOD
    error = mistake(GOOD.replace(old, new, 1))
    assert error.where == f"s/loss.yaml:{line}"
    assert words in str(error)


def test_a_measure_that_needs_an_incident_is_refused_without_one() -> None:
    """`recovery_s` of nothing would be kept or broken by accident."""
    text = GOOD.replace("label: loss", "label: loss, harmless: true")
    assert "no meaning without an incident" in str(mistake(text))


@pytest.mark.parametrize("text", ["", "- a list", "just text", "{a: [", "\x00"])
def test_what_is_no_mapping_is_an_error_of_the_file(text: str) -> None:
    """Any bytes give a scenario or a ScenarioError."""
    assert mistake(text).where.startswith("s/loss.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """As the operating system says."""
    missing = tmp_path / "none.yaml"
    with pytest.raises(ScenarioError, match=r"none\.yaml: cannot be read: No such file"):
        load_scenario(missing, known=is_algorithm, names=algorithm_names())


def test_a_counted_scenario_is_flat_and_by_the_minute() -> None:
    """Counting knows quiet minutes only."""
    flat = 'description: d\nduration: 2h\ncounted: true\nservices: {a: {load: "1/s x2h", rho: 0.5}}\n'
    assert parse(flat).counted
    assert "period of 60s" in str(mistake(flat + "period: 10s\n"))
    assert "at least one service" in str(mistake("description: d\nduration: 1h\nservices: {}\n"))
    assert "must be a mapping, not 4" in str(mistake("description: d\nduration: 1h\nservices: 4\n"))
    assert "'load' is missing" in str(mistake("description: d\nduration: 1h\nservices: {a: {rho: 0.5}}\n"))


def test_a_slowdown_below_one_is_refused_where_it_stands() -> None:
    """The plant can only get worse than its health; make the capacity larger instead."""
    error = mistake(GOOD.replace('capacity: "1 x10m, 0.25 x4m"', 'slow: "0.5 x10m"'))
    assert error.where == "s/loss.yaml:8"
    assert error.field == "services.api.faults.slow"
