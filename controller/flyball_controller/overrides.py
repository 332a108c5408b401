"""What an operator may ask for, checked completely before anything is written.

Every override ends by itself, after a day at most, and says who wanted it and
why: an override that nobody remembers is the next outage. The text goes to the
hold's item and the journal, nowhere else.

`apply_override` does, with the operator's own rights, what the override function
does with its role: for the day when that function is what is broken.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball.hints import did_you_mean
from flyball.names import BOUND, is_target_name
from flyball_controller.absent import NoSensor
from flyball_controller.bounded import instant_s, number, shown, text
from flyball_controller.core.inspect import SKEW_S
from flyball_controller.core.model import Decision, Hold, HoldKind, Mode
from flyball_controller.loop import run_once
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import Holds, PortError
from flyball_controller.round_records import Ports, Trigger

ACTIONS = {
    "freeze": HoldKind.FREEZE,
    "open": HoldKind.FORCE_OPEN,
    "close": HoldKind.FORCE_CLOSED,
    "release": HoldKind.RELEASE,
}
FIELDS = ("action", "target", "for_s", "until", "by", "why")
HOLD_S_MIN = 60.0  # shorter than a tick would be over before it was seen
HOLD_S_MAX = 86_400.0  # a day: long enough for any night, short enough to be looked at again
TEXT_CHARS_MAX = 200  # of who and why


class InvalidOverrideError(ValueError):
    """A request that cannot be obeyed; `field` names what is wrong, `value` what came (cut short)."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {shown(value)}: {allowed}")
        self.field = field
        self.value = shown(value)


class OverrideRequest(NamedTuple):
    """A checked request."""

    target: str
    hold: Hold


def read_override(event: object, *, now_s: float, known: frozenset[str]) -> OverrideRequest:
    """Return the hold that a request asks for.

    Args:
        event: {"action", "target", "for_s" or "until", "by", "why"}; a release needs no end.
        now_s: Epoch seconds.
        known: Targets of this deployment; empty = any well-formed name.

    Raises:
        InvalidOverrideError: With field, value, what is allowed.

    >>> read_override({"action": "open", "target": "a", "for_s": 60, "by": "nora", "why": "drill"},
    ...               now_s=1000.0, known=frozenset()).hold.until_s
    1060.0
    """
    if not isinstance(event, dict):
        raise InvalidOverrideError("request", event, f"it must be an object with {', '.join(FIELDS)}")
    for name in event:
        if name not in FIELDS:
            hint = did_you_mean(text(name, 40), FIELDS, listing="allowed are")
            raise InvalidOverrideError("request", name, f"unknown key{hint}")
    action = event.get("action")
    if not isinstance(action, str) or action not in ACTIONS:
        raise InvalidOverrideError("action", action, f"it must be one of {', '.join(ACTIONS)}")
    kind = ACTIONS[action]
    until_s = _end_s(event, kind, now_s)
    return OverrideRequest(
        _target(event.get("target"), known),
        Hold(
            kind,
            until_s,
            by=_words(event, "by", "your name or address"),
            why=_words(event, "why", "the reason"),
        ),
    )


def _target(value: object, known: frozenset[str]) -> str:
    if not isinstance(value, str) or not (value in known or is_target_name(value)):
        raise InvalidOverrideError("target", value, f"it must be the name of one target: {BOUND}")
    if known and value not in known:
        hint = did_you_mean(value, sorted(known)) or "; see FLYBALL_TARGETS or the policy file"
        raise InvalidOverrideError("target", value, f"this controller does not know it{hint}")
    return value


