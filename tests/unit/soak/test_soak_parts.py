"""A soak in parts: together they are the fleet, each is judged by itself, and one that broke off is told."""

from __future__ import annotations

import doctest
import gc
import json
import sys
from pathlib import Path

import pytest

TARGETS, DAYS, SEED = 4, 0.0084, 1  # twelve minutes
MINUTES = 12


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Two installations of two targets instead of six of 167; collections pass over what tests left."""
    import bench_soak
    import soak_world

    for module in (bench_soak, soak_world):
        monkeypatch.setattr(module, "INSTALLATION_TARGETS", 2)
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def asked(monkeypatch, tmp_path: Path):
    """Give the command line of a run in two parts, with more words behind."""
    state = tmp_path / "run.json.gz"
    usual = ["--targets", str(TARGETS), "--days", str(DAYS), "--state", str(state)]

    def ask(*more: str) -> None:
        monkeypatch.setattr(sys, "argv", ["bench_soak.py", *usual, *more])

    return ask


def test_the_examples_of_the_parts_run():
    """Who reads them relies on them, and the folder is collected by nobody."""
    import soak_parts

    assert doctest.testmod(soak_parts).failed == 0


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3"])
def test_a_part_that_is_none_is_refused(text):
    """A part that nobody lives would be a run that proves nothing."""
    from soak_parts import part_of

    with pytest.raises(ValueError, match="must be k/n"):
        part_of(text)


def test_the_parts_are_the_fleet():
    """Every target is in one part, under the number it has in the whole."""
    from bench_soak import Soak
    from soak_parts import parts

    whole = Soak(TARGETS, MINUTES, SEED)
    mine = [Soak(TARGETS, MINUTES, SEED, part=part) for part in parts(2)]
    shares = [{t for i in run.world.installations for t in i.targets} for run in mine]
    assert shares[0] | shares[1] == set(whole.world.fleet.targets)
    assert not shares[0] & shares[1]
    assert [run.targets for run in mine] == [2, 2]
    for run, share in zip(mine, shares, strict=True):
        assert {target for target, _ in run.world.fleet.minute(0, {}, 0.0)} <= share
        assert run.world.fleet.targets == whole.world.fleet.targets  # incidents go by number


def test_parts_lived_side_by_side_are_judged_together(asked, capsys):
    """One table per part, and the exit code of the worst."""
    import bench_soak

    for part in ("1/2", "2/2"):
        asked("--part", part)
        bench_soak.main()
    capsys.readouterr()
    asked("--workers", "2", "--report", "--format", "json")
    code = bench_soak.main()
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert {check["part"] for check in checks} == {"1/2", "2/2"}
    assert code == (0 if all(check["ok"] for check in checks) else 1)
    backend = [check["measured"] for check in checks if check["name"] == "backend errors"]
    assert backend == [0, 0]


def test_a_part_that_broke_off_is_a_failure(asked, capsys, monkeypatch):
    """What was lived may be faultless; the run is not."""
    import bench_soak

    monkeypatch.setattr(bench_soak, "live_together", lambda *_: None)
    asked("--workers", "2")
    assert bench_soak.main() == 1
    told = capsys.readouterr().err
    assert "part 2/2 broke off" in told
    assert "no samples yet" in told


def test_each_part_is_a_process_of_its_own(tmp_path: Path):
    """The processes get the same words and the part; all have ended when the call returns."""
    from soak_parts import live_together

    script = tmp_path / "script.py"
    script.write_text(
        "import sys, pathlib\nname = sys.argv[-1].replace('/', '-')\n"
        "pathlib.Path(sys.argv[1], name).write_text(' '.join(sys.argv[2:]))\n"
    )
    live_together(script, [str(tmp_path), "--days", "7"], 2)
    assert (tmp_path / "1-2").read_text() == "--days 7 --part 1/2"
    assert (tmp_path / "2-2").read_text() == "--days 7 --part 2/2"


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["--workers", "2"], "--workers needs --state"), (["--workers", "9"], "not more workers")],
)
def test_workers_that_could_not_meet_or_would_idle_are_refused(words, reason, monkeypatch, capsys, tmp_path):
    """Usage errors, before anything is lived."""
    import bench_soak

    if words[1] == "9":
        words = [*words, "--state", str(tmp_path / "run.json.gz")]
    monkeypatch.setattr(sys, "argv", ["bench_soak.py", "--targets", str(TARGETS), *words])
    with pytest.raises(SystemExit) as ended:
        bench_soak.main()
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(("lapses_min", "open_at_end"), [(MINUTES - 1, 0), (MINUTES + 1, 1)])
def test_a_saved_run_is_judged_at_its_own_time(lapses_min, open_at_end, tmp_path: Path):
    """What lapsed before the end is not open at the end; a report looks at the clock of the run."""
    from bench_soak import Soak
    from flyball.contract import Circuit, CircuitState
    from soak_world import MINUTE_S, START_S

    lived = Soak(TARGETS, MINUTES, SEED)
    name, valid_until = lived.world.fleet.targets[0], START_S + MINUTE_S * lapses_min
    lived.next_minute = MINUTES
    lived.world.circuits[name] = Circuit(
        name, "*", CircuitState.OPEN, START_S, 9, 0.1, 1, "w", START_S, valid_until, "r"
    )
    lived.save(tmp_path / "run.json.gz")
    again = Soak(TARGETS, MINUTES, SEED)
    again.restore(tmp_path / "run.json.gz")
    assert again.facts().open_at_end == open_at_end
