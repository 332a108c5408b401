"""The side by side in small: books, its weather, and what the published page says, on a smaller fleet."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

PUBLISHED = Path(__file__).resolve().parents[3] / "docs" / "reference" / "side-by-side.md"


def make(kind, *, seed=0, environments=8, requests_per_s=4.0):
    """Return a small world of a scenario."""
    from sides_world import SidesWorld

    return SidesWorld(kind, seed, environments=environments, requests_per_s=requests_per_s)


@functools.cache
def books(kind, name, **size):
    """Run one design in one scenario, once for all tests."""
    from sides_designs import DESIGNS, patched

    world = make(kind, **size)
    with patched(world):
        return world.books(DESIGNS[name](world))


class Unprotected:
    """Attempts everything once; asks the store before each call if told to."""

    def __init__(self, world, *, asks=False):
        self.world = world
        self.asks = asks
        self.renewed = []

    def offer(self, environment, arrival):
        """Attempt."""
        from sides_world import StoreDownError

        if self.asks:
            try:
                self.world.store_call()
            except StoreDownError:
                self.world.guard_errors += 1
                return
        self.world.conclude(arrival, well=self.world.attempt(arrival))

    def renew(self, index):
        """Remember who was replaced."""
        self.renewed.append((self.world.now_s, index))


@pytest.mark.parametrize(
    ("kind", "answered"),
    [
        ("HEALTHY", 0.999),
        ("FIFTH", 0.8),
        ("HALF", 0.5),
        ("DEAD", 0.0),
        ("SLOW", 0.0),
        ("FLAPPING", 0.5),  # five of ten half-minutes are dead
        ("RECOVERY", 0.1),  # half of the last of five minutes
        ("ONE_KEY", 0.7),
        ("STORE_DOWN_DEAD", 0.0),
        ("STORE_DOWN_HEALTHY", 0.999),
        ("COLD_STORM", 0.0),
    ],
)
def test_without_a_guard_the_weather_decides_what_is_answered(kind, answered):
    """The yardstick: everything reaches the dependency, and its ratio answers, within three deviations."""
    from sides_world import Kind

    world = make(Kind[kind])
    found = world.books(Unprotected(world))
    outage = found.outage
    assert outage.reached == outage.attempts == outage.offered
    assert outage.answered / outage.offered == pytest.approx(answered, abs=0.045)  # 1,200 calls
    assert (found.stopped_s, found.good_refused, found.guard_errors) == (-1.0, 0, 0)
    waited = 3.0 * (outage.offered - outage.answered) if kind == "SLOW" else 0.0
    assert found.waited_s == pytest.approx(waited)


def test_every_scenario_is_in_that_list():
    """A new kind of weather needs its number worked out."""
    from sides_world import Kind

    marks = test_without_a_guard_the_weather_decides_what_is_answered.pytestmark
    assert {case[0] for case in marks[0].args[1]} == {kind.name for kind in Kind}


def test_a_store_that_is_down_fails_whoever_depends_on_it():
    """Its calls are counted, also those that fail; it is down for the outage and no longer."""
    from sides_world import Kind

    world = make(Kind.STORE_DOWN_HEALTHY)
    found = world.books(Unprotected(world, asks=True))
    assert found.guard_errors == found.outage.offered
    assert found.store_calls == found.offered_all


def test_the_cold_start_storm_replaces_all_at_once_and_then_a_fifth_every_ten_seconds():
    """Eight at the begin, one of eight each ten seconds after it: 8 + 29."""
    from sides_world import Kind

    world = make(Kind.COLD_STORM)
    design = Unprotected(world)
    world.books(design)
    first = [index for at_s, index in design.renewed if at_s == world.outage_s]
    assert sorted(first) == list(range(8))
    assert len(design.renewed) == 8 + 29


def test_the_stop_is_the_end_of_the_first_slice_that_hardly_anything_reached():
    """A design that refuses everything from 20 s on has stopped the traffic after 30 s."""
    from sides_world import Kind

    world = make(Kind.DEAD)

    class Stops(Unprotected):
        def offer(self, environment, arrival):
            if world.in_outage(arrival) and arrival.at_s >= world.outage_s + 20.0:
                world.refuse(arrival)
            else:
                super().offer(environment, arrival)

    found = world.books(Stops(world))
    assert found.stopped_s == 30.0
    assert found.good_refused == found.good_offered - found.outage.reached


def test_all_designs_meet_the_same_calls():
    """Or the comparison compares luck."""
    from sides_designs import DESIGNS
    from sides_world import Kind

    offered = {name: books(Kind.HALF, name).outage.offered for name in DESIGNS}
    assert len(set(offered.values())) == 1


def test_a_healthy_dependency_is_left_alone_by_everybody():
    """No design may open for one error in a thousand."""
    from sides_designs import DESIGNS
    from sides_world import Kind

    for name in DESIGNS:
        found = books(Kind.HEALTHY, name)
        assert (found.outage.refused_healthy, found.good_refused, found.guard_errors) == (0, 0, 0), name


def test_what_is_said_of_a_dead_store():
    """Shared breakers fail open: all traffic goes to the dead dependency. Local ones do not notice."""
    from sides_designs import ALONE, CONTROLLED, POWERTOOLS, PYBREAKER, PYBREAKER_REDIS
    from sides_world import Kind

    reached = {}
    for name in (ALONE, CONTROLLED, POWERTOOLS, PYBREAKER, PYBREAKER_REDIS):
        outage = books(Kind.STORE_DOWN_DEAD, name).outage
        reached[name] = outage.reached / outage.offered
    assert reached[POWERTOOLS] == reached[PYBREAKER_REDIS] == 1.0
    assert reached[ALONE] < 0.6
    assert reached[CONTROLLED] < 0.6
    assert reached[PYBREAKER] < 0.4


def test_what_is_said_of_a_store_that_answers():
    """A fleet that shares its failures leaves a dead dependency alone soonest: peers win here."""
    from sides_designs import ALONE, POWERTOOLS, PYBREAKER_REDIS
    from sides_world import Kind

    dead = {name: books(Kind.DEAD, name) for name in (ALONE, POWERTOOLS, PYBREAKER_REDIS)}
    assert dead[PYBREAKER_REDIS].outage.reached < dead[POWERTOOLS].outage.reached < dead[ALONE].outage.reached
    assert dead[PYBREAKER_REDIS].store_calls > 1.9 * dead[PYBREAKER_REDIS].offered_all  # two a call
    assert dead[ALONE].store_calls == 0


def test_a_run_of_the_script_is_the_median_over_its_seeds():
    """One seed, one run: the line is that run's."""
    import bench_side_by_side as script
    from sides_designs import PYBREAKER
    from sides_world import Kind

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "DESIGNS", {PYBREAKER: script.DESIGNS[PYBREAKER]})
        patch.setattr(script, "REQUESTS_PER_S", 4.0)
        (line,) = script.run_kind(Kind.DEAD, 1, environments=8).values()
    alone = books(Kind.DEAD, PYBREAKER)
    assert line.reached == alone.outage.reached / alone.outage.offered
    assert line.stopped_s == alone.stopped_s


