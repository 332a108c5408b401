"""The retry budget: earned by traffic, small at the start, never more than it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flyball.budget import INITIAL_TOKENS, Budget


def test_a_new_environment_may_repeat_one_call_only():
    """A storm starts many environments; each with a full bucket would feed it."""
    budget = Budget(ratio=0.2, burst=3.0)
    assert [budget.try_spend() for _ in range(3)] == [True, False, False]


def test_five_first_attempts_earn_one_retry_at_a_fifth():
    """0.2 per first attempt: five of them are one token, four are not."""
    budget = Budget(ratio=0.2, burst=3.0)
    budget.try_spend()
    budget.earned += 4
    assert not budget.try_spend()
    budget.earned += 1
    assert budget.try_spend()


def test_ten_tenths_are_one_retry_although_floats_fall_short():
    """0.1 summed ten times is 0.9999999999999999; users count in tenths."""
    budget = Budget(ratio=0.1, burst=3.0)
    budget.try_spend()
    for _ in range(10):
        budget.earned += 1
        budget.configure(ratio=0.1, burst=3.0)  # credits each one by itself
    assert budget.try_spend()


def test_savings_stop_at_the_burst():
    """A quiet week must not buy a storm."""
    budget = Budget(ratio=0.2, burst=3.0)
    budget.earned += 1_000_000
    assert budget.tokens == 3.0
    assert [budget.try_spend() for _ in range(4)] == [True, True, True, False]


def test_ratio_zero_takes_the_savings_away_and_giving_it_back_gives_none():
    """The controller sets 0 because every retry feeds the storm; they must return slowly."""
    budget = Budget(ratio=0.2, burst=3.0)
    budget.earned += 100
    budget.configure(ratio=0.0, burst=3.0)
    assert not budget.try_spend()
    budget.configure(ratio=0.2, burst=3.0)
    assert budget.tokens == 0.0


def test_a_ratio_of_three_lets_every_call_use_three_retries():
    """Level 3 means: all attempts for all, if the burst allows three at once."""
    budget = Budget(ratio=3.0, burst=3.0)
    for _ in range(10):
        budget.earned += 1
        assert [budget.try_spend() for _ in range(4)] == [True, True, True, False]


def test_a_smaller_burst_cuts_what_was_saved():
    """A configuration that tightens must bite at once."""
    budget = Budget(ratio=0.2, burst=10.0)
    budget.earned += 100
    budget.configure(ratio=0.2, burst=2.0)
    assert budget.tokens == 2.0


@given(
    ratio=st.floats(0.0, 3.0),
    burst=st.floats(0.0, 10.0),
    spends=st.lists(st.booleans(), max_size=300),
)
def test_retries_never_exceed_what_first_attempts_earned(ratio, burst, spends):
    """K9: total load <= (1 + budget) x offered, plus the first credit."""
    budget = Budget(ratio=ratio, burst=burst)
    firsts = retries = 0
    for spend in spends:
        if spend:
            retries += budget.try_spend()
        else:
            budget.earned += 1
            firsts += 1
        assert retries <= INITIAL_TOKENS + ratio * firsts + 1e-6
        assert 0.0 <= budget.tokens <= burst
