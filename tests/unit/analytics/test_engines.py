"""Whichever engine ran, every figure is the same: totals, scores, pages, to the byte."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from drawn_histories import series_of
from fast_runs import HISTORIES, nasty
from flyball_analytics import fastreplay
from flyball_analytics.cli import cli
from flyball_analytics.cli.engine import chosen, windows_in
from flyball_analytics.fastreplay import COMPILE_FROM, Engine, run_with
from flyball_analytics.fastreplay_loop import advance
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.replay import replay_series
from flyball_analytics.report.watch import Watched, glance, watch
from flyball_analytics.series import Series
from flyball_analytics.synth import fleet
from flyball_analytics.synth_history import write_fleet
from flyball_analytics.tally import Tally
from flyball_controller.core.model import Mode, Quality
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import initial_state

COUNTS = (
    "rows", "looks", "usable", "requests", "failures", "regimes", "changes", "restricted_s", "gated_s",
    "widened_s", "state",
)  # fmt: skip


@pytest.fixture(autouse=True)
def uncompiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the loop that is compiled as plain Python: the same source, without ten seconds of compiling."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(fastreplay, "compiled_advance", lambda _say: advance)


def history(seed: int, windows: int = 600) -> Series:
    """Batches, incidents of every class, gaps, partial, late and flagged rows."""
    rows = sorted(nasty(random.Random(seed), windows), key=lambda seen: seen.arrived_s)
    return series_of(rows)


def step_by_step(series: Series, policy: Policy) -> Tally:
    """The totals of the replay that knows every state."""
    tally = Tally(policy, keep_steps=True)
    for replayed in replay_series(series, policy=policy):
        tally.add(replayed)
    return tally


@pytest.mark.parametrize("policy", [*HISTORIES, Policy(mode=Mode.SHADOW)], ids=range(len(HISTORIES) + 1))
def test_totals_and_steps_do_not_depend_on_the_engine(policy: Policy) -> None:
    """`replay --summary` and `score` are made of these and of nothing else."""
    for seed in range(3):
        series = history(seed)
        plain = step_by_step(series, policy)
        outcome = run_with(advance, series, policy, initial_state(policy))
        fast = Tally(policy, keep_steps=True)
        fast.take(series, outcome)
        assert outcome.quiet.windows or seed, "the first history has quiet windows, so that there is a test"
        assert {name: getattr(fast, name) for name in COUNTS} == {
            name: getattr(plain, name) for name in COUNTS
        }
        assert fast.steps == plain.steps


@pytest.mark.parametrize("known", [True, False], ids=["labelled", "unlabelled"])
def test_a_glance_is_what_watching_shows_without_levels_and_moments(known: bool) -> None:
    """A row of the services' table must not change when a fleet grows past the size that is compiled."""
    changes = 0
    for seed in range(4):
        series, policy = history(seed), HISTORIES[seed]
        starts = [o.start_s for o in series.observations if o.quality != Quality.INVALID]
        truth = Labels((Incident(starts[300], starts[330], starts[300], starts[330], "a"),), probation=30)
        labels = truth if known else None
        near = watch(series, policy, name="p", labels=labels)
        far = glance(series, policy, name="p", labels=labels)
        changes += len(near.changes)
        assert _plain(far) == _plain(near)
    assert changes > 10, "without changes there is nothing to lose"


def _plain(one: Watched) -> dict[str, object]:
    """Everything but levels, close view and moments."""
    bins = {n: (b.low, b.high, b.requests, b.failures) for n, b in one.bins.filled.items()}
    return {**one._asdict(), "bins": bins, "close": None, "moments": None}


