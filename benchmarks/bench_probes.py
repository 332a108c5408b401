"""What checks are worth: recovery of a dead target with and without the probe function, same requests.

    python benchmarks/bench_probes.py             # five seeds
    python benchmarks/bench_probes.py --quick     # one

The production loop, law and client run against the plant (flyball_analytics.closedloop);
the reference is the same controller without checks. Checks every 30 s and every
60 s meet the target as it is at that moment. Prints, per traffic, the mean seconds
from the end of the outage until the circuit that the controller publishes is not
open any more, is closed, and until everything is nominal; `never` within the run
counts as its end. The last column is requests refused after the end of the outage.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from flyball.contract import CircuitState
from flyball_analytics import closedloop
from flyball_analytics.algorithms import Algorithm, algorithm
from flyball_analytics.closedloop_control import Control, FlyballControl
from flyball_analytics.judge import load_known
from flyball_analytics.plant.draws import stream
from flyball_analytics.plant.faults import conditions_at
from flyball_analytics.scenarios import Scenario
from flyball_controller.check_book import Result, write_results
from flyball_controller.core.model import Observation, Setpoint
from flyball_controller.probes import SLOT_S, check_from_fields

OUTAGE_S, RUN_S = 1_320.0, 3_600.0  # its end and the run's, after the beginning
TRAFFIC = {
    "15/s": "15/s x60m",
    "2/s": "2/s x60m",
    "30/min": "30/min x60m",
    "15/s, then night": "15/s x16m, 2/min x44m",
    "6/min": "6/min x60m",
    "1/min": "1/min x60m",
}
SCENARIO = """\
description: A dead target at another rate of traffic
duration: 60m
services:
  index:
    load: "{load}"
    capacity: "40/s"
    faults:
      refused: "0 x10m, 100% x12m"
incidents:
  - {{label: outage, from: 10m, to: 22m}}
"""


class Recovery(NamedTuple):
    """Seconds after the end of the outage, and what was refused from then on."""

    half_open_s: float
    closed_s: float
    nominal_s: float
    refused: float


class _Checked(FlyballControl):
    """The controller with a probe function beside it."""

    def watch(self, scenario: Scenario, every_s: int, seed: int) -> None:
        """Check every target of a scenario from its beginning on; 0 = never."""
        self._scenario, self._every_s = scenario, every_s
        self._draws = stream(seed, "checks")
        self._next_s = scenario.start_s
        if every_s:
            fields = {"kind": "tcp", "host": "index", "port": 1, "every_s": every_s}
            probes = {target: check_from_fields(target, fields, at=str) for target in scenario.targets}
            self._policies = self._policies._replace(probes=probes)

    def round(self, now_s: float, arrived: Sequence[Observation]) -> None:
        """Make the checks that were due by now, then the production round."""
        while self._every_s and self._next_s <= now_s:
            results = {target: self._check(target, self._next_s) for target in self._scenario.targets}
            write_results(self._ports.checkpoints, results, slot_s=float(SLOT_S), now_s=self._next_s)
            self._next_s += self._every_s
        super().round(now_s, arrived)

    def _check(self, target: str, at_s: float) -> Result:
        faults = next(caller.faults for caller in self._scenario.callers if caller.target == target)
        now = conditions_at(faults, at_s - self._scenario.start_s)
        ill = min(1.0, now.outage_ratio + now.error_ratio + now.black_hole_ratio)
        return Result(at_s, 20.0, self._draws.random() >= ill)


class _Loop(closedloop._Loop):
    """A run whose controller is a _Checked one."""

    every_s = 0

    def _control(self, algorithm: Algorithm, *, traced: bool) -> Control:
        assert algorithm.policies is not None
        past = {target: self._past(target) for target in self.scenario.targets}
        control = _Checked(self.scenario.targets, policies=algorithm.policies, seed=self._seed, past=past)
        control.watch(self.scenario, self.every_s, self._seed)
        return control


def recovery(scenario: Scenario, *, every_s: int, seed: int) -> Recovery:
    """Run once and return how the target recovered."""
    kind = type("_Loop", (_Loop,), {"every_s": every_s})
    loop = kind(scenario, algorithm("flyball"), seed, closedloop.EXACT, traced=False)
    loop.simulate()
    end_s = scenario.start_s + OUTAGE_S
    caller = scenario.callers[0]
    nominal = loop.control.nominal[caller.target]
    states: list[tuple[float, Setpoint]] = [(scenario.start_s, nominal)]
    states += [(action.at_s, action.after) for action in loop.control.actions]

    def since(good: Mapping[str, bool]) -> float:
        bad = [n for n, (_, one) in enumerate(states) if not good[repr(one)]]
        if not bad:
            return 0.0
        return (states[bad[-1] + 1][0] if bad[-1] + 1 < len(states) else scenario.start_s + RUN_S) - end_s

    seen = [one for _, one in states]
    refused = sum(
        tally.rejected
        for step, tally in loop.caller_runs()[0].ledger.steps.items()
        if step * closedloop.STEP_S >= end_s
    )
    return Recovery(
        max(0.0, since({repr(one): one.circuit != CircuitState.OPEN for one in seen})),
        max(0.0, since({repr(one): one.circuit == CircuitState.CLOSED for one in seen})),
        max(0.0, since({repr(one): one == nominal for one in seen})),
        float(refused),
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    options = parser.parse_args()
    seeds = range(1, 2) if options.quick else range(1, 6)
    print(f"seconds after the outage, mean of {len(seeds)} seeds   (reference: no checks)")
    print(f"{'traffic':<18}{'checks':>8}{'not open':>10}{'closed':>8}{'nominal':>9}{'':>10}{'refused':>9}")
    with TemporaryDirectory() as folder:
        for name, load in TRAFFIC.items():
            file = Path(folder) / "dead.yaml"
            file.write_text(SCENARIO.format(load=load))
            scenario = load_known(file)
            reference = 0.0
            for every_s in (0, 60, 30):
                runs = [recovery(scenario, every_s=every_s, seed=seed) for seed in seeds]
                mean = Recovery(*(statistics.fmean(column) for column in zip(*runs, strict=True)))
                reference = mean.nominal_s if not every_s else reference
                ratio = f"{mean.nominal_s / reference:.2f} x" if reference else "-"
                word = f"{every_s} s" if every_s else "none"
                print(
                    f"{name:<18}{word:>8}{mean.half_open_s:>10.0f}{mean.closed_s:>8.0f}"
                    f"{mean.nominal_s:>9.0f}{ratio:>10}{mean.refused:>9.0f}"
                )


if __name__ == "__main__":
    main()
