"""The time table of a deployment: which percentage from when on. Pure arithmetic.

Steps: LINEAR grows by the factor, EXPONENTIAL by factor x 2^k, both capped at 100
(API reference, CreateDeploymentStrategy, GrowthType).

Times: the only recording at hand (botocore appconfig examples-1.json,
GetDeployment: 15 minutes, growth 25) shows the four steps at 3, 6, 9 and 12
minutes and the bake time starting at 15: n steps divide the duration into
n + 1 parts, the first of which reaches nobody. The user guide's table for a
20 % strategy shows n parts instead; the recording is followed.
"""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """From `after_s` seconds after the start on, `percentage` of the readers get the new version."""

    after_s: float
    percentage: float


def percentages(growth_type: str, growth_factor: float) -> tuple[float, ...]:
    """Return the percentages of the successive steps, rising, ending at 100.

    Args:
        growth_type: "LINEAR" or "EXPONENTIAL".
        growth_factor: Percent, in [1, 100].

    >>> percentages("LINEAR", 40.0)
    (40.0, 80.0, 100.0)
    >>> percentages("EXPONENTIAL", 10.0)
    (10.0, 20.0, 40.0, 80.0, 100.0)
    """
    steps = []
    percentage = growth_factor
    while percentage < 100.0:
        steps.append(percentage)
        percentage = percentage * 2.0 if growth_type == "EXPONENTIAL" else percentage + growth_factor
    return (*steps, 100.0)


def schedule(
    growth_type: str, growth_factor: float, *, duration_min: int, start_latency_s: float
) -> tuple[Step, ...]:
    """Return the steps of a deployment; the bake time starts `duration_min` after the start, plus latency.

    Without duration everybody gets the version at once, whatever the growth.

    >>> schedule("LINEAR", 25.0, duration_min=15, start_latency_s=0.0)[0]
    Step(after_s=180.0, percentage=25.0)
    """
    if duration_min == 0:
        return (Step(start_latency_s, 100.0),)
    steps = percentages(growth_type, growth_factor)
    interval_s = duration_min * 60.0 / (len(steps) + 1)
    return tuple(Step(start_latency_s + (k + 1) * interval_s, p) for k, p in enumerate(steps))
