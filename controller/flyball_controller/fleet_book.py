"""The fleet's memory during one round: read once, asked before each step, saved at the end.

There are two records. What targets do that act is in one; in the other is what the
fleet would have done if those in shadow acted as well. A rehearsal obeys the second,
and what acts knows nothing of it: that a target in shadow "is open" keeps nobody else
from opening (O3).

A record names only targets that there are, and that act: one that was taken out of the
installation, or put into shadow, while its circuit was open is never decided upon again,
and would keep its place in the fleet's share for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from flyball_controller.codec import short_hash
from flyball_controller.core.fleet import FleetState, apply_fleet, fleet_step
from flyball_controller.core.model import Decision, Mode
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State
from flyball_controller.fleet_codec import decode_fleet, encode_fleet
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import Checkpoint, Checkpoints, PortError, Saved

FLEET_KEY = "#fleet"
REHEARSAL_KEY = "#fleet-shadow"
SAVE_ATTEMPTS = 3
# More of those that tightened lately than the policy counts change no verdict; all of a large fleet would
# outgrow an item of the table (400 KB), in the very minute in which the freeze is for.
TIGHTENED_KEPT = 100


@dataclass
class _Page:
    """One record: as stored, with what this round decided so far, and the decisions themselves."""

    key: str
    modes: frozenset[Mode]  # of the targets that are in it
    version: int = 0
    stored: FleetState = field(default_factory=FleetState)
    now: FleetState = field(default_factory=FleetState)
    decisions: list[Decision] = field(default_factory=list)


class FleetBook:
    """The fleet's records for one round.

    Args:
        policies: The operator's intent.
        now_s: Time of the round, epoch seconds.
        fleet: All targets there are; None or empty = not known.
        size: How many targets there are at least.
    """

    def __init__(
        self, policies: PolicySet, *, now_s: float, fleet: Collection[str] | None, size: int
    ) -> None:
        self._policies = policies
        self._now_s = now_s
        self._fleet = frozenset(fleet or ())
        self._size = max(len(self._fleet), size)
        self._acting = _Page(FLEET_KEY, frozenset({Mode.ACTIVE}))
        self._rehearsal: _Page | None = None
        if any(policy.mode == Mode.SHADOW for policy in (policies.default, *policies.targets.values())):
            self._rehearsal = _Page(REHEARSAL_KEY, frozenset({Mode.ACTIVE, Mode.SHADOW}))

    @property
    def keys(self) -> tuple[str, ...]:
        """Where the records are stored."""
        return tuple(page.key for page in self._pages())

    def _pages(self) -> list[_Page]:
        return [self._acting] if self._rehearsal is None else [self._acting, self._rehearsal]

    def read(self, stored: Mapping[str, Checkpoint]) -> None:
        """Take the records as they are stored."""
        for page in self._pages():
            page.version = stored[page.key].version
            page.stored = decode_fleet(stored[page.key].data)
            page.now = self._alive(page, page.stored)

    def judge(self, state: State, policy: Policy, *, target: str) -> State:
        """Return the state with the fleet's verdict: may this target open, may it loosen."""
        page = self._acting
        if self._rehearsal is not None and policy.mode == Mode.SHADOW:
            page = self._rehearsal
        return apply_fleet(state, page.now, policy, target=target, fleet_size=self._size)

    def note(self, decisions: tuple[Decision, ...], policy: Policy) -> None:
        """Take what was decided for one target; those that come after it in the round know."""
        for page in self._pages():
            if policy.mode in page.modes:
                page.decisions.extend(decisions)
                if any(decision.changed for decision in decisions):
                    page.now = self._stepped(page, page.now, decisions)

    def save(self, checkpoints: Checkpoints) -> list[PortError]:
        """Store what changed; a lost race is stepped again from the winner's. Failures are returned."""
        errors: list[PortError] = []
        for page in self._pages():
            try:
                self._save(page, checkpoints)
            except PortError as error:
                errors.append(error)
        return errors

    def _save(self, page: _Page, checkpoints: Checkpoints) -> None:
        for _ in range(SAVE_ATTEMPTS):
            fleet = self._stepped(page, page.stored, tuple(page.decisions))
            if fleet == page.stored:
                return
            data = encode_fleet(fleet)
            saved = checkpoints.save(
                page.key,
                data,
                expected_version=page.version,
                write_id=short_hash(data + repr(self._now_s).encode()),
                stamp_s=self._now_s,
                now_s=self._now_s,
            )
            if isinstance(saved, Saved):
                return
            page.version = saved.current.version
            page.stored = decode_fleet(saved.current.data)

    def _stepped(self, page: _Page, fleet: FleetState, decisions: tuple[Decision, ...]) -> FleetState:
        policy = self._policies.default
        after = fleet_step(self._alive(page, fleet), decisions, policy, at_s=self._now_s)
        kept = max(TIGHTENED_KEPT, policy.correlated_min)  # the newest stand last
        return after._replace(tightened=after.tightened[-kept:])

    def _alive(self, page: _Page, fleet: FleetState) -> FleetState:
        """Return the record without targets that are no more, or no longer act in it."""

        def counts(name: str) -> bool:
            there = not self._fleet or name in self._fleet
            return there and self._policies.for_target(name).mode in page.modes

        return fleet._replace(
            open_targets=tuple(name for name in fleet.open_targets if counts(name)),
            tightened=tuple(entry for entry in fleet.tightened if counts(entry[0])),
        )
