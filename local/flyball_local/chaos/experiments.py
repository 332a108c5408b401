"""The experiments that are shipped: what should hold, what goes wrong, which bounds tell.

Bounds are promises of docs/reference/client.md and static-stability.md, turned
into numbers for a target that answers in 20 ms and about one call a second per
environment. Each is shown able to fail by a test that takes the protection away
(tests/chaos/protections.py).
"""

from __future__ import annotations

import json

from flyball_local.chaos.experiment import Bound, Experiment, Step
from flyball_local.chaos.faults import (
    ClocksWrong,
    ColdStart,
    ControllerGone,
    DocumentDamaged,
    StoreFails,
    TargetFails,
)
from flyball_local.chaos.fleet import TARGET, Strike
from flyball_local.chaos.measures import Phase

FAULT_S = 240.0
# The controller opens on four windows in which nearly all fails (docs/theory/control.md): after 6 min it has.
OUTAGE_S = 420.0
BLIND_FROM_S = 390.0  # what fails beside the target, begins before the target is back
BLIND_TO_S = 690.0
_DURING, _LATE, _AFTER = Phase.DURING, Phase.LATE, Phase.AFTER

GARBAGE = b'{"schema": 1, "revision": 12, "targets": {"paym'
# What an attacker or a slip of the keyboard could publish, past both validators: no pause, no end.
_ABSURD_PARAMS = {
    "retry": {"max_attempts": 1_000_000, "base_ms": 0, "cap_ms": 0, "budget_ratio": 1e9, "budget_burst": 1e9},
    "breaker": {"failure_ratio": 99, "min_calls": 10**9, "consecutive_failures": 0},
    "throttle": {"cap_ratio": -1},
}
ABSURD = json.dumps(
    {
        "schema": 1,
        "revision": 10**6,
        "generated_at": "2026-01-05T00:00:00Z",
        "policy_hash": "nobody",
        "targets": {TARGET: _ABSURD_PARAMS},
        "defaults": _ABSURD_PARAMS,
    }
).encode()

_UNHURT = (
    Bound("goodput_ratio", _DURING, low=0.999, why="the target is well, and so are its callers"),
    Bound("attempts_per_call", _DURING, high=1.001, why="nothing is repeated without a reason"),
    Bound("defects", _DURING, high=0.0, why="a source only advises: its failures fail no call"),
)
_WAS_OPEN = Bound("under_open", _DURING, low=100.0, why="else there was no published circuit to lapse")
# A controller that comes back loosens the circuit that it held step by step, as if it had never been away.
_RETURNS = Bound("goodput_ratio", _AFTER, low=0.98, why="its return costs a few probes, not calls")
_WELL_AFTER = Bound("attempts_per_call", _AFTER, high=1.01, why="the load is what it was")


def _outage(to_s: float = OUTAGE_S, number: int = 0) -> Step:
    return Step(0.0, to_s, TargetFails(Strike(error=ConnectionError), number))


