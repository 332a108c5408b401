"""Replay: the production step, no look-ahead, resumable, verifiable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest

from flyball_analytics.replay import (
    LOOKS_PER_GAP_MAX,
    replay,
    replay_series,
    verify_journal,
    with_looks,
)
from flyball_analytics.series import read_csv
from flyball_analytics.tally import Tally
from flyball_controller.codec import canonical_json, encode_state
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Mode, Observation, Quality, Reason
from flyball_controller.core.state import initial_state
from flyball_controller.core.step import step
from flyball_controller.policy_set import load_preset

POLICY = load_preset("two-loop").default
NOON_S = 1_700_049_600.0


def minute(number: int, *, failures: int = 0, requests: int = 600, **changes) -> Observation:
    """One minute of one target, arrived at its end."""
    start_s = NOON_S + 60.0 * number
    return Observation("pay", start_s, 60.0, start_s + 60.0, requests, errors_fast=failures, **changes)


# Ten calm minutes, five in which everything fails, ten calm ones.
OUTAGE = [minute(i, failures=600 if 10 <= i < 15 else 0) for i in range(25)]


def test_a_replay_is_the_production_step_and_nothing_else() -> None:
    """Whatever differs between the two would make every what-if a lie."""
    state = initial_state(POLICY)
    expected = []
    for seen in OUTAGE:
        state, decision = step(state, seen, POLICY)
        expected.append((decision, encode_state(state)))
    assert [(r.decision, r.state_after) for r in replay(OUTAGE, policy=POLICY)] == expected
    assert any(r.decision.changed for r in replay(OUTAGE, policy=POLICY))


def test_a_decision_is_handed_out_before_the_next_row_is_drawn() -> None:
    """No look-ahead by construction: the future does not exist yet."""
    drawn = 0

    def rows() -> Iterator[Observation]:
        nonlocal drawn
        for seen in OUTAGE:
            drawn += 1
            yield seen

    for number, _ in enumerate(replay(rows(), policy=POLICY), start=1):
        assert drawn == number


def test_a_replay_resumes_from_its_bytes_at_any_cut() -> None:
    """A long history can be replayed in parts, and a live state can be continued."""
    whole = list(replay(OUTAGE, policy=POLICY))
    for cut in range(len(OUTAGE)):
        start = whole[cut].state_before
        assert list(replay(OUTAGE[cut:], policy=POLICY, start=start)) == whole[cut:]


def test_bytes_that_are_no_state_are_refused() -> None:
    """A wrong --state-in must not start anew in silence."""
    with pytest.raises(CheckpointError):
        list(replay(OUTAGE, policy=POLICY, start=b"not a state"))


def test_looks_stand_where_production_would_have_found_nothing() -> None:
    """Arrivals at minutes 1 and 5: looks at 2, 3 and 4, without counts."""
    pairs = list(with_looks([minute(0), minute(4)], period_s=60.0))
    assert [look for _, look in pairs] == [False, True, True, True, False]
    assert [o.arrived_s - NOON_S for o, _ in pairs] == [60.0, 120.0, 180.0, 240.0, 300.0]
    assert {o.quality for o, look in pairs if look} == {Quality.MISSING}
    assert {o.requests for o, look in pairs if look} == {0}


def test_regular_and_late_rows_need_no_looks() -> None:
    """Jitter below half a period is no gap; a late row comes when it comes."""
    late = minute(0)._replace(arrived_s=NOON_S + 130.0)
    assert not any(look for _, look in with_looks([minute(0), minute(1), late], period_s=60.0))


def test_a_gap_of_years_has_a_bounded_number_of_looks() -> None:
    """One stray timestamp must not cost a million steps."""
    assert (
        sum(look for _, look in with_looks([minute(0), minute(1_000_000)], period_s=60.0))
        == LOOKS_PER_GAP_MAX
    )


def test_a_long_gap_makes_the_replay_blind_as_it_would_have_made_production(write) -> None:
    """Twenty minutes without rows are more than blind_after_s = 600."""
    lines = [f"{NOON_S + 60 * i:.0f},600,0" for i in (0, 1, 2, 22)]
    series = read_csv(write("pay.csv", "timestamp,requests,errors", *lines))
    replayed = list(replay_series(series, policy=POLICY))
    assert sum(r.look for r in replayed) == 19
    said = {item.reason for r in replayed for item in r.decision.evidence}
    assert Reason.BLIND_TOO_LONG in said


def test_flagged_rows_change_nothing() -> None:
    """An impossible row is in the journal and nowhere else."""
    rows = [*OUTAGE[:5], minute(4, failures=900)._replace(quality=Quality.INVALID), *OUTAGE[5:]]
    clean = [r.decision for r in replay(OUTAGE, policy=POLICY)]
    assert [r.decision for r in replay(rows, policy=POLICY) if r.observation.quality == Quality.OK] == clean


def test_the_journal_is_the_same_bytes_every_time_and_chains_the_states() -> None:
    """Two runs can be compared with diff, and a missing line shows."""
    first = [canonical_json(r.record()) for r in replay(OUTAGE, policy=POLICY)]
    assert first == [canonical_json(r.record()) for r in replay(iter(OUTAGE), policy=POLICY)]
    records = [json.loads(line) for line in first]
    assert all(a["state_after"] == b["state_before"] for a, b in pairwise(records))
    assert [r["state_after"] for r in records] == [r.state_hash for r in replay(OUTAGE, policy=POLICY)]


def test_shadow_is_written_into_the_journal() -> None:
    """A reader must know that nothing was applied."""
    (one,) = replay(OUTAGE[:1], policy=POLICY._replace(mode=Mode.SHADOW))
    assert one.record()["shadow"] is True


def journal() -> list[dict[str, object]]:
    """The outage's journal as it comes back from a file."""
    return [json.loads(canonical_json(r.record())) for r in replay(OUTAGE, policy=POLICY)]


