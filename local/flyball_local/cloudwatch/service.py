"""The embedded CloudWatch as one object: store, alarms, log metrics, both faces.

One lock guards everything, so that HTTP threads and the demo's own thread see
one order. Callbacks run outside the lock: what they start may call back here from
another thread or process. Time comes from the clock that was given, nothing else;
two services with the same seed and the same calls give the same answers.
"""

from __future__ import annotations

import copy
import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import RLock
from typing import Any

from botocore.utils import parse_to_aware_datetime

from flyball_local.cloudwatch.alarms import AlarmBook, Transition
from flyball_local.cloudwatch.describe import describe_alarms
from flyball_local.cloudwatch.emf import EmfReader, EmfReport
from flyball_local.cloudwatch.errors import CloudWatchError
from flyball_local.cloudwatch.face import Attachment, HttpFace
from flyball_local.cloudwatch.judgement import AlarmState
from flyball_local.cloudwatch.listing import list_metrics
from flyball_local.cloudwatch.points import MINUTE_S
from flyball_local.cloudwatch.publish import put_metric_data
from flyball_local.cloudwatch.query import get_metric_data, invalid
from flyball_local.cloudwatch.store import MetricStore
from flyball_local.contractcheck import contract_for
from flyball_local.loopback import LoopbackServer
from flyball_local.virtualclock import Call, VirtualClock

Wire = Mapping[str, Any]
# Instants are shared between the results of a call; forget them before they pile up.
INSTANTS_MAX = 10_000


