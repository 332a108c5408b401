"""The quiet phase of a run: all faults are mended; all must become nominal (C10), with nothing lost (P5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyball.contract import CircuitState
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Mode, Quality
from flyball_controller.core.state import nominal_setpoint
from flyball_controller.loop import Trigger
from flyball_controller.publication import to_params
from simulation.speed import state_of as decode_state
from simulation.traffic import T0

if TYPE_CHECKING:
    from simulation.world import World

TARGETS = ("a", "b")
EVERYTHING = 10_000  # calls: more than any round makes
QUIET_MAX = 150  # minutes: a rolled-back content is held for 60, a hold lasts 10, a ladder has 8 holds


def mend(world: World) -> None:
    """End every fault, every round and every incident."""
    for round_ in world.rounds:
        round_.fault = ""
    while world.rounds and not world.judge.violations:
        world.do_go(0, EVERYTHING)
    for controller in world.controllers:
        controller.next_older = False
    for environment in world.environments:
        environment.lags, environment.down_until_s = (0,), -1.0
        environment.agent.down = False
        environment.clock.wall_off_s = 0.0
    for target in TARGETS:
        world.traffic.change(target, "healthy")


def quiet(world: World) -> int:
    """Let all be well for some minutes; return after how many everything is nominal (C10)."""
    for minute in range(1, QUIET_MAX + 1):
        world.pass_time(60.0)
        report = world.controllers[minute % 4].run(TARGETS, Trigger("tick", f"{world.now_s:.0f}"))
        if report.errors:
            world.judge.accuse("quiet", f"a round without faults reports {report.errors}")
        for environment in world.environments:
            for target in TARGETS:
                environment.some_calls(target, "healthy", 1 if environment.is_closed(target) else 3)
        if world.judge.configuration.record.get("edited"):
            world.people.take_over()
        if world.judge.violations:
            return minute
        if minute > 1 and not missing(world):
            _last_look(world)
            return minute
    world.judge.accuse("C10", f"after {QUIET_MAX} quiet minutes: {'; '.join(missing(world))}")
    return QUIET_MAX


def missing(world: World) -> list[str]:
    """Return what is not nominal yet."""
    found = []
    document = world.profile.standing()
    for target in TARGETS:
        policy = world.judge.configuration.in_force[-1].for_target(target)
        nominal = nominal_setpoint(policy)
        try:
            state = decode_state(world.tables.standing("states", (target,))["b"]["B"])
        except (KeyError, CheckpointError):
            found.append(f"no state of {target}")
            continue
        if state.law.applied != nominal:
            found.append(f"{target} is {state.law.regime.name}, {state.law.applied}")
        wished = to_params(nominal, policy)
        if policy.mode == Mode.ACTIVE and (document is None or document.targets.get(target) != wished):
            found.append(f"the document of {target} is not nominal")
        for environment in world.environments:
            breaker = environment.runtime.target(target)._breaker
            if breaker.state != CircuitState.CLOSED:
                found.append(f"{environment.books._name}: {target} is {breaker.state.name}")
    revision = document.revision if document else -1
    for environment in world.environments:
        has = environment.runtime.target("a").revision
        found += [f"{environment.books._name}: revision {has}"] * (has != revision)
    return found


def _last_look(world: World) -> None:
    """A process without memory looks last: what it stores has seen all there was (P5)."""
    world.controllers[0].run(TARGETS, Trigger("tick", "last"), fresh=True)
    for target in TARGETS:
        seen = world.traffic.seen(target, world.now_s, since_s=-1.0)
        newest_s = max((w.start_s for w in seen if w.quality == Quality.OK), default=-1.0)
        state = decode_state(world.tables.standing("states", (target,))["b"]["B"])
        if newest_s >= 0.0 and state.stamp_s != newest_s:  # without traffic all there is is the past
            world.judge.accuse("P5", f"{target}: stamp {state.stamp_s - T0}, evidence until {newest_s - T0}")
