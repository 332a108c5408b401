"""Whether what the real code did is something that the model allows: its traces, held against the rules.

The simulation writes down each save, publication and look of the real stores and
clients. Here every one of them must be what `model.rules` says of the same
situation. What the model proves of its rules therefore holds for the code, as
far as the traces go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from model import rules


class Event(NamedTuple):
    """One thing that the real code did: to which key, who, with which numbers, and how it ended."""

    kind: str  # "save" | "told" | "publish" | "take"
    key: str
    who: str
    version: int  # expected by a save; of the item otherwise
    standing: int  # version that stood there, or that the client knew
    went: bool  # whether it went through
    standing_id: str = ""  # write id that stood there; `who` is the writer's own


def differences(trace: Sequence[Event]) -> list[str]:
    """Return what the model would not have done, in order; [] if the trace conforms."""
    found = []
    for index, event in enumerate(trace):
        expected = _expected(event)
        if expected != event.went:
            found.append(
                f"{index}: {event.who} {event.kind} {event.key} {event.version} over {event.standing}"
            )
    return found


def _expected(event: Event) -> bool:
    if event.kind == "save":
        return rules.may_save(event.standing, event.version, False)
    if event.kind == "publish":
        return rules.may_publish(event.standing, event.version)
    if event.kind == "take":
        return rules.takes(event.standing, event.version)
    return rules.is_own(event.standing, event.standing_id, event.version, event.who)
