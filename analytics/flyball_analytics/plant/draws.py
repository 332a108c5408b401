"""Random numbers of the plant: named streams, and the two counts that the standard library does not draw.

A stream is named by what it decides (seed, service, purpose, minute), never by
how far a simulation has run. So the arrivals of minute 613 are the same numbers
whether the minutes before were simulated call by call or only counted, and the
same in the world with the controller and in the world without it: what differs
between two arms is then the policy and nothing else (common random numbers).

Nothing here knows services or time. numpy is not used: the plant must run
wherever the command line runs.
"""

from __future__ import annotations

import math
from random import Random

# Below this mean, counting exponential gaps is as fast as rejection and simpler.
KNUTH_MEAN_MAX = 12.0


def stream(*name: object) -> Random:
    """Return the generator of one named purpose; equal names give equal numbers in every process.

    >>> stream(7, "api", "arrivals", 3).random() == stream(7, "api", "arrivals", 3).random()
    True
    """
    # Seeding with text hashes it (SHA-512), so neighbouring names are unrelated
    # and PYTHONHASHSEED has no say.
    return Random("/".join(str(part) for part in name))


def poisson(mean: float, rng: Random) -> int:
    """Return a Poisson count with this mean (>= 0).

    Small means multiply uniforms (Knuth); large ones use the transformed
    rejection of W. Hoermann, "The transformed rejection method for generating
    Poisson random variables", Insurance: Mathematics and Economics 12 (1993), PTRS.

    >>> poisson(0.0, stream("doc"))
    0
    """
    if not (math.isfinite(mean) and mean >= 0.0):
        raise ValueError(f"mean={mean!r} must be a finite number >= 0")
    if mean < KNUTH_MEAN_MAX:
        return _poisson_small(mean, rng)
    root = math.sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    log_mean = math.log(mean)
    while True:
        u = rng.random() - 0.5
        v = 1.0 - rng.random()  # (0, 1]: its logarithm is taken below
        us = 0.5 - abs(u)
        if us <= 0.0:
            continue
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        bound = k * log_mean - mean - math.lgamma(k + 1)
        if math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b) <= bound:
            return k


def _poisson_small(mean: float, rng: Random) -> int:
    limit = math.exp(-mean)
    product = rng.random()
    count = 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def binomial(n: int, p: float, rng: Random) -> int:
    """Return how many of `n` independent trials succeed with probability `p`.

    Skips from success to success (geometric gaps), so the cost is that of the
    successes: failures are rare in quiet minutes.

    >>> binomial(10, 1.0, stream("doc")), binomial(10, 0.0, stream("doc"))
    (10, 0)
    """
    if n < 0 or not 0.0 <= p <= 1.0:
        raise ValueError(f"n={n!r} must be >= 0 and p={p!r} lie in [0, 1]")
    if p > 0.5:
        return n - binomial(n, 1.0 - p, rng)
    if p <= 0.0 or n == 0:
        return 0
    log_miss = math.log1p(-p)
    successes, position = 0, 0
    while True:
        gap = math.log(1.0 - rng.random()) / log_miss
        if gap >= n - position:  # compared as a float: with a tiny p the gap is beyond any integer's use
            return successes
        position += math.floor(gap) + 1
        successes += 1
