"""The opt-in suite for a real account: which account, and where findings go.

    FLYBALL_AWS_TEST_STACK   a deployed stack of infra/template.yaml; without it everything here is skipped
    FLYBALL_AWS_TEST_TARGET  one of its targets that nobody uses (flyball-test)
    FLYBALL_AWS_TEST_REPORT  file for the findings, one JSON object a line

docs/how-to/real-account.md leads through it, and says what it costs and changes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aws.account import Account, Finding, RealAccount

FINDINGS = pytest.StashKey[list[tuple[str, Finding]]]()
MISSING = "set FLYBALL_AWS_TEST_STACK to the name of a test stack; see docs/how-to/real-account.md"


@pytest.fixture(autouse=True)
def _no_aws() -> None:
    """Unlike all other tests these are for the account that the shell knows."""


@pytest.fixture(scope="session")
def account() -> Account:
    """The account; skips without the name of a stack."""
    stack = os.environ.get("FLYBALL_AWS_TEST_STACK")
    if not stack:
        pytest.skip(MISSING)
    return RealAccount(stack, os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"))


@pytest.fixture
def target() -> str:
    """A target of the stack that nobody uses."""
    return os.environ.get("FLYBALL_AWS_TEST_TARGET", "flyball-test")


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Callable[[Finding], None]:
    """Take a finding for the summary and the report."""

    def take(finding: Finding) -> None:
        request.config.stash.setdefault(FINDINGS, []).append((request.node.name, finding))

    return take


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was found out, and write it down."""
    found = config.stash.get(FINDINGS, [])
    if not found:
        return
    terminalreporter.section("what the account says")
    for name, finding in found:
        point = f"({finding.point}) " if finding.point else ""
        terminalreporter.write_line(f"{point}{name}: {finding.answer}")
    report = os.environ.get("FLYBALL_AWS_TEST_REPORT")
    if report:
        rows = [{"schema": 1, "check": name, **finding._asdict()} for name, finding in found]
        Path(report).write_text("".join(f"{json.dumps(row, default=str, sort_keys=True)}\n" for row in rows))
