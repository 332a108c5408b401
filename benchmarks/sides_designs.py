"""The designs of the side by side, each over the code that would run in production.

* flyball: the real client; with retries, without (the fair line beside breakers
  that make none), and with the real decision step once a minute whose circuit
  item goes through the shared store;
* Powertools' circuit breaker, installed code, over a store in memory that can be
  down (its DynamoDB store makes the same calls);
* pybreaker, installed code, one object per environment: in memory, and with its
  Redis storage on fakeredis.

Clocks are patched, nothing else. Configuration is each library's usual one:
five failures open, thirty seconds until a trial.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import fakeredis
import pybreaker
from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerOpenError, circuit_breaker
from aws_lambda_powertools.utilities.circuit_breaker import base as powertools_base
from redis.exceptions import ConnectionError as RedisConnectionError

import fleet_designs
from fleet_designs import (
    FAILURES,
    PAUSE_S,
    ControlledFleet,
    DependencyError,
    FlyballFleet,
    PowertoolsEnvironment,
    Published,
    learned_state,
)
from fleet_world import TARGET, Arrival
from flyball.errors import SourceError
from flyball.outcome import Rejected, RejectReason
from flyball.records import Circuit
from flyball.sources import StaticDocuments
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy
from powertools_memory import Items, MemoryPersistence
from sides_world import Replaceable, SidesWorld, StoreDownError

ALONE = "flyball client"
ALONE_ONCE = "flyball client, no retries"
CONTROLLED = "flyball client + controller"
POWERTOOLS = "Powertools circuit_breaker"
PYBREAKER = "pybreaker, in memory"
PYBREAKER_REDIS = "pybreaker, Redis"


class FlyballSide(FlyballFleet):
    """The client in every environment, alone."""

    idempotent = True

    def __init__(
        self,
        world: SidesWorld,
        published: Published | None = None,
        documents: StaticDocuments | None = None,
    ) -> None:
        self.sides = world
        FlyballFleet.__init__(
            self, world, published, documents
        )  # not super: ControlledSide has its own beginning

    def offer(self, environment: int, arrival: Arrival) -> None:
        """Begin the call as the guard would."""
        world = self.world
        self.runtimes[environment].poll(world.now_s, world.now_s)
        call = self.targets[environment].begin(world.now_s, world.draw(), idempotent=self.idempotent)
        if isinstance(call, Rejected):
            world.refuse(arrival, by_circuit=call.reason == RejectReason.CIRCUIT_OPEN)
        else:
            self._attempt(call, arrival)

    def renew(self, index: int) -> None:
        """Start an environment afresh; what the old one had counted was flushed when it ended."""
        kept = self.targets[index].counters
        self.runtimes[index] = runtime = self.new_runtime()
        self.targets[index] = runtime.target(TARGET)
        self.targets[index].counters = kept


class FlyballOnce(FlyballSide):
    """Without retries, as for calls that must not be repeated."""

    idempotent = False


class SharedItem(Published):
    """The circuits table behind the world's store."""

    def __init__(self, world: SidesWorld) -> None:
        super().__init__()
        self._world = world

    def read(self, targets: Sequence[str], function: str) -> Sequence[Circuit]:
        """Return the item, if there is one and the store answers."""
        try:
            self._world.store_call()
        except StoreDownError as error:
            raise SourceError("the store is down") from error
        return self.items


class ControlledSide(FlyballSide, ControlledFleet):
    """The client and the controller, whose state and item live in the shared store."""

    def __init__(self, world: SidesWorld) -> None:
        policy = Policy()
        self.published = SharedItem(world)
        FlyballSide.__init__(self, world, self.published, fleet_designs.applied_document(policy))
        self.state = learned_state(world.scenario, policy, world.now_s)
        self.policy = policy
        self.version = 0
        world.later(world.now_s + fleet_designs.PERIOD_S, self._close_window)

    def _decide(self, seen: Observation) -> None:
        """Load, decide, save, publish; with the store down the round does nothing."""
        try:
            self.sides.store_call()
            before = self.published.items
            super()._decide(seen)
            self.sides.store_call()
            if self.published.items is not before:
                self.sides.store_call()
        except StoreDownError:
            return


class StoreInMemory(MemoryPersistence):
    """Powertools' store in memory, behind the world's store."""

    def __init__(self, world: SidesWorld, items: Items) -> None:
        super().__init__(items, now_s=world.wall_s)
        self._world = world

    def _get_record(self, name: str) -> Any:
        self._world.store_call()
        return super()._get_record(name)

    def _put_record(self, *args: Any, **kwargs: Any) -> None:
        self._world.store_call()
        super()._put_record(*args, **kwargs)

    def _update_record(self, *args: Any, **kwargs: Any) -> None:
        self._world.store_call()
        super()._update_record(*args, **kwargs)


