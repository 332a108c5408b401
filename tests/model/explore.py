"""Walks through every state that a machine can reach, and judges every step.

Breadth first, so that the first broken law is broken by a shortest way. A state is
a world and a watcher (`model.parts`); which watchers a world was reached with is one
integer, so a step takes all of them along at once, and is found and judged once for
all that its actor cannot see. States and steps are counted one by one nevertheless,
and no hash stands for a state: none is overlooked.
"""

from __future__ import annotations

from typing import NamedTuple

from model.parts import SIGHT, BrokenLawError, Looks, Parts, Steps
from model.protocol import Machine

Layer = dict[int, int]  # worlds, each with the bits of its watchers
Known = dict[int, tuple[int, dict[int, Steps]]]


class Found(NamedTuple):
    """What was explored: states, edges, the longest way, and a shortest way to a broken law, if any."""

    states: int
    edges: int
    depth: int
    broken: str
    way: tuple[str, ...]


def explore(machine: Machine, *, states_max: int = 1_000_000_000, ways: bool = True) -> Found:
    """Explore until all is seen, a law is broken, or `states_max` states were seen.

    Args:
        machine: What to explore.
        states_max: After how many to begin no further layer; the result then says no more than it saw.
        ways: Whether to remember the layers, for the way to a broken law: it takes most of the memory.
    """
    walk = _Walk(machine)
    layer = dict(walk.seen)
    layers = [layer]
    while layer and walk.states <= states_max:
        following: Layer = {}
        try:
            walk.step(layer, following)
        except BrokenLawError as broken:
            way = _way(walk.parts, layers, broken) if ways else ()
            return Found(
                walk.states, walk.edges, walk.depth + 1, broken.edge.broken, (*way, broken.edge.label)
            )
        layer = following
        walk.depth += bool(layer)
        if ways:
            layers.append(layer)
    return Found(walk.states, walk.edges, walk.depth, "", ())


class _Walk:
    """What an exploration has seen."""

    def __init__(self, machine: Machine) -> None:
        self.parts = Parts(machine)
        world, watcher = self.parts.pack(machine.begin())
        self.seen: Layer = {world: watcher}
        self.states, self.edges, self.depth = 1, 0, 0
        # Of each controller: its place, the others' places; for each place of its own, if the others are
        # idle and if not, what it reads there, and its steps for what it reads.
        self._actors: list[tuple[int, int, Known, Known]] = [
            (*self.parts.places(who), {}, {}) for who in range(machine.size.controllers)
        ]
        self._looks: dict[tuple[int, int], Looks] = {}

    def step(self, layer: Layer, following: Layer) -> None:
        """Take every step of a layer; put into `following` what was not reached before.

        Raises:
            BrokenLawError: A step breaks a law.
        """
        seen = self.seen
        try:
            for world, watchers in layer.items():
                looks = self._looks_at(world, watchers)
                leave, replace = self._steps(world, watchers)
                self.edges += looks.steps + (len(leave) + len(replace)) * watchers.bit_count()
                if looks.later:
                    leave.append(looks.later)
                reached = [(leave, watchers), ((0,), looks.watchers)]
                if replace:
                    reached.append((replace, self.parts.replaced(world, watchers)))
                for steps, who in reached:
                    for step in steps:
                        after = world + step
                        before = seen.get(after, 0)
                        fresh = who & ~before
                        if fresh:
                            seen[after] = before | fresh
                            following[after] = following.get(after, 0) | fresh
        finally:
            self.states += sum(map(int.bit_count, following.values()))

    def _looks_at(self, world: int, watchers: int) -> Looks:
        key = (world & SIGHT, watchers)
        looks = self._looks.get(key)
        if looks is None:
            looks = self._looks[key] = self.parts.looks(world, watchers)
        return looks

    def _steps(self, world: int, watchers: int) -> tuple[list[int], list[int]]:
        """Return what each controller's steps add to a world: those that leave its circuit, and others."""
        leave: list[int] = []
        replace: list[int] = []
        for who, (place, others, alone, beside) in enumerate(self._actors):
            known = beside if world & others else alone
            of_place = known.get(world & place)
            if of_place is None:
                reads = self.parts.reads(world, who, others=known is beside)
                of_place = known[world & place] = (reads, {})
            reads, ways = of_place
            steps = ways.get(world & reads)
            if steps is None:
                steps = ways[world & reads] = self.parts.steps(world, who, watchers, others=known is beside)
            leave += steps[0]
            replace += steps[1]
        return leave, replace


def _way(parts: Parts, layers: list[Layer], broken: BrokenLawError) -> tuple[str, ...]:
    """Return the labels from the begin to where a law was broken, found backwards from layer to layer."""
    target = parts.unpack(broken.world, broken.watcher)
    labels: list[str] = []
    for layer in reversed(layers[:-1]):
        label, target = next(
            (edge.label, state)
            for state in parts.states(layer)
            for edge in parts.machine.edges(state)
            if edge.state == target
        )
        labels.append(label)
    return tuple(reversed(labels))
