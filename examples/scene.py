"""The scene of the examples: functions in many environments and the embedded AWS, on one clock.

The examples' own code is what one would deploy: it blocks, sleeps and raises as
on Lambda. Here every invocation has a stack of its own (a greenlet), and whatever
would wait lets the others go on, so that hundreds of them live through a quarter
of an hour in a second or two, in the same way in every run.

    scene = Scene(("payments",), seed=1)
    function = scene.function(Path("app.py"), "handler", environments=50, stand_ins={"provider": dependency})
    scene.start(lambda: function.invoke({"order": 1}))
    scene.run(until_s=60.0)

Times are seconds since the start. With targets the controller's real handlers run
each minute and at alarms; without, there is no flyball at all. Knows no example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from random import Random
from types import CodeType, ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import boto3
from greenlet import getcurrent, greenlet

import flyball
from flyball.aws import DynamoCircuits
from flyball.contract import Circuit, Document, decode_document
from flyball_controller.aws.settings import AppConfigIds
from flyball_controller.policy_file import load_policy
from flyball_local.demo.cloud import Cloud
from flyball_local.demo.published import CIRCUITS_TABLE
from flyball_local.embedded import START_S
from flyball_local.eventbus import EventBus
from flyball_local.virtualclock import VirtualClock

COLD_START_S = 0.4  # of a function of this size; it is waited for, and not billed to the handler's time-out


class TimedOutError(BaseException):
    """Lambda has killed the environment: the function's time-out is over. No handler can catch it."""


class Alarm:
    """Somebody who waits: until when, and how to wake him earlier or later."""

    def __init__(self, clock: VirtualClock, at_s: float) -> None:
        self._clock = clock
        self._stack = getcurrent()
        self._call = clock.call_at(at_s, self._stack.switch)

    def move(self, at_s: float) -> None:
        """Wake at another time; nothing if he is awake already."""
        if self._call.pending:
            self._call.cancel()
            self._call = self._clock.call_at(at_s, self._stack.switch)

    def cancel(self) -> None:
        """Let him sleep."""
        self._call.cancel()


class Scene:
    """A clock, a place for stacks, and the controller's handlers on an embedded AWS if there are targets."""

    def __init__(self, targets: Sequence[str] = (), *, seed: int = 1, policy: str = "two-loop") -> None:
        """Set up; `policy` is a preset or a policy file."""
        self.clock = VirtualClock(START_S)
        self.seed = seed
        self.functions: list[Function] = []
        self.failures: list[BaseException] = []
        self.clients: dict[str, Any] = {}  # what boto3.client(NAME) is while a function is imported
        self._hub = getcurrent()  # where the clock runs; whoever waits goes back to it
        self._open = ExitStack()
        self.cloud: Cloud | None = None
        self.bus = EventBus(self.clock, seed=seed)
        if targets:
            self.cloud = Cloud(self.clock, targets, policies=load_policy(policy), seed=seed)
            self._open.enter_context(self.cloud.running())

    def now_s(self) -> float:
        """Return seconds since the start."""
        return self.clock.now_s() - START_S

    def random(self, purpose: str) -> Random:
        """Return a stream of random numbers of its own for a purpose."""
        return Random(f"{self.seed}/{purpose}")

    def wait_until(self, at_s: float, told: Callable[[Alarm], object] | None = None) -> None:
        """Wait, in a stack of the scene, until `at_s` (epoch seconds); `told` gets the alarm before."""
        alarm = Alarm(self.clock, at_s)
        if told is not None:
            told(alarm)
        if getcurrent() is self._hub:
            raise RuntimeError("only what the scene has started can wait: see Scene.start")
        try:
            self._hub.switch()
        finally:
            alarm.cancel()

    def sleep(self, seconds: float) -> None:
        """Wait, in a stack of the scene."""
        self.wait_until(self.clock.now_s() + max(0.0, seconds))

    def start(self, job: Callable[[], object], *, at_s: float = 0.0) -> greenlet:
        """Run a job in a stack of its own from `at_s` on; an error ends the whole run."""

        def guarded() -> None:
            try:
                job()
            except TimedOutError:
                return
            except Exception as error:  # noqa: BLE001 - raised again by run(), outside of this stack
                self.failures.append(error)

        stack = greenlet(guarded)
        self.clock.call_at(START_S + at_s, stack.switch)
        return stack

    def traffic(
        self, rate: float, until_s: float, job: Callable[[int], object], *, from_s: float = 0.0
    ) -> None:
        """Start `job(number)` at random moments, `rate` a second on average."""
        draws, at_s, number = self.random("traffic"), from_s, 0
        while (at_s := at_s + draws.expovariate(rate)) < until_s:
            number += 1
            self.start(partial(job, number), at_s=at_s)

    def function(
        self,
        source: Path,
        handler: str,
        *,
        environments: int,
        timeout_s: float = 30.0,
        stand_ins: Mapping[str, Any] | None = None,
    ) -> Function:
        """Return a Lambda function made of a file; `stand_ins` replace names of the module."""
        made = Function(self, source, handler, environments, timeout_s, stand_ins or {})
        self.functions.append(made)
        return made

    def run(self, until_s: float) -> None:
        """Let time pass until `until_s`; raises what a job raised."""
        before = flyball.configure(None)
        try:
            self.clock.advance_to(START_S + until_s)
        finally:
            flyball.configure(before)
        if self.failures:
            raise self.failures[0]

    def close(self) -> None:
        """End the controller's handlers."""
        self._open.close()

    def decisions(self, target: str) -> list[str]:
        """Return what the controller changed, as "minute:second regime budget circuit"."""
        if self.cloud is None:
            return []
        records = self.cloud.journal.read(target, since_s=START_S, until_s=self.clock.now_s() + 1.0)
        return [_decision(record) for record in records if record.get("changed")]

    def new_runtime(self, name: str, number: int) -> flyball.Runtime:
        """Return the client's runtime of one environment, reading what the controller publishes."""
        clock = SceneClock(self, f"{name}/{number}")
        if self.cloud is None:
            return flyball.Runtime(function=name, clock=clock, write=lambda line: None)
        cloud = self.cloud
        return flyball.Runtime(
            function=name,
            clock=clock,
            documents=_Documents(cloud, cloud.resources.config),
            circuits=_Circuits(cloud),
            write=cloud.aws.cloudwatch.ingest_emf,
        )


