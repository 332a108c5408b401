"""One controller process and its rounds: the product's loop on the product's own stores, one call at a time.

A process works on one round at a time, as a Lambda environment does, and keeps
its memory from round to round until it dies. What befalls the next call of a
round is ordered by the schedule; what came of it is counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from flyball.contract import CircuitState
from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.aws.dynamodb import DynamoCheckpoints, DynamoCircuits, DynamoHolds
from flyball_controller.aws.journal import DynamoJournal
from flyball_controller.aws.tables import Pauses
from flyball_controller.core.model import Observation, Reason
from flyball_controller.loop import Ports, Remembered, RunReport, Trigger, run_once
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import Checkpoint, Conflict, Saved
from simulation.appconfig import IDS, Profile, PublisherClient
from simulation.baton import POOL, CrashError, Turn
from simulation.dynamo import ControllerClient, Tables
from simulation.laws import Judge
from simulation.traffic import SimSensor, Traffic

PAUSES = Pauses(draw=lambda: 0.5, sleep=lambda seconds: None)
NOTED = {
    Reason.OPEN_SHARE_LIMITED: "open share limited",
    Reason.OPERATOR_HOLD: "operator's hold obeyed",
    Reason.OPERATOR_HOLD_EXPIRED: "operator's hold expired",
    Reason.OBSERVATION_LATE: "late evidence refused",
    Reason.OBSERVATION_PARTIAL: "partial evidence used",
    Reason.BLIND_TOO_LONG: "blind too long",
    Reason.CHECKPOINT_RESET: "checkpoint reset",
    Reason.MODE_SHADOW: "shadow decided",
}


class WatchedCheckpoints:
    """The product's checkpoint store; every answer it gives is shown to the judge."""

    def __init__(self, store: DynamoCheckpoints, judge: Judge) -> None:
        self._store = store
        self._judge = judge

    def load(self, keys: Sequence[str]) -> Mapping[str, Checkpoint]:
        """As the store."""
        return self._store.load(keys)

    def save(
        self, key: str, data: bytes, *, expected_version: int, write_id: str, stamp_s: float, now_s: float
    ) -> Saved | Conflict:
        """As the store."""
        outcome = self._store.save(
            key, data, expected_version=expected_version, write_id=write_id, stamp_s=stamp_s, now_s=now_s
        )
        self._judge.see_save(key, write_id, expected_version, outcome)
        return outcome


class Controller:
    """One process: its clock's error, its memory, its stores."""

    def __init__(
        self,
        skew_s: float,
        policies: PolicySet,
        *,
        tables: Tables,
        profile: Profile,
        traffic: Traffic,
        judge: Judge,
        now_s: Callable[[], float],
        slow: Callable[[float], object],
    ) -> None:
        """`slow` lets virtual time pass while a call takes long."""
        self.skew_s = skew_s
        self.cache: dict[str, Remembered] = {}
        self.round: Round | None = None
        self._policies = policies
        self._judge = judge
        self._now_s = now_s
        self._slow = slow
        client = ControllerClient(tables, self.ask)
        checkpoints = WatchedCheckpoints(DynamoCheckpoints(client, table="states", pauses=PAUSES), judge)
        publisher = AppConfigPublisher(
            PublisherClient(profile, self.ask), **IDS._asdict(), checkpoints=checkpoints, new_id=self._new_id
        )
        self.ports = Ports(
            SimSensor(traffic, self.ask, now_s),
            checkpoints,
            DynamoCircuits(client, table="circuits"),
            DynamoHolds(client, table="holds", pauses=PAUSES),
            publisher,
            DynamoJournal(client, table="journal", pauses=PAUSES),
        )
        self._ids = 0

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self.skew_s}-{self._ids}"

    def ask(self, operation: str) -> str:
        """Stop before a call; return what is to befall it, "" for nothing."""
        round_ = self.round
        if round_ is None or round_.turn is None:
            return ""  # nobody else is about
        round_.turn.gate()
        round_.last = operation
        fault, round_.fault = round_.fault, ""
        if fault:
            round_.faults.append(fault)
        if fault == "slow":
            self._slow(round_.slow_s)
            return ""
        return fault

    def now_s(self) -> float:
        """Return what this process takes for the time."""
        return self._now_s() + self.skew_s

    def run(
        self,
        targets: Sequence[str],
        trigger: Trigger,
        *,
        given: Mapping[str, Sequence[Observation]] | None = None,
        fresh: bool = False,
    ) -> RunReport:
        """Run one round to its end, undisturbed unless it is a turn of many; `fresh`: without memory."""
        return run_once(
            targets,
            ports=self.ports,
            policies=self._policies,
            now_s=self.now_s(),
            trigger=trigger,
            given=given,
            cache=None if fresh else self.cache,
            fleet_size=2,
        )

    def die(self) -> None:
        """Lose everything that was not stored."""
        self.cache = {}
        self.round = None


class Round:
    """One round on its way."""

    def __init__(
        self,
        controller: Controller,
        targets: Sequence[str],
        trigger: Trigger,
        given: Mapping[str, Sequence[Observation]] | None,
    ) -> None:
        self.controller = controller
        self.targets = targets
        self.trigger = trigger
        self.given = given
        self.fault = ""
        self.slow_s = 5.0
        self.faults: list[str] = []
        self.last = ""
        self.report: RunReport | None = None
        self.turn: Turn | None = None
        controller.round = self
        self.turn = POOL.prepare(self._work)

    def _work(self) -> None:
        self.report = self.controller.run(self.targets, self.trigger, given=self.given)

    @property
    def done(self) -> bool:
        """Whether it ended."""
        assert self.turn is not None
        return self.turn.done

    def go(self, calls: int) -> None:
        """Let it make some calls."""
        assert self.turn is not None
        if not self.turn.done:
            self.turn.resume(calls)

    def crash(self) -> None:
        """Let its process die."""
        assert self.turn is not None
        self.turn.crash()
        self.controller.die()

    @property
    def escaped(self) -> BaseException | None:
        """What the loop let through, though it must report and never raise."""
        assert self.turn is not None
        error = self.turn.error
        return None if error is None or isinstance(error, CrashError) else error

    def outcome(self) -> str:
        """Return in one phrase how it ended."""
        if self.report is None:
            return "crashed"
        if self.report.retry:
            return "reported, to be repeated"
        if self.report.errors:
            return "reported"
        return "decided again" if self.report.conflicts else "done"

    def note(self, judge: Judge) -> None:
        """Count which rare ways it went."""
        report = self.report
        if report is None:
            judge.reached[f"crash before {self.last or 'the first call'}"] += 1
            return
        for decision in report.decisions:
            if decision.changed and decision.applied.circuit == CircuitState.OPEN:
                judge.reached["opened"] += 1
            for evidence in decision.evidence:
                word = NOTED.get(evidence.reason)
                if word is not None:
                    judge.reached[word] += 1
        if report.conflicts >= 2:
            judge.reached["several races lost in one round"] += 1
        if report.published is not None:
            judge.reached[f"configuration {report.published.status.code}"] += 1
            if "reply lost" in report.published.detail:
                judge.reached["deployment recognised after a lost reply"] += 1
