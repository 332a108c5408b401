"""Ours: the kernel's value detector behind the protocol of the references, bit for bit what runs live."""

from __future__ import annotations

from flyball_analytics.detectors.base import Verdict
from flyball_controller.core.band import step
from flyball_controller.core.band_settings import BandSettings, checked
from flyball_controller.core.band_state import BandState, BandVerdict, Point


class LevelProfile:
    """Level, seasons and lonely peaks of one metric (core/band.py)."""

    def __init__(self, settings: BandSettings | None = None) -> None:
        """`settings` default to the shipped ones.

        Raises:
            PolicyError: They cannot be obeyed; `field` names the value.
        """
        self.settings = checked(BandSettings() if settings is None else settings)
        self.state = BandState()

    def judge(self, at_s: float, value: float, period_s: float) -> BandVerdict:
        """Return the kernel's own verdict, with confidence and note."""
        self.state, verdict = step(self.state, Point(at_s, period_s, value), self.settings)
        return verdict

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return whether the value is over the band, by the vote of its interval."""
        said = self.judge(at_s, value, period_s)
        known = said.ready
        return Verdict(said.firing, said.level if known else None, said.upper if known else None, known)
