"""The records that cross the wire, their units, and the bounds inside which a client obeys them.

Defaults here are the compiled-in behaviour: what a client does when nothing was
ever received. Bounds are the last word on any number, whatever the writer
promised (K10). Import these names from `flyball.contract`, which adds the codecs.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from flyball.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeVar

    Section = TypeVar("Section", "RetryParams", "ThrottleParams", "BreakerParams", "BulkheadParams")

SCHEMA_VERSION = 1
# AppConfig would take 2 MB; a client parses the document in its hot environment,
# and 64 KiB holds about 200 targets.
DOCUMENT_BYTES_MAX = 65_536
# What names of targets must be fit for: flyball.names. The lookahead is for engines
# whose `$` would let a final newline pass.
TARGET_NAME_MAX = 128
TARGET_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@/#+-]{0,127}(?!\n)$"
# The last probes before a close need not wait for their turn. Not more of them: where a fifth of the
# calls fails, five good ones in a row are frequent, and a circuit that sheds must go on shedding.
RAMP_PROBES = 3
_TARGET_MARKS = frozenset("._:@/#+-")
FLEET = "*"  # sort key of the circuit that holds for every function of a target


class CircuitState(IntEnum):
    """States with fixed numbers, so that a gauge keeps its meaning for ever."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2
    FORCED_OPEN = 3
    FORCED_CLOSED = 4


FORCED = frozenset({CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED})  # by operators
# How much a state forbids; a renewal that is harder is a new finding.
_HARDNESS = {
    CircuitState.CLOSED: 0,
    CircuitState.FORCED_CLOSED: 0,
    CircuitState.HALF_OPEN: 1,
    CircuitState.OPEN: 2,
    CircuitState.FORCED_OPEN: 3,
}


class Jitter(StrEnum):
    """How waits are spread over their range: `flyball.backoff` has the formulas."""

    FULL = "full"
    EQUAL = "equal"
    DECORRELATED = "decorrelated"


class RetryParams(NamedTuple):
    """How one call may be repeated. `max_attempts` counts the first attempt: 3 retries are 4 attempts."""

    max_attempts: int = 4
    base_ms: int = 100
    cap_ms: int = 2_000
    throttle_base_ms: int = 1_000
    # Retries allowed per first attempt, over time. 0 = none, 0.2 = one in five,
    # 3 = every call may use all three.
    budget_ratio: float = 0.2
    budget_burst: float = 3.0
    attempt_timeout_ms: int = 1_000
    # Budget that a retry after a fast error costs. Under 1, partial failures are
    # retried sooner than time-outs, which feed storms; the controller sets it.
    fast_cost: float = 1.0
    jitter: Jitter = Jitter.FULL


class ThrottleParams(NamedTuple):
    """Graded local shedding on time-outs: reject with p = min(cap_ratio, (n - k*good) / (n + 1))."""

    k: float = 1.5
    cap_ratio: float = 0.8
    # An environment sees about one call a second; a minute holds enough of them (docs/theory/control.md).
    window_s: float = 60.0


class BreakerParams(NamedTuple):
    """The client's own breaker for hard failures, and how it closes again."""

    # Under it, failures are partial and retries pay (1 - e^4); over it nearly all calls are dead.
    failure_ratio: float = 0.9
    min_calls: int = 20
    window_s: float = 60.0
    open_s: float = 30.0
    probe_ratio: float = 0.1
    close_after: int = 3
    # An answer that took this long is slow; 0 = no answer is. Whether slowness is a
    # reason to stop calling is known to the caller alone, so it is off.
    slow_call_ms: int = 0
    slow_call_ratio: float = 0.9
    # So many failed first attempts in a row, time-outs counted half, and the target is gone, however
    # few calls there were; 0 = no row is long enough. At 50 % errors one begins in 8,192 calls.
    consecutive_failures: int = 12


class BulkheadParams(NamedTuple):
    """How many calls may be under way at once, in one environment. 0 = no limit.

    Off by default: a Lambda environment makes one call at a time. It is for hosts
    with concurrency, where one slow target would take all workers.
    """

    max_concurrent: int = 0


