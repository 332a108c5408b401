"""Sixty functions, as a platform team has them: what is written must be readable in one go."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from flyball_analytics.cli import cli
from unit.mapping.stubs import QUIET, REGION, account_of

COUNT = 60
SOURCES = (
    "import requests\ndef h(e, c):\n    return requests.post('https://pay.example/x', json=e)\n",
    "import boto3\ntable = boto3.resource('dynamodb').Table('orders')\n",
    "def h(e, c):\n    return e.upper()\n",
)


@pytest.fixture
def fleet(monkeypatch, tmp_path):
    """Sixty functions in an account, their sources in a folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    names = [f"fn-{number:02d}" for number in range(COUNT)]
    with account_of(dict.fromkeys(names, 3), monkeypatch):
        for number, name in enumerate(names):
            Path("src", name).mkdir(parents=True)
            Path("src", name, "app.py").write_text(SOURCES[number % len(SOURCES)])
        yield


def run(*words: str) -> str:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.usefixtures("fleet")
def test_sixty_functions_are_drafted_and_judged_on_a_page_or_two():
    """What repeats is said once with its places: a thousand lines would be read by nobody."""
    run("map", "--sources", "src", "--aws", *QUIET, "--out", "integrations.yaml")
    text = Path("integrations.yaml").read_text()
    known = yaml.safe_load(text)
    assert len(known["functions"]) == COUNT
    assert set(known["targets"]) == {"pay.example", "dynamodb"}
    not_known = text.partition("# What could not be known:")[2].splitlines()
    assert len(not_known) < 20
    shown = run("assess")
    assert len(shown.splitlines()) < 40
    # 20 functions post without a time-out; 40 that call something have Lambda's three seconds.
    assert "high   no-time-out                 20  fn-00 -> pay.example" in shown
    assert "medium default-time-out            40  fn-00, fn-01, fn-03, fn-04 and 36 more" in shown
    run("assess", "--policy", "policy.yaml", "--out", "assessment.txt")
    assert "valid, 2 targets" in run("validate", "policy.yaml")
