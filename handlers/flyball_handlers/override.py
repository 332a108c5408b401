"""Entry point for operators: hold a target where it is, force its circuit, or let it go again.

The hold is stored first, then a round is run for the target, so that it is in
force before the answer is given. If the round fails the hold stands all the
same, and the next tick applies it. Whoever may invoke this function may stop
traffic: give it a role of its own.
"""

from __future__ import annotations

from typing import Any

from flyball_controller.core.model import Reason
from flyball_controller.loop import Trigger
from flyball_controller.overrides import (
    OverrideRequest,
    is_published,
    override_record,
    put_hold,
    read_override,
)
from flyball_controller.ports import PortError
from flyball_handlers import rounds, wiring
from flyball_handlers.events import SKEW_S_MAX

MOMENT_S = 0.001  # any later time will do; times are floats of seconds


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Store an override and apply it at once.

    Returns:
        What is held, until when, the circuit now applied, whether the round went through, and
        whether clients are told of it (a target in shadow is only decided about).

    Raises:
        InvalidOverrideError: The request cannot be obeyed; nothing was written.
        PortError: The hold could not be stored.
    """
    runtime = wiring.runtime()
    now_s = runtime.clock.now_s()
    request = read_override(event, now_s=now_s, known=frozenset(runtime.targets))
    target, hold = request.target, request.hold
    try:
        lost_to = put_hold(request, runtime.ports.holds, now_s=now_s)
        if lost_to:
            runtime.telemetry.error("override lost", target=target, detail=lost_to)
        runtime.telemetry.count("overrides")
        runtime.telemetry.info(
            "override", target=target, kind=hold.kind.name, until_s=hold.until_s, by=hold.by
        )
        _note(runtime, request, now_s)
        done = _apply(runtime, request, now_s)
    finally:
        runtime.telemetry.flush(now_s=now_s)
    return {
        "target": target,
        "hold": hold.kind.name,
        "until_s": hold.until_s,
        "circuit": done.decisions[-1].applied.circuit.name if done.decisions else None,
        "effective": target not in done.again and not _came_late(done) and not lost_to,
        "published": is_published(runtime.policies, target),
    }


def _note(runtime: wiring.Runtime, request: OverrideRequest, now_s: float) -> None:
    """Write who wanted it and why into the journal; the override counts also if that fails."""
    try:
        runtime.ports.journal.append([override_record(request, now_s=now_s)])
    except PortError as error:
        runtime.telemetry.error("override not in the journal", target=request.target, detail=str(error)[:300])


def _apply(runtime: wiring.Runtime, request: OverrideRequest, now_s: float) -> rounds.Round:
    """Run a round now; once more, a moment later, if another container's clock was ahead of ours."""
    trigger = Trigger("override", f"{request.hold.kind.name} until {request.hold.until_s:.0f}")
    done = rounds.run(runtime, [request.target], trigger=trigger, now_s=now_s)
    known = runtime.cache.get(request.target)
    if _came_late(done) and known is not None and 0.0 <= known.state.seen_s - now_s <= SKEW_S_MAX:
        later_s = known.state.seen_s + MOMENT_S
        return rounds.run(runtime, [request.target], trigger=trigger, now_s=later_s)
    return done


def _came_late(done: rounds.Round) -> bool:
    """Whether the core refused the round as older than what it has seen (C5), or made no decision."""
    return not done.decisions or any(e.reason == Reason.OBSERVATION_LATE for e in done.decisions[-1].evidence)
