"""The compiled replay is the interpreted one, bit for bit: random services, recorded ones where at hand."""

from __future__ import annotations

import csv
import random
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from drawn_histories import series_of
from fast_runs import HISTORIES, nasty, tried
from flyball_analytics.fastreplay import Engine, Noted, run
from flyball_analytics.fastreplay_columns import history_of
from flyball_analytics.fastreplay_jit import compiled
from flyball_analytics.fastreplay_together import run_together
from flyball_analytics.series import Series, read_csv
from flyball_controller.codec import encode_state
from flyball_controller.core.model import Observation, Setpoint
from flyball_controller.core.policy import Policy, Promise
from flyball_controller.core.state import nominal_setpoint

# Data are not part of the repository (licences differ); they lie beside a checkout where they lie at all.
DATA = Path(__file__).parents[4] / "shared" / "data"

pytestmark = pytest.mark.slow  # compiling takes some ten seconds


@pytest.mark.parametrize("policy", HISTORIES, ids=range(len(HISTORIES)))
def test_compiling_changes_no_bit(policy):
    """Twelve services of 1,500 windows each, through every kind of trouble, both promises."""
    for seed in range(12):
        chosen = policy._replace(promise=Promise.INDEPENDENT) if seed % 3 == 0 else policy
        history = history_of(nasty(random.Random(seed), 1_500), looks_s=60.0)
        fast = run(history, chosen, engine=Engine.COMPILED)
        interpreted = run(history, chosen, engine=Engine.INTERPRETED)
        assert fast.engine is Engine.COMPILED
        assert fast.state_bytes == interpreted.state_bytes
        assert repr(fast.noted) == repr(interpreted.noted)
        assert fast.quiet == interpreted.quiet


def shown(one: Noted, nominal: Setpoint) -> tuple[int, bool, Setpoint, Setpoint]:
    """What no policy's own number is in."""
    return one.row, one.look, one.decision.applied, nominal


@pytest.mark.parametrize("seed", range(4))
def test_policies_in_one_compiled_pass_do_what_each_does_interpreted(seed):
    """Thresholds of several policies in vectors: a lane that is read wrongly shows in a state."""
    source = random.Random(seed)
    policies = tried(source, HISTORIES[seed % len(HISTORIES)], count=7, fields=1 + seed % 3)
    history = history_of(nasty(source, 900), looks_s=60.0)
    made = compiled()
    assert made is not None
    found = list(run_together(history, policies, keep=shown, advance=made.advance))
    assert sorted(place for one in found for place in one.places) == list(range(len(policies)))
    for one in found:
        for place in one.places:
            outcome = run(history, policies[place], engine=Engine.INTERPRETED)
            assert encode_state(one.state) == outcome.state_bytes
            assert one.quiet == outcome.quiet
            nominal = nominal_setpoint(policies[place])
            assert one.noted == [shown(noted, nominal) for noted in outcome.noted]


def recorded(path: Path) -> Series | None:
    """A file as a series; a level that is no ratio is read as a share of its highest value."""
    if path.name.endswith(".error_ratio.csv"):
        return read_csv(path)
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("timestamp") and row.get("value")]
    rows = rows[:1_500]
    values = [max(float(row["value"]), 0.0) for row in rows]
    if len(values) < 3 or not max(values):
        return None
    starts = [datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp() for row in rows]
    period_s = Counter(b - a for a, b in pairwise(sorted(set(starts)))).most_common(1)[0][0]
    observations = [
        Observation("t", at_s, period_s, at_s + period_s, 500, 0, int(500 * value / max(values)))
        for at_s, value in zip(starts, values, strict=True)
    ]
    return series_of(observations)


@pytest.mark.skipif(not DATA.is_dir(), reason="recorded data are not at hand")
@pytest.mark.parametrize("folder", ["petshop", "nezha", "ms-cloud", "nab-other"])
def test_recorded_services_agree(folder):
    """Real metrics hold what no generator thinks of."""
    seen = 0
    for path in sorted((DATA / folder).rglob("*.csv")):
        series = recorded(path)
        if series is None:
            continue
        for policy in (Policy(), HISTORIES[1]):
            fast = run(series, policy, engine=Engine.COMPILED)
            interpreted = run(series, policy, engine=Engine.INTERPRETED)
            assert fast.state_bytes == interpreted.state_bytes, path
            assert fast.noted == interpreted.noted, path
            assert fast.quiet == interpreted.quiet, path
        seen += len(series.observations)
    assert seen > 1_000
