"""Recorded observations through the same step that runs in production; nothing is decided here.

No look-ahead by construction: an observation is drawn from its iterator only
after the decision on the one before it was handed out. Resumable: a replay that
starts from the bytes of another one's state continues it bit for bit.

A replay is open loop: what was recorded does not react to what is decided. It
shows when and why flyball would have acted, not what the traffic would then
have done (docs/theory/control.md, "what-if honesty").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from flyball.contract import CircuitState
from flyball_analytics.score import Step
from flyball_analytics.series import Series
from flyball_controller.codec import (
    canonical_json,
    decode_state,
    encode_state,
    journal_record,
    observation_from_json,
    short_hash,
)
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.guardrails import tightens
from flyball_controller.core.model import Decision, Mode, Observation, Quality, Regime, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import initial_state
from flyball_controller.core.step import step

# In a gap the scheduled look finds nothing and says so. After this many looks a
# further one changes nothing but the time, which the next row brings anyway.
LOOKS_PER_GAP_MAX = 1_440


# Regimes in which nothing is wrong now; every other one names a trouble.
CALM = frozenset({Regime.NOMINAL, Regime.RECOVERING, Regime.BLIND})


class Replayed(NamedTuple):
    """One step: what was seen, what was decided, and the states around it as canonical bytes.

    `before` is the setpoint in force until then. `look` marks a scheduled look into a
    gap of the recording, which is no row of it.
    """

    observation: Observation
    decision: Decision
    before: Setpoint
    state_before: bytes
    state_after: bytes
    look: bool
    shadow: bool

    @property
    def state_hash(self) -> str:
        """Identity of the state after the step, as it stands in the journal."""
        return short_hash(self.state_after)

    def record(self) -> dict[str, object]:
        """Return the journal record of this step."""
        return journal_record(
            self.decision, self.observation, self.state_before, self.state_after, shadow=self.shadow
        )


def replay(
    observations: Iterable[Observation], *, policy: Policy, start: bytes | None = None
) -> Iterator[Replayed]:
    """Yield one step per observation, in the order given (the order of arrival).

    Args:
        observations: Of one target; may be endless.
        policy: From `PolicySet.for_target`.
        start: Encoded state to continue from; None: a target never seen before.

    Raises:
        CheckpointError: If `start` is no state.
    """
    return replay_pairs(((observation, False) for observation in observations), policy=policy, start=start)


def replay_series(series: Series, *, policy: Policy, start: bytes | None = None) -> Iterator[Replayed]:
    """Yield the steps over a recorded history, with the looks that would have found nothing."""
    return replay_pairs(with_looks(series.observations, period_s=series.period_s), policy=policy, start=start)


def replay_pairs(
    pairs: Iterable[tuple[Observation, bool]], *, policy: Policy, start: bytes | None
) -> Iterator[Replayed]:
    """Yield the steps over (observation, is a look) pairs."""
    state = decode_state(start) if start is not None else initial_state(policy)
    state_before = encode_state(state)
    shadow = policy.mode == Mode.SHADOW
    for observation, look in pairs:
        before = state.law.applied
        state, decision = step(state, observation, policy)
        state_after = encode_state(state)
        yield Replayed(observation, decision, before, state_before, state_after, look, shadow)
        state_before = state_after


def with_looks(observations: Iterable[Observation], *, period_s: float) -> Iterator[tuple[Observation, bool]]:
    """Yield the observations, and between two far-apart arrivals the looks that found nothing (True).

    Production looks once per period whether or not there is data; without the
    looks a replay could never go blind. Nothing is filled in: a look carries no
    counts, its quality is MISSING.
    """
    last_s: float | None = None
    for observation in observations:
        if last_s is not None:
            # Histories hold coarser windows the older they are: an hour after an hour is no gap.
            step_s = max(period_s, observation.period_s)
            looks = min(round((observation.arrived_s - last_s) / step_s) - 1, LOOKS_PER_GAP_MAX)
            for number in range(1, looks + 1):
                at_s = last_s + number * step_s
                yield (
                    Observation(observation.target, at_s, step_s, at_s, quality=Quality.MISSING),
                    True,
                )
        yield observation, False
        last_s = observation.arrived_s


def scoring_step(replayed: Replayed, nominal: Setpoint) -> Step | None:
    """Return what scoring needs of one row; None for looks and flagged rows, which show nothing."""
    if replayed.look or replayed.observation.quality == Quality.INVALID:
        return None
    return step_of(replayed.observation, replayed.decision, replayed.before, nominal)


def step_of(seen: Observation, decision: Decision, before: Setpoint, nominal: Setpoint) -> Step:
    """Return what scoring needs of one decision; `before` is the setpoint in force until then."""
    return Step(
        start_s=seen.start_s,
        at_s=decision.at_s,
        period_s=seen.period_s,
        tightened=decision.changed and decision.urgent,
        widened=widens(before, decision.applied, nominal),
        opened=is_gated(decision.applied) and not is_gated(before),
        restricted=is_restricted(decision.applied, nominal),
        troubled=decision.regime not in CALM,
    )


def is_restricted(setpoint: Setpoint, nominal: Setpoint) -> bool:
    """Return whether clients may do less than nominal."""
    return tightens(setpoint, nominal, nominal)


def is_gated(setpoint: Setpoint) -> bool:
    """Return whether the circuit lets only a share of the calls through."""
    return setpoint.circuit in (CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.FORCED_OPEN)


def widens(before: Setpoint, after: Setpoint, nominal: Setpoint) -> bool:
    """Return whether clients may now retry more than before and than nominal (partial failure)."""
    return after.budget_ratio > before.budget_ratio and after.budget_ratio > nominal.budget_ratio


class Mismatch(NamedTuple):
    """One journal record that does not follow from its inputs; `number` counts from 0."""

    number: int
    field: str
    recorded: object
    recomputed: object


def verify_journal(
    records: Iterable[Mapping[str, object]], *, policy: Policy, start: bytes | None = None
) -> tuple[int, Mismatch | None]:
    """Recompute one target's decisions from the inputs in its journal; compare byte for byte.

    Returns:
        How many records agree from the beginning, and the first that does not
        (None: all agree). Its field is the first that differs, in alphabetical order.

    Raises:
        CheckpointError: If `start` is no state, or a record holds no observation.
    """
    state = decode_state(start) if start is not None else initial_state(policy)
    before = encode_state(state)
    shadow = policy.mode == Mode.SHADOW
    agreed = 0
    for index, recorded in enumerate(records):
        plain = recorded.get("observation")
        if not isinstance(plain, Mapping):
            raise CheckpointError(f"journal record {index} holds no observation: it cannot be recomputed")
        observation = observation_from_json(plain)
        state, decision = step(state, observation, policy)
        after = encode_state(state)
        recomputed = journal_record(decision, observation, before, after, shadow=shadow)
        if canonical_json(recorded) != canonical_json(recomputed):
            return agreed, first_difference(index, recorded, recomputed)
        before = after
        agreed += 1
    return agreed, None


def first_difference(
    index: int, recorded: Mapping[str, object], recomputed: Mapping[str, object]
) -> Mismatch:
    """Return the first field, by name, whose canonical bytes differ."""
    return next(
        Mismatch(index, field, recorded.get(field), recomputed.get(field))
        for field in sorted({*recorded, *recomputed})
        if (field in recorded) != (field in recomputed)
        or canonical_json(recorded.get(field)) != canonical_json(recomputed.get(field))
    )
