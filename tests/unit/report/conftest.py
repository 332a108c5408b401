"""A service and a report that several tests look at; made once."""

from __future__ import annotations

import pytest

from flyball_analytics.report.model import Report, build
from flyball_analytics.report.watch import Watched
from report_world import MANIFEST, watched


@pytest.fixture(scope="session")
def payments() -> Watched:
    """Return the labelled service, watched once."""
    return watched()


@pytest.fixture(scope="session")
def small(payments: Watched) -> Report:
    """Return a report on one service, without a comparison."""
    return build([payments], MANIFEST)
