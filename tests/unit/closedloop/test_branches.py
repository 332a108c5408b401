"""Which branches of the law ran: seen exactly, and without disturbing what watches already."""

from __future__ import annotations

import sys

from flyball_analytics.branches import BranchTracer, all_branches
from flyball_controller.core.policy import Policy
from flyball_controller.core.retry_law import _probe_ratio


def sides(tracer: BranchTracer, function: str) -> set[tuple[str, bool]]:
    """Return condition and side of the reached branches of a function."""
    return {
        (branch.condition, branch.taken)
        for branch in all_branches()
        if branch.function == function and branch.key in tracer.reached
    }


def test_both_sides_of_a_condition_are_told_apart() -> None:
    """60 per minute: the floor of 10 % holds. 12 per minute: six probes are half of them."""
    condition = "share < policy.probe_ratio_min"
    with BranchTracer() as tracer:
        assert _probe_ratio(120.0, Policy()) == 0.1
    assert sides(tracer, "_probe_ratio") == {(condition, True)}
    with tracer:
        assert _probe_ratio(12.0, Policy()) == 0.5
    assert sides(tracer, "_probe_ratio") == {(condition, True), (condition, False)}


def test_what_runs_outside_is_not_seen() -> None:
    """Only decisions of the controller count."""
    tracer = BranchTracer()
    _probe_ratio(12.0, Policy())
    assert tracer.reached == frozenset()


def test_an_earlier_trace_function_gets_its_place_back() -> None:
    """Coverage tools and debuggers must not lose the rest of the run."""
    before = sys.gettrace()
    with BranchTracer():
        assert sys.gettrace() is not before
    assert sys.gettrace() is before


def test_every_condition_has_two_branches_with_names_of_their_own() -> None:
    """A list of what was never reached is worth nothing if two entries share a name."""
    branches = all_branches()
    assert len({branch.key for branch in branches}) == len(branches) > 40
    assert {branch.taken for branch in branches} == {True, False}
    assert all(branch.module == "retry_law" for branch in branches)
    assert any(branch.words.endswith("not (regime is None)") for branch in branches)
