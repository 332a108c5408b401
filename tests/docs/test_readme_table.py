"""The README's table of the demo: its rows are those of the demo, whatever the numbers are."""

from __future__ import annotations

from types import ModuleType

import pytest

from flyball_local.demo.scenario import scenario
from tool_modules import tool_module


@pytest.fixture(scope="module")
def tool(root) -> ModuleType:
    """tools/readme_table.py, which is no package."""
    return tool_module("readme_table")


def incident(service="payments-api", *, lost=(10, 2_000), back=(50.0, None)):
    """One incident of the demo's JSON, ours first."""
    arms = [{"lost": n, "recovered_after_s": s} for n, s in zip(lost, back, strict=True)]
    times = {"start_s": 0.0, "end_s": 240.0}
    return {"service": service, "label": "storm", **times, "flyball": arms[0], "static": arms[1]}


def test_every_incident_of_the_demo_has_its_row(tool):
    """An incident that the table leaves out is usually the one that was lost."""
    page = tool.README.read_text().split("<!-- generated: demo -->", 1)[1].split("<!-- end -->", 1)[0]
    shown = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")][2:]
    labels = [incident.label for incident in scenario().incidents]
    assert len(shown) == len(labels)
    for label, row in zip(sorted(labels), sorted(shown), strict=True):
        assert row.startswith(label)
    assert {incident.service for incident in scenario().incidents} == set(tool.ANSWERS)


def test_the_better_side_is_bold_and_a_storm_without_end_is_said(tool):
    """2,000 lost for ever on one side, 10 and back after 50 s on the other."""
    assert tool.rows([incident()]) == [
        ("storm, 4 min", "2,000, never back", "**10**, back after 50 s", "retry budget to 0")
    ]


def test_a_tie_has_no_winner_and_two_that_come_back_are_not_timed(tool):
    """Bold type is a claim."""
    (row,) = tool.rows([incident(lost=(80, 80), back=(0.0, 0.0))])
    assert row[1:3] == ("80", "80")


def test_an_incident_that_nobody_describes_is_refused(tool):
    """Else the table would say nothing of what was done."""
    with pytest.raises(SystemExit, match="new-service"):
        tool.rows([incident("new-service")])
