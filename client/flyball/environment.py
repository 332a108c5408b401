"""One execution environment's shared state: targets, sources, clock, deadline, metrics.

A process has one `Runtime`, made at first use from the environment variables
below, so that importing the package costs nothing and reads nothing. Tests and
embeddings make their own.

    FLYBALL_OFF               "1": guards call straight through (the first emergency exit)
    FLYBALL_AGENT             application/environment/configuration of the AppConfig Agent
    FLYBALL_DOCUMENT          the document itself, if there is no Agent
    FLYBALL_CIRCUITS_TABLE    DynamoDB table of the circuits; absent = no fleet circuit is obeyed
    AWS_LAMBDA_FUNCTION_NAME  the `function` dimension, and whose circuits count
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from flyball.call import Target
from flyball.clock import Clock, SystemClock
from flyball.errors import SettingsError
from flyball.records import Circuit, Document
from flyball.sources import (
    AgentDocuments,
    Cached,
    CircuitSource,
    DocumentSource,
    EnvironmentDocuments,
    cached_circuits,
    cached_document,
)
from flyball.telemetry import flush

# A long invocation must not keep its metrics to itself: the slow loop looks each minute.
FLUSH_S = 10.0
# Left of the invocation for the function to answer after the last attempt was given up.
DEADLINE_MARGIN_S = 0.05
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})


def write_to_stdout(line: str) -> None:
    """Write one line in one piece, where Lambda's log driver finds it."""
    sys.stdout.write(line + "\n")


class Runtime:
    """Everything that guards of one process share.

    `sleep` and `async_sleep` are attributes, so that a test can replace them.
    """

    __slots__ = (
        "_circuits",
        "_document",
        "_flush_at_s",
        "_flush_write",
        "async_sleep",
        "clock",
        "deadline_s",
        "function",
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
        off: bool = False,
    ) -> None:
        """Begin without targets; nothing is read before the first call.

        Args:
            function: Name of the function, the second metric dimension.
            documents: Source of parameters; None = compiled-in defaults.
            circuits: Source of fleet circuits; None = local protection only.
            clock: For tests.
            write: Takes each metric line.
            off: Guards call straight through.
        """
        self.function = function
        self.clock: Clock = SystemClock() if clock is None else clock
        self.sleep: Callable[[float], object] = self.clock.sleep
        self.async_sleep: Callable[[float], object] = _asyncio_sleep
        self.deadline_s: float | None = None  # epoch seconds, of the invocation under way
        self.off = off
        self.targets: dict[str, Target] = {}
        self._document: Cached[Document] | None = None if documents is None else cached_document(documents)
        self._circuits: Cached[Sequence[Circuit]] | None = None
        if circuits is not None:
            self._circuits = cached_circuits(circuits, lambda: tuple(self.targets), function)
        self._flush_write = write
        self._flush_at_s: float | None = None

    def target(self, name: str) -> Target:
        """Return the one Target of this name, made if need be."""
        target = self.targets.get(name)
        if target is None:
            target = self.targets[name] = Target(name, function=self.function)
            if self._circuits is not None:
                self._circuits.expire()
            self._apply_document(target)
        return target

    def _apply_document(self, target: Target) -> None:
        document = None if self._document is None else self._document.value
        if document is not None:
            target.apply_params(document.targets.get(target.name, document.defaults), document.revision)

    def poll(self, wall_s: float, monotonic_s: float) -> bool:
        """Bring what is published up to date if that is due; True if there was a read (time passed)."""
        document, circuits = self._document, self._circuits
        read = False
        if document is not None and document.due(wall_s, monotonic_s):
            read = True
            if document.refresh(wall_s, monotonic_s, self.clock.draw()):
                for known in list(self.targets.values()):
                    self._apply_document(known)
        if circuits is not None and circuits.due(wall_s, monotonic_s):
            read = True
            if circuits.refresh(wall_s, monotonic_s, self.clock.draw()):
                for circuit in circuits.value or ():
                    concerned = self.targets.get(circuit.target)
                    if concerned is not None:
                        concerned.apply_circuit(circuit)
        return read

    def flush(self) -> int:
        """Write the metrics of all targets now; returns the number of lines. Never raises an OSError."""
        now_s = self.clock.wall_s()
        self._flush_at_s = now_s + FLUSH_S
        lines = 0
        for target in list(self.targets.values()):
            try:
                lines += flush(target, now_s, self._flush_write)
            except OSError:  # a closed or full stdout must not fail the function it reports on
                continue
        return lines

    def flush_if_due(self, now_s: float) -> None:
        """Write the metrics if the last time is FLUSH_S ago."""
        if self._flush_at_s is None:
            self._flush_at_s = now_s + FLUSH_S
        elif now_s >= self._flush_at_s or now_s < self._flush_at_s - 2.0 * FLUSH_S:  # or the clock went back
            self.flush()


def _asyncio_sleep(seconds: float) -> object:
    # By name: `import asyncio` would cost every synchronous function a tenth of a second.
    from importlib import import_module

    return import_module("asyncio").sleep(seconds)


def from_environment(environ: Mapping[str, str] = os.environ) -> Runtime:
    """Return the Runtime that the environment variables describe (module docstring).

    Raises:
        SettingsError: A variable cannot be obeyed; `field` names it.
    """
    documents: DocumentSource = EnvironmentDocuments()
    agent = environ.get("FLYBALL_AGENT", "")
    if agent:
        parts = agent.split("/")
        if len(parts) != 3 or not all(parts):
            raise SettingsError(
                f"FLYBALL_AGENT={agent!r} must be application/environment/configuration",
                field="FLYBALL_AGENT",
            )
        documents = AgentDocuments(*parts)
    circuits: CircuitSource | None = None
    table = environ.get("FLYBALL_CIRCUITS_TABLE", "")
    if table:
        from flyball.aws import DynamoCircuits

        circuits = DynamoCircuits(table=table)
    switch = environ.get("FLYBALL_OFF", "").strip().lower()
    if switch not in _YES | _NO:
        raise SettingsError(f"FLYBALL_OFF={switch!r} must be 1 or 0", field="FLYBALL_OFF")
    return Runtime(
        function=environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        documents=documents,
        circuits=circuits,
        off=switch in _YES,
    )
