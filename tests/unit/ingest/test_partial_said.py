"""Windows that lack a count are said: a history of them teaches nothing, and nobody would see why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli

AT_MS = 1_767_571_200_000


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """Three minutes of a target whose stream carries requests and fast errors alone."""
    lines = [
        json.dumps(
            {
                "metric_stream_name": "s", "account_id": "123456789012", "region": "eu-west-1",
                "namespace": "flyball", "metric_name": name, "dimensions": {"target": "orders"},
                "timestamp": AT_MS + 60_000 * minute, "unit": "Count",
                "value": {"max": 1.0, "min": 0.0, "sum": value, "count": 1.0},
            }
        )
        for minute in range(3)
        for name, value in (("requests", 200.0), ("errors_fast", 1.0))
    ]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*words: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, ["ingest", *(str(word) for word in words)])


def test_partial_windows_are_counted_and_what_that_means_is_said(stream: Path, tmp_path: Path) -> None:
    """Three of three; and JSON has the number."""
    done = run("metric-stream", stream, "-o", tmp_path / "h")
    assert "partial: 3 of 3 windows lack a count that was asked for" in done.stdout
    plain = json.loads(run("metric-stream", stream, "-o", tmp_path / "h", "--format", "json").stdout)
    assert (plain["partial"], plain["rows"]) == (3, 3)


def test_a_whole_history_says_nothing_of_it(tmp_path: Path) -> None:
    """Silence where there is nothing to say."""
    file = tmp_path / "a.csv"
    file.write_text(
        "timestamp,requests,errors\n" + "".join(f"{1_767_571_200 + 60 * n},9,1\n" for n in range(4))
    )
    done = run("csv", file, "-o", tmp_path / "h")
    assert done.exit_code == 0, done.output
    assert "partial" not in done.stdout


def test_a_pattern_names_no_target_of_a_stream(stream: Path, tmp_path: Path) -> None:
    """A * is answered by CloudWatch alone; taken literally it would match nothing, in silence."""
    maps = tmp_path / "maps.yaml"
    maps.write_text(
        'targets:\n  "s-*": {namespace: N, dimensions: {a: "*"}, requests: [R], errors_fast: [E]}\n'
    )
    done = run("metric-stream", stream, "--map", maps, "-o", tmp_path / "h")
    assert done.exit_code == 2
    assert "'s-*': a * finds targets in CloudWatch alone" in done.stderr
