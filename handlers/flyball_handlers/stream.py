"""Entry point for metric streams: the transformation function of a Firehose stream.

The stream belongs to somebody (an archive, a dashboard); we only look. So every
record goes back exactly once, `Ok` and unchanged, even if our own work fails:
what is lost then is one look, and the next tick looks again. An answer that
leaves out or alters a record would move customer data to `processing-failed/`.
"""

from __future__ import annotations

from typing import Any

from flyball_controller.aws.stream_points import PERIOD_S
from flyball_controller.bounded import child, text
from flyball_controller.loop import Trigger
from flyball_handlers import rounds, wiring
from flyball_handlers.streams import read_stream


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Look at the targets that the metrics in `event` are about; give all records back unchanged."""
    records = child(event, "records")
    records = records if isinstance(records, list) else []
    try:
        runtime = wiring.runtime()
        _look(runtime, records, text(child(event, "invocationId"), 128) or "")
    except Exception as error:  # noqa: BLE001 - whatever fails on our side, the customer's records go on
        wiring.telemetry().error("stream look failed", error=type(error).__name__, detail=str(error)[:300])
    return {"records": _answers(records)}


def _look(runtime: wiring.Runtime, records: list[object], invocation: str) -> None:
    now_s = runtime.clock.now_s()
    try:
        seen = read_stream(
            records,
            runtime.expected(now_s),
            maps=runtime.maps,
            lag_s=runtime.settings.metric_lag_s,
            # A stream carries one account's part of a window; the sensor puts the parts together.
            observe=runtime.settings.metric_period_s == PERIOD_S and not runtime.settings.metric_accounts,
        )
        runtime.telemetry.count("stream_points", seen.points)
        runtime.telemetry.count("stream_points_ignored", seen.ignored)
        runtime.telemetry.count("stream_pieces_damaged", seen.damaged)
        rounds.tell_rejections(runtime, seen.rejections)
        targets = sorted({*seen.observations, *seen.woken})
        trigger = Trigger("stream", invocation)
        rounds.run(runtime, targets, trigger=trigger, now_s=now_s, given=seen.observations)
    except Exception:
        runtime.telemetry.count(
            "backend_errors"
        )  # the handler never raises, so Lambda's metric shows nothing
        raise
    finally:
        runtime.telemetry.flush(now_s=now_s)


def _answers(records: list[object]) -> list[dict[str, object]]:
    """Return one answer per record id; a record without an id cannot be answered (Firehose sends none)."""
    answers: dict[str, dict[str, object]] = {}
    for record in records:
        record_id = child(record, "recordId")
        if isinstance(record_id, str) and record_id not in answers:
            answers[record_id] = {"recordId": record_id, "result": "Ok", "data": child(record, "data")}
    return list(answers.values())
