"""What every benchmark shares: interleaved rounds, CPU time, ratios to a reference of the same run.

Machines are noisy and differ; a ratio between two things measured in turn is
the only figure worth quoting. Each figure is a median over rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(variants: Mapping[str, Callable[[], int]], *, rounds: int = 7) -> dict[str, float]:
    """Return nanoseconds of CPU per unit of work, by variant.

    Each callable does a fixed amount of work and returns how many units it was.
    The variants run in turn, so that a slow minute of the machine hits all.
    """
    samples = sampled(variants, rounds=rounds)
    return {name: statistics.median(values) for name, values in samples.items()}


def sampled(variants: Mapping[str, Callable[[], int]], *, rounds: int) -> dict[str, list[float]]:
    """Return what `interleaved` takes the median of: one figure per variant and round, in order."""
    samples: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, work in variants.items():
            begin = time.process_time_ns()
            units = work()
            samples[name].append((time.process_time_ns() - begin) / units)
    return samples


def table(title: str, figures: Mapping[str, float], *, reference: str, unit: str = "ns") -> None:
    """Print figures and their ratio to the reference."""
    print(f"\n{title}   (reference: {reference})")
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        print(f"  {name:<{width}}  {value:>12,.0f} {unit}   {value / figures[reference]:>7.2f} x")
