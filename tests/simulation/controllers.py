"""One controller process and its rounds: the product's loop on the product's own stores, one call at a time.

A process works on one round at a time, as a Lambda environment does, and keeps
its memory from round to round until it dies. What befalls the next call of a
round is ordered by the schedule; what came of it is counted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flyball.contract import CircuitState
from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.aws.dynamodb import DynamoCheckpoints, DynamoCircuits, DynamoHolds
from flyball_controller.aws.journal import DynamoJournal
from flyball_controller.aws.settings import Settings
from flyball_controller.aws.tables import Pauses
from flyball_controller.core.model import Observation, Reason
from flyball_controller.loop import Ports, Remembered, RunReport, Trigger, run_once
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import Checkpoint, Conflict, PortError, Saved
from flyball_controller.round_records import FAULT
from flyball_handlers import wiring
from flyball_handlers.origins import Origins
from flyball_handlers.telemetry import Telemetry
from flyball_handlers.wiring import Runtime
from simulation.appconfig import IDS
from simulation.config_laws import RECORD
from simulation.laws import Actor, Judge
from simulation.older import as_older_reads, is_older, older_record, older_state
from simulation.process import Job, Process
from simulation.traffic import SimSensor, Traffic

PAUSES = Pauses(draw=lambda: 0.5, sleep=lambda seconds: None)
CONTROLLERS = 4
# Made once: a logger costs more than a round. Their counts only rise, and runs look at differences.
TOLD = tuple(Telemetry(silent=True) for _ in range(CONTROLLERS))
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
        self.older = False  # whether the release before uses it
        self._unread: set[str] = set()  # states that the release before could not read

    def load(self, keys: Sequence[str]) -> Mapping[str, Checkpoint]:
        """As the store."""
        return {key: self._read(key, stored) for key, stored in self._store.load(keys).items()}

    def _read(self, key: str, stored: Checkpoint) -> Checkpoint:
        if key.startswith("#") or not stored.data:
            return stored
        if self.older:
            data = as_older_reads(stored.data)
            (self._unread.discard if data is stored.data else self._unread.add)(key)
            return stored._replace(data=data)
        if is_older(stored.data):
            self._judge.reached["older state upgraded"] += 1
        return stored

    def save(
        self, key: str, data: bytes, *, expected_version: int, write_id: str, stamp_s: float, now_s: float
    ) -> Saved | Conflict:
        """As the store."""
        if self.older:
            data = self._as_older_writes(key, data)
        outcome = self._store.save(
            key, data, expected_version=expected_version, write_id=write_id, stamp_s=stamp_s, now_s=now_s
        )
        self._judge.see_save(key, write_id, expected_version, outcome)
        if isinstance(outcome, Conflict):
            return Conflict(self._read(key, outcome.current))
        return outcome

    def _as_older_writes(self, key: str, data: bytes) -> bytes:
        if key == RECORD:
            self._judge.configuration.forget()
            return older_record(data)
        if key.startswith("#"):
            return data
        if key in self._unread:
            self._judge.damaged.add(key)  # to it, what stands there is as good as damaged
            self._judge.reached["older release began a newer state anew"] += 1
        return older_state(data)


class WatchedJournal:
    """The product's journal; what is written is shown to the judge."""

    def __init__(self, journal: DynamoJournal, judge: Judge) -> None:
        self._journal = journal
        self._judge = judge

    def append(self, records: Sequence[Mapping[str, object]]) -> None:
        """As the journal."""
        self._judge.see_records(records)
        self._journal.append(records)


class Controller(Process):
    """One container of the controller: its clock's error, its release, its memory, its stores."""

    def __init__(
        self, index: int, skew_s: float, policies: PolicySet, *, traffic: Traffic, **world: Any
    ) -> None:
        super().__init__(policies, skew_s=skew_s, **world)
        self.cache: dict[str, Remembered] = {}
        self.older = self.next_older = False  # which release it runs, and its next container will
        self._skew = f"{skew_s}"
        self._ids = 0
        self.checkpoints = WatchedCheckpoints(
            DynamoCheckpoints(self.dynamodb, table="states", pauses=PAUSES), self.judge
        )
        publisher = AppConfigPublisher(
            self.appconfig, **IDS._asdict(), checkpoints=self.checkpoints, new_id=self._new_id
        )
        ports = Ports(
            SimSensor(traffic, self.ask, self._true_now_s),
            self.checkpoints,
            DynamoCircuits(self.dynamodb, table="circuits"),
            DynamoHolds(self.dynamodb, table="holds", pauses=PAUSES),
            publisher,
            WatchedJournal(DynamoJournal(self.dynamodb, table="journal", pauses=PAUSES), self.judge),
        )
        self._told = TOLD[index]
        self._begun = Runtime(
            settings=Settings(),
            origins=Origins(),
            ports=ports,
            policies=policies,
            clock=self,
            telemetry=self._told,
            bundled=policies,
            policy_known=False,
        )
        self.runtime = self._begun

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self._skew}-{self._ids}"

    def run(
        self,
        targets: Sequence[str],
        trigger: Trigger,
        *,
        given: Mapping[str, Sequence[Observation]] | None = None,
        fresh: bool = False,
    ) -> RunReport:
        """Run one round to its end, undisturbed unless it is a turn of many; `fresh`: without memory."""
        if self.next_older != self.older:
            self.older = self.checkpoints.older = self.next_older
            self.cache, self.runtime = {}, self._begun
        policies = self._obey()
        if not self.runtime.policy_known:  # as rounds.run has it
            self.judge.reached["cold and blind: no round"] += 1
            return RunReport(
                (), (("", PortError("policy unknown", backend="policy", retryable=True)),), 0, None
            )
        return run_once(
            targets,
            ports=self.runtime.ports,
            policies=policies,
            now_s=self.now_s(),
            trigger=trigger,
            given=given,
            cache=None if fresh else self.cache,
            fleet=("a", "b"),
        )

    def _obey(self) -> PolicySet:
        """Look which policy is in force, as the handlers do before each round."""
        books, had = self.judge.configuration, self.runtime.policies.hash
        before, misses = len(books.in_force), self._told.totals["policy_unreadable"]
        self.runtime = wiring.with_policy_in_force(self.runtime)
        unreadable = self._told.totals["policy_unreadable"] > misses
        policies = self.runtime.policies
        if self.runtime.policy_known:
            books.see_obeyed(policies.hash, before=before, unreadable=unreadable, had=had)
        self.actor = self.judge.actor = Actor(policies)
        return policies

    def die(self) -> None:
        """Lose everything that was not stored."""
        super().die()
        self.cache, self.runtime = {}, self._begun


class Round(Job):
    """One round on its way."""

    def __init__(
        self,
        controller: Controller,
        targets: Sequence[str],
        trigger: Trigger,
        given: Mapping[str, Sequence[Observation]] | None,
    ) -> None:
        super().__init__(controller, self._work)
        self.controller = controller
        self.targets = targets
        self.trigger = trigger
        self.given = given
        self.report: RunReport | None = None

    def _work(self) -> None:
        self.report = self.controller.run(self.targets, self.trigger, given=self.given)

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
        for where, error in report.errors:
            if error.backend == FAULT:  # kept from the other targets, and a bug all the same
                judge.accuse("total", f"a fault of ours in {where}: {error}")
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