class PowertoolsSide:
    """The installed breaker in every environment, one store for all. Use inside `patched`."""

    def __init__(self, world: SidesWorld) -> None:
        self.world = world
        self._items: Items = {}
        self._made = 0
        self._environments = [self._environment() for _ in range(world.scenario.environments)]

    def _environment(self) -> PowertoolsEnvironment:
        @circuit_breaker(name=TARGET, persistence_store=StoreInMemory(self.world, self._items))
        def guarded(arrival: Arrival) -> None:
            if not self.world.attempt(arrival):
                raise DependencyError

        self._made += 1
        owner = SimpleNamespace(pid=os.getpid(), id=f"environment {self._made}")
        return PowertoolsEnvironment({}, {}, {}, owner, guarded)

    def renew(self, index: int) -> None:
        """Start an environment afresh."""
        self._environments[index] = self._environment()

    def offer(self, environment: int, arrival: Arrival) -> None:
        """Call the decorated function with the environment's own module state in place."""
        inside = self._environments[environment]
        powertools_base._LOCAL_FAILURES = inside.failures
        powertools_base._LOCAL_SUCCESSES = inside.successes
        powertools_base._LAST_OBSERVED_STATE = inside.observed
        powertools_base._PROBE_OWNER = inside.owner
        conclude(self.world, arrival, inside.guarded, CircuitBreakerOpenError)


def conclude(
    world: SidesWorld, arrival: Arrival, guarded: Callable[[Arrival], None], refusal: type[Exception]
) -> None:
    """Make the guarded call and book how it ended."""
    try:
        guarded(arrival)
    except refusal:
        world.refuse(arrival)
    except DependencyError:
        world.conclude(arrival, well=False)
    except Exception:  # noqa: BLE001 - whatever the guard raises of its own is what is counted
        world.guard_errors += 1
    else:
        world.conclude(arrival, well=True)


class PybreakerSide:
    """A breaker of its own in every environment."""

    def __init__(self, world: SidesWorld) -> None:
        self.world = world
        self._breakers = [self._breaker() for _ in range(world.scenario.environments)]

    def _storage(self) -> pybreaker.CircuitBreakerStorage:
        return pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)

    def _breaker(self) -> Any:
        return pybreaker.CircuitBreaker(
            fail_max=FAILURES, reset_timeout=PAUSE_S, state_storage=self._storage()
        )

    def renew(self, index: int) -> None:
        """Start an environment afresh; one whose breaker cannot be made keeps failing until it can."""
        try:
            self._breakers[index] = self._breaker()
        except RedisConnectionError:
            self._breakers[index] = None

    def offer(self, environment: int, arrival: Arrival) -> None:
        """Call through the breaker."""
        reached = False

        def guarded(arrival: Arrival) -> None:
            nonlocal reached
            reached = True
            if not self.world.attempt(arrival):
                raise DependencyError

        breaker = self._breakers[environment]
        try:
            breaker.call(guarded, arrival)
        except pybreaker.CircuitBreakerError:
            # The call that trips the circuit raises it too, after the dependency was asked.
            if reached:
                self.world.conclude(arrival, well=False)
            else:
                self.world.refuse(arrival)
        except DependencyError:
            self.world.conclude(arrival, well=False)
        except Exception:  # noqa: BLE001 - as in `conclude`
            self.world.guard_errors += 1
        else:
            self.world.conclude(arrival, well=True)


class CountingRedis:
    """A Redis client whose every round trip is a call to the world's store."""

    def __init__(self, world: SidesWorld) -> None:
        self._world = world
        self._redis = fakeredis.FakeStrictRedis(server=fakeredis.FakeServer())

    def __getattr__(self, name: str) -> Any:
        command = getattr(self._redis, name)

        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                self._world.store_call()
            except StoreDownError as error:
                raise RedisConnectionError("the store is down") from error
            return command(*args, **kwargs)

        return run


class PybreakerRedisSide(PybreakerSide):
    """The same with one Redis for all."""

    def __init__(self, world: SidesWorld) -> None:
        self._redis = CountingRedis(world)
        super().__init__(world)

    def _storage(self) -> pybreaker.CircuitBreakerStorage:
        return pybreaker.CircuitRedisStorage(pybreaker.STATE_CLOSED, self._redis)


@contextmanager
def patched(world: SidesWorld) -> Iterator[None]:
    """Make the peers' breakers read the world's clock and keep their logs to themselves."""
    before = pybreaker.datetime

    class Now(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return dt.datetime.fromtimestamp(world.now_s, tz)

    loggers = [powertools_base.logger, fleet_designs.powertools_store.logger]
    loggers.append(pybreaker.CircuitRedisStorage.logger)
    disabled = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    pybreaker.datetime = Now  # type: ignore[misc]
    try:
        with fleet_designs.patched(world):
            yield
    finally:
        pybreaker.datetime = before  # type: ignore[misc]
        for logger, was in zip(loggers, disabled, strict=True):
            logger.disabled = was


DESIGNS: dict[str, Callable[[SidesWorld], Replaceable]] = {
    ALONE: FlyballSide,
    ALONE_ONCE: FlyballOnce,
    CONTROLLED: ControlledSide,
    POWERTOOLS: PowertoolsSide,
    PYBREAKER_REDIS: PybreakerRedisSide,
    PYBREAKER: PybreakerSide,
}
