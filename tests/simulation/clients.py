"""One function's execution environment: the product's client, on clocks and sources that misbehave.

The environment is the real `flyball.environment.Runtime` with its real circuit
source. Its two clocks go wrong on demand: wall time is stepped, monotonic time
stands still while it is frozen. Calls go through `see_to`, `begin` and `finish`,
as the guards' do. Of two versions that run at once the older one does not know
the fields that schema 1 got later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from flyball.aws import DynamoCircuits
from flyball.call import Call, Outcome, Rejected
from flyball.contract import Circuit, CircuitState, Document
from flyball.environment import Runtime
from flyball.records import LATER_FIELDS, BreakerParams, BulkheadParams, RetryParams, is_kill_switch
from simulation.appconfig import Agent, Profile
from simulation.dynamo import ReaderClient, Tables, no_reply
from simulation.laws import ClientBooks, Judge

OUTCOMES = {
    "healthy": Outcome.SUCCESS,
    "dead": Outcome.ERROR_FAST,
    "saturated": Outcome.TIMEOUT,
    "broken": Outcome.SUCCESS,
    "throttled": Outcome.THROTTLE,
    "silent": Outcome.SUCCESS,
}
_DEFAULTS = {"retry": RetryParams(), "breaker": BreakerParams(), "bulkhead": BulkheadParams()}
_OWN = (CircuitState.OPEN, CircuitState.FORCED_OPEN)


class SimClock:
    """Two clocks of one environment, off the true time by what happened to it."""

    def __init__(self, true_now_s: Callable[[], float]) -> None:
        self._true_now_s = true_now_s
        self.wall_off_s = 0.0
        self.frozen_s = 0.0  # for how long the monotonic clock stood still
        self._draws = 0

    def wall_s(self) -> float:
        """Return what this environment takes for epoch seconds."""
        return self._true_now_s() + self.wall_off_s

    def monotonic_s(self) -> float:
        """Return seconds that did not pass while it was frozen."""
        return self._true_now_s() - self.frozen_s

    def draw(self) -> float:
        """Return the next of a fixed sequence that covers [0, 1) evenly."""
        self._draws += 1
        return self._draws * 0.6180339887498949 % 1.0

    def sleep(self, seconds: float) -> None:
        """Nobody waits."""


class Older:
    """Documents as a client of before reads them: fields that came later have their defaults."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    @property
    def replaced(self) -> bool:
        """As the agent says."""
        return self._agent.replaced

    def read(self) -> Document | None:
        """Return the document without what this client does not know."""
        document = self._agent.read()
        if document is None:
            return None
        targets = {}
        for name, given in document.targets.items():
            params = given
            for section, field in LATER_FIELDS:
                default = getattr(_DEFAULTS[section], field)
                params = params._replace(**{section: getattr(params, section)._replace(**{field: default})})
            targets[name] = params
        return document._replace(targets=targets)


