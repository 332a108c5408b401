"""Plans: what they say, what they are made against, and that a file is what was made."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_runs import T0, calm, run, window
from flyball.contract import CircuitState, Document, TargetParams
from flyball_controller.codec import with_digest
from flyball_controller.core.model import Mode, Observation, Quality
from flyball_controller.core.retry_law import BUDGET_FULL, BUDGET_RAISED
from flyball_controller.core.state import initial_state, nominal_setpoint
from flyball_controller.operate import (
    Base,
    FieldChange,
    PlanError,
    TargetChange,
    decode_plan,
    document_changes,
    encode_plan,
    expected_setpoint,
    expected_targets,
    make_plan,
    policy_changes,
)
from flyball_controller.policy_set import PolicySet, load_preset
from flyball_controller.publication import to_params

POLICY = load_preset("two-loop").default
BASE = Base(3, "hash", "content", 7)


def fleet(**targets: object) -> PolicySet:
    """A policy with special targets; each value is a mapping of fields."""
    special = {name: with_digest(POLICY._replace(**fields)) for name, fields in targets.items()}
    return PolicySet(POLICY, special, "fleet")


def restricted(budget: float = 0.0):
    """A state whose retries are cut and whose circuit is open."""
    state = initial_state(POLICY)
    applied = state.law.applied._replace(max_attempts=2, budget_ratio=budget, circuit=CircuitState.OPEN)
    return state._replace(law=state.law._replace(applied=applied, off_since_s=1.0))


def test_what_a_plan_publishes_is_what_the_next_round_applies():
    """Else the document flaps: the plan's value for one round, then the controller's own again."""
    state, decisions = run([*calm(0, 60), *(window(60 + minute, fast=200) for minute in range(3))], POLICY)
    assert decisions[-1].regime.name == "BROKEN"
    for lowered in (0.05, 0.2):
        policy = POLICY._replace(budget_nominal=lowered)
        expected = expected_setpoint(state, policy)
        silence = Observation("t", T0 + 64 * 60.0, 60.0, T0 + 64 * 60.0, quality=Quality.MISSING)
        _, (silent,) = run([silence], policy, state)
        assert silent.applied == expected
        assert expected.budget_ratio == lowered


def test_a_plan_leaves_a_budget_that_the_law_raised():
    """Partial failure with proven headroom: a plan about something else must not take the retries away."""
    assert expected_setpoint(restricted(3.0), POLICY).budget_ratio == 3.0


@given(st.integers(1, 4), st.floats(0.0, 3.0), st.integers(1, 4), st.floats(0.0, 3.0))
def test_a_plan_never_loosens_what_is_applied_and_never_exceeds_the_policy(attempts, budget, now, now_budget):
    """Loosening is the controller's, after it has seen clean windows."""
    policy = POLICY._replace(attempts_nominal=attempts, budget_nominal=budget)
    state = initial_state(POLICY)
    applied = state.law.applied._replace(max_attempts=now, budget_ratio=now_budget)
    found = expected_setpoint(state._replace(law=state.law._replace(applied=applied)), policy)
    assert found.max_attempts == min(attempts, now)
    raised = now_budget in (BUDGET_RAISED, BUDGET_FULL)  # by the law, not by a policy
    assert found.budget_ratio == (now_budget if raised else min(budget, now_budget))
    assert expected_setpoint(None, policy) == nominal_setpoint(policy)


def test_each_stage_has_its_parameters_in_the_document():
    """Active as decided, canary nominal, shadow and off none; a stranger's target stays."""
    policies = fleet(active={}, canary={}, shadow={"mode": Mode.SHADOW}, off={"mode": Mode.OFF})
    policies = policies._replace(canaries={"canary": ("blue",)})
    standing = Document(1, "", "p", dict.fromkeys(("shadow", "off", "stranger"), TargetParams()))
    states = dict.fromkeys(("active", "canary"), restricted())
    targets = expected_targets(standing, policies, names=policies.targets, states=states)
    assert sorted(targets) == ["active", "canary", "stranger"]
    assert targets["active"].retry.budget_ratio == 0.0
    assert targets["canary"] == to_params(nominal_setpoint(POLICY), POLICY)


