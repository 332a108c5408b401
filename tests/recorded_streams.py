"""Streams that take the step through everything it knows, drawn from a seed: what recorded decisions rest on.

Each is a row of episodes (calm, storm, dead, partial, silent, throttled, shard,
seasons, gaps, late and impossible windows, checks) under one policy, with holds and the
fleet's verdict put in between. Only `random()` is drawn from, whose sequence Python
promises to keep; no distribution, whose algorithm may change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random
from typing import NamedTuple

from flyball_controller.codec import canonical_json, encode_state, with_digest
from flyball_controller.core import initial_state, step
from flyball_controller.core.model import Decision, Hold, HoldKind, Mode, Observation, Quality
from flyball_controller.core.policy import Policy, Promise
from flyball_controller.core.state import State
from flyball_controller.policy_set import load_preset

T0 = 1_699_999_200.0  # a full hour
TWO_LOOP = load_preset("two-loop").default
POLICIES: dict[str, Policy] = {
    "two-loop": TWO_LOOP,
    "ladder": load_preset("ladder").default,
    "fixed": load_preset("fixed").default,
    "adaptive": load_preset("adaptive").default,
    "independent": TWO_LOOP._replace(promise=Promise.INDEPENDENT, false_opens_per_year=20.0),
    "unpromised": TWO_LOOP._replace(promise=Promise.NONE, open_adaptive=True, dwell_s=60.0),
    "patient": TWO_LOOP._replace(hold_periods=4, saturated_periods=5, settle_s=130.0, attempts_nominal=3),
    "shadow": TWO_LOOP._replace(mode=Mode.SHADOW),
    "off": TWO_LOOP._replace(mode=Mode.OFF),
}
PERIODS_S = (60.0, 60.0, 60.0, 300.0, 10.0)
SEEDS = 5
VOLUMES = (2.0, 20.0, 200.0, 2_000.0)  # requests per window


class Share(NamedTuple):
    """What an episode's windows show: shares of the requests, and how the rest feels."""

    fast: float = 0.0
    timeouts: float = 0.0
    throttles: float = 0.0
    lost: float = 0.0  # of the failed first attempts, after all retries
    refused: float = 0.0  # of what is offered
    p50_ms: float = 100.0
    p99_ms: float = 200.0
    retries: float = 1.0  # per failed first attempt
    minutes: tuple[int, int] = (2, 12)


EPISODES: tuple[Share, ...] = (
    Share(fast=0.002, minutes=(20, 70)),
    Share(fast=0.002, minutes=(20, 70)),
    Share(fast=0.02, lost=0.1, minutes=(10, 40)),
    Share(timeouts=0.5, lost=0.9, p50_ms=2_000.0, p99_ms=4_000.0),
    Share(timeouts=0.3, lost=0.9, refused=0.2, p50_ms=900.0, p99_ms=2_500.0, minutes=(4, 14)),
    Share(timeouts=0.25, lost=0.05, p50_ms=101.0, p99_ms=4_000.0),
    Share(timeouts=0.2, lost=0.2, p50_ms=900.0, p99_ms=4_000.0),
    Share(fast=1.0, lost=1.0, retries=3.0, minutes=(3, 20)),
    Share(fast=0.95, lost=1.0, refused=0.8, retries=3.0, minutes=(3, 20)),
    Share(fast=0.35, lost=0.02, retries=1.4, minutes=(3, 16)),
    Share(fast=0.15, lost=0.3, retries=0.6),
    Share(fast=0.3, lost=1.0, retries=3.0, minutes=(3, 16)),
    Share(throttles=0.4, lost=0.5, minutes=(3, 16)),
    Share(fast=0.1, timeouts=0.06, lost=0.4, p99_ms=900.0),
    Share(fast=0.06, timeouts=0.04, p99_ms=150.0),
)


class Recorded(NamedTuple):
    """One stream stepped through."""

    decisions: list[Decision]
    state: State


def _count(draw: Random, mean: float) -> int:
    """Return a whole number around a mean, spread by about its root."""
    value = mean + math.sqrt(mean) * (draw.random() + draw.random() - 1.0) * 2.0
    return max(int(value + draw.random()), 0)


