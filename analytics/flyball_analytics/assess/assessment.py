"""The whole assessment of a map as one record, and what to do first.

Order of work: high hazards before medium ones, then missing protection that is
advised, then what has to be found out; within a rank what costs more in a month
comes first, and what is more critical. Reads no file; histories are judged
before (`flyball thresholds`) and arrive as recommendations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flyball_analytics.assess.advice import Advice, Choice, Pattern, advise, pure_function
from flyball_analytics.assess.checklist import Answer, of_function, of_integration
from flyball_analytics.assess.economics import Money, money_of
from flyball_analytics.assess.facts import Integration, criticality, integrations_of
from flyball_analytics.assess.hazards import Hazard, Severity, hazards_of
from flyball_analytics.integrations import Function, IntegrationMap
from flyball_analytics.thresholds.recommend import Recommendation

RANKS = {Severity.HIGH: 0, Severity.MEDIUM: 1, Severity.LOW: 3}
PROTECT_RANK, LEARN_RANK = 2, 4


class Judged(NamedTuple):
    """One integration: the list answered, what is advised, what it costs."""

    one: Integration
    checklist: tuple[Answer, ...]
    advice: Advice
    money: Money


class JudgedFunction(NamedTuple):
    """One function; `nothing`: the advice if it calls no target."""

    name: str
    function: Function
    checklist: tuple[Answer, ...]
    nothing: Choice | None


class Step(NamedTuple):
    """One thing to do. `usd`: what the outages of the place cost in a month, None: not known."""

    rank: int
    where: str
    do: str
    because: str
    usd: float | None
    criticality: int | None


class Assessment(NamedTuple):
    """Everything `flyball assess` says; `histories`: the judgement of recorded metrics, by target."""

    known: IntegrationMap
    functions: tuple[JudgedFunction, ...]
    integrations: tuple[Judged, ...]
    hazards: tuple[Hazard, ...]
    steps: tuple[Step, ...]
    uncalled: tuple[str, ...]
    histories: Mapping[str, Recommendation]

    def worst(self) -> Severity | None:
        """Return the highest severity found; None: there is no hazard."""
        return next((s for s in Severity if any(h.severity is s for h in self.hazards)), None)

    def unknown(self) -> int:
        """Return how many questions the map does not answer."""
        lists = [*(f.checklist for f in self.functions), *(j.checklist for j in self.integrations)]
        return sum(1 for answers in lists for answer in answers if answer.unknown)


def assess(known: IntegrationMap, histories: Mapping[str, Recommendation] | None = None) -> Assessment:
    """Return the assessment of a map.

    Args:
        known: The map.
        histories: By target, whether its recorded metrics call for adaptive thresholds.
    """
    functions = tuple(
        JudgedFunction(
            name, function, of_function(function), pure_function() if function.calls == {} else None
        )
        for name, function in known.functions.items()
    )
    ones = integrations_of(known)
    callers: dict[str, int] = {}
    for one in ones:
        callers[one.target_name] = callers.get(one.target_name, 0) + 1
    judged = []
    for one in ones:
        advice = advise(one)
        money = money_of(one, attempts=advice.attempts, callers=callers[one.target_name])
        judged.append(Judged(one, of_integration(one, money), advice, money))
    order = list(Severity)
    hazards = sorted(hazards_of(known), key=lambda h: (order.index(h.severity), -(h.criticality or 0)))
    return Assessment(
        known,
        functions,
        tuple(judged),
        tuple(hazards),
        _steps(judged, hazards),
        tuple(name for name in known.targets if name not in callers),
        dict(histories or {}),
    )


def _steps(judged: list[Judged], hazards: list[Hazard]) -> tuple[Step, ...]:
    costs = {item.one.name: item.money.outage_usd for item in judged}
    for item in judged:  # hazards of a function or of a target: what all its calls' outages cost
        for wider in (item.one.function_name, item.one.target_name):
            if item.money.outage_usd is not None:
                costs[wider] = (costs.get(wider) or 0.0) + item.money.outage_usd
    steps = [
        Step(RANKS[h.severity], h.where, h.remedy, f"{h.kind}: {h.says}", costs.get(h.where), h.criticality)
        for h in hazards
    ]
    for item in judged:
        level, usd = criticality(item.one), item.money.outage_usd
        for choice in item.advice.choices:
            if choice.advised and choice.pattern in (Pattern.RETRY, Pattern.BREAKER, Pattern.BULKHEAD):
                do = f"{choice.pattern}: {choice.setting}"
                steps.append(Step(PROTECT_RANK, item.one.name, do, choice.because, usd, level))
        missing = [answer.unknown for answer in item.checklist if answer.unknown]
        if missing:
            do = f"find out {', '.join(missing)}"
            steps.append(Step(LEARN_RANK, item.one.name, do, "advice is only as good as the map", usd, level))
    return tuple(sorted(steps, key=lambda s: (s.rank, -(s.usd or 0.0), -(s.criticality or 0), s.where)))