def test_what_is_said_of_partial_failure():
    """Where half is still answered, refusing it all is the larger outage."""
    from sides_designs import ALONE_ONCE, POWERTOOLS
    from sides_world import Kind

    kept = books(Kind.HALF, ALONE_ONCE, environments=4).outage
    thrown = books(Kind.HALF, POWERTOOLS, environments=4).outage
    assert kept.answered > 3 * thrown.answered


def test_clocks_and_logs_of_the_peers_are_put_back():
    """A benchmark that leaves a patched clock behind would poison every test after it."""
    import pybreaker
    from aws_lambda_powertools.utilities.circuit_breaker import base

    from sides_designs import patched
    from sides_world import Kind

    before = (pybreaker.datetime, base.dt, base.logger.disabled)
    with patched(make(Kind.DEAD)):
        assert pybreaker.datetime is not before[0]
    assert (pybreaker.datetime, base.dt, base.logger.disabled) == before


def test_a_time_that_most_runs_never_saw_is_no_time():
    """One run of three that stopped by luck must not be published as "stops after 40 s"."""
    from bench_side_by_side import summarise
    from sides_world import Kind

    world = make(Kind.HALF)
    found = world.books(Unprotected(world))
    once = found._replace(stopped_s=40.0)
    assert summarise([found, found, once]).stopped_s == -1.0
    assert summarise([once, once, found]).stopped_s == 40.0


@functools.cache
def small_run(kind, seeds):
    """Return what the script would, of four environments and one seed."""
    from bench_side_by_side import summarise
    from sides_designs import DESIGNS

    assert seeds == 3  # --quick
    return {name: summarise([books(kind, name, environments=4, requests_per_s=2.0)]) for name in DESIGNS}


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_the_script_prints_every_design_in_every_form(form, monkeypatch, capsys):
    """One small scenario through the command, as a reader would run it."""
    import bench_side_by_side as script
    from sides_designs import DESIGNS

    monkeypatch.setattr(script, "run_kind", small_run)
    monkeypatch.setattr(sys, "argv", ["x", "--quick", "--only", "healthy, store", "--format", form])
    script.main()
    printed = capsys.readouterr().out
    assert all(name in printed for name in DESIGNS)
    assert "pybreaker" in printed


def test_a_scenario_that_is_not_there_is_named(monkeypatch):
    """Whose fault, and what there is."""
    import bench_side_by_side as script

    monkeypatch.setattr(sys, "argv", ["x", "--only", "earthquake"])
    with pytest.raises(SystemExit, match=r"--only 'earthquake' is in no name: healthy"):
        script.main()


def test_the_published_page_has_every_scenario_and_design():
    """A table that lost a line where we look bad would be no comparison."""
    from bench_side_by_side import COLUMNS
    from sides_designs import DESIGNS
    from sides_world import Kind

    page = PUBLISHED.read_text()
    tables = page.split("\n**")
    for kind in Kind:
        (table,) = [part for part in tables if part.startswith(f"{kind.value}**")]
        assert all(f"| {name} |" in table for name in DESIGNS), kind
        assert " | ".join(COLUMNS) in table
    assert "bench_side_by_side.py" in page
