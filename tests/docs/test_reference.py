"""The reference pages say what the code says, and know every name that it has."""

from __future__ import annotations

import importlib
import re

import pytest
import yaml

from flyball_analytics.policy_words import GROUPS, MEANINGS
from flyball_controller.core.policy import Policy
from flyball_controller.policy_file import parse_policy

PAGES = ("cli.md", "errors.md", "events.md", "exit-codes.md", "policy.md", "telemetry.md", "wire.md")


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_up_to_date(name, docs_reference):
    """A reader believes the page, not the code: after a change run tools/docs_reference.py."""
    text = (docs_reference.REFERENCE / name).read_text()
    assert docs_reference.rendered(name, text) == text, "run: .venv/bin/python tools/docs_reference.py"


def test_every_page_with_generated_parts_is_tested_here(docs_reference):
    """A page that nobody compares grows old."""
    assert sorted(docs_reference.PAGES) == list(PAGES)


def test_every_field_of_a_policy_has_a_meaning():
    """Editors show it; a field without a sentence is a riddle, and a sentence without a field a lie."""
    assert list(MEANINGS) == [name for name in Policy._fields if name != "digest"]
    assert set(GROUPS) <= set(MEANINGS)


def test_the_policy_that_the_page_shows_is_valid(docs_reference):
    """People begin by copying it."""
    page = (docs_reference.REFERENCE / "policy.md").read_text()
    example = page.split("```yaml\n", 1)[1].split("```", 1)[0]
    policies = parse_policy(example.encode(), where="example")
    assert policies.stage("payments-api") == "canary"
    assert policies.stage("mailer") == "shadow"
    assert set(yaml.safe_load(example)) == {
        "version", "preset", "mode", "description", "defaults", "targets", "probes",
    }  # fmt: skip


def test_every_command_and_option_stands_on_the_page(docs_reference):
    """The list is taken from click itself, not from the code that writes the page."""
    from click.testing import CliRunner

    from flyball_analytics.cli import cli

    page = (docs_reference.REFERENCE / "cli.md").read_text()
    for command in ("replay", "ingest cloudwatch", "kill-switch"):
        shown = CliRunner().invoke(cli, [*command.split(), "--help"]).output
        section = page.split(f"### {command}\n", 1)[1].split("\n### ", 1)[0]
        options = set(re.findall(r"(?m)^  (?:-\w, )?(--[a-z-]+)", shown)) - {"--help"}
        assert len(options) > 3
        assert options <= set(re.findall(r"`(--[a-z-]+)`", section))


@pytest.mark.parametrize("words", ["CONTROLLER_METRICS", "EVENTS", "JOURNAL", "REJECTIONS"])
def test_a_name_without_words_and_words_without_a_name_are_refused(words, docs_reference, monkeypatch):
    """Both are how a table begins to lie."""
    part = {
        "CONTROLLER_METRICS": docs_reference.controller_metrics,
        "EVENTS": docs_reference.events,
        "JOURNAL": docs_reference.journal,
        "REJECTIONS": docs_reference.rejections,
    }[words]
    known = dict(getattr(docs_reference, words))
    monkeypatch.setattr(docs_reference, words, {**known, "gone": ("a", "b", "c")})
    with pytest.raises(SystemExit, match="gone"):
        part()
    lost = next(iter(known))
    monkeypatch.setattr(docs_reference, words, {name: known[name] for name in known if name != lost})
    with pytest.raises(SystemExit, match=lost):
        part()


def test_a_part_that_is_missing_or_unknown_is_refused(docs_reference):
    """Else a page could lose its table without anybody noticing."""
    with pytest.raises(SystemExit, match="exit-codes"):
        docs_reference.rendered("exit-codes.md", "nothing here")


def test_words_are_about_code_that_can_be_imported():
    """The schema carries the same sentence as the page."""
    schema = importlib.import_module("flyball_analytics.schemas").policy_schema()
    fields = schema["properties"]["targets"]["anyOf"][0]["additionalProperties"]["anyOf"][0]["properties"]
    assert {name: fields[name]["description"] for name in MEANINGS} == MEANINGS
