"""Ten fault scenarios on one virtual clock, the same calls for every design: the world of the side by side.

Extends the fleet's world (fleet_world.py, whose limits hold here too) by weather
that changes within an outage, keys, environments that are replaced, a shared
store that can be down, and books about all of them. Knows no breaker.

The trouble lasts OUTAGE_S. In `slow` a failed attempt has taken its whole
time-out; attempts still take no time in the model, so waiting is counted, not
lived through. In `one bad key` all keys share one circuit, as they would under
one guard around one client.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from fleet_world import BACKGROUND_RATIO, OUTAGE_S, Arrival, Design, Outage, Scenario, World

TIMEOUT_S = 3.0  # what a time-out costs a caller
SLICE_S = 10.0
STOPPED_SHARE = 0.2  # of the calls still reach the dependency: the traffic has stopped
FLAP_S = 30.0
WEAK_FROM_S, WEAK_RATIO = 240.0, 0.5  # the recovery is not sudden: its last minute fails half
KEYS, BAD_KEY_SHARE = 10, 0.3  # one key has three tenths of the traffic, and is dead
REPLACE_S, REPLACED_RATIO = 10.0, 0.2  # in the cold-start storm: so many new environments, so often


class Kind(Enum):
    """What goes wrong; the values are the names in tables."""

    HEALTHY = "healthy"
    FIFTH = "20 % errors"
    HALF = "50 % errors"
    DEAD = "dead"
    SLOW = "slow (time-outs)"
    FLAPPING = "flapping, 30 s each"
    RECOVERY = "dead, then weak"
    ONE_KEY = "one bad key of ten"
    STORE_DOWN_DEAD = "dead, store down too"
    STORE_DOWN_HEALTHY = "healthy, store down"
    COLD_STORM = "dead, new environments"


STORE_DOWN = frozenset({Kind.STORE_DOWN_DEAD, Kind.STORE_DOWN_HEALTHY})
WITHOUT_FAULT = frozenset({Kind.HEALTHY, Kind.STORE_DOWN_HEALTHY})


class StoreDownError(Exception):
    """The shared store does not answer."""


class Books(NamedTuple):
    """One run. Calls are those of the outage; times are seconds from its begin or end, -1 = never."""

    outage: Outage
    stopped_s: float  # until at most STOPPED_SHARE of the calls reach the dependency
    store_calls: int  # in the whole run, reads and writes, also those that failed
    offered_all: int
    guard_errors: int  # calls that failed by the guard itself: neither refused nor answered by the dependency
    good_refused: int  # calls for healthy keys that were refused during the outage
    good_offered: int
    waited_s: float  # in time-outs, during the outage


class SidesWorld(World):
    """The clock, the weather and the books of one run."""

    def __init__(
        self, kind: Kind, seed: int, *, environments: int = 20, requests_per_s: float = 10.0
    ) -> None:
        super().__init__(Scenario(environments, requests_per_s, 1.0, kind is Kind.SLOW), seed)
        self.kind = kind
        self.store_calls = self.guard_errors = self.good_refused = self.good_offered = 0
        self.waited_s = 0.0
        self.offered_all = 0
        self._reached: dict[int, list[int]] = {}  # slice of the outage: offered, reached
        if kind is Kind.COLD_STORM:
            self.later(self.outage_s, self._replace)
        self.design: Replaceable | None = None

    # --- the store -----------------------------------------------------------------------

    def store_call(self) -> None:
        """Count one call to the shared store.

        Raises:
            StoreDownError: It is down, during the outage of such a scenario.
        """
        self.store_calls += 1
        if self.kind in STORE_DOWN and self.outage_s <= self.now_s < self.over_s:
            raise StoreDownError

    # --- the dependency ------------------------------------------------------------------

    def is_bad_key(self, arrival: Arrival) -> bool:
        """Whether the call is for the one bad key: drawn from its luck, so that all designs agree."""
        return self.kind is Kind.ONE_KEY and arrival.luck < BAD_KEY_SHARE

    def ratio_at(self, at_s: float) -> float:
        """Return the share of attempts that fail at a time."""
        since_s = at_s - self.outage_s
        if not 0.0 <= since_s < OUTAGE_S or self.kind in WITHOUT_FAULT or self.kind is Kind.ONE_KEY:
            return BACKGROUND_RATIO
        if self.kind is Kind.FIFTH:
            return 0.2
        if self.kind is Kind.HALF:
            return 0.5
        if self.kind is Kind.FLAPPING:
            return 1.0 if since_s // FLAP_S % 2 == 0 else BACKGROUND_RATIO
        if self.kind is Kind.RECOVERY and since_s >= WEAK_FROM_S:
            return WEAK_RATIO
        return 1.0

    def _error_ratio(self) -> float:
        return self.ratio_at(self.now_s)

    def attempt(self, arrival: Arrival, *, first: bool = True) -> bool:
        """Ask the dependency; whether it answered well."""
        well = super().attempt(arrival, first=first)
        if first and self.in_outage(arrival):
            self._slice_of(arrival)[1] += 1
        if self.is_bad_key(arrival) and self.in_outage(arrival):
            well = False
        elif self.kind is Kind.ONE_KEY and first:
            # The luck that named the key is used up: a healthy key fails as rarely as ever.
            well = self._random.random() >= BACKGROUND_RATIO
        if not well and self.kind is Kind.SLOW and self.outage_s <= self.now_s < self.over_s:
            self.waited_s += TIMEOUT_S
        return well

    def refuse(self, arrival: Arrival, *, by_circuit: bool = True) -> None:
        """Count a call that was not made."""
        super().refuse(arrival, by_circuit=by_circuit)
        if self.in_outage(arrival) and not self.is_bad_key(arrival):
            self.good_refused += 1

    # --- a run ---------------------------------------------------------------------------

    def begin(self, arrival: Arrival) -> None:
        """Note that a call is asked for; every design is told of it through `Counted`."""
        self.offered_all += 1
        if self.in_outage(arrival):
            self._slice_of(arrival)[0] += 1
            self.good_offered += not self.is_bad_key(arrival)

    def _slice_of(self, arrival: Arrival) -> list[int]:
        return self._reached.setdefault(int((arrival.at_s - self.outage_s) / SLICE_S), [0, 0])

    def _replace(self) -> None:
        """Put new environments in place of some; at the outage's begin all are new."""
        size = self.scenario.environments
        first = self.now_s == self.outage_s
        count = size if first else max(1, int(REPLACED_RATIO * size))
        chosen = range(size) if first else self._arrivals_of_storm(count)
        if self.design is not None:
            for index in chosen:
                self.design.renew(index)
        if self.now_s + REPLACE_S < self.over_s:
            self.later(self.now_s + REPLACE_S, self._replace)

    def _arrivals_of_storm(self, count: int) -> list[int]:
        """Return whose turn it is: round robin, the same for every design."""
        size = self.scenario.environments
        turn = round((self.now_s - self.outage_s) / REPLACE_S)
        return [(turn * count + k) % size for k in range(count)]

    def books(self, design: Replaceable) -> Books:
        """Let every call happen and return what was seen."""
        self.design = design
        outage = self.run(Counted(self, design))
        stopped = [
            n for n, (offered, made) in sorted(self._reached.items()) if made <= STOPPED_SHARE * offered
        ]
        return Books(
            outage,
            (stopped[0] + 1) * SLICE_S if stopped else -1.0,
            self.store_calls,
            self.offered_all,
            self.guard_errors,
            self.good_refused,
            self.good_offered,
            self.waited_s,
        )


class Replaceable(Design):
    """A design whose environments can be replaced by new ones."""

    def renew(self, index: int) -> None:
        """Put a new environment in the place of one: whatever it knew is gone."""
        raise NotImplementedError


class Counted:
    """Passes each call on and notes that it was asked for."""

    def __init__(self, world: SidesWorld, design: Replaceable) -> None:
        self._world = world
        self._design = design

    def offer(self, environment: int, arrival: Arrival) -> None:
        """Pass it on."""
        self._world.begin(arrival)
        self._design.offer(environment, arrival)
