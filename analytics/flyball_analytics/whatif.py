"""A recorded incident lived through again under other clients and policies: the closed loop.

Replaying recorded attempts under another policy is wrong in sign where it matters:
retries that were not made would have relieved the target, and retries that were made
are counted as demand. So first attempts are recovered (whatif_fit.py), the incident's
cause is set into the plant as a fault, and every algorithm makes its own attempts,
with the real client, the production round and the delays of production.

Two things no recording shows, and both are varied: the capacity (1.1 to 4 times the
proven peak) and what a time-out was, a target that lost capacity or nodes that
answered nothing. A third is taken as recorded: that the trigger lasted as long as the
failures did. A storm that fed itself after its trigger had gone looks the same in a
recording, and there every policy would do better than is said here.

Results are ranges over these worlds, never one number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from flyball_analytics.arrivals import EXACT, ModelError
from flyball_analytics.closedloop import Result, Sample
from flyball_analytics.compare import ALL, Lost, Pair
from flyball_analytics.labels import Incident
from flyball_analytics.plant import Fault, Service, Traffic
from flyball_analytics.plant.faults import STEP_S, FaultKind
from flyball_analytics.scenarios.model import Caller, Scenario
from flyball_analytics.scenarios.model import Incident as Bout
from flyball_analytics.scenarios.notation import Piece
from flyball_analytics.suite import Job
from flyball_analytics.whatif_fit import Demand, Fit

CAPACITIES = (1.1, 1.5, 2.5, 4.0)
LEAD_S = 600.0  # before the incident: queue and environments settle
AFTER_S = 1_800.0  # after it: storms that do not end must show
RATE_MAX_PER_S = 20.0  # larger fleets are simulated smaller, and counted up again
HISTORY_S = 86_400.0
TIMEOUT_S = 1.0  # of one attempt, the clients' compiled-in default
TIMEOUT_P99S = 3.0  # and at least so many times the healthy p99
MINUTE_S = 60.0
# Under these shares a failure is the noise of the baseline and no fault.
SHARE_MIN = 0.01
DEAD_RATIO = 0.6  # over it fast failures are refusals: nothing was worked at
QUEUE_S = 5.0  # depth of the queue, in seconds of its capacity


class Cause(StrEnum):
    """What a recorded time-out is taken for."""

    CAPACITY = "lost capacity"
    SILENCE = "silent nodes"


class World(NamedTuple):
    """One way the unknown may have been: capacity over the proven peak, and the cause of time-outs."""

    capacity_factor: float
    cause: Cause


class Outcome(NamedTuple):
    """One run: requests that arrived from the incident's start on, those lost, and the attempts made."""

    target: str
    incident: Incident
    algorithm: str
    world: World
    seed: int
    arrived: float
    lost: float
    attempts: float


class Range(NamedTuple):
    """One algorithm in one incident, over all worlds: lost requests, lowest, highest and mean."""

    target: str
    incident: Incident
    algorithm: str
    arrived: float
    low: float
    high: float
    mean: float
    amplification_low: float
    amplification_high: float


class Planned(NamedTuple):
    """One run to make, with what its result will be counted by."""

    job: Job
    target: str
    incident: Incident
    world: World
    scale: float  # real requests per simulated one


def worlds_of(fit: Fit, incident: Incident, capacities: Sequence[float] = CAPACITIES) -> list[World]:
    """Return the worlds to run: both causes only where time-outs were recorded, each capacity once."""
    mine = _during(fit, incident)
    silent = any(d.timeout_ratio >= SHARE_MIN for d in mine)
    causes = (Cause.CAPACITY, Cause.SILENCE) if silent else (Cause.CAPACITY,)
    distinct: dict[float, float] = {}
    for factor in capacities:
        distinct.setdefault(capacity_of(fit, World(factor, Cause.CAPACITY)), factor)
    return [World(factor, cause) for factor in distinct.values() for cause in causes]


def capacity_of(fit: Fit, world: World) -> float:
    """Return the attempts per second that the target serves in health: one server is the least."""
    return max(fit.peak_per_s * world.capacity_factor, 1.0 / fit.work_mean_s)


def plan(
    fit: Fit,
    incident: Incident,
    algorithms: Sequence[str],
    *,
    worlds: Sequence[World],
    seeds: Sequence[int],
    until_s: float = math.inf,
    timeout_s: float | None = None,
) -> Iterator[Planned]:
    """Yield the runs of one incident.

    Args:
        fit: The service.
        incident: When.
        algorithms: Names, as in algorithms.py.
        worlds: See `worlds_of`.
        seeds: Each draws its own arrivals and delays; all algorithms meet the same.
        until_s: Epoch seconds at which the next incident begins.
        timeout_s: Time-out of one attempt; default: 1 s, or three times the healthy p99.
    """
    scale = max(1.0, fit.mean_per_s / RATE_MAX_PER_S)
    limit_s = timeout_s if timeout_s is not None else max(TIMEOUT_S, TIMEOUT_P99S * fit.p99_s)
    model = ModelError(timeout_factor=limit_s / TIMEOUT_S) if limit_s != TIMEOUT_S else EXACT
    for world in worlds:
        scenario = scenario_of(fit, incident, world, scale=scale, seeds=tuple(seeds), until_s=until_s)
        for seed in seeds:
            for name in algorithms:
                job = Job(scenario, name, seed, model=model, sampled=True)
                yield Planned(job, fit.target, incident, world, scale)


