"""Is the promise on false opens kept, and what does it cost? Simulated service-years and outages.

    python benchmarks/bench_promise.py             # 13,000 service-years, about eight minutes of one CPU
    python benchmarks/bench_promise.py --quick     # seconds; intervals are wide
    python benchmarks/bench_promise.py --check     # exit 1 if the promise or the delay is missed

1. False opens per service-year of healthy traffic, by law of the traffic, with
   exact 95 % intervals (Clopper and Pearson, which for so many windows is
   Garwood's for a Poisson count), beside other detectors on the same windows.
   `evidence` counts how often the detector alone was satisfied, `opens` what
   the law would have done: its bound over 60 % must hold as well. `edge` laws
   have their mean not under normal but at it: they measure how tight the
   promise is.
2. The same on the real kernel: the whole `step`, baseline and law included.
3. Windows until the evidence of an outage is rare enough, beside the bound
   log(A) / KL for independent failures (Lorden 1971) and an oracle: CUSUM that
   is told the failing ratio, the optimum for whole windows (Moustakides 1986).
   `x best` is against the larger of the two.
4. Nanoseconds and bytes.

Services run side by side, 1,024 of them. The twin that makes this fast is
compared with the kernel in tests/unit/core/test_promise_twin.py.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time

import numpy as np

from common import interleaved, table
from flyball.records import CircuitState
from flyball_controller.codec import encode_state
from flyball_controller.core import initial_state, step
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy, Promise
from flyball_controller.core.promise import Rarity, next_rarity
from flyball_controller.core.state import State
from promise_traffic import NORMAL, Law, Source, counts, laws
from promise_twin import POLICY_YEAR, Detector, Tally, references, watch

SERVICES = 1_024
PROMISED = Policy().false_opens_per_year
DELAY_MAX = 1.5  # times the information bound, for the counts and independent failures
T0 = 1_699_999_200.0


def main() -> None:
    """Run all parts and print them."""
    options = argparse.ArgumentParser(description="Is the promise on false opens kept?")
    options.add_argument("--quick", action="store_true", help="a hundredth of the years")
    options.add_argument("--check", action="store_true", help="exit 1 if the promise or the delay is missed")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    share = 0.01 if chosen.quick else 1.0
    began_s = time.process_time()
    missed = false_opens(years=1_000.0 * share, seed=chosen.seed)
    missed += others(years=10.0 * max(share, 0.05), seed=chosen.seed + 1)
    missed += kernel(days=365 * share, seed=chosen.seed + 2)
    missed += delays(runs=400 if chosen.quick else 4_000, seed=chosen.seed + 3)
    cost()
    print(f"\n{time.process_time() - began_s:.0f} s of CPU")
    if chosen.check and missed:
        sys.exit("missed: " + "; ".join(missed))


# --- 1. false opens ----------------------------------------------------------------------


def interval(tally: Tally) -> tuple[float, float]:
    """Return the exact 95 % interval of a rate per year from a count of rare events.

    >>> [round(bound, 2) for bound in interval(Tally(4, 1.0))]
    [1.09, 10.24]
    """
    low = 0.0 if tally.events == 0 else _solve(tally.events - 1, 0.975)
    return low / tally.years, _solve(tally.events, 0.025) / tally.years


def _solve(count: int, chance: float) -> float:
    """Return the Poisson mean at which at most `count` events have this chance."""
    low, high = 0.0, count + 20.0 + 10.0 * math.sqrt(count + 1.0)
    for _ in range(100):
        middle = (low + high) / 2.0
        logs = [i * math.log(middle) - middle - math.lgamma(i + 1) for i in range(count + 1)]
        top = max(logs)
        total = math.exp(top) * math.fsum(math.exp(value - top) for value in logs)
        low, high = (middle, high) if total > chance else (low, middle)
    return low


def false_opens(*, years: float, seed: int) -> list[str]:
    """Print the rates under the default promise; return where it is broken."""
    total = 0.0
    missed = []
    print(f"False opens per service-year, promise: any, {PROMISED:g} per year")
    print(f"{'healthy traffic':45s} {'years':>7s} {'evidence':>9s} {'95 %':>15s} {'opens':>7s} {'95 %':>15s}")
    for number, law in enumerate(laws()):
        alarms, opens = watch(law, years=years, services=SERVICES, seed=seed + number, promise=Promise.ANY)
        total += alarms.years
        print(f"{law.name:45s} {alarms.years:7,.0f} {_rate(alarms)} {_rate(opens, 7)}", flush=True)
        if interval(alarms)[0] > PROMISED or interval(opens)[0] > PROMISED:
            missed.append(f"{law.name}: {alarms.events / alarms.years:.2f} per year")
        if not law.edge and years >= 100.0 and interval(opens)[1] > PROMISED:
            missed.append(f"{law.name}: not shown to be under the promise")
    print(f"{'all':45s} {total:7,.0f}")
    return missed


def _rate(tally: Tally, width: int = 9) -> str:
    low, high = interval(tally)
    return f"{tally.events / tally.years:{width}.3f} {f'{low:.3f}-{high:.3f}':>15s}"


def others(*, years: float, seed: int) -> list[str]:
    """Print what other detectors, and the promise for independent failures, make of the same laws."""
    rows = {}
    missed = []
    for number, law in enumerate(laws()):
        rows[law.name] = references(law, years=years, services=SERVICES, seed=seed + number)
        alarms, _ = watch(law, years=years, services=SERVICES, seed=seed, promise=Promise.INDEPENDENT)
        rows[law.name]["promise: independent"] = alarms
        if law.rho == 0.0 and interval(alarms)[0] > PROMISED:
            missed.append(f"{law.name}, independent: {alarms.events / alarms.years:.2f} per year")
    names = list(next(iter(rows.values())))
    print(f"\nThe same traffic, other detectors: alarms per service-year ({years:g} years each)")
    for number, name in enumerate(names):
        print(f"  {chr(65 + number)} = {name}")
    print(f"{'':45s}" + "".join(f"{chr(65 + i):>9s}" for i in range(len(names))))
    for law_name, tallies in rows.items():
        cells = "".join(f"{tallies[n].events / tallies[n].years:9,.1f}" for n in names)
        print(f"{law_name:45s}{cells}")
    return missed


# --- 2. the kernel itself ----------------------------------------------------------------


def kernel(*, days: float, seed: int) -> list[str]:
    """Print the opens of the real step on some of the laws, with the promise and without."""
    print("\nThe whole step on the same traffic: opens in service-years, with the promise and without")
    missed = []
    for number in (0, 4, 5, 6, 12):
        law = laws()[number]
        kept = opens_of_kernel(law, Policy(), days=days, seed=seed + number)
        bare = opens_of_kernel(law, Policy(promise=Promise.NONE), days=days / 10.0, seed=seed + number)
        rate = f"without {bare.events / bare.years:,.0f} per year"
        print(f"{law.name:45s} {kept.events} in {kept.years:.3f}; {rate}", flush=True)
        if interval(kept)[0] > PROMISED:
            missed.append(f"{law.name}: {kept.events} opens of the kernel in {kept.years:.3f} years")
    return missed


def opens_of_kernel(law: Law, policy: Policy, *, days: float, seed: int) -> Tally:
    """Return how often the step cuts the traffic of one healthy service."""
    source = Source(law, services=1, seed=seed)
    state = initial_state(policy)
    opens = minute = 0
    for _ in range(max(1, round(days * 2.0))):
        for outcome in source.draw(720)[:, 0]:
            n, e = int(source.requests[outcome]), int(source.failures[outcome])
            start_s = T0 + 60.0 * minute
            minute += 1
            closed = state.law.applied.circuit == CircuitState.CLOSED
            seen = Observation("t", start_s, 60.0, start_s + 80.0, n, 0, e)
            state, decision = step(state, seen, policy)
            opens += closed and decision.applied.circuit != CircuitState.CLOSED
    return Tally(opens, minute / POLICY_YEAR)


# --- 3. delay ----------------------------------------------------------------------------


def delays(*, runs: int, seed: int) -> list[str]:
    """Print how long an outage of independent failures takes to be proven; return where it is too long."""
    print(f"\nWindows until an outage is proven (normal {NORMAL:.0%}, {runs} outages, mean)")
    print(" failing  per min   bound  oracle  independent  x best     any  price")
    missed = []
    for ratio in (0.1, 0.3, 0.6, 0.9, 0.999):
        for requests in (1, 10, 100):
            gain = ratio * math.log(ratio / NORMAL) + (1 - ratio) * math.log((1 - ratio) / (1 - NORMAL))
            bound = math.log(POLICY_YEAR) / (requests * gain)
            oracle = oracle_delay(ratio, requests, runs=runs, seed=seed)
            counted = delay(Promise.INDEPENDENT, ratio, requests, runs=runs, seed=seed)
            bet = delay(Promise.ANY, ratio, requests, runs=runs, seed=seed)
            times = counted / max(bound, oracle)
            shown = f"{bet:7.1f} {bet / counted:6.1f}" if math.isfinite(bet) else "  never      -"
            figures = f"{bound:7.2f} {oracle:7.2f} {counted:12.2f} {times:7.2f}"
            print(f"{ratio:8.1%} {requests:8d} {figures} {shown}", flush=True)
            if times > DELAY_MAX:
                missed.append(f"{ratio:.0%} at {requests}/min: {times:.2f} times the best possible")
    return missed


def onset(ratio: float, requests: int, *, runs: int, seed: int) -> tuple[Source, Source]:
    """Return sources before and after the beginning of an outage."""
    calm, bad = (
        Source(Law("", (counts(requests, mean),), (NORMAL,), requests), services=runs, seed=seed + number)
        for number, mean in enumerate((0.01, ratio))
    )
    return calm, bad


def oracle_delay(ratio: float, requests: int, *, runs: int, seed: int) -> float:
    """Return the delay of CUSUM told normal and failing ratio, the optimum for these windows."""
    _, bad = onset(ratio, requests, runs=runs, seed=seed)
    won, lost = math.log(ratio / NORMAL), math.log((1 - ratio) / (1 - NORMAL))
    gains = bad.failures * won + (bad.requests - bad.failures) * lost
    total, windows, running = np.zeros(runs), np.zeros(runs), np.ones(runs, bool)
    for outcomes in bad.draw(2_000):
        total = np.maximum(total, 0.0) + gains[outcomes]
        windows += running
        running &= total < math.log(POLICY_YEAR)
    return float(windows.mean())


def delay(promise: Promise, ratio: float, requests: int, *, runs: int, seed: int) -> float:
    """Return the mean number of windows until the evidence is rare enough; inf if 1,000 are too few."""
    calm, bad = onset(ratio, requests, runs=runs, seed=seed)
    before, after = Detector(calm, promise), Detector(bad, promise)
    rarity_s = before.start(runs)
    for outcomes in calm.draw(300):
        rarity_s = before.next(rarity_s, outcomes)
    windows, running = np.zeros(runs), np.ones(runs, bool)
    for outcomes in bad.draw(1_000):
        rarity_s = after.next(rarity_s, outcomes)
        windows += running
        running &= rarity_s.mean(axis=0) < after.needed_s
        if not running.any():
            return float(windows.mean())
    return math.inf


# --- 4. cost -----------------------------------------------------------------------------


def cost() -> None:
    """Print what the detector adds to a step."""
    draw = random.Random(1)
    seen = [
        (draw.randrange(8) if draw.random() < 0.9 else 500, 500 + draw.randrange(200)) for _ in range(2_000)
    ]

    def evidence(policy: Policy) -> int:
        rarity = Rarity()
        for e, n in seen:
            rarity = next_rarity(
                rarity, failures=e, requests=n, period_s=60.0, normal=0.03, dispersion=1.7, policy=policy
            )
        return len(seen)

    def steps(policy: Policy) -> int:
        state: State = initial_state(policy)
        for minute, (e, n) in enumerate(seen):
            start_s = T0 + 60.0 * minute
            state, _ = step(state, Observation("t", start_s, 60.0, start_s + 80.0, n, 0, e), policy)
        return len(seen)

    none, independent = Policy(promise=Promise.NONE), Policy(promise=Promise.INDEPENDENT)
    figures = interleaved(
        {
            "step, no promise": lambda: steps(none),
            "step, promise: any": lambda: steps(Policy()),
            "step, promise: independent": lambda: steps(independent),
            "of these the evidence, any": lambda: evidence(Policy()),
            "of these the evidence, independent": lambda: evidence(independent),
        },
        rounds=5,
    )
    table("CPU per window", figures, reference="step, no promise")
    size = len(encode_state(initial_state(Policy())))
    print(f"state of a new target: {size:,} bytes, of these 40 for the promise")


if __name__ == "__main__":
    main()
