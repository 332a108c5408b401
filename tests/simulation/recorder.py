"""Writes down what real stores and clients did, as the events that the model's rules speak of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from flyball.breaker import Breaker
from flyball.contract import FLEET, Circuit
from flyball.records import is_kill_switch
from flyball_controller.ports import Conflict, Saved
from model.conformance import Event
from simulation.dynamo import Item


def _version(item: Item) -> int:
    return int(float(item.get("version", {}).get("N", 0)))


class Recorder:
    """Events in the order in which they happened."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see_try(self, table: str, key: tuple[str, ...], before: Item, item: Item, went: bool) -> None:
        """A conditional write was tried."""
        name = "/".join(key)
        if table == "states":
            self.events.append(Event("save", name, "", _version(item) - 1, _version(before), went))
        elif table == "circuits":
            self.events.append(Event("publish", name, "", _version(item), _version(before), went))

    def see_told(
        self, key: str, write_id: str, expected: int, standing: Item, outcome: Saved | Conflict
    ) -> None:
        """A controller was told what became of its save."""
        known = standing.get("write_id", {}).get("S", "")
        went = isinstance(outcome, Saved)
        self.events.append(Event("told", key, write_id, expected, _version(standing), went, known))

    @contextmanager
    def watching_clients(self) -> Iterator[None]:
        """Write down which circuits clients take, for the length of a `with`."""
        real = Breaker.publish

        def publish(breaker: Any, circuit: Circuit) -> bool:
            fleet = circuit.function == FLEET
            slot = "_switch" if is_kill_switch(circuit) else "_fleet" if fleet else "_function"
            known = getattr(breaker, slot)
            went = real(breaker, circuit)
            standing = known.version if known is not None else 0
            self.events.append(Event("take", circuit.target, "", circuit.version, standing, went))
            return went

        with patch.object(Breaker, "publish", publish):
            yield


__all__ = ["Event", "Recorder"]
