"""What the tests of the documentation share: where it is, and the tools that write parts of it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tool_modules import tool_module

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def docs_reference() -> ModuleType:
    """tools/docs_reference.py, which is no package."""
    return tool_module("docs_reference")
