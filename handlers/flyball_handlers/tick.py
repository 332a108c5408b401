"""Entry point for the schedule: one round over every target, once a minute.

Alarms speak only when a state changes, and at most a day late; so the tick, not
the alarm, is what the controller lives by. It reads all metrics since each
checkpoint (which recovers lost alarms), lets holds and circuits expire or renews
them, notices targets without data, and offers pending configuration again. Twice
the same tick changes nothing.

EventBridge rules send their `time`; EventBridge Scheduler sends whatever its
Input says, by convention {"scheduled_time": "<aws.scheduler.scheduled-time>"}.
One function can serve many schedules: with "shard": "k/n" in its Input, each looks
at its own share of the targets (docs/how-to/scale.md).
"""

from __future__ import annotations

from typing import Any

from flyball_controller.bounded import child, instant_s, shown, text
from flyball_controller.loop import Trigger
from flyball_controller.shards import Shard, owned, read_shard
from flyball_handlers import rounds, wiring
from flyball_handlers.events import AGE_S_MAX, SKEW_S_MAX


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Look at every target of the settings or the policy.

    Returns:
        How many targets, decisions and changes there were, and what failed.

    Raises:
        NotAcknowledgedError: No target could be looked at, and trying again may help.
        SettingsError: The event's shard cannot be understood: looking at all targets instead would
            make every schedule do the work of all.
    """
    runtime = wiring.runtime()
    now_s = tick_time_s(event, runtime.clock.now_s())
    targets = owned(runtime.targets, shard_of_event(event, runtime.settings.shard))
    try:
        if not runtime.targets:
            remedy = "set FLYBALL_TARGETS, or name the targets in the policy file"
            runtime.telemetry.warning("no targets to look at", remedy=remedy)
        done = rounds.run(runtime, targets, trigger=Trigger("tick", f"{now_s:.0f}"), now_s=now_s)
    finally:
        runtime.telemetry.flush(now_s=now_s)
    if done.again and not done.decisions:
        raise rounds.NotAcknowledgedError(targets=sorted(done.again))
    return {
        "targets": len(targets),
        "decisions": len(done.decisions),
        "changes": sum(decision.changed for decision in done.decisions),
        "incomplete": sorted(done.again),
    }


def shard_of_event(event: object, default: Shard) -> Shard:
    """Return the shard that a schedule's Input asks for, else the settings' own.

    >>> str(shard_of_event({"shard": "2/4"}, Shard())), str(shard_of_event({}, Shard()))
    ('2/4', '1/1')
    """
    wanted = child(event, "shard")
    return default if wanted is None else read_shard(text(wanted, 40) or shown(wanted), field="shard")


def tick_time_s(event: object, clock_s: float) -> float:
    """Return the time a tick stands for: the schedule's, if it is not long ago, else the clock's.

    A late redelivery must not take the controller back in time; within AGE it is the scheduler's own
    delay. Nor must a wrong Input take it forward: every round until then would be refused as late. No
    schedule is early, so that only the clocks' difference is allowed.

    >>> tick_time_s({"time": "1970-01-01T00:20:00Z"}, 1230.0), tick_time_s({}, 1230.0)
    (1200.0, 1230.0)
    """
    scheduled_s = instant_s(child(event, "scheduled_time") or child(event, "time"))
    if scheduled_s is None or not -AGE_S_MAX <= scheduled_s - clock_s <= SKEW_S_MAX:
        return clock_s
    return scheduled_s
