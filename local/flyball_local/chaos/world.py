"""The world of an experiment: fleet, embedded AWS and the real handlers on one virtual clock.

Calls arrive evenly, one `1 / rate` seconds after the other, and go to the first
environment that is free. Everything between the environments' log lines and what
they read again is the demo's `Cloud`: CloudWatch, alarm, EventBridge, both
handlers, DynamoDB, AppConfig. The day before was calm: the controller has
learned from it, as it would have in production.

What goes wrong is switched by `flyball_local.chaos.faults`; here are the switches.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from botocore.config import Config

from flyball.appconfigdata import TIMEOUT_S as APPCONFIG_TIMEOUT_S
from flyball.appconfigdata import AppConfigDataDocuments
from flyball.aws import TIMEOUT_S as DYNAMODB_TIMEOUT_S
from flyball.records import CircuitState
from flyball.sources import DocumentSource
from flyball.telemetry import NAMESPACE
from flyball_controller.policy_set import PolicySet
from flyball_local.chaos.fleet import TARGET, CallRecord, Configuration, Environment, OwnClock, Strike
from flyball_local.cloudwatch import metric_key
from flyball_local.delivery import DeliveryFaults
from flyball_local.demo.cloud import UNKINDNESS, UNVALIDATED, Cloud
from flyball_local.dynamodb import DynamoDBService
from flyball_local.embedded import START_S
from flyball_local.virtualclock import VirtualClock

RATE_PER_S = 5.0  # calls of the whole fleet
MINUTE_S = 60
HISTORY_MINUTES = 1_440  # one day: every minute of the hour 24 times
ENVIRONMENTS_MAX = 400  # beyond it calls are turned away, as an account's concurrency does
HISTORY_FAILURES_EVERY = 10  # minutes of the calm day, one failed first attempt in each such


class World:
    """One target, its callers, and flyball. A context manager; time passes in `run_to`."""

    def __init__(self, policies: PolicySet, *, seed: int) -> None:
        """Build everything and write the day before; nothing runs yet."""
        self.clock = VirtualClock(START_S)
        self.cloud = Cloud(self.clock, (TARGET,), policies=policies, seed=seed)
        self.calls: list[CallRecord] = []
        self.environments: list[Environment] = []  # that serve calls
        self.everybody: list[Environment] = []  # that were ever started
        self.turned_away = 0
        self.under_open = 0  # calls that came while the controller held the circuit open
        # The switches.
        self.strikes: dict[int, Strike] = {}
        self.damage: Callable[[bytes], bytes] | None = None
        self.cold_s = 0.0
        self.rate_factor = 1.0
        self.disturbed = False
        self.wrong_by_s: tuple[float, ...] = (0.0,)  # wall clocks, in turn
        self.struck = 0
        self._seed = seed
        self._next_s = self.clock.now_s()
        impatient = Config(read_timeout=DYNAMODB_TIMEOUT_S).merge(UNVALIDATED)
        self._dynamodb = self.cloud.aws.client("dynamodb", config=impatient)
        patient = Config(read_timeout=APPCONFIG_TIMEOUT_S).merge(UNVALIDATED)
        self._appconfigdata = self.cloud.aws.client("appconfigdata", config=patient)
        self._stack = ExitStack()
        self._write_history()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.cloud.running())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- what environments need ------------------------------------------------------------

    def store(self) -> tuple[DynamoDBService, Any]:
        """Return the DynamoDB service, and the functions' client, as impatient as the library's own."""
        return self.cloud.aws.dynamodb, self._dynamodb

    def documents(self, clock: OwnClock) -> DocumentSource:
        """Return the source of documents of a new environment: AppConfig's data API, asked as by default."""
        ids = self.cloud.resources.config
        return AppConfigDataDocuments(
            ids.application_id,
            ids.environment_id,
            ids.profile_id,
            client=Configuration(self, self._appconfigdata),
            clock=clock,
        )

    def log(self, line: str) -> object:
        """Take a line of a function's log, as CloudWatch does."""
        return self.cloud.aws.cloudwatch.ingest_emf(line)

    # --- time ------------------------------------------------------------------------------

    def run_to(self, at_s: float) -> None:
        """Let time pass until `at_s` (epoch seconds), with the calls that come meanwhile."""
        while self._next_s < at_s:
            self.clock.advance_to(max(self.clock.now_s(), self._next_s))
            self._one_call()
            self._next_s += 1.0 / (RATE_PER_S * self.rate_factor)
        self.clock.advance_to(max(self.clock.now_s(), at_s))

    def _one_call(self) -> None:
        self.under_open += self.circuit in (CircuitState.OPEN, CircuitState.FORCED_OPEN)
        environment = next((known for known in self.environments if not known.clock.busy), None)
        if environment is None:
            if len(self.environments) >= ENVIRONMENTS_MAX:
                self.turned_away += 1
                return
            environment = self._start()
        self.calls.append(environment.call())

    def _start(self) -> Environment:
        number = len(self.everybody)
        environment = Environment(self, number, seed=self._seed)
        environment.clock.wrong_by_s = self.wrong_by_s[number % len(self.wrong_by_s)]
        self.environments.append(environment)
        self.everybody.append(environment)
        return environment

    # --- switches --------------------------------------------------------------------------

    def strike(self, number: int, strike: Strike) -> None:
        """Let the target's answers go wrong, for all environments and those to come."""
        self.strikes[number] = strike
        for environment in self.environments:
            environment.strike(number, strike)

    def mend(self, number: int) -> None:
        """End a strike."""
        del self.strikes[number]
        for environment in self.environments:
            environment.mend(number)

    def replace_environments(self) -> None:
        """Deploy: nobody who is known serves another call."""
        self.environments = []

    def set_clocks(self, *wrong_by_s: float) -> None:
        """Set the environments' wall clocks wrong by these numbers of seconds, in turn."""
        self.wrong_by_s = wrong_by_s
        for number, environment in enumerate(self.environments):
            environment.clock.wrong_by_s = wrong_by_s[number % len(wrong_by_s)]

    def reach_controller(self, reachable: bool) -> None:
        """Let ticks and alarms reach the controller, or none of them."""
        self.cloud.aws.bus.faults = UNKINDNESS if reachable else DeliveryFaults(lost_ratio=1.0)

    # --- what can be seen ------------------------------------------------------------------

    @property
    def circuit(self) -> CircuitState:
        """The state in which the controller holds the circuit; CLOSED if it knows nothing yet."""
        known = self.cloud.runtime.cache.get(TARGET)
        return CircuitState.CLOSED if known is None else known.state.law.applied.circuit

    @property
    def rounds(self) -> int:
        """How often a handler of the controller ran so far."""
        counts = self.cloud.counts()
        return counts["ticks"] + counts["alarm_events"]

    def _write_history(self) -> None:
        """Write a calm day, as the fleet would have reported it."""
        store = self.cloud.aws.cloudwatch.store
        keys = {
            name: metric_key(NAMESPACE, name, {"target": TARGET})
            for name in ("requests", "attempts", "first_attempt_failures", "errors_fast")
        }
        now_s = self.clock.now_s()
        for minute in range(HISTORY_MINUTES):
            at_s = now_s - (HISTORY_MINUTES - minute) * MINUTE_S
            failed = float(minute % HISTORY_FAILURES_EVERY == 0)
            requests = RATE_PER_S * MINUTE_S
            values = (requests, requests + failed, failed, failed)
            for key, value in zip(keys.values(), values, strict=True):
                if value:
                    store.put(key, value, at_s=at_s, now_s=at_s + 2 * MINUTE_S, unit="Count")