def scenario_of(
    fit: Fit, incident: Incident, world: World, *, scale: float, seeds: tuple[int, ...], until_s: float
) -> Scenario:
    """Return the incident as an experiment of the plant."""
    start_s = math.floor((incident.start_s - LEAD_S) / MINUTE_S) * MINUTE_S
    end_s = incident.end_s + fit.period_s
    last_s = max(end_s + MINUTE_S, min(end_s + AFTER_S, until_s))
    duration_s = math.ceil((last_s - start_s) / MINUTE_S) * MINUTE_S
    inside = [d for d in fit.demand if d.end_s > start_s and d.start_s < start_s + duration_s]
    service = _service(fit, world, scale)
    name = f"{fit.target}"
    caller = Caller(
        name=name,
        target=fit.target,
        function=name,
        service=service,
        load=_load(inside, fit, start_s, duration_s, scale),
        faults=tuple(_faults(inside, fit, world, service, start_s, incident, scale)),
    )
    period_s = fit.period_s if fit.period_s % STEP_S == 0.0 and fit.period_s <= 300.0 else MINUTE_S
    return Scenario(
        name=f"{fit.target} {incident.start_s:.0f}",
        file="",
        description="a recorded incident",
        seeds=seeds,
        duration_s=duration_s,
        start_s=start_s,
        history_s=HISTORY_S,
        period_s=period_s,
        lag_s=20.0,
        callers=(caller,),
        incidents=(Bout("recorded", incident.start_s - start_s, end_s - start_s, (name,)),),
    )


def _service(fit: Fit, world: World, scale: float) -> Service:
    """Return the healthy service of a world, `scale` times smaller; servers are whole, the capacity exact."""
    capacity_per_s = capacity_of(fit, world) / scale
    servers = max(1, round(capacity_per_s * fit.work_mean_s))
    return Service(
        fit.target,
        Traffic(fit.mean_per_s / scale),
        servers=servers,
        work_mean_s=servers / capacity_per_s,
        work_cv=fit.work_cv,
        network_s=fit.network_s,
        queue_max=max(20, round(QUEUE_S * capacity_per_s)),
        error_ratio=fit.error_ratio,
        batch_error_ratio=fit.error_ratio,
        environments_max=1_000,
    )


def _load(
    inside: Sequence[Demand], fit: Fit, start_s: float, duration_s: float, scale: float
) -> tuple[Piece, ...]:
    """Return the demand as pieces without gaps: a missing window goes on like the one before it."""
    pieces: list[Piece] = []
    at_s, level = 0.0, (inside[0].per_s if inside else fit.mean_per_s) / scale
    for window in inside:
        begin_s, end_s = max(0.0, window.start_s - start_s), min(duration_s, window.end_s - start_s)
        if end_s <= at_s:
            continue
        if begin_s > at_s:
            pieces.append(Piece(at_s, begin_s, level, level))
        level = window.per_s / scale
        pieces.append(Piece(max(at_s, begin_s), end_s, level, level))
        at_s = end_s
    if at_s < duration_s:
        pieces.append(Piece(at_s, duration_s, level, level))
    return tuple(pieces)


def _faults(
    inside: Sequence[Demand],
    fit: Fit,
    world: World,
    service: Service,
    start_s: float,
    incident: Incident,
    scale: float,
) -> Iterator[Fault]:
    """Yield what the recorded failures of each window of the incident are taken for."""
    for window in inside:
        if not incident.from_s <= window.start_s <= incident.to_s:
            continue
        begin_s = math.floor((window.start_s - start_s) / STEP_S) * STEP_S
        end_s = max(begin_s + STEP_S, math.floor((window.end_s - start_s) / STEP_S) * STEP_S)
        fast = min(1.0, max(0.0, window.fast_ratio - fit.error_ratio))
        if fast >= SHARE_MIN:
            kind = FaultKind.OUTAGE if fast > DEAD_RATIO else FaultKind.ERRORS
            yield Fault(kind, begin_s, end_s, fast)
        if window.throttle_ratio >= SHARE_MIN:
            let_in = window.attempts_per_s * (1.0 - window.throttle_ratio) / scale
            yield Fault(FaultKind.THROTTLE, begin_s, end_s, max(let_in, 0.01))
        if window.timeout_ratio < SHARE_MIN:
            continue
        if world.cause is Cause.SILENCE:
            yield Fault(FaultKind.BLACK_HOLE, begin_s, end_s, min(1.0, window.timeout_ratio))
        else:
            served = window.per_s * (1.0 - window.failed_ratio) / scale
            yield from capacity_faults(service, served, begin_s, end_s)


