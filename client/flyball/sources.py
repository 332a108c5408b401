"""Where documents and circuits come from, and how old they may be.

A source answers or fails; it does not cache and does not retry. `Cached` does
the rest for all of them: it keeps the last good value whatever happens, asks at
most once per interval however many callers there are (K5), backs off while the
store is down (K3), refuses to go back to an older version (K2), and believes in
freshness only if both clocks do (K6). Nothing that a source does can fail a
guarded call.

A document source has `read() -> Document | None`, a circuit source
`read(targets, function) -> Sequence[Circuit]`. Both may raise SourceError (could
not be read) or ContractError (could be read, and is no good).
"""

from __future__ import annotations

import os
from _thread import allocate_lock

from flyball.errors import ContractError, SourceError
from flyball.named import Generic, Protocol, TypeVar
from flyball.records import DOCUMENT_BYTES_MAX, FLEET, Circuit, Document, is_kill_switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

DOCUMENT_AGE_S = 10.0  # the Agent itself polls every 45 s; asking it costs a millisecond
CIRCUIT_AGE_S = 5.0
BACKOFF_S = 1.0  # first pause after a failed read; doubles
BACKOFF_MAX_S = 60.0
# So many failed reads without one that did not are no hiccup: 1 + 2 s at least, and someone should look.
UNREAD = 3
# Environments started together must not ask together: up to a tenth later.
AGE_JITTER = 0.1
# Of no time at all.
STALE = (float("inf"), float("-inf"), float("-inf"))


class DocumentSource(Protocol):
    """Reads the configuration document.

    May have an attribute `replaced`: whether the document read last is known to
    stand in place of the one read before, be its revision lower (a roll-back).
    Without it, or false, a lower revision is taken for a stale one.
    """

    def read(self) -> Document | None:
        """Return the document, or None if there is none (yet) or nothing new."""


class CircuitSource(Protocol):
    """Reads the circuit items of all targets at once, so that many targets cost one read (K5).

    May have an attribute `refused`: the ContractError of an item among those read last.
    """

    def read(self, targets: Sequence[str], function: str) -> Sequence[Circuit]:
        """Return the items that exist: each target's of function and fleet, and the kill switch."""


def several(names: Sequence[str]) -> Sequence[str]:
    """Several names, also if one was given: a text is a sequence of letters, which nobody means."""
    return (names,) if isinstance(names, str) else names


