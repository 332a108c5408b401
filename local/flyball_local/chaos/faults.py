"""What can be made to go wrong, as data: each fault knows how to begin and how to end, and nothing else.

Every fault is one that the managed chaos services inject too, or its nearest
relative where none of them reaches (docs/how-to/chaos.md has the table).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from flyball_local.chaos.fleet import Strike
from flyball_local.chaos.world import World
from flyball_local.faults import FaultQueue

# As good as for ever: a fault is ended by `end`, not by running out.
CALLS_MAX = 10**9
SLOW_S = 30.0  # longer than anybody waits


class Fault(Protocol):
    """Something that goes wrong for a while."""

    def begin(self, world: World) -> None:
        """Let it go wrong."""

    def end(self, world: World) -> None:
        """Mend it."""


class TargetFails(NamedTuple):
    """The target's answers go wrong, by `flyball.faults`. `number` tells several at once apart."""

    strike: Strike
    number: int = 0

    def begin(self, world: World) -> None:
        """Inject into all environments."""
        world.strike(self.number, self.strike)

    def end(self, world: World) -> None:
        """Take it out again."""
        world.mend(self.number)


class StoreFails(NamedTuple):
    """DynamoDB refuses, fails or is slow, for the functions and the controller alike."""

    how: str  # "throttle", "error", "slow"

    def begin(self, world: World) -> None:
        """Every call from now on."""
        _ORDERS[self.how](world.cloud.aws.dynamodb.faults)
        world.disturbed = True

    def end(self, world: World) -> None:
        """Answer again."""
        world.cloud.aws.dynamodb.faults.clear()
        world.disturbed = False


_ORDERS: dict[str, Callable[[FaultQueue], None]] = {
    "throttle": lambda queue: queue.throttle(CALLS_MAX),
    "error": lambda queue: queue.server_error(CALLS_MAX),
    "slow": lambda queue: queue.slow(CALLS_MAX, delay_s=SLOW_S),
}


class DocumentDamaged(NamedTuple):
    """What functions read in place of the configuration document."""

    content: bytes

    def begin(self, world: World) -> None:
        """Every answer with a content, and every unchanged one too."""
        world.damage = lambda content: self.content

    def end(self, world: World) -> None:
        """Serve what AppConfig says."""
        world.damage = None


class ControllerGone(NamedTuple):
    """No tick and no alarm reaches the controller."""

    def begin(self, world: World) -> None:
        """Lose all events on the way."""
        world.reach_controller(False)
        world.struck += 1

    def end(self, world: World) -> None:
        """Deliver again; what was lost stays lost."""
        world.reach_controller(True)


class ClocksWrong(NamedTuple):
    """Wall clocks of environments are wrong by these seconds, in turn."""

    wrong_by_s: tuple[float, ...]

    def begin(self, world: World) -> None:
        """Set them, all at once."""
        world.set_clocks(*self.wrong_by_s)
        world.struck += 1

    def end(self, world: World) -> None:
        """Set them right."""
        world.set_clocks(0.0)


class ColdStart(NamedTuple):
    """A deployment replaces all environments while traffic multiplies; first answers take long."""

    factor: float
    cold_s: float

    def begin(self, world: World) -> None:
        """Replace them, and let the storm come."""
        world.replace_environments()
        world.rate_factor, world.cold_s = self.factor, self.cold_s

    def end(self, world: World) -> None:
        """Traffic as before."""
        world.rate_factor, world.cold_s = 1.0, 0.0
