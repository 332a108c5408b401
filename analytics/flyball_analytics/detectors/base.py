"""What a detector is to a scorer: a causal rule that is fed one value at a time and says whether it fires.

A detector knows nothing of labels, files or other series; it sees each value once,
in time order, and answers before it sees the next. So every rule, ours and the
references', is judged on what it would have said live. A rule that needs to know
how long the history is (NAB's probation is a share of it) is told the number of
rows when it is made, never the rows.

Words and formulas: docs/theory/thresholds.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from flyball.hints import did_you_mean


class Verdict(NamedTuple):
    """What a detector says about one value.

    `level` is what it holds for normal, `upper` where it begins to fire, both in the
    unit of the values; None while it knows nothing. `ready` is false while it is
    still learning and would not fire whatever came (CloudWatch: PENDING_TRAINING).
    """

    firing: bool
    level: float | None
    upper: float | None
    ready: bool


class Detector(Protocol):
    """A causal rule; one object judges one series."""

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return the verdict on one value, then learn from it.

        Args:
            at_s: Start of the window, epoch seconds. Order: rising; what an older or
                repeated one does is the detector's business, but it must not raise.
            value: Any number; NaN is a window without a value and never fires.
            period_s: Length of the window, > 0.
        """


class DetectorEntry(NamedTuple):
    """A detector by name: what it is, who recommends it, how to make one for so many rows."""

    name: str
    title: str
    source: str
    new: Callable[[int], Detector]


class UnknownDetector(ValueError):  # noqa: N818 - named as the references' own
    """There is no detector of this name."""

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(
            f"there is no detector {name!r}{did_you_mean(name, names)}; detectors are {', '.join(names)}"
        )
        self.name = name
