"""Ports for what an installation does not have: honest about seeing nothing and publishing nothing.

A fleet can run without a configuration document, because circuit items carry the
retry level too. An override needs no metrics, and whoever makes one by hand may
have no right to read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flyball.contract import Document, TargetParams
from flyball_controller.core.model import Observation
from flyball_controller.ports import PublishReport, PublishStatus

if TYPE_CHECKING:
    from flyball_controller.ports import ConfigPublisher, Sensor


class NoPublisher:
    """Publishes nothing, wants nothing offered again, and knows no document."""

    def current(self) -> Document | None:
        """Return None: there is no document."""
        return None

    def publish(
        self, params: Mapping[str, TargetParams], *, urgent: bool, policy_hash: str, now_s: float
    ) -> PublishReport:
        """Return that nothing changed."""
        return PublishReport(
            PublishStatus("unchanged", False), 0, "no AppConfig profile is set: circuits only"
        )


class NoSensor:
    """Sees nothing: silence, which neither opens nor closes (C7)."""

    def read(
        self, targets: Sequence[str], *, since_s: Mapping[str, float], now_s: float
    ) -> Mapping[str, tuple[Observation, ...]]:
        """Return nothing."""
        return {}

    def history(self, target: str, *, until_s: float, days: int) -> tuple[Observation, ...]:
        """Return nothing."""
        return ()


if TYPE_CHECKING:
    _publisher: type[ConfigPublisher] = NoPublisher
    _sensor: type[Sensor] = NoSensor
