"""A machine in parts: who can read what, so that what nobody reads need not be gone through again and again.

A controller reads the stores, its own place, the events, the budgets and the past,
at most, and whether another controller is at work. So its steps are the same
whatever the other ones hold, what the client holds and how the circuit item was
before, and are found and judged once for all of these. The client and the clock
read no controller, no event and no budget. That this is so is not believed: what an
actor must not read is taken out of the state that it is given, and a look at it
raises `UnseenError`.

A *world* is a state without what no controller reads, packed into one integer: a
number for each part. A step is then an addition. The rest, the item before and the
client, is a *watcher*, and watchers are bits: one integer says which of them a world
was reached with. Numbers are given out as parts are met; equal integers mean equal
states, without a hash that could collide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from model.protocol import AGAIN, EARLY, IDLE, LOADED, NOBODY, PUBLISH, WOKEN, Edge, Machine, State

# Bits of a world for the number of each part, lowest first; the controllers' come above them.
NOW, CHECKPOINT, CIRCUIT, INPUTS, PAST, CONTROLLER = range(6)  # inputs: events and budgets
BITS = (4, 12, 12, 12, 20, 10)  # one number too many is an error
AT = tuple(sum(BITS[:part]) for part in range(6))
MASKS = tuple((1 << bits) - 1 << at for bits, at in zip(BITS, AT, strict=True))
SIGHT = MASKS[NOW] | MASKS[CHECKPOINT] | MASKS[CIRCUIT] | MASKS[PAST]  # what the clock and the client read

# What a controller does not read at each step; the second: only where another one is at work as well,
# for then the world is not at rest, and nobody asks whether all is published.
UNREAD: dict[int, tuple[set[int], set[int]]] = {
    IDLE: ({NOW, CHECKPOINT, CIRCUIT, PAST}, set()),
    WOKEN: ({NOW, PAST}, {CIRCUIT}),
    LOADED: ({NOW}, {CIRCUIT}),
    AGAIN: ({NOW}, {CIRCUIT}),
    PUBLISH: (set(), {CHECKPOINT}),
    EARLY: (set(), {CHECKPOINT}),
}


class UnseenError(AssertionError):
    """An actor looked at a part that it must not know, or changed one."""


class _Hidden:
    """Stands for a part that an actor must not know."""

    def _looked(self, *_: object) -> NoReturn:
        raise UnseenError("an actor looked at a part of the state that it cannot know")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __len__ = _looked
    __getitem__ = __iter__ = __contains__ = __add__ = __radd__ = __index__ = __hash__ = _looked


class _AtWork(_Hidden):
    """The step of another controller: all that is known of it is that it is not idle."""

    def __ne__(self, other: object) -> bool:
        if other != IDLE:
            self._looked()
        return True

    __hash__ = _Hidden._looked


HIDDEN = _Hidden()
BUSY = (_AtWork(), *(HIDDEN,) * (len(NOBODY) - 1))


class BrokenLawError(Exception):
    """A step that breaks a law: `edge`, from a `world` with a `watcher` (its bit)."""

    def __init__(self, edge: Edge, world: int, watcher: int) -> None:
        super().__init__(edge.broken)
        self.edge = edge
        self.world = world
        self.watcher = watcher


class Steps(NamedTuple):
    """What each step of a controller adds to a world, by whether it replaces the circuit item."""

    leave: tuple[int, ...]
    replace: tuple[int, ...]


class Looks(NamedTuple):
    """What clients and the clock can do in a world."""

    steps: int  # how many, of all watchers together
    watchers: int  # whom the looks lead to
    later: int  # what is added to the world as time passes; 0: there is none left


class Numbers(dict[State, int]):
    """Parts of one kind, numbered as they are met."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.known: list[State] = []
        self._limit = 1 << bits

    def __missing__(self, part: State) -> int:
        number = len(self.known)
        if number == self._limit:
            raise OverflowError(f"more than {number} parts of a kind")
        self[part] = number
        self.known.append(part)
        return number


