"""The fleet under experiment: execution environments that run the real client, each on a clock of its own.

An environment is `flyball.environment.Runtime` with the client's own sources
(DynamoDB for circuits, AppConfig's data API for the document) and one function
behind the real guard. What it waits (answers, pauses between attempts) passes on
its own clock, so that environments wait beside each other, not one after the
other; while its clock is ahead of the world's it is busy, and the next call goes
to another one, which starts cold if there is none. That is how Lambda scales.

Knows no experiment and no verdict: it is told what goes wrong, and records calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from random import Random
from typing import Any, NamedTuple, Protocol

from flyball import faults
from flyball.aws import DynamoCircuits
from flyball.environment import Runtime
from flyball.errors import RejectedError
from flyball.guard import target
from flyball.hooks import RetryScheduled
from flyball.outcome import Outcome
from flyball.sources import DocumentSource
from flyball_local.dynamodb import TABLE_NAMES, DynamoDBService
from flyball_local.virtualclock import VirtualClock

TARGET = "payments-api"
ANSWER_S = 0.020  # of the target, when it is well
WORK_S = 0.8  # of the function itself, after the call: with it an environment serves about one call a second
FUNCTION_TIMEOUT_S = 15.0  # of the functions that call it


class Strike(NamedTuple):
    """What happens to the target's answers, in the words of `flyball.faults.inject`."""

    error: type[Exception] | None = None
    throttle: int | None = None
    timeout_s: float | None = None
    latency_s: float = 0.0
    ratio: float = 1.0


class CallRecord(NamedTuple):
    """One call: when it came (epoch seconds of the world), how it ended, what it cost.

    `attempts` reached the target, or what stood for it; `waits` are the pauses before
    retries, each with the outcome that it followed. `refused`: no attempt was made.
    `defect` is the name of an exception that nobody should have seen.
    """

    at_s: float
    took_s: float
    ok: bool
    refused: bool
    attempts: int
    waits: tuple[tuple[Outcome, float], ...]
    defect: str = ""
    environment: int = 0  # the number of the one that made it


class Surroundings(Protocol):
    """What environments need of the world: time, AWS, and what goes wrong around them."""

    clock: VirtualClock
    strikes: dict[int, Strike]  # at the target, by number
    damage: Callable[[bytes], bytes] | None  # what becomes of contents on their way from AppConfig
    cold_s: float  # what the first answer of a new environment costs
    disturbed: bool  # whether the store goes wrong: then every read is made
    struck: int  # how often anything met a fault

    def store(self) -> tuple[DynamoDBService, Any]:
        """Return the DynamoDB service, and the client of the functions."""

    def documents(self, clock: OwnClock) -> DocumentSource:
        """Return the source of documents of a new environment."""

    def log(self, line: str) -> object:
        """Take a line of a function's log."""


class OwnClock:
    """An environment's clocks: the world's, or ahead of it while it is busy; the wall clock may be wrong."""

    def __init__(self, world: VirtualClock, draw: Callable[[], float]) -> None:
        self._world = world
        self._busy_until_s = world.now_s()
        self.draw = draw
        self.wrong_by_s = 0.0

    def true_s(self) -> float:
        """Return where this environment is in the world's time, epoch seconds."""
        return max(self._busy_until_s, self._world.now_s())

    @property
    def busy(self) -> bool:
        """Whether the world has not caught up yet."""
        return self._busy_until_s > self._world.now_s()

    def wall_s(self) -> float:
        """Return what this environment takes for epoch seconds."""
        return self.true_s() + self.wrong_by_s

    def monotonic_s(self) -> float:
        """Return seconds that nobody sets."""
        return self.true_s()

    def sleep(self, seconds: float) -> None:
        """Let this environment's time pass."""
        self._busy_until_s = self.true_s() + seconds


class _Tables:
    """DynamoDB as one environment reads it: a reply that must be the same again is not asked for again."""

    def __init__(self, world: Surroundings) -> None:
        self._world = world
        self._service, self._client = world.store()
        self._revision = -1
        self._asked: object = None
        self._reply: Mapping[str, Any] = {}
        self.reads = 0
        self.failed = 0

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N803
        """Read, as boto3's client does."""
        self.reads += 1
        revision = self._service.revision(TABLE_NAMES.circuits)
        same = revision == self._revision and RequestItems == self._asked
        if same and not self._world.disturbed:
            return self._reply
        try:
            self._reply = self._client.batch_get_item(RequestItems=RequestItems)
        except Exception:
            self.failed += 1
            self._world.struck += 1
            raise
        self._revision, self._asked = revision, RequestItems
        return self._reply


