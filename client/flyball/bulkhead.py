"""How many calls may be under way at once: a place is taken at the beginning and given back at the end.

One slow target must not take all workers of a process that has several. The
bound is per target and environment. A call keeps its place while it waits for a
retry, for it will come back: else the number of those who wait had no bound.

A place cannot leak: it is given back when the call ends or is abandoned, and at
the latest when the call is forgotten. No locks: a set of tokens is changed by
one operation of the interpreter at a time, so this may also run where a lock
could not be had (a finaliser, a signal handler). Who comes is entered first and
looks then whether he is one too many: two who race for the last place may both
be turned away, and never both let in.
"""

from __future__ import annotations


class Bulkhead:
    """The places of one target.

    >>> bulkhead = Bulkhead(1)
    >>> place = bulkhead.enter()
    >>> bulkhead.enter() is None, bulkhead.taken
    (True, 1)
    >>> place.leave(); bulkhead.taken
    0
    """

    __slots__ = ("_inside", "limit")

    def __init__(self, limit: int) -> None:
        """Make `limit` places, >= 1. It may be changed at any time; who is inside stays."""
        self._inside: set[int] = set()
        self.limit = limit

    @property
    def taken(self) -> int:
        """Places in use."""
        return len(self._inside)

    def enter(self) -> Place | None:
        """Return a place, or None if all are taken."""
        place = Place(self)
        inside = self._inside
        inside.add(id(place))
        if len(inside) <= self.limit:
            return place
        place.leave()
        return None

    def renew(self) -> None:
        """Empty all places: this process is a copy, and who was inside is inside the original."""
        self._inside = set()


class Place:
    """One place in a bulkhead."""

    __slots__ = ("_bulkhead",)

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead

    def leave(self) -> None:
        """Give the place back; again does nothing."""
        self._bulkhead._inside.discard(id(self))

    __del__ = leave