class TargetParams(NamedTuple):
    """All live parameters of one target."""

    retry: RetryParams = RetryParams()
    throttle: ThrottleParams = ThrottleParams()
    breaker: BreakerParams = BreakerParams()
    bulkhead: BulkheadParams = BulkheadParams()


_JITTERS: dict[str, Jitter] = {jitter.value: jitter for jitter in Jitter}
# Compiled-in defaults: what a client uses when nothing was ever received.
DEFAULT_PARAMS = TargetParams()

# Lowest and highest value a client obeys, by section and field (K10). A retry
# storm by configuration (attempts = 1e9, no delay) ends here.
BOUNDS: dict[str, dict[str, tuple[float, float]]] = {
    "retry": {
        "max_attempts": (1, 4),
        "base_ms": (1, 10_000),
        "cap_ms": (1, 60_000),
        "throttle_base_ms": (1, 60_000),
        "budget_ratio": (0.0, 3.0),
        "budget_burst": (0.0, 10.0),
        "attempt_timeout_ms": (10, 900_000),
        "fast_cost": (0.2, 1.0),
    },
    "throttle": {"k": (1.0, 10.0), "cap_ratio": (0.0, 0.9), "window_s": (1.0, 600.0)},
    "breaker": {
        "failure_ratio": (0.05, 1.0),
        "min_calls": (1, 10_000),
        "window_s": (1.0, 600.0),
        "open_s": (0.1, 600.0),
        "probe_ratio": (0.01, 1.0),
        "close_after": (1, 100),
        "slow_call_ms": (0, 900_000),
        "slow_call_ratio": (0.05, 1.0),
        "consecutive_failures": (0, 1_000),
    },
    "bulkhead": {"max_concurrent": (0, 10_000)},
}
SECTIONS = tuple(BOUNDS)

# Fields that are words, and the words a client understands.
CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "retry": {"jitter": tuple(jitter.value for jitter in Jitter)},
}

# Fields that schema 1 got after it was first deployed. They are written only where
# they differ from what a reader would assume anyway: validators of before accept
# the document as long as nobody uses them, and nobody pays for them in bytes.
LATER_FIELDS = frozenset(
    {
        ("retry", "jitter"),
        ("retry", "fast_cost"),
        ("breaker", "slow_call_ms"),
        ("breaker", "slow_call_ratio"),
        ("breaker", "consecutive_failures"),
        ("bulkhead", "max_concurrent"),
    }
)

# Counts and whole milliseconds; every other field is a real number.
INTEGER_FIELDS = frozenset(
    {
        "max_attempts",
        "base_ms",
        "cap_ms",
        "throttle_base_ms",
        "attempt_timeout_ms",
        "min_calls",
        "close_after",
        "slow_call_ms",
        "consecutive_failures",
        "max_concurrent",
    }
)


class Document(NamedTuple):
    """The AppConfig document: parameters of every target, and those of targets it does not name."""

    revision: int
    generated_at: str
    policy_hash: str
    targets: dict[str, TargetParams]
    defaults: TargetParams = DEFAULT_PARAMS


class Circuit(NamedTuple):
    """One published circuit item (partition key `target`, sort key `function`).

    `budget_ratio` and `max_attempts` are the retry level: fast overrides of the
    document's values that hold until `valid_until`; None leaves the document's.
    `close_after` is how many good probes in a row close it at the client: few
    where the target was dead, many where traffic is shed to its capacity.
    `version` only rises; readers reject a lower one (K2). `stamp` is the window
    start of the newest evidence behind it. After `valid_until` an OPEN or
    HALF_OPEN item is read as HALF_OPEN, and overrides are dropped (P6).
    """

    target: str
    function: str
    state: CircuitState
    changed_at: float
    error_count: int
    probe_ratio: float
    version: int
    write_id: str
    stamp: float
    valid_until: float
    reason: str
    budget_ratio: float | None = None
    max_attempts: int | None = None
    close_after: int | None = None


def is_target_name(name: object) -> bool:
    """Return whether this can be the name of a target (flyball.names), without the `re` of a pattern."""
    if not isinstance(name, str) or not (0 < len(name) <= TARGET_NAME_MAX and name.isascii()):
        return False
    rest = all(character.isalnum() or character in _TARGET_MARKS for character in name)
    return rest and name[0].isalnum()


