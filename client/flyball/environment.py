"""One execution environment's shared state: targets, sources, clock, deadline, metrics.

A process has one `Runtime`, made at first use from the environment variables below, so
that an import costs and reads nothing. Tests and embeddings make their own.

    FLYBALL_OFF               "1": guards call straight through (the first emergency exit)
    FLYBALL_AGENT             application/environment/configuration of the AppConfig Agent
    FLYBALL_APPCONFIG         the same, read from AppConfig itself where there is no Agent
    FLYBALL_DOCUMENT          the document itself, if there is no Agent
    FLYBALL_FAULTS            faults for an experiment (flyball.faults); ends at its `until`
    FLYBALL_CIRCUITS_TABLE    DynamoDB table of the circuits; absent = no fleet circuit is obeyed
    AWS_LAMBDA_FUNCTION_NAME  the `function` dimension, and whose circuits count
"""

from __future__ import annotations

import os
import sys
from _contextvars import ContextVar
from _thread import allocate_lock

from flyball.breaker import NEVER
from flyball.call import Target
from flyball.clock import Clock, SystemClock, asyncio_sleep
from flyball.copies import watch_for_copies
from flyball.errors import SettingsError
from flyball.records import Circuit, is_kill_switch
from flyball.sources import (
    STALE,
    Cached,
    CachedDocument,
    CircuitSource,
    DocumentSource,
    EnvironmentDocuments,
    cached_circuits,
    cached_document,
)

TYPE_CHECKING = False  # type checkers take this name for true; nothing is loaded for them here
if TYPE_CHECKING:
    from _contextvars import Token
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    Entered = tuple[list[Any], Token[Any]]

    from flyball.faults import Faults
    from flyball.hooks import Hook, Hooks

# A long invocation must not keep its metrics to itself: the slow loop looks each minute.
FLUSH_S = 10.0
# Left of the invocation for the function to answer after the last attempt was given up.
DEADLINE_MARGIN_S = 0.05
SEVERAL = float("-inf")  # in place of a deadline; earlier than every moment, so that fast paths ask
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})

# Invocations of this thread or task, innermost first: [its Runtime, its deadline, the one around it]. Without
# Runtime it is over: tasks begun inside it may live longer, and still know it.
_invocation: ContextVar[Any] = ContextVar("flyball.invocation", default=None)


def _own_invocation(shared: Runtime | None) -> Any:
    """The innermost invocation of `shared` in this thread or task, None: of any that is not over."""
    inside = _invocation.get()
    while inside is not None and (inside[0] is None if shared is None else inside[0] is not shared):
        inside = inside[2]
    return inside


def write_to_stdout(line: str) -> None:
    """Write one line in one piece, where Lambda's log driver finds it."""
    sys.stdout.write(line + "\n")


