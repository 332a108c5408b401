"""Whether a wished document may be deployed now: a pure function over a small record.

AppConfig allows one deployment at a time per environment, bills every
configuration that an execution environment receives, and takes whole seconds to
minutes. So a wish is deployed only if it changes the content, nothing is in
flight, the content was not rolled back lately, and the change rate allows it.
A wish that tightens (`urgent`) skips the gap between deployments and may use the
last slots of the hour, which wishes that loosen leave to it: loosening can
therefore never starve tightening, and nothing can exceed the cap.

This file knows no client, no clock and no document: contents are hashes. The
adapter gathers Facts, asks `plan`, and stores the record before it acts, so
that a crash costs a slot and never an extra deployment.

Sources: AWS AppConfig user guide, "Deploying feature flags and configuration
data" (one deployment per environment); docs/theory/control.md (12 changes/h).
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

HOUR_S = 3_600.0
# A start is counted by the moment at which its round began; it may really come this much later,
# because no function of Lambda runs longer. Without it 13 could fall into one hour (A2).
LATE_S = 900.0
COUNTED_S = HOUR_S + LATE_S
RECORD_SCHEMA = 1
DOUBTS_MAX = 8  # each is a start without answer since the last that went through
HOLDS_MAX = 50  # contents on hold; the oldest gives way. 12 deployments/h for one hour is 12.


class Limits(NamedTuple):
    """How often a document may change."""

    per_h: int = 12  # deployments started in any hour
    reserve: int = 3  # of those, only for urgent wishes
    gap_s: float = 60.0  # between two deployments, unless urgent
    hold_s: float = 3_600.0  # a rolled-back content stays away this long (A5)
    # A controller that noted its intent needs this long to create and start: worst
    # case of one publish call with its time-outs. Afterwards the intent is dead.
    intent_s: float = 30.0


class Intent(NamedTuple):
    """A deployment about to be started: noted before, cleared after, decided by the facts if left over."""

    content: str
    at_s: float
    after_number: int  # newest deployment number of the environment when it was noted


class ContentHold(NamedTuple):
    """A content that must not be published before `until_s`."""

    content: str
    until_s: float


class Doubt(NamedTuple):
    """A deployment that was meant to start, and of which nobody knows whether it did."""

    content: str
    after_number: int  # newest deployment number when it was meant; from 1 on it is the start's lock


class Record(NamedTuple):
    """What the publisher remembers between runs."""

    revision: int = 0  # highest revision ever used
    starts: tuple[float, ...] = ()  # when deployments were started in the last hour, oldest first
    holds: tuple[ContentHold, ...] = ()
    rollback_seen: int = 0  # newest rolled-back deployment number already put on hold
    intent: Intent | None = None
    published: str = ""  # content that we deployed or saw last; "" = not known yet
    published_version: int = 0  # its hosted version, 0 = not known
    edited: tuple[str, ...] = ()  # targets that people changed in the document: theirs until taken over
    doubts: tuple[Doubt, ...] = ()  # starts of ours that may still appear: no edits


class RolledBack(NamedTuple):
    """A deployment of ours that AppConfig or an operator undid."""

    number: int
    content: str  # "" if its content is no longer known


class Facts(NamedTuple):
    """What AppConfig shows."""

    standing: str  # content hash of our newest deployment that stands or is in flight; "" = none
    in_flight: bool  # any deployment of the environment, also of other profiles
    latest_number: int  # newest deployment number of the environment, 0 = none
    rolled_back: tuple[RolledBack, ...] = ()


class Plan(NamedTuple):
    """What to do with a wish, and the record to store first if it differs from the old one."""

    code: str  # "start" or a code of PublishStatus
    pending: bool
    detail: str
    record: Record


def plan(record: Record, facts: Facts, *, content: str, urgent: bool, now_s: float, limits: Limits) -> Plan:
    """Return whether to start a deployment of `content` now; if so, the record already counts it.

    Args:
        record: What was remembered.
        facts: What AppConfig shows now.
        content: Hash of the wished document's content.
        urgent: The wish tightens.
        now_s: Epoch seconds.
        limits: How often the document may change.

    >>> p = plan(Record(), Facts("", False, 0), content="a", urgent=False, now_s=0.0, limits=Limits())
    >>> p.code, p.record.starts
    ('start', (0.0,))
    >>> plan(p.record, Facts("a", False, 1), content="a", urgent=True, now_s=9.0, limits=Limits()).code
    'unchanged'
    """
    record = absorb_rollbacks(record, facts, until_s=now_s + limits.hold_s)
    pending_intent = record.intent is not None and facts.latest_number <= record.intent.after_number
    if record.intent is not None and not pending_intent:
        # Something was started after the intent was noted: ours (then the content
        # stands, in flight or rolled back, and shows in the facts) or another's
        # (then ours was refused, because it named the number it expected).
        record = record._replace(intent=None)
    if content == facts.standing:
        return Plan("unchanged", False, "this content is already deployed or in flight", record)
    held = next((h for h in record.holds if h.content == content and h.until_s > now_s), None)
    if held is not None:
        left_s = held.until_s - now_s
        return Plan(
            "held", True, f"this content was rolled back or refused; held for {left_s:.0f} s more", record
        )
    if facts.in_flight:
        return Plan("in_flight", True, "a deployment of the environment is in progress", record)
    if record.intent is not None and 0.0 <= now_s - record.intent.at_s < limits.intent_s:
        return Plan("in_flight", True, "another controller is about to deploy", record)
    recent = recent_starts(record, now_s=now_s)
    refusal = _rate_refusal(recent, urgent=urgent, now_s=now_s, limits=limits)
    if refusal:
        return Plan("rate_limited", True, refusal, record)
    started = record._replace(
        starts=(*recent, now_s),
        intent=Intent(content, now_s, facts.latest_number),
        holds=_live(record, now_s),
        doubts=doubting(record).doubts,
    )
    return Plan("start", False, "", started)


def recent_starts(record: Record, *, now_s: float) -> tuple[float, ...]:
    """Return the starts that may have happened in the hour before `now_s`, oldest first.

    A start from another controller's clock may lie ahead a little and counts as
    now; one over an hour ahead cannot be true and is dropped, or a broken clock
    would stop all changes until its date came.
    """
    believable = (s for s in record.starts if now_s - COUNTED_S < s <= now_s + HOUR_S)
    return tuple(sorted(min(s, now_s) for s in believable))


def hold_content(record: Record, content: str, *, until_s: float) -> Record:
    """Return the record with `content` put on hold until `until_s` (a later end already noted stays)."""
    if not content:
        return record
    others = tuple(h for h in record.holds if h.content != content)
    until_s = max([until_s, *(h.until_s for h in record.holds if h.content == content)])
    return record._replace(holds=(*others, ContentHold(content, until_s))[-HOLDS_MAX:])


def doubting(record: Record) -> Record:
    """Return the record that remembers its intent, if it has one, as a start that may still appear."""
    if record.intent is None:
        return record
    doubt = Doubt(record.intent.content, record.intent.after_number)
    others = tuple(known for known in record.doubts if known != doubt)
    return record._replace(doubts=(*others, doubt)[-DOUBTS_MAX:])


def without_locked_doubts(record: Record) -> Record:
    """Return the record after a deployment went through: starts that named an older number can no longer.

    The very first names none, because AppConfig has no number 0 to lock on: it may appear at any time.
    """
    return record._replace(doubts=tuple(doubt for doubt in record.doubts if doubt.after_number == 0))


def absorb_rollbacks(record: Record, facts: Facts, *, until_s: float) -> Record:
    """Put every rolled-back content not seen before on hold, once per deployment (A5)."""
    for rolled in sorted(facts.rolled_back):
        if rolled.number > record.rollback_seen:
            record = hold_content(record, rolled.content, until_s=until_s)._replace(
                rollback_seen=rolled.number
            )
    return record


def _live(record: Record, now_s: float) -> tuple[ContentHold, ...]:
    return tuple(h for h in record.holds if h.until_s > now_s)


def _rate_refusal(recent: tuple[float, ...], *, urgent: bool, now_s: float, limits: Limits) -> str:
    """Return why the change rate forbids a start now, "" if it allows it."""
    cap = limits.per_h if urgent else limits.per_h - limits.reserve
    if len(recent) >= cap:
        kept = "" if urgent else f", {limits.reserve} of {limits.per_h} are kept for urgent wishes"
        return f"{len(recent)} deployments within {COUNTED_S / 60.0:.0f} min, {cap} allowed{kept}"
    if not urgent and recent and now_s - recent[-1] < limits.gap_s:
        return f"the last deployment started {now_s - recent[-1]:.0f} s ago, the gap is {limits.gap_s:.0f} s"
    return ""


def encode_record(record: Record) -> bytes:
    """Return the record as canonical JSON (sorted keys, no blanks).

    >>> decode_record(encode_record(Record(revision=3)), now_s=0.0, limits=Limits()).revision
    3
    """
    fields = {**record._asdict(), "schema": RECORD_SCHEMA}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def decode_record(data: bytes, *, now_s: float, limits: Limits) -> Record:
    """Return the stored record; total on any bytes.

    Nothing stored gives the empty record. Bytes that cannot be read give a
    record whose slots for loosening are used up as of `now_s`: the hour's count
    is unknown, so wishes that loosen wait an hour and urgent ones may go.
    """
    if not data:
        return Record()
    try:
        fields = json.loads(data)
        return _checked(fields)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError):
        return Record(starts=(now_s,) * max(0, limits.per_h - limits.reserve))


def _checked(fields: Any) -> Record:
    """Build the record field by field; anything unexpected raises ValueError, TypeError or KeyError."""
    if fields["schema"] != RECORD_SCHEMA:
        raise ValueError(f"schema={fields['schema']!r} must be {RECORD_SCHEMA}")
    intent = fields["intent"]
    return Record(
        revision=_whole(fields["revision"]),
        starts=tuple(_finite(s) for s in fields["starts"]),
        holds=tuple(ContentHold(_text(c), _finite(u)) for c, u in fields["holds"]),
        rollback_seen=_whole(fields["rollback_seen"]),
        intent=None if intent is None else Intent(_text(intent[0]), _finite(intent[1]), _whole(intent[2])),
        published=_text(fields.get("published", "")),  # records of earlier releases lack these
        published_version=_whole(fields.get("published_version", 0)),
        edited=tuple(_text(name) for name in fields.get("edited", [])),
        doubts=tuple(Doubt(_text(content), _whole(after)) for content, after in fields.get("doubts", [])),
    )


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} must be a whole number from 0")
    return value


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} must be a finite number")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} must be text")
    return value
