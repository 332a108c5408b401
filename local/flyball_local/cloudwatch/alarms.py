"""The alarms of one account and region: definitions, states, evaluation, transitions.

Rules that controllers trip over are kept: only a change of state is a
transition; updating an alarm replaces its definition and keeps its state;
SetAlarmState holds a metric alarm's state until its next evaluation and a
composite's until a child changes; switched-off actions silence actions, not
events. Periods of a minute and more are evaluated each minute, shorter ones
every ten seconds, on windows that end with the evaluation.

Time is an argument; the store is read, never written. Composite alarms follow
their children at once. Every transition of one alarm has a later timestamp than
the one before (by a millisecond at least): consumers order and deduplicate by it.

Source: Amazon CloudWatch User Guide, "Alarm evaluation"; botocore service model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from flyball_local.cloudwatch import reasons
from flyball_local.cloudwatch.alarmspec import (
    AlarmView,
    CompositeSpec,
    MetricSpec,
    Spec,
    composite_spec,
    metric_spec,
)
from flyball_local.cloudwatch.errors import CloudWatchError
from flyball_local.cloudwatch.judgement import (
    COMPARISONS,
    RANGE_EXTRA,
    AlarmState,
    Slot,
    judge,
    too_few_samples,
)
from flyball_local.cloudwatch.points import MINUTE_S
from flyball_local.cloudwatch.query import MetricQuery, evaluate, invalid
from flyball_local.cloudwatch.stamps import long_stamp, offset_stamp
from flyball_local.cloudwatch.store import MetricStore

SHORT_INTERVAL_S = 10  # how often alarms with periods below a minute are evaluated
TICK_S = 0.001  # resolution of alarm timestamps

Wire = Mapping[str, Any]


class StateView(NamedTuple):
    """One state of an alarm and why. `reason_data` is a JSON text or None, `at_s` when it was set."""

    value: AlarmState
    reason: str
    reason_data: str | None
    at_s: float


class Transition(NamedTuple):
    """A change of state. `actions` are the ARNs that act; empty if the alarm's actions are off."""

    alarm: AlarmView
    old: StateView
    new: StateView
    actions: tuple[str, ...]


class Alarm:
    """One alarm as it stands. Read it; only AlarmBook changes it."""

    __slots__ = ("changed_s", "due_s", "evaluation_state", "spec", "state", "view")

    def __init__(self, view: AlarmView, spec: Spec, state: StateView) -> None:
        self.view = view
        self.spec = spec
        self.state = state
        self.changed_s = state.at_s  # when the value last changed
        self.due_s = state.at_s  # next evaluation; a new alarm is due at once
        self.evaluation_state: str | None = None


_ACTIONS = {
    AlarmState.OK: "OKActions",
    AlarmState.ALARM: "AlarmActions",
    AlarmState.INSUFFICIENT_DATA: "InsufficientDataActions",
}


