"""All laws of the client at once: a guarded target under everything that can happen to it, in any order.

Time passes, stands still and is set back; documents and circuits arrive, are
forged, old, wild or unreadable; the stores fail; calls succeed, fail, hang and
are cancelled. After every step K1 to K10 and P6 must hold.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from math import isfinite

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flyball.contract import (
    BOUNDS,
    DEFAULT_PARAMS,
    FLEET,
    BreakerParams,
    BulkheadParams,
    Circuit,
    CircuitState,
    Document,
    RetryParams,
    TargetParams,
    ThrottleParams,
    decode_circuit,
    decode_document,
)
from flyball.environment import Runtime
from flyball.errors import RejectedError, SourceError
from flyball.guard import target
from flyball.sources import AGE_JITTER, CIRCUIT_AGE_S, DOCUMENT_AGE_S
from unit.client.support import ManualClock, PaymentError

S = CircuitState
GATING = {S.OPEN, S.HALF_OPEN, S.FORCED_OPEN}
UNIT = st.floats(0.0, 1.0, exclude_max=True)
WILD = st.one_of(st.floats(), st.integers(-(10**9), 10**9))
TAKES_S = 0.01
PLAUSIBLE = st.builds(
    TargetParams,
    st.builds(RetryParams, max_attempts=st.integers(1, 4), budget_ratio=st.sampled_from([0.0, 0.2, 3.0])),
    st.just(ThrottleParams()),
    st.builds(BreakerParams, min_calls=st.integers(1, 4), open_s=st.sampled_from([1.0, 30.0])),
    st.builds(BulkheadParams, st.integers(0, 2)),
)
WILDEST = st.builds(
    TargetParams,
    st.builds(RetryParams, WILD, WILD, WILD, WILD, WILD, WILD, WILD),
    st.builds(ThrottleParams, WILD, WILD, WILD),
    st.builds(BreakerParams, WILD, WILD, WILD, WILD, WILD, WILD),
    st.builds(BulkheadParams, WILD),
)


class Throttled(Exception):  # noqa: N818 - an answer of the target
    code = 429
    headers = {"Retry-After": "1"}  # noqa: RUF012 - as HTTP errors carry it


class NoNews(Exception):  # noqa: N818 - what `ignore=` is for
    pass


# Long enough, now and then, for what is published to be read again.
PAUSES = st.sampled_from([0.0, 0.0, 1.0, 6.0, 12.0, 40.0])
# What an attempt may end with; None = it answers.
ENDS = st.sampled_from([None, None, None, TimeoutError, PaymentError, Throttled, KeyError, NoNews])
FAILURES = (TimeoutError, PaymentError, Throttled)


class Store:
    """What a source would find; `down` raises whatever it is set to."""

    def __init__(self) -> None:
        self.content: object = None
        self.down: BaseException | None = None
        self.reads = 0
        self.read_at: tuple[float, float] | None = None  # wall, monotonic; None = it failed or never was

    def read(self, *_key: object) -> object:
        self.reads += 1
        if self.down is not None:
            raise self.down
        return list(self.content.values()) if isinstance(self.content, dict) else self.content


class Pause:
    """An attempt under way: suspends its coroutine until it is sent how it ends."""

    def __await__(self):
        error = yield
        if error is not None:
            raise error()
        return "fine"


def sent(coroutine, end) -> object:
    """What comes of sending: the result, the kind of the exception, or Pause if it waits again."""
    try:
        coroutine.send(end)
    except StopIteration as stop:
        return stop.value
    except Exception as error:
        return type(error)
    return Pause


class Client(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(wall_s=100_000.0)
        self.documents, self.circuits = Store(), Store()
        self.circuits.content = {}
        self.lines: list[str] = []
        self.runtime = Runtime(
            function="pay",
            documents=self.documents,
            circuits=self.circuits,
            clock=self.clock,
            write=self.lines.append,
        )
        self.runtime.async_sleep = self.clock.sleep
        self.handle = target("t", on=PaymentError, ignore=NoNews, within=self.runtime)
        self.target = self.handle.target
        self.breaker = self.target._breaker
        self.under_way: list[tuple[object, list[int]]] = []  # suspended coroutines, and their ended attempts
        self.requests = self.attempts = self.rejections = 0  # of calls that are over
        self.begun = 0  # calls that were let in
        self.made = 0  # attempts begun
        self.bad = 0
        self.ratio_max = 0.0
        self.cost_min = 1.0
        self.ever_gating = False
        self.versions: dict[str, int] = {}
        self.revision = -1
        self.newest_revision = self.newest_version = 1

    # --- the world --------------------------------------------------------------------

    @rule(seconds=st.floats(0.0, 200.0))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_s(seconds)

    @rule(seconds=st.floats(0.0, 7_200.0))
    def frozen(self, seconds: float) -> None:
        self.clock.set_wall_s(self.clock.wall_s() + seconds)

    @rule(seconds=st.floats(-7_200.0, 7_200.0))
    def clock_is_set(self, seconds: float) -> None:
        self.clock.set_wall_s(self.clock.wall_s() + seconds)

    @rule(seconds=st.floats(0.0, 60.0))
    def clock_is_held_back(self, seconds: float) -> None:
        """As long as time passes, the wall clock shows the same."""
        wall_s = self.clock.wall_s()
        self.clock.pass_s(seconds)
        self.clock.set_wall_s(wall_s)

    @rule(draw=UNIT)
    def chance(self, draw: float) -> None:
        self.clock.fixed_draw = draw

    @rule(
        state=st.sampled_from(CircuitState),
        key=st.sampled_from(
            [
                ("t", FLEET),
                ("t", FLEET),
                ("t", "pay"),
                ("t", "pay"),
                ("t", "other"),
                ("u", FLEET),
                (FLEET, FLEET),
            ]
        ),
        newer_by=st.integers(-2, 3),
        lasts_s=st.floats(-20.0, 120.0),
        changed_s=st.floats(-200.0, 0.0),
        probe_ratio=WILD,
        overrides=st.tuples(st.none() | WILD, st.none() | st.integers(-1, 5), st.none() | st.integers(-1, 5)),
    )
    def circuit_is_written(self, state, key, newer_by, lasts_s, changed_s, probe_ratio, overrides) -> None:
        now_s = self.clock.wall_s()
        budget_ratio, max_attempts, close_after = overrides
        version = self.newest_version = max(1, self.newest_version + newer_by)
        self.circuits.content[key] = Circuit(
            *key, state, now_s + changed_s, 9, probe_ratio, version, "w", now_s, now_s + lasts_s, "",
            budget_ratio, max_attempts, close_after,
        )  # fmt: skip
        if key[0] == "t" and key[1] != "other" and state in GATING:
            self.ever_gating = True

    @rule()
    def circuits_are_deleted(self) -> None:
        self.circuits.content.clear()

    @rule(
        which=st.booleans(),
        how=st.sampled_from(["well", "well", "well", "down", "broken", "garbage"]),
        junk=st.binary(max_size=9),
    )
    def store_changes(self, which: bool, how: str, junk: bytes) -> None:
        store = self.documents if which else self.circuits
        store.down = {
            "well": None,
            "down": SourceError("down", source="s"),
            "broken": ZeroDivisionError(),
        }.get(how)
        if how == "garbage":
            try:
                decode_document(junk) if which else decode_circuit({"target": {"S": "t"}, "state": junk})
            except ValueError as error:
                store.down = error

    @rule(newer_by=st.integers(-2, 3), params=PLAUSIBLE | WILDEST | st.just(DEFAULT_PARAMS))
    def document_arrives(self, newer_by: int, params: TargetParams) -> None:
        self.newest_revision = max(0, self.newest_revision + newer_by)
        self.documents.content = Document(self.newest_revision, "", "", {"t": params})

    @rule(state=st.sampled_from([None, S.FORCED_OPEN, S.FORCED_CLOSED]))
    def held(self, state: CircuitState | None) -> None:
        self.target.hold(state)

    @rule()
    def flush(self) -> None:
        self.runtime.flush()

    # --- calls ------------------------------------------------------------------------

    @rule(
        times=st.integers(1, 10),
        after_s=PAUSES,
        ends=st.lists(ENDS | st.just(KeyboardInterrupt), min_size=4, max_size=4),
        idempotent=st.sampled_from([True, True, False]),
        left_s=st.none() | st.floats(-0.1, 1.0),
    )
    def call(self, times, after_s, ends, idempotent: bool, left_s) -> None:
        for _ in range(times):
            self.clock.pass_s(after_s)
            self.runtime.deadline_s = None if left_s is None else self.clock.wall_s() + left_s
            self.call_once(list(ends), idempotent)
            self.runtime.deadline_s = None

    def call_once(self, script, idempotent: bool) -> None:
        before, made, raised, answer = self.before_call(), self.made, [], object()

        def function() -> object:
            self.note_attempt(1 + self.made - made)
            self.clock.pass_s(TAKES_S)
            kind = script.pop(0)
            self.note_end(kind)
            if kind is None:
                return answer
            raised.append(kind())
            raise raised[-1]

        caught: BaseException | None = None
        try:
            result = self.handle.guard(idempotent=idempotent)(function)()
        except BaseException as error:
            caught = error
        attempts = self.made - made
        if isinstance(caught, RejectedError):
            self.rejections += 1
            assert attempts == 0
        else:
            # K8: the very object.
            assert caught is raised[-1] if caught is not None else result is answer
            assert 1 <= attempts <= (4 if idempotent else 1), "K9"
            assert all(isinstance(error, FAILURES) for error in raised[:-1]), "only failures repeat"
            deadline_s = self.runtime.deadline_s
            assert deadline_s is None or self.last_begun_s < deadline_s, "K9: none begins after the deadline"
            self.over(attempts - isinstance(caught, KeyboardInterrupt))
        self.after_call(before)

    @rule(after_s=PAUSES, idempotent=st.booleans())
    def begin_async(self, after_s, idempotent: bool) -> None:
        self.clock.pass_s(after_s)
        before = self.before_call()
        ended = [0]

        async def function() -> object:
            self.note_attempt(1 + ended[0])
            return await Pause()

        coroutine = self.handle.guard(idempotent=idempotent)(function)()
        try:
            coroutine.send(None)
        except RejectedError:
            self.rejections += 1
        else:
            self.under_way.append((coroutine, ended))
        self.after_call(before)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 9), end=ENDS)
    def end_async(self, which: int, end) -> None:
        coroutine, ended = self.under_way.pop(which % len(self.under_way))
        ended[0] += 1
        self.note_end(end)
        made = self.made
        outcome = sent(coroutine, end)
        if outcome is Pause:  # another attempt
            assert self.made == made + 1
            self.under_way.append((coroutine, ended))
        else:
            assert outcome == ("fine" if end is None else end), "K8"
            self.over(ended[0])

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 9), how=st.sampled_from([asyncio.CancelledError, GeneratorExit, None]))
    def abandon_async(self, which: int, how) -> None:
        coroutine, ended = self.under_way.pop(which % len(self.under_way))
        if how is None:
            coroutine.close()
        else:
            with suppress(how):
                coroutine.throw(how)
        self.over(ended[0])

    def note_attempt(self, number: int) -> None:
        """Attempt `number` of a call begins: it was allowed a moment ago."""
        assert number == 1 or number <= self.target.max_attempts, "K9"
        self.made += 1
        self.last_begun_s = self.clock.wall_s()
        self.ratio_max = max(self.ratio_max, self.target.budget_ratio)
        self.cost_min = min(self.cost_min, self.target.params.retry.fast_cost)

    def note_end(self, kind) -> None:
        """A failure, or what may count as slow, is evidence against the target."""
        self.bad += kind in FAILURES or self.target.params.breaker.slow_call_ms > 0

    def over(self, ended: int) -> None:
        """A call is over, of which so many attempts ended; without any it is not counted."""
        self.begun += 1
        self.requests += ended > 0
        self.attempts += ended

    def before_call(self):
        clock = self.clock
        return [
            (store, store.reads, self.age(store)) for store in (self.documents, self.circuits)
        ], clock.wall_s()

    def age(self, store: Store) -> tuple[float, float] | None:
        if store.read_at is None:
            return None
        return self.clock.wall_s() - store.read_at[0], self.clock.monotonic_s() - store.read_at[1]

    def after_call(self, before) -> None:
        stores, wall_s = before
        for store, reads, age in stores:
            limit_s = DOCUMENT_AGE_S if store is self.documents else CIRCUIT_AGE_S
            read = store.reads - reads
            assert read <= 1, "K5"
            if age is not None:
                fresh = 0.0 <= age[0] < limit_s and age[1] < limit_s
                # A sum of times may fall short of the limit in its last digits.
                old_s = limit_s * (1.0 + AGE_JITTER) + 1e-6
                assert not (read and fresh), "K5: one read per age"
                assert read or (0.0 <= age[0] < old_s and age[1] < old_s), (
                    "K1, K6: old on either clock is old"
                )
            if read:
                well = store.down is None
                store.read_at = (wall_s, self.monotonic_at(wall_s)) if well else None

    def monotonic_at(self, wall_s: float) -> float:
        """Time passes on both clocks within a call."""
        return self.clock.monotonic_s() - (self.clock.wall_s() - wall_s)

    # --- laws -------------------------------------------------------------------------

    @invariant()
    def what_is_obeyed_is_inside_the_bounds(self) -> None:
        """K10."""
        for section, fields in BOUNDS.items():
            for field, (low, high) in fields.items():
                value = getattr(getattr(self.target.params, section), field)
                assert isfinite(value)
                assert low <= value <= high
        assert 1 <= self.target.max_attempts <= 4
        assert 0.0 <= self.target.budget_ratio <= 3.0
        assert 0.0 <= self.target.budget_tokens <= self.target.params.retry.budget_burst

    @invariant()
    def nothing_goes_back(self) -> None:
        """K2: neither a version nor a revision."""
        for slot in ("_function", "_fleet", "_switch"):
            known = getattr(self.breaker, slot)
            if known is not None:
                assert known.version >= self.versions.get(slot, 0)
                self.versions[slot] = known.version
        assert self.target.revision >= self.revision
        self.revision = self.target.revision

    @invariant()
    def what_forbids_has_a_reason_that_holds_now(self) -> None:
        """K4, P6: an open circuit is held, local, or published and valid."""
        now_s = self.clock.wall_s()
        state, breaker = self.target.state(now_s), self.breaker
        known = [item for item in (breaker._function, breaker._fleet) if item is not None]
        if breaker._held is not None:
            assert state == breaker._held
        elif breaker.killed:
            assert state == S.FORCED_CLOSED
            assert now_s < breaker._switch.valid_until
        elif breaker._local == S.OPEN and breaker._forced is None:
            assert state == S.OPEN
            assert self.bad, "K4"
        elif state == S.FORCED_OPEN or (state in GATING and breaker._local != state):
            assert any(item.state == state and now_s < item.valid_until for item in known), "P6"
        if not self.bad and not self.ever_gating and breaker._held is None:
            assert state in (S.CLOSED, S.FORCED_CLOSED), "K4: nothing is open from nothing"

    @invariant()
    def probes_are_bounded_and_none_leaks(self) -> None:
        """K7: only a call under way can hold a slot."""
        assert 0 <= self.breaker._probes <= len(self.under_way)
        assert self.target._bulkhead is None or self.target._bulkhead.taken <= len(self.under_way)

    @invariant()
    def the_load_is_bounded(self) -> None:
        """K9: with the largest ratio that ever held, at the lowest cost; one token of first credit."""
        let_in = self.begun + len(self.under_way)
        assert self.made - let_in <= (1 + self.ratio_max * let_in) / self.cost_min + 1e-6

    @invariant()
    def every_attempt_is_counted_once(self) -> None:
        """Written lines and what is still to be written make up what happened."""
        counters = self.target.counters
        written = [json.loads(line) for line in self.lines]

        def total(name: str) -> int:
            return sum(document.get(name, 0) for document in written)

        assert total("requests") + counters.requests == self.requests
        assert total("attempts") + counters.requests + counters.retries == self.attempts
        assert total("short_circuited") + counters.short_circuited == self.rejections

    def all_is_well_and_soon_closed(self) -> None:
        """Whatever happened, a healthy target whom nobody forbids is closed in the end: no slot is lost."""
        self.target.hold(None)
        self.circuits.content.clear()
        self.clock.pass_s(400_000.0)  # more than all steps back together
        guarded = self.handle.guard(lambda: None)
        rounds = 0
        # Asked anew each round: the first call may bring a document that wants more probes.
        while rounds < 2 + self.target.params.breaker.close_after:
            rounds += 1
            self.clock.pass_s(601.0)
            made = self.requests
            with suppress(RejectedError):
                guarded()
                self.made += 1
                self.over(1)
            self.rejections += self.requests == made
        assert self.target.state(self.clock.wall_s()) == S.CLOSED

    def teardown(self) -> None:
        for coroutine, ended in self.under_way:
            coroutine.close()
            self.over(ended[0])
        self.under_way = []
        self.all_is_well_and_soon_closed()
        self.probes_are_bounded_and_none_leaks()
        self.every_attempt_is_counted_once()


TestClient = Client.TestCase
TestClient.settings = settings(max_examples=200, stateful_step_count=50)
