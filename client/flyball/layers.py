"""Changes that can be taken back: the bookkeeping behind the aids of `flyball.testing`.

An aid is a layer on an object. Taking off the topmost layer brings back what was
there before; taking off a lower one puts those above on again, so that blocks of
threads and tasks may overlap in any order.

What is remembered is what the object and the objects of ours inside it hold:
every slot, found by looking, so that a new one cannot be forgotten. Never for
production: a call under way on another thread may see a half of each.
"""

from __future__ import annotations

from _thread import RLock
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flyball.books import AT_ONCE, Books
from flyball.environment import Runtime

# An object, and of each of its attributes the value and, if that is a container, a copy of the content.
Memory = list[tuple[object, dict[str, tuple[Any, Any]]]]

# Of a Runtime only what aids replace.
_REPLACED = frozenset({"clock", "sleep", "async_sleep", "_flush_write"})
# Counts are history, not state; what calls under way will give back must be there to be given back; and
# what a call finds out, the next one finds out again.
_KEPT = frozenset(
    {
        ("Books", "_counters"),
        ("Books", "_keep_latency"),
        ("Books", "_well"),
        ("Books", "_booked"),
        ("Books", "_book_at_s"),
        ("Target", "quiet_until_s"),
        ("Breaker", "changes"),
        ("Breaker", "generation"),
        ("Breaker", "_probes"),
        ("Bulkhead", "_inside"),
    }
)
_CONTAINERS = (list, dict, set, deque)


class _Layer:
    """One aid in use: how to put it on, and what was there before."""

    __slots__ = ("before", "put_on")

    def __init__(self, put_on: Callable[[], object]) -> None:
        self.put_on = put_on
        self.before: Memory = []


_lock = RLock()
_stacks: dict[int, list[_Layer]] = {}  # by the id of the object concerned, which `before` keeps alive


@contextmanager
def layer(subject: object, put_on: Callable[[], object]) -> Iterator[None]:
    """Change `subject` by `put_on` inside the block."""
    mine = _Layer(put_on)
    with _lock:
        stack = _stacks.setdefault(id(subject), [])
        mine.before = memory_of(subject)
        stack.append(mine)
        put_on()
    try:
        yield
    finally:
        with _lock:
            place = stack.index(mine)
            del stack[place]
            _remember(mine.before)
            for above in stack[place:]:
                above.before = memory_of(subject)
                above.put_on()
            if not stack:
                del _stacks[id(subject)]


def memory_of(subject: object) -> Memory:
    """What `subject`, and the objects of ours inside it, hold now."""
    memory: Memory = []
    known: set[int] = set()
    found = [subject]
    while found:
        thing = found.pop()
        if id(thing) in known:
            continue
        known.add(id(thing))
        kind = type(thing)
        slots = {name for base in kind.__mro__ for name in getattr(base, "__slots__", ())}
        kept = {name for name in slots for base in kind.__mro__ if (base.__name__, name) in _KEPT}
        if isinstance(thing, Books):
            thing._book()  # what went well before belongs to what is remembered
        values = {}
        for name in slots & _REPLACED if isinstance(thing, Runtime) else slots - kept:
            value = getattr(thing, name)
            content = value.copy() if isinstance(value, _CONTAINERS) else None
            values[name] = value, content
            if _changes(value):
                found.append(value)
        memory.append((thing, values))
    return memory


def _changes(value: object) -> bool:
    """Whether it is an object of this package with a state: no record, number, class or function."""
    kind = type(value)
    return (
        kind.__module__.startswith("flyball.")
        and not isinstance(value, tuple | int | str)
        and not callable(value)
    )


def _remember(memory: Memory) -> None:
    for thing, values in memory:
        if isinstance(thing, Books):
            thing._book()  # what went well inside is forgotten with the windows, and stays counted
            thing._book_at_s = AT_ONCE
        for name, (value, content) in values.items():
            if content is not None:  # the same container: others may hold it
                value.clear()
                (value.update if isinstance(value, dict | set) else value.extend)(content)
            setattr(thing, name, value)
