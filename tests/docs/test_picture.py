"""The README's picture is small, stands alone, and shows what a run shows."""

from __future__ import annotations

import re
from types import ModuleType
from xml.etree import ElementTree as Xml

import pytest

from tool_modules import tool_module

BYTES_MAX = 100_000


@pytest.fixture(scope="module")
def tool(root) -> ModuleType:
    """tools/readme_picture.py, which is no package."""
    return tool_module("readme_picture")


def test_the_picture_is_small_and_needs_nothing_else(tool):
    """Code hosts refuse scripts and foreign links; a page with a heavy picture is closed."""
    text = tool.PICTURE.read_text()
    assert len(text) < BYTES_MAX
    assert "prefers-color-scheme:dark" in text
    assert not re.search(r"<script|href=|url\(|@import", text)
    assert Xml.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own file


def test_the_picture_shows_what_a_run_shows(tool):
    """After a change of law, client or plant: python tools/readme_picture.py."""
    scenario = tool.load_known(tool.SCENARIO)
    picture = Xml.fromstring(tool.PICTURE.read_text())  # noqa: S314 - our own file
    runs = {name: tool.simulated(name, scenario) for name in (tool.STATIC, tool.OURS)}
    for name, result in runs.items():
        shown = float(picture.attrib[f"data-{name}-lost-min"])
        assert result.measures["lost_min"] == pytest.approx(shown, rel=0.2)
    again = tool.picture(scenario, runs[tool.STATIC], runs[tool.OURS])
    assert again.count("<path") == tool.PICTURE.read_text().count("<path")
