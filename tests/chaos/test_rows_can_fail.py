"""Rows of the static-stability table under planted bugs: a row that cannot fail promises nothing.

One bug per protection that several rows lean on; most were planted for the
simulation (tests/simulation/bugs.py) and are planted here again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

import chaos.test_stability_control as control
import chaos.test_stability_metrics as metrics
import chaos.test_stability_stores as stores
from chaos.stage import Stage
from flyball import aws, breaker, sources
from flyball_controller import loop
from flyball_controller.aws import dynamodb
from flyball_controller.core import guardrails
from flyball_controller.core.policy import Policy
from flyball_controller.policy_set import PolicySet
from flyball_handlers import override
from simulation import bugs


@contextmanager
def _old_news() -> Iterator[None]:
    """Windows count however old they are: neither the stamp nor their age keeps them out."""

    def patient(self: PolicySet, target: str) -> Policy:
        return self.targets.get(target, self.default)._replace(act_within_s=1e9)

    with (
        patch.object(loop._Rounds, "_step_all", bugs._all_windows),
        patch.object(PolicySet, "for_target", patient),
    ):
        yield


PLANTED: dict[str, tuple[Callable[[Stage], object], Any]] = {
    "a circuit never ends": (
        control.test_controller_killed_circuits_lapse_and_clients_go_on,
        patch.object(breaker.Breaker, "_refresh", bugs._ignores_the_end),
    ),
    "states are saved without condition": (
        control.test_controller_slow_the_later_save_is_decided_again,
        patch.object(dynamodb, "put_if", bugs._put_always("flyball-state")),
    ),
    "a hold never expires": (
        control.test_override_killed_a_forgotten_hold_ends_by_itself,
        patch.object(guardrails, "hold_is_active", bugs._held_for_ever),
    ),
    "an order is taken whenever it comes": (
        control.test_override_slow_a_late_order_with_an_end_does_not_outlive_it,
        patch.object(override, "read_override", lambda event, *, now_s, known: None),
    ),
    "no pause after a failed read": (
        stores.test_dynamodb_killed_the_last_word_holds_until_its_end,
        patch.object(sources.Cached, "_read_once", bugs._no_pause),
    ),
    "damage opens": (
        stores.test_dynamodb_corrupt_damaged_items_begin_anew_and_never_open,
        patch.object(aws, "decode_circuit", bugs._opens_on_damage),
    ),
    "a damaged checkpoint raises": (
        stores.test_dynamodb_corrupt_damaged_items_begin_anew_and_never_open,
        patch.object(loop, "decode_state", bugs._trusting_decode),
    ),
    "old evidence is acted upon": (
        metrics.test_firehose_slow_what_comes_late_teaches_and_does_nothing,
        _old_news(),
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_row_notices(bug):
    """The very test of the row, run on the product with one protection less."""
    row, planted = PLANTED[bug]
    with planted, Stage() as stage:
        stage.pass_s(120.0)
        try:
            row(stage)
        except Exception:
            return
    pytest.fail(f"the row holds although {bug}")
