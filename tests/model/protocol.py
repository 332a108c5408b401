"""The protocol as a finite machine: controllers, a checkpoint, a circuit item, a client, time and faults.

    state = (now, checkpoint, circuit, circuit before, controllers, client, events, budgets, past)

All numbers are small integers, so that a state is hashed fast. Events may come
in any order; one that was not acknowledged comes again. Budgets bound duplicates,
lost replies, throttles, crashes and ticks, which makes the machine finite. `past`
is what no process can see: each write in its order, and how often each event
counted. Laws are judged on every edge, not only on new states: a step back into
a known state is as wrong as any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from model import rules
from model.rules import CLOSED, CONFLICTS_MAX, OPEN

IDLE, WOKEN, LOADED, AGAIN, PUBLISH, EARLY = range(6)
TICK = 0  # the event that carries no evidence
NOBODY = (IDLE, 0, 0, 0, 0, 0, 0)  # step, event, version, stamp, state, conflicts, write id

State = tuple  # type: ignore[type-arg]  # nested tuples of ints; named where they are taken apart
Controller = tuple[int, int, int, int, int, int, int]


class Size(NamedTuple):
    """How much may happen.

    An odd number of events ends open, and a tick that renews it may be lost: ticks do not
    come again here, so P5 would miss a renewal that the product makes in the next minute.
    """

    controllers: int = 2
    events: int = 2
    duplicates: int = 1
    lost: int = 1
    throttles: int = 1
    crashes: int = 1
    ticks: int = 1
    time: int = 3


class Edge(NamedTuple):
    """A step: what happened, where it leads, and which law it broke ("" for none)."""

    label: str
    state: State
    broken: str


def verdict(evidence: int) -> int:
    """What a controller decides on a piece of evidence: bad and good news take turns."""
    return OPEN if evidence % 2 else CLOSED


class Machine:
    """The protocol of a size, with one rule `wrong` or none."""

    def __init__(self, size: Size, wrong: str = "") -> None:
        self.size = size
        self.wrong = wrong

    def begin(self) -> State:
        """Return the state in which nothing has happened."""
        size = self.size
        events = (size.ticks, *(1 for _ in range(size.events)))
        budgets = (size.duplicates, size.lost, size.throttles, size.crashes)
        past = ((), (0,) * (size.events + 1))
        controllers = (NOBODY,) * size.controllers
        return (0, (0, 0, 0, 0), (0, 0, 0), (0, 0, 0), controllers, (0, 0, 0), events, budgets, past)

    def edges(self, state: State) -> Iterator[Edge]:
        """Yield every step that is possible."""
        for who in range(len(state[4])):
            yield from self.controller(state, who)
        yield from self.time(state)
        yield from self.reads(state)

    def controller(self, state: State, who: int) -> Iterator[Edge]:
        """Yield the steps of one controller."""
        step = state[4][who][0]
        if step == IDLE:
            yield from self._wake(state, who)
            return
        if state[7][3]:
            yield self._crash(state, who)
        if step == WOKEN:
            yield from self._load(state, who)
        elif step == LOADED:
            yield from self._save(state, who)
        elif step == AGAIN:
            yield self._again(state, who)
        else:
            yield from self._publish(state, who)

    # --- events ----------------------------------------------------------------------------

    def _wake(self, state: State, who: int) -> Iterator[Edge]:
        events, budgets = state[6], state[7]
        for event, left in enumerate(events):
            if left:
                taken = (*events[:event], left - 1, *events[event + 1 :])
                woken = (WOKEN, event, 0, 0, 0, 0, 0)
                yield Edge(f"{who} woken by {event}", self._with(state, who, woken, events=taken), "")
                if budgets[0] and event != TICK:
                    spent = (budgets[0] - 1, *budgets[1:])
                    yield Edge(
                        f"{who} woken by {event} and a copy",
                        self._with(state, who, woken, budgets=spent),
                        "",
                    )

    def _with(
        self,
        state: State,
        who: int,
        controller: Controller,
        *,
        checkpoint: State | None = None,
        circuit: State | None = None,
        events: State | None = None,
        budgets: State | None = None,
        past: State | None = None,
    ) -> State:
        controllers = (*state[4][:who], controller, *state[4][who + 1 :])
        return (
            state[0],
            state[1] if checkpoint is None else checkpoint,
            state[2] if circuit is None else circuit,
            state[3] if circuit is None else state[2],
            controllers,
            state[5],
            state[6] if events is None else events,
            state[7] if budgets is None else budgets,
            state[8] if past is None else past,
        )

    def _back(self, state: State, who: int, *, acknowledged: bool = False, spent: int = -1) -> State:
        """The round is over without success: its event comes again, unless it was acknowledged."""
        event, events, budgets = state[4][who][1], state[6], state[7]
        if not acknowledged and event != TICK:
            events = (*events[:event], events[event] + 1, *events[event + 1 :])
        if spent >= 0:
            budgets = (*budgets[:spent], budgets[spent] - 1, *budgets[spent + 1 :])
        return self._with(state, who, NOBODY, events=events, budgets=budgets)

    def _crash(self, state: State, who: int) -> Edge:
        early = self.wrong == "event acknowledged before the work"
        return Edge(f"{who} crashes", self._back(state, who, acknowledged=early, spent=3), "")

    # --- a round -----------------------------------------------------------------------------

    def _load(self, state: State, who: int) -> Iterator[Edge]:
        event = state[4][who][1]
        version, _, stamp, decided = state[1]
        loaded = (LOADED, event, version, stamp, decided, 0, 0)
        if self.wrong == "circuit written before the state" and rules.counts(event, stamp):
            loaded = (EARLY, event, version, stamp, decided, 0, 0)
        yield Edge(f"{who} loads {version}", self._with(state, who, loaded), "")
        if state[7][2]:
            acknowledged = self.wrong == "event acknowledged after a throttle"
            after = self._back(state, who, acknowledged=acknowledged, spent=2)
            yield Edge(f"{who} cannot load", after, self._quiescent(after))

    def _save(self, state: State, who: int) -> Iterator[Edge]:
        _, event, version, stamp, decided, conflicts, _ = state[4][who]
        renews = event == TICK and decided == OPEN
        if not (renews or (event != TICK and rules.counts(event, stamp, wrong=self.wrong))):
            if version == 0 or self.wrong == "nothing new, so nothing offered again":
                after = self._with(state, who, NOBODY)
                yield Edge(f"{who} finds nothing new", after, self._quiescent(after))
                return
            offered = (PUBLISH, event, version, stamp, decided, conflicts, 0)
            yield Edge(f"{who} offers {version} again", self._with(state, who, offered), "")
            return
        new = (stamp, decided) if event == TICK else (event, verdict(event))
        write_id = 16 * (who + 1) + version + 1
        yield from self._written(state, who, new, write_id)
        if state[7][2]:
            acknowledged = self.wrong == "event acknowledged after a throttle"
            after = self._back(state, who, acknowledged=acknowledged, spent=2)
            yield Edge(f"{who} throttled", after, self._quiescent(after))

    def _written(self, state: State, who: int, new: tuple[int, int], write_id: int) -> Iterator[Edge]:
        _, event, version, _, _, conflicts, _ = state[4][who]
        standing = state[1]
        same = standing[3] == state[4][who][4]
        if not rules.may_save(standing[0], version, same, wrong=self.wrong):
            yield self._refused(state, who, new, write_id)
            return
        saved = rules.next_version(version, wrong=self.wrong)
        checkpoint = (saved, write_id, *new)
        writes, applied = state[8]
        if event != TICK:
            applied = (*applied[:event], min(2, applied[event] + 1), *applied[event + 1 :])
        past = ((*writes, (saved, write_id, new[1])), applied)
        broken = self._judge_save(standing, version, checkpoint, applied)
        publish = (PUBLISH, event, saved, *new, conflicts, write_id)
        if self.wrong == "circuit under the version that was read":
            publish = (PUBLISH, event, version, *new, conflicts, write_id)
        after = self._with(state, who, publish, checkpoint=checkpoint, past=past)
        yield Edge(f"{who} saves {saved}", after, broken)
        if state[7][1]:
            budgets = (state[7][0], state[7][1] - 1, *state[7][2:])
            again = (AGAIN, event, version, *new, conflicts, write_id)
            kept = self._with(state, who, again, checkpoint=checkpoint, past=past, budgets=budgets)
            yield Edge(f"{who} saves {saved}, sent again", kept, broken)
            lost = self._with(state, who, state[4][who], checkpoint=checkpoint, past=past, budgets=budgets)
            yield Edge(f"{who} saves {saved}, no reply", self._back(lost, who), broken)

    def _again(self, state: State, who: int) -> Edge:
        """The same write once more: its first reply was lost."""
        _, _event, version, stamp, decided, _, write_id = state[4][who]
        if self.wrong == "write id new at each try":
            write_id += 8
        if rules.may_save(state[1][0], version, False, wrong=self.wrong):
            return next(self._written(state, who, (stamp, decided), write_id))
        return self._refused(state, who, (stamp, decided), write_id)

    def _refused(self, state: State, who: int, new: tuple[int, int], write_id: int) -> Edge:
        _, event, version, _, _, conflicts, first_id = state[4][who]
        standing = state[1]
        own = rules.is_own(standing[0], standing[1], version, write_id, wrong=self.wrong)
        if own or self.wrong == "conflict taken for success":
            told = (version + 1, write_id)
            broken = "" if any(write[:2] == told for write in state[8][0]) else "P9"
            after = self._with(state, who, (PUBLISH, event, version + 1, *new, conflicts, write_id))
            return Edge(f"{who} recognises its own {version + 1}", after, broken)
        broken = "P4" if standing[:2] == (version + 1, first_id) else ""
        if self.wrong == "conflict dropped":
            after = self._with(state, who, NOBODY)
            return Edge(f"{who} drops the conflict", after, broken or self._quiescent(after))
        conflicts += 1
        if conflicts > CONFLICTS_MAX and self.wrong != "conflicts without end":
            return Edge(f"{who} gives up", self._back(state, who), broken)
        broken = broken or ("P8" if conflicts > CONFLICTS_MAX else "")
        seen = (standing[0], standing[2], standing[3])
        if self.wrong == "old decision saved after a conflict":
            return self._overwritten(state, who, new, write_id)
        after = self._with(state, who, (LOADED, event, *seen, conflicts, 0))
        return Edge(f"{who} decides again", after, broken)

    def _overwritten(self, state: State, who: int, new: tuple[int, int], write_id: int) -> Edge:
        event = state[4][who][1]
        loaded = (LOADED, event, state[1][0], state[1][2], state[1][3], 0, 0)
        return next(self._written(self._with(state, who, loaded), who, new, write_id))

    def _publish(self, state: State, who: int) -> Iterator[Edge]:
        step, event, version, stamp, decided, conflicts, _ = state[4][who]
        early = step == EARLY
        shown = verdict(event) if early else decided
        if self.wrong == "circuit of the other state":
            shown = 1 - shown
        number = version + 1 if early else version
        done = (LOADED, event, version, stamp, decided, conflicts, 0) if early else NOBODY
        circuit, broken = None, ""
        if rules.may_publish(state[2][0], number, wrong=self.wrong):
            circuit = (number, shown, rules.ends_at(state[0], state[2][2], wrong=self.wrong))
            broken = self._judge_circuit(state, circuit)
        after = self._with(state, who, done, circuit=circuit)
        yield Edge(f"{who} publishes {number}", after, broken or self._quiescent(after))
        if state[7][2]:
            acknowledged = self.wrong == "event acknowledged though the circuit was not written"
            after = self._back(state, who, acknowledged=acknowledged, spent=2)
            yield Edge(f"{who} cannot publish", after, self._quiescent(after))
        if state[7][1]:
            lost = self._back(self._with(state, who, state[4][who], circuit=circuit), who, spent=1)
            yield Edge(f"{who} publishes {number}, no reply", lost, broken)

    # --- time and the client ---------------------------------------------------------------------

    def time(self, state: State) -> Iterator[Edge]:
        """Yield the step of the clock, if there is time left."""
        now = state[0]
        if now >= self.size.time:
            return
        checkpoint = state[1]
        if self.wrong == "checkpoint deleted when it expires" and state[2][2] == now and checkpoint[0]:
            checkpoint = (0, 0, 0, 0)
        after = (now + 1, checkpoint, *state[2:])
        broken = "P1" if checkpoint[0] < state[1][0] else self._judge_client(state, after)
        yield Edge("time passes", after, broken)

    def reads(self, state: State) -> Iterator[Edge]:
        """Yield the looks of the client: at the circuit item as it is, and as it was."""
        known = state[5]
        for item in {state[2], state[3]}:
            if item[0] and rules.takes(known[0], item[0], wrong=self.wrong):
                taken = item
                if self.wrong == "client prolongs the end":
                    taken = (item[0], item[1], state[0] + rules.VALID_FOR)
                if self.wrong == "client takes the state without the version" and known[0]:
                    taken = (known[0], item[1], item[2])
                after = (*state[:5], taken, *state[6:])
                yield Edge(f"client takes {item[0]}", after, self._judge_client(state, after))
        found = known
        if self.wrong == "client opens from nothing" and not state[2][0]:
            found = (0, OPEN, state[0] + rules.VALID_FOR)
        if self.wrong == "client opens when the store is down":
            found = (known[0], OPEN, state[0] + rules.VALID_FOR)
        if self.wrong == "client forgets when the store is down":
            found = (0, 0, 0)
        if found != known:
            after = (*state[:5], found, *state[6:])
            broken = "K3" if known[0] else self._judge_client(state, after)
            yield Edge("client reads nothing", after, broken)

    # --- laws --------------------------------------------------------------------------------------

    @staticmethod
    def _judge_save(before: State, read: int, after: State, applied: State) -> str:
        if after[0] != before[0] + 1:
            return "P1"
        if before[0] != read:
            return "P7"
        if after[2] < before[2]:
            return "P2"
        return "P3" if max(applied) > 1 else ""

    @staticmethod
    def _judge_circuit(state: State, circuit: tuple[int, int, int]) -> str:
        if circuit[0] <= state[2][0]:
            return "P1"
        if circuit[2] > state[0] + rules.VALID_FOR:
            return "P6"
        return "" if any((v, s) == circuit[:2] for v, _, s in state[8][0]) else "E5"

    def _judge_client(self, before: State, after: State) -> str:
        version, decided, end = after[5]
        if version < before[5][0]:
            return "K2"
        if not rules.enforces(decided, end, after[0], wrong=self.wrong):
            return ""
        if not any((v, s) == (version, OPEN) for v, _, s in after[8][0]):
            return "K4"
        written = max((item[2] for item in (after[2], after[3]) if item[0] == version), default=end)
        return "P6" if after[0] >= min(end, written) or end > written else ""

    def _quiescent(self, state: State) -> str:
        """When nothing is under way and nothing is to come, all evidence is in, and published (P5)."""
        if any(controller[0] != IDLE for controller in state[4]) or any(state[6][1:]):
            return ""
        if state[1][2] != self.size.events:
            return "P5"
        return "" if state[2][:2] == (state[1][0], state[1][3]) else "P5"
