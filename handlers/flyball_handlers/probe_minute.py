"""One minute of checks: run what is due, store what was found, tell how it went.

A check that could not be made (`broken`) leaves no result: the row of good
checks then breaks by its gap, and nothing is held against the target. If the
store fails, the minute's results are lost; the next minute has its own. Nothing
here decides anything: the round does, when it reads the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flyball_controller.bounded import text
from flyball_controller.check_book import Result, write_results
from flyball_controller.ports import PortError
from flyball_controller.probes import SLOT_S
from flyball_handlers.checks import Outcome
from flyball_handlers.probe_run import due
from flyball_handlers.probe_wiring import Prober
from flyball_handlers.wiring import Runtime

LATE_S_MAX = 90.0  # the schedule's precision is a minute; later, the next minute's event has been here
LOGGED_MAX = 20  # outcomes per slot that get a line; all are counted


class Minute(NamedTuple):
    """How many checks there were, how many targets were well, and how many checks could not be made."""

    checks: int = 0
    good: int = 0
    broken: int = 0

    def plus(self, outcomes: Mapping[str, Outcome]) -> Minute:
        """Return the sum with a slot's."""
        return Minute(
            self.checks + len(outcomes),
            self.good + sum(outcome.good for outcome in outcomes.values()),
            self.broken + sum(outcome.broken for outcome in outcomes.values()),
        )


def run_minute(runtime: Runtime, prober: Prober, *, minute_s: float) -> Minute:
    """Run the slots of the minute that begins at `minute_s` (epoch seconds)."""
    telemetry = runtime.telemetry
    for name in ("checks", "checks_good", "checks_broken", "checks_late", "backend_errors"):
        telemetry.count(name, 0)
    if runtime.clock.now_s() - minute_s > LATE_S_MAX:
        telemetry.count("checks_late")
        return Minute()
    began_s = prober.clock()
    came = Minute()
    first = int(minute_s // SLOT_S)
    checks = list(runtime.policies.probes.values())
    for number in (0, 1):
        slot = due(checks, first + number, draw=prober.draw)
        if not slot:
            continue
        if number:
            if prober.pause is None:
                break
            prober.pause(max(0.0, SLOT_S - (prober.clock() - began_s)))
        outcomes = prober.runner.run(slot)
        slot_s = minute_s + number * SLOT_S
        _store(runtime, outcomes, slot_s)
        _tell(runtime, outcomes, slot_s)
        came = came.plus(outcomes)
    telemetry.count("checks_hanging", prober.runner.hanging)
    return came


def _store(runtime: Runtime, outcomes: Mapping[str, Outcome], slot_s: float) -> None:
    # The slot's time stands for its checks: the same slot twice is then known as such.
    results = {
        target: Result(slot_s, outcome.latency_ms, outcome.good)
        for target, outcome in outcomes.items()
        if not outcome.broken
    }
    if not results:
        return
    try:
        write_results(runtime.ports.checkpoints, results, slot_s=float(SLOT_S), now_s=runtime.clock.now_s())
    except PortError as error:
        runtime.telemetry.count("backend_errors")
        runtime.telemetry.error("checks not stored", backend=error.backend, detail=text(str(error), 300))


def _tell(runtime: Runtime, outcomes: Mapping[str, Outcome], slot_s: float) -> None:
    telemetry = runtime.telemetry
    slot = Minute().plus(outcomes)
    telemetry.count("checks", slot.checks)
    telemetry.count("checks_good", slot.good)
    telemetry.count("checks_broken", slot.broken)
    logged = 0
    for target, outcome in sorted(outcomes.items()):
        if not outcome.broken:
            telemetry.check(target, good=outcome.good, latency_ms=outcome.latency_ms, at_s=slot_s)
        if not outcome.good and logged < LOGGED_MAX:
            logged += 1
            say = telemetry.warning if outcome.broken else telemetry.info
            say("check", target=target, outcome=outcome.code, latency_ms=round(outcome.latency_ms))