class Runtime:
    """Everything that guards of one process share.

    `sleep` and `async_sleep` are attributes, so that a test can replace them.
    """

    __slots__ = (
        "__weakref__",
        "_blind",
        "_circuits",
        "_deadlines",
        "_document",
        "_flush_at_s",
        "_flush_write",
        "_lock",
        "_warned",
        "async_sleep",
        "clock",
        "deadline_s",
        "faults",
        "fresh_from_s",
        "fresh_monotonic_s",
        "fresh_until_s",
        "function",
        "hooks",
        "off",
        "sleep",
        "targets",
    )

    def __init__(
        self,
        *,
        function: str = "",
        documents: DocumentSource | None = None,
        circuits: CircuitSource | None = None,
        clock: Clock | None = None,
        write: Callable[[str], object] = write_to_stdout,
        hooks: Hook | Iterable[Hook] | None = None,
        off: bool = False,
    ) -> None:
        """Begin without targets; nothing is read before the first call.

        Args:
            function: Name of the function, the second metric dimension.
            documents: Source of parameters; None = compiled-in defaults.
            circuits: Source of fleet circuits; None = local protection only.
            clock: For tests.
            write: Takes each metric line.
            hooks: A function, or several, told of each event (flyball.hooks).
            off: Guards call straight through.
        """
        if not (all(map(isinstance, (function, off), (str, bool))) and callable(write)):
            from flyball.misuse import refuse_runtime

            refuse_runtime(function, off, write)
        self.function = function
        self.clock: Clock = SystemClock() if clock is None else clock
        self.sleep: Callable[[float], object] = self.clock.sleep
        self.async_sleep: Callable[[float], object] = asyncio_sleep
        # Epoch seconds, of the only invocation under way; SEVERAL if there are more: ask `deadline`.
        self.deadline_s: float | None = None
        self._deadlines: list[float] = []
        self._lock = allocate_lock()  # of the deadlines
        self.off = off
        self.faults: Faults | None = None  # injected on purpose; flyball.faults
        self.hooks: Hooks | None = None
        if hooks is not None:
            from flyball.hooks import Hooks

            self.hooks = Hooks(hooks)
        self.targets: dict[str, Target] = {}
        self._blind: set[str] = set()  # names of targets that were refused for want of knowledge
        self._warned: set[tuple[str, str]] = set()
        self._document: CachedDocument | None = None if documents is None else cached_document(documents)
        self._circuits: Cached[Sequence[Circuit]] | None = None
        if circuits is not None:
            self._circuits = cached_circuits(circuits, lambda: tuple(self.targets), function)
        self._flush_write = write
        self._flush_at_s: float | None = None
        # Nothing is due while fresh_from_s <= wall < fresh_until_s and monotonic < fresh_monotonic_s.
        self.fresh_from_s, self.fresh_until_s, self.fresh_monotonic_s = STALE
        watch_for_copies(self)

    def target(self, name: str) -> Target:
        """Return the one Target of this name, made if need be."""
        target = self.targets.get(name)
        if target is None:
            target = self.targets.setdefault(name, made := Target(name, function=self.function))
            if target is not made:  # another thread was first
                return target
            if self.hooks is not None:
                target.watch()
            if self._circuits is not None:
                self._circuits.expire()
                self._look_again()
                known = list(self.targets.values())[0].switch  # noqa: RUF015 - at once: other threads declare
                for circuit in (*(self._circuits.value or ()), known):  # the kill switch holds until then
                    target.apply_circuit(circuit)
            self._apply_document(target)
        return target

    def _apply_document(self, target: Target) -> None:
        cached = self._document
        if cached is None or cached.value is None:
            return
        document, before = cached.value, target.params
        params = document.targets.get(target.name, document.defaults)
        obeyed = target.apply_params(params, document.revision, withdrawn=cached.withdrawn)
        if obeyed and self.hooks is not None:
            from flyball.hooks import ParamsApplied

            self.hooks.emit(ParamsApplied(target.name, document.revision, before, target.params))

    def enter(self, deadline_s: float) -> Entered:
        """Begin an invocation until `deadline_s`, or until that around ends; returns what `leave` takes."""
        around = _own_invocation(self)
        if around is not None:
            deadline_s = min(deadline_s, around[1])
        with self._lock:
            self._deadlines.append(deadline_s)
            self.deadline_s = deadline_s if len(self._deadlines) == 1 else SEVERAL
        return (inside := [self, deadline_s, _own_invocation(None)]), _invocation.set(inside)

    def leave(self, entered: Entered) -> None:
        """End the invocation that was entered last in this thread or task; another one may do so."""
        inside, token = entered
        inside[0] = None
        with self._lock:
            self._deadlines.remove(inside[1])
            left = self._deadlines
            self.deadline_s = None if not left else left[0] if len(left) == 1 else SEVERAL
        try:  # noqa: SIM105 - contextlib is one import more
            _invocation.reset(token)
        except ValueError:  # left elsewhere, as by a generator: nobody looks at what is over
            pass

    def deadline(self) -> float | None:
        """Return when the invocation of this thread or task ends, epoch seconds; None if there is none.

        A thread without one of its own, as a worker of a pool, obeys the only
        one that is under way, and the latest of several.
        """
        if self.deadline_s != SEVERAL:
            return self.deadline_s
        own = _own_invocation(self)
        return max(self._deadlines, default=None) if own is None else float(own[1])

    @property
    def knows(self) -> bool:
        """Whether a document or the circuits (be it that there are none) were ever read."""
        both = (self._document, self._circuits)
        return any(cached is not None and cached.value is not None for cached in both)

    def refuse_unknown(self, target: Target) -> None:
        """Let `target` refuse calls while nothing is known; once, whoever asks again."""
        if not self.knows and target.name not in self._blind:
            self._blind.add(target.name)
            target.begin_blind(self.clock.wall_s())

    def warn_once(self, kind: str, what: str) -> bool:
        """Whether this was not said before."""
        news = (kind, what) not in self._warned
        self._warned.add((kind, what))
        return news

    def renew(self) -> None:
        """Begin anew in a copy of the process: after a fork, after a restore from a snapshot.

        What was read is old, and kept until it is read again; what the original
        counted, holds or has saved is not ours (`Target.renew`). Randomness
        needs no new seed: the clock draws from the kernel.
        """
        self._lock = allocate_lock()
        self._flush_at_s = None
        for held in (self._document, self._circuits, self.faults):
            if held is not None:
                held.renew()
        for target in list(self.targets.values()):
            target.renew()
            if target.name in self._blind and not self.knows:
                target.begin_blind(self.clock.wall_s())
        self._look_again()

    def see_to(self, wall_s: float, monotonic_s: float) -> float:
        """Do what is due, reads and flush; returns epoch seconds after it.

        Also finds out until when nothing will be due: one window for both caches
        and the flush, so that a healthy call pays comparisons with both clocks
        and calls nothing (K6).
        """
        now_s = self.clock.wall_s() if self.poll(wall_s, monotonic_s) else wall_s
        self.flush_if_due(now_s)
        window = self._window()
        self.fresh_from_s, self.fresh_until_s, self.fresh_monotonic_s = window
        if self._window() != window:  # another thread changed something before it could be forgotten
            self._look_again()
        return now_s

    def _window(self) -> tuple[float, float, float]:
        flush_at_s = self._flush_at_s
        if flush_at_s is None:
            return STALE
        windows = [(flush_at_s - 2.0 * FLUSH_S, flush_at_s, NEVER)]
        windows += [cached.fresh() for cached in (self._document, self._circuits) if cached is not None]
        begins, ends, monotonic_ends = zip(*windows, strict=True)
        return max(begins), min(ends), min(monotonic_ends)

    def _look_again(self) -> None:
        """Forget until when nothing is due: that has changed."""
        self.fresh_from_s, self.fresh_until_s, self.fresh_monotonic_s = STALE

    def poll(self, wall_s: float, monotonic_s: float) -> bool:
        """Bring what is published up to date if that is due; True if there was a read (time passed)."""
        document, circuits, read = self._document, self._circuits, False
        if document is not None and document.due(wall_s, monotonic_s):
            read = True
            if document.refresh(wall_s, monotonic_s, self.clock.draw()):
                for known in list(self.targets.values()):
                    self._apply_document(known)
            self._say("document", document)
        if circuits is not None and circuits.due(wall_s, monotonic_s):
            read = True
            if circuits.refresh(wall_s, monotonic_s, self.clock.draw()):
                for known in list(self.targets.values()):
                    known.see()
                for circuit in circuits.value or ():
                    for concerned in self._concerned(circuit):
                        concerned.apply_circuit(circuit)
            self._say("circuit", circuits)
        return read

    def _say(self, what: str, cached: Cached[Any]) -> None:
        """Warn, once, of what was published and is not obeyed, or is never read: nobody must wait in vain."""
        if cached.refused is not None or cached.unread:
            from flyball.misuse import warn_of_source

            warn_of_source(self, what, cached)

    def _concerned(self, circuit: Circuit) -> Sequence[Target]:
        if is_kill_switch(circuit):
            return list(self.targets.values())
        known = self.targets.get(circuit.target)
        return () if known is None else (known,)

    def flush(self) -> int:
        """Write the metrics of all targets now; returns the number of lines. Raises no Exception."""
        now_s = self.clock.wall_s()
        self._flush_at_s = now_s + FLUSH_S
        self._look_again()
        from flyball.telemetry import emf_lines  # after the first calls, not before them

        lines = 0
        for target in list(self.targets.values()):
            counters = target.take_counters()
            name, function = target.name, target.function
            lines += self._write(emf_lines(counters, target=name, function=function, now_s=now_s))
            if self.hooks is not None and not counters.empty:
                from flyball.hooks import MetricsFlushed

                self.hooks.emit(MetricsFlushed(name, function, counters))
        return lines if self.faults is None else lines + self._write(self.faults.take_lines(now_s))

    def _write(self, lines: Sequence[str]) -> int:
        """Write the lines; returns their number. What cannot be written must not fail the function."""
        try:
            for line in lines:
                self._flush_write(line)
        except Exception as error:  # noqa: BLE001 - a closed, full or missing stdout; somebody's own `write`
            if self.warn_once("unwritten", ""):
                from flyball.misuse import warn_unwritten

                warn_unwritten(error)
            return 0
        return len(lines)

    def flush_if_due(self, now_s: float) -> None:
        """Write the metrics if the last time is FLUSH_S ago."""
        if self._flush_at_s is None:
            self._flush_at_s = now_s + FLUSH_S
        elif now_s >= self._flush_at_s or now_s < self._flush_at_s - 2.0 * FLUSH_S:  # or the clock went back
            self.flush()


