"""Short ways to write a run of windows in tests of the core."""

from __future__ import annotations

from flyball_controller.core import State, initial_state, step
from flyball_controller.core.model import Decision, Observation
from flyball_controller.core.policy import Policy

T0 = 1_699_999_200.0  # a full hour, so that minute 0 is minute 0


def window(
    minute: int,
    *,
    requests: int = 600,
    fast: int = 0,
    timeouts: int = 0,
    throttles: int = 0,
    failed: int | None = None,
    short: int = 0,
    p99: float = 200.0,
) -> Observation:
    """One clean one-minute window, seen 20 s after its end; attempts as with 3 retries allowed.

    Unless said, retries repair fast errors and no time-out: a full queue is still full.
    """
    start_s = T0 + 60.0 * minute
    attempts = requests + fast + timeouts + throttles
    failed = timeouts if failed is None else failed
    return Observation(
        "t", start_s, 60.0, start_s + 80.0, requests, timeouts, fast, throttles, attempts, failed, short,
        latency_ms_p99=p99,
    )  # fmt: skip


def run(
    observations: list[Observation], policy: Policy | None = None, state: State | None = None
) -> tuple[State, list[Decision]]:
    """Step through all, return the last state and every decision."""
    policy = policy or Policy()
    state = state if state is not None else initial_state(policy)
    decisions = []
    for seen in observations:
        state, decision = step(state, seen, policy)
        decisions.append(decision)
    return state, decisions


def calm(first: int, count: int, **kwargs: int) -> list[Observation]:
    """Healthy windows."""
    return [window(minute, **kwargs) for minute in range(first, first + count)]


def changes(decisions: list[Decision]) -> list[Decision]:
    """Those that changed something."""
    return [decision for decision in decisions if decision.changed]
