"""Takes the wrapping off: SQS messages, SNS notifications, and any of the two inside the other.

A delivery is a list of `Item`s, one per record that the caller must be able to
answer for. Lambda's other shapes (EventBridge, an alarm's direct action) are one
item without a record id. Total, like everything that reads events (E1); one bad
record never touches its neighbours (E2).

Wrapped alarms are JSON in a string in JSON, up to four levels: each level is
checked for size and depth before it is decoded.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_controller.bounded import Undecodable, child, decode_json, shown, text
from flyball_handlers.alarms import read_alarm
from flyball_handlers.events import Code, Expected, Outcome, Rejected, Wake, undecodable

WRAPS_MAX = 3  # SNS in SQS needs two; more is not a delivery path of AWS
CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")  # what SNS sends before and after
RECORD_ID_CHARS_MAX = 128  # an SQS message id has 36 (100 at most)


class Item(NamedTuple):
    """What one record, or an unbatched event, turned into. `record_id` is "" where none can be answered."""

    record_id: str
    outcomes: tuple[Outcome, ...]

    @property
    def wakes(self) -> tuple[Wake, ...]:
        """The wake-ups in this item."""
        return tuple(o for o in self.outcomes if isinstance(o, Wake))

    @property
    def rejections(self) -> tuple[Rejected, ...]:
        """The rejections in this item."""
        return tuple(o for o in self.outcomes if isinstance(o, Rejected))

    @property
    def malformed(self) -> bool:
        """Whether some of it could not be understood, so that the record is worth keeping."""
        return any(r.malformed for r in self.rejections)


class Delivery(NamedTuple):
    """One invocation's items. `batch` says that Lambda expects an answer per record (SQS)."""

    items: tuple[Item, ...]
    batch: bool


def read_delivery(event: object, expected: Expected) -> Delivery:
    """Return every item of an event, whatever it is; never raises.

    >>> [r.code.value for r in read_delivery(None, Expected(now_s=0.0)).items[0].rejections]
    ['unknown-shape']
    """
    records = child(event, "Records")
    if records is None:
        return Delivery((Item("", _unwrap(event, expected, via="", wraps=0)),), batch=False)
    if not isinstance(records, list):
        return Delivery((Item("", (_bad("Records", records, "send a list of records"),)),), batch=False)
    items = tuple(_record(record, expected, f"Records[{i}]") for i, record in enumerate(records))
    return Delivery(items, batch=any(child(r, "eventSource") == "aws:sqs" for r in records))


def _record(record: object, expected: Expected, where: str) -> Item:
    if child(record, "eventSource") == "aws:sqs":
        record_id = text(child(record, "messageId"), RECORD_ID_CHARS_MAX) or ""
        return Item(record_id, _open(child(record, "body"), expected, f"{where}.body", via="sqs/", wraps=1))
    if child(record, "EventSource") == "aws:sns":
        return Item(
            "", _open(child(record, "Sns", "Message"), expected, f"{where}.Sns.Message", via="sns/", wraps=1)
        )
    source = child(record, "eventSource") or child(record, "EventSource")
    remedy = "only aws:sqs and aws:sns records can carry alarms"
    return Item("", (Rejected(Code.UNKNOWN_SHAPE, f"{where}.eventSource", shown(source), remedy),))


def _open(raw: object, expected: Expected, where: str, *, via: str, wraps: int) -> tuple[Outcome, ...]:
    payload = decode_json(raw)
    if isinstance(payload, Undecodable):
        return (undecodable(payload, where),)
    return _unwrap(payload, expected, via=via, wraps=wraps)


def _unwrap(payload: object, expected: Expected, *, via: str, wraps: int) -> tuple[Outcome, ...]:
    """Open an SNS notification (in SQS without raw delivery), or read the alarm itself."""
    if child(payload, "Type") == "Notification" and isinstance(child(payload, "Message"), str):
        if wraps >= WRAPS_MAX:
            return (
                Rejected(
                    Code.TOO_DEEP, "Message", f"wrapped {wraps} times", f"wrap at most {WRAPS_MAX} times"
                ),
            )
        return _open(child(payload, "Message"), expected, "Message", via=f"{via}sns/", wraps=wraps + 1)
    if child(payload, "Type") in CONFIRMATIONS:
        remedy = "open the message's SubscribeURL to confirm; it is kept in the dead-letter queue"
        return (Rejected(Code.UNKNOWN_SHAPE, "Type", shown(child(payload, "Type")), remedy),)
    return read_alarm(payload, expected, via=via)


def _bad(field: str, value: object, remedy: str) -> Rejected:
    return Rejected(Code.BAD_FIELD, field, shown(value), remedy)
