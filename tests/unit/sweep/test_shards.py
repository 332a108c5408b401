"""A shard is a pure function of bytes: equal bytes in, equal bytes out, and nothing else matters."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball_analytics import shards
from flyball_analytics.compare_figures import DAY_S, Day, Figures, Seen, acted_windows, figures_of
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.shards import (
    Kind,
    Shard,
    ShardError,
    decode,
    fields_of,
    parts_in,
    read_result,
    run_shard,
    shard_key,
)
from flyball_analytics.shards_figures import Part, join_parts, parts_of
from flyball_analytics.shards_input import InputError, columns_in, pack_series, packed, series_of, unpack
from flyball_controller.codec import with_digest
from flyball_controller.core.model import Observation, Quality
from flyball_controller.core.policy import Policy
from flyball_controller.policy_set import load_preset
from sweep_runs import START_S, history, labels

SCENARIO = b"""\
description: A quarter of an hour without capacity
duration: 20m
services:
  api: {load: "6/s x20m", rho: 0.5, faults: {capacity: "1 x5m, 0.1 x8m"}}
incidents:
  - {label: outage, from: 5m, to: 13m}
"""


def shard_of(packed_input, policies, **changes):
    """Return a shard of a history."""
    fields = tuple(fields_of(policy) for policy in policies)
    return Shard(Kind.HISTORY, packed_input.digest, "pay", fields, labels(), **changes)


COUNTS = st.integers(0, 2**53)


@settings(max_examples=50)
@given(
    st.lists(
        st.builds(
            Observation,
            st.just("pay"),
            *(st.floats(0.0, 2e9),) * 3,
            *(COUNTS,) * 5,
            st.integers(-1, 100),
            *(COUNTS,) * 2,
            *(st.floats(-1.0, 1e6),) * 2,
            st.sampled_from(Quality),
        ),
        max_size=8,
    )
)
def test_a_packed_series_is_the_series(observations):
    """Bit for bit: a shard decides from these rows what a replay decides from the file."""
    series = history()._replace(observations=tuple(observations))
    one = pack_series(series)
    back = series_of(columns_in(unpack(one.data, digest=one.digest)))
    assert back.observations == series.observations
    assert [type(value) for o in back.observations for value in o] == [
        type(value) for o in observations for value in o
    ]
    assert (back.target, back.period_s) == ("pay", 60.0)


def test_another_byte_order_is_turned_round_both_ways(monkeypatch):
    """A column is little-endian on every machine."""
    monkeypatch.setattr("sys.byteorder", "big")
    one = pack_series(history(minutes=3))
    back = series_of(columns_in(unpack(one.data, digest=one.digest)))
    assert back.observations == history(minutes=3).observations


def test_equal_rows_have_one_digest_however_they_were_compressed():
    """Another zlib may pack differently, and must find the same results."""
    one = pack_series(history())
    again = zlib.compress(zlib.decompress(one.data), 1)
    assert again != one.data
    assert unpack(again, digest=one.digest) == unpack(one.data, digest=one.digest)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"no zlib", "is damaged"), (zlib.compress(b"other"), "its bytes are those of")],
)
def test_a_damaged_or_exchanged_input_is_refused(data, said):
    """A result over other rows under this name would be believed."""
    with pytest.raises(InputError) as caught:
        unpack(data, digest=pack_series(history()).digest)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"[]", b"{}", b"x", b'{"rows":2,"target":"a","period_s":60,"schema":1}\n123',
     b'{"rows":0,"target":"a","period_s":60,"schema":9}\n'],
)  # fmt: skip
def test_what_is_no_packed_series_is_refused(content):
    """E.g. a scenario under the name of a history, or a version that this code does not know."""
    with pytest.raises(InputError):
        columns_in(content)


def test_a_shard_is_what_replay_and_compare_say_in_one_part_per_policy():
    """The shard adds nothing of its own: the figures are those of the production step, summed."""
    series = history()
    policies = [load_preset("fixed").default, load_preset("two-loop").default]
    one = pack_series(series)
    data = shard_of(one, policies).encode()
    entries = read_result(run_shard(data, one.data), key=shard_key(data))
    for policy, entry in zip(policies, entries, strict=True):
        windows = acted_windows(series, policy)
        figures = figures_of(windows, labels(), target="pay", contender="", acts=True)
        fit, held = parts_in(entry)
        assert held == Part()
        assert entry["policy"] == policy.digest
        assert fit.recorded_s == 240 * 60.0
        assert fit.healthy_s == 225 * 60.0  # 240 minutes less 15 of the incident
        assert fit.changes == sum(window.changed for window in windows)
        assert fit.delays_s == tuple(seen.delay_s for seen in figures.incidents)
        assert len(fit.delays_s) == 1
        # The first bad window ends, and is decided upon, a minute after it began.
        assert fit.delays_s[0] == 60.0


def test_the_result_is_the_same_in_another_process():
    """No hash seed, no address, no clock gets in."""
    one = pack_series(history(minutes=150))
    data = shard_of(one, [Policy(), with_digest(Policy(open_floor=0.5))]).encode()
    script = (
        "import sys; from flyball_analytics.shards import run_shard; d = sys.stdin.buffer.read(); "
        f"sys.stdout.buffer.write(run_shard(d[:{len(data)}], d[{len(data)}:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=data + one.data, capture_output=True, check=True
    )
    assert done.stdout == run_shard(data, one.data)


def test_a_policy_that_stands_twice_is_run_once_and_listed_twice():
    """Candidates that differ only where a target has its own setting are equal for that target."""
    one = pack_series(history(minutes=130))
    data = shard_of(one, [Policy(), Policy()]).encode()
    entries = read_result(run_shard(data, one.data), key=shard_key(data))
    assert len(entries) == 2
    assert entries[0] == entries[1]


def test_a_shard_of_other_code_is_refused_before_it_runs():
    """A cluster with another version would fill the folder with results that do not compare."""
    plain = json.loads(shard_of(pack_series(history()), [Policy()]).encode())
    plain["code"] = "0" * 16
    with pytest.raises(ShardError) as caught:
        decode(json.dumps(plain).encode())
    assert "install the same flyball" in str(caught.value)


def test_the_code_of_a_history_does_not_depend_on_texts_and_plots():
    """Results stay valid when a table changes; they do not when the law does."""
    named = {name for _, name in shards._LAW}
    assert "core" in named
    assert not named & {"render.py", "plot.py", "sweep_text.py"}
    assert shards.code_digest(Kind.HISTORY) != shards.code_digest(Kind.SCENARIO)


def test_every_module_that_decides_a_result_is_part_of_the_code_of_a_history():
    """A changed rule of agreement with the old digest would mix results of two laws."""
    folder = Path(shards.__file__).parent
    found = {path.name for path in (*folder.glob("fastreplay*.py"), *folder.glob("shards*.py"))}
    others = {"fastreplay_many.py", "shards_lambda.py"}  # they hand results on
    assert others < found
    assert found - others <= {name for _, name in shards._LAW}


def test_an_input_is_unpacked_once_for_the_shards_that_follow_each_other(monkeypatch):
    """Reading takes as long as some policies; only the newest input is kept, and checked as ever."""
    first, second = pack_series(history()), pack_series(history(minutes=50))
    opened = []

    def counted(content, *, digest):
        opened.append(digest)
        return unpack(content, digest=digest)

    monkeypatch.setattr(shards, "unpack", counted)
    monkeypatch.setattr(shards, "_newest", [])
    results = [
        run_shard(shard_of(one, [Policy()]).encode(), one.data) for one in (first, first, second, first)
    ]
    assert opened == [first.digest, second.digest, first.digest]
    assert results[0] == results[1] == results[3]
    assert len(shards._newest) == 1
    with pytest.raises(InputError):
        run_shard(shard_of(first, [Policy()]).encode(), second.data)


def test_labels_of_another_shard_are_not_taken_for_its_own():
    """The ground of a history is kept with its labels: two shards of one input may differ in them."""
    one = pack_series(history())
    told = shard_of(one, [Policy()])
    none = told._replace(labels=None)
    after, before = (run_shard(shard.encode(), one.data) for shard in (told, none))
    shards._newest.clear()
    assert after == run_shard(told.encode(), one.data)
    shards._newest.clear()
    assert before == run_shard(none.encode(), one.data)
    assert after != before


def test_a_shard_survives_its_encoding():
    """Labels, ratio and seed included; notes of incidents are not part of it."""
    truth = Labels((Incident(1.0, 2.0, 0.5, 3.0),), ((4.0, 5.0),), probation=7)
    one = Shard(Kind.HISTORY, "a" * 32, "pay", ({"open_floor": 0.5},), truth, 0.3, 0)
    assert decode(one.encode()) == one
    assert decode(one._replace(labels=None).encode()).labels is None


@pytest.mark.parametrize("data", [b"", b"{}", b'{"kind":"history"}', b'{"kind":"other"}', b"[]"])
def test_what_is_no_shard_is_refused(data):
    """One named error, whatever is wrong."""
    with pytest.raises(ShardError):
        decode(data)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"shard":"other","schema":1,"policies":[]}', b"[1]"])
def test_what_is_no_result_of_a_shard_is_refused(data):
    """A torn or exchanged file must be made again, not believed."""
    with pytest.raises(ShardError):
        read_result(data, key="a" * 32)


def test_a_scenario_shard_runs_the_closed_loop_with_its_policy():
    """With the controller off nobody sheds load; the two policies lose different amounts of traffic."""
    one = packed(SCENARIO)
    policies = (fields_of(Policy()), {"mode": "off"})
    data = Shard(Kind.SCENARIO, one.digest, "outage.yaml", policies, seed=1).encode()
    steered, off = read_result(run_shard(data, one.data), key=shard_key(data))
    assert steered["lost_min"] > 0.0
    assert steered["lost_min"] != off["lost_min"]


# --- parts ------------------------------------------------------------------------------


def figures(days: int) -> Figures:
    """Return a figure per day: day n has n changes and an incident that took n seconds to see."""
    first = int(START_S // DAY_S)
    seen = tuple(
        Seen(Incident(*(4 * ((first + n) * DAY_S + 5.0,))), delay_s=float(n), missed=n == 1)
        for n in range(days)
    )
    return Figures(
        "pay", "a", True, seen, {first + n: Day(DAY_S, n, DAY_S / 2, 1, 2.0, 3.0) for n in range(days)}, True
    )


def test_the_last_days_are_held_out_whole():
    """30 % of four days are 1.2, so two: the first two days have 0 + 1 changes, the last two 2 + 3."""
    fit, held = parts_of(figures(4), 0.3)
    assert (fit.changes, held.changes) == (1, 5)
    assert (fit.delays_s, held.delays_s) == ((0.0, 1.0), (2.0, 3.0))
    assert (fit.missed, held.missed) == (1, 0)
    assert held.healthy_s == DAY_S


@pytest.mark.parametrize(("days", "ratio"), [(1, 0.5), (0, 0.5), (3, 0.0)])
def test_without_a_day_to_spare_nothing_is_held_out(days, ratio):
    """A single day cannot be both fitted to and judged by."""
    fit, held = parts_of(figures(days), ratio)
    assert held == Part()
    assert fit.recorded_s == days * DAY_S


@settings(max_examples=30)
@given(days=st.integers(0, 9), ratio=st.floats(0.0, 0.99))
def test_both_parts_together_are_the_whole(days, ratio):
    """No day and no incident is counted twice or dropped."""
    whole, _ = parts_of(figures(days), 0.0)
    assert join_parts(parts_of(figures(days), ratio)) == whole
    assert Part.of(json.loads(json.dumps(whole.plain()))) == whole
