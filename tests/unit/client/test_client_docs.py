"""The client's page: its generated parts are current, and its examples run."""

from __future__ import annotations

import re

import pytest

from flyball.environment import Runtime
from flyball.guard import configure
from flyball.records import BOUNDS
from flyball.telemetry import COUNT_METRICS
from tool_modules import tool_module

client_docs = tool_module("client_docs")
PAGE = client_docs.PAGE.read_text()


def test_the_generated_parts_are_current():
    """After a change of records, telemetry, errors, hooks or a transition: python tools/client_docs.py."""
    assert client_docs.rendered(PAGE) == PAGE, "run: .venv/bin/python tools/client_docs.py"


def test_every_parameter_and_metric_is_in_its_table():
    """Counted from the source, not from the tool's own list."""
    for section, fields in BOUNDS.items():
        for field in fields:
            assert f"| `{section}.{field}` |" in PAGE
    for metric in COUNT_METRICS:
        assert f"| `{metric}` |" in PAGE


def test_the_diagram_of_the_code_shows_what_the_laws_say():
    """P6 and the local close: an expired circuit is half-open, then old news; good probes close."""
    drawn = client_docs.local_circuit()
    for edge in (
        "closed --> open_here: nearly all calls fail",
        "open_here --> half_open_here: open_s is over",
        "open_published --> closed: close_after good probes / published closed",
        "open_published --> half_open_expired: valid_until is over",
        "half_open_here --> open_here: a bad probe",
    ):
        assert f"    {edge}\n" in drawn
    assert "half_open_expired --> closed: " in drawn
    assert "open_published --> open_here" not in drawn


@pytest.mark.parametrize("kind", ["MEANINGS", "METRICS"])
def test_a_field_without_a_meaning_stops_the_tool(kind, monkeypatch):
    """And a meaning without a field: both are named."""
    known = getattr(client_docs, kind)
    monkeypatch.setattr(client_docs, kind, {**known, "stale": "of a field that is gone"})
    with pytest.raises(SystemExit, match="stale"):
        client_docs.rendered(PAGE)


def test_a_part_that_is_missing_stops_the_tool():
    """A table must not vanish from the page unseen."""
    with pytest.raises(SystemExit, match="telemetry"):
        client_docs.rendered(PAGE.replace("<!-- generated: telemetry -->", ""))


def test_the_examples_run():
    """In the order of the page, as a reader would try them."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines: list[str] = []
    before = configure(Runtime(write=lines.append))
    names: dict[str, object] = {}
    try:
        for block in blocks:
            exec(compile(block, "client.md", "exec"), names)  # noqa: S102 - our own page
    finally:
        configure(before)
    assert len(blocks) >= 8