_TARGETS = (
    Experiment(
        name="throttle-storm",
        hypothesis="Against a target that answers 429, calls wait longer than after other failures, ever "
        "longer, and its load hardly grows.",
        steps=(Step(0.0, FAULT_S, TargetFails(Strike(throttle=0, ratio=0.7))),),
        bounds=(
            Bound(
                "throttle_wait_s",
                _DURING,
                low=0.4,
                why="after a 429 the base is 1 s, ten times that of others: 0.5 s on average",
            ),
            Bound(
                "throttle_wait_s",
                _LATE,
                low=1.2,
                why="by then the controller has raised the base to 4 s for the whole fleet",
            ),
            Bound("attempts_per_call", _DURING, high=1.25, why="retries end where the budget does"),
            _WELL_AFTER,
        ),
        recovers_within_s=60.0,
        managed="TargetThrottles",
    ),
    Experiment(
        name="throttle-named",
        hypothesis="A target that names its pause (Retry-After) is left alone for so long.",
        steps=(Step(0.0, FAULT_S, TargetFails(Strike(throttle=3, ratio=0.3))),),
        bounds=(
            Bound("shortest_throttle_wait_s", _DURING, low=3.0, why="the pause is waited in full"),
            Bound("attempts_per_call", _DURING, high=1.5, why="retries end where the budget does"),
        ),
        recovers_within_s=60.0,
    ),
    Experiment(
        name="partial-errors",
        hypothesis="If a third of the attempts fails at once, nearly every call is answered all the same.",
        steps=(Step(0.0, FAULT_S, TargetFails(Strike(error=ConnectionError, ratio=0.3))),),
        bounds=(
            Bound("goodput_ratio", _LATE, low=0.96, why="retries pay while failures are independent"),
            Bound("attempts_per_call", _DURING, high=1.5, why="1 / (1 - 0.3) and no more"),
            Bound("refused_ratio", _DURING, high=0.0, why="a circuit would make it worse"),
            _WELL_AFTER,
        ),
        recovers_within_s=60.0,
        managed="TargetErrors",
    ),
    Experiment(
        name="slow-answers",
        hypothesis="A target that is slow, and in time, is not taken for one that is down.",
        steps=(Step(0.0, FAULT_S, TargetFails(Strike(latency_s=0.4))),),
        bounds=(
            Bound("goodput_ratio", _DURING, low=0.999, why="answers come within the attempt's second"),
            Bound("refused_ratio", _DURING, high=0.0, why="slow is not down"),
            Bound("attempts_per_call", _DURING, high=1.001, why="nothing is repeated without a reason"),
            Bound("longest_s", _DURING, high=0.5, why="flyball adds nothing to the 0.42 s"),
        ),
        recovers_within_s=30.0,
        managed="TargetDelay",
    ),
    Experiment(
        name="black-hole",
        hypothesis="A target that never answers holds nobody for longer than the time-outs add up to, and "
        "soon hardly anybody at all.",
        steps=(Step(0.0, FAULT_S, TargetFails(Strike(timeout_s=60.0))),),
        bounds=(
            Bound("longest_s", _DURING, high=8.7, why="6.7 s for a call, 2 s more in a cold environment"),
            Bound("refused_ratio", _LATE, low=0.8, why="the circuit is open, but for its probes"),
            Bound("attempts_per_call", _DURING, high=0.4, why="time-outs are not answered with more load"),
            _WELL_AFTER,
        ),
        recovers_within_s=120.0,
        managed="TargetDelay",
    ),
    Experiment(
        name="outage",
        hypothesis="A target that refuses every call is left alone, but for a few probes, and found again "
        "when it is back.",
        steps=(_outage(FAULT_S),),
        bounds=(
            Bound("attempts_per_call", _DURING, high=0.3, why="environments open by themselves"),
            Bound("refused_ratio", _LATE, low=0.8, why="the circuit is open, but for its probes"),
            Bound("longest_s", _DURING, high=2.0, why="fast failures cost no time"),
            _WELL_AFTER,
        ),
        recovers_within_s=120.0,
        managed="TargetErrors",
    ),
)


def _store(name: str, how: str, hypothesis: str, reads_per_min: float, longest_s: float) -> Experiment:
    return Experiment(
        name=name,
        hypothesis=hypothesis,
        steps=(Step(0.0, FAULT_S, StoreFails(how)),),
        bounds=(
            *_UNHURT,
            Bound("longest_s", _DURING, high=longest_s, why="one read, with the client's time-out, at most"),
            Bound("reads_per_min", _LATE, high=reads_per_min, why="each failure doubles the pause, to 60 s"),
            Bound("fewest_reads_per_min", _AFTER, low=6.0, why="reading goes on as before, each 5 s"),
        ),
        recovers_within_s=30.0,
        managed="" if how == "throttle" else "StoreUnreachable",  # a cut network refuses nothing
    )


