"""Decisions recorded by an earlier version are made again, bit for bit, with all their evidence.

A journal is proof only as long as today's code comes to the same. Whoever changes a
decision on purpose records anew (`python tools/record_decisions.py`) and says in
CHANGELOG.md what decides otherwise now.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flyball_controller.core.model import Reason, Regime
from recorded_streams import POLICIES, SEEDS, digest_of, recorded

RECORDED: dict[str, dict[str, object]] = json.loads(
    (Path(__file__).parents[2] / "recorded_decisions.json").read_text("utf-8")
)
# Given by guardrails for policies that no file can hold, by the loop, or by nobody yet.
NOT_BY_STEP = {
    Reason.HEALTHY,
    Reason.COLD_START,
    Reason.CHECKPOINT_RESET,
    Reason.CLAMPED_TO_BOUND,
    Reason.SLEW_LIMITED,
    Reason.GUARDRAIL_FAILED,
}


@pytest.mark.parametrize("name", POLICIES)
def test_recorded_decisions_are_made_again_bit_for_bit(name: str) -> None:
    """All of them: what was wanted, what was applied, and each number of the evidence."""
    for seed in range(SEEDS):
        kept = RECORDED[f"{name}/{seed}"]
        now = recorded(name, seed)
        changed = sum(decision.changed for decision in now.decisions)
        assert (len(now.decisions), changed) == (kept["decisions"], kept["changed"]), seed
        assert digest_of(now) == kept["digest"], seed


def test_the_streams_lead_everywhere() -> None:
    """Each regime and each reason that the step can give, or the digests would guard less than they say."""
    regimes, reasons = set(), set()
    for name in POLICIES:
        for seed in range(SEEDS):
            for decision in recorded(name, seed).decisions:
                regimes.add(decision.regime)
                reasons.update(note.reason for note in decision.evidence)
    assert regimes == set(Regime)
    assert reasons == set(Reason) - NOT_BY_STEP


def test_a_digest_sees_one_bit_of_one_number() -> None:
    """Of the evidence, and of the last state."""
    one = recorded("two-loop", 0)
    number = next(n for n, decision in enumerate(one.decisions) if decision.evidence[0].measured > 0.0)
    decision = one.decisions[number]
    first = decision.evidence[0]
    nudged = decision._replace(
        evidence=(first._replace(measured=first.measured * (1.0 + 2.0**-52)), *decision.evidence[1:])
    )
    others = [*one.decisions[:number], nudged, *one.decisions[number + 1 :]]
    assert digest_of(one._replace(decisions=others)) != digest_of(one)
    state = one.state._replace(sequence=one.state.sequence + 1)
    assert digest_of(one._replace(state=state)) != digest_of(one)
