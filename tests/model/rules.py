"""The protocol's rules as plain functions, and the ways in which they could be wrong.

Each rule is one decision that the product makes somewhere: whether a write may
go through, what a refused write means, whether a reader takes an item. The model
explores what follows from them, and traces of the real code are held against
them (conformance.py). `wrong` names the one rule that is broken in a mutant;
"" is the protocol as it is.
"""

from __future__ import annotations

CLOSED, OPEN = 0, 1
VALID_FOR = 2  # ticks that a published circuit holds
CONFLICTS_MAX = 1  # lost races, then the event is not acknowledged; five in the product
FOR_EVER = 99

# What can be wrong, and the laws of which at least one must notice.
MUTANTS: dict[str, str] = {
    "save without condition": "P1 P7",
    "save if the decision is still the same": "P1 P7",
    "save if the version is not lower": "P1 P7",
    "older evidence accepted": "P2",
    "same evidence accepted again": "P3",
    "conflict dropped": "P5",
    "conflict taken for success": "P9",
    "old decision saved after a conflict": "P2 P3 P7",
    "own write not recognised": "P4",
    "any write of that version taken for one's own": "P9",
    "write id new at each try": "P4",
    "event acknowledged after a throttle": "P5",
    "event acknowledged before the work": "P5",
    "event acknowledged though the circuit was not written": "P5",
    "nothing new, so nothing offered again": "P5",
    "conflicts without end": "P8",
    "version skips": "P1",
    "checkpoint deleted when it expires": "P1 P3",
    "circuit written before the state": "E5",
    "circuit written without condition": "P1",
    "circuit rewritten at the same version": "P1",
    "circuit under the version that was read": "P1 E5 P5",
    "circuit without end": "P6",
    "circuit renewed from its last end": "P6",
    "circuit of the other state": "E5",
    "client ignores the end": "P6",
    "client prolongs the end": "P6",
    "client goes back": "K2",
    "client opens from nothing": "K4",
    "client opens when the store is down": "K3 K4",
    "client forgets when the store is down": "K2 K3",
    "client takes the state without the version": "K4 P6",
}


def may_save(standing: int, expected: int, same: bool, *, wrong: str = "") -> bool:
    """Whether a save goes through: nobody wrote since it was read (`same`: the decision stands there)."""
    if wrong == "save without condition":
        return True
    if wrong == "save if the decision is still the same":
        return same or standing == expected
    if wrong == "save if the version is not lower":
        return standing >= expected
    return standing == expected


def next_version(expected: int, *, wrong: str = "") -> int:
    """The version under which a save goes in."""
    return expected + (2 if wrong == "version skips" else 1)


def is_own(standing: int, standing_id: object, expected: int, write_id: object, *, wrong: str = "") -> bool:
    """Whether what refused a save is one's own earlier try."""
    if wrong == "own write not recognised":
        return False
    if wrong == "any write of that version taken for one's own":
        return standing == expected + 1
    return standing == expected + 1 and standing_id == write_id


def counts(evidence: float, stamp: float, *, wrong: str = "") -> bool:
    """Whether evidence changes a state whose newest is `stamp`."""
    if wrong == "older evidence accepted":
        return evidence != stamp
    if wrong == "same evidence accepted again":
        return evidence >= stamp
    return evidence > stamp


def may_publish(standing: int, version: int, *, wrong: str = "") -> bool:
    """Whether a circuit item goes in: only over an older one."""
    if wrong == "circuit written without condition":
        return True
    if wrong == "circuit rewritten at the same version":
        return standing <= version
    return standing < version


def ends_at(now: int, last_end: int, *, wrong: str = "") -> int:
    """Until when a circuit holds that is written now."""
    if wrong == "circuit without end":
        return FOR_EVER
    if wrong == "circuit renewed from its last end":
        return max(now, last_end) + VALID_FOR
    return now + VALID_FOR


def takes(known: int, version: int, *, wrong: str = "") -> bool:
    """Whether a client takes an item over the one it knows."""
    return version != known if wrong == "client goes back" else version > known


def enforces(state: int, end: float, now: float, *, wrong: str = "") -> bool:
    """Whether a client refuses calls."""
    return state == OPEN and (now < end or wrong == "client ignores the end")
