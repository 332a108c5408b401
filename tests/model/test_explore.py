"""The exploration in parts: it finds what a plain walk finds, and no actor reads what it must not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from model.explore import Found, explore
from model.parts import BUSY, HIDDEN, Numbers, Parts, UnseenError
from model.protocol import IDLE, LOADED, NOBODY, Edge, Machine, Size, State
from model.rules import MUTANTS
from model.run import HUNT, SMALL

SIZES = {
    "two controllers": SMALL,
    "one with every fault": Size(controllers=1, time=1),
    "renewals": Size(duplicates=0, lost=0, throttles=0, crashes=0, ticks=2, time=1),
    "throttles and copies": Size(lost=0, crashes=0, ticks=0, time=0),
    "three controllers": Size(controllers=3, duplicates=0, lost=0, throttles=0, crashes=0, ticks=0, time=1),
}


def walked(machine: Machine) -> tuple[Found, set[State]]:
    """Walk state by state, with nothing remembered but the states: slow, and plainly right."""
    seen = {machine.begin()}
    layer = list(seen)
    edges = depth = 0
    while layer:
        following = []
        for state in layer:
            for edge in machine.edges(state):
                edges += 1
                if edge.broken:
                    return Found(len(seen), edges, depth + 1, edge.broken, ()), seen
                if edge.state not in seen:
                    seen.add(edge.state)
                    following.append(edge.state)
        layer = following
        depth += bool(layer)
    return Found(len(seen), edges, depth, "", ()), seen


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_as_many_states_and_steps_are_found_as_by_a_plain_walk(size: Size):
    """To go through things once for many states must lose none of them, and none of their steps."""
    assert explore(Machine(size), ways=False) == walked(Machine(size))[0]


@pytest.mark.parametrize("wrong", MUTANTS)
def test_a_planted_bug_is_found_as_early_as_by_a_plain_walk(wrong: str):
    """The same depth, and a way of as many steps, each possible after the one before, to the broken law."""
    size = Size(duplicates=0, crashes=0, throttles=0, ticks=1, time=1)
    found, plain = explore(Machine(size, wrong)), walked(Machine(size, wrong))[0]
    assert (found.depth, bool(found.broken)) == (plain.depth, bool(plain.broken))
    assert len(found.way) == (found.depth if found.broken else 0)


@pytest.mark.parametrize("wrong", ["conflicts without end", "client goes back", "conflict dropped"])
def test_the_way_to_a_broken_law_can_be_walked(wrong: str):
    """What is printed for a reader must lead where it says: each label is a step of a state so reached."""
    sought = ((Machine(size, wrong), states_max) for size, states_max in HUNT)
    machine, found = next(
        (machine, found) for machine, most in sought if (found := explore(machine, states_max=most)).broken
    )
    states = {machine.begin()}
    for label in found.way[:-1]:
        states = {edge.state for state in states for edge in machine.edges(state) if edge.label == label}
        assert states
    last = [edge.broken for state in states for edge in machine.edges(state) if edge.label == found.way[-1]]
    assert found.broken in last


def test_an_exploration_that_is_cut_off_ends_with_a_layer():
    """Half a layer would depend on the order in which it is gone through."""
    found = explore(Machine(SMALL), states_max=100)
    assert 100 < found.states < 1_000
    assert (found.broken, found.way) == ("", ())


def test_what_is_packed_is_unpacked():
    """Each number stands for one part, and an idle controller for no bit of a world."""
    machine = Machine(SMALL)
    parts = Parts(machine)
    for state in walked(machine)[1]:
        world, watcher = parts.pack(state)
        assert parts.unpack(world, watcher) == state
        at_work = {who for who, controller in enumerate(state[4]) if controller != NOBODY}
        assert at_work == {who for who in range(2) if world & parts.places(who)[0]}


def test_more_parts_than_their_bits_can_number_are_refused():
    """A number too many would be another part's, and two states one."""
    numbers = Numbers(1)
    assert (numbers[("first",)], numbers[("second",)], numbers[("first",)]) == (0, 1, 0)
    with pytest.raises(OverflowError, match="more than 2 parts"):
        numbers[("third",)]


# --- who reads what --------------------------------------------------------------------------------


class Nosy(Machine):
    """A machine in which an actor does what the exploration says that it cannot."""

    def __init__(self, does: str) -> None:
        super().__init__(Size(2, 2, duplicates=0, lost=0, throttles=0, crashes=0, ticks=0, time=1))
        self.does = does

    def controller(self, state: State, who: int) -> Iterator[Edge]:
        """As all, but nosy."""
        step = state[4][who][0]
        if self.does == "idle controller reads the checkpoint" and step == IDLE:
            assert state[1][0] >= 0
        if self.does == "controller reads the client" and step == LOADED:
            assert state[5][0] >= 0
        if self.does == "controller reads the item before" and step == LOADED:
            assert state[3][0] >= 0
        if self.does == "controller reads the other's event" and step == LOADED:
            assert state[4][1 - who][1] >= 0
        if self.does == "controller reads the other's step" and step == LOADED:
            assert state[4][1 - who][0] != LOADED
        for edge in super().controller(state, who):
            yield self._meddled(edge, who)

    def _meddled(self, edge: Edge, who: int) -> Edge:
        after = list(edge.state)
        if self.does == "controller sets the clock":
            after[0] = 3
        if self.does == "controller sets the client":
            after[5] = (1, 1, 1)
        if self.does == "controller moves the other one":
            after[4] = tuple((1, 1, 0, 0, 0, 0, 0) if one != who else own for one, own in enumerate(after[4]))
        return edge._replace(state=tuple(after))

    def time(self, state: State) -> Iterator[Edge]:
        """As all, but nosy."""
        if self.does == "clock reads the events":
            assert state[6][0] >= 0
        for edge in super().time(state):
            after = (edge.state[0] + state[5][0], *edge.state[1:])
            yield edge._replace(state=after) if self.does == "clock goes by the client" else edge

    def reads(self, state: State) -> Iterator[Edge]:
        """As all, but nosy."""
        if self.does == "client reads the controllers":
            assert state[4][0][0] >= 0
        for edge in super().reads(state):
            written = (*edge.state[:2], (9, 9, 9), *edge.state[3:])
            yield edge._replace(state=written) if self.does == "client writes the item" else edge


@pytest.mark.parametrize(
    "does",
    [
        "idle controller reads the checkpoint",
        "controller reads the client",
        "controller reads the item before",
        "controller reads the other's event",
        "controller reads the other's step",
        "controller sets the clock",
        "controller sets the client",
        "controller moves the other one",
        "clock reads the events",
        "clock goes by the client",
        "client reads the controllers",
        "client writes the item",
    ],
)
def test_an_actor_that_does_what_the_exploration_does_not_expect_is_refused(does: str):
    """Its steps would be remembered for states in which they are others."""
    with pytest.raises(UnseenError):
        explore(Nosy(does))


def test_a_machine_in_which_nobody_is_nosy_is_explored():
    """The refusals above are of what is nosy, not of the machine."""
    assert explore(Nosy("")).broken == ""


def test_a_hidden_part_cannot_be_looked_at():
    """Neither compared nor counted, and of another controller only that it is at work."""
    assert BUSY[0] != IDLE
    for look in (bool, len, iter, hash, lambda part: part == 0, lambda part: part < 0, lambda part: part[0]):
        with pytest.raises(UnseenError):
            look(HIDDEN)
