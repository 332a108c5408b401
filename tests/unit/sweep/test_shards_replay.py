"""What is shared between policies, and what runs compiled, changes no figure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball_analytics import fastreplay_jit, shards_replay
from flyball_analytics.compare_figures import Figures, acted_windows, figures_of
from flyball_analytics.fastreplay import COMPILE_FROM, Engine
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.series import Series
from flyball_analytics.shards_columns import ground_columns, history_in
from flyball_analytics.shards_input import columns_in, pack_series, unpack
from flyball_analytics.shards_replay import MAKE_FROM, figures_of_policies, ground_rows
from flyball_controller.codec import with_digest
from flyball_controller.core.model import Mode, Quality
from flyball_controller.policy_set import PRESETS, load_preset
from sweep_runs import START_S, history, labels

POLICIES = [
    *(load_preset(name).default for name in PRESETS),
    with_digest(load_preset("fixed").default._replace(mode=Mode.SHADOW)),
    with_digest(load_preset("two-loop").default._replace(open_floor=0.3, min_requests=40)),
]


def ours(series: Series, truth: Labels | None):
    """Return the figures as a shard makes them."""
    one = pack_series(series)
    return figures_of_policies(columns_in(unpack(one.data, digest=one.digest)), POLICIES, truth)


def reference(series: Series, truth: Labels | None) -> list[Figures]:
    """Return the figures as `flyball compare` makes them, one policy after the other."""
    return [
        figures_of(
            acted_windows(series, policy), truth, target=series.target, contender=policy.digest, acts=True
        )
        for policy in POLICIES
    ]


@st.composite
def histories(draw) -> Series:
    """Days of minutes with outages, gaps, flagged, partial and late windows."""
    minutes = draw(st.integers(0, 160))
    bad = [range(a, a + draw(st.integers(1, 20))) for a in draw(st.lists(st.integers(0, 150), max_size=3))]
    series = history(minutes=minutes, bad=bad, requests=draw(st.sampled_from([0, 5, 30, 600])))
    rows = []
    for seen in series.observations:
        odd = draw(st.sampled_from(["as it is"] * 12 + ["late", "gap", "invalid", "partial", "short"]))
        if odd == "late":
            rows.insert(max(0, len(rows) - 2), seen._replace(start_s=seen.start_s + 0.5))
        elif odd == "invalid":
            rows.append(seen._replace(quality=Quality.INVALID))
        elif odd == "partial":
            rows.append(seen._replace(quality=Quality.PARTIAL))
        elif odd == "short":
            rows.append(seen._replace(period_s=10.0))
        elif odd == "as it is":
            rows.append(seen)
    rows.sort(key=lambda seen: seen.arrived_s)
    shift_s = draw(st.sampled_from([0.0, 80_000.0]))  # over a midnight
    moved = tuple(o._replace(start_s=o.start_s + shift_s, arrived_s=o.arrived_s + shift_s) for o in rows)
    return series._replace(observations=moved)


@st.composite
def truths(draw) -> Labels | None:
    """Incidents anywhere, overlapping or beside the history; ignored stretches; probation."""
    if draw(st.booleans()):
        return None
    incidents = []
    for minute in draw(st.lists(st.integers(-10, 170), max_size=3)):
        begin = START_S + 60.0 * minute
        end = begin + 60.0 * draw(st.integers(0, 30))
        incidents.append(Incident(begin, end, begin - 60.0, end + 60.0))
    ignored = tuple(
        (START_S + 60.0 * a, START_S + 60.0 * (a + 9))
        for a in draw(st.lists(st.integers(0, 150), max_size=2))
    )
    return Labels(tuple(sorted(incidents)), ignored, draw(st.sampled_from([0, 1, 50])))


@settings(max_examples=20, deadline=None)
@given(series=histories(), truth=truths())
def test_shared_ground_changes_no_figure(series, truth):
    """Bit for bit what compare says, whatever is wrong with the history."""
    assert list(ours(series, truth)) == reference(series, truth)


def test_compiled_code_changes_no_figure(monkeypatch):
    """The same over days in which most windows are quiet and run compiled."""
    pytest.importorskip("numba")
    bad = [range(400, 420), range(1_000, 1_004), range(2_000, 2_090), range(3_900, 3_903)]
    series = history(minutes=4_320, bad=bad)
    truth = labels(*bad)
    monkeypatch.setattr(shards_replay, "_points", [MAKE_FROM])
    assert shards_replay._engine(0) is Engine.COMPILED
    assert list(ours(series, truth)) == reference(series, truth)


def test_compiling_waits_until_it_pays(monkeypatch, tmp_path):
    """Small shards add up in a process; a single small one must not wait for a compiler."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shards_replay, "_points", [0])
    monkeypatch.setattr(shards_replay, "_has_numba", lambda: True)
    assert shards_replay._engine(COMPILE_FROM) is Engine.INTERPRETED  # nothing is kept there
    assert shards_replay._engine(MAKE_FROM - COMPILE_FROM - 1) is Engine.INTERPRETED
    assert shards_replay._engine(1) is Engine.COMPILED
    monkeypatch.setattr(shards_replay, "_has_numba", lambda: False)
    assert shards_replay._engine(MAKE_FROM) is Engine.INTERPRETED


def test_code_that_an_earlier_process_has_compiled_is_used_sooner(monkeypatch, tmp_path):
    """Loading costs a twentieth of making."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = fastreplay_jit.cache_folder(os.environ, Path.home)
    folder.mkdir(parents=True)
    (folder / "advance.nbi").write_bytes(b"")
    monkeypatch.setattr(shards_replay, "_points", [0])
    monkeypatch.setattr(shards_replay, "_has_numba", lambda: True)
    assert shards_replay._engine(COMPILE_FROM - 1) is Engine.INTERPRETED
    assert shards_replay._engine(1) is Engine.COMPILED


@settings(max_examples=25, deadline=None)
@given(series=histories(), truth=truths())
def test_the_ground_by_array_is_the_ground_by_row(series, truth):
    """One of them runs where there is no numpy; results must not tell which."""
    one = pack_series(series)
    columns = columns_in(unpack(one.data, digest=one.digest))
    known = truth or Labels(())
    fast, slow = ground_columns(columns, known), ground_rows(series.observations, known)
    assert list(fast.numbers) == list(slow.numbers)
    assert list(fast.healthy) == list(slow.healthy)
    assert fast.days == slow.days
    assert (fast.labels, fast.period_s) == (slow.labels, slow.period_s)
    history_read = history_in(columns)
    assert [history_read.observation(row) for row in range(columns.rows)] == list(series.observations)


def test_a_count_that_no_column_can_hold_is_kept_as_it_is():
    """2^50 requests are absurd and must give what the step gives for them."""
    series = history(minutes=3)
    huge = series.observations[1]._replace(requests=2**50)
    series = series._replace(observations=(series.observations[0], huge, series.observations[2]))
    one = pack_series(series)
    columns = columns_in(unpack(one.data, digest=one.digest))
    assert history_in(columns).odd == {1: huge}
