"""The arithmetic of learning and of "is all well": one source, interpreted by step(), compiled for replays.

Each function takes numbers, tuples of numbers, or a record whose fields it reads by
name; containers are put together by the callers. So the same function runs in
CPython on NamedTuples and, compiled by numba, on arrays (flyball_analytics.fastreplay),
with equal bits. That holds for + - x / sqrt, comparisons, int(), and integer // % & >>
on numbers below 2^53; tests/house/test_kernel.py refuses everything else. No
keyword-only parameters, no enums, no None: the compiler knows none of them.

Several functions answer without a root or a division where a product decides:
monotone float operations make that exact, or a margin far above every rounding error
separates the sure cases from those that are computed in full. The law of
each is stated where it is used, and tested against the plain form.

Terms: docs/glossary.md. What is computed and why: baseline.py, evidence.py, regime.py.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Protocol

from flyball_controller.core.kernel_bounds import MARGIN, is_surely_under, wilson_bounds

if TYPE_CHECKING:
    from flyball_controller.core.policy import Policy

LN2 = 0.6931471805599453
MINUTES = 60
VISITS = 3  # per minute of the hour: the fewest of which a median ignores one outlier
HOURS = 168
QUANTA = 65_534  # ratio 1.0 as a stored integer
UNVISITED = 65_535
MEAN_DEVIATION_TO_SD = 1.2533141373155001  # sqrt(pi / 2), for a normal law
DISPERSION_PRIOR = 20.0  # windows
DISPERSION_MAX = 25.0  # one wild window must not make the detector deaf
PROVEN_FORGET = 0.00002  # per second: half of a peak is forgotten in about 10 h
COLD_S = 1_800.0  # until then only the floor clips: the level must get off zero
CHRONIC_HEADROOM = 2.0  # the mean may learn windows up to this multiple of the slow median
LATENCY_CLIP = 2.0  # one window moves the latency level as if it were at most twice it


class Level(Protocol):
    """What a baseline's level is: `Baseline` has these fields, and so has the compiled replay's record."""

    @property
    def failures_ew(self) -> float: ...

    @property
    def requests_ew(self) -> float: ...

    @property
    def spread(self) -> float: ...

    @property
    def dispersion(self) -> float: ...

    @property
    def latency_ms(self) -> float: ...

    @property
    def proven_per_s(self) -> float: ...

    @property
    def learned_s(self) -> float: ...

    @property
    def typical_ms(self) -> float: ...

    @property
    def chronic(self) -> float: ...


def slot_of(at_s: float, length_s: float) -> int:
    """Return the number of the slot of `length_s` whole seconds that `at_s` lies in: the exact floor.

    The quotient is correctly rounded, so it can only be one too high; a float // does
    the same with a remainder that costs ten divisions. |at_s| < 2^53.

    >>> slot_of(119.999, 60.0), slot_of(120.0, 60.0), slot_of(-0.5, 60.0)
    (1, 2, -1)
    """
    slot = int(at_s / length_s)
    return slot - 1 if slot * length_s > at_s else slot


def median3(a: int, b: int, c: int) -> int:
    """Return the middle one of three; four plain choices, which compile without a jump."""
    low = a if a < b else b
    high = b if a < b else a
    middle = c if c < high else high
    return middle if middle > low else low


def minute_median(profile: tuple[int, ...], minute: int) -> int:
    """Return the median of the last three visits of a minute of the hour, in quanta; 0 if it had fewer."""
    at = minute * VISITS
    oldest = profile[at + 2]
    return median3(profile[at], profile[at + 1], oldest) if oldest != UNVISITED else 0


def lower_median(values: list[int]) -> int:
    """Return the middle of the values, the lower one of two; there must be one.

    >>> lower_median([5, 1, 3]), lower_median([4, 2])
    (3, 2)
    """
    values.sort()
    return values[(len(values) - 1) // 2]


def recent_quanta(recent: tuple[int, ...]) -> int:
    """Return the median of the known hours of the last day, in quanta; -1 if fewer than three are known."""
    hours = [one for one in recent if one != UNVISITED]
    return lower_median(hours) if len(hours) >= VISITS else -1


def minutes_floor_quanta(profile: tuple[int, ...]) -> int:
    """Return the median of all known minutes of the hour, in quanta; 0 if none is."""
    minutes = [
        median3(profile[at], profile[at + 1], profile[at + 2])
        for at in range(0, MINUTES * VISITS, VISITS)
        if profile[at + 2] != UNVISITED
    ]
    return lower_median(minutes) if len(minutes) > 0 else 0


def minutes_covered(start_s: float, period_s: float) -> tuple[int, int]:
    """Return the first minute that a window visits, and how many; over 5 min it says nothing of minutes.

    >>> minutes_covered(120.0, 180.0), minutes_covered(140.0, 20.0), minutes_covered(120.0, 20.0)
    ((2, 3), (2, 0), (2, 1))
    """
    first = slot_of(start_s, 60.0)
    if period_s > 300.0:
        return first, 0
    count = slot_of(period_s, 60.0)
    if count < 1:
        # Sub-minute windows: the first of each minute is its visit.
        count = 0 if start_s - first * 60.0 >= period_s else 1
    return first, count


def quanta(ratio: float) -> int:
    """Return a ratio in [0, 1] as the integer that profiles store."""
    return int(ratio * QUANTA + 0.5)


def level_of(failures_ew: float, requests_ew: float, chronic: float) -> float:
    """Return the normal ratio of failed first attempts, 0 when nothing was learned."""
    mean = failures_ew / requests_ew if requests_ew > 0.0 else 0.0
    return mean if mean > chronic else chronic


def confidence_of(learned_s: float, full_s: float) -> float:
    """Return 0..1: how much of the history that makes a baseline trustworthy has been seen."""
    return 1.0 if learned_s >= full_s else learned_s / full_s


def expected_of(level: float, minute: float, minute_floor: float, hour: float, visits_min: int) -> float:
    """Return the failure ratio that is normal now: the level, or what a season raises it to.

    A season counts with visits / (visits + 1) of its excess (shrinkage): three
    visits give three quarters.
    """
    shrink = visits_min / (visits_min + 1.0)
    best = level
    by_minute = level + shrink * (minute - minute_floor)
    if by_minute > best:
        best = by_minute
    by_hour = level + shrink * (hour - level)
    if by_hour > best:
        best = by_hour
    return best if best < 1.0 else 1.0


def top_ratio(base: Level, level: float, ratio: float, requests: int, policy: Policy) -> float:
    """Return the ratio that a window may teach: itself, or the top of the band.

    A window inside the band answers without its width: a floor of it is enough. Those
    shortcuts are exact, since every operation in between is monotone.
    """
    # So few failures are never evidence: at low traffic they are normal.
    few = (policy.min_errors - 1.0) / requests
    if ratio <= few:
        return ratio
    # Over the absolute floor the mean follows only where the slow median has been:
    # a start inside an incident must not become normal.
    cap = CHRONIC_HEADROOM * base.chronic
    if policy.retry_floor > cap:
        cap = policy.retry_floor
    top = cap
    if base.learned_s >= COLD_S:
        narrow = level + policy.winsor_k * base.spread
        if ratio <= narrow and ratio <= cap:
            return ratio
        one = 1.0 / requests
        share = level if level > one else one
        if share > 1.0:
            share = 1.0
        sd = sqrt(base.dispersion * share * (1.0 - share) / requests)
        if base.spread > sd:
            sd = base.spread
        top = level + policy.winsor_k * sd
        if top > cap:
            top = cap
    if few > top:
        top = few
    return ratio if ratio <= top else top


def kept_share(weight: float, period_s: float, half_life_s: float) -> float:
    """Return what stays of the sums after one window: 2^(-t/H) to first order."""
    return 1.0 / (1.0 + weight * period_s * LN2 / half_life_s)


def learning_rate(keep: float, learned_s: float, period_s: float) -> float:
    """Return the weight of one window in a mean: that of forgetting, or of a plain mean while young."""
    rate = 1.0 - keep
    seen_s = learned_s + period_s
    if period_s < (1.0 - MARGIN) * rate * seen_s:
        return rate
    plain = period_s / seen_s
    return plain if plain > rate else rate


def moved_spread(spread: float, ratio: float, level: float, rate: float) -> float:
    """Return the mean absolute deviation of window ratios (as a standard deviation) after one more."""
    deviation = ratio - level if ratio > level else level - ratio
    return spread + rate * (MEAN_DEVIATION_TO_SD * deviation - spread)


def moved_dispersion(
    dispersion: float,
    level: float,
    ratio: float,
    requests: int,
    rate: float,
    learned_s: float,
    period_s: float,
) -> float:
    """Return the variance of window counts over that of independent failures, after one more window."""
    expected = requests * level
    if expected < 0.5:  # too few expected failures to say anything about their spread
        return dispersion
    return dispersion_after(
        dispersion, level, ratio, requests, expected, rate, dispersion_prior(learned_s, period_s)
    )


def dispersion_prior(learned_s: float, period_s: float) -> float:
    """Return the weight of a window as if twenty of independent failures had been seen before all."""
    # The first wild window must not rule.
    return 1.0 / (learned_s / period_s + DISPERSION_PRIOR)


def dispersion_after(
    dispersion: float,
    level: float,
    ratio: float,
    requests: int,
    expected: float,
    rate: float,
    prior_rate: float,
) -> float:
    """Return the dispersion after a window of `expected` = requests x level failures, in which it shows."""
    if prior_rate < rate:
        rate = prior_rate
    excess = requests * ratio - expected
    one = excess * excess / (expected * (1.0 - level)) if level < 1.0 else 1.0
    if one > DISPERSION_MAX:
        one = DISPERSION_MAX
    value = dispersion + rate * (one - dispersion)
    return value if value > 1.0 else 1.0


def moved_latency(level_ms: float, seen_ms: float, rate: float) -> float:
    """Return the level after one window's quantile, clipped to twice the level; -1 is 'not measured'."""
    if seen_ms < 0.0:
        return level_ms
    if level_ms < 0.0:
        return seen_ms
    clip_ms = LATENCY_CLIP * level_ms
    clipped_ms = seen_ms if seen_ms < clip_ms else clip_ms
    return level_ms + rate * (clipped_ms - level_ms)


