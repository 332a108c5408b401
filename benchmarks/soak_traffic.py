"""The fleet of the soak: what each target's clients count in a minute, incidents included.

Pure: a minute's counts follow from the seed, the minute and the circuit that is
in force, so that a run can be taken up again anywhere. Knows no AWS.

Incidents, by target number k and minute m:

* correlated outage: every tenth target fails wholly, all at the same time;
* flapping: one target in 33 fails a fifth of its calls every other quarter of an hour, for ever;
* absent: one in 50 falls silent, and comes back;
* single: in each hour some targets fail partly, each at its own time.

Counts are drawn once per minute (a rounded normal in place of a binomial), which
is true enough for a controller that sees minutes. A target whose circuit is open
counts only the probes that its circuit lets through.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from flyball.contract import Circuit, CircuitState
from flyball.outcome import Counters

DAY_MIN = 1_440
BACKGROUND_RATIO = 0.001
FLAPPING_EVERY, FLAPPING_MIN, FLAPPING_RATIO = 33, 15, 0.2
ABSENT_EVERY = 50
SINGLES_EVERY = 29  # of the targets: which of them fail in an hour changes with the hour
LATENCIES = 2  # per target and minute: enough for the percentiles to exist
BUDGET_RATIO, ATTEMPTS = 0.2, 3  # what clients do while nothing is published


class Calendar(NamedTuple):
    """When incidents happen, in minutes. The quiet time at the end is for recovery."""

    outage_first_min: int = 180
    outage_every_min: int = 720
    outage_min: int = 25
    absent_first_min: int = 60
    absent_every_min: int = 360
    absent_min: int = 90
    quiet_min: int = 120  # at the end of the run nothing fails any more


USUAL = Calendar()


class Fleet:
    """Targets, their load and their troubles.

    Args:
        targets: Names.
        seed: Same seed, same minutes.
        calendar: When what happens.
        minutes: Length of the run; the last `calendar.quiet_min` are quiet.
        outage_every: Every so many targets one is struck by the correlated outage, >= 4.
        only: Numbers of the targets that count here; None: all. Their counts are a stream of their own.
    """

    def __init__(
        self,
        targets: tuple[str, ...],
        *,
        seed: int,
        minutes: int,
        calendar: Calendar = USUAL,
        outage_every: int = 10,
        only: Sequence[int] | None = None,
    ) -> None:
        self.targets = targets
        self._only = range(len(targets)) if only is None else only
        self._stream = "" if only is None else f"/{only[0]}"
        self.calendar = calendar
        self._outage_every = outage_every
        self._seed = seed
        self._quiet_from = minutes - calendar.quiet_min
        draw = Random(f"{seed}/loads")
        self._per_min = [round(math.exp(draw.uniform(math.log(30.0), math.log(1_500.0)))) for _ in targets]

    def in_outage(self, minute: int) -> bool:
        """Whether the tenth of the targets is down in this minute."""
        calendar = self.calendar
        since = minute - calendar.outage_first_min
        return (
            since >= 0 and since % calendar.outage_every_min < calendar.outage_min and not self._quiet(minute)
        )

    def is_absent(self, number: int, minute: int) -> bool:
        """Whether the target says nothing in this minute."""
        calendar = self.calendar
        since = minute - calendar.absent_first_min - number
        absent = number % ABSENT_EVERY == 7 % ABSENT_EVERY and since >= 0
        return absent and since % calendar.absent_every_min < calendar.absent_min and not self._quiet(minute)

    def failure_ratio(self, number: int, minute: int) -> float:
        """Return the share of first attempts that fail, in [0, 1]."""
        if self._quiet(minute):
            return BACKGROUND_RATIO
        if number % self._outage_every == 3 and self.in_outage(minute):
            return 1.0
        if number % FLAPPING_EVERY == 5:
            return FLAPPING_RATIO if minute // FLAPPING_MIN % 2 else BACKGROUND_RATIO
        hour, within = divmod(minute, 60)
        if (number * 7 + hour * 13) % (60 * SINGLES_EVERY) < 60:
            begin = (number * 11 + hour * 17) % 30
            if begin <= within < begin + 20:
                return (0.3, 0.6, 1.0)[(number + hour) % 3]
        return BACKGROUND_RATIO

    def _quiet(self, minute: int) -> bool:
        return minute >= self._quiet_from

    def minute(
        self, minute: int, circuits: dict[str, Circuit], now_s: float
    ) -> Iterator[tuple[str, Counters]]:
        """Yield what each target that was used counted in this minute."""
        draw = Random(f"{self._seed}/{minute}{self._stream}")
        swing = 1.0 + 0.5 * math.sin(2.0 * math.pi * minute / DAY_MIN)
        for number in self._only:
            target = self.targets[number]
            offered = _about(self._per_min[number] * swing, self._per_min[number] * swing, draw)
            if self.is_absent(number, minute) or offered <= 0:
                continue
            circuit = circuits.get(target)
            in_force = circuit if circuit is not None and circuit.valid_until > now_s else None
            yield target, _counted(offered, self.failure_ratio(number, minute), in_force, draw)


def _counted(offered: int, ratio: float, circuit: Circuit | None, draw: Random) -> Counters:
    counters = Counters()
    made, budget, attempts = offered, BUDGET_RATIO, ATTEMPTS
    if circuit is not None:
        if circuit.state == CircuitState.OPEN:
            made = min(offered, _about(offered * circuit.probe_ratio, offered * circuit.probe_ratio, draw))
        budget = BUDGET_RATIO if circuit.budget_ratio is None else circuit.budget_ratio
        attempts = ATTEMPTS if circuit.max_attempts is None else circuit.max_attempts
    failed = min(made, _about(made * ratio, made * ratio * (1.0 - ratio), draw))
    counters.requests = made
    counters.short_circuited = offered - made
    counters.errors_fast = failed
    counters.retries = min(failed * (attempts - 1), int(budget * made))
    recovered = min(failed, _about(counters.retries * (1.0 - ratio), 0.0, draw))
    counters.request_failures = failed - recovered
    if made:
        for _ in range(LATENCIES):
            counters.latencies_ms.append(40.0 + 20.0 * draw.random())
    return counters


def _about(mean: float, variance: float, draw: Random) -> int:
    """Return a whole number >= 0 of that mean and variance, nearly."""
    if variance < 4.0:  # a rounded normal would be biased: draw the fraction instead
        whole = int(mean)
        return whole + (draw.random() < mean - whole)
    return max(0, round(draw.gauss(mean, math.sqrt(variance))))
