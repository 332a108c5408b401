"""One service over a long stretch of time: simulated call by call where something happens, counted elsewhere.

A minute is *active* if a fault acts or is about to, if the service has not yet
recovered, if anything steers it away from nominal, or in the few minutes after
the last of these. All other minutes are counted (quiet.py). Arrivals are the
same numbers in both ways, so the switch changes no request's existence.

If a service is still down `rescue_after_s` after its last fault ended, an
operator is assumed to stop the callers and empty the queue, as the published
accounts of retry storms end (docs/theory/control.md, "Published anchors").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flyball.call import Counters, Target
from flyball_analytics.plant.faults import Fault
from flyball_analytics.plant.ledger import RECOVERED_RATIO, Ledger
from flyball_analytics.plant.quiet import QuietService
from flyball_analytics.plant.traffic import MINUTE_S
from flyball_analytics.plant.world import Environment, Service, World

BEFORE_MIN = 2  # simulated before a fault, so that queue and fleet have their normal state
CALM_MIN = 3  # healthy minutes simulated after the last reason to simulate
RESCUE_AFTER_S = 3_600.0


class ServiceDay:
    """Advances one service minute by minute and hands out what its clients report."""

    def __init__(
        self,
        service: Service,
        *,
        faults: Sequence[Fault],
        seed: int,
        start_s: float,
        new_target: Callable[[], Target],
        refresh: Callable[[Environment, float], None],
        quiet: QuietService | None = None,
        rescue_after_s: float = RESCUE_AFTER_S,
    ) -> None:
        self.service = service
        self.rescued_at_s: list[float] = []
        self.active_minutes = 0
        self.active = False
        self._faults = tuple(faults)
        self._quiet = quiet or QuietService(service, seed=seed)
        self._rescue_after_s = rescue_after_s
        self._calm = CALM_MIN  # calm minutes seen in a row
        self._stragglers = Counters()  # of requests that ended after their minute was handed out
        self._minute = int(start_s // MINUTE_S)
        self._world = World(
            service,
            faults=faults,
            seed=seed,
            start_s=start_s,
            new_target=new_target,
            refresh=refresh,
        )

    @property
    def ledger(self) -> Ledger:
        """What became of every request so far."""
        return self._world.ledger

    @property
    def peak_environments(self) -> int:
        """Most environments at once, in simulated minutes."""
        return self._world.peak_environments

    def begin_minute(self, *, steered: bool) -> None:
        """Decide how this minute is run. `steered`: its setpoint is off nominal."""
        start_s = self._minute * MINUTE_S
        wanted = steered or self._near_fault(start_s) or self._calm < CALM_MIN
        if wanted and not self.active:
            self._world.resume(start_s)
            self._calm = 0
        elif self.active and not wanted:
            self._world.settle()
            self._stragglers = drain_counters(self._world.environments)
        self.active = wanted
        if wanted:
            self.active_minutes += 1

    def advance(self, to_s: float) -> None:
        """Run the active minute up to `to_s`; nothing to do in a quiet one."""
        if self.active:
            self._world.advance(to_s)

    def end_minute(self, *, steered: bool) -> Counters:
        """Finish the minute and return what its clients report, summed over environments."""
        minute = self._minute
        self._minute += 1
        if not self.active:
            counted = self._quiet.minute(minute, self.ledger.minute(minute * MINUTE_S))
            add_counters(counted, self._stragglers)
            self._stragglers = Counters()
            return counted
        end_s = self._minute * MINUTE_S
        self._world.advance(end_s)
        self._rescue_if_hopeless(end_s)
        good = self._world.healthy and self._went_well(end_s)
        self._calm = self._calm + 1 if good and not steered else 0
        return drain_counters(self._world.environments)

    def finish(self) -> None:
        """Let the last requests end, so that every one is accounted for."""
        if self.active:
            self._world.settle()
            self.active = False

    def _near_fault(self, at_s: float) -> bool:
        margin_s = BEFORE_MIN * MINUTE_S
        calm_s = CALM_MIN * MINUTE_S
        return any(f.start_s - margin_s <= at_s < f.end_s + calm_s for f in self._faults)

    def _went_well(self, end_s: float) -> bool:
        """Whether what has ended of the last minute's requests ended well."""
        window = self.ledger.window(end_s - MINUTE_S, end_s)
        ended = window.ok + window.failed + window.rejected
        return window.ok >= RECOVERED_RATIO * ended - 1.0

    def _rescue_if_hopeless(self, at_s: float) -> None:
        past = [fault.end_s for fault in self._faults if fault.end_s <= at_s]
        acting = any(fault.start_s <= at_s < fault.end_s for fault in self._faults)
        if not past or acting or at_s != max(past) // MINUTE_S * MINUTE_S + self._rescue_after_s:
            return
        if not (self._world.healthy and self._went_well(at_s)):
            self._world.drain_by_hand()
            self.rescued_at_s.append(at_s)


def add_counters(total: Counters, more: Counters) -> None:
    """Add every count of `more` to `total`."""
    total.requests += more.requests
    total.retries += more.retries
    total.timeouts += more.timeouts
    total.throttles += more.throttles
    total.errors_fast += more.errors_fast
    total.errors_permanent += more.errors_permanent
    total.request_failures += more.request_failures
    total.short_circuited += more.short_circuited
    total.fallbacks += more.fallbacks
    total.latencies_ms.extend(more.latencies_ms)


def drain_counters(environments: Sequence[Environment]) -> Counters:
    """Return the sum of all environments' counters and set them back to zero, as a flush does."""
    total = Counters()
    for environment in environments:
        add_counters(total, environment.target.counters)
        environment.target.counters = Counters()
    return total