class CloudWatchService:
    """CloudWatch for one account and region on a virtual clock.

    Args:
        clock: Source of all times.
        seed: Seeds request ids and duplicated log lines.
        lag_s: Seconds from a put until the point can be read, >= 0.
        duplicate_emf_ratio: Share of log lines delivered twice (logs deliver at least once), 0..1.

    >>> cloudwatch = CloudWatchService(VirtualClock(1_800_000_000.0))
    >>> cloudwatch.handle("ListMetrics", {})
    {'Metrics': []}
    >>> cloudwatch.handle("PutDashboard", {})
    Traceback (most recent call last):
    ...
    flyball_local.cloudwatch.errors.CloudWatchError: InvalidAction: PutDashboard is not offered here
    """

    def __init__(
        self,
        clock: VirtualClock,
        *,
        seed: int = 0,
        lag_s: float = 0.0,
        account: str = "123456789012",
        region: str = "us-east-1",
        duplicate_emf_ratio: float = 0.0,
    ) -> None:
        if not 0.0 <= duplicate_emf_ratio <= 1.0:
            raise ValueError(f"duplicate_emf_ratio={duplicate_emf_ratio!r} must lie in 0..1")
        self.clock = clock
        self.store = MetricStore(lag_s=lag_s)
        self.alarms = AlarmBook(self.store, account=account, region=region)
        duplicates, self._ids = random.Random(seed), random.Random(seed + 1)
        self.emf = EmfReader(self.store, twice=lambda: duplicates.random() < duplicate_emf_ratio)
        self._lock = RLock()
        self._callbacks: list[Callable[[Transition], object]] = []
        self._instants: dict[float, datetime] = {}
        self._ticking: Call | None = None
        self._operations: dict[str, Callable[[Wire, float], dict[str, Any]]] = {
            "PutMetricData": self._put_metric_data,
            "GetMetricData": self._get_metric_data,
            "ListMetrics": lambda params, now_s: list_metrics(params, self.store, now_s=now_s),
            "PutMetricAlarm": self._put_metric_alarm,
            "PutCompositeAlarm": self._put_composite_alarm,
            "DescribeAlarms": self._describe_alarms,
            "DeleteAlarms": self._delete_alarms,
            "EnableAlarmActions": lambda params, now_s: self._switch_actions(params, True, now_s),
            "DisableAlarmActions": lambda params, now_s: self._switch_actions(params, False, now_s),
        }

    # Faces.

    def attach(self, client: Any) -> Attachment:
        """Answer a boto3 CloudWatch client in process from now on; the face module says what still runs."""
        return Attachment(client, self.handle, self._next_id)

    @contextmanager
    def serve(self) -> Iterator[LoopbackServer]:
        """Serve HTTP on a free loopback port inside the `with` block; `.url` is the endpoint for clients."""
        with LoopbackServer(HttpFace(self.handle, self._next_id).respond) as server:
            yield server

    def handle(self, operation: str, params: Wire) -> dict[str, Any]:
        """Carry out one API operation.

        Args:
            operation: Name in the service model, e.g. "GetMetricData".
            params: Members as a boto3 caller gives them.

        Raises:
            CloudWatchError: As AWS would answer; InvalidAction for what this emulator lacks.
        """
        if operation == "SetAlarmState":
            self._set_alarm_state(params)
            return {}
        do = self._operations.get(operation)
        if do is None:
            raise CloudWatchError("InvalidAction", f"{operation} is not offered here")
        with self._lock:
            return do(params, self.clock.now_s())

    # Log metrics, evaluation, transitions.

    def ingest_emf(self, line: str | bytes) -> EmfReport:
        """Take one log line in embedded metric format; faults are counted and reported, never raised."""
        with self._lock:
            return self.emf.ingest(line, now_s=self.clock.now_s())

    def evaluate(self) -> list[Transition]:
        """Evaluate the alarms that are due now and return the transitions, after telling the callbacks."""
        with self._lock:
            made = self.alarms.evaluate(self.clock.now_s())
        self._announce(made)
        return made

    def evaluate_on_clock(self) -> None:
        """Let the clock evaluate from now on whenever an alarm is due, at the latest each minute."""
        self.stop_evaluating()
        self._schedule()

    def stop_evaluating(self) -> None:
        """Undo `evaluate_on_clock`; calling it again does nothing."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def _schedule(self) -> None:
        now_s = self.clock.now_s()
        minute_s = (now_s // MINUTE_S + 1) * MINUTE_S
        due_s = self.alarms.next_due_s()
        self._ticking = self.clock.call_at(min(minute_s, due_s) if due_s > now_s else minute_s, self._tick)

    def _tick(self) -> None:
        self.evaluate()
        self._schedule()

    def on_transition(self, callback: Callable[[Transition], object]) -> None:
        """Call `callback` with every transition from now on, in order, outside the service's lock."""
        self._callbacks.append(callback)

    def alarm_state(self, name: str) -> str:
        """Return "OK", "ALARM" or "INSUFFICIENT_DATA"; raises CloudWatchError (ResourceNotFound)."""
        with self._lock:
            return self.alarms.get(name).state.value.value

    def _announce(self, made: list[Transition]) -> None:
        for transition in made:
            for callback in self._callbacks:
                callback(transition)

    # Operations; all but SetAlarmState run under the lock.

    def _put_metric_data(self, params: Wire, now_s: float) -> dict[str, Any]:
        data = [_with_epoch(datum) for datum in params.get("MetricData", ())]
        groups = [
            {**group, "MetricData": [_with_epoch(d) for d in group.get("MetricData", ())]}
            for group in params.get("EntityMetricData", ())
        ]
        put_metric_data({**params, "MetricData": data, "EntityMetricData": groups}, self.store, now_s=now_s)
        return {}

    def _get_metric_data(self, params: Wire, now_s: float) -> dict[str, Any]:
        if params.get("ScanBy", "TimestampDescending") not in ("TimestampDescending", "TimestampAscending"):
            raise invalid(f"ScanBy={params['ScanBy']!r} must be TimestampDescending or TimestampAscending")
        times = {"StartTime": epoch_s(params["StartTime"]), "EndTime": epoch_s(params["EndTime"])}
        return get_metric_data({**params, **times}, self.store, now_s=now_s, instant=self._instant)

    def _put_metric_alarm(self, params: Wire, now_s: float) -> dict[str, Any]:
        _check_model("PutMetricAlarm", params)
        self.alarms.put_metric(copy.deepcopy(dict(params)), now_s)
        return {}

    def _put_composite_alarm(self, params: Wire, now_s: float) -> dict[str, Any]:
        _check_model("PutCompositeAlarm", params)
        self.alarms.put_composite(copy.deepcopy(dict(params)), now_s)
        return {}

    def _describe_alarms(self, params: Wire, now_s: float) -> dict[str, Any]:
        del now_s
        _check_model("DescribeAlarms", params)
        return copy.deepcopy(describe_alarms(params, self.alarms.all(), self._instant))

    def _delete_alarms(self, params: Wire, now_s: float) -> dict[str, Any]:
        del now_s
        _check_model("DeleteAlarms", params)
        self.alarms.delete(params["AlarmNames"])
        return {}

    def _switch_actions(self, params: Wire, enabled: bool, now_s: float) -> dict[str, Any]:
        _check_model("EnableAlarmActions", params)
        self.alarms.enable_actions(params["AlarmNames"], enabled, now_s)
        return {}

    def _set_alarm_state(self, params: Wire) -> None:
        _check_model("SetAlarmState", params)
        data = params.get("StateReasonData")
        if data is not None:
            try:
                json.loads(data)
            except ValueError as error:
                raise CloudWatchError("InvalidFormat", f"StateReasonData is not JSON: {error}") from error
        with self._lock:
            made = self.alarms.set_state(
                params["AlarmName"],
                AlarmState(params["StateValue"]),
                params["StateReason"],
                data,
                self.clock.now_s(),
            )
        self._announce(made)

    def _instant(self, at_s: float) -> datetime:
        known = self._instants.get(at_s)
        if known is None:
            if len(self._instants) >= INSTANTS_MAX:
                self._instants.clear()
            known = self._instants[at_s] = datetime.fromtimestamp(at_s, tz=UTC)
        return known

    def _next_id(self) -> str:
        with self._lock:
            return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))


def epoch_s(value: object) -> float:
    """Return epoch seconds of a timestamp as boto3 takes it: datetime, number or text.

    >>> epoch_s("1970-01-01T00:01:00Z"), epoch_s(60)
    (60.0, 60.0)
    """
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    aware: datetime = parse_to_aware_datetime(value)  # type: ignore[arg-type]  # takes more than its stub says
    return aware.timestamp()


def _with_epoch(datum: Wire) -> Wire:
    if "Timestamp" not in datum:
        return datum
    return {**datum, "Timestamp": epoch_s(datum["Timestamp"])}


def _check_model(operation: str, params: Wire) -> None:
    """Refuse what breaks the service model: lengths, enums and patterns, which botocore does not check."""
    wrong = contract_for("cloudwatch").request(operation, params)
    if wrong:
        raise invalid("; ".join(str(violation) for violation in wrong))
