"""Walks through every state that a machine can reach, and judges every step.

Breadth first, so that the first broken law is broken by a shortest way. States
seen are kept as 64-bit hashes: of three million the chance that two collide, and
one is overlooked, is about 3e6^2 / 2^65, one in four million.
"""

from __future__ import annotations

from sys import intern
from typing import NamedTuple

from model.protocol import Machine


class Found(NamedTuple):
    """What was explored: states, edges, the longest way, and a shortest way to a broken law, if any."""

    states: int
    edges: int
    depth: int
    broken: str
    way: tuple[str, ...]


def explore(machine: Machine, *, states_max: int = 50_000_000, ways: bool = True) -> Found:
    """Explore until all is seen, a law is broken, or `states_max` states were seen.

    Args:
        machine: What to explore.
        states_max: Where to stop; the result then says no more than it saw.
        ways: Whether to remember how each state was reached: it takes most of the memory.
    """
    first = machine.begin()
    seen = {hash(first)}
    layer = [(first, ())]
    edges = depth = 0
    while layer:
        following = []
        for state, way in layer:
            for edge in machine.edges(state):
                edges += 1
                if edge.broken:
                    labels = _unwound((edge.label, way))
                    return Found(len(seen), edges, depth + 1, edge.broken, labels)
                key = hash(edge.state)
                if key not in seen:
                    seen.add(key)
                    following.append((edge.state, (intern(edge.label), way) if ways else ()))
        if len(seen) > states_max:
            break
        layer = following
        depth += bool(layer)
    return Found(len(seen), edges, depth, "", ())


def _unwound(way: tuple) -> tuple[str, ...]:  # type: ignore[type-arg]  # (label, the way before), () first
    labels = []
    while way:
        label, way = way
        labels.append(label)
    return tuple(reversed(labels))
