"""What a search came to, in one record: the front, the choice, what the held-out history says, what matters.

Made from results alone, so that a finished folder gives it again at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flyball_analytics.space import Value
from flyball_analytics.sweep import Candidate, Poison, Tally
from flyball_analytics.sweep_objectives import Objective, Prices, Scored, choose, score_all
from flyball_analytics.sweep_patch import chosen_by, verdict
from flyball_analytics.sweep_sensitivity import Effect, effects
from flyball_controller.policy_set import PolicySet

SCHEMA = 1


class Ask(NamedTuple):
    """What is wanted of the results. `choose` None: by the convention of `sweep_objectives.choose`."""

    objectives: tuple[Objective, ...]
    prices: Prices
    holdout: str
    choose: int | None = None


class Outcome(NamedTuple):
    """The candidates in order of their numbers; 0 is the policy in force.

    `absent`: objectives that the history cannot show. `left_out`: histories that could not
    be run. `dropped`: numbers of candidates that could not. `refused`: why points of the
    space are no policies.
    """

    policy: str
    ask: Ask
    rows: tuple[Scored, ...]
    chosen: Scored
    changed: Mapping[str, Value]
    absent: tuple[str, ...]
    effects: tuple[Effect, ...]
    poison: tuple[Poison, ...]
    left_out: tuple[str, ...]
    dropped: tuple[int, ...]
    refused: tuple[str, ...]
    refused_points: int
    incidents: tuple[int, int]  # fitted on, held out

    @property
    def base(self) -> Scored:
        """The policy in force."""
        return self.rows[0]

    @property
    def front(self) -> list[Scored]:
        """The candidates that none beats, by their first objective."""
        names = list(self.base.fit)
        return sorted((row for row in self.rows if row.front), key=lambda row: [row.fit[n] for n in names])


def outcome_of(
    policies: PolicySet,
    tally: Tally,
    ask: Ask,
    *,
    fields: Sequence[str],
    poison: Sequence[Poison] = (),
    refused: Sequence[str] = (),
) -> Outcome:
    """Return the outcome of a search.

    Args:
        policies: In force.
        tally: Every candidate, number 0 first.
        ask: What is wanted.
        fields: Which vary.
        poison, refused: What could not be run.

    Raises:
        PolicyError: If the candidate that was asked for does not exist.
    """
    rows, absent = score_all(tally.measured, ask.objectives, ask.prices)
    chosen = choose(rows) if ask.choose is None else chosen_by(ask.choose, rows)
    points = [row.measured.candidate.point for row in rows]
    return Outcome(
        policies.name,
        ask,
        tuple(rows),
        chosen,
        changed_fields(policies, chosen.measured.candidate),
        tuple(absent),
        tuple(effects(points, [row.fit for row in rows], fields)),
        tuple(poison),
        tally.left_out,
        tally.dropped,
        tuple(dict.fromkeys(refused)),
        len(refused),
        (len(tally.measured[0].fit.delays_s), len(tally.measured[0].held.delays_s)),
    )


def changed_fields(policies: PolicySet, candidate: Candidate) -> dict[str, Value]:
    """Return the fields of a candidate's point in which it differs from the policy in force."""
    return {
        field: value
        for field, value in candidate.point.items()
        if getattr(candidate.policies.default, field) != getattr(policies.default, field)
    }


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """Return the outcome as plain values; equal results give equal values."""
    return {
        "schema": SCHEMA,
        "policy": outcome.policy,
        "objectives": [name.value for name in outcome.ask.objectives if name.value not in outcome.absent],
        "absent": list(outcome.absent),
        "holdout": outcome.ask.holdout,
        "incidents": {"fit": outcome.incidents[0], "held": outcome.incidents[1]},
        "candidates": [_row_json(row) for row in outcome.rows],
        "front": [row.number for row in outcome.front],
        "chosen": outcome.chosen.number,
        "changed": dict(outcome.changed),
        "verdict": verdict(outcome.base, outcome.chosen),
        "effects": [{**one._asdict(), "size": one.size} for one in outcome.effects],
        "poison": [one._asdict() for one in outcome.poison],
        "left_out": list(outcome.left_out),
        "dropped": list(outcome.dropped),
        "refused": {"points": outcome.refused_points, "reasons": list(outcome.refused)},
    }


def _row_json(row: Scored) -> dict[str, object]:
    candidate = row.measured.candidate
    return {
        "number": row.number,
        "point": dict(candidate.point),
        "policy_digest": candidate.policies.default.digest,
        "fit": dict(row.fit),
        "held": dict(row.held),
        "missed": {"fit": row.measured.fit.missed, "held": row.measured.held.missed},
        "front": row.front,
    }
