"""From a scenario file to a Scenario, with every mistake named by file and line.

    description: Three quarters of the capacity are lost for four minutes
    duration: 40m
    services:
      api:
        load: "12/s x40m"
        rho: 0.6                        # or capacity: "20/s"
        faults:
          capacity: "1 x10m, 0.25 x4m"  # afterwards as always
    incidents:
      - {label: capacity loss, from: 10m, to: 14m}
    expect:
      flyball: {recovery_s: "<= 60"}

All keys and defaults: docs/reference/scenarios.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from flyball.hints import did_you_mean
from flyball_analytics.plant import Service, Traffic
from flyball_analytics.plant.faults import STEP_S
from flyball_analytics.scenarios.expect import parse_expectations
from flyball_analytics.scenarios.faultseries import FAULT_SERIES, faults_of
from flyball_analytics.scenarios.model import DAY_START_S, Caller, Incident, Scenario
from flyball_analytics.scenarios.node import Node, ScenarioError, read_node
from flyball_analytics.scenarios.notation import Piece, Quantity

TOP_KEYS = (
    "description", "seeds", "duration", "starts_at", "history", "period", "lag", "fast", "counted",
    "services", "incidents", "blind", "expect",
)  # fmt: skip
SERVICE_KEYS = (
    "load", "rho", "capacity", "work", "work_cv", "queue", "errors", "environments", "swing", "batch",
    "target", "function", "faults",
)  # fmt: skip
BATCH_KEYS = ("factor", "minutes", "errors")
SPAN_KEYS = ("from", "to")
INCIDENT_KEYS = ("label", "from", "to", "services", "harmless")

SEEDS = (1, 2, 3)
PERIOD_S = 60.0
LAG_S = 20.0
HISTORY_S = 86_400.0  # one day gives the baseline full confidence (Policy.confidence_full_s)
WORK_S = 0.2
QUEUE_S = 3.0  # a full queue is this much work: three attempt time-outs, so that a storm can live in it
START_OF_DAY_S = 36_000.0  # 10:00
MINUTE_S = 60.0
DURATION_MAX_S = 60 * 86_400.0


def load_scenario(path: Path, *, known: Callable[[str], bool], names: Collection[str]) -> Scenario:
    """Return the scenario in a file.

    Args:
        path: A YAML file.
        known: Whether an algorithm of this name exists, for `expect`.
        names: Names to offer if it does not.

    Raises:
        ScenarioError: With file:line, field, value, bound and remedy.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return parse_scenario(data, file=str(path), known=known, names=names)


def parse_scenario(
    data: bytes, *, file: str, known: Callable[[str], bool], names: Collection[str]
) -> Scenario:
    """Return the scenario in the bytes of a YAML file; as `load_scenario`."""
    root = read_node(data, file=file)
    top = root.mapping(TOP_KEYS)
    for key in ("description", "duration", "services"):
        if key not in top:
            root.fail(f"{key!r} is missing")
    duration_s = _multiple(top["duration"], MINUTE_S)
    if duration_s > DURATION_MAX_S:
        top["duration"].fail("must be at most 60d")
    period_s = _multiple(top["period"], STEP_S) if "period" in top else PERIOD_S
    callers = tuple(_caller(name, node, duration_s) for name, node in top["services"].mapping().items())
    if not callers:
        top["services"].fail("must name at least one service")
    incidents = _incidents(top["incidents"], callers, duration_s) if "incidents" in top else ()
    harmful = any(not incident.harmless for incident in incidents)
    scenario = Scenario(
        name=Path(file).stem,
        file=file,
        description=top["description"].text(),
        seeds=_seeds(top["seeds"]) if "seeds" in top else SEEDS,
        duration_s=duration_s,
        start_s=DAY_START_S + (_time_of_day(top["starts_at"]) if "starts_at" in top else START_OF_DAY_S),
        history_s=_multiple(top["history"], MINUTE_S) if "history" in top else HISTORY_S,
        period_s=period_s,
        lag_s=top["lag"].span_s() if "lag" in top else LAG_S,
        callers=callers,
        incidents=incidents,
        blind=tuple(_span(node, SPAN_KEYS, duration_s) for node in top["blind"].items())
        if "blind" in top
        else (),
        fast=top["fast"].flag() if "fast" in top else False,
        counted=top["counted"].flag() if "counted" in top else False,
    )
    if scenario.counted:
        _check_counted(top["counted"], scenario)
    if "expect" in top:
        expected = parse_expectations(top["expect"], known=known, names=names, incident=harmful)
        scenario = scenario._replace(expectations=expected)
    return scenario


def _check_counted(node: Node, scenario: Scenario) -> None:
    flat = all(len(caller.load) == 1 for caller in scenario.callers)
    if scenario.incidents or any(caller.faults for caller in scenario.callers) or not flat:
        node.fail("counted minutes know no faults, incidents or changes of load; simulate them")
    if scenario.period_s != MINUTE_S:
        node.fail("counted minutes need a period of 60s")


def _multiple(node: Node, unit_s: float) -> float:
    span_s = node.span_s()
    if span_s % unit_s != 0.0:
        node.fail(f"{node.value!r} must be a multiple of {unit_s:g} s")
    return span_s


def _seeds(node: Node) -> tuple[int, ...]:
    seeds = tuple(entry.whole(0, 2**31) for entry in node.items())
    if not seeds or len(set(seeds)) < len(seeds):
        node.fail("must be a list of different seeds, at least one")
    return seeds