class Cached(Generic[T]):
    """The last good value of a read, and when to read again. Times are arguments.

    `value` is None until something was read: never loaded is not the same as
    loaded at time 0. `bad` counts contents that were refused, `failed` reads
    that failed, `older` values that would have gone back. `refused` is why the
    content read last was refused, None if it was not. `unread` is why nothing could be
    read so far, once that lasts; "" otherwise.
    """

    __slots__ = (
        "_accepts",
        "_answered",
        "_interval_s",
        "_lock",
        "_max_age_s",
        "_monotonic_s",
        "_pause_s",
        "_read",
        "_wall_s",
        "bad",
        "failed",
        "older",
        "refused",
        "unread",
        "value",
    )

    def __init__(
        self,
        read: Callable[[], T | None],
        *,
        max_age_s: float,
        accepts: Callable[[T, T], bool] = lambda old, new: True,
    ) -> None:
        """Read with `read`, at most every `max_age_s`; `accepts(old, new)` may refuse a step back."""
        self._read = read
        self._max_age_s = max_age_s
        self._accepts = accepts
        self._lock = allocate_lock()
        self._wall_s: float | None = None  # of the last read's begin, on either clock
        self._monotonic_s = 0.0
        self._interval_s = max_age_s
        self._pause_s = BACKOFF_S
        self.value: T | None = None
        self.bad = 0
        self.failed = 0
        self.older = 0
        self.refused: ContractError | None = None
        self.unread = ""
        self._answered = False  # whether any read did not fail

    def due(self, wall_s: float, monotonic_s: float) -> bool:
        """Whether the value must be read again: unless both clocks say that the last read is recent."""
        read_at_s = self._wall_s
        if read_at_s is None:
            return True
        interval_s = self._interval_s
        return not (0.0 <= wall_s - read_at_s < interval_s and monotonic_s - self._monotonic_s < interval_s)

    def fresh(self) -> tuple[float, float, float]:
        """Return (a, b, c): `due` is false while a <= wall < b and monotonic < c, if nothing happens.

        To a rounding of microseconds, for whoever must not pay two calls to be told the same.
        """
        read_at_s, interval_s = self._wall_s, self._interval_s
        if read_at_s is None:
            return STALE
        return read_at_s, read_at_s + interval_s, self._monotonic_s + interval_s

    def expire(self) -> None:
        """Make the next `due` true: what is to be read has changed."""
        self._wall_s = None

    def renew(self) -> None:
        """Expire, in a copy of the process: another thread of the original may have held the lock."""
        self._lock = allocate_lock()
        self._pause_s = BACKOFF_S
        self.expire()

    def refresh(self, wall_s: float, monotonic_s: float, draw: float) -> bool:
        """Read once; True if `value` was replaced. Who comes while another reads, leaves with the old value.

        Never raises an Exception. The age is counted from before the read, so
        that a slow answer is not taken for a fresh one.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            # It waited at the door while another came back with the news.
            if not self.due(wall_s, monotonic_s):
                return False
            self._wall_s = wall_s
            self._monotonic_s = monotonic_s
            return self._read_once(1.0 + AGE_JITTER * draw)
        finally:
            self._lock.release()

    def _read_once(self, jitter: float) -> bool:
        # If the read is interrupted, the next one comes after the pause as well.
        self._interval_s = self._pause_s * jitter
        self.refused = None
        try:
            value = self._read()
        except ContractError as cause:
            self.bad += 1  # the store is well; keep polling at the usual pace (A3)
            self.refused = cause
            value = None
        # A source only advises: its own faults must not fail the call it was asked for (O5).
        except Exception as cause:  # noqa: BLE001
            self.failed += 1
            if not self._answered and self.failed >= UNREAD:
                self.unread = f"{type(cause).__name__}: {cause}"  # its text alone: it holds frames
            self._pause_s = min(BACKOFF_MAX_S, 2.0 * self._pause_s)
            return False
        self._answered, self.unread = True, ""
        self._pause_s = BACKOFF_S
        self._interval_s = self._max_age_s * jitter
        if value is None:
            return False
        if self.value is not None and not self._accepts(self.value, value):
            self.older += 1
            return False
        self.value = value
        return True


class CachedDocument(Cached[Document]):
    """The cache of a document source: refuses an older revision (K2), unless it is the source's newer word.

    AppConfig rolls back by serving the document of before. A lower revision is
    therefore either stale, or an order; only the source can know, and says so by
    `replaced`. `withdrawn` is the highest revision that was taken back so, -1 = none.
    """

    __slots__ = ("_source", "withdrawn")

    def __init__(self, source: DocumentSource, *, max_age_s: float) -> None:
        super().__init__(source.read, max_age_s=max_age_s, accepts=self._follows)
        self._source = source
        self.withdrawn = -1

    def _follows(self, old: Document, new: Document) -> bool:
        if new.revision >= old.revision:
            return True
        if not getattr(self._source, "replaced", False):
            return False
        self.withdrawn = max(self.withdrawn, old.revision)
        return True


def cached_document(source: DocumentSource, *, max_age_s: float = DOCUMENT_AGE_S) -> CachedDocument:
    """Return the cache of a document source."""
    _readable("documents", source)
    return CachedDocument(source, max_age_s=max_age_s)


def _readable(field: str, source: object) -> None:
    if not callable(getattr(source, "read", None)):
        from flyball.misuse import refuse

        refuse(field, source, "a source, with a method read() (flyball.sources), or None")


def cached_circuits(
    source: CircuitSource,
    targets: Callable[[], Sequence[str]],
    function: str,
    *,
    max_age_s: float = CIRCUIT_AGE_S,
) -> Cached[Sequence[Circuit]]:
    """Return the cache of the items of `targets()`. Versions are compared where they are obeyed."""
    _readable("circuits", source)

    def read() -> Sequence[Circuit]:
        items = source.read(targets(), function)
        cached.refused = getattr(source, "refused", None)  # one of several
        return items

    cached = Cached(read, max_age_s=max_age_s)
    return cached


class StaticDocuments:
    """A document that never changes."""

    __slots__ = ("_document",)

    def __init__(self, document: Document) -> None:
        self._document = document

    def read(self) -> Document | None:
        """Return the document."""
        return self._document


class StaticCircuits:
    """Circuit items that never change."""

    __slots__ = ("_circuits",)

    def __init__(self, circuits: Sequence[Circuit]) -> None:
        self._circuits = tuple(circuits)

    def read(self, targets: Sequence[str], function: str) -> Sequence[Circuit]:
        """Return the items of the targets that count for the function, and the kill switch."""
        names = several(targets)
        return [
            circuit
            for circuit in self._circuits
            if is_kill_switch(circuit) or (circuit.target in names and circuit.function in (FLEET, function))
        ]


class Decoded:
    """Bytes as the document that they are; those that were read last are not decoded again."""

    __slots__ = ("_data", "_document")

    def __init__(self) -> None:
        self._data = b""
        self._document: Document | None = None

    def of(self, data: bytes) -> Document | None:
        """Return the document, None if there are no bytes.

        Raises:
            ContractError: They are none.
        """
        if not data:
            return None
        if data != self._data:
            from flyball.document import decode_document  # not before there is one: a cold start waits

            self._document = decode_document(data)
            self._data = data
        return self._document


class FileDocuments:
    """A document in a file, as in a container image or the Agent's local development mode.

    A file has no replicas that lag behind: what it says now, somebody has put there.
    """

    __slots__ = ("_decoded", "_path")

    replaced = True

    def __init__(self, path: str) -> None:
        self._path = path
        self._decoded = Decoded()

    def read(self) -> Document | None:
        """Return the document; None if the file is empty."""
        try:
            with open(self._path, "rb") as file:
                data = file.read(DOCUMENT_BYTES_MAX + 1)
        except OSError as cause:
            raise SourceError(f"cannot read {self._path}: {cause}", source="file") from cause
        return self._decoded.of(data)


class EnvironmentDocuments:
    """A document in an environment variable: settings that ship with the function."""

    __slots__ = ("_decoded", "_variable")

    def __init__(self, variable: str = "FLYBALL_DOCUMENT") -> None:
        self._variable = variable
        self._decoded = Decoded()

    def read(self) -> Document | None:
        """Return the document; None if the variable is absent or empty."""
        text = os.environ.get(self._variable, "")
        return self._decoded.of(text.encode(errors="replace"))
