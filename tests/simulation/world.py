"""One simulated run: a schedule carried out on the whole product, and a quiet phase in which all mends.

Four controller processes, three execution environments of two functions, two
targets; one true time that only steps move. Chaos first; then everything is
mended, and within QUIET_MAX minutes each target must be nominal in the store,
in the configuration and in every environment (C10). A run that breaks a law
stops at once, so that its last step is the one that did it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from flyball.contract import FLEET
from flyball_controller.core.model import Observation, Quality
from flyball_controller.loop import Trigger
from simulation.appconfig import Profile
from simulation.clients import Environment
from simulation.controllers import Controller, Round
from simulation.dynamo import Tables
from simulation.laws import Judge, Violation
from simulation.people import POLICIES, SPANS_S, People
from simulation.process import Job
from simulation.quiet import EVERYTHING, TARGETS, mend, quiet
from simulation.recorder import Event, Recorder
from simulation.schedule import CALL_FAULTS, HEALTHS, Schedule, Step
from simulation.speed import remembering
from simulation.traffic import T0, Traffic

LAGS = ((0,), (1,), (2,), (0, 2), (3, 0, 1), (9,), (0, 1), (5, 0))
STEPS_S = (-3_600.0, -60.0, -5.0, 5.0, 60.0, 3_600.0, -1.5, 1.5)
SKEWS_S = (0.0, 1.5, -1.5, 0.5)


class Result(NamedTuple):
    """What a run came to."""

    violations: tuple[Violation, ...]
    reached: Counter[str]
    table: Counter[tuple[str, str]]  # (fault, outcome)
    rounds: int
    calls: int
    quiet_min: int
    simulated_s: float


class World:
    """Everything there is in one run."""

    def __init__(self, schedule: Schedule) -> None:
        self.now_s = T0 + 5.0
        self.bundled = POLICIES[schedule.policy % len(POLICIES)]
        self.judge = Judge(self.bundled)
        self.traffic = Traffic(TARGETS)
        self.tables = self.judge.tables = Tables(self.judge.see_write)
        self.profile = Profile(self.true_now_s, self.judge.configuration.see_deployment)
        self.judge.content_of = lambda version: self.profile.versions.get(version, (b"", ""))[0]
        self.controllers = [
            Controller(
                index,
                skew_s,
                self.bundled,
                tables=self.tables,
                profile=self.profile,
                traffic=self.traffic,
                judge=self.judge,
                now_s=self.true_now_s,
                slow=self.pass_time,
            )
            for index, skew_s in enumerate(SKEWS_S)
        ]
        self.rounds: list[Job] = []
        self.people = People(self)
        self.again: list[tuple[tuple[str, ...], Trigger]] = []
        self.table: Counter[tuple[str, str]] = Counter()
        self.rounds_begun = self.calls = 0
        self.schedule = schedule
        self.pass_time(0.0)
        if not schedule.empty:
            self.controllers[0].run(TARGETS, Trigger("tick", "first"))
        self.environments = [
            Environment(
                f"environment {index}",
                "fg"[index % 2],
                TARGETS,
                tables=self.tables,
                profile=self.profile,
                judge=self.judge,
                now_s=self.true_now_s,
                phase_s=15.0 * index,
                older=index == 2,
            )
            for index in range(3)
        ]

    def true_now_s(self) -> float:
        """Return the true time."""
        return self.now_s

    def pass_time(self, seconds: float) -> None:
        """Let time pass; late requests arrive."""
        self.now_s += seconds
        self.judge.now_s = self.now_s
        self.traffic.pass_to(self.now_s)
        if seconds > 0.0:
            self.tables.land()
            late, self.profile.late = self.profile.late, []
            for request in late:
                try:
                    request()
                except ClientError:
                    self.tables.reached["late deployment refused"] += 1

    # --- chaos -----------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """Carry out one step."""
        if step.kind in CALL_FAULTS:
            if self.rounds:
                round_ = self.rounds[step.x % len(self.rounds)]
                round_.fault, round_.slow_s = step.kind, SPANS_S[step.y % len(SPANS_S)]
            return
        who: Any = self if hasattr(self, f"do_{step.kind}") else self.people
        act: Callable[[int, int], None] = getattr(who, f"do_{step.kind}")
        act(step.x, step.y)

    def do_time(self, seconds: int, _: int) -> None:
        """Time passes."""
        self.pass_time(float(seconds))

    def do_wake(self, which: int, how: int) -> None:
        """Wake a controller: a tick, an alarm, a stream, or an event that came back."""
        idle = [c for c in self.controllers if c.round is None]
        if not idle:
            oldest = next(at for at, job in enumerate(self.rounds) if isinstance(job, Round))
            self.do_go(oldest, EVERYTHING)
            idle = [c for c in self.controllers if c.round is None]
        given: dict[str, list[Observation]] | None = None
        targets, trigger = TARGETS, Trigger("tick", f"{self.now_s:.0f}")
        if self.again and how in (3, 7):
            targets, trigger = self.again.pop(0)
        elif how in (4, 5):
            targets, trigger = ("a",), Trigger("alarm", f"a {self.now_s // 120.0}")
        elif how == 6:
            targets, trigger = ("a",), Trigger("stream", f"a {self.now_s // 60.0}")
            seen = self.traffic.seen("a", self.now_s, since_s=self.now_s - 400.0)
            whole = [w for w in seen if w.quality == Quality.OK]
            given = {"a": [*reversed(whole), *whole[:2]]}
        self.rounds.append(Round(idle[which % len(idle)], targets, trigger, given))
        self.rounds_begun += 1

    def do_go(self, which: int, calls: int) -> None:
        """Let a round make some calls."""
        if self.rounds:
            round_ = self.rounds[which % len(self.rounds)]
            round_.go(calls)
            self._look_after(round_)

    def do_crash(self, which: int, _: int) -> None:
        """Let a process die where it is."""
        if self.rounds:
            round_ = self.rounds[which % len(self.rounds)]
            if not round_.done:
                round_.faults.append("crash")
                round_.crash()
            self._look_after(round_)

    def _look_after(self, round_: Job) -> None:
        if not round_.done:
            return
        self.rounds.remove(round_)
        round_.process.round = None
        if round_.escaped is not None:
            self.judge.accuse("total", f"{type(round_).__name__} raised {round_.escaped!r}")
        round_.note(self.judge)
        outcome = round_.outcome()
        for fault in round_.faults or ["none"]:
            self.table[fault, outcome] += 1
        if isinstance(round_, Round) and (round_.report is None or round_.report.retry):
            self.again.append((tuple(round_.targets), round_.trigger))

    def do_calls(self, which: int, count: int) -> None:
        """An environment makes calls of both targets."""
        environment = self.environments[which % len(self.environments)]
        for _ in range(3 * count):
            for target in TARGETS:
                environment.call(target, self.traffic.health[target])
        self.calls += 6 * count

    def do_begin(self, which: int, _: int) -> None:
        """An environment begins calls that stay under way."""
        environment = self.environments[which % len(self.environments)]
        for _again in range(6):
            environment.begin("a")

    def do_end(self, which: int, how: int) -> None:
        """One of those ends."""
        self.environments[which % len(self.environments)].end(self.traffic.health["a"], how)

    def do_health(self, which: int, how: int) -> None:
        """A target's health changes."""
        self.traffic.change(TARGETS[which % len(TARGETS)], HEALTHS[how % len(HEALTHS)])

    # --- environments in trouble -------------------------------------------------------------

    def _environment(self, which: int, trouble: str) -> Environment:
        environment = self.environments[which % len(self.environments)]
        environment.troubles.append(trouble)
        return environment

    def do_lag(self, which: int, how: int) -> None:
        """Its reads lag behind, forth and back."""
        self._environment(which, "stale reads").lags = LAGS[how % len(LAGS)]

    def do_down(self, which: int, how: int) -> None:
        """It cannot reach the store, nor the agent."""
        environment = self._environment(which, "store down")
        environment.down_until_s = self.now_s + SPANS_S[how % len(SPANS_S)]
        environment.agent.down = how % 2 == 0

    def do_freeze(self, which: int, how: int) -> None:
        """It is frozen: time passes, and its monotonic clock stands still."""
        span_s = SPANS_S[how % len(SPANS_S)]
        self.pass_time(min(span_s, 60.0))
        self._environment(which, "frozen").clock.frozen_s += span_s

    def do_step(self, which: int, how: int) -> None:
        """Its wall clock is set."""
        self._environment(which, "clock set").clock.wall_off_s += STEPS_S[how % len(STEPS_S)]

    def do_restart(self, which: int, _: int) -> None:
        """It starts anew."""
        self._environment(which, "cold start").restart()

    def do_copy(self, which: int, _: int) -> None:
        """It is restored from a snapshot."""
        self._environment(which, "snapshot").copy()

    def do_poll(self, which: int, _: int) -> None:
        """Its agent polls before the others'."""
        self._environment(which, "early poll").agent.poll()

    def planted(self, fault: str) -> None:
        """Count a fault that meets nobody at once: it lies there until somebody comes."""
        self.table[fault, "lay there"] += 1

    # --- the rest of the world ----------------------------------------------------------------

    def do_rollback(self, _: int, __: int) -> None:
        """AppConfig takes the newest deployment back."""
        if self.profile.roll_back():
            self.judge.reached["deployment rolled back"] += 1
            self.planted("deployment rolled back")

    def alien_put(self, table: str, item: dict[str, dict[str, object]]) -> None:
        """Write past every condition, as damage does, or somebody at the console."""
        self.judge.alien = True
        self.tables.put(table, item)
        self.judge.alien = False

    def do_damage(self, which: int, where: int) -> None:
        """A stored state is damaged: a bit flips, or half of it is gone."""
        target = TARGETS[which % len(TARGETS)]
        item = self.tables.standing("states", (target,))
        if item:
            data = bytearray(item["b"]["B"])
            data[11 + where % (len(data) - 11)] ^= 1 << where % 8
            self.judge.damaged.add(target)
            self.planted("state damaged")
            self.alien_put(
                "states", {**item, "b": {"B": bytes(data[: len(data) // 2] if where > 5 else data)}}
            )

    def do_alien(self, which: int, how: int) -> None:
        """An item that no client can read stands where a circuit was."""
        target = TARGETS[which % len(TARGETS)]
        item = self.tables.standing("circuits", (target, FLEET))
        if item:
            field = "version" if how > 5 else "state"
            broken = ({"S": "ajar"}, {"S": "2"}, {"S": ""})[how % 3]
            self.alien_put("circuits", {**item, field: broken})
            self.judge.reached["circuit item damaged"] += 1
            self.planted("circuit item damaged")

    def do_gap(self, which: int, _: int) -> None:
        """A minute is lost."""
        target = TARGETS[which % len(TARGETS)]
        health = self.traffic.health[target]
        self.traffic.change(target, "silent")
        self.traffic.health[target] = health
        self.planted("minute lost")

    def do_delay(self, which: int, how: int) -> None:
        """A minute's metrics arrive late."""
        self.traffic.delay(TARGETS[which % len(TARGETS)], self.now_s, SPANS_S[how % len(SPANS_S)])
        self.planted("minute late")

    def do_release(self, which: int, _: int) -> None:
        """A controller's next container runs the other release."""
        controller = self.controllers[which % len(self.controllers)]
        controller.next_older = not controller.next_older


def run(schedule: Schedule) -> Result:
    """Carry out a schedule and its quiet phase; return what it came to."""
    with remembering():
        return _run(World(schedule))


def trace(schedule: Schedule) -> list[Event]:
    """Carry out a schedule and return what stores and clients did, for the model to look at."""
    world = World(schedule)
    recorder = Recorder(world.judge.damaged)
    world.tables.tries = recorder.see_try
    world.judge.told = recorder.see_told
    with remembering(), recorder.watching_clients():
        _run(world)
    return recorder.events


def _run(world: World) -> Result:
    schedule = world.schedule
    judge = world.judge
    try:
        for step in schedule.steps:
            world.do(step)
            if judge.violations:
                break
        quiet_min = 0
        if not judge.violations:
            mend(world)
        if not judge.violations:
            quiet_min = quiet(world)
    finally:
        for round_ in world.rounds:
            round_.crash()
    for environment in world.environments:
        world.table.update(environment.outcomes)
    judge.reached.update(world.tables.reached)
    return Result(
        tuple(judge.violations),
        judge.reached,
        world.table,
        world.rounds_begun,
        world.calls,
        quiet_min,
        world.now_s - T0,
    )
