"""Bugs planted in what people change while everything runs: policies, the document, checks, releases."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

from flyball.contract import CircuitState
from flyball.sources import STALE, Cached
from flyball_analytics.cli import apply
from flyball_controller import loop
from flyball_controller.aws import appconfig, operator_publisher
from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.aws.operator_publisher import OperatorPublisher
from flyball_controller.core import guardrails
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Evidence, Reason
from flyball_controller.core.moment import Wish
from flyball_controller.policy_store import read_pointer
from flyball_controller.ports import PortError
from flyball_handlers import wiring
from simulation.bugs import CORE_BUGS, Plant, bug_of, replaced, step

_REAL_NOTICE = AppConfigPublisher._notice
_REAL_DEPLOY = OperatorPublisher.deploy
_REAL_DECODE = loop.decode_state


def _every_rollback_explains(self: Any, record: Any, seen: Any) -> Any:
    """What stands after a rollback is taken for AppConfig's doing, whenever it was deployed."""
    return _REAL_NOTICE(self, record, seen._replace(number=-1))


def _own_policy_when_blind(runtime: Any) -> Any:
    try:
        read_pointer(runtime.ports.checkpoints)
    except PortError:
        runtime.telemetry.count("policy_unreadable")
        return replace(runtime, policies=runtime.bundled, policy_known=True)
    return _REAL_IN_FORCE(runtime)


_REAL_IN_FORCE = wiring.with_policy_in_force


def _over_whatever_stands(self: Any, document: Any, *, over: str, edited: Any, now_s: float) -> Any:
    return _REAL_DEPLOY(self, document, over=self.live(now_s=now_s).content, edited=edited, now_s=now_s)


def _checks_open(state: Any, seen: Any, policy: Any) -> Wish:
    law = state.law
    why = Evidence(Reason.CHECKS_SUCCEEDED, 0.0, 0.0, 0, 1.0)
    opened = law.applied._replace(circuit=CircuitState.OPEN, probe_ratio=0.1, max_attempts=1)
    return Wish(opened, law.regime, (why,), 0, 0, False)


def _together(*plants: Plant) -> Plant:
    """Return a bug that takes more than one place to make."""

    def plant() -> AbstractContextManager[Any]:
        stack = ExitStack()
        for one in plants:
            stack.enter_context(one())
        return stack

    return plant


def _knows_no_older(data: bytes) -> Any:
    if data[2:3] == b"\x01":
        raise CheckpointError("version 1 is not supported")
    return _REAL_DECODE(data)


# The configuration is rolled back; before a controller looks, somebody applies another policy and goes back.
_HOLD_ENDED = (
    "seed=0 policy=0 empty=0 | health:0:1 time:60:0 time:60:0 wake:0:0 go:0:99 time:60:0 rollback:0:0 "
    "apply:6:1 go:0:99 time:60:0 undo:0:1 go:0:99 time:60:0 wake:1:0 go:0:99 time:60:0 wake:1:0 go:0:99"
)
# A policy with fewer attempts is applied while a target is silent: its next step sees no window.
_BOUND = (
    "seed=0 policy=0 empty=0 | health:0:5 time:60:0 apply:6:1 go:0:99 wake:1:0 go:0:99 "
    "time:60:0 wake:1:0 go:0:99"
)
BUGS = (
    *CORE_BUGS,
    bug_of("edits written over", "A7", replaced(appconfig, "without_edited", lambda wishes, edited: wishes)),
    bug_of(
        "edit after a rollback not seen",
        "A7",
        replaced(AppConfigPublisher, "_notice", _every_rollback_explains),
    ),
    bug_of(
        "a person's plan ends a hold",
        "A5",
        replaced(operator_publisher, "absorb_rollbacks", lambda record, facts, *, until_s: record),
        _HOLD_ENDED,
    ),
    bug_of(
        "plan applied over anything",
        "A8",
        _together(
            replaced(OperatorPublisher, "deploy", _over_whatever_stands),
            replaced(apply, "check_base", lambda place, plan, **_: read_pointer(place.checkpoints)),
        ),
    ),
    bug_of(
        "applied policy not obeyed",
        "A9 O3",
        replaced(wiring, "with_policy_in_force", lambda runtime: replace(runtime, policy_known=True)),
    ),
    bug_of(
        "own policy while the store is down",
        "A9",
        replaced(wiring, "with_policy_in_force", _own_policy_when_blind),
    ),
    bug_of("checks open", "C14", replaced(step, "wish_probed", _checks_open)),
    bug_of(
        "a new bound binds later",
        "C4",
        _together(
            replaced(guardrails, "clip", lambda setpoint, policy: setpoint),
            replaced(guardrails, "inside", lambda setpoint, policy: True),
        ),
        _BOUND,
    ),
    bug_of(
        "circuits read at every call",
        "K5",
        _together(
            replaced(Cached, "due", lambda self, wall_s, monotonic_s: True),
            replaced(Cached, "fresh", lambda self: STALE),
        ),
    ),
    bug_of("older state not read", "P2 P5", replaced(loop, "decode_state", _knows_no_older)),
)
