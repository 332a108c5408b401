"""What an event may turn into: wake-ups for targets, or counted rejections.

An alarm is only a wake-up. It says "look at this target now"; what is decided
comes from the metrics the sensor then reads, stamped by their own windows, and
from conditional writes. So the key of an event (alarm ARN, contributor, state
timestamp, value) serves the audit trail, and no idempotency table stands beside
the checkpoint: delivering an event twice, late, or after a newer one makes the
controller look again at evidence it has already counted, which changes nothing
(E4, C5, P3). For the same reason a forged alarm can cost one metric read and
nothing else (T1).

These records know no AWS client and no clock; who reads the events says what
time it is (`Expected.now_s`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from flyball_controller.bounded import Undecodable

AGE_S_MAX = 900.0  # an event older than this is history: audit only (E3)
SKEW_S_MAX = 2.0  # declared bound on the difference of two AWS clocks


class AlarmState(StrEnum):
    """The three states of a CloudWatch alarm."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class AlarmKind(StrEnum):
    """What kind of alarm spoke; for the audit trail, no decision depends on it."""

    METRIC = "metric"
    MATH = "math"
    ANOMALY = "anomaly"
    COMPOSITE = "composite"
    CONTRIBUTOR = "contributor"
    LOG = "log"
    OTHER = "other"


class ReasonValues(NamedTuple):
    """Numbers from `reasonData`. Empty when it is absent: SetAlarmState and contributor events send none."""

    points: tuple[float, ...] = ()
    threshold: float | None = None
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    period_s: float | None = None

    @property
    def corroborated(self) -> bool:
        """Whether CloudWatch evaluated data: false for a state that somebody set by hand (T1)."""
        return bool(self.points)


class Wake(NamedTuple):
    """One target that should be looked at, and which alarm said so.

    `source` is the path the event took, outermost first, e.g. `sqs/sns/notification`.
    `at_s` is the alarm's own state timestamp (epoch seconds), the only clock all
    shapes share. `muted` and `suppressed` say that people were not notified;
    the controller still looks.
    """

    target: str
    source: str
    kind: AlarmKind
    alarm_arn: str
    state: AlarmState
    previous: AlarmState | None
    at_s: float
    reason: str = ""
    reason_values: ReasonValues = ReasonValues()
    muted: bool = False
    suppressed: bool = False
    contributor: str = ""

    @property
    def alarm_name(self) -> str:
        """The alarm's name, from its ARN (a name may hold colons)."""
        return self.alarm_arn.split(":", 6)[6]

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What makes two deliveries the same event: ARN, contributor, state timestamp in ms, value."""
        return (self.alarm_arn, self.contributor, round(self.at_s * 1000.0), self.state.value)


class Code(StrEnum):
    """Why an event woke nobody. Malformed ones are worth keeping for a human; the others are only counted."""

    NOT_TEXT = "not-text"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    NOT_JSON = "not-json"
    UNKNOWN_SHAPE = "unknown-shape"
    BAD_FIELD = "bad-field"
    # Well-formed, and refused on purpose.
    FOREIGN_SOURCE = "foreign-source"
    FOREIGN_ACCOUNT = "foreign-account"
    FOREIGN_REGION = "foreign-region"
    UNKNOWN_TARGET = "unknown-target"
    TOO_OLD = "too-old"
    FROM_THE_FUTURE = "from-the-future"
    OWN_EVENT = "own-event"


_MALFORMED = frozenset(
    {Code.NOT_TEXT, Code.TOO_LARGE, Code.TOO_DEEP, Code.NOT_JSON, Code.UNKNOWN_SHAPE, Code.BAD_FIELD}
)


class Rejected(NamedTuple):
    """One event or record that woke nobody: which field, what came (cut short), what would be right."""

    code: Code
    field: str
    value: str
    remedy: str

    @property
    def malformed(self) -> bool:
        """Whether it belongs into a dead-letter queue: nobody can say what it meant."""
        return self.code in _MALFORMED

    def sentence(self) -> str:
        """The rejection for a human: field, value, remedy."""
        return f"{self.code.value}: {self.field} is {self.value}; {self.remedy}"


Outcome = Wake | Rejected


class Expected(NamedTuple):
    """What this deployment knows about itself: which events can be meant for it.

    Empty sets mean "not known": then every account, region or well-formed target
    name is accepted.
    """

    now_s: float
    targets: frozenset[str] = frozenset()
    alarm_targets: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    namespace: str = "flyball"


def undecodable(fault: Undecodable, field: str) -> Rejected:
    """Return the rejection for a text that is not usable JSON.

    >>> from flyball_controller.bounded import Fault
    >>> undecodable(Undecodable(Fault.TOO_LARGE, "9 characters", "at most 8 characters"), "body").sentence()
    'too-large: body is 9 characters; it must be at most 8 characters'
    """
    return Rejected(Code(fault.fault.value), field, fault.shown, f"it must be {fault.bound}")
