"""Columns, the choice of the engine, the cache folder: what stands around the fast replay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import numba
import pytest

from core_runs import T0, calm, window
from flyball_analytics import fastreplay, fastreplay_jit, fastreplay_learning, fastreplay_loop
from flyball_analytics.fastreplay import COMPILE_FROM, NO_COMPILER, Engine, run, run_with
from flyball_analytics.fastreplay_columns import columns_of, history_of
from flyball_analytics.fastreplay_memory import can_serve, is_quiet, memory_of, params_for, state_of
from flyball_controller.codec import encode_state
from flyball_controller.core import initial_state, step
from flyball_controller.core.evidence import Window
from flyball_controller.core.model import Mode, Observation, Quality
from flyball_controller.core.policy import Policy

PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_column_of_one_value_is_kept_once():
    """Periods, absent latencies and absent counts are most of a history's bytes."""
    history = history_of(calm(0, 100), looks_s=60.0)
    assert len(history.window_s) == len(history.latency_ms_p50) == len(history.quality) == 1
    assert len(history.start_s) == 100
    assert history.observation(99) == window(99)


def test_zero_and_minus_zero_are_two_values():
    """Constant means bit for bit, or a state could differ in its sign."""
    history = columns_of({"start_s": [0.0, -0.0], "window_s": 60.0, "arrived_s": 80.0, "requests": 1},
                         target="t", looks_s=None)  # fmt: skip
    assert len(history.start_s) == 2


def test_rows_that_need_the_step_are_marked():
    """Partial, impossible, silent and after a gap; 0.1 s of jitter is no gap."""
    rows = [
        window(0),
        window(1)._replace(arrived_s=window(1).arrived_s + 0.1),
        window(2)._replace(quality=Quality.PARTIAL),
        window(3)._replace(timeouts=601),
        window(4, requests=0),
        window(5)._replace(latency_ms_p99=float("nan")),
        window(6)._replace(requests=2**60),
        window(7),
        window(8),
        window(11),
    ]
    history = history_of(rows, looks_s=60.0)
    assert history.sound.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    assert [history.observation(row) for row in range(10)][6] == rows[6]
    assert [look for _, look in history.seen(9)] == [True, True, False]
    assert history_of(rows, looks_s=None).sound.tolist()[-1] == 1


def test_columns_are_checked_by_name_and_length():
    """A caller's arrays may come from anywhere."""
    good = {"start_s": [0.0, 60.0], "window_s": 60.0, "arrived_s": [80.0, 140.0], "requests": [5, 6]}
    history = columns_of(good, target="t", looks_s=None)
    assert history.observation(1) == Observation("t", 60.0, 60.0, 140.0, 6)
    with pytest.raises(ValueError, match="'requests' is missing"):
        columns_of({k: v for k, v in good.items() if k != "requests"}, target="t", looks_s=None)
    with pytest.raises(ValueError, match="'error' is unknown"):
        columns_of({**good, "error": [0, 0]}, target="t", looks_s=None)
    with pytest.raises(ValueError, match="'requests' has 3 entries, start_s has 2"):
        columns_of({**good, "requests": [5, 6, 7]}, target="t", looks_s=None)


def test_no_rows_are_no_steps():
    """An empty history leaves the state as it was."""
    outcome = run(history_of([], looks_s=60.0), Policy(), engine=Engine.INTERPRETED)
    assert outcome.steps == 0
    assert outcome.state == initial_state(Policy())


def test_a_state_goes_through_the_arrays_unchanged():
    """Whatever is laid out comes back, the ring in order."""
    state = initial_state(Policy())
    for seen in calm(0, 200, requests=7):
        state, _ = step(state, seen, Policy())
    assert len(state.ring) > 3
    assert is_quiet(state, Policy())
    assert encode_state(state_of(memory_of(state), state)) == encode_state(state)
    huge = state._replace(ring=(*state.ring[:-1], Window(T0, 60.0, 2**50, 0, 0, 0, 0, 0, 0)))
    assert not is_quiet(huge, Policy())


@pytest.mark.parametrize(
    "policy",
    [
        Policy(mode=Mode.OFF),
        Policy(budget_nominal=99.0),
        Policy(z_open=1.0),
        Policy(winsor_k=-1.0),
        Policy(min_errors=0),
    ],
)
def test_policies_that_no_file_could_hold_are_interpreted(policy):
    """The shortcuts rest on the order of the bounds; where that is broken the step alone decides."""
    assert not can_serve(policy)
    history = history_of(calm(0, 5), looks_s=None)
    assert run(history, policy, engine=Engine.COMPILED).engine is Engine.INTERPRETED


def test_every_number_of_the_policy_has_its_type():
    """An int where a float is declared would be another compilation."""
    params = params_for(Policy(pool_s_max=900, min_requests=12))
    assert type(params.pool_s_max) is float
    assert type(params.min_requests) is int
    assert params.needed_s == 31_557_600.0


