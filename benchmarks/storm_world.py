"""An alarm storm: thousands of events about a thousand targets, through queues into the real alarm handler.

The events are duplicated, out of order, and tell of states long past or about to
change; a tenth of the targets really fails. Each installation has a queue with a
dead-letter queue, and Lambda's batches of ten. The same events without a queue,
one invocation each, are the reference: what batches save is the ratio.

Nothing is lost if every event was understood, no message is left, none is in a
dead-letter queue, and every target's state rests on the newest minute there is.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

from flyball_handlers import alarm, wiring
from flyball_local.embedded import START_S
from flyball_local.queues import Queue
from soak_traffic import BACKGROUND_RATIO, Fleet
from soak_world import ACCOUNT, MINUTE_S, REGION, Installation, SoakWorld

WARM_MIN = 4
FAIL_FROM_MIN = 3  # the newest minute known when the storm breaks is the first bad one
DUPLICATE_RATIO = 0.3
AGE_MAX_S = 840.0  # inside the age at which an event may still act
SINGLES = 200  # events of the reference: enough for a mean


class FailingTenth(Fleet):
    """Every tenth target fails wholly from a minute on; nothing else happens."""

    def failure_ratio(self, number: int, minute: int) -> float:
        """Return the share of first attempts that fail."""
        return 1.0 if number % 10 == 3 and minute >= FAIL_FROM_MIN else BACKGROUND_RATIO

    def is_absent(self, number: int, minute: int) -> bool:
        """Nobody is."""
        return False


class Storm(NamedTuple):
    """What a storm came to."""

    events: int
    deliveries: int  # duplicates included
    invocations: int
    wakes: int
    left: int  # messages still in a queue
    dead: int
    behind: int  # targets whose state does not know the newest minute
    restricted: int  # targets with a circuit item in force
    failing: int  # targets that really fail
    us_per_event: float
    us_per_event_alone: float  # without a queue: one invocation each
    calls: dict[str, int]  # to AWS, of the storm
    late_s: float  # virtual seconds until the last event was dealt with

    @property
    def lost(self) -> int:
        """Events that nobody looked at."""
        return self.deliveries - self.wakes


def alarm_event(target: str, *, state: str, at_s: float, event_id: str) -> dict[str, Any]:
    """Return an alarm's state change in EventBridge's form."""
    name = f"flyball/{target}/failures"
    stamp = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
    previous = "OK" if state == "ALARM" else "ALARM"
    return {
        "version": "0",
        "id": event_id,
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": ACCOUNT,
        "time": datetime.fromtimestamp(int(at_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"],
        "detail": {
            "alarmName": name,
            "state": {"value": state, "reason": "a threshold was crossed", "timestamp": stamp},
            "previousState": {"value": previous, "reason": "", "timestamp": stamp},
            "configuration": {"description": "", "metrics": []},
        },
    }


def storm_events(targets: Sequence[str], count: int, *, seed: int, now_s: float) -> list[tuple[str, str]]:
    """Return (target, event as JSON): each target at least once if there are enough, shuffled, some twice."""
    draw = Random(f"{seed}/storm")
    made = []
    for number in range(count):
        target = targets[number % len(targets)]
        state = "ALARM" if draw.random() < 0.7 else "OK"
        event = alarm_event(
            target, state=state, at_s=now_s - AGE_MAX_S * draw.random(), event_id=f"{number:012d}"
        )
        text = json.dumps(event)
        made += [(target, text)] * (1 + (draw.random() < DUPLICATE_RATIO))
    draw.shuffle(made)
    return made


def warmed(targets: int, *, seed: int) -> SoakWorld:
    """Return a world whose clients fail in the minute before the storm, not yet running."""
    count = -(-targets // 167)
    names = tuple(f"i{k % count}-service-{k:04d}" for k in range(targets))
    return SoakWorld(targets, minutes=60, seed=seed, fleet=FailingTenth(names, seed=seed, minutes=60))


class Counting:
    """The alarm handler of an installation, with its CPU time and its invocations."""

    def __init__(self, world: SoakWorld) -> None:
        self._world = world
        self.ns = 0
        self.invocations = self.wakes = 0

    def of(self, installation: Installation) -> Any:
        """Return the handler of one installation."""

        def run(event: Any, context: Any) -> Any:
            totals = installation.runtime.telemetry.totals
            wakes, emulated_ns = totals["wake_ups"], self._world.emulators_ns
            begun_ns = time.process_time_ns()
            try:
                with wiring.use_runtime(installation.runtime):
                    return alarm.handler(event, context)
            finally:
                self.invocations += 1
                self.wakes += totals["wake_ups"] - wakes
                self.ns += time.process_time_ns() - begun_ns
                self.ns -= self._world.emulators_ns - emulated_ns

        return run


def storm(events: int, *, targets: int, seed: int = 1) -> Storm:
    """Warm a fleet up, let the storm break, and wait until its queues are empty."""
    world = warmed(targets, seed=seed)
    with world.running():
        for minute in range(WARM_MIN):
            world.minute(minute)
        # The last minute has ended and can be read; the tick that would look at it is still to come.
        world.clock.advance_to(START_S + MINUTE_S * WARM_MIN + 22.0)
        made = storm_events(world.fleet.targets, events, seed=seed, now_s=world.clock.now_s())
        before = _calls(world)
        counting = Counting(world)
        queues, dead = _queues(world, counting, made)
        begun_s, late_s = world.clock.now_s(), 0.0
        while any(queue.messages for queue in queues) and world.clock.now_s() < begun_s + 3_600.0:
            world.clock.advance(1.0)
            late_s = world.clock.now_s() - begun_s
        calls = _calls(world) - before
        alone = _alone(world, made)
        newest_s = START_S + MINUTE_S * (WARM_MIN - 1)
        states = [known.state for i in world.installations for known in i.runtime.cache.values()]
        return Storm(
            events=events,
            deliveries=len(made),
            invocations=counting.invocations,
            wakes=counting.wakes,
            left=sum(len(queue.messages) for queue in queues),
            dead=sum(len(queue.messages) for queue in dead) + len(world.dead_letters.messages),
            behind=targets - sum(state.stamp_s >= newest_s for state in states),
            restricted=sum(c.valid_until > world.clock.now_s() for c in world.circuits.values()),
            failing=sum(n % 10 == 3 for n in range(targets)),
            us_per_event=counting.ns / 1e3 / len(made),
            us_per_event_alone=alone,
            calls=dict(calls),
            late_s=late_s,
        )


def _queues(
    world: SoakWorld, counting: Counting, made: Sequence[tuple[str, str]]
) -> tuple[list[Queue], list[Queue]]:
    bus = world.aws.bus
    queues, dead = [], []
    for installation in world.installations:
        letters = bus.queue(f"{installation.name}-dead")
        queue = bus.queue(f"{installation.name}-alarms", max_receive_count=3, dlq=letters)
        for target, text in made:
            if target.startswith(f"{installation.name}-"):
                queue.send(text)
        queue.feed(bus.function(f"{installation.name}-storm", counting.of(installation)))
        queues.append(queue)
        dead.append(letters)
    return queues, dead


def _alone(world: SoakWorld, made: Sequence[tuple[str, str]]) -> float:
    """Return microseconds of CPU per event when each has an invocation of its own."""
    counting = Counting(world)
    handlers = {i.name: counting.of(i) for i in world.installations}
    some = made[:SINGLES]
    for target, text in some:
        handlers[target.partition("-")[0]](json.loads(text), None)
    return counting.ns / 1e3 / len(some)


def _calls(world: SoakWorld) -> Counter[str]:
    calls = Counter(world.aws.dynamodb.calls)
    calls.update({f"appconfig {name}": n for name, n in world.aws.appconfig.calls.items()})
    calls["metric queries"] = world.metric_queries
    return calls


def print_storm(found: Storm) -> int:
    """Print what came of it; return 1 if anything was lost."""
    print(
        f"{found.events:,} events, {found.deliveries:,} with duplicates: {found.invocations:,} invocations, "
        f"over after {found.late_s:,.0f} virtual seconds"
    )
    print(
        f"  CPU an event {found.us_per_event:,.0f} us, {found.us_per_event / found.us_per_event_alone:.2f} x "
        f"that of an event that comes alone ({found.us_per_event_alone:,.0f} us)"
    )
    for name, count in sorted(found.calls.items()):
        print(f"  {name:<44}{count:>10,} {count / found.deliveries:>8.2f} an event")
    bad = {
        "lost": found.lost,
        "left in queues": found.left,
        "dead letters": found.dead,
        "behind": found.behind,
    }
    for name, count in bad.items():
        print(f"  {name:<44}{count:>10,} {'holds' if not count else 'FAILS'}")
    print(f"  {'targets restricted':<44}{found.restricted:>10,} of {found.failing:,} that fail")
    return 1 if any(bad.values()) else 0
