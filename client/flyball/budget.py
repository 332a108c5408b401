"""The retry budget: what share of the traffic may be repeated.

A budget, not a count of retries, decides whether a retry storm can feed itself:
with a budget b the load never exceeds (1 + b) times what was offered, so the
storm dies wherever the target can carry that. A first attempt that ended earns `ratio`
tokens, a retry costs one; after a fast error it may cost less (`fast_cost`):
what is refused at once holds no server, and storms are fed by time-outs. A fleet
has one budget per execution environment, so burst and first credit must be
small: a storm starts many new environments, and each would bring a full bucket.

Knows no clock: it is refilled by traffic, not by time (a reserve of "n per
second" would void it in an idle environment).
Derivation: docs/theory/control.md. Precedent: Finagle RetryBudget, Linkerd,
Envoy (20 % each), gRPC proposal A6.
"""

from __future__ import annotations

from _thread import RLock

# A new environment may repeat one call before it has earned anything; more would
# multiply by the number of environments that a storm starts.
INITIAL_TOKENS = 1.0
# Ten times 0.1 must buy one retry, although the sum of floats falls short of 1.
_SLACK = 1e-9


class Budget:
    """Tokens of one target in one environment.

    `earned` first attempts are credited only when somebody wants to spend: the
    result is the same, because nothing is taken in between. Threads may lose a
    credit to each other by that addition, never gain one: spending is locked.

    >>> budget = Budget(ratio=0.2, burst=3.0)
    >>> budget.try_spend(), budget.try_spend()
    (True, False)
    >>> budget.earned += 5
    >>> budget.try_spend(), budget.try_spend()
    (True, False)
    """

    __slots__ = ("_lock", "_tokens", "burst", "earned", "ratio")

    def __init__(self, *, ratio: float, burst: float, lock: RLock | None = None) -> None:
        self._lock = RLock() if lock is None else lock
        self.ratio = ratio
        self.burst = burst
        self.earned = 0  # first attempts since the last credit
        self._tokens = min(INITIAL_TOKENS, burst) if ratio > 0.0 else 0.0

    @property
    def tokens(self) -> float:
        """Retries that could be spent now, in [0, burst]."""
        return min(self.burst, self._tokens + self.ratio * self.earned)

    def try_spend(self, cost: float = 1.0) -> bool:
        """Take `cost` tokens, in (0, 1], if there are so many."""
        with self._lock:
            tokens = self.tokens
            self.earned = 0
            affordable = tokens >= cost - _SLACK
            self._tokens = max(0.0, tokens - cost) if affordable else tokens
            return affordable

    def configure(self, *, ratio: float, burst: float) -> None:
        """Change ratio and burst. No change gives credit; ratio 0 takes it away at once.

        Savings must not outlive a ban: the controller sets 0 because every
        retry feeds the storm, and when it allows retries again they return as
        slowly as traffic earns them.
        """
        with self._lock:
            self._tokens = min(self.tokens, burst) if ratio > 0.0 else 0.0
            self.earned = 0
            self.ratio = ratio
            self.burst = burst

    def renew(self, lock: RLock) -> None:
        """Go back to a beginner's credit at most, under another lock.

        This process is a copy of one that keeps the savings, and there may be a
        thousand copies. The lock may have been copied while a thread held it.
        """
        self._lock = lock
        self.configure(ratio=self.ratio, burst=self.burst)
        self._tokens = min(self._tokens, INITIAL_TOKENS)
