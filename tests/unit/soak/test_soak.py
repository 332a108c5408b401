"""The soak in small: hours of a fleet through the real handlers, and each check of it able to fail."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

TARGETS, MINUTES, SEED = 16, 72, 1


@pytest.fixture(scope="module", autouse=True)
def _metrics_fill_up_quickly():
    """Ten minutes of metrics instead of thirty: what fills for half of a short run would look like growth."""
    import soak_world

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soak_world, "KEEP_METRICS_MIN", 10)
        yield


@pytest.fixture(scope="module")
def soak():
    """A run of seventy-two minutes: four targets of sixteen in an outage, one flapping, one absent."""
    from bench_soak import Soak

    run = Soak(TARGETS, MINUTES, SEED, outage_every=4, samples=12)
    run.run(until=MINUTES)
    return run


@pytest.fixture(scope="module")
def judged(soak):
    """Samples, ticks and facts of the run."""
    return soak.samples, soak.ticks, soak.facts()


def by_name(checks):
    """Return what holds and what does not."""
    return {check.name: check.ok for check in checks}


def test_nothing_grows_and_nothing_is_lost(judged):
    """Counts, sizes and behaviour; CPU and resident memory are told by the long run, not asserted here."""
    from soak_checks import judge

    timed = ("tick CPU", "resident memory")
    failed = [c for c in judge(*judged) if not c.ok and not c.name.startswith(timed)]
    assert failed == []


def test_the_run_met_its_incidents(soak, judged):
    """A soak of an idle fleet would prove nothing."""
    _, _, facts = judged
    assert facts.opened >= 4  # those of the outage
    assert facts.frozen >= 1
    assert any(soak.world.fleet.is_absent(7, minute) for minute in range(MINUTES))
    assert soak.totals["changes"] >= 2 * facts.opened  # what opened was closed


def test_a_leak_of_a_thousand_small_objects_a_minute_is_seen():
    """A tenth of a megabyte a minute: a week of it is a gigabyte."""
    from bench_soak import Soak
    from soak_checks import judge

    gc.collect()
    gc.freeze()  # what earlier tests left may go at any moment, and would hide it
    run = Soak(2, 24, SEED, samples=12)
    leaked = []
    lived = run.world.minute

    def leaking(number):
        leaked.extend([number] for _ in range(1_000))
        return lived(number)

    run.world.minute = leaking
    try:
        run.run(until=24)
    finally:
        gc.unfreeze()
    assert not by_name(judge(run.samples, run.ticks, run.facts()))["objects, growth over the run"]


def steps(samples, **grown):
    """Return the samples with some figures rising from sample to sample."""
    return [
        s._replace(**{name: getattr(s, name) + by * n for name, by in grown.items()})
        for n, s in enumerate(samples)
    ]


def slower(ticks, factor, *, every=1):
    """Return ticks of which every so many-th of the last third costs more."""
    late = len(ticks) * 2 // 3
    return [
        t._replace(
            tick_ms=100.0 * (factor if n >= late and n % every == 0 else 1.0), cold=False, off_nominal=0
        )
        for n, t in enumerate(ticks)
    ]


BROKEN = {
    "resident memory, growth over the run": lambda s, t, f: (steps(s, rss_bytes=2_000_000), t, f),
    "objects, growth over the run": lambda s, t, f: (steps(s, objects=1_000), t, f),
    "items in the state tables": lambda s, t, f: (steps(s, state_items=1), t, f),
    "items in the circuits tables": lambda s, t, f: (steps(s, circuit_items=1), t, f),
    "items in the holds tables": lambda s, t, f: (steps(s, hold_items=1), t, f),
    "largest checkpoint": lambda s, t, f: (steps(s, checkpoint_bytes_max=400), t, f),
    "mean checkpoint, last beside second quarter": lambda s, t, f: (
        steps(s, checkpoint_bytes_mean=20),
        t,
        f,
    ),
    "largest document": lambda s, t, f: (steps(s, document_bytes_max=8_000), t, f),
    "bytes of a journal record": lambda s, t, f: (steps(s, journal_bytes=100_000), t, f),
    "journal records a change": lambda s, t, f: (steps(s, journal_records=50, journal_bytes=100_000), t, f),
    "tick CPU, p50, last beside second third": lambda s, t, f: (s, slower(t, 1.3), f),
    "tick CPU, p99, last beside second third": lambda s, t, f: (s, slower(t, 3.0, every=9), f),
    "circuits opened": lambda s, t, f: (s, t, f._replace(opened=0)),
    "correlated failures noticed": lambda s, t, f: (s, t, f._replace(frozen=0)),
    "alarms that woke the handler": lambda s, t, f: (s, t, f._replace(wakes=0)),
    "events delivered twice": lambda s, t, f: (s, t, f._replace(duplicates=0)),
    "dead letters": lambda s, t, f: (s, t, f._replace(dead_letters=1)),
    "backend errors": lambda s, t, f: (s, t, f._replace(backend_errors=1)),
    "circuits open after the quiet end": lambda s, t, f: (s, t, f._replace(open_at_end=1)),
}


def test_every_check_has_a_fault_that_it_finds(judged):
    """A check that cannot fail is none: this list is complete."""
    from soak_checks import judge

    assert set(BROKEN) == {check.name for check in judge(*judged)}


@pytest.mark.parametrize("name", BROKEN)
def test_a_check_fails_for_its_own_fault_and_no_other_does(name, judged):
    """One fault, one line: a report must say what is wrong."""
    from soak_checks import judge

    samples, ticks, facts = judged
    level = [s._replace(rss_bytes=1e8, objects=50_000.0) for s in samples]
    assert all(by_name(judge(level, slower(ticks, 1.0), facts)).values())
    broken = by_name(judge(*BROKEN[name](level, slower(ticks, 1.0), facts)))
    assert [check for check, ok in broken.items() if not ok] == [name]


def test_a_run_too_short_to_judge_says_so(judged):
    """Two samples show no slope."""
    from soak_checks import judge

    samples, ticks, facts = judged
    with pytest.raises(ValueError, match="at least 8"):
        judge(samples[:4], ticks, facts)


def test_filling_up_is_no_growth_in_a_run_of_hours(judged):
    """Metrics, kept versions and profiles fill for two hours; a run of ten is judged after them."""
    from soak_checks import judge

    samples, ticks, facts = judged
    hours = [
        samples[0]._replace(minute=30 * n, rss_bytes=1e8 + 2e7 * min(n, 4), objects=5e4 + 1e4 * min(n, 4))
        for n in range(20)
    ]
    assert by_name(judge(hours, ticks, facts))["resident memory, growth over the run"]
    assert by_name(judge(hours, ticks, facts))["objects, growth over the run"]
    grown = steps(hours, rss_bytes=2e6, objects=500)
    assert not by_name(judge(grown, ticks, facts))["resident memory, growth over the run"]
    assert not by_name(judge(grown, ticks, facts))["objects, growth over the run"]


def test_a_run_under_way_is_not_judged_by_its_end(judged):
    """In the middle of an outage circuits are open, as they should be."""
    from soak_checks import judge

    samples, ticks, facts = judged
    checks = by_name(judge(samples, ticks, facts._replace(finished=False, open_at_end=3)))
    assert "circuits open after the quiet end" not in checks


def test_memory_is_compared_inside_one_process_only(judged):
    """A process that took the run up again begins small: that hides no leak and makes none."""
    from soak_checks import judge

    samples, ticks, facts = judged
    later = [s._replace(leg=2, rss_bytes=9e8, objects=1e6) for s in samples[-4:]]
    checks = by_name(judge([*samples, *later], ticks, facts))
    assert checks["objects, growth over the run"]


def test_a_run_is_taken_up_where_it_was_left(tmp_path: Path):
    """States, documents and circuits are there again, and the next minute decides as ever."""
    from bench_soak import Soak

    first = Soak(8, 24, SEED, outage_every=4, samples=2)
    first.run(until=12)
    first.save(tmp_path / "run.json.gz")
    before = {item["key"]["S"]: item["version"]["N"] for _, item in first.world.items("state")}
    again = Soak(8, 24, SEED, outage_every=4, samples=2)
    again.restore(tmp_path / "run.json.gz")
    assert {item["key"]["S"]: item["version"]["N"] for _, item in again.world.items("state")} == before
    assert again.world.circuits == first.world.circuits
    again.run(until=14)
    assert again.world.documents().keys() == {"i0"}
    assert {t.minute for t in again.ticks} == set(range(14))
    assert again.totals["backend_errors"] == 0
    assert len(list(again.world.items("state"))) == len(before)


def test_the_command_tells_a_short_run_and_a_foreign_file(tmp_path: Path, monkeypatch, capsys):
    """Too little data is exit code 4; another run's file is refused with both sides named."""
    import bench_soak

    state = tmp_path / "run.json.gz"
    asked = ["bench_soak.py", "--targets", "2", "--days", "0.003", "--state", str(state)]
    monkeypatch.setattr(sys, "argv", asked)
    assert bench_soak.main() == 4
    assert "inconclusive" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*asked, "--report"])
    assert bench_soak.main() == 4
    monkeypatch.setattr(sys, "argv", [*asked, "--seed", "2"])
    with pytest.raises(SystemExit, match=r"asked for schema 1, \[2, 4, 2\]"):
        bench_soak.main()


def test_the_report_shows_every_check_and_its_limit(soak, judged, capsys):
    """What a reader gets."""
    from bench_soak import print_report
    from soak_checks import judge

    checks = judge(*judged)
    print_report(soak, checks)
    printed = capsys.readouterr().out
    assert all(check.name in printed for check in checks)
    assert "16 targets in 1 installations" in printed
