"""Verdicts on values recorded by an earlier version are made again, bit for bit.

Whoever changes one on purpose records anew (`python tools/record_decisions.py`) and says
in CHANGELOG.md what is judged otherwise now.
"""

from __future__ import annotations

import json
from functools import cache

import pytest

from flyball_controller.core.band_state import Note
from recorded_bands import FILE, KINDS, SEEDS, Said, said

RECORDED: dict[str, dict[str, object]] = json.loads(FILE.read_text("utf-8"))


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", KINDS)
def test_recorded_verdicts_are_made_again_bit_for_bit(name: str, seed: int) -> None:
    """Every verdict and the whole last state: levels, spreads, seasons, peaks."""
    kept = RECORDED[f"{name}/{seed}"]
    now = said(name, seed)
    firing = sum(verdict.firing for verdict in now.verdicts)
    assert (len(now.verdicts), firing) == (kept["verdicts"], kept["firing"])
    assert now.digest == kept["digest"]


@cache
def _all() -> tuple[Said, ...]:
    return tuple(said(name, seed) for name in KINDS for seed in range(SEEDS))


def test_the_streams_lead_everywhere() -> None:
    """Each note is given, every memory is used, or the digests would guard less than they say."""
    assert {verdict.note for one in _all() for verdict in one.verdicts} == set(Note)
    states = [one.state for one in _all()]
    assert all(any(verdict.firing for verdict in one.verdicts) for one in _all())
    assert any(state.before.rows for state in states)
    assert any(state.seasons.weekly.visits for state in states)
    assert any(state.seasons.spread > 0.0 for state in states)
    assert any(state.peaks[2] > 0.0 for state in states)


def test_a_digest_sees_one_bit() -> None:
    """Of a verdict, and of the last state."""
    one = _all()[0]
    last = one.verdicts[-1]
    nudged = [*one.verdicts[:-1], last._replace(upper=last.upper * (1.0 + 2.0**-52))]
    assert one._replace(verdicts=nudged).digest != one.digest
    assert one._replace(state=one.state._replace(accepted=one.state.accepted + 1)).digest != one.digest
