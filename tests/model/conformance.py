"""Whether what the real code did is something that the model allows: its traces, held against the rules.

The simulation writes down each save, each answer to one, each piece of evidence
that a save adds, each publication, each look and each refusal of the real stores
and clients. Here every one of them must be what `model.rules` says of the same
situation. What the model proves of its rules therefore holds for the code, as
far as the traces go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from model import rules


class Event(NamedTuple):
    """One thing that the real code did: to which key, who, with which numbers, and how it ended."""

    kind: str  # "save" | "told" | "count" | "publish" | "take" | "enforce"
    key: str
    who: str
    version: float  # expected by a save; of the item; stamp that counted; end of what is enforced
    standing: float  # version that stood there, or that the client knew; stamp before; the client's time
    went: bool  # whether it went through
    standing_id: str = ""  # write id that stood there; `who` is the writer's own
    became: int = -1  # version that the writer was told of, -1 if of none


def differences(trace: Sequence[Event]) -> list[str]:
    """Return what the model would not have done, in order; [] if the trace conforms."""
    found = []
    for index, event in enumerate(trace):
        expected = _expected(event)
        number = event.became in (-1, rules.next_version(int(event.version)))
        if expected != event.went or not number:
            found.append(
                f"{index}: {event.who} {event.kind} {event.key} {event.version} over {event.standing}"
            )
    return found


def _expected(event: Event) -> bool:
    version, standing = event.version, event.standing
    if event.kind == "save":
        return rules.may_save(int(standing), int(version), False)
    if event.kind == "count":
        return rules.counts(version, standing)
    if event.kind == "publish":
        return rules.may_publish(int(standing), int(version))
    if event.kind == "take":
        return rules.takes(int(standing), int(version))
    if event.kind == "enforce":
        return rules.enforces(rules.OPEN, version, standing)
    return rules.is_own(int(standing), event.standing_id, int(version), event.who)