def test_short_histories_are_interpreted_and_long_ones_compiled(monkeypatch):
    """Compiling costs as much as interpreting some hundred thousand windows."""
    monkeypatch.setattr(fastreplay, "_at_hand", [])
    assert not fastreplay._may_compile(COMPILE_FROM - 1, Engine.AUTO)
    assert fastreplay._may_compile(COMPILE_FROM, Engine.AUTO)
    assert fastreplay._may_compile(1, Engine.COMPILED)
    assert not fastreplay._may_compile(COMPILE_FROM, Engine.INTERPRETED)
    monkeypatch.setattr(fastreplay, "_at_hand", [True])
    assert fastreplay._may_compile(fastreplay.COMPILED_FROM, Engine.AUTO)


def test_without_numba_the_replay_is_interpreted_and_says_so_once(monkeypatch, capsys):
    """The extra is optional: slow is better than refused, but not silently."""
    monkeypatch.setattr(fastreplay_jit, "compiled", lambda: None)
    monkeypatch.setattr(fastreplay, "_said", set())
    history = history_of(calm(0, 5), looks_s=None)
    for _ in range(2):
        assert run(history, Policy(), engine=Engine.COMPILED).engine is Engine.INTERPRETED
    assert capsys.readouterr().err == NO_COMPILER + "\n"


def test_a_missing_numba_is_found_out(monkeypatch):
    """`None` in sys.modules is how Python marks a module that cannot be imported."""
    monkeypatch.setitem(sys.modules, "numba", None)
    assert fastreplay_jit.compiled.__wrapped__() is None


def test_the_copies_for_the_compiler_call_each_other_and_nothing_else():
    """One call of an interpreted function from compiled code, and nothing would compile."""
    made: list[str] = []

    def untouched(**options: object) -> object:
        def keep(function: FunctionType) -> FunctionType:
            made.append(function.__name__)
            return function

        return keep

    advance = fastreplay_jit._built(untouched, cache=False)
    assert len(made) == len(set(made)) == sum(len(names) for names in fastreplay_jit.KERNEL.values())
    assert advance is not fastreplay_loop.advance
    assert advance.__code__ is fastreplay_loop.advance.__code__
    inner = advance.__globals__["window"].__globals__["hour_ratio"]
    assert inner.__globals__["counted_median"] is not fastreplay_learning.counted_median
    assert inner.__globals__["counted_median"].__code__ is fastreplay_learning.counted_median.__code__
    history = history_of(calm(0, 90), looks_s=None)
    copied = run_with(advance, history, Policy(), initial_state(Policy()))
    assert copied.state_bytes == run(history, Policy(), engine=Engine.INTERPRETED).state_bytes


@pytest.mark.parametrize("writable", [True, False])
def test_compiled_code_is_kept_where_that_is_possible(monkeypatch, tmp_path, writable):
    """numba's own setting is borrowed for a moment and given back."""
    place = tmp_path / "place"
    if not writable:
        place.write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    before = numba.config.CACHE_DIR
    code = fastreplay_jit.compiled.__wrapped__()
    assert code is not None
    assert before == numba.config.CACHE_DIR
    assert (code.notice == "") == writable
    assert (type(code.advance._cache).__name__ == "NullCache") == (not writable)


def test_a_cache_that_cannot_be_kept_is_announced(monkeypatch):
    """Read-only homes (Lambda, containers): compiled anew, and one line says why it takes so long."""
    code = fastreplay_jit.Compiled(lambda *_: 0, "compiled code cannot be kept in X")
    monkeypatch.setattr(fastreplay_jit, "compiled", lambda: code)
    monkeypatch.setattr(fastreplay, "_said", set())
    monkeypatch.setattr(fastreplay, "_at_hand", [])
    said: list[str] = []
    history = history_of(calm(0, 5), looks_s=None)
    for _ in range(2):
        assert run(history, Policy(), engine=Engine.COMPILED, say=said.append).engine is Engine.COMPILED
    assert said == ["compiled code cannot be kept in X"]


def test_compiled_code_lies_in_the_users_cache_under_the_digest_of_its_sources(tmp_path):
    """numba would look at one file of six; another kernel must never be run from an old cache."""
    named = fastreplay_jit.cache_folder({"XDG_CACHE_HOME": str(tmp_path)}, Path.home)
    assert named.parent == tmp_path / "flyball"
    assert named.name == f"replay-{fastreplay_jit.source_digest()}"
    for environment in ({}, {"XDG_CACHE_HOME": "relative"}):
        assert (
            fastreplay_jit.cache_folder(environment, lambda: tmp_path).parent
            == tmp_path / ".cache" / "flyball"
        )


def test_the_digest_is_the_same_in_every_process():
    """Else nothing would ever be found in the cache."""
    code = "from flyball_analytics.fastreplay_jit import source_digest; print(source_digest())"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=PATHS
    ).stdout.strip()
    assert found == fastreplay_jit.source_digest()


def test_a_folder_is_writable_or_not(tmp_path):
    """A file in the way is as good as a read-only disk."""
    assert fastreplay_jit.is_writable(tmp_path / "new" / "folder")
    (tmp_path / "file").write_text("")
    assert not fastreplay_jit.is_writable(tmp_path / "file" / "folder")


def test_numpy_is_not_needed_to_import_it():
    """The command line imports this where the extra may be missing."""
    code = "import sys, flyball_analytics.fastreplay; print({'numpy', 'numba'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=PATHS
    ).stdout
    assert found == "set()\n"
