"""Every `flyball ...` that a page shows exists: command, subcommand and options."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from flyball_analytics.cli import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name != "cli.md"),  # that is click's own
    *sorted((ROOT / "examples").rglob("*.md")),
]
CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
# Where a command begins: a line of a fence or a span of code, behind a prompt, another command or a variable.
CALL = re.compile(r"(?m)(?:^|^\$ |&& |; )(?:\.venv/bin/)?flyball ([a-z][^\n|;&)]*)")


def calls(text: str) -> list[str]:
    """Return what follows `flyball` wherever it stands in code."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [call.strip() for a, b in CODE.findall(joined) for call in CALL.findall(a or b)]


def problem(call: str) -> str:
    """Return what is wrong with a call, "" if nothing is."""
    words = [word.strip("`,.:'\"[]()") for word in call.split("   #")[0].split(" # ")[0].split()]
    context, command = click.Context(cli), cli
    while words and isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return f"there is no command {name!r}"
        command = found
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help", "--debug"}
    for word in words:
        option = re.match(r"--[a-z][a-z-]*", word)
        if option and option[0] not in known:
            return f"{command.name} has no option {option[0]}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_page_tells_to_type_exists(page):
    """A reader types it as it stands."""
    wrong = {call: found for call in calls(page.read_text()) if (found := problem(call))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("replay fleet/ --summary", ""),
        ("ingest cloudwatch --days 30", ""),
        ("replai fleet/", "there is no command 'replai'"),
        ("replay fleet/ --sumary", "replay has no option --sumary"),
        ("ingest clowdwatch", "there is no command 'clowdwatch'"),
    ],
)
def test_a_wrong_call_is_found(call, expected):
    """A check that cannot fail proves nothing."""
    assert problem(call) == expected
