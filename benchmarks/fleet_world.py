"""A fleet and its failing dependency on a virtual clock: who calls when, what comes back, what is counted.

Knows no breaker. A design is told of each call and answers through `World`:
`attempt` asks the dependency, `refuse` says that a call was not made, `conclude`
how one ended, `later` wakes it up. All designs meet the same calls at the same
times with the same luck on the first attempt.

Model, and its limits: arrivals are Poisson and spread evenly over the
environments (Lambda favours warm ones, which concentrates traffic and helps
whoever counts per environment); an attempt takes no time, only waiting does;
the dependency fails each attempt with a fixed ratio, whatever its load.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

TARGET = "payments-api"
START_S = 1_800_000_000.0  # a whole minute
WARM_S = 180.0  # healthy traffic before the outage
OUTAGE_S = 300.0
AFTER_S = 420.0
BACKGROUND_RATIO = 0.001  # errors of a healthy dependency
# Recovered is who lets through this share of the calls in every slice from then on.
NORMAL_SHARE = 0.95
SLICE_S = 5.0


class Scenario(NamedTuple):
    """One outage of one fleet."""

    environments: int
    requests_per_s: float
    error_ratio: float
    timeouts: bool  # how failures look: nothing comes back in time, or an error at once


class Arrival(NamedTuple):
    """One call that a user asks for."""

    at_s: float
    environment: int
    luck: float  # uniform in [0, 1); the first attempt fails if it is under the error ratio


class Design(Protocol):
    """Something that stands between callers and the dependency, in every environment."""

    def offer(self, environment: int, arrival: Arrival) -> None:
        """Take a call: attempt it, or refuse it."""
        ...


class Outage(NamedTuple):
    """What one run showed. Times are seconds since the begin or the end of the outage; -1 = never."""

    offered: int
    reached: int  # calls whose first attempt was made
    attempts: int  # made during the outage, retries included
    answered: int  # calls answered well, also by a retry
    first_open_s: float  # first call refused by an open circuit
    recovery_s: float  # until calls pass again; 0 = they always did
    refused_healthy: int  # calls refused before the outage: false alarms


class World:
    """The clock, the dependency and the books of one run. Also the Clock of everything in it."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.now_s = START_S
        self._arrivals = random.Random(f"arrivals {seed}")
        self._random = random.Random(f"design {seed}")
        # Where in the minute it begins decides how soon a minute's metric shows it.
        self.outage_s = START_S + WARM_S + 60.0 * self._arrivals.random()
        self.over_s = self.outage_s + OUTAGE_S
        self.end_s = self.over_s + AFTER_S
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self.offered = self.reached = self.attempts = self.answered = self.refused_healthy = 0
        self.first_open_s = -1.0
        self._slices = [[0, 0] for _ in range(int(AFTER_S / SLICE_S) + 1)]  # after the outage: offered, made

    # --- the clock ----------------------------------------------------------------------

    def wall_s(self) -> float:
        """Return epoch seconds."""
        return self.now_s

    def monotonic_s(self) -> float:
        """Return the same: nothing freezes here."""
        return self.now_s

    def draw(self) -> float:
        """Return a number uniform in [0, 1)."""
        return self._random.random()

    def sleep(self, seconds: float) -> None:
        """Nobody waits in here."""
        raise NotImplementedError

    def later(self, at_s: float, wake: Callable[[], None]) -> None:
        """Call `wake` at `at_s`."""
        self._sequence += 1
        heappush(self._events, (at_s, self._sequence, wake))

    # --- the dependency -----------------------------------------------------------------

    def _error_ratio(self) -> float:
        return self.scenario.error_ratio if self.outage_s <= self.now_s < self.over_s else BACKGROUND_RATIO

    def attempt(self, arrival: Arrival, *, first: bool = True) -> bool:
        """Ask the dependency; whether it answered well."""
        if self.outage_s <= self.now_s < self.over_s:
            self.attempts += 1
        if first:
            self._note_made(arrival)
        luck = arrival.luck if first else self._random.random()
        return luck >= self._error_ratio()

    def _note_made(self, arrival: Arrival) -> None:
        if self.in_outage(arrival):
            self.reached += 1
        elif arrival.at_s >= self.over_s:
            self._slice(arrival)[1] += 1

    def refuse(self, arrival: Arrival, *, by_circuit: bool = True) -> None:
        """Count a call that was not made."""
        if arrival.at_s < self.outage_s:
            self.refused_healthy += 1
        elif by_circuit and self.first_open_s < 0.0:
            self.first_open_s = arrival.at_s - self.outage_s

    def conclude(self, arrival: Arrival, *, well: bool) -> None:
        """Count a call that is over."""
        if well and self.in_outage(arrival):
            self.answered += 1

    def in_outage(self, arrival: Arrival) -> bool:
        """Whether the call was asked for during the outage."""
        return self.outage_s <= arrival.at_s < self.over_s

    def _slice(self, arrival: Arrival) -> list[int]:
        return self._slices[int((arrival.at_s - self.over_s) / SLICE_S)]

    # --- a run --------------------------------------------------------------------------

    def _calls(self) -> Iterator[Arrival]:
        scenario, draws = self.scenario, self._arrivals
        at_s = START_S
        while True:
            at_s += draws.expovariate(scenario.requests_per_s)
            if at_s >= self.end_s:
                return
            yield Arrival(at_s, draws.randrange(scenario.environments), draws.random())

    def run(self, design: Design) -> Outage:
        """Let every call happen, and everything that was put off in between."""
        for arrival in self._calls():
            while self._events and self._events[0][0] <= arrival.at_s:
                self.now_s, _, wake = heappop(self._events)
                wake()
            self.now_s = arrival.at_s
            if self.in_outage(arrival):
                self.offered += 1
            elif arrival.at_s >= self.over_s:
                self._slice(arrival)[0] += 1
            design.offer(arrival.environment, arrival)
        return Outage(
            self.offered,
            self.reached,
            self.attempts,
            self.answered,
            self.first_open_s,
            self._recovery_s(),
            self.refused_healthy,
        )

    def _recovery_s(self) -> float:
        bad = [i for i, (offered, made) in enumerate(self._slices) if made < NORMAL_SHARE * offered]
        if not bad:
            return 0.0
        last = bad[-1] + 1
        return -1.0 if last >= len(self._slices) - 1 else last * SLICE_S
