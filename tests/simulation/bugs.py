"""Bugs planted on purpose, one at a time: what the simulation must catch, or it is worth nothing.

Each is a variant of the product that somebody could have written: a condition
forgotten, an order turned round, an expiry not looked at. `laws` are those of
which at least one must be broken by some schedule. A bug that two laws catch is
named by both, because which comes first depends on the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, NamedTuple
from unittest.mock import patch

from flyball import aws, breaker, sources
from flyball.contract import CircuitState
from flyball.records import Circuit, is_kill_switch
from flyball_controller import loop, publication
from flyball_controller.aws import dynamodb, publish_plan
from flyball_controller.core import circuit as core_circuit
from flyball_controller.core import guardrails
from flyball_controller.core.circuit import CircuitEvent
from flyball_controller.core.model import Mode
from flyball_controller.core.policy import Policy
from flyball_controller.ports import Checkpoint, Conflict, Saved
from simulation.schedule import Schedule, draw, read_back

# The package gives the function this name; here its module is meant.
step = import_module("flyball_controller.core.step")
Plant = Callable[[], AbstractContextManager[Any]]


class Bug(NamedTuple):
    """A planted bug."""

    name: str
    laws: frozenset[str]
    plant: Plant
    seeds: tuple[int, ...]
    text: str = ""  # a schedule made for it, where hardly a seed goes that way

    def schedules(self) -> Iterator[Schedule]:
        """Yield the schedules that are to show it, one after the other."""
        if self.text:
            yield read_back(self.text)
        yield from (draw(seed) for seed in self.seeds)


def replaced(where: Any, name: str, with_what: Any) -> Plant:
    """Return what puts another attribute in place for the length of a `with`."""
    return lambda: patch.object(where, name, with_what)


def _put_always(table: str) -> Callable[..., Any]:
    real = dynamodb.put_if

    def put(client: Any, into: str, key: Any, item: Any, *, condition: str, names: Any, values: Any) -> Any:
        if into == table:
            condition, names, values = "attribute_not_exists(#no)", {"#no": "no such attribute"}, {}
        return real(client, into, key, item, condition=condition, names=names, values=values)

    return put


def _forgetful_checkpoint(item: Any) -> Checkpoint:
    version = dynamodb.read_version(item)
    if version is None:
        return dynamodb.NEVER_WRITTEN
    return Checkpoint(version, dynamodb.read_bytes(item, "b") or b"", "")


def _conflict_taken_for_saved(self: Any, *arguments: Any, **more: Any) -> Any:
    outcome = _REAL_SAVE(self, *arguments, **more)
    return Saved(more["expected_version"] + 1) if isinstance(outcome, Conflict) else outcome


_REAL_SAVE = dynamodb.DynamoCheckpoints.save


def _published_before_saved(*arguments: Any) -> Any:
    return [item._replace(version=item.version + 1) for item in _REAL_CIRCUITS(*arguments)]


_REAL_CIRCUITS = publication.circuits_of


def _takes_any_version(self: Any, item: Circuit) -> bool:
    slot = "_switch" if is_kill_switch(item) else "_fleet" if item.function == "*" else "_function"
    with self._lock:
        setattr(self, slot, item)
        self.recheck_s = float("-inf")
    return True


def _ignores_the_end(self: Any, now_s: float) -> None:
    for slot in ("_function", "_fleet"):
        item = getattr(self, slot)
        if item is not None and item.valid_until < 9e9:
            setattr(self, slot, item._replace(valid_until=9e9))
    _REAL_REFRESH(self, now_s)


_REAL_REFRESH = breaker.Breaker._refresh


def _only_monotonic(self: Any, wall_s: float, monotonic_s: float) -> bool:
    return self._wall_s is None or monotonic_s - self._monotonic_s >= self._interval_s


def _fresh_only_monotonic(self: Any) -> tuple[float, float, float]:
    if self._wall_s is None:
        return sources.STALE
    return float("-inf"), float("inf"), self._monotonic_s + self._interval_s


class _OneClock:
    """Freshness by the monotonic clock alone: wrong in an environment that was frozen."""

    def __enter__(self) -> None:
        self._patches = [
            patch.object(sources.Cached, "due", _only_monotonic),
            patch.object(sources.Cached, "fresh", _fresh_only_monotonic),
        ]
        for one in self._patches:
            one.start()

    def __exit__(self, *_: object) -> None:
        for one in self._patches:
            one.stop()


def _opens_on_damage(item: Any) -> Circuit:
    try:
        return _REAL_DECODE(item)
    except ValueError:
        good = {**item, "state": {"S": "open"}}
        return _REAL_DECODE(good)._replace(version=2**50)


_REAL_DECODE = aws.decode_circuit


def _no_pause(self: Any, jitter: float) -> bool:
    replaced = _REAL_READ(self, jitter)
    if self._pause_s > sources.BACKOFF_S:
        self._interval_s = self._pause_s = 0.0
    return replaced


_REAL_READ = sources.Cached._read_once


def _all_windows(self: Any, name: str, state: Any) -> Any:
    return _REAL_STEP_ALL(self, name, state._replace(stamp_s=-1.0))


_REAL_STEP_ALL = loop._Rounds._step_all


def _partial_windows_count(state: Any, seen: Any, policy: Policy) -> Any:
    after, decision = _REAL_WITH_DATA(state, seen, policy)
    if seen.quality.name == "PARTIAL" and not decision.changed:
        after = after._replace(law=after.law._replace(clean_count=0))
    return after, decision


_REAL_WITH_DATA = step._with_data


def _policy_of_shadow(self: Any, target: str) -> Policy:
    policy = self.targets.get(target, self.default)
    return policy._replace(mode=Mode.ACTIVE)


def _admits_all(self: Any, now_s: float, draw: float) -> bool:
    self._probes = 0
    return _REAL_ADMIT(self, now_s, draw)


_REAL_ADMIT = breaker.Breaker._admit


def _trusting_decode(data: bytes) -> Any:
    try:
        return _REAL_STATE(data)
    except loop.CheckpointError as error:
        raise ValueError("not a state") from error


_REAL_STATE = loop.decode_state
_FORCING = (1, 2, 3)  # kinds of hold that do something


def _held_for_ever(hold: Any, at_s: float) -> bool:
    return hold.kind in _FORCING


_STUCK = {**core_circuit.TRANSITIONS, (CircuitState.HALF_OPEN, CircuitEvent.RESET): CircuitState.HALF_OPEN}


def _kill_switch_unknown(self: Any, now_s: float) -> None:
    self._switch = None
    _REAL_REFRESH(self, now_s)


# Seeds that meet what a bug needs, tried first; the others find theirs among the first few.
_SEEDS: dict[str, tuple[int, ...]] = {
    "own write not recognised": (6,),
    "client takes older versions": (6,),
    "fresh by one clock": (1,),
    "damaged item opens": (7,),
    "partial windows stop recovery": (5,),
    "probes without bound": (41,),
    "no limit on deployments": (89, 227),
    "holds never expire": (12,),
    "kill switch unknown": (19,),
    "edits written over": (14,),
    "edit after a rollback not seen": (203,),
    "checks open": (35, 41),
}


def bug_of(name: str, laws: str, plant: Plant, text: str = "") -> Bug:
    """Return a planted bug that one of the first seeds is to show, or a schedule of its own."""
    return Bug(name, frozenset(laws.split()), plant, (*_SEEDS.get(name, ()), *range(60)), text)


CORE_BUGS = (
    bug_of("state saved without condition", "P1 P9", replaced(dynamodb, "put_if", _put_always("states"))),
    bug_of("circuit written without condition", "P1", replaced(dynamodb, "put_if", _put_always("circuits"))),
    bug_of("own write not recognised", "P4", replaced(dynamodb, "_checkpoint", _forgetful_checkpoint)),
    bug_of(
        "conflict taken for success",
        "P9 E5",
        replaced(dynamodb.DynamoCheckpoints, "save", _conflict_taken_for_saved),
    ),
    bug_of("circuit ahead of its state", "E5", replaced(loop, "circuits_of", _published_before_saved)),
    bug_of("client takes older versions", "K2", replaced(breaker.Breaker, "publish", _takes_any_version)),
    bug_of("client ignores the end", "P6 C10", replaced(breaker.Breaker, "_refresh", _ignores_the_end)),
    bug_of("fresh by one clock", "K6", _OneClock),
    bug_of("damaged item opens", "K4", replaced(aws, "decode_circuit", _opens_on_damage)),
    bug_of("no pause while the store is down", "K3", replaced(sources.Cached, "_read_once", _no_pause)),
    bug_of("late evidence counts", "P2 P5", replaced(loop._Rounds, "_step_all", _all_windows)),
    bug_of("partial windows stop recovery", "C10", replaced(step, "_with_data", _partial_windows_count)),
    bug_of("shadow acts", "O3", replaced(loop.PolicySet, "for_target", _policy_of_shadow)),
    bug_of("probes without bound", "K7", replaced(breaker.Breaker, "_admit", _admits_all)),
    bug_of("damaged checkpoint raises", "total quiet", replaced(loop, "decode_state", _trusting_decode)),
    bug_of(
        "rolled-back content comes again",
        "A5",
        replaced(publish_plan, "absorb_rollbacks", lambda record, facts, *, until_s: record),
    ),
    bug_of(
        "no limit on deployments",
        "A2",
        replaced(publish_plan, "_rate_refusal", lambda recent, *, urgent, now_s, limits: ""),
    ),
    bug_of("half-open never closes", "C10", replaced(core_circuit, "TRANSITIONS", _STUCK)),
    bug_of(
        "holds never expire",
        "O1 C10",
        replaced(guardrails, "hold_is_active", _held_for_ever),
    ),
    bug_of("kill switch unknown", "O1", replaced(breaker.Breaker, "_refresh", _kill_switch_unknown)),
)
