"""Live thresholds for the circuit breaker of Powertools for AWS Lambda.

    @circuit_breaker(name="payments-api", persistence_store=store, config=live_config(payments))
    def charge(order): ...

Powertools makes a handler per call and reads its configuration in every one of
them, so what a document changes counts at the next call, within one cache age:

| Powertools reads | when | we answer |
| --- | --- | --- |
| `failure_threshold` | a call failed while closed | failure_ratio x min_calls, rounded up |
| `recovery_timeout` | a call meets an open circuit; a lease or expiry is written | open_s, rounded up |
| `success_threshold` | a probe went well | close_after |
| `local_cache_max_age` | every call | `cache_age_s`, fixed |
| `counts_as_failure` | a call failed | the target's own classification |

What cannot be changed at run time, because it is not in the configuration: the
circuit's name, its store and hooks; that failures are counted in a row, per
environment, and never per window; leases and expiries already written; an
open circuit's `opened_at`. For that, see `flyball_controller.aws.powertools`.

Hazards. A row of failures is not a ratio: with 0.9 x 20 a target that fails half
the time reaches 18 in a row once in about half a million calls of one
environment. That partial failure is what the published circuit is for; do not
lower the threshold instead. `recovery_timeout` is each environment's own: two
that have not read the same document yet probe at different times. Throttles
(429) are not failures here, as in our own breaker. Nothing is counted in our
metrics: Powertools does not say how calls ended. With FLYBALL_OFF nothing is
read any more and the last values stand; POWERTOOLS_CIRCUIT_BREAKER_DISABLED is
its own switch.

Source: aws-lambda-powertools 3.37, circuit_breaker.py (a handler per call),
base.py and persistence/base.py (what is read when). Powertools is not imported:
it asks for attributes, not for its own class.
"""

from __future__ import annotations

from math import ceil

from flyball.guard import GuardedTarget
from flyball.interop.shell import Shell
from flyball.misuse import refuse
from flyball.outcome import Outcome
from flyball.records import BreakerParams

CACHE_AGE_S = 5  # Powertools' own default
_FAILURES = frozenset({Outcome.TIMEOUT, Outcome.ERROR_FAST})
# Products of decimal fractions overshoot: 0.55 x 100 is 55.00000000000001.
_SLACK = 1e-9


class LiveConfig:
    """What Powertools' CircuitBreakerConfig has, read from the target whenever it is asked for."""

    __slots__ = ("_shell", "local_cache_max_age")

    def __init__(self, handle: GuardedTarget, *, cache_age_s: int) -> None:
        self._shell = Shell(handle)
        self.local_cache_max_age = cache_age_s

    def _now(self) -> BreakerParams:
        if not self._shell.runtime.off:
            self._shell.poll()
        return self._shell.target.params.breaker

    @property
    def failure_threshold(self) -> int:
        """Failures in a row that open the circuit, >= 1."""
        now = self._now()
        return max(1, ceil(now.failure_ratio * now.min_calls - _SLACK))

    @property
    def recovery_timeout(self) -> int:
        """Whole seconds that the circuit stays open before a probe, >= 1."""
        return max(1, ceil(self._now().open_s))

    @property
    def success_threshold(self) -> int:
        """Good probes in a row that close the circuit, >= 1."""
        return self._now().close_after

    def counts_as_failure(self, exception: Exception) -> bool:
        """Whether `exception` is the target's failure: a time-out or an error, not a throttle, not a bug."""
        return self._shell.classify(exception).outcome in _FAILURES


def live_config(handle: GuardedTarget, *, cache_age_s: int = CACHE_AGE_S) -> LiveConfig:
    """Return what to pass as `config=` of Powertools' `circuit_breaker`.

    Args:
        handle: From `flyball.target`.
        cache_age_s: How long Powertools keeps a circuit's state in memory, whole seconds >= 0.

    Raises:
        SettingsError: `cache_age_s` is no whole number, or negative.
    """
    given: object = cache_age_s
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        refuse("cache_age_s", given, "whole seconds, not negative")
    return LiveConfig(handle, cache_age_s=cache_age_s)
