"""Decisions in words: complete, total, and with the numbers in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import CircuitState
from flyball_analytics.wording import (
    CIRCUIT_WORDS,
    REGIME_WORDS,
    WORDS,
    action,
    reasons,
    sentence,
)
from flyball_controller.core.model import Evidence, Reason, Regime, Setpoint

NOMINAL = Setpoint(4, 0.2, 1_000, CircuitState.CLOSED, 1.0, 3)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_and_a_meaning(reason: Reason) -> None:
    """A new Reason without words would be a number in somebody's incident."""
    text = sentence(Evidence(reason, 0.25, 0.5, 40, 1.0))
    assert text
    assert "{" not in text
    assert WORDS[reason].meaning.endswith((".", "."))


def test_every_regime_and_circuit_state_has_a_word() -> None:
    """The tables must follow the enums."""
    assert set(REGIME_WORDS) == set(Regime)
    assert set(CIRCUIT_WORDS) == set(CircuitState)


@given(st.sampled_from(Reason), st.floats(), st.floats(), st.integers())
def test_any_number_can_be_said(reason: Reason, measured: float, threshold: float, n: int) -> None:
    """Evidence of a flagged row may be anything; the report must not die of it."""
    assert sentence(Evidence(reason, measured, threshold, n, 1.0))


def test_a_sentence_carries_measured_threshold_and_count() -> None:
    """Enough to check the decision by hand."""
    assert (
        sentence(Evidence(Reason.TIMEOUTS_OVER_TRIP, 0.312, 0.1, 250, 1.0))
        == "time-outs at least 31.2 % of requests, over 10 % (250 requests)"
    )
    assert (
        sentence(Evidence(Reason.WAITING_FOR_HOLD, 1.0, 2.0, 0, 1.0))
        == "clean, waiting: 1 of 2 clean windows"
    )
    assert "2023-08-21T09:50:00Z" in sentence(Evidence(Reason.OBSERVATION_LATE, 1_692_611_400.0, 0.0, 5, 1.0))


def test_background_notes_are_said_only_where_they_stand_alone() -> None:
    """Frozen learning accompanies nearly every change and explains none."""
    trip = Evidence(Reason.ERROR_RATE_OVER_TRIP, 0.5, 0.2, 10, 1.0)
    frozen = Evidence(Reason.LEARNING_FROZEN, 0.0, 0.0, 0, 1.0)
    assert reasons((trip, frozen)) == sentence(trip)
    assert reasons((frozen,)) == "baseline frozen"
    assert reasons(()) == ""


def test_an_action_names_everything_that_changes() -> None:
    """Nothing may change unseen."""
    after = Setpoint(2, 0.0, 4_000, CircuitState.HALF_OPEN, 0.3, 20)
    assert action(NOMINAL, after) == (
        "circuit closed -> half-open (probes 30 %), retry budget 0.2 -> 0, attempts 4 -> 2, "
        "pause after a throttle 1000 -> 4000 ms, close after 3 -> 20 good probes"
    )
    assert action(after, after._replace(probe_ratio=0.6)) == "probes 30 % -> 60 %"
    assert action(after, after._replace(circuit=CircuitState.CLOSED, probe_ratio=1.0)) == (
        "circuit half-open -> closed"
    )
    assert action(NOMINAL, NOMINAL) == "no change"