def test_a_journal_is_verified_from_its_recorded_inputs() -> None:
    """Every decision can be recomputed bit for bit (O2), also from the middle with its state."""
    assert verify_journal(journal(), policy=POLICY) == (25, None)
    start = list(replay(OUTAGE, policy=POLICY))[11].state_before
    assert verify_journal(journal()[11:], policy=POLICY, start=start) == (14, None)


@pytest.mark.parametrize(
    ("field", "value"), [("changed", True), ("regime", "DEAD"), ("policy_hash", "x"), ("state_after", "x")]
)
def test_a_changed_record_is_found_with_its_field(field: str, value: object) -> None:
    """Tampering or another version of the core shows at the first record it touches."""
    records = journal()
    records[3][field] = value
    agreed, mismatch = verify_journal(records, policy=POLICY)
    assert agreed == 3
    assert mismatch is not None
    assert (mismatch.number, mismatch.field, mismatch.recorded) == (3, field, value)
    assert mismatch.recomputed != value


def test_a_lost_or_foreign_record_is_found() -> None:
    """The states no longer chain; a field too many is a difference too."""
    lost = journal()
    del lost[4]
    agreed, mismatch = verify_journal(lost, policy=POLICY)
    assert (agreed, mismatch is not None) == (4, True)
    extra = journal()
    extra[0]["note"] = None
    assert verify_journal(extra, policy=POLICY)[1] is not None
    with pytest.raises(CheckpointError, match="record 0 holds no observation"):
        verify_journal([{"at_s": 1}], policy=POLICY)


def test_the_tally_adds_up(write) -> None:
    """Counted by hand: 24 rows, one look, five minutes in which everything failed."""
    rows = [o for o in OUTAGE if o is not OUTAGE[3]]  # minute 3 is missing
    lines = [f"{o.start_s:.0f},{o.requests},{o.failures}" for o in rows]
    series = read_csv(write("pay.csv", "timestamp,requests,errors", *lines))
    tally = Tally(POLICY, keep_steps=True)
    last = None
    for replayed in replay_series(series, policy=POLICY):
        tally.add(replayed)
        last = replayed
    assert last is not None
    assert (tally.rows, tally.looks, tally.usable, tally.state) == (24, 1, 24, last.state_after)
    assert (tally.requests, tally.failures) == (24 * 600, 5 * 600)
    assert sum(tally.regimes.values()) == 25
    assert [s.start_s for s in tally.steps_by_window()] == [o.start_s for o in rows]
    assert tally.opened == 1
    assert tally.restricted_s >= tally.gated_s >= 60.0
    assert tally.tightened >= 1


def test_a_flagged_row_stands_for_no_time_and_no_score(write) -> None:
    """A repeated window must not be counted twice."""
    lines = [f"{NOON_S + 60 * i:.0f},600,0" for i in (0, 1, 1, 2)]
    series = read_csv(write("pay.csv", "timestamp,requests,errors", *lines))
    tally = Tally(POLICY, keep_steps=True)
    for replayed in replay_series(series, policy=POLICY):
        tally.add(replayed)
    assert (tally.rows, tally.usable, sum(tally.regimes.values()), len(tally.steps)) == (4, 3, 3, 3)


def test_raised_retries_are_their_own_kind_of_change(write) -> None:
    """Partial fast failure: the two-loop law gives more retries, which restricts nobody."""
    rows = [minute(i, failures=330 if 30 <= i < 36 else 0) for i in range(45)]
    tally = Tally(POLICY, keep_steps=True)
    for replayed in replay(rows, policy=POLICY):
        tally.add(replayed)
    assert (tally.widened >= 1, tally.tightened, tally.restricted_s) == (True, 0, 0.0)
    assert tally.widened_s >= 300.0
    assert any(step.widened for step in tally.steps)