def capacity_faults(service: Service, served_per_s: float, start_s: float, end_s: float) -> Iterator[Fault]:
    """Yield the faults that leave a service just the capacity it was seen to serve with.

    Servers are whole: as many as needed stay, and each is a little slower.

    >>> [tuple(f)[3] for f in capacity_faults(Service("a", Traffic(9.0), servers=4), 2.5, 0.0, 60.0)]
    [0.75]
    """
    share = served_per_s / service.capacity_per_s
    if share >= 1.0:
        return
    stay = math.ceil(share * service.servers)
    if stay < service.servers:
        yield Fault(FaultKind.CAPACITY_LOSS, start_s, end_s, 1.0 - stay / service.servers)
    slower = stay / (share * service.servers) - 1.0 if share > 0.0 else 0.0
    if slower > 1e-9:
        yield Fault(FaultKind.SLOWDOWN, start_s, end_s, slower)


def _during(fit: Fit, incident: Incident) -> list[Demand]:
    return [d for d in fit.demand if incident.from_s <= d.start_s <= incident.to_s]


def outcome(planned: Planned, result: Result) -> Outcome:
    """Return what a run came to, in real requests, from the incident's start to the scenario's end."""
    begin_s = planned.incident.start_s - planned.job.scenario.start_s
    mine: list[Sample] = [sample for sample in result.samples if sample.at_s >= begin_s]
    arrived = sum(sample.arrived for sample in mine)
    lost = arrived - sum(sample.ok for sample in mine)
    attempts = sum(sample.attempts for sample in mine)
    return Outcome(
        planned.target,
        planned.incident,
        planned.job.algorithm,
        planned.world,
        planned.job.seed,
        arrived * planned.scale,
        lost * planned.scale,
        attempts * planned.scale,
    )


def ranges(outcomes: Sequence[Outcome]) -> list[Range]:
    """Return the range of every algorithm in every incident, in the order of the outcomes."""
    grouped: dict[tuple[str, Incident, str], list[Outcome]] = {}
    for one in outcomes:
        grouped.setdefault((one.target, one.incident, one.algorithm), []).append(one)
    found = []
    for (target, incident, name), group in grouped.items():
        losses = [one.lost for one in group]
        factors = [one.attempts / one.arrived for one in group if one.arrived]
        found.append(
            Range(
                target,
                incident,
                name,
                math.fsum(one.arrived for one in group) / len(group),
                min(losses),
                max(losses),
                math.fsum(losses) / len(losses),
                min(factors, default=1.0),
                max(factors, default=1.0),
            )
        )
    return found


def lost_pairs(outcomes: Sequence[Outcome], base: str, other: str) -> dict[str, list[Pair]]:
    """Return a pair per incident, by target: requests lost of those that arrived, mean over all worlds."""
    found: dict[str, list[Pair]] = {}
    by_name = {(one.target, one.incident, one.algorithm): one for one in ranges(outcomes)}
    for (target, incident, name), mine in by_name.items():
        if name == base:
            theirs = by_name[target, incident, other]
            found.setdefault(target, []).append(Pair(mine.mean, mine.arrived, theirs.mean, theirs.arrived))
    return found


def lost_of(outcomes: Sequence[Outcome], base: str, other: str) -> Lost:
    """Return the requests that two algorithms lost, as a comparison takes them."""
    pairs = lost_pairs(outcomes, base, other)
    worlds = {ALL: tuple(by_world(outcomes, base, other).values())}
    for target in pairs:
        mine = [one for one in outcomes if one.target == target]
        worlds[target] = tuple(by_world(mine, base, other).values())
    return Lost(pairs, worlds)


def by_world(outcomes: Sequence[Outcome], base: str, other: str) -> Mapping[World, float]:
    """Return, world by world, the difference of the lost share, candidate minus baseline."""
    found: dict[World, float] = {}
    for world in dict.fromkeys(one.world for one in outcomes):
        shares = []
        for name in (base, other):
            mine = [one for one in outcomes if one.world == world and one.algorithm == name]
            arrived = math.fsum(one.arrived for one in mine)
            shares.append(math.fsum(one.lost for one in mine) / arrived if arrived else 0.0)
        found[world] = shares[1] - shares[0]
    return found


def utilisation(fit: Fit, incident: Incident, world: World) -> float:
    """Return the mean first attempts during an incident over the healthy capacity of a world."""
    mine = _during(fit, incident)
    per_s = math.fsum(d.per_s for d in mine) / len(mine) if mine else fit.mean_per_s
    return per_s / capacity_of(fit, world)


def recorded_lost(fit: Fit, incident: Incident) -> float | None:
    """Return the requests that failed for good in the recording, None if that was not measured."""
    mine = _during(fit, incident)
    if not mine or any(d.lost < 0.0 for d in mine):
        return None
    return math.fsum(d.lost for d in mine)
