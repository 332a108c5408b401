"""Many policies over one history, in one pass as long as they do the same.

Most policies of a search differ in thresholds that nothing comes near: they learn the
same, act in the same windows, and so are in the same state, bit for bit. Such policies
are replayed as one: the step runs on lanes (fastreplay_lanes.py), the quiet path looks at
the thresholds of all (fastreplay_block.py, `agreed`). Where they part, each part goes on
from the last state that they had in common. Nothing is assumed about the law: what is not
proven equal, window by window, is run apart.

What comes back of a window is what `keep` makes of it; its evidence may hold lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from flyball_analytics.fastreplay import Noted, Quick, Quiet, Rows, Tally, replay_rows
from flyball_analytics.fastreplay_lanes import Lanes, PartedError, joined, parts, same, whole
from flyball_analytics.fastreplay_memory import (
    LANE_FIELDS,
    Params,
    can_serve,
    columns_for,
    lanes_for,
    params_for,
)
from flyball_analytics.series import Series
from flyball_controller.core.model import Observation, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State, initial_state

if TYPE_CHECKING:
    from flyball_analytics.fastreplay_columns import History

Kept = TypeVar("Kept")
ROWS_KEPT = 20_000  # rows that are kept as observations for whoever comes next: some 20 MB
# Fields that every member of a group has in common: they choose a law, are part of a setpoint
# that stays applied, or are learned with.
SHARED = (
    "mode",
    "law",
    "promise",
    "false_opens_per_year",
    "attempts_nominal",
    "budget_nominal",
    "throttle_base_ms_nominal",
    "close_after",
    *(name for name in Params._fields if name in Policy._fields and name not in LANE_FIELDS),
)


class Together(NamedTuple, Generic[Kept]):
    """What policies that did the same came to, by their places: as `fastreplay.Outcome`, for all of them."""

    places: tuple[int, ...]
    noted: list[Kept]
    quiet: Quiet
    state: State


def run_together(
    history: Series | History,
    policies: Sequence[Policy],
    *,
    keep: Callable[[Noted, Setpoint], Kept],
    advance: Callable[..., int] | None,
) -> Iterator[Together[Kept]]:
    """Yield what policies came to, those together that did the same to the end; every place comes once.

    Each starts at a target never seen before.

    Args:
        history: As for `fastreplay.run`; `advance` takes columns only.
        policies: Any.
        keep: Makes of a noted step and the nominal setpoint what is wanted. It keeps nothing that
            holds a policy's own numbers: evidence, the proposal, the policy's hash.
        advance: Entry of the quiet path; None: every window is stepped.
    """
    rows = Rows(history, kept_max=ROWS_KEPT)
    columns = columns_for(history) if advance is not None and not isinstance(history, Series) else None
    todo = []
    for places in reversed(alike(policies)):
        members = [policies[place] for place in places]
        todo.append(_Group(places, members, apart(members), keep))
    while todo:
        group = todo.pop()
        quick = None
        if advance is not None and columns is not None and can_serve(group.members[0]):
            quick = Quick(advance, columns, params_for(group.members[0]), lanes_for(group.members))
        try:
            replay_rows(group, rows, quick)
        except PartedError as parted:
            todo += reversed(group.parted(parted, rows))
        else:
            low, between, clean = group.counts
            yield Together(group.places, group.noted, Quiet(clean, between, low), group.state)


def alike(policies: Sequence[Policy]) -> list[tuple[int, ...]]:
    """Return the places of policies that can start as one: equal in all of SHARED."""
    found: dict[str, list[int]] = {}
    for place, policy in enumerate(policies):
        shared = [getattr(policy, name) for name in SHARED]
        found.setdefault(repr((can_serve(policy), shared)), []).append(place)
    return [tuple(places) for places in found.values()]


def apart(policies: Sequence[Policy]) -> tuple[str, ...]:
    """Return the fields that differ between policies and need not be shared."""
    free = (name for name in Policy._fields if name not in (*SHARED, "digest"))
    return tuple(name for name in free if type(joined([getattr(one, name) for one in policies])) is Lanes)


def policy_of(members: Sequence[Policy], names: Sequence[str]) -> Policy:
    """Return one policy, with lanes in these fields where the members differ; of several it has no hash."""
    if len(members) == 1:
        return members[0]
    own = {name: joined([getattr(policy, name) for policy in members]) for name in names}
    return members[0]._replace(**own, digest="")


class _Group(Tally[Kept]):
    """The replay of several policies in one state."""

    def __init__(
        self,
        places: tuple[int, ...],
        members: Sequence[Policy],
        names: Sequence[str],
        keep: Callable[[Noted, Setpoint], Kept],
    ) -> None:
        super().__init__(policy_of(members, names), initial_state(members[0]), keep)
        self.places = places
        self.members = members
        self._names = names  # in which members may differ
        self._mark: tuple[int, State, int, list[int]] = (-1, self.state, 0, [0, 0, 0])

    def step(self, observation: Observation, *, look: bool) -> bool:
        """Take one step for all members.

        Raises:
            PartedError: If they do not all do the same.
        """
        if self._mark[0] != self.row:
            self._mark = (self.row, self.state, len(self.noted), list(self.counts))
        quiet = super().step(observation, look=look)
        whole(self.state)
        return quiet

    def parted(self, first: PartedError, rows: Rows) -> list[_Group[Kept]]:
        """Return the groups behind the row in which the members parted, in the order of their first members.

        Members may part over a reason or a count and still come to the same: such are one group again.
        """
        self._go_back()
        todo = [self._part(lanes) for lanes in reversed(parts(first.found))]
        done: list[_Group[Kept]] = []
        while todo:
            group = todo.pop()
            try:
                for observation, look in rows.seen(group.row):
                    group.step(observation, look=look)
            except PartedError as again:
                group._go_back()
                todo += [group._part(lanes) for lanes in reversed(parts(again.found))]
                continue
            group.row += 1
            twin = next((place for place, one in enumerate(done) if one._equals(group)), None)
            if twin is None:
                done.append(group)
            else:
                done[twin] = done[twin]._joined(group)
        return done

    def _go_back(self) -> None:
        """Forget what was done of the row in which the members parted."""
        _, self.state, length, self.counts = self._mark
        del self.noted[length:]

    def _part(self, lanes: Sequence[int]) -> _Group[Kept]:
        places = tuple(self.places[lane] for lane in lanes)
        return self._at([(place, self.members[lane]) for place, lane in zip(places, lanes, strict=True)])

    def _joined(self, other: _Group[Kept]) -> _Group[Kept]:
        pairs = [*zip(self.places, self.members, strict=True), *zip(other.places, other.members, strict=True)]
        return self._at(sorted(pairs, key=itemgetter(0)))

    def _at(self, pairs: Sequence[tuple[int, Policy]]) -> _Group[Kept]:
        """Return a group of these policies where this one is."""
        places, members = tuple(place for place, _ in pairs), [policy for _, policy in pairs]
        group = _Group(places, members, self._names, self.keep)
        group.row, group.state = self.row, self.state
        group.noted, group.counts = list(self.noted), list(self.counts)
        return group

    def _equals(self, other: _Group[Kept]) -> bool:
        return self.counts == other.counts and self.noted == other.noted and same(self.state, other.state)