def _end_s(event: dict[str, object], kind: HoldKind, now_s: float) -> float:
    """Return when the hold ends. A release stands for a day, so that no late duplicate undoes it."""
    for_value, until_value = event.get("for_s"), event.get("until")
    if kind is HoldKind.RELEASE:
        if for_value is not None or until_value is not None:
            name = "for_s" if for_value is not None else "until"
            raise InvalidOverrideError(name, event[name], "a release is at once; leave it out")
        return now_s + HOLD_S_MAX
    if (for_value is None) == (until_value is None):
        raise InvalidOverrideError(
            "for_s", for_value, "give either for_s (seconds) or until (time with zone): every override ends"
        )
    if for_value is not None:
        field, duration_s = "for_s", number(for_value)
    else:
        field, end_s = "until", instant_s(until_value)
        duration_s = None if end_s is None else end_s - now_s
    if duration_s is None or not HOLD_S_MIN <= duration_s <= HOLD_S_MAX:
        raise InvalidOverrideError(
            field,
            event[field],
            f"it must end {HOLD_S_MIN:.0f} s to {HOLD_S_MAX:.0f} s from now; renew it if needed",
        )
    return now_s + duration_s


def _words(event: dict[str, object], field: str, what: str) -> str:
    value = event.get(field)
    words = text(value, TEXT_CHARS_MAX + 1)
    if words is None or not words.strip() or len(words) > TEXT_CHARS_MAX or not words.isprintable():
        raise InvalidOverrideError(
            field,
            value,
            f"give {what} in 1 to {TEXT_CHARS_MAX} printable characters: it is kept with the override",
        )
    return words.strip()


class Applied(NamedTuple):
    """What an override came to: the last decision, whether clients are told, and what failed."""

    decision: Decision | None
    published: bool
    errors: tuple[tuple[str, PortError], ...]


def is_published(policies: PolicySet, target: str) -> bool:
    """Return whether clients are told what is decided about a target; in shadow and off they are not."""
    return policies.for_target(target).mode == Mode.ACTIVE


def override_record(request: OverrideRequest, *, now_s: float) -> dict[str, object]:
    """Return the journal's record of an override: who, what, until when and why."""
    hold = request.hold
    return {
        "schema": 1,
        "target": request.target,
        "at_s": now_s,
        "sequence": 0,
        "event": "OVERRIDE",
        "detail": f"{hold.kind.name} until {hold.until_s:.0f}",
        "by": hold.by,
        "why": hold.why,
        "trigger": "override",
    }


def put_hold(request: OverrideRequest, holds: Holds, *, now_s: float) -> str:
    """Store the hold of a request; return why it is not the one that stands, "" if it is.

    The newest stands, by the clocks of those who put them. Somebody else's may be ahead of ours by
    as much as clocks are allowed to differ, and then an operator's word would be lost to an older one.

    Raises:
        PortError: It could not be stored.
    """
    stands = ""
    for at_s in (now_s, now_s + SKEW_S):
        holds.put(request.target, request.hold, now_s=at_s)
        try:
            standing = holds.active([request.target]).get(request.target)
        except PortError:
            return ""  # stored, as far as anybody knows; the round will tell
        if standing is None or standing == request.hold:
            return ""
        stands = f"{standing.kind.name} by {standing.by!r} until {standing.until_s:.0f}"
    remedy = "compare the clocks of both machines, then repeat"
    return f"{request.target}: {stands} is newer and stands; {remedy}"


def apply_override(request: OverrideRequest, *, ports: Ports, policies: PolicySet, now_s: float) -> Applied:
    """Store an override and run a round without metrics, so that it is in force at once.

    Args:
        request: From `read_override`.
        ports: The installation's; the sensor and the publisher are not used.
        policies: The policy in force.
        now_s: Epoch seconds.

    Raises:
        PortError: The hold could not be stored; later failures are in the answer.
    """
    errors: list[tuple[str, PortError]] = []
    lost_to = put_hold(request, ports.holds, now_s=now_s)
    if lost_to:
        errors.append(("holds", PortError(lost_to, backend="holds", retryable=False)))
    try:
        ports.journal.append([override_record(request, now_s=now_s)])
    except PortError as error:
        errors.append(("journal", error))
    report = run_once(
        [request.target],
        ports=ports._replace(sensor=NoSensor()),
        policies=policies,
        now_s=now_s,
        trigger=Trigger("override", f"{request.hold.kind.name} until {request.hold.until_s:.0f}"),
    )
    decision = report.decisions[-1] if report.decisions else None
    return Applied(decision, is_published(policies, request.target), (*errors, *report.errors))
