"""What a search may not look at: whole services, or the last days of each history.

A search takes the best of many, and the best of many is partly luck. What was held out
was not chosen for, so its figures are what to expect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

RATIO = 0.3
SERVICES_MIN = 5  # with fewer, one or two services would decide both sides: days are held out instead


class HoldoutError(ValueError):
    """A text that is no holdout."""


class Holdout(NamedTuple):
    """Which services are held out, and which share of the days of all others."""

    services: frozenset[str]
    days_ratio: float
    words: str


def holdout_of(text: str, targets: Sequence[str], *, seed: int) -> Holdout:
    """Return what is held out.

    Args:
        text: `services:R`, `days:R`, `none`, or `auto`: services where there are five or more.
        targets: The services there are.
        seed: Draws the services; equal seeds draw equal ones from equal names.

    Raises:
        HoldoutError: If the text says something else, or the ratio is not between 0 and 1.

    >>> holdout_of("days:0.25", ["pay"], seed=0).words
    'the last 25 % of the days'
    """
    kind, colon, number = text.partition(":")
    if kind == "auto":
        kind = "services" if len(targets) >= SERVICES_MIN else "days"
    if kind == "none" and not colon:
        return Holdout(frozenset(), 0.0, "nothing")
    try:
        ratio = float(number) if colon else RATIO
    except ValueError:
        ratio = math.nan
    if kind not in ("services", "days") or not 0.0 < ratio < 1.0:
        raise HoldoutError(f"{text!r} must be services:R, days:R, auto or none, with 0 < R < 1")
    if kind == "days":
        return Holdout(frozenset(), ratio, f"the last {100.0 * ratio:g} % of the days")
    if len(targets) < 2:
        raise HoldoutError(f"{text!r}: there is one service; hold days out instead, with days:{ratio:g}")
    count = min(math.ceil(ratio * len(targets)), len(targets) - 1)
    # By the digest of seed and name: a further service moves few others between the sides.
    drawn = sorted(targets, key=lambda target: sha256(f"{seed}:{target}".encode()).digest())
    return Holdout(frozenset(drawn[:count]), 0.0, f"{count} of {len(targets)} services")
