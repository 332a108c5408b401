"""The whole assessment of a map as one record, and what to do first.

Order of work: high hazards before medium ones, then missing protection that is
advised, then what has to be found out; within a rank what costs more in a month
comes first, and what is more critical. Reads no file; histories are judged
before (`flyball thresholds`) and arrive as recommendations. Where neither cost nor
criticality is known, the busier place comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flyball_analytics.assess.advice import Advice, Choice, Pattern, advise, pure_function
from flyball_analytics.assess.checklist import Answer, of_function, of_integration
from flyball_analytics.assess.economics import Money, money_of
from flyball_analytics.assess.facts import Integration, criticality, integrations_of
from flyball_analytics.assess.hazards import Hazard, Kind, Severity, hazards_of
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
    """One thing to do. `usd`: what the outages of the place cost in a month, `requests`: its own in a month.

    None: not known. `severity`: of the hazard that it ends; None: it ends none.
    """

    rank: int
    where: str
    do: str
    because: str
    usd: float | None
    criticality: int | None
    requests: float | None = None
    severity: Severity | None = None


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
        return sum(len(places) for places in self.questions().values())

    def questions(self) -> dict[str, list[str]]:
        """Return the places that each missing field would answer for, most places first."""
        found: dict[str, list[str]] = {}
        lists = [(f.name, f.checklist) for f in self.functions]
        for name, answers in [*lists, *((j.one.name, j.checklist) for j in self.integrations)]:
            for answer in answers:
                if answer.unknown:
                    found.setdefault(answer.unknown, []).append(name)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def by_kind(self) -> list[tuple[Kind, Severity, list[str]]]:
        """Return each kind of hazard with its worst severity and its places, worst first."""
        places: dict[Kind, list[Hazard]] = {}
        for hazard in self.hazards:
            places.setdefault(hazard.kind, []).append(hazard)
        order = list(Severity)
        rows = [
            (kind, min((h.severity for h in found), key=order.index), [h.where for h in found])
            for kind, found in places.items()
        ]
        return sorted(rows, key=lambda row: (order.index(row[1]), -len(row[2]), row[0]))


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
        _steps(judged, hazards, known),
        tuple(name for name in known.targets if name not in callers),
        dict(histories or {}),
    )


def _requests(judged: list[Judged], known: IntegrationMap) -> dict[str, float]:
    """Return the requests in a month of every place where they are known: function, call, and target."""
    found: dict[str, float] = {}
    for name, function in known.functions.items():
        if function.requests_per_month is not None:
            found[name] = function.requests_per_month
    for item in judged:
        monthly = item.one.function.requests_per_month
        if monthly is not None:
            found[item.one.name] = monthly * item.one.call.calls_per_request
            target = item.one.target_name
            found[target] = found.get(target, 0.0) + found[item.one.name]
    return found


def _steps(judged: list[Judged], hazards: list[Hazard], known: IntegrationMap) -> tuple[Step, ...]:
    costs = {item.one.name: item.money.outage_usd for item in judged}
    for item in judged:  # hazards of a function or of a target: what all its calls' outages cost
        for wider in (item.one.function_name, item.one.target_name):
            if item.money.outage_usd is not None:
                costs[wider] = (costs.get(wider) or 0.0) + item.money.outage_usd
    steps = [
        Step(
            RANKS[h.severity],
            h.where,
            h.remedy,
            f"{h.kind}: {h.says}",
            costs.get(h.where),
            h.criticality,
            severity=h.severity,
        )
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
    requests = _requests(judged, known)
    steps = [step._replace(requests=requests.get(step.where)) for step in steps]
    return tuple(sorted(steps, key=_order))


def _order(step: Step) -> tuple[float | str, ...]:
    return (step.rank, -(step.usd or 0.0), -(step.criticality or 0), -(step.requests or 0.0), step.where)
