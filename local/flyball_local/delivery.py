"""How messages travel in the embedded AWS: at least once, in no order, late, with retries and a dead letter.

One `Post` serves a whole emulated account. Every sender (rules, schedules,
topics) hands it a letter and a way to hand it over; the post decides, from its
seed, how often it arrives, when, and after how many failed attempts. Every
attempt is recorded, so that a test can show which fault a run really met.

Retry bounds are AWS's; the back-off between attempts is not documented for
EventBridge ("exponential back-off and jitter") and is chosen so that 185
retries fill the 24 hours.

Sources: Amazon EventBridge user guide, "Retry policy and dead-letter queues";
Amazon SNS developer guide, "Message delivery retries".
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple, Protocol

HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S


class Timeline(Protocol):
    """What the dispatcher needs of the virtual clock."""

    def now_s(self) -> float:
        """Return the present time, epoch seconds."""
        ...

    def call_at(self, at_s: float, fn: Callable[[], object]) -> object:
        """Run `fn` once time reaches `at_s`."""
        ...


class RetryPolicy(NamedTuple):
    """When a sender gives up. `cap_s` bounds the back-off, which doubles from `base_s`."""

    max_retries: int
    max_age_s: float
    base_s: float
    cap_s: float


EVENTBRIDGE = RetryPolicy(max_retries=185, max_age_s=DAY_S, base_s=1.0, cap_s=480.0)
SNS = RetryPolicy(max_retries=100_015, max_age_s=23 * DAY_S, base_s=1.0, cap_s=20.0)


class Outcome(Enum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    RETRIED = "retried"  # failed, another attempt is scheduled
    DEAD_LETTERED = "dead_lettered"
    DROPPED = "dropped"  # given up, and nobody was told


class Delivery(NamedTuple):
    """One attempt to hand one letter to one receiver.

    `route` names sender and receiver ("rule alarms -> controller"), `copy` is 1
    for the first and 2 for a duplicate, `attempt` counts from 1.
    """

    at_s: float
    route: str
    letter_id: str
    copy: int
    attempt: int
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFaults:
    """How unkind the post is; ratios are probabilities in [0, 1], drawn per letter and receiver.

    A delay may reach 30 h (an event redriven a day later); a reorder holds a
    letter back for at most `reorder_s`, long enough for the next to overtake.
    `unreachable_ratio` is drawn for every attempt, `lost_ratio` once: such a
    letter fails in every attempt until the sender gives up.
    """

    duplicate_ratio: float = 0.0
    delay_ratio: float = 0.0
    delay_max_s: float = 30 * HOUR_S
    reorder_ratio: float = 0.0
    reorder_s: float = 10.0
    unreachable_ratio: float = 0.0
    lost_ratio: float = 0.0

    def __post_init__(self) -> None:
        for name in ("duplicate_ratio", "delay_ratio", "reorder_ratio", "unreachable_ratio", "lost_ratio"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name}={value!r} must lie in [0, 1]: it is a probability")
        for name in ("delay_max_s", "reorder_s"):
            value = getattr(self, name)
            if not value > 0.0:
                raise ValueError(f"{name}={value!r} must be above 0 seconds")


@dataclass(slots=True)
class _Letter:
    route: str
    letter_id: str
    hand_over: Callable[[], object]
    policy: RetryPolicy
    dead_letter: Callable[[str, int], object] | None
    sent_s: float
    lost: bool
    copy: int = 1
    attempt: int = 0


@dataclass(slots=True)
class Post:
    """Carries letters on the virtual clock and records every attempt.

    `latency_s` is the undisturbed way from sender to receiver.
    """

    clock: Timeline
    draw: Random
    faults: DeliveryFaults = field(default_factory=DeliveryFaults)
    latency_s: float = 1.0
    deliveries: list[Delivery] = field(default_factory=list)

    def new_id(self) -> str:
        """Return a random UUID, drawn from the seed."""
        return str(uuid.UUID(int=self.draw.getrandbits(128), version=4))

    def after(self, delay_s: float, fn: Callable[[], object]) -> None:
        """Run `fn` after `delay_s` seconds of virtual time."""
        self.clock.call_at(self.clock.now_s() + delay_s, fn)

    def send(
        self,
        route: str,
        letter_id: str,
        hand_over: Callable[[], object],
        *,
        policy: RetryPolicy,
        dead_letter: Callable[[str, int], object] | None = None,
    ) -> None:
        """Carry one letter to one receiver, at least once unless every attempt fails.

        Args:
            route: Sender and receiver, for the record.
            letter_id: Identity of the message; duplicates share it.
            hand_over: Gives it to the receiver; the receiver's own errors are its own affair.
            policy: When to give up.
            dead_letter: Called with the reason and the number of retries if it is given up; None: it is gone.
        """
        faults = self.faults
        lost = self._happens(faults.lost_ratio)
        for copy in range(1, 2 + self._happens(faults.duplicate_ratio)):
            letter = _Letter(route, letter_id, hand_over, policy, dead_letter, self.clock.now_s(), lost, copy)
            delay_s = self.latency_s
            if self._happens(faults.delay_ratio):
                delay_s += self.draw.random() * faults.delay_max_s
            if self._happens(faults.reorder_ratio):
                delay_s += self.draw.random() * faults.reorder_s
            self._schedule(letter, delay_s)

    def record(
        self, route: str, letter_id: str, attempt: int, outcome: Outcome, detail: str = "", copy: int = 1
    ) -> None:
        """Note one attempt."""
        self.deliveries.append(Delivery(self.clock.now_s(), route, letter_id, copy, attempt, outcome, detail))

    def counts(self) -> Counter[Outcome]:
        """Return how many attempts ended how."""
        return Counter(delivery.outcome for delivery in self.deliveries)

    def _schedule(self, letter: _Letter, delay_s: float) -> None:
        self.after(delay_s, lambda: self._attempt(letter))

    def _attempt(self, letter: _Letter) -> None:
        letter.attempt += 1
        if not letter.lost and not self._happens(self.faults.unreachable_ratio):
            self._note(letter, Outcome.DELIVERED)
            letter.hand_over()
            return
        policy, retries = letter.policy, letter.attempt - 1
        back_off_s = min(policy.cap_s, policy.base_s * 2.0 ** min(retries, 32))
        next_s = self.clock.now_s() + back_off_s * (0.5 + 0.5 * self.draw.random())
        if retries >= policy.max_retries:
            self._give_up(letter, "MaximumRetryAttempts")
        elif next_s - letter.sent_s > policy.max_age_s:
            self._give_up(letter, "MaximumEventAgeInSeconds")
        else:
            self._note(letter, Outcome.RETRIED, "receiver unreachable")
            self._schedule(letter, next_s - self.clock.now_s())

    def _give_up(self, letter: _Letter, reason: str) -> None:
        if letter.dead_letter is None:
            self._note(letter, Outcome.DROPPED, reason)
            return
        self._note(letter, Outcome.DEAD_LETTERED, reason)
        letter.dead_letter(reason, letter.attempt - 1)

    def _note(self, letter: _Letter, outcome: Outcome, detail: str = "") -> None:
        self.record(letter.route, letter.letter_id, letter.attempt, outcome, detail, letter.copy)

    def _happens(self, ratio: float) -> bool:
        return ratio > 0.0 and self.draw.random() < ratio
