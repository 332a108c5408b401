"""Writes down what real stores and clients did, as the events that the model's rules speak of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from flyball.breaker import Breaker
from flyball.contract import FLEET, Circuit
from flyball.records import is_kill_switch
from flyball_controller.ports import Conflict, Saved
from model.conformance import Event
from simulation.dynamo import Item
from simulation.laws import ClientBooks


def _version(item: Item) -> int:
    return int(float(item.get("version", {}).get("N", 0)))


def _stamp(item: Item) -> float:
    return float(item.get("stamp", {}).get("N", -1.0))


class Recorder:
    """Events in the order in which they happened; `damaged` are keys whose past cannot be read any more."""

    def __init__(self, damaged: Collection[str] = ()) -> None:
        self.events: list[Event] = []
        self._damaged = damaged

    def see_try(self, table: str, key: tuple[str, ...], before: Item, item: Item, went: bool) -> None:
        """A conditional write was tried."""
        name = "/".join(key)
        if table == "states":
            self.events.append(Event("save", name, "", _version(item) - 1, _version(before), went))
            evidence, known = _stamp(item), _stamp(before)
            ours = not name.startswith("#") and name not in self._damaged
            if went and ours and evidence != known:
                self.events.append(Event("count", name, "", evidence, known, went=True))
        elif table == "circuits":
            self.events.append(Event("publish", name, "", _version(item), _version(before), went))

    def see_told(
        self, key: str, write_id: str, expected: int, standing: Item, outcome: Saved | Conflict
    ) -> None:
        """A controller was told what became of its save."""
        known = standing.get("write_id", {}).get("S", "")
        went, became = (True, outcome.version) if isinstance(outcome, Saved) else (False, -1)
        self.events.append(Event("told", key, write_id, expected, _version(standing), went, known, became))

    @contextmanager
    def watching_clients(self) -> Iterator[None]:
        """Write down which circuits clients take and enforce, for the length of a `with`."""
        real, seen = Breaker.publish, ClientBooks.see_enforced

        def see_enforced(books: Any, item: Circuit | None, state: Any, wall_s: float) -> None:
            if item is not None:  # as it was written, whatever the client makes of it
                until_s = books.written_until_s(item, state)
                self.events.append(Event("enforce", item.target, "", until_s, wall_s, went=True))
            seen(books, item, state, wall_s)

        def publish(breaker: Any, circuit: Circuit) -> bool:
            fleet = circuit.function == FLEET
            slot = "_switch" if is_kill_switch(circuit) else "_fleet" if fleet else "_function"
            known = getattr(breaker, slot)
            went = real(breaker, circuit)
            standing = known.version if known is not None else 0
            self.events.append(Event("take", circuit.target, "", circuit.version, standing, went))
            return went

        with (
            patch.object(Breaker, "publish", publish),
            patch.object(ClientBooks, "see_enforced", see_enforced),
        ):
            yield


__all__ = ["Event", "Recorder"]