class Environment:
    """One execution environment of a function that calls `targets`."""

    def __init__(
        self,
        name: str,
        function: str,
        targets: Sequence[str],
        *,
        tables: Tables,
        profile: Profile,
        judge: Judge,
        now_s: Callable[[], float],
        phase_s: float,
        older: bool,
    ) -> None:
        self.clock = SimClock(now_s)
        self.agent = Agent(profile, now_s, phase_s=phase_s)
        self.lags: tuple[int, ...] = (0,)
        self.down_until_s = -1.0
        self.troubles: list[str] = []  # faults that its next call meets
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._now_s = now_s
        self._function = function
        self._targets = targets
        self._tables = tables
        self._judge = judge
        self._older = older
        self._reads = 0
        self.books = ClientBooks(judge, name)
        self._held: list[tuple[str, Call]] = []
        self.runtime = self._start()

    def _start(self) -> Runtime:
        source = DynamoCircuits(table="circuits", client=ReaderClient(self._tables, self._ask))
        documents = Older(self.agent) if self._older else self.agent
        return Runtime(
            function=self._function,
            documents=documents,
            circuits=source,
            clock=self.clock,
            write=lambda line: None,
        )

    def _ask(self) -> int:
        answered = self._now_s() >= self.down_until_s
        self.books.see_read(self.clock.wall_s(), self.clock.monotonic_s(), answered=answered)
        self._reads += 1
        if not answered:
            raise no_reply("BatchGetItem")
        return self.lags[self._reads % len(self.lags)]

    # --- what happens to it ----------------------------------------------------------------

    def restart(self) -> None:
        """A cold start: nothing is remembered, and the calls that were under way are gone."""
        self._held.clear()
        self.books.forget()
        self.runtime = self._start()

    def copy(self) -> None:
        """A restore from a snapshot: memory is old, and must be begun anew."""
        self._held.clear()
        self.books.expect_read()
        self.runtime.renew()

    # --- calls -----------------------------------------------------------------------------

    def _begin(self, target_name: str) -> tuple[Any, Call | Rejected]:
        runtime, clock = self.runtime, self.clock
        known = target_name in runtime.targets
        target = runtime.target(target_name)
        if not known:
            self.books.expect_read()
        wall_s, monotonic_s = clock.wall_s(), clock.monotonic_s()
        fresh = (
            runtime.fresh_from_s <= wall_s < runtime.fresh_until_s and monotonic_s < runtime.fresh_monotonic_s
        )
        now_s = wall_s if fresh else runtime.see_to(wall_s, monotonic_s)
        return target, target.begin(now_s, clock.draw())

    def call(self, target_name: str, health: str) -> bool:
        """Make one call; return whether it was let through."""
        target, call = self._begin(target_name)
        self.look(target)
        if isinstance(call, Rejected):
            return False
        latency_ms = 1_000.0 if health == "saturated" else 20.0
        call.finish(OUTCOMES[health], now_s=self.clock.wall_s(), draw=0.5, latency_ms=latency_ms)
        return True

    def is_closed(self, target_name: str) -> bool:
        """Return whether its last call of a target met a closed circuit."""
        target = self.runtime.targets.get(target_name)
        return target is not None and target._breaker.state == CircuitState.CLOSED

    def some_calls(self, target_name: str, health: str, count: int) -> None:
        """Make some calls, one after the other."""
        for _ in range(count):
            self.call(target_name, health)

    def begin(self, target_name: str) -> None:
        """Begin a call and leave it under way."""
        target, call = self._begin(target_name)
        self.look(target)
        if not isinstance(call, Call):
            return
        self._held.append((target_name, call))
        under_way = Counter(held._probe for name, held in self._held if name == target_name)
        bound = target._breaker._close_after()
        generation = target._breaker.generation
        # Judged when one more is let in: a bound may fall while more than it are under way.
        if call._probe >= 0 and under_way[generation] > max(bound, target.params.breaker.close_after, 1):
            self._judge.accuse("K7", f"{under_way[generation]} probes under way, {bound} allowed")
        if under_way[generation]:
            self._judge.reached["probe held"] += 1

    def end(self, health: str, how: int) -> None:
        """End the oldest call that is under way; by an outcome, or by nothing of the kind."""
        if not self._held:
            return
        _, call = self._held.pop(0)
        if how:
            call.abandon()
        else:
            call.finish(OUTCOMES[health], now_s=self.clock.wall_s(), draw=0.5, latency_ms=20.0)

    # --- what it shows ----------------------------------------------------------------------

    def look(self, target: Any) -> None:
        """Show the judge what a call has just obeyed."""
        books, breaker, wall_s = self.books, target._breaker, self.clock.wall_s()
        books.see_call(wall_s, self.clock.monotonic_s())
        books.see_circuits([breaker._function, breaker._fleet, breaker._switch])
        document = self.runtime._document
        assert document is not None
        books.see_document(target.name, target.revision, document.withdrawn, document.value)
        books.see_params(target.name, target.params)
        local = breaker._local == CircuitState.OPEN
        if breaker.state in _OWN and not (local and breaker._forced is None):
            item = self._forcing(breaker) if breaker._forced is not None else breaker._obeyed
            books.see_enforced(item, breaker.state, wall_s)
        self._kill_switch(breaker, wall_s)
        self._tell(breaker, document)

    @staticmethod
    def _forcing(breaker: Any) -> Circuit | None:
        items = [item for item in (breaker._function, breaker._fleet) if item is not None]
        return next((item for item in items if item.state == breaker.state), None)

    def _kill_switch(self, breaker: Any, wall_s: float) -> None:
        """Whoever has read a kill switch that holds lets everything pass (O1)."""
        circuits = self.runtime._circuits
        assert circuits is not None
        for item in circuits.value or ():
            forced = item.state == CircuitState.FORCED_CLOSED
            stale = breaker._switch is not None and item.version < breaker._switch.version
            # By both clocks: what was over before the wall clock was set back stays over.
            now_s = max(wall_s, self._now_s())
            if is_kill_switch(item) and forced and not stale and now_s < item.valid_until:
                if breaker.state != CircuitState.FORCED_CLOSED:
                    self._judge.accuse("O1", f"{breaker.state.name} under the kill switch")
                if breaker._fleet is not None and breaker._fleet.state == CircuitState.OPEN:
                    self._judge.reached["kill switch over an open circuit"] += 1

    def _tell(self, breaker: Any, document: Any) -> None:
        """Note what became of the troubles since the last call, and which rare ways were gone."""
        reached, circuits = self._judge.reached, self.runtime._circuits
        assert circuits is not None
        if self.troubles:
            if circuits.failed and self._now_s() < self.down_until_s:
                outcome = "kept what was known"
            elif breaker.state in _OWN:
                outcome = "open"
            elif breaker.state == CircuitState.HALF_OPEN:
                outcome = "probing"
            else:
                outcome = "closed"
            for trouble in self.troubles:
                self.outcomes[trouble, outcome] += 1
            self.troubles.clear()
        if breaker._expired is not None:
            reached["expired circuit half-open"] += 1
        if breaker._closed_here is not None:
            reached["closed by own probes"] += 1
        if document.withdrawn >= 0:
            reached["revision taken back"] += 1
        if document.older:
            reached["older document refused"] += 1