def test_a_change_for_all_targets_is_said_once():
    """A fleet of a thousand targets has one line, unless a target is special."""
    before = fleet(a={}, b={"budget_nominal": 0.5})
    default = with_digest(POLICY._replace(budget_nominal=0.1))
    after = PolicySet(default, {"a": default}, "fleet")
    assert policy_changes(before, after) == (
        TargetChange("*", "changed", (FieldChange("budget_nominal", 0.2, 0.1),)),
        TargetChange("a", "changed", (FieldChange("budget_nominal", 0.2, 0.1),)),
    )


def test_modes_and_canaries_are_words():
    """A promotion must read as one."""
    before, after = fleet(a={"mode": Mode.SHADOW}), fleet(a={})._replace(canaries={"a": ("blue", "green")})
    (change,) = policy_changes(before, after)
    assert change.changes == (
        FieldChange("mode", "shadow", "active"),
        FieldChange("canary", None, "blue, green"),
    )


def test_without_a_known_policy_the_shipped_defaults_are_compared_with():
    """Nothing is claimed about what is in force."""
    (change,) = policy_changes(None, PolicySet(with_digest(POLICY._replace(min_errors=9)), {}, "x"))
    assert change.target == "*"
    assert "min_errors" in [field.field for field in change.changes]


def test_documents_are_compared_field_by_field():
    """Added, removed, changed, and the defaults of all others."""
    calm = TargetParams()
    tight = calm._replace(retry=calm.retry._replace(max_attempts=2))
    before = Document(1, "", "p", {"gone": calm, "same": calm, "other": calm})
    after = Document(2, "", "p", {"new": calm, "same": calm, "other": tight}, defaults=tight)
    found = {change.target: change for change in document_changes(before, after)}
    assert {name: change.kind for name, change in found.items()} == {
        "*": "changed",
        "gone": "removed",
        "new": "added",
        "other": "changed",
    }
    assert found["other"].changes == (FieldChange("retry.max_attempts", 4, 2),)


def a_plan(**changes: object):
    """A plan of one restricted target."""
    return make_plan(
        BASE,
        None,
        None,
        fleet(a={}),
        names=["a"],
        states={"a": restricted()},
        edited=(),
        now_s=1_700_000_000.0,
    )._replace(**changes)


def test_a_plan_survives_its_file():
    """What is applied is what was shown, to the last field."""
    plan = a_plan(edited=("a",))
    assert decode_plan(encode_plan(plan), where="plan.json") == plan
    assert plan.restricted == ("a",)


def test_nothing_is_pending_if_neither_policy_nor_document_nor_edits_differ():
    """The exit code of a pipeline hangs on it."""
    same = a_plan(document_changes=(), policy_changes=(), base=BASE._replace(policy_hash=fleet(a={}).hash))
    assert same.pending is False
    assert same._replace(edited=("a",)).pending is True
    assert same._replace(base=BASE).pending is True


def resealed(**changes: object) -> bytes:
    """A plan file with other fields and a right digest, as another release might write it."""
    from flyball_controller.operate import _digest

    body = {
        key: value for key, value in json.loads(encode_plan(a_plan())).items() if key != "digest"
    } | changes
    return json.dumps({**body, "digest": _digest(body)}).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "plan.json: is not JSON"),
        (b"[]", "is no plan of version 1"),
        (encode_plan(a_plan()).replace(b'"revision":7', b'"revision":8'), "was changed after it was made"),
        (resealed(policy={"compiled": 1}), "plan again with this release"),
        (resealed(document={}), "plan again with this release"),
        (resealed(base={"number": 1}), "plan again with this release"),
        (resealed(restricted=None), "plan again with this release"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(data, words):
    """With the file's name and a remedy."""
    with pytest.raises(PlanError, match=words):
        decode_plan(data, where="plan.json")
