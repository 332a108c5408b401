"""Deployments as a state machine on the virtual clock, and what each reader sees meanwhile.

    DEPLOYING -> BAKING -> COMPLETE -> REVERTED (AllowRevert, within 72 h)
        |          |
        +-- alarm -+-> ROLLING_BACK -> ROLLED_BACK
        +-- stop --+-----------------> ROLLED_BACK

One deployment at a time per environment, whichever profile it is for; baking
counts (AWS user guide, "Deploying"; the 409 text is as traced in
terraform-provider-aws issue 36975). Everything that happens by time is a
callback on the clock, so state is always up to date without anybody asking.

Knows nothing of requests, tokens or HTTP. Assumed, because no document or
recording tells (README, "unverified on AWS"): an alarm already in ALARM when a
deployment starts rolls it back; how often monitors are looked at; how long a
rollback takes.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import NamedTuple

from flyball_local.appconfig.errors import bad_request, conflict
from flyball_local.appconfig.records import Deployment, Environment, Event, Profile, Served, Strategy
from flyball_local.appconfig.rollout import schedule
from flyball_local.virtualclock import Call, VirtualClock

# StopDeployment reverts a completed deployment for this long (API reference).
REVERT_WITHIN_S = 72 * 3600.0
# States in which a monitor stops a deployment (user guide, "Monitoring deployments").
ROLLBACK_ALARM_STATES = frozenset({"ALARM", "INSUFFICIENT_DATA"})

# Returns "OK", "ALARM" or "INSUFFICIENT_DATA" for an alarm's ARN.
AlarmState = Callable[[str], str]
# Told "OnDeploymentStart", "OnDeploymentComplete" or "OnDeploymentRolledBack".
Listener = Callable[[str, Deployment], object]


class Timing(NamedTuple):
    """Seconds AppConfig takes for what it promises no time for.

    `start_latency_s` and `settle_s` are read off the recorded deployment in
    botocore's appconfig examples-1.json (steps about 1 s late, COMPLETE 6.2 s
    after a bake time of zero). The others are assumptions.
    """

    start_latency_s: float = 1.0
    settle_s: float = 6.0
    monitor_period_s: float = 10.0
    rollback_s: float = 5.0
    # A change reaches the last reader this much later than the first one.
    propagation_s: float = 0.0


class Exposure(NamedTuple):
    """From `from_s` on, `percentage` of the readers see `target` and the others `base`."""

    from_s: float
    base: Served | None
    target: Served | None
    percentage: float


class DeploymentEngine:
    """All deployments of one account, and the configuration each reader is shown."""

    def __init__(
        self,
        clock: VirtualClock,
        lock: RLock,
        *,
        timing: Timing,
        alarm_state: AlarmState | None,
        listener: Listener | None,
    ) -> None:
        self._clock = clock
        self._lock = lock
        self._timing = timing
        self._alarm_state = alarm_state
        self._listener = listener
        self._exposures: dict[tuple[str, str], list[Exposure]] = {}
        self._calls: dict[tuple[str, int], list[Call]] = {}
        self._revision = 0
        self._settled_s = clock.now_s()
        self._asked_s = clock.now_s()

    # -- what readers see

    def view(self, environment_id: str, profile_id: str, *, unit: float, lag_ratio: float) -> Served | None:
        """Return what a reader is shown now, None before any deployment reached it.

        Args:
            unit: The reader's place in roll-outs, in [0, 100): below the percentage, it gets the new version.
            lag_ratio: How late changes reach it, in [0, 1] of `Timing.propagation_s`.
        """
        history = self._exposures.get((environment_id, profile_id), ())
        seen_s = self._clock.now_s() - lag_ratio * self._timing.propagation_s
        for exposure in reversed(history):
            if exposure.from_s <= seen_s:
                return exposure.target if unit < exposure.percentage else exposure.base
        return None

    @property
    def revision(self) -> int:
        """A number that is higher whenever any reader may see something else than at the lower one."""
        now_s = self._clock.now_s()
        spreads = self._timing.propagation_s > 0.0 and self._asked_s < self._settled_s
        if spreads and now_s > self._asked_s:
            self._revision += 1  # while a change spreads, readers differ from moment to moment
        self._asked_s = now_s
        return self._revision

    def next_change_s(self) -> float | None:
        """Return the earliest time at which `revision` may rise without any call, None if it cannot."""
        now_s = self._clock.now_s()
        if now_s < self._settled_s:
            return now_s
        pending = [call.at_s for calls in self._calls.values() for call in calls if call.pending]
        return min(pending, default=None)

    # -- what operators do

    def start(
        self,
        environment: Environment,
        profile: Profile,
        strategy: Strategy,
        target: Served,
        *,
        description: str | None,
        expected_latest: int | None,
    ) -> Deployment:
        """Begin a deployment.

        Raises:
            ServiceError: ConflictException if one is in progress, or if `expected_latest`
                (the compare-and-set number; 0 = none yet) is not the newest number.
        """
        latest = environment.latest_number
        if latest and environment.deployments[-1].in_progress:
            raise conflict(f"Deployment number {latest} already exists")
        if expected_latest is not None and expected_latest != latest:
            raise conflict(
                f"LatestDeploymentNumber is {expected_latest}, but the latest deployment is {latest}"
            )
        now_s = self._clock.now_s()
        deployment = Deployment(
            number=latest + 1,
            environment=environment,
            profile=profile,
            strategy=strategy,
            target=target,
            before=self._stable(environment, profile),
            started_s=now_s,
            description=description,
        )
        environment.deployments.append(deployment)
        self._calls[environment.id, deployment.number] = []
        self._log(deployment, "DEPLOYMENT_STARTED", "USER", "Deployment started")
        self._enter(deployment, "DEPLOYING")
        self._plan(deployment)
        self._tell("OnDeploymentStart", deployment)
        return deployment

    def forget(self, environment: Environment, *, keep: int) -> None:
        """Drop all but the newest `keep` (at least 1) deployments: none of them is in progress."""
        for deployment in environment.deployments[:-keep]:
            del self._calls[environment.id, deployment.number]
        del environment.deployments[:-keep]

    def stop(self, deployment: Deployment, *, allow_revert: bool) -> None:
        """Roll back a deployment in progress at once, or revert the newest completed one.

        Raises:
            ServiceError: BadRequestException if neither is possible.
        """
        if deployment.state in ("DEPLOYING", "BAKING"):
            self._begin_rollback(deployment, "USER", "Rollback started by user")
            self._finish_rollback(deployment, "USER")
        elif deployment.state == "COMPLETE" and allow_revert:
            self._revert(deployment)
        else:
            raise bad_request(
                f"deployment {deployment.number} is {deployment.state}: only a deployment in progress can be "
                "stopped, and a completed one needs AllowRevert"
            )

    # -- the course of a deployment

    def _plan(self, deployment: Deployment) -> None:
        strategy = deployment.strategy
        latency_s = self._timing.start_latency_s
        steps = schedule(
            strategy.growth_type,
            strategy.growth_factor,
            duration_min=strategy.duration_min,
            start_latency_s=latency_s,
        )
        bake_s = latency_s + strategy.duration_min * 60.0
        done_s = bake_s + strategy.bake_min * 60.0 + self._timing.settle_s
        for step in steps:
            self._after(deployment, step.after_s, self._stepper(deployment, step.percentage))
        self._after(deployment, bake_s, lambda: self._bake(deployment))
        self._after(deployment, done_s, lambda: self._complete(deployment))
        if deployment.environment.monitors and self._alarm_state is not None:
            self._after(deployment, latency_s, lambda: self._watch(deployment))

    def _stepper(self, deployment: Deployment, percentage: float) -> Callable[[], None]:
        def step() -> None:
            deployment.percentage = percentage
            text = f"Configuration available to {percentage:.2f}% of clients"
            self._log(deployment, "PERCENTAGE_UPDATED", "APPCONFIG", text)
            self._expose(deployment, deployment.before, deployment.target, percentage)

        return step

    def _bake(self, deployment: Deployment) -> None:
        self._log(deployment, "BAKE_TIME_STARTED", "APPCONFIG", "Deployment bake time started")
        deployment.state = "BAKING"

    def _complete(self, deployment: Deployment) -> None:
        deployment.completed_s = self._clock.now_s()
        self._log(deployment, "DEPLOYMENT_COMPLETED", "APPCONFIG", "Deployment completed")
        deployment.state = "COMPLETE"
        deployment.environment.state = "READY_FOR_DEPLOYMENT"
        self._forget_calls(deployment)
        self._tell("OnDeploymentComplete", deployment)

    def _watch(self, deployment: Deployment) -> None:
        ask = self._alarm_state
        arns = [monitor["AlarmArn"] for monitor in deployment.environment.monitors]
        bad = [arn for arn in arns if ask is not None and ask(arn) in ROLLBACK_ALARM_STATES]
        if not bad:
            self._after(deployment, self._timing.monitor_period_s, lambda: self._watch(deployment))
            return
        self._begin_rollback(deployment, "CLOUDWATCH_ALARM", f"Rollback started because of {bad[0]}")
        self._after(
            deployment,
            self._timing.rollback_s,
            lambda: self._finish_rollback(deployment, "CLOUDWATCH_ALARM"),
        )

    def _begin_rollback(self, deployment: Deployment, by: str, text: str) -> None:
        self._forget_calls(deployment)
        self._log(deployment, "ROLLBACK_STARTED", by, text)
        self._enter(deployment, "ROLLING_BACK")
        if deployment.percentage > 0.0:
            self._expose(deployment, deployment.before, deployment.before, 0.0)
        deployment.percentage = 0.0

    def _finish_rollback(self, deployment: Deployment, by: str) -> None:
        deployment.completed_s = self._clock.now_s()
        self._log(deployment, "ROLLBACK_COMPLETED", by, "Rollback completed")
        self._enter(deployment, "ROLLED_BACK")
        self._forget_calls(deployment)
        self._tell("OnDeploymentRolledBack", deployment)

    def _revert(self, deployment: Deployment) -> None:
        environment = deployment.environment
        same = [
            d for d in environment.deployments if d.profile is deployment.profile and d.state == "COMPLETE"
        ]
        age_s = self._clock.now_s() - (deployment.completed_s or 0.0)
        if environment.deployments[-1].in_progress:
            raise bad_request("cannot revert while a deployment is in progress in this environment")
        if deployment is not same[-1]:
            raise bad_request(f"only the newest completed deployment ({same[-1].number}) can be reverted")
        if age_s > REVERT_WITHIN_S:
            raise bad_request(
                f"deployment {deployment.number} completed {age_s:.0f} s ago, more than 72 hours"
            )
        if deployment.before is None:
            raise bad_request(f"deployment {deployment.number} replaced no configuration to revert to")
        self._log(deployment, "REVERT_COMPLETED", "USER", "Deployment reverted")
        self._enter(deployment, "REVERTED")
        self._expose(deployment, deployment.before, deployment.before, 100.0)

    # -- small parts

    def _stable(self, environment: Environment, profile: Profile) -> Served | None:
        history = self._exposures.get((environment.id, profile.id))
        return history[-1].target if history else None

    def _expose(
        self, deployment: Deployment, base: Served | None, target: Served | None, percentage: float
    ) -> None:
        now_s = self._clock.now_s()
        history = self._exposures.setdefault((deployment.environment.id, deployment.profile.id), [])
        history.append(Exposure(now_s, base, target, percentage))
        # Keep what the slowest reader may still see, and the newest.
        oldest_s = now_s - self._timing.propagation_s
        while len(history) > 1 and history[1].from_s <= oldest_s:
            history.pop(0)
        self._revision += 1
        self._settled_s = now_s + self._timing.propagation_s

    def _enter(self, deployment: Deployment, state: str) -> None:
        deployment.state = state
        deployment.environment.state = state

    def _log(self, deployment: Deployment, kind: str, by: str, text: str) -> None:
        deployment.events.append(Event(self._clock.now_s(), kind, by, text))

    def _tell(self, kind: str, deployment: Deployment) -> None:
        if self._listener is not None:
            self._listener(kind, deployment)

    def _after(self, deployment: Deployment, after_s: float, do: Callable[[], None]) -> None:
        def locked() -> None:
            with self._lock:
                do()

        key = (deployment.environment.id, deployment.number)
        call = self._clock.call_at(self._clock.now_s() + after_s, locked)
        self._calls[key] = [*(known for known in self._calls[key] if known.pending), call]

    def _forget_calls(self, deployment: Deployment) -> None:
        for call in self._calls.get((deployment.environment.id, deployment.number), ()):
            call.cancel()
        self._calls[deployment.environment.id, deployment.number] = []