class SceneClock:
    """What the client knows of time: the scene's."""

    def __init__(self, scene: Scene, purpose: str) -> None:
        self.wall_s = scene.clock.now_s
        self.monotonic_s = scene.clock.now_s
        self.sleep = scene.sleep
        self.draw = scene.random(purpose).random


class Answer(NamedTuple):
    """What an invocation came to: its result, or the type and text of its error as Lambda reports them."""

    result: Any
    error: str = ""
    text: str = ""
    took_s: float = 0.0


class Function:
    """A Lambda function: environments with module state of their own, the one used last first."""

    def __init__(
        self,
        scene: Scene,
        source: Path,
        handler: str,
        environments: int,
        timeout_s: float,
        stand_ins: Mapping[str, Any],
    ) -> None:
        self.name = source.stem
        self.invocations = 0
        self.billed_s = 0.0
        self.environments = 0
        self._scene = scene
        self._source = source
        self._handler = handler
        self._most = environments
        self._timeout_s = timeout_s
        self._stand_ins = stand_ins
        self._idle: list[_Environment] = []

    def invoke(self, event: Mapping[str, Any]) -> Answer:
        """Invoke, in a stack of the scene, and wait for the answer; never raises for the handler."""
        self.invocations += 1
        clock = self._scene.clock
        arrived_s = clock.now_s()
        if self._idle:
            environment = self._idle.pop()
        elif self.environments < self._most:
            self.environments += 1
            self._scene.sleep(COLD_START_S)
            environment = _Environment(self._scene, self, self.environments, self._source, self._stand_ins)
        else:
            return Answer(None, "TooManyRequestsException", "Rate Exceeded")
        begun_s = clock.now_s()
        answer = environment.run(getattr(environment.module, self._handler), event, begun_s + self._timeout_s)
        self.billed_s += clock.now_s() - begun_s
        if answer.error == "Sandbox.Timedout":
            self.environments -= 1  # the process is gone
        else:
            self._idle.append(environment)
        return answer._replace(took_s=clock.now_s() - arrived_s)


class _Context(NamedTuple):
    """What Lambda hands to a handler."""

    clock: VirtualClock
    ends_s: float
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.ends_s - self.clock.now_s()) * 1_000.0))


