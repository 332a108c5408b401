"""A reference's outer loop in a closed loop: minute counters in, parameters out, the same delays as ours.

It is called with each window that has arrived, and what it returns travels
through the same publication plan, deployment and polls as our own controller's
document. It has no circuit items: rules of this kind know only configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flyball.call import Counters
from flyball.contract import CircuitState, TargetParams
from flyball_analytics.closedloop_control import Control, Inbox, Sighting
from flyball_analytics.references.registry import MinuteController
from flyball_controller.aws.publish_plan import Limits
from flyball_controller.core.model import Observation, Setpoint


class ReferenceControl(Control):
    """One instance of the rule per target."""

    def __init__(self, targets: Sequence[str], *, rule: Callable[[], MinuteController], seed: int) -> None:
        """What the rule says of a silent minute counts as nominal."""
        self._rules = {name: rule() for name in targets}
        params = {name: self._rules[name](Counters()) for name in targets}
        super().__init__(
            params,
            {name: as_setpoint(standing) for name, standing in params.items()},
            policy_hash="",
            limits=Limits(),
            seed=seed,
        )
        self._inbox = Inbox({})
        self._wishes = params

    def round(self, now_s: float, arrived: Sequence[Observation]) -> None:
        """Let windows arrive, ask the rule of each target, and publish what changed."""
        urgent = False
        for seen in arrived:
            self._inbox.deliver(seen, now_s=now_s)
            wish = self._rules[seen.target](as_counters(seen))
            after, before = as_setpoint(wish), self.setpoints[seen.target]
            self._wishes[seen.target] = wish
            if after != before:
                tightens = after[:2] < before[:2]  # fewer attempts, or as many and a smaller budget
                urgent = urgent or tightens
                self.sightings.append(Sighting(now_s, seen.target, "", after != self.nominal[seen.target]))
                self._act(now_s, seen.target, after, urgent=tightens, said=("", "", "its rule"))
        self.publisher.publish(self._wishes, urgent=urgent, policy_hash="", now_s=now_s)


def as_counters(seen: Observation) -> Counters:
    """Return the counters whose window this is; latencies are not kept."""
    counters = Counters()
    counters.requests = seen.requests
    counters.retries = max(0, seen.attempts - seen.requests)
    counters.timeouts = seen.timeouts
    counters.throttles = seen.throttles
    counters.errors_fast = seen.errors_fast
    counters.errors_permanent = seen.errors_permanent
    counters.request_failures = max(0, seen.request_failures)
    counters.short_circuited = seen.short_circuited
    return counters


def as_setpoint(params: TargetParams) -> Setpoint:
    """Return the parameters as the record that plots and measures know."""
    retry = params.retry
    return Setpoint(
        retry.max_attempts,
        retry.budget_ratio,
        retry.throttle_base_ms,
        CircuitState.CLOSED,
        1.0,
        params.breaker.close_after,
    )