class Configuration:
    """AppConfig's data API as one environment reads it; contents may be damaged on the way."""

    def __init__(self, world: Surroundings, client: Any) -> None:
        self._world = world
        self._client = client

    def start_configuration_session(self, **arguments: Any) -> Mapping[str, Any]:
        """As boto3's client does."""
        reply: Mapping[str, Any] = self._client.start_configuration_session(**arguments)
        return reply

    def get_latest_configuration(self, *, ConfigurationToken: str) -> Mapping[str, Any]:  # noqa: N803
        """As boto3's client does, but for the content."""
        reply: Mapping[str, Any] = self._client.get_latest_configuration(
            ConfigurationToken=ConfigurationToken
        )
        damage = self._world.damage
        if damage is None:
            return reply
        content = reply["Configuration"].read()
        damaged = damage(content)
        self._world.struck += damaged != content
        return {**reply, "Configuration": BytesIO(damaged)}


class Environment:
    """One execution environment of the function that calls the target."""

    def __init__(self, world: Surroundings, number: int, *, seed: int) -> None:
        """Start cold: nothing is known, nothing was read. `number` tells environments apart."""
        self._world = world
        self._number = number
        self._warm = False
        self._waits: list[tuple[Outcome, float]] = []
        self._on: dict[int, tuple[AbstractContextManager[Any], faults.Injection]] = {}
        self.clock = OwnClock(world.clock, Random(f"{seed}/{number}/client").random)
        self.tables = _Tables(world)
        self.documents: Any = world.documents(self.clock)
        self.runtime = Runtime(
            documents=self.documents,
            circuits=DynamoCircuits(client=self.tables),
            clock=self.clock,
            write=self._write,
            hooks=self._see,
        )
        handle = target(TARGET, idempotent=True, within=self.runtime)
        self._guarded = handle.guard(timeout="timeout_s")(self._ask)
        self._draws = Random(f"{seed}/{number}/faults")
        for number, strike in world.strikes.items():
            self.strike(number, strike)

    # --- what goes wrong -------------------------------------------------------------------

    def strike(self, number: int, strike: Strike) -> None:
        """Let the target's answers go wrong from now on."""
        block = faults.inject(
            TARGET, within=self.runtime, seed=self._draws.getrandbits(32), **strike._asdict()
        )
        self._on[number] = block, block.__enter__()

    def mend(self, number: int) -> None:
        """End a strike."""
        self._on.pop(number)[0].__exit__(None, None, None)

    # --- calls -----------------------------------------------------------------------------

    def call(self) -> CallRecord:
        """Make one call in an invocation of its own; the environment is busy until its end."""
        begun_s = self.clock.true_s()
        self._waits = []
        ok, refused, defect = False, False, ""
        entered = self.runtime.enter(self.clock.wall_s() + FUNCTION_TIMEOUT_S)
        before = self._injected()
        try:
            self._guarded(timeout_s=None)
            ok = True
        except RejectedError:
            refused = True
        except Exception as error:  # noqa: BLE001 - whatever comes out of the guard is what is looked for
            if faults.NOTE not in getattr(error, "__notes__", ()) and not isinstance(error, TimeoutError):
                defect = f"{type(error).__name__}: {error}"
        finally:
            self.runtime.leave(entered)
        self._world.struck += self._injected() - before
        attempts = 0 if refused else 1 + len(self._waits)
        took_s = self.clock.true_s() - begun_s
        self.clock.sleep(WORK_S)
        return CallRecord(begun_s, took_s, ok, refused, attempts, tuple(self._waits), defect, self._number)

    def _injected(self) -> int:
        return sum(injection.count for _, injection in self._on.values())

    def _ask(self, *, timeout_s: float | None = None) -> str:
        """The target, when it is well; a new environment must first come to terms with it."""
        assert timeout_s is not None  # noqa: S101 - the guard tells each attempt its time
        takes_s = ANSWER_S if self._warm else ANSWER_S + self._world.cold_s
        if self._world.cold_s and not self._warm:
            self._world.struck += 1
        if takes_s > timeout_s:
            self.clock.sleep(timeout_s)
            raise TimeoutError("no answer in time")
        self.clock.sleep(takes_s)
        self._warm = True
        return "paid"

    def _see(self, event: object) -> None:
        if isinstance(event, RetryScheduled):
            self._waits.append((event.outcome, event.wait_s))

    def _write(self, line: str) -> None:
        # The line is written at this environment's time, which the world may not have reached.
        self._world.clock.call_at(self.clock.true_s(), lambda: self._world.log(line))