def _time_of_day(node: Node) -> float:
    hours, colon, minutes = node.text().partition(":")
    good = colon and hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60
    if not good:
        node.fail(f"{node.value!r} is no time of day; write it like '09:30', with quotes")
    return int(hours) * 3_600.0 + int(minutes) * MINUTE_S


def _caller(name: str, node: Node, duration_s: float) -> Caller:
    keys = node.mapping(SERVICE_KEYS)
    if "load" not in keys:
        node.fail("'load' is missing; write it like load: '12/s x40m'")
    load = keys["load"].series(Quantity.RATE)
    _check_series(keys["load"], load, duration_s)
    base_per_s = load[0].first
    faults = []
    for kind, series in keys["faults"].mapping(FAULT_SERIES).items() if "faults" in keys else ():
        spec = FAULT_SERIES[kind]
        pieces = series.series(spec.quantity)
        _check_series(series, pieces, duration_s)
        try:
            faults += faults_of(spec, pieces)
        except ValueError as error:
            series.fail(str(error))
    return Caller(
        name=name,
        target=keys["target"].text() if "target" in keys else name,
        function=keys["function"].text() if "function" in keys else "",
        service=_service(name, node, keys, base_per_s),
        load=load,
        faults=tuple(faults),
    )


def _check_series(node: Node, pieces: tuple[Piece, ...], duration_s: float) -> None:
    for piece in pieces:
        if piece.end_s % STEP_S != 0.0:
            node.fail(f"its parts must last multiples of {STEP_S:g} s")
    if pieces[-1].end_s > duration_s:
        node.fail(f"lasts {pieces[-1].end_s:g} s, longer than the scenario's {duration_s:g} s")


def _service(name: str, node: Node, keys: dict[str, Node], base_per_s: float) -> Service:
    """Return the plant's service: servers from the capacity, the queue in seconds of work."""
    work_s = keys["work"].level(Quantity.DELAY) if "work" in keys else WORK_S
    if work_s <= 0.0:
        keys["work"].fail("must be above 0")
    if ("rho" in keys) == ("capacity" in keys):
        node.fail("needs either 'rho' (base load over capacity) or 'capacity' (attempts per second)")
    if "rho" in keys:
        if base_per_s <= 0.0:
            keys["rho"].fail("needs a load that begins above 0; give 'capacity' instead")
        capacity_per_s = base_per_s / keys["rho"].number(0.001, 2.0)
    else:
        capacity_per_s = keys["capacity"].level(Quantity.RATE)
        if capacity_per_s <= 0.0:
            keys["capacity"].fail("must be above 0")
    servers = max(1, round(capacity_per_s * work_s))
    batch = keys["batch"].mapping(BATCH_KEYS) if "batch" in keys else {}
    errors_ratio = keys["errors"].level(Quantity.SHARE) if "errors" in keys else 0.003
    traffic = Traffic(
        base_per_s,
        swing_ratio=keys["swing"].level(Quantity.SHARE) if "swing" in keys else 0.0,
        batch_factor=batch["factor"].number(0.0, 100.0) if "factor" in batch else 1.0,
        batch_minutes=batch["minutes"].whole(1, 59) if "minutes" in batch else 0,
    )
    queue_s = keys["queue"].span_s() if "queue" in keys else QUEUE_S
    return Service(
        name,
        traffic,
        servers=servers,
        # The capacity is kept exactly; whole servers cost the work a few per cent.
        work_mean_s=servers / capacity_per_s,
        work_cv=keys["work_cv"].number(0.0, 3.0) if "work_cv" in keys else 0.3,
        queue_max=max(1, round(queue_s * capacity_per_s)),
        error_ratio=errors_ratio,
        batch_error_ratio=batch["errors"].level(Quantity.SHARE) if "errors" in batch else errors_ratio,
        environments_max=keys["environments"].whole(1, 10_000) if "environments" in keys else 400,
    )


def _span(node: Node, known: tuple[str, ...], duration_s: float) -> tuple[float, float]:
    """Return the [from, to) of a mapping."""
    keys = node.mapping(known)
    for key in SPAN_KEYS:
        if key not in keys:
            node.fail(f"{key!r} is missing")
    start_s, end_s = _multiple(keys["from"], STEP_S), _multiple(keys["to"], STEP_S)
    if not start_s < end_s <= duration_s:
        keys["to"].fail(f"must lie after 'from' and within the scenario's {duration_s:g} s")
    return start_s, end_s


def _incidents(node: Node, callers: tuple[Caller, ...], duration_s: float) -> tuple[Incident, ...]:
    names = tuple(caller.name for caller in callers)
    found = []
    for entry in node.items():
        keys = entry.mapping(INCIDENT_KEYS)
        if "label" not in keys:
            entry.fail("'label' is missing")
        start_s, end_s = _span(entry, INCIDENT_KEYS, duration_s)
        hit = keys["services"].texts() if "services" in keys else names
        for name in hit:
            if name not in names:
                keys["services"].fail(
                    f"unknown service {name!r}{did_you_mean(name, names, listing='known are')}"
                )
        harmless = keys["harmless"].flag() if "harmless" in keys else False
        found.append(Incident(keys["label"].text(), start_s, end_s, hit, harmless))
    return tuple(sorted(found, key=lambda incident: incident.start_s))
