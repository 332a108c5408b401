"""Every parser under mutated inputs: a small batch of each door; the long runs are tools/fuzz.py's."""

from __future__ import annotations

import os
import random

import pytest

from fuzz.doors import SHARES, all_doors
from fuzz.engine import run_batch

# About three thousand inputs in all; new ones at every desk, the same ones in CI.
SEED = 0 if os.environ.get("CI") else random.SystemRandom().randrange(10**6)
LEAST = 30


def inputs_of(name: str) -> int:
    """Return how many inputs a door gets here."""
    return max(LEAST, SHARES[name] // 40)


@pytest.mark.parametrize("name", SHARES)
def test_no_input_breaks_a_law_of_its_door(name: str) -> None:
    """E1, C11, K4: named errors only, no hang, no growth; what is written is read; neighbours are kept."""
    outcome = run_batch(all_doors()[name], SEED, inputs_of(name))
    assert outcome.failures == (), f"seed {SEED}"
    assert outcome.inputs == inputs_of(name)


def test_every_door_has_a_share_and_every_share_a_door() -> None:
    """A door that the long runs forget is not fuzzed."""
    assert set(all_doors()) == set(SHARES)


@pytest.mark.parametrize("name", SHARES)
def test_good_inputs_of_a_door_are_read(name: str) -> None:
    """A door that refuses everything would keep all laws: its corpus must come to more than one outcome."""
    door = all_doors()[name]
    words = {door.check(case) for case in door.seeds()}
    assert len(words) > 1 or len(door.seeds()) == 1 or name == "log-lines"  # where the word is a type
    assert words != {""}
