"""How commands end when they are stopped, cut off, or given what is no history."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from flyball_analytics import counts
from flyball_analytics.cli import cli, group
from flyball_analytics.cli.files import write_whole, writing_whole

NOON_S = 1_700_049_600
CODE = "from flyball_analytics.cli import main; main()"


def run(*arguments: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def start(*arguments: object, **named):
    """Run flyball in a process of its own, which signals and closed pipes can reach."""
    path = os.pathsep.join(p for p in sys.path if p)
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **named,
    )  # fmt: skip


def recording(path: Path, *, windows: int = 30, errors: object = 0) -> Path:
    """Write one history of 600 requests a minute."""
    lines = [f"{NOON_S + 60 * i},600,{errors}" for i in range(windows)]
    path.write_text("\n".join(["timestamp,requests,errors", *lines]) + "\n")
    return path


@pytest.mark.parametrize("stopped", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupted_command_ends_with_130_and_says_what_stands(monkeypatch, stopped) -> None:
    """Exit code 1 means a failed check, which a person at the keyboard is not."""
    one = group.FlyballGroup(name="flyball", commands_lazy={"stop": ("a:b", "x")})

    @one.command("stop")
    def stop() -> None:
        raise stopped

    monkeypatch.setattr(group.FlyballGroup, "get_command", click.Group.get_command)
    result = CliRunner().invoke(one, ["stop"])
    assert result.exit_code == 130
    assert result.stderr.startswith("flyball: interrupted: files that were written are whole")
    assert result.stderr.endswith("[interrupted]\n")


def test_ctrl_c_in_a_replay_keeps_its_progress(tmp_path) -> None:
    """What was made before the interruption is on disk and counted; half a journal is not."""
    history = recording(tmp_path / "pay.csv", windows=20_000)
    arguments = ("replay", history, "--resume", tmp_path / "p", "--journal", tmp_path / "j", "--summary")
    running = start(*arguments)
    part = tmp_path / "p" / "00000-pay.jsonl"
    while running.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate()
    assert (running.returncode, said[:21]) == (130, b"flyball: interrupted:")
    assert not (tmp_path / "j").exists()
    done = json.loads((tmp_path / "p" / "00000-pay.progress.json").read_text())["steps"]
    assert 0 < done < 20_000


def test_a_reader_that_goes_away_is_no_failed_check(tmp_path) -> None:
    """`flyball replay ... | head` under pipefail ended with 1, as a regression would."""
    running = start("replay", recording(tmp_path / "pay.csv", windows=3_000), "--format", "json")
    running.stdout.readline()
    running.stdout.close()
    said = running.stderr.read()
    assert (running.wait(), said) == (141, b"")
    running.stderr.close()


def test_a_file_that_cannot_be_written_is_named(tmp_path) -> None:
    """A full disk tells Python no name: the message was `No space left on device`, of which of five files?"""
    with pytest.raises(OSError, match=r"full\.json") as caught, writing_whole(tmp_path / "full.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(FileNotFoundError, match="absent"):
        write_whole(tmp_path / "absent" / "x", b"")


def test_output_that_cannot_be_written_is_said_to_be_the_output() -> None:
    """/dev/full stands for any redirection to a full disk."""
    with open("/dev/full", "wb") as full:
        path = os.pathsep.join(p for p in sys.path if p)
        done = subprocess.run(
            [sys.executable, "-c", CODE, "explain", "exit-4"],
            env={**os.environ, "PYTHONPATH": path}, stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert b"the output, or a file of this command, cannot be written: No space left on device" in done.stderr


def test_of_many_histories_without_labels_five_are_named(tmp_path) -> None:
    """Labels of another fleet: two hundred equal lines hid the one that said so."""
    for n in range(8):
        recording(tmp_path / f"s{n}.csv")
    labels = tmp_path / "labels.json"
    labels.write_text('{"series": {"s0.csv": {"incidents": []}}}')
    told = run("replay", tmp_path, "--labels", labels, "--summary").stderr.splitlines()
    assert sum(line.startswith("not labelled: ") for line in told) == 6
    assert told[-1] == "not labelled: 2 more histories"


@pytest.mark.parametrize("command", ["replay", "score", "thresholds", "compare", "report"])
def test_labels_of_other_data_are_refused_everywhere_alike(command, tmp_path, monkeypatch) -> None:
    """A report said that no history had a usable window; thresholds went on without labels."""
    monkeypatch.chdir(tmp_path)
    for name in ("pay", "mail"):
        recording(tmp_path / f"{name}.csv")
    labels = tmp_path / "labels.json"
    labels.write_text('{"series": {"else.csv": {"incidents": []}}}')
    more = ["--policy", "two-loop"] if command == "compare" else []
    result = run(command, "pay.csv", "mail.csv", "--labels", labels, *more)
    assert result.exit_code == 2
    assert "labels.json: no labels for the 2 histories given" in result.stderr


def test_a_summary_shows_the_first_problem_of_each_history(tmp_path) -> None:
    """It gave their number and sent people to lines above that were not there."""
    for n in range(7):
        recording(tmp_path / f"s{n}.csv", errors=-3)
    result = run("replay", tmp_path, "--summary")
    assert result.exit_code == 4
    assert "  problems  s0: 30, the first: " in result.stdout
    assert "s0.csv:2: negative number: errors='-3' must be at least 0; correct the cell" in result.stdout
    assert "  problems  in 2 more histories" in result.stdout


def test_the_name_of_a_target_is_never_broken_in_a_summary(tmp_path) -> None:
    """It is copied from there into the next command."""
    name = "PetAdoptionStatusUpdater-prod-ApiGateway-Stage-eu-central-1"
    recording(tmp_path / f"{name}.csv")
    assert f"\n{name}  " in run("replay", tmp_path, "--summary").stdout


def test_a_file_name_of_another_encoding_is_shown_with_a_mark(tmp_path, monkeypatch) -> None:
    """Such a name ended reports and ingestions as a defect of ours."""
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"caf\xe9.csv")
    recording(tmp_path / name)
    report = run("report", name, "--policy", "two-loop", "--format", "json", "-o", "r.html")
    assert (report.exit_code, json.loads(report.stdout)["services"][0]["target"]) == (
        0,
        "caf\N{REPLACEMENT CHARACTER}",
    )
    assert "caf\N{REPLACEMENT CHARACTER}.csv" in (tmp_path / "r.html").read_text()
    assert run("ingest", "csv", name, "-o", "h").exit_code == 0
    assert "caf\N{REPLACEMENT CHARACTER}" in run("replay", "h", "--summary").stdout


def test_numpy_counts_are_numbers_too() -> None:
    """Counts come from arrays as often as from lists."""
    numpy = pytest.importorskip("numpy")
    assert counts.counted(numpy.int64(100_000), "row") == "100,000 rows"


def test_one_file_of_a_folder_that_has_no_usable_row_does_not_stop_the_others(tmp_path) -> None:
    """A header that fits was enough to end the replay of a whole folder; other strangers were skipped."""
    recording(tmp_path / "pay.csv")
    (tmp_path / "odd.csv").write_text("timestamp,requests,errors\nyesterday,5,0\n")
    result = run("replay", tmp_path, "--summary")
    assert result.exit_code == 0
    assert "odd.csv: 0 usable rows" in result.stderr
    assert "pay  " in result.stdout
    assert run("replay", tmp_path / "odd.csv").exit_code == 2
    (tmp_path / "pay.csv").rename(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("timestamp,requests,errors\ntoday,5,0\n")
    nothing = run("replay", tmp_path, "--summary")
    assert (nothing.exit_code, "none of the files is a metric history" in nothing.stderr) == (2, True)