def from_environment(environ: Mapping[str, str] = os.environ) -> Runtime:
    """Return the Runtime that the environment variables describe (module docstring).

    Raises:
        SettingsError: A variable cannot be obeyed; `field` names it.
    """
    documents: DocumentSource = EnvironmentDocuments()
    # The Agent counts if both are given: it saves polls that cost money.
    for variable in ("FLYBALL_APPCONFIG", "FLYBALL_AGENT"):
        path = environ.get(variable, "")
        parts = path.split("/")
        if path and (len(parts) != 3 or not all(parts)):
            bound = "application/environment/configuration"
            raise SettingsError(f"{variable}={path!r} must be {bound}", field=variable)
        if path and variable == "FLYBALL_AGENT":
            from flyball.agent import AgentDocuments, agent_port

            documents = AgentDocuments(*parts, port=agent_port(environ))
        elif path:
            from flyball.appconfigdata import AppConfigDataDocuments

            documents = AppConfigDataDocuments(*parts)
    circuits: CircuitSource | None = None
    if table := environ.get("FLYBALL_CIRCUITS_TABLE", ""):
        from flyball.aws import DynamoCircuits

        circuits = DynamoCircuits(table=table)
    switch = environ.get("FLYBALL_OFF", "").strip().lower()
    if switch not in _YES | _NO:
        raise SettingsError(f"FLYBALL_OFF={switch!r} must be 1 or 0", field="FLYBALL_OFF")
    shared = Runtime(
        function=environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        documents=documents,
        circuits=circuits,
        off=switch in _YES,
    )
    if faults := environ.get("FLYBALL_FAULTS", ""):
        from flyball.faults_json import turn_on

        turn_on(faults, shared)
    return shared