def _window(draw: Random, share: Share, start_s: float, period_s: float, volume: float) -> Observation:
    hour = (start_s % 86_400.0) / 3_600.0
    offered = _count(draw, volume * (0.6 + 0.4 * abs(hour - 12.0) / 12.0))
    short = int(share.refused * offered)
    requests = offered - short
    bad = share.fast + (0.1 if (start_s // 60.0) % 60.0 < 3.0 and draw.random() < 0.9 else 0.0)
    fast = min(_count(draw, bad * requests), requests)
    timeouts = min(_count(draw, share.timeouts * requests), requests - fast)
    throttles = min(_count(draw, share.throttles * requests), requests - fast - timeouts)
    failures = fast + timeouts + throttles
    measured = draw.random() < 0.95
    return Observation(
        "t", start_s, period_s, start_s + period_s + 20.0, requests, timeouts, fast, throttles,
        requests + int(share.retries * failures) if measured else 0,
        int(share.lost * failures) if measured else -1, short, int(draw.random() * 3.0),
        share.p50_ms * (0.9 + 0.2 * draw.random()) if measured else -1.0,
        share.p99_ms * (0.8 + 0.4 * draw.random()) if measured else -1.0,
    )  # fmt: skip


def _odd(draw: Random, seen: Observation) -> list[Observation]:
    """Return what the world sometimes makes of a window."""
    choices: tuple[Callable[[], list[Observation]], ...] = (
        lambda: [seen._replace(quality=Quality.PARTIAL, requests=seen.requests // 2 + 1), seen],
        lambda: [seen, seen],
        lambda: [seen, seen._replace(start_s=seen.start_s - 3.0 * seen.period_s)],
        lambda: [seen._replace(timeouts=seen.requests + 1), seen],
        lambda: [seen._replace(latency_ms_p99=math.nan)],
        lambda: [seen._replace(quality=Quality.INVALID)],
        lambda: [seen._replace(start_s=seen.start_s - 86_400.0), seen],
        lambda: [seen._replace(requests=0, timeouts=0, errors_fast=0, throttles=0, attempts=0)],
    )
    return choices[int(draw.random() * len(choices))]()


def _silence(draw: Random, at_s: float) -> Iterator[Observation]:
    """Yield looks that find nothing, and rows of good or bad checks."""
    for minute in range(int(3.0 + draw.random() * 14.0)):
        now_s = at_s + 60.0 * minute + 20.0
        if draw.random() < 0.5:
            checks = 1 + int(draw.random() * 8.0)
            bad = 1 if draw.random() < 0.2 else 0
            yield Observation(
                "t", now_s - 100.0, 99.0, now_s, checks, errors_fast=bad, quality=Quality.PROBED
            )
        else:
            yield Observation("t", now_s - 60.0, 60.0, now_s, quality=Quality.MISSING)


def _disturbed(draw: Random, state: State, at_s: float) -> State:
    """Return the state with what operators and the fleet put into it."""
    kinds = (HoldKind.NONE, HoldKind.FREEZE, HoldKind.FORCE_OPEN, HoldKind.FORCE_CLOSED, HoldKind.RELEASE)
    kind = kinds[int(draw.random() * 5.0)]
    state = state._replace(hold=Hold(kind, at_s + 60.0 * int(draw.random() * 12.0), "ann", "drill"))
    if draw.random() < 0.4:
        state = state._replace(open_allowed=draw.random() < 0.5, loosen_frozen_until_s=at_s + 240.0)
    return state


def digest_of(one: Recorded) -> str:
    """Return a digest of every decision as it stands in a journal, and of the last state's bytes.

    Without the policy's hash: a new field of policies changes no decision.
    """
    lines = [canonical_json(decision._replace(policy_hash="")) for decision in one.decisions]
    return sha256(b"\n".join([*lines, encode_state(one.state)])).hexdigest()[:32]


def recorded(name: str, seed: int, *, episodes: int = 30) -> Recorded:
    """Return the decisions of one stream and its last state."""
    draw = Random(f"{name}/{seed}")
    policy = with_digest(POLICIES[name])
    period_s = PERIODS_S[int(draw.random() * len(PERIODS_S))]
    volume = VOLUMES[int(draw.random() * len(VOLUMES))]
    state = initial_state(policy)
    decisions: list[Decision] = []
    at_s = T0
    for number in range(episodes):
        share = EPISODES[0] if number == 0 else EPISODES[int(draw.random() * len(EPISODES))]
        seen: list[Observation] = []
        first, last = share.minutes
        # A day and a half of one trouble now and then: what does not get better is normal.
        long = 1_560 if number == episodes // 2 and share.fast > 0.01 and seed % 2 == 0 else 0
        for _ in range(long or int(first + draw.random() * (last - first))):
            one = _window(draw, share, at_s, period_s, volume)
            seen.extend(_odd(draw, one) if draw.random() < 0.03 else [one])
            at_s += period_s
        if draw.random() < 0.15:
            quiet = list(_silence(draw, at_s))
            seen.extend(quiet)
            first_s, at_s = at_s, quiet[-1].arrived_s + 40.0
            # Afterwards the past is read up.
            seen.append(_window(draw, share, first_s, period_s, volume)._replace(arrived_s=at_s))
        if draw.random() < 0.2:
            state = _disturbed(draw, state, at_s)
        for one in seen:
            state, decision = step(state, one, policy)
            decisions.append(decision)
    return Recorded(decisions, state)
