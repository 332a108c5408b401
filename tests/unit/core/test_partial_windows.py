"""Windows that are still arriving: they may tighten, and are otherwise as if they had not been seen yet."""

from __future__ import annotations

from core_runs import calm, run, window
from flyball_controller.core.model import Quality
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint


def _looks(minutes: range, **health: int):
    """Each look finds the minute before whole, and the newest one partial."""
    seen = []
    for minute in minutes:
        whole = window(minute, **health)
        newest = window(minute + 1, **health)._replace(
            quality=Quality.PARTIAL, arrived_s=whole.arrived_s + 1.0
        )
        seen += [whole, newest]
    return seen


def test_a_partial_window_at_each_look_does_not_stop_recovery():
    """Ticks have a phase: one in the arrival of metrics would otherwise stay off nominal for ever.

    The clean windows in a row were forgotten at each partial one, so that no hold was ever over.
    """
    state, _ = run(calm(0, 600, fast=1))
    state, _ = run([window(600 + i, fast=590) for i in range(6)], state=state)
    assert state.law.applied != nominal_setpoint(Policy())
    state, _ = run(_looks(range(606, 666)), state=state)
    assert state.law.applied == nominal_setpoint(Policy())


def test_a_partial_window_leaves_the_counts_of_windows_in_a_row():
    """Neither for nor against: the whole window is to come, and counts then."""
    state, _ = run(calm(0, 600, fast=1))
    state, _ = run([window(600, timeouts=300), window(601, timeouts=300), *calm(602, 2, fast=1)], state=state)
    assert state.law.clean_count > 0
    partial = window(604)._replace(quality=Quality.PARTIAL)
    after, _ = run([partial], state=state)
    assert after.law.clean_count == state.law.clean_count
    assert after.law.bad_count == state.law.bad_count