class Parts:
    """The worlds of a machine, numbered as they are met; each step is judged when it is first met."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._among = range(machine.size.controllers)
        self._numbers = tuple(Numbers(bits) for bits in BITS)
        self._controllers = self._numbers[CONTROLLER]
        self._watchers = Numbers(20)  # (circuit before, client)
        self._looks: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._later: dict[int, int] = {}
        self._replaced: dict[tuple[int, int], int] = {}
        self._places = [MASKS[CONTROLLER] << who * BITS[CONTROLLER] for who in self._among]
        assert self._controllers[NOBODY] == 0  # so that idle controllers are no bits of a world

    def pack(self, state: State) -> tuple[int, int]:
        """Return a state as a world and the bit of its watcher."""
        parts = (state[0], state[1], state[2], (state[6], state[7]), state[8])
        world = sum(self._numbers[part][value] << AT[part] for part, value in enumerate(parts))
        for who, controller in enumerate(state[4]):
            world |= self._controllers[controller] << AT[CONTROLLER] + who * BITS[CONTROLLER]
        return world, 1 << self._watchers[state[3], state[5]]

    def unpack(self, world: int, watcher: int) -> State:
        """Return the state of a world and the bit of a watcher."""
        before, client = self._watcher(watcher)
        controllers = tuple(self._controller(world, who) for who in self._among)
        now, checkpoint, circuit, (events, budgets), past = (
            self._part(world, part) for part in range(CONTROLLER)
        )
        return (now, checkpoint, circuit, before, controllers, client, events, budgets, past)

    def _part(self, world: int, part: int) -> State:
        return self._numbers[part].known[(world & MASKS[part]) >> AT[part]]

    def _controller(self, world: int, who: int) -> State:
        return self._part(world >> who * BITS[CONTROLLER], CONTROLLER)

    def _watcher(self, bit: int) -> State:
        return self._watchers.known[bit.bit_length() - 1]

    def states(self, worlds: dict[int, int]) -> Iterator[State]:
        """Yield the states of worlds, each with the bits of its watchers."""
        for world, watchers in worlds.items():
            for watcher in _bits(watchers):
                yield self.unpack(world, watcher)

    def places(self, who: int) -> tuple[int, int]:
        """Return which bits of a world are a controller's place, and which are the others' places."""
        return self._places[who], sum(self._places) - self._places[who]

    def reads(self, world: int, who: int, *, others: bool) -> int:
        """Return which bits of a world a controller reads at its step, beside others at work or not."""
        never, beside = UNREAD[self._controller(world, who)[0]]
        unread = never | beside if others else never
        return self._places[who] | sum(MASKS[part] for part in range(CONTROLLER) if part not in unread)

    def steps(self, world: int, who: int, watchers: int, *, others: bool) -> Steps:
        """Return the steps of a controller beside others who are at work, or are not.

        Raises:
            BrokenLawError: One of them breaks a law, for any of `watchers`.
            UnseenError: It reads or changes what it must not.
        """
        read = self.reads(world, who, others=others)
        now, checkpoint, circuit, inputs, past = (
            self._part(world, part) if read & MASKS[part] else HIDDEN for part in range(CONTROLLER)
        )
        events, budgets = inputs
        places = [BUSY if others else NOBODY] * len(self._among)
        places[who] = self._controller(world, who)
        state = (now, checkpoint, circuit, HIDDEN, tuple(places), HIDDEN, events, budgets, past)
        steps: tuple[list[int], list[int]] = ([], [])
        for edge in self.machine.controller(state, who):
            if edge.broken:
                raise BrokenLawError(edge, world, watchers & -watchers)
            _require_untouched(state, edge.state, who)
            steps[edge.state[3] is not HIDDEN].append(self._added(world, state, edge.state, who))
        return Steps(tuple(steps[0]), tuple(steps[1]))

    def _added(self, world: int, state: State, after: State, who: int) -> int:
        """Return what a step of a controller adds to a world: of parts that it left alone, nothing."""
        number = self._numbers
        own = self._controllers[after[4][who]] << AT[CONTROLLER]
        added = own - (world >> who * BITS[CONTROLLER] & MASKS[CONTROLLER]) << who * BITS[CONTROLLER]
        for part, at in ((CHECKPOINT, 1), (CIRCUIT, 2), (PAST, 8)):
            if after[at] is not state[at]:
                added += (number[part][after[at]] << AT[part]) - (world & MASKS[part])
        if after[6] is not state[6] or after[7] is not state[7]:
            added += (number[INPUTS][after[6], after[7]] << AT[INPUTS]) - (world & MASKS[INPUTS])
        return added

    def replaced(self, world: int, watchers: int) -> int:
        """Return who the watchers are when the world's circuit item has become the one before."""
        key = (world & MASKS[CIRCUIT], watchers)
        after = self._replaced.get(key)
        if after is None:
            circuit, after = self._part(world, CIRCUIT), 0
            for watcher in _bits(watchers):
                after |= 1 << self._watchers[circuit, self._watcher(watcher)[1]]
            self._replaced[key] = after
        return after

    def looks(self, world: int, watchers: int) -> Looks:
        """Return the steps of the client and of the clock for each of some watchers of a world.

        Raises:
            BrokenLawError: One of them breaks a law.
            UnseenError: One reads or changes what it must not.
        """
        steps = to = later = 0
        for watcher in _bits(watchers):
            key = (world & SIGHT, watcher)
            one = self._looks.get(key)
            if one is None:
                one = self._looks[key] = self._looks_of(world, watcher)
            steps, to, later = steps + one[0], to | one[1], one[2]
            if self._later.setdefault(world & SIGHT, later) != later:
                raise UnseenError("what time does to the stores depends on the client")
        return Looks(steps, to, later)

    def _looks_of(self, world: int, watcher: int) -> tuple[int, int, int]:
        """Return a watcher's steps, the watchers that they lead to, and what time adds to the world."""
        before, client = self._watcher(watcher)
        now, checkpoint, circuit, past = (
            self._part(world, part) for part in (NOW, CHECKPOINT, CIRCUIT, PAST)
        )
        state = (now, checkpoint, circuit, before, HIDDEN, client, HIDDEN, HIDDEN, past)
        steps = to = later = 0
        for edge in (*self.machine.time(state), *self.machine.reads(state)):
            if edge.broken:
                raise BrokenLawError(edge, world, watcher)
            after = edge.state
            steps += 1
            changed = {
                at for at, (one, other) in enumerate(zip(after, state, strict=True)) if one is not other
            }
            if changed <= {5}:
                to |= 1 << self._watchers[before, after[5]]
            elif changed <= {0, 1}:
                for part in (NOW, CHECKPOINT):
                    later += (self._numbers[part][after[part]] << AT[part]) - (world & MASKS[part])
            else:
                raise UnseenError(f"a look or the clock changed the parts {sorted(changed)} of the state")
        return steps, to, later


def _require_untouched(state: State, after: State, who: int) -> None:
    """A controller changes the stores, the events, the budgets, the past and itself."""
    others = after[4][:who] == state[4][:who] and after[4][who + 1 :] == state[4][who + 1 :]
    kept = after[2] is state[2] if after[3] is HIDDEN else after[3] is state[2]
    if not (others and kept and after[0] is state[0] and after[5] is HIDDEN):
        raise UnseenError("a controller changed what is not its own")


def _bits(some: int) -> Iterator[int]:
    while some:
        one = some & -some
        yield one
        some -= one
