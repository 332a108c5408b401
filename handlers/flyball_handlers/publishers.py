"""The publisher of a deployment without AppConfig: circuits only.

Circuit items carry the retry level too, so a fleet can run without a
configuration document. This publisher says so honestly: it deploys nothing,
wants nothing offered again, and knows no document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flyball.contract import Document, TargetParams
from flyball_controller.ports import PublishReport, PublishStatus

if TYPE_CHECKING:
    from flyball_controller.ports import ConfigPublisher


class NoPublisher:
    """Publishes nothing."""

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


if TYPE_CHECKING:
    _fits: type[ConfigPublisher] = NoPublisher
