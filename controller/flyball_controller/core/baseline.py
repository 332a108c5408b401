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

from math import sqrt
from typing import NamedTuple

from flyball_controller.core.evidence import wilson_bounds
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy

LN2 = 0.6931471805599453
MINUTES = 60
VISITS = 3  # per minute of the hour: the fewest of which a median ignores one outlier
HOURS = 168
QUANTA = 65_534  # ratio 1.0 as a stored integer
UNVISITED = 65_535
THIRD_S = 1_200.0
MEAN_DEVIATION_TO_SD = 1.2533141373155001  # sqrt(pi / 2), for a normal law
DISPERSION_PRIOR = 20.0  # windows
DISPERSION_MAX = 25.0  # one wild window must not make the detector deaf
PROVEN_FORGET = 0.00002  # per second: half of a peak is forgotten in about 10 h
COLD_S = 1_800.0  # until then only the floor clips: the level must get off zero
DAYS = 7
RECENT = 24  # hours of which the median is what the target is like, whatever the level has learned
CHRONIC_HEADROOM = 2.0  # the mean may learn windows up to this multiple of the slow median
LATENCY_CLIP = 2.0  # one window moves the latency level as if it were at most twice it


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
        mean = self.failures_ew / self.requests_ew if self.requests_ew > 0.0 else 0.0
        return mean if mean > self.chronic else self.chronic


def confidence(baseline: Baseline, policy: Policy) -> float:
    """Return 0..1: how much of the history that makes the baseline trustworthy has been seen."""
    share = baseline.learned_s / policy.confidence_full_s
    return share if share < 1.0 else 1.0


def _median3(a: int, b: int, c: int) -> int:
    low, high = (a, b) if a < b else (b, a)
    if c <= low:
        return low
    return high if c >= high else c