class _Environment:
    """One execution environment: a module of its own and a client of its own."""

    def __init__(
        self, scene: Scene, function: Function, number: int, source: Path, stand_ins: Mapping[str, Any]
    ) -> None:
        self._scene = scene
        self._name = f"{function.name}-{number}"
        self._runs = 0
        self.runtime = scene.new_runtime(function.name, number)
        flyball.configure(self.runtime)
        with patch.object(boto3, "client", scene.clients.__getitem__):
            self.module = _load(source, self._name)
        for name, stand_in in stand_ins.items():
            if not hasattr(self.module, name):
                raise AttributeError(f"{source.name} has no {name!r} for which something could stand in")
            setattr(self.module, name, stand_in)

    def run(self, handler: Callable[[Any, Any], Any], event: Mapping[str, Any], ends_s: float) -> Answer:
        """Run one invocation in a stack of its own, which is killed when its time is over."""
        self._runs += 1
        context = _Context(self._scene.clock, ends_s, f"{self._name}-{self._runs}")
        found: list[Answer] = []

        def body() -> None:
            try:
                found.append(Answer(handler(event, context)))
            except TimedOutError:
                found.append(Answer(None, "Sandbox.Timedout", "Task timed out"))
            except Exception as error:  # noqa: BLE001 - Lambda reports whatever a handler raises
                found.append(Answer(None, type(error).__name__, str(error)))

        stack = _Stack(self.runtime, body)  # its parent is the caller, who goes on when it ends
        killer = self._scene.clock.call_at(ends_s, lambda: stack.throw(TimedOutError()))
        stack.switch()
        killer.cancel()
        return found[0]


class _Stack(greenlet):
    """A stack in which the process's flyball runtime is that of its environment, whenever it runs."""

    def __init__(self, runtime: flyball.Runtime, body: Callable[[], object]) -> None:
        super().__init__(body)
        self._runtime = runtime

    def switch(self, *args: Any, **kwargs: Any) -> Any:
        """Go on, under the environment's own runtime."""
        flyball.configure(self._runtime)
        return super().switch(*args, **kwargs)

    def throw(self, *args: Any) -> Any:
        """End it, under the environment's own runtime."""
        flyball.configure(self._runtime)
        return super().throw(*args)


class _Documents:
    """The AppConfig Agent beside an environment, without its socket."""

    def __init__(self, cloud: Cloud, ids: AppConfigIds) -> None:
        self._agent = cloud.aws.appconfig.agent(
            ids.application_id, ids.environment_id, ids.profile_id, thaw_stale=True
        )

    def read(self) -> Document | None:
        """Return the document, None if there is none yet."""
        content = self._agent.get()
        return None if content is None else decode_document(content)


class _Circuits:
    """The circuits' table; if nobody has written to it since, it is not read again: that saves time only."""

    def __init__(self, cloud: Cloud) -> None:
        self._source = DynamoCircuits(client=cloud.client("dynamodb"), table=CIRCUITS_TABLE)
        self._dynamodb = cloud.aws.dynamodb
        self._revision = -1
        self._known: Sequence[Circuit] = ()

    def read(self, targets: Sequence[str], function: str) -> Sequence[Circuit]:
        """Return the items of these targets."""
        revision = self._dynamodb.revision(CIRCUITS_TABLE)
        if revision != self._revision:
            self._known = self._source.read(targets, function)
            self._revision = revision
        return self._known


def _load(source: Path, name: str) -> ModuleType:
    """Import a file anew, under a name of its own: module state belongs to one environment."""
    module = ModuleType(name.replace("-", "_"))
    module.__file__ = str(source)
    exec(_compiled(source), module.__dict__)  # noqa: S102 - the examples' own files
    return module


@cache
def _compiled(source: Path) -> CodeType:
    return compile(source.read_text(), str(source), "exec")


def _decision(record: Mapping[str, Any]) -> str:
    applied: Mapping[str, Any] = record["applied"]
    minutes, seconds = divmod(int(record["at_s"] - START_S), 60)
    circuit = str(applied["circuit"]).lower().replace("_", "-")
    regime = str(record["regime"]).lower().replace("_", " ")
    return (
        f"{minutes:02d}:{seconds:02d}  {regime}: retry budget {applied['budget_ratio']:g}, circuit {circuit}"
    )
