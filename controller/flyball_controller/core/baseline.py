"""What is normal for a target: level, spread, dispersion, latency, and two seasonal profiles.

Rules.
1. The level is a ratio of exponentially forgotten *sums* (failures over
   requests), not a mean of ratios: at the start it is the plain mean, at low
   traffic it is not noisy, and a true level of 0 is a value like any other.
2. One window moves it by a bounded amount: counts are clipped (winsorised) at
   the band before they are added, and clipped windows count less.
3. Profiles only ever *raise* what is expected, and only what has come again
   counts. Minute-of-hour is the median of the last three visits of each minute,
   over the median of all minutes: an hourly batch is known after three visits,
   a single incident teaches nothing, and a slow rise is no season. Hour-of-week
   is the lesser of the last two visits of each hour; until it is known, and for
   what happens on most days, the median of that hour over the days serves.
4. An hour's value is its mean, or the highest failure ratio that a window of it
   proves and the minutes do not know of: a job of five minutes must not vanish
   in the mean of its hour.
5. A target that fails half of its calls on every day must not be an incident
   for ever. The median of the last 24 hours, good or bad, raises the level: two
   hours of incident leave it where it was, half a day of them is what is normal.
   An hour stands there with the best of its thirds, so that a batch does not count.
6. Profile values are integers (1/65534 of the ratio), so that packing a state
   loses nothing and a restart changes no decision.

Exponential forgetting 2^(-dt/H) is written as 1 / (1 + dt ln2 / H): equal to
first order, and free of transcendental functions, whose last bit differs
between platforms. Sources: Roberts (1959) for EWMA; Huber (1964) for clipping;
Brutlag (2000) for the spread as an exponential mean deviation.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_controller.core.kernel import (
    HOURS,
    MINUTES,
    QUANTA,
    UNVISITED,
    VISITS,
    confidence_of,
    expected_of,
    kept_share,
    learned,
    level_of,
    median3,
    minutes_covered,
    minutes_floor_quanta,
    proven_peak,
    quanta,
    recent_quanta,
    slot_of,
)
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy

THIRD_S = 1_200.0
DAYS = 7
RECENT = 24  # hours of which the median is what the target is like, whatever the level has learned


class Baseline(NamedTuple):
    """Everything learned about one target. Sums are forgotten exponentially; times in seconds."""

    failures_ew: float = 0.0
    requests_ew: float = 0.0
    spread: float = 0.0  # mean absolute deviation of window ratios, as a standard deviation
    dispersion: float = 1.0
    latency_ms: float = -1.0  # p99 level; -1 = never measured
    proven_per_s: float = 0.0  # highest attempts per second seen healthy
    learned_s: float = 0.0  # history behind all this
    typical_ms: float = -1.0  # p50 level; -1 = never measured
    chronic: float = 0.0  # median of the last 24 hours, good or bad: what does not get better is normal
    minute_floor: float = 0.0  # median of all minutes of the hour: over this a minute is a season
    minute: tuple[int, ...] = (UNVISITED,) * (MINUTES * VISITS)  # newest visit first
    hour: tuple[int, ...] = (0,) * HOURS  # newest visit
    hour_before: tuple[int, ...] = (0,) * HOURS  # the visit before it
    hour_visits: tuple[int, ...] = (0,) * HOURS
    recent: tuple[int, ...] = (UNVISITED,) * RECENT  # best thirds of the last hours, newest first
    hour_index: int = -1  # absolute hour being accumulated
    hour_failures: float = 0.0
    hour_requests: float = 0.0
    hour_peak: float = 0.0  # highest ratio that one window of it proves
    hour_best: float = 1.0  # lowest mean of a third of it
    third_index: int = -1  # absolute third of an hour being accumulated
    third_failures: float = 0.0
    third_requests: float = 0.0

    @property
    def level(self) -> float:
        """Normal ratio of failed first attempts, 0 when nothing was learned."""
        return level_of(self.failures_ew, self.requests_ew, self.chronic)


_MINUTE = Baseline._fields.index("minute")
_RUNNING = Baseline._fields.index("hour_failures")  # from here on: the hour and the third that are running


def confidence(baseline: Baseline, policy: Policy) -> float:
    """Return 0..1: how much of the history that makes the baseline trustworthy has been seen."""
    return confidence_of(baseline.learned_s, policy.confidence_full_s)


def minute_expectation(baseline: Baseline, at_s: float) -> float:
    """Return the seasonal ratio of this minute of the hour, widened by one minute each side; 0 if unknown."""
    start = (slot_of(at_s, 60.0) - 1) % MINUTES * VISITS
    near = baseline.minute[start : start + 3 * VISITS]
    if len(near) < 3 * VISITS:  # the hour's last minute and its first are neighbours
        near += baseline.minute[: 3 * VISITS - len(near)]
    a, b, oldest, d, e, oldest_now, g, h, oldest_next = near
    best = median3(a, b, oldest) if oldest != UNVISITED else 0
    if oldest_now != UNVISITED:
        middle = median3(d, e, oldest_now)
        if middle > best:
            best = middle
    if oldest_next != UNVISITED:
        middle = median3(g, h, oldest_next)
        if middle > best:
            best = middle
    return best / QUANTA


def hour_expectation(baseline: Baseline, at_s: float, visits_min: int) -> float:
    """Return the seasonal ratio of this hour: of this day of the week, or of most days; 0 if unknown."""
    hour = slot_of(at_s, 3600.0) % HOURS
    newest, visits = baseline.hour, baseline.hour_visits
    best = 0
    if visits[hour] >= visits_min:
        before = baseline.hour_before[hour]
        best = newest[hour] if newest[hour] < before else before
    seen = visits[hour % 24 :: 24]
    days = DAYS - seen.count(0)
    if days > 0 and days >= visits_min:
        known = newest[hour % 24 :: 24]
        if days < DAYS:
            known = tuple(one for one, times in zip(known, seen, strict=True) if times > 0)
        daily = sorted(known)[(days - 1) // 2]
        if daily > best:
            best = daily
    return best / QUANTA


def expected_ratio(baseline: Baseline, at_s: float, policy: Policy) -> float:
    """Return the failure ratio that is normal at `at_s`: the level, or what the season raises it to."""
    visits_min = policy.profile_visits_min
    return expected_of(
        level_of(baseline.failures_ew, baseline.requests_ew, baseline.chronic),
        minute_expectation(baseline, at_s),
        baseline.minute_floor,
        hour_expectation(baseline, at_s, visits_min),
        visits_min,
    )


def learn(baseline: Baseline, seen: Observation, policy: Policy, *, level_frozen: bool) -> Baseline:
    """Return the baseline after one window.

    Args:
        baseline: What was known before.
        seen: The window; it must hold requests.
        policy: Rates and clips.
        level_frozen: Only the minute-of-hour profile learns (the window is over
            the trip threshold: it may be the start of an incident, or a batch).
    """
    requests, failures, period_s = seen.requests, seen.failures, seen.period_s
    baseline, running = _running(baseline, seen, failures, policy)
    ratio = failures / requests
    minute = _visit_minutes(baseline.minute, seen, ratio)
    profiles = (minute, *baseline[_MINUTE + 1 : _RUNNING])
    if level_frozen:
        return Baseline._make(baseline[:_MINUTE] + profiles + running)
    taught = learned(
        baseline,
        level_of(baseline.failures_ew, baseline.requests_ew, baseline.chronic),
        ratio,
        requests,
        seen.attempts,
        seen.latency_ms_p50,
        seen.latency_ms_p99,
        period_s,
        kept_share(1.0, period_s, policy.half_life_s),
        policy,
    )
    return Baseline._make(taught + baseline[len(taught) : _MINUTE] + profiles + running)


def watch(baseline: Baseline, seen: Observation, policy: Policy) -> Baseline:
    """Return the baseline after a window, whatever it shows: hours learn from all that was not gated."""
    baseline, running = _running(baseline, seen, seen.failures, policy)
    return Baseline._make(baseline[:_RUNNING] + running)


def _running(
    baseline: Baseline, seen: Observation, failures: int, policy: Policy
) -> tuple[Baseline, tuple[float, ...]]:
    """Return the baseline with what is over closed, and its fields from `hour_failures` on with the window.

    Records of 23 fields cost more than the arithmetic: each step is to write one, not two.
    """
    start_s = seen.start_s
    third = slot_of(start_s, THIRD_S)
    if third != baseline.third_index:
        baseline = _close_third(baseline, third)
        index = slot_of(start_s, 3600.0)
        if index != baseline.hour_index:
            baseline = _close_hour(baseline, index)
    requests, before = seen.requests, baseline.hour_peak
    peak = proven_peak(before, failures, requests, baseline.dispersion, policy)
    if peak > before and peak <= minute_expectation(baseline, start_s):
        peak = before  # a batch that the minutes know of already is no mark of its hour
    return baseline, (
        baseline.hour_failures + failures,
        baseline.hour_requests + requests,
        peak,
        baseline.hour_best,
        baseline.third_index,
        baseline.third_failures + failures,
        baseline.third_requests + requests,
    )


def _close_third(baseline: Baseline, index: int) -> Baseline:
    """Keep the better mean of the thirds of this hour; begin third `index`."""
    best = baseline.hour_best
    if baseline.third_requests > 0.0:
        mean = baseline.third_failures / baseline.third_requests
        if mean < best:
            best = mean
    return Baseline(*baseline[:-4], best, index, 0.0, 0.0)


def _close_hour(baseline: Baseline, index: int) -> Baseline:
    """Fold the hour that is over into its slot of the week and into the last day; begin hour `index`."""
    if baseline.hour_requests <= 0.0:
        return baseline._replace(hour_index=index)
    slot = baseline.hour_index % HOURS
    mean = baseline.hour_failures / baseline.hour_requests
    value = mean if mean > baseline.hour_peak else baseline.hour_peak
    visits = baseline.hour_visits[slot]
    recent = (quanta(baseline.hour_best), *baseline.recent[:-1])
    chronic = recent_quanta(recent)
    return baseline._replace(
        chronic=chronic / QUANTA if chronic >= 0 else baseline.chronic,
        minute_floor=minutes_floor_quanta(baseline.minute) / QUANTA,
        hour=_put(baseline.hour, slot, quanta(value)),
        hour_before=_put(baseline.hour_before, slot, baseline.hour[slot]),
        hour_visits=_put(baseline.hour_visits, slot, visits + 1 if visits < 255 else 255),
        recent=recent,
        hour_index=index,
        hour_failures=0.0,
        hour_requests=0.0,
        hour_peak=0.0,
        hour_best=1.0,
    )


def _put(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _visit_minutes(profile: tuple[int, ...], seen: Observation, ratio: float) -> tuple[int, ...]:
    """Shift a visit into each minute that the window covers; windows over 5 min say nothing about minutes."""
    value = quanta(ratio)
    first, count = minutes_covered(seen.start_s, seen.period_s)
    visits = [*profile]
    for minute in range(first, first + count):
        at = (minute % MINUTES) * VISITS
        visits[at : at + VISITS] = value, visits[at], visits[at + 1]
    return tuple(visits)


__all__ = [
    "DAYS",
    "HOURS",
    "MINUTES",
    "QUANTA",
    "RECENT",
    "THIRD_S",
    "UNVISITED",
    "VISITS",
    "Baseline",
    "confidence",
    "expected_ratio",
    "hour_expectation",
    "learn",
    "minute_expectation",
    "watch",
]