def minute_expectation(baseline: Baseline, at_s: float) -> float:
    """Return the seasonal ratio of this minute of the hour, widened by one minute each side; 0 if unknown."""
    minute = int(at_s // 60.0) % MINUTES
    best = 0
    for neighbour in (minute - 1, minute, minute + 1):
        at = (neighbour % MINUTES) * VISITS
        oldest = baseline.minute[at + 2]
        if oldest != UNVISITED:
            middle = _median3(baseline.minute[at], baseline.minute[at + 1], oldest)
            if middle > best:
                best = middle
    return best / QUANTA


def hour_expectation(baseline: Baseline, at_s: float, visits_min: int) -> float:
    """Return the seasonal ratio of this hour: of this day of the week, or of most days; 0 if unknown."""
    hour = int(at_s // 3600.0) % HOURS
    best = 0
    if baseline.hour_visits[hour] >= visits_min:
        newest, before = baseline.hour[hour], baseline.hour_before[hour]
        best = newest if newest < before else before
    days = [baseline.hour[slot] for slot in range(hour % 24, HOURS, 24) if baseline.hour_visits[slot] > 0]
    if len(days) >= visits_min:
        daily = lower_median(days)
        if daily > best:
            best = daily
    return best / QUANTA


def lower_median(values: list[int]) -> int:
    """Return the middle of the values, the lower one of two; there must be one.

    >>> lower_median([5, 1, 3]), lower_median([4, 2])
    (3, 2)
    """
    values.sort()
    return values[(len(values) - 1) // 2]


def expected_ratio(baseline: Baseline, at_s: float, policy: Policy) -> float:
    """Return the failure ratio that is normal at `at_s`: the level, or what the season raises it to.

    A season counts with visits / (visits + 1) of its excess (shrinkage): three
    visits give three quarters.
    """
    level = baseline.level
    best = level
    shrink = policy.profile_visits_min / (policy.profile_visits_min + 1.0)
    minute = level + shrink * (minute_expectation(baseline, at_s) - baseline.minute_floor)
    hour = level + shrink * (hour_expectation(baseline, at_s, policy.profile_visits_min) - level)
    for season in (minute, hour):
        if season > best:
            best = season
    return best if best < 1.0 else 1.0


def learn(baseline: Baseline, seen: Observation, policy: Policy, *, level_frozen: bool) -> Baseline:
    """Return the baseline after one window.

    Args:
        baseline: What was known before.
        seen: The window; it must hold requests.
        policy: Rates and clips.
        level_frozen: Only the minute-of-hour profile learns (the window is over
            the trip threshold: it may be the start of an incident, or a batch).
    """
    baseline = watch(baseline, seen, policy)
    ratio = seen.failures / seen.requests
    minute = _visit_minutes(baseline.minute, seen, ratio)
    if level_frozen:
        return Baseline(*baseline[:10], minute, *baseline[11:])
    level = baseline.level
    clipped, weight = _winsorised(baseline, ratio, seen.requests, policy)
    keep = 1.0 / (1.0 + weight * seen.period_s * LN2 / policy.half_life_s)
    failures_ew = baseline.failures_ew * keep + weight * clipped * seen.requests
    requests_ew = baseline.requests_ew * keep + weight * seen.requests
    rate = 1.0 - keep
    floor_rate = seen.period_s / (baseline.learned_s + seen.period_s)  # plain mean while history is short
    if floor_rate > rate:
        rate = floor_rate
    deviation = clipped - level if clipped > level else level - clipped
    spread = baseline.spread + rate * (MEAN_DEVIATION_TO_SD * deviation - baseline.spread)
    return Baseline(
        failures_ew,
        requests_ew,
        spread,
        _dispersion(baseline, clipped, seen.requests, rate, baseline.learned_s / seen.period_s),
        _latency(baseline.latency_ms, seen.latency_ms_p99, rate),
        _proven(baseline, seen),
        baseline.learned_s + seen.period_s,
        _latency(baseline.typical_ms, seen.latency_ms_p50, rate),
        baseline.chronic,
        baseline.minute_floor,
        minute,
        *baseline[11:],
    )


def _winsorised(baseline: Baseline, ratio: float, requests: int, policy: Policy) -> tuple[float, float]:
    """Return the ratio clipped at the band, and the weight of the window (bad news counts less)."""
    level = baseline.level
    base = level if level > 1.0 / requests else 1.0 / requests
    if base > 1.0:
        base = 1.0
    sd = sqrt(baseline.dispersion * base * (1.0 - base) / requests)
    if baseline.spread > sd:
        sd = baseline.spread
    # Over the absolute floor the mean follows only where the slow median has been:
    # a start inside an incident must not become normal.
    cap = CHRONIC_HEADROOM * baseline.chronic
    if policy.retry_floor > cap:
        cap = policy.retry_floor
    top = level + policy.winsor_k * sd
    if top > cap or baseline.learned_s < COLD_S:
        top = cap
    few = (
        policy.min_errors - 1.0
    ) / requests  # so few failures are never evidence: at low traffic they are normal
    if few > top:
        top = few
    return (ratio, 1.0) if ratio <= top else (top, policy.rise_factor)


def _dispersion(baseline: Baseline, ratio: float, requests: int, rate: float, rate_windows: float) -> float:
    level = baseline.level
    expected = requests * level
    if expected < 0.5:  # too few expected failures to say anything about their spread
        return baseline.dispersion
    # As if twenty windows of independent failures had been seen before: the first wild one must not rule.
    prior_rate = 1.0 / (rate_windows + DISPERSION_PRIOR)
    if prior_rate < rate:
        rate = prior_rate
    excess = requests * ratio - expected
    one = excess * excess / (expected * (1.0 - level)) if level < 1.0 else 1.0
    if one > DISPERSION_MAX:
        one = DISPERSION_MAX
    value = baseline.dispersion + rate * (one - baseline.dispersion)
    return value if value > 1.0 else 1.0


def watch(baseline: Baseline, seen: Observation, policy: Policy) -> Baseline:
    """Return the baseline after a window, whatever it shows: hours learn from all that was not gated."""
    third = int(seen.start_s // THIRD_S)
    if third != baseline.third_index:
        baseline = _close_third(baseline, third)
        index = int(seen.start_s // 3600.0)
        if index != baseline.hour_index:
            baseline = _close_hour(baseline, index)
    ratio = seen.failures / seen.requests
    peak = baseline.hour_peak
    if seen.failures >= policy.min_errors and ratio > peak:
        low, _ = wilson_bounds(seen.failures, seen.requests, z=policy.z_act, dispersion=baseline.dispersion)
        if low > peak and low > minute_expectation(baseline, seen.start_s):
            peak = low  # a batch that the minutes know of already is no mark of its hour
    return Baseline(
        *baseline[:-7],
        baseline.hour_failures + seen.failures,
        baseline.hour_requests + seen.requests,
        peak,
        baseline.hour_best,
        baseline.third_index,
        baseline.third_failures + seen.failures,
        baseline.third_requests + seen.requests,
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
    recent = (int(baseline.hour_best * QUANTA + 0.5), *baseline.recent[:-1])
    hours = [one for one in recent if one != UNVISITED]
    minutes = [
        _median3(*baseline.minute[at : at + VISITS])
        for at in range(0, MINUTES * VISITS, VISITS)
        if baseline.minute[at + VISITS - 1] != UNVISITED
    ]
    return baseline._replace(
        chronic=lower_median(hours) / QUANTA if len(hours) >= VISITS else baseline.chronic,
        minute_floor=lower_median(minutes) / QUANTA if minutes else 0.0,
        hour=_put(baseline.hour, slot, int(value * QUANTA + 0.5)),
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


def _latency(level_ms: float, seen_ms: float, rate: float) -> float:
    """Return the level after one window's quantile, clipped to twice the level; -1 is 'not measured'."""
    if seen_ms < 0.0:
        return level_ms
    if level_ms < 0.0:
        return seen_ms
    clip_ms = LATENCY_CLIP * level_ms
    clipped_ms = seen_ms if seen_ms < clip_ms else clip_ms
    return level_ms + rate * (clipped_ms - level_ms)


def _proven(baseline: Baseline, seen: Observation) -> float:
    attempts = seen.attempts if seen.attempts > 0 else seen.requests
    now = attempts / seen.period_s
    faded = baseline.proven_per_s / (1.0 + PROVEN_FORGET * seen.period_s)
    return now if now > faded else faded


def _visit_minutes(profile: tuple[int, ...], seen: Observation, ratio: float) -> tuple[int, ...]:
    """Shift a visit into each minute that the window covers; windows over 5 min say nothing about minutes."""
    if seen.period_s > 300.0:
        return profile
    value = int(ratio * QUANTA + 0.5)
    first = int(seen.start_s // 60.0)
    count = int(seen.period_s // 60.0)
    if count < 1:
        # Sub-minute windows: the first of each minute is its visit.
        if seen.start_s - first * 60.0 >= seen.period_s:
            return profile
        count = 1
    for minute in range(first, first + count):
        at = (minute % MINUTES) * VISITS
        profile = (*profile[:at], value, profile[at], profile[at + 1], *profile[at + VISITS :])
    return profile
