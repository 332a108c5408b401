"""A stage per test: running, and put away afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Yield a stage after two calm minutes."""
    with Stage() as built:
        built.pass_s(120.0)
        yield built