def is_kill_switch(circuit: Circuit) -> bool:
    """Whether an item counts for every target of every function (O1): one item, target and function "*".

    It has one position, FORCED_CLOSED: until its `valid_until` every call passes, under the
    compiled-in parameters, whatever else was published. Any other state lets go at once.
    """
    return circuit.target == FLEET == circuit.function


def prevailing(items: Sequence[Circuit]) -> Circuit | None:
    """Return the item that holds: an operator's force before all, then the first; None if there is none."""
    for item in items:
        if item.state in FORCED:
            return item
    return items[0] if items else None


def is_new_finding(circuit: Circuit, known: Circuit) -> bool:
    """Whether `circuit` says more against the target than `known` did, rather than the same once more.

    What was changed while `known` was valid, and forbids less, is the same finding
    on its way back: OPEN that became HALF_OPEN because probes went well.
    """
    harder = _HARDNESS[circuit.state] - _HARDNESS[known.state]
    if harder > 0 or circuit.probe_ratio < known.probe_ratio:
        return True
    loosened = harder < 0 or circuit.probe_ratio > known.probe_ratio
    return circuit.changed_at > (known.valid_until if loosened else known.changed_at)


def probe_share(ratio: float, *, good: int, close_after: int) -> float:
    """Return the share of calls, in [ratio, 1), that a half-open circuit lets through after `good` probes.

    `ratio` until a probe was good and at most RAMP_PROBES - 1 are missing; then more from one to the
    next, else whoever has the least traffic would be back long after the target is.

    >>> [round(probe_share(0.1, good=good, close_after=3), 2) for good in range(3)]
    [0.1, 0.4, 0.7]
    """
    missing = close_after - good
    if good == 0 or missing >= RAMP_PROBES:
        return ratio
    return 1.0 - (1.0 - ratio) * missing / RAMP_PROBES


def clip(value: float, *, section: str, field: str) -> float:
    """Return `value` inside its bounds; NaN, which has no side, gives the compiled-in default (K10).

    >>> clip(1e9, section="retry", field="max_attempts")
    4
    >>> clip(float("nan"), section="retry", field="budget_ratio")
    0.2
    """
    low, high = BOUNDS[section][field]
    if value != value:
        default: float = getattr(getattr(DEFAULT_PARAMS, section), field)
        return default
    return low if value < low else min(value, high)


def clip_params(params: TargetParams) -> TargetParams:
    """Return the parameters that a client obeys: each number inside BOUNDS, counts as integers (K10).

    A jitter that is none is the compiled-in one. What needs no clipping is returned
    itself, so that targets with the same parameters share them.
    """
    retry = _clipped("retry", params.retry)
    word: object = retry.jitter
    jitter = DEFAULT_PARAMS.retry.jitter
    if isinstance(word, str):
        jitter = _JITTERS.get(word, jitter)
    if jitter is not word:
        retry = retry._replace(jitter=jitter)
    clipped = TargetParams(
        retry,
        _clipped("throttle", params.throttle),
        _clipped("breaker", params.breaker),
        _clipped("bulkhead", params.bulkhead),
    )
    same = all(section is given for section, given in zip(clipped, params, strict=True))
    return params if same else clipped


def clip_circuit(circuit: Circuit) -> Circuit:
    """Return the circuit with its overrides and probe ratio inside BOUNDS (K10)."""
    ratio, attempts, good = circuit.budget_ratio, circuit.max_attempts, circuit.close_after
    return circuit._replace(
        probe_ratio=clip(circuit.probe_ratio, section="breaker", field="probe_ratio"),
        budget_ratio=None if ratio is None else clip(ratio, section="retry", field="budget_ratio"),
        max_attempts=None if attempts is None else int(clip(attempts, section="retry", field="max_attempts")),
        close_after=None if good is None else int(clip(good, section="breaker", field="close_after")),
    )


def _clipped(section: str, record: Section) -> Section:
    """Return `record` inside its bounds: itself if it is, for what needs no change stays the same object."""
    changed: dict[str, Any] = {}
    for field in BOUNDS[section]:
        given = getattr(record, field)
        number = clip(given, section=section, field=field)
        number = int(number) if field in INTEGER_FIELDS else float(number)
        if number is not given:
            changed[field] = number
    return record._replace(**changed) if changed else record