def flyball(*arguments: object) -> tuple[int, str, str]:
    """Run the command line here."""
    done = CliRunner().invoke(cli, [str(a) for a in arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six services, eight hours of minutes each, with incidents and labels."""
    folder = tmp_path_factory.mktemp("engines") / "fleet"
    services = [f"s{n}" for n in range(6)]
    write_fleet(fleet(services=services, days=0.35, seed=3, incidents_per_week=60.0), folder, command="synth")
    return folder


def test_every_command_prints_the_same_bytes_with_both_engines(made: Path) -> None:
    """`--engine` may change the time that it takes, and a line on stderr."""
    labels = made / "labels.json"
    for words in (
        ("replay", made, "--summary"),
        ("replay", made, "--labels", labels, "--summary", "--format", "json"),
        ("replay", made / "target=s1", "--labels", labels),
        ("score", made, "--labels", labels, "--format", "json"),
        ("score", made, "--labels", labels),
        ("compare", made, "--labels", labels, "--policy", "two-loop", "--format", "json"),
    ):
        code, plain, said = flyball(*words, "--engine", "interpreted")
        fast_code, fast, announced = flyball(*words, "--engine", "compiled")
        assert (fast_code, fast) == (code, plain)
        assert plain
        assert code in (0, 4), said
        assert "compiled" not in said
        assert "compiled replay (as asked)" in announced


@pytest.mark.parametrize("drawn", [0, 6])
def test_a_page_is_the_same_bytes_with_both_engines(made: Path, tmp_path: Path, drawn: int) -> None:
    """Drawn and explained services are watched closely, the others glanced at: nobody can tell."""
    out = tmp_path / "page.html"
    pages = []
    for engine in ("interpreted", "compiled"):
        code, _, said = flyball("report", made, "--drawn", drawn, "--engine", engine, "--out", out)
        assert code == 0, said
        pages.append(out.read_bytes())
    assert pages[0] == pages[1]
    assert b"Costliest decisions" in pages[0]


@pytest.mark.slow
def test_compiled_code_prints_the_same_bytes_too(made: Path) -> None:
    """The same with numba's code, not with its source."""
    words = ("replay", made, "--labels", made / "labels.json", "--summary", "--format", "json")
    assert flyball(*words, "--engine", "compiled")[1] == flyball(*words, "--engine", "interpreted")[1]


def test_a_stored_state_goes_on_under_either_engine(made: Path, tmp_path: Path) -> None:
    """`--state-out` of one is the `--state-in` of the other."""
    one = made / "target=s2"
    states = []
    for engine in ("interpreted", "compiled"):
        state = tmp_path / f"{engine}.state"
        assert flyball("replay", one, "--summary", "--engine", engine, "--state-out", state)[0] == 0
        states.append(state.read_bytes())
    assert states[0] == states[1]


def test_a_journal_needs_the_interpreter(made: Path, tmp_path: Path) -> None:
    """Compiled code has no states in between; asked for both, the user is told which to leave out."""
    for words in (("--format", "json"), ("--journal", tmp_path / "j"), ("--resume", tmp_path / "r")):
        code, _, said = flyball("replay", made, "--engine", "compiled", *words)
        assert code == 2
        assert "--engine compiled writes no journal" in said


def test_compiled_from_a_number_of_windows_on_over_all_histories(capsys) -> None:
    """A thousand short histories are as much work as a long one; below, compiling would cost more."""
    assert chosen(Engine.AUTO, COMPILE_FROM - 1) is Engine.INTERPRETED
    assert capsys.readouterr().err == ""
    assert chosen(Engine.AUTO, COMPILE_FROM) is Engine.COMPILED
    assert "about 400,000 windows" in capsys.readouterr().err
    assert chosen(Engine.INTERPRETED, 10 * COMPILE_FROM) is Engine.INTERPRETED


def test_windows_are_counted_without_reading_them(made: Path, tmp_path: Path) -> None:
    """A manifest says it; of a CSV file the lines are counted; what cannot be read counts nothing."""
    rows = json.loads((made / "manifest.json").read_text())["targets"]
    csv = tmp_path / "a.csv"
    csv.write_text("timestamp,requests,errors\n" + "0,1,1\n" * 9)
    broken = tmp_path / "target=x"
    broken.mkdir()
    assert windows_in([made / "target=s1"]) == rows["s1"] > 300
    assert windows_in([csv]) == 10
    assert windows_in([broken, tmp_path / "absent.csv"]) == 0