def moved_proven(proven_per_s: float, attempts: int, requests: int, period_s: float) -> float:
    """Return the highest rate of attempts seen healthy, slowly forgotten."""
    now_per_s = (attempts if attempts > 0 else requests) / period_s
    return proven_after(proven_per_s, now_per_s, proven_faded(period_s))


def proven_faded(period_s: float) -> float:
    """Return the divisor by which a proven rate fades over a window."""
    return 1.0 + PROVEN_FORGET * period_s


def proven_after(proven_per_s: float, now_per_s: float, fading: float) -> float:
    """Return the higher one of a window's rate and of the faded rate proven before."""
    faded = proven_per_s / fading
    return now_per_s if now_per_s > faded else faded


def learned(
    base: Level,
    level: float,
    ratio: float,
    requests: int,
    attempts: int,
    p50_ms: float,
    p99_ms: float,
    period_s: float,
    keep: float,
    policy: Policy,
) -> tuple[float, float, float, float, float, float, float, float]:
    """Return the first eight fields of the baseline after one window that may teach the level.

    Args:
        base: What was known before.
        level: Of `base`, see `level_of`.
        ratio: Failure ratio of the window, failures / requests.
        requests: First attempts, > 0.
        attempts: First attempts and retries; 0 = not measured.
        p50_ms: Median latency; negative = not measured.
        p99_ms: 99th percentile of latency; negative = not measured.
        period_s: Length of the window, > 0.
        keep: `kept_share` for weight 1 and this period.
        policy: Rates and clips.
    """
    clipped = top_ratio(base, level, ratio, requests, policy)
    weight = 1.0
    if clipped < ratio:
        weight = policy.rise_factor  # bad news counts less
        keep = kept_share(weight, period_s, policy.half_life_s)
    rate = learning_rate(keep, base.learned_s, period_s)
    return (
        base.failures_ew * keep + weight * clipped * requests,
        base.requests_ew * keep + weight * requests,
        moved_spread(base.spread, clipped, level, rate),
        moved_dispersion(base.dispersion, level, clipped, requests, rate, base.learned_s, period_s),
        moved_latency(base.latency_ms, p99_ms, rate),
        moved_proven(base.proven_per_s, attempts, requests, period_s),
        base.learned_s + period_s,
        moved_latency(base.typical_ms, p50_ms, rate),
    )


def proven_peak(peak: float, failures: int, requests: int, dispersion: float, policy: Policy) -> float:
    """Return the highest ratio that a window of the hour proves: the lower bound of this one, if higher."""
    if failures < policy.min_errors or is_surely_under(failures, requests, peak, policy.z_act, dispersion):
        return peak
    low, _ = wilson_bounds(failures, requests, policy.z_act, dispersion)
    return low if low > peak else peak