_STORE = (
    _store(
        "store-outage", "error", "Without DynamoDB callers notice nothing, and do not hammer it.", 3.0, 0.1
    ),
    _store(
        "store-throttled",
        "throttle",
        "Throttled by DynamoDB, clients ask less often instead of more, and callers notice nothing.",
        3.0,
        0.1,
    ),
    _store(
        "store-slow",
        "slow",
        "While DynamoDB does not answer, a call waits 0.3 s for it now and then, never twice.",
        5.0,
        0.4,
    ),
    Experiment(
        name="store-outage-while-open",
        hypothesis="If DynamoDB fails while a circuit is open, the circuit lapses, and clients find out by "
        "themselves that the target is back.",
        steps=(_outage(), Step(BLIND_FROM_S, BLIND_TO_S, StoreFails("error"))),
        bounds=(
            _WAS_OPEN,
            Bound("goodput_ratio", _LATE, low=0.999, why="nothing is open without anybody who renews it"),
            Bound("defects", _DURING, high=0.0, why="a source only advises: its failures fail no call"),
            _RETURNS,
        ),
        recovers_within_s=150.0,
        managed="StoreUnreachable",
        well_from_s=OUTAGE_S,
    ),
)
_REST = (
    Experiment(
        name="cold-start-storm",
        hypothesis="A deployment under four times the traffic, with first answers of 1.8 s, loses no call "
        "and opens no circuit.",
        steps=(Step(0.0, 60.0, ColdStart(factor=4.0, cold_s=1.8)),),
        bounds=(
            Bound("goodput_ratio", _DURING, low=0.999, why="the first attempt has three times the time"),
            Bound("refused_ratio", _DURING, high=0.0, why="cold is not down"),
            Bound(
                "reads_per_min", _DURING, high=13.0, why="one read per 5 s and environment, at any traffic"
            ),
            Bound("started", _DURING, low=20.0, why="else there was no storm"),
        ),
        recovers_within_s=30.0,
    ),
    Experiment(
        name="document-garbage",
        hypothesis="A document that is cut off changes nothing, and polling goes on.",
        steps=(Step(0.0, FAULT_S, DocumentDamaged(GARBAGE)),),
        bounds=_UNHURT,
        recovers_within_s=30.0,
    ),
    Experiment(
        name="document-absurd",
        hypothesis="A document that orders a million attempts without pause is obeyed within the client's "
        "own bounds, and the published circuit still ends the storm.",
        steps=(_outage(OUTAGE_S, number=1), Step(0.0, OUTAGE_S, DocumentDamaged(ABSURD))),
        bounds=(
            Bound("most_attempts", _DURING, high=4.0, why="more attempts than four are never made"),
            Bound("longest_s", _DURING, high=8.7, why="no call is longer than its time-outs"),
            Bound(
                "attempts_per_call", _LATE, high=1.0, why="the circuit of the fleet is not in the document"
            ),
            Bound("defects", _DURING, high=0.0, why="absurd numbers fail no call"),
        ),
        recovers_within_s=120.0,
    ),
    Experiment(
        name="controller-gone",
        hypothesis="If the controller dies while a circuit is open, the circuit lapses within 90 s, and "
        "clients close by themselves.",
        steps=(_outage(), Step(BLIND_FROM_S, BLIND_TO_S, ControllerGone())),
        bounds=(
            _WAS_OPEN,
            Bound("rounds", _LATE, high=0.0, why="else the controller was not gone"),
            Bound("goodput_ratio", _LATE, low=0.999, why="nothing is open without anybody who renews it"),
            _RETURNS,
        ),
        recovers_within_s=150.0,
        managed="ControllerErrors",
        well_from_s=OUTAGE_S,
    ),
    Experiment(
        name="clock-skew",
        hypothesis="Environments whose clocks are an hour wrong, either way, neither storm nor refuse "
        "a target that is back.",
        steps=(_outage(), Step(BLIND_FROM_S, BLIND_TO_S, ClocksWrong((3_600.0, -3_600.0, 0.0)))),
        bounds=(
            _WAS_OPEN,
            Bound(
                "fewest_reads_per_min", _LATE, low=6.0, why="a clock that was set back makes nothing fresh"
            ),
            Bound("goodput_ratio", _LATE, low=0.999, why="a pause is never longer than pauses are"),
            _RETURNS,
        ),
        recovers_within_s=150.0,
        well_from_s=OUTAGE_S,
    ),
)
EXPERIMENTS: dict[str, Experiment] = {one.name: one for one in (*_TARGETS, *_STORE, *_REST)}
