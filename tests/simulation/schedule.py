"""What happens in one simulated run: a list of steps drawn from a seed, told, replayed and made smaller.

A step is a word and two numbers. Every number means something in every world
(it is taken modulo what there is), so any part of a schedule is a schedule: that
is what makes shrinking possible. Who draws which faults differs from seed to
seed (swarm testing: a run in which everything fails at once hides what a single
kind of fault does). Nothing here runs anything.

Sources: Groce et al., "Swarm Testing" (ISSTA 2012); Zeller and Hildebrandt,
"Simplifying and Isolating Failure-Inducing Input" (TSE 2002), ddmin.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

CALL_FAULTS = ("throttle", "error", "lost", "retried", "late", "slow")
CLIENT_FAULTS = ("lag", "down", "freeze", "step", "restart", "copy", "poll")
WORLD_FAULTS = ("rollback", "damage", "alien", "gap", "delay")
PEOPLE = ("apply", "undo", "edit")
HEALTHS = ("healthy", "dead", "saturated", "broken", "throttled", "silent")
SLICES_S = (1, 5, 15, 30, 45, 60, 120, 120)
RESTLESS_S = (1, 5, 15, 30, 45, 60)


class Step(NamedTuple):
    """One thing that happens."""

    kind: str
    x: int = 0
    y: int = 0


class Schedule(NamedTuple):
    """A seed's options and steps; `steps` may be fewer than the seed drew."""

    seed: int
    policy: int
    empty: bool  # nothing is stored at the beginning
    steps: tuple[Step, ...]

    def tell(self) -> str:
        """Return the text that `read_back` understands."""
        words = " ".join(f"{step.kind}:{step.x}:{step.y}" for step in self.steps)
        return f"seed={self.seed} policy={self.policy} empty={int(self.empty)} | {words}"


def read_back(text: str) -> Schedule:
    """Return the schedule that `tell` told."""
    head, _, body = text.partition("|")
    options = dict(word.split("=") for word in head.split())
    steps = []
    for word in body.split():
        kind, x, y = word.split(":")
        steps.append(Step(kind, int(x), int(y)))
    return Schedule(int(options["seed"]), int(options["policy"]), options["empty"] == "1", tuple(steps))


def draw(seed: int, *, minutes: int = 17) -> Schedule:
    """Return the schedule of a seed: `minutes` of virtual time with an incident somewhere, and faults."""
    random = Random(seed)
    calls = [kind for kind in CALL_FAULTS if random.random() < 0.5]
    clients = [kind for kind in CLIENT_FAULTS if random.random() < 0.5]
    worlds = [kind for kind in WORLD_FAULTS if random.random() < 0.3]
    operator = random.random() < 0.3
    people = [kind for kind in PEOPLE if random.random() < 0.5] if random.random() < 0.3 else []
    checked = random.random() < 0.2
    rolling = random.random() < 0.2
    # Few seeds are long and restless: what is bounded per hour needs an hour.
    restless = random.random() < 0.05
    flaps = 0.25 if restless else 0.04
    steps: list[Step] = [Step("health", 0, random.choice((1, 1, 1, 2, 3, 4)))]
    left_s = 60 * minutes * (3 if restless else 1)
    while left_s > 0:
        slice_s = random.choice(RESTLESS_S if restless else SLICES_S)
        left_s -= slice_s
        steps.append(Step("time", slice_s))
        _controllers(random, steps, calls)
        if random.random() < 0.75:
            steps.append(Step("calls", random.randrange(3), random.choice((1, 2, 4))))
        if random.random() < 0.14:
            steps.append(Step("begin", random.randrange(3)))
        if random.random() < 0.14:
            steps.append(Step("end", random.randrange(3), random.randrange(2)))
        if clients and random.random() < 0.4:
            steps.append(Step(random.choice(clients), random.randrange(3), random.randrange(8)))
        if worlds and random.random() < 0.1:
            steps.append(Step(random.choice(worlds), random.randrange(4), random.randrange(8)))
        if operator and random.random() < 0.09:
            word = random.choice(("hold", "hold", "hold", "kill"))
            steps.append(Step(word, random.randrange(4), random.randrange(4)))
        if people and random.random() < 0.17:
            steps.append(Step(random.choice(people), random.randrange(8), random.randrange(8)))
        if checked:
            _checks(random, steps)
        if rolling and random.random() < 0.15:
            steps.append(Step("release", random.randrange(4)))
        if random.random() < flaps:
            steps.append(Step("health", random.randrange(2), random.choice((0, 0, 1, 2, 3, 4, 5))))
    return Schedule(seed, random.randrange(5), random.random() < 0.15, tuple(steps))


def _checks(random: Random, steps: list[Step]) -> None:
    """Write what checks came to; now and then clients fall silent, and checks are all there is."""
    for _ in range(random.choice((0, 1, 1, 2))):
        how = random.randrange(4, 8) if random.random() < 0.15 else 0
        steps.append(Step("check", random.choice((0, 0, 1)), how))
    if random.random() < 0.1:
        steps.append(Step("health", 0, HEALTHS.index("silent")))


def _controllers(random: Random, steps: list[Step], calls: list[str]) -> None:
    """Wake some controllers, let others go on for a few calls, fail or die."""
    if random.random() < 0.75:
        steps.append(Step("wake", random.randrange(3), random.randrange(8)))
    for _ in range(random.choice((0, 1, 2, 3))):
        if calls and random.random() < 0.45:
            steps.append(Step(random.choice(calls), random.randrange(4), random.randrange(4)))
        steps.append(Step("go", random.randrange(4), random.choice((1, 1, 2, 3, 9, 40))))
        if random.random() < 0.06:
            steps.append(Step("crash", random.randrange(4)))


def shrink(schedule: Schedule, fails: Callable[[Schedule], bool], *, tries: int = 400) -> Schedule:
    """Return a schedule that still fails and of whose steps none can be left out (ddmin, `tries` runs).

    Args:
        schedule: One that fails.
        fails: Whether a schedule fails in the same way.
        tries: Runs allowed; where they do not suffice the smallest found so far is returned.
    """
    steps = list(schedule.steps)
    size = max(1, len(steps) // 2)
    while tries > 0:
        at, smaller = 0, False
        while at < len(steps) and tries > 0:
            fewer = steps[:at] + steps[at + size :]
            tries -= 1
            if fails(schedule._replace(steps=tuple(fewer))):
                steps, smaller = fewer, True
            else:
                at += size
        if size == 1 and not smaller:
            break
        size = max(1, size // 2)
    return schedule._replace(steps=tuple(steps))