class AlarmBook:
    """All alarms, evaluated against one store.

    Args:
        store: Where metric alarms read.
        account, region: For ARNs.
    """

    def __init__(self, store: MetricStore, *, account: str, region: str) -> None:
        self._store = store
        self._account = account
        self._region = region
        self._alarms: dict[str, Alarm] = {}

    def get(self, name: str) -> Alarm:
        """Return an alarm by name; raises CloudWatchError (ResourceNotFound)."""
        try:
            return self._alarms[name]
        except KeyError as error:
            raise CloudWatchError("ResourceNotFound", f"there is no alarm named {name!r}") from error

    def all(self) -> list[Alarm]:
        """Return all alarms in order of name, as DescribeAlarms does."""
        return [self._alarms[n] for n in sorted(self._alarms)]

    # Definitions.

    def put_metric(self, params: Wire, now_s: float) -> None:
        """Create or wholly replace a metric alarm; raises CloudWatchError (ValidationError)."""
        self._put(params, metric_spec(params), now_s)

    def put_composite(self, params: Wire, now_s: float) -> None:
        """Create or wholly replace a composite alarm; its children must exist and must not depend on it."""
        spec = composite_spec(params)
        name = params["AlarmName"]
        absent = [c for c in spec.rule.children if c not in self._alarms and c != name]
        if absent:
            raise invalid(f"AlarmRule names alarms that do not exist: {', '.join(absent)}")
        if name in self._descendants(spec.rule.children):
            raise invalid(f"AlarmRule of {name!r} refers, directly or through others, to {name!r} itself")
        self._put(params, spec, now_s)

    def _descendants(self, names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                alarm = self._alarms.get(name)
                if alarm is not None and isinstance(alarm.spec, CompositeSpec):
                    waiting.extend(alarm.spec.rule.children)
        return found

    def _put(self, params: Wire, spec: Spec, now_s: float) -> None:
        name = params["AlarmName"]
        arn = f"arn:aws:cloudwatch:{self._region}:{self._account}:alarm:{name}"
        view = AlarmView(name, arn, self._account, self._region, dict(params), now_s)
        known = self._alarms.get(name)
        if known is None:
            state = StateView(AlarmState.INSUFFICIENT_DATA, reasons.INITIAL_REASON, None, now_s)
            self._alarms[name] = Alarm(view, spec, state)
            return
        if isinstance(known.spec, CompositeSpec) is not isinstance(spec, CompositeSpec):
            raise invalid(f"{name!r} exists already as an alarm of the other kind; delete it first")
        known.view, known.spec, known.due_s = view, spec, now_s
        known.evaluation_state = None

    def delete(self, names: Iterable[str]) -> None:
        """Delete alarms; unknown names are passed over. If a composite still names one, none is deleted."""
        doomed = {n for n in names if n in self._alarms}
        composites = [n for n in doomed if isinstance(self._alarms[n].spec, CompositeSpec)]
        if len(composites) > 1:
            raise invalid("at most one composite alarm can be deleted in one call")
        for parent in self._alarms.values():
            if isinstance(parent.spec, CompositeSpec) and parent.view.name not in doomed:
                named = sorted(doomed & set(parent.spec.rule.children))
                if named:
                    raise CloudWatchError(
                        "ResourceConflict",
                        f"composite alarm {parent.view.name!r} depends on {', '.join(named)}",
                    )
        for name in doomed:
            del self._alarms[name]

    def enable_actions(self, names: Iterable[str], enabled: bool, now_s: float) -> None:
        """Switch alarms' actions on or off; raises CloudWatchError (ResourceNotFound) and changes nothing."""
        for alarm in [self.get(n) for n in names]:
            params = {**alarm.view.params, "ActionsEnabled": enabled}
            alarm.view = alarm.view._replace(params=params, updated_s=now_s)

    # States.

    def set_state(
        self, name: str, value: AlarmState, reason: str, data: str | None, now_s: float
    ) -> list[Transition]:
        """Set a state by hand and return the transitions: the alarm's own and those of its composites."""
        alarm = self.get(name)
        if isinstance(alarm.spec, MetricSpec):
            interval_s = _interval_s(alarm.spec)
            alarm.due_s = (now_s // interval_s + 1) * interval_s
        else:
            alarm.due_s = float("inf")  # until a child changes
        made: list[Transition] = []
        self._enter(alarm, value, reason, data, now_s, made)
        return made

    def evaluate(self, now_s: float) -> list[Transition]:
        """Evaluate every alarm that is due and return the transitions, in order."""
        made: list[Transition] = []
        for alarm in list(self._alarms.values()):
            if alarm.due_s > now_s:
                continue
            if isinstance(alarm.spec, MetricSpec):
                interval_s = _interval_s(alarm.spec)
                alarm.due_s = (now_s // interval_s + 1) * interval_s
                self._evaluate_metric(alarm, alarm.spec, now_s, made)
            else:
                alarm.due_s = float("inf")
                self._evaluate_composite(alarm, alarm.spec, None, now_s, made)
        return made

    def next_due_s(self) -> float:
        """Return when the next alarm is due, epoch seconds; infinity if none is."""
        return min((a.due_s for a in self._alarms.values()), default=float("inf"))

    def _evaluate_metric(self, alarm: Alarm, spec: MetricSpec, now_s: float, made: list[Transition]) -> None:
        alarm.evaluation_state = None
        try:
            slots = self._slots(spec, now_s)
        except CloudWatchError:
            # An expression without meaning for this data: AWS says so and keeps the state.
            alarm.evaluation_state = "EVALUATION_ERROR"
            return
        percent = spec.percent
        low = percent is not None and too_few_samples(slots, percent=percent, periods=spec.periods)
        if low and spec.skip_low_samples:
            return
        test, _ = COMPARISONS[spec.comparison]
        verdict = judge(
            slots,
            breaches=lambda value: test(value, spec.threshold),
            periods=spec.periods,
            to_alarm=spec.to_alarm,
            missing=spec.missing,
        )
        if verdict.state is None or verdict.state is alarm.state.value:
            return
        reason = reasons.reason(spec, verdict, verdict.state)
        self._enter(
            alarm, verdict.state, reason, reasons.reason_data(spec, verdict, slots, now_s), now_s, made
        )

    def _slots(self, spec: MetricSpec, now_s: float) -> list[Slot]:
        """Return the evaluation range, oldest first, ending with the last complete minute or short period."""
        period_s = spec.period_s
        grain_s = min(MINUTE_S, period_s)
        end_s = int(now_s // grain_s) * grain_s
        start_s = end_s - (spec.periods + RANGE_EXTRA) * period_s
        starts = range(start_s, end_s, period_s)
        watched = spec.watched
        if isinstance(watched, MetricQuery):
            buckets = dict(
                self._store.windows(
                    watched.key,
                    start_s=start_s,
                    end_s=end_s,
                    period_s=period_s,
                    now_s=now_s,
                    unit=watched.unit,
                )
            )
            return [
                Slot(at_s, watched.statistic(bucket), bucket.count)
                if (bucket := buckets.get(at_s)) is not None
                else Slot(at_s, None)
                for at_s in starts
            ]
        points = evaluate(spec.queries, self._store, start_s=start_s, end_s=end_s, now_s=now_s)[
            watched.id
        ].points
        return [Slot(at_s, points.get(at_s)) for at_s in starts]

    def _evaluate_composite(
        self, alarm: Alarm, spec: CompositeSpec, cause: Alarm | None, now_s: float, made: list[Transition]
    ) -> None:
        value = AlarmState.ALARM if spec.rule.holds(self._state_of) else AlarmState.OK
        if value is alarm.state.value:
            return
        if cause is None:
            verb = "created" if alarm.state.reason == reasons.INITIAL_REASON else "updated"
            reason = f"{alarm.view.arn} was {verb} and its alarm rule evaluates to {value.value}"
            causes = [self._alarms[c] for c in spec.rule.children if c in self._alarms]
        else:
            changed = cause.state
            reason = f"{cause.view.arn} transitioned to {changed.value.value} at {long_stamp(changed.at_s)}"
            causes = [cause]
        self._enter(alarm, value, reason, _triggering(causes), now_s, made)

    def _state_of(self, name: str) -> AlarmState:
        return self._alarms[name].state.value

    def _enter(
        self,
        alarm: Alarm,
        value: AlarmState,
        reason: str,
        data: str | None,
        now_s: float,
        made: list[Transition],
    ) -> None:
        """Set a state; if its value changed, record the transition and let the alarm's composites follow."""
        old = alarm.state
        at_s = max(now_s, old.at_s + TICK_S) if old.reason != reasons.INITIAL_REASON else now_s
        alarm.state = StateView(value, reason, data, at_s)
        if value is old.value:
            return
        alarm.changed_s = at_s
        params = alarm.view.params
        actions = tuple(params.get(_ACTIONS[value], ())) if alarm.view.actions_enabled else ()
        made.append(Transition(alarm.view, old, alarm.state, actions))
        for parent in list(self._alarms.values()):
            if isinstance(parent.spec, CompositeSpec) and alarm.view.name in parent.spec.rule.children:
                parent.due_s = float("inf")
                self._evaluate_composite(parent, parent.spec, alarm, now_s, made)


def _interval_s(spec: MetricSpec) -> int:
    return MINUTE_S if spec.period_s >= MINUTE_S else SHORT_INTERVAL_S


def _triggering(causes: Iterable[Alarm]) -> str:
    listed = [
        {"arn": c.view.arn, "state": {"value": c.state.value.value, "timestamp": offset_stamp(c.state.at_s)}}
        for c in causes
    ]
    # Bound of StateReasonData: 4,000 characters, about 20 alarms.
    while len(text := reasons.compact({"triggeringAlarms": listed})) > reasons.REASON_DATA_MAX:
        listed.pop()
    return text
