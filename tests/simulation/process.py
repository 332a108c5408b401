"""Whoever makes calls to the outside world one at a time, and the jobs that are stopped between them.

A controller and a person at a terminal have this in common: their calls can be
interleaved with everybody else's, can fail, and can still land when nobody waits
any more. The judge must know by whom each write is made and under which policy:
it is told before every call, and again when a late one lands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyball_controller.policy_set import PolicySet
from simulation.appconfig import Profile, PublisherClient
from simulation.baton import CrashError, Turn
from simulation.dynamo import ControllerClient, Tables
from simulation.laws import Actor, Judge

Effect = Callable[[], dict[str, Any]]


class Process:
    """Somebody with clients of their own, and at most one job under way."""

    def __init__(
        self,
        policies: PolicySet,
        *,
        tables: Tables,
        profile: Profile,
        judge: Judge,
        now_s: Callable[[], float],
        slow: Callable[[float], object],
        skew_s: float = 0.0,
        person: bool = False,
    ) -> None:
        """`slow` lets virtual time pass while a call takes long; `policies` is what it obeys now."""
        self.actor = Actor(policies, person)
        self.round: Job | None = None
        self.skew_s = skew_s
        self.judge = judge
        self._true_now_s = now_s
        self._slow = slow
        self.dynamodb = ControllerClient(tables, self.ask, self.landing)
        self.appconfig = PublisherClient(profile, self.ask, self.landing)

    def ask(self, operation: str) -> str:
        """Stop before a call; return what is to befall it, "" for nothing."""
        job = self.round
        if job is None:
            self.judge.actor = self.actor
            return ""  # nobody else is about
        job.turn.gate()
        self.judge.actor = self.actor
        job.last = operation
        fault, job.fault = job.fault, ""
        if fault:
            job.faults.append(fault)
        if fault == "slow":
            self._slow(job.slow_s)
            self.judge.actor = self.actor
            return ""
        return fault

    def landing(self, effect: Effect) -> Effect:
        """Return the effect of a request that will arrive late, as this process' own of now."""
        actor = self.actor

        def land() -> dict[str, Any]:
            self.judge.actor = actor
            return effect()

        return land

    def now_s(self) -> float:
        """Return what this process takes for the time."""
        return self._true_now_s() + self.skew_s

    def die(self) -> None:
        """Lose everything that was not stored."""
        self.round = None


class Job:
    """Something on its way that a process does."""

    def __init__(self, process: Process, work: Callable[[], object]) -> None:
        self.process = process
        self.fault = ""
        self.slow_s = 5.0
        self.faults: list[str] = []
        self.last = ""
        self.turn = Turn(work)
        process.round = self

    @property
    def done(self) -> bool:
        """Whether it ended."""
        return self.turn.done

    def go(self, calls: int) -> None:
        """Let it make some calls."""
        if not self.turn.done:
            self.turn.resume(calls)

    def crash(self) -> None:
        """Let its process die."""
        self.turn.crash()
        self.process.die()

    @property
    def escaped(self) -> BaseException | None:
        """What came out of it that must never come out."""
        error = self.turn.error
        return None if error is None or isinstance(error, CrashError) else error

    def outcome(self) -> str:
        """Return in one phrase how it ended."""
        raise NotImplementedError

    def note(self, judge: Judge) -> None:
        """Count which rare ways it went."""
        raise NotImplementedError
