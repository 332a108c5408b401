"""Files from elsewhere: bombs, paths that lead out, values that a terminal or a browser would obey."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from flyball.records import is_target_name
from flyball_analytics.cli import cli
from flyball_analytics.csvfile import HEADER_CHARS_MAX, LINE_CHARS_MAX
from flyball_analytics.ingest.manifest import read_manifest
from flyball_analytics.ingest.parquet import SCHEMA_NAME
from flyball_analytics.ingest.store import target_folder
from flyball_analytics.integrations_file import IntegrationsError, parse_integrations
from flyball_analytics.journalfile import (
    LINE_BYTES_MAX,
    Entry,
    check_journal,
    decision_of,
    read_journal,
    state_of,
)
from flyball_analytics.problems import SeriesError
from flyball_analytics.scenarios.node import ScenarioError, read_node
from flyball_analytics.series import read_csv
from flyball_controller.core.errors import CheckpointError, PolicyError
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_set import load_preset

Read = Callable[[bytes], object]
READERS: dict[str, tuple[Read, type[Exception]]] = {
    "policy": (lambda data: parse_policy(data, where="f.yaml"), PolicyError),
    "integrations": (lambda data: parse_integrations(data, where="f.yaml"), IntegrationsError),
    "scenario": (lambda data: read_node(data, file="f.yaml"), ScenarioError),
}
BOMBS = {
    "aliases of aliases": b"a0: &a0 [x, x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 12)),
    "merges of merges": b"a0: &a0 {k: v}\n"
    + b"".join(
        b"a%d: &a%d {<<: [%s]}\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 12)
    ),
    "depth": b"a: " + b"[" * 600,
    "a number in base 16": b"version: 0x" + b"f" * 100_000,
    "a number in base 60": b"version: 1" + b":59" * 100_000,
}
UNFIT = (
    b'!!int ""',
    b"!!float x",
    b"!!bool maybe",
    b"!!timestamp never",
    b"!!binary \xc3\xa9",
    b"!x y",
)


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("reader", READERS)
def test_a_yaml_bomb_is_refused_before_it_is_unfolded(reader: str, bomb: str) -> None:
    """A file of a kilobyte that stands for 10^11 values must cost a kilobyte's time, in every reader."""
    read, refusal = READERS[reader]
    with pytest.raises(refusal) as caught:
        read(BOMBS[bomb])
    assert str(caught.value).startswith("f.yaml")
    assert len(str(caught.value)) < 5_000


@pytest.mark.parametrize("value", UNFIT)
@pytest.mark.parametrize("reader", READERS)
def test_a_yaml_tag_that_its_value_does_not_fit_is_told(reader: str, value: bytes) -> None:
    """Found by fuzzing: PyYAML left with IndexError, KeyError or AttributeError."""
    read, refusal = READERS[reader]
    with pytest.raises(refusal, match=r"is not YAML|must be|unknown key|did you mean"):
        read(b"version: " + value)


@pytest.mark.parametrize("reader", READERS)
def test_tags_that_another_library_taught_pyyaml_mean_nothing_here(
    reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SAM translator adds "!" to the class that all share; files were read otherwise in its process."""
    read, refusal = READERS[reader]
    monkeypatch.setattr(yaml.SafeLoader, "yaml_multi_constructors", {"!": lambda *taught: 1})
    with pytest.raises(refusal, match=r"is not YAML|must be|unknown key|did you mean"):
        read(b"version: !x y")


@pytest.mark.parametrize("field", ["mode", "law", "promise"])
def test_a_word_that_is_left_blank_is_told(field: str) -> None:
    """Found by fuzzing: a blank value was allowed as "not set", and then looked up."""
    with pytest.raises(PolicyError, match=rf"f\.yaml:2: {field}=None"):
        parse_policy(b"version: 1\ndefaults: {%s: }\n" % field.encode(), where="f.yaml")


@pytest.mark.parametrize("reader", READERS)
def test_a_yaml_tag_makes_no_object_of_python(reader: str, tmp_path: Path) -> None:
    """The safe loader only: a file must not call anything."""
    read, refusal = READERS[reader]
    victim = tmp_path / "made"
    with suppress(refusal):  # some do not look at tags of lists
        read(b"a: !!python/object/apply:os.mkdir ['" + str(victim).encode() + b"']")
    assert not victim.exists()


def test_aliases_within_reason_are_read() -> None:
    """They are how people avoid to repeat themselves."""
    text = b"version: 1\ndefaults: &d {retry_floor: 0.1}\ntargets: {a: *d, b: {<<: *d, open_floor: 0.6}}\n"
    assert parse_policy(text, where="f.yaml").targets["b"].retry_floor == 0.1


def test_a_packed_journal_that_is_one_endless_line_is_given_up(tmp_path: Path) -> None:
    """A few kilobytes of gzip are megabytes of zeros; a line is read to its bound and no further."""
    path = tmp_path / "j.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' + b" " * (3 * LINE_BYTES_MAX), mtime=0))
    entries = read_journal(path)
    assert next(entries).record == {"a": 1}
    with pytest.raises(SeriesError, match="is longer than"):
        next(entries)


def test_a_damaged_packed_journal_is_told(tmp_path: Path) -> None:
    """Found by fuzzing: zlib.error is neither OSError nor EOFError."""
    path = tmp_path / "j.jsonl.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00\x00\xd1n\xd30#\x8e")
    with pytest.raises(SeriesError, match="cannot be read"):
        list(read_journal(path))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_journal_holds_json_numbers_only(tmp_path: Path, number: str) -> None:
    """Found by fuzzing: what could be read and not be written again broke the comparison with ValueError."""
    path = tmp_path / "j.jsonl"
    path.write_text(f'{{"target": "a", "observation": {{"start_s": {number}}}}}\n')
    with pytest.raises(SeriesError, match=r"j\.jsonl:1"):
        check_journal(read_journal(path), lambda target: load_preset("two-loop").default)


def test_a_journal_record_with_numbers_beyond_floats_is_damaged() -> None:
    """Found by fuzzing: an integer of 400 digits is JSON, and no float."""
    with pytest.raises(CheckpointError, match="is no decision record"):
        decision_of(Entry("j:1", {"at_s": 10**400, "target": "a"}))


def test_a_journal_state_that_is_no_ascii_is_damaged() -> None:
    """Found by reading: b64decode tells text that is not ASCII by ValueError, not by binascii.Error."""
    with pytest.raises(CheckpointError, match="the state in the record is damaged"):
        state_of(Entry("j:1", {"state": "é"}))


def test_a_table_without_line_ends_is_given_up(tmp_path: Path) -> None:
    """A disk image named .csv must not fill the memory."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * (HEADER_CHARS_MAX + 9))
    with pytest.raises(SeriesError, match="is it a CSV file"):
        read_csv(path)
    path.write_bytes(b"timestamp,requests,errors\n" + b"1," * LINE_CHARS_MAX)
    with pytest.raises(SeriesError, match="a line has over"):
        read_csv(path)


@pytest.mark.parametrize("path", ["../victim", "/etc/hostname", "a/../../victim", "a\0b", "a//b"])
@pytest.mark.parametrize("place", ["report", "part"])
def test_a_history_names_no_file_outside_of_itself(tmp_path: Path, path: str, place: str) -> None:
    """The next ingest deletes what the manifest names no more: a history from elsewhere chose what."""
    part = {"path": path, "target": "a", "date": "2026-01", "rows": 1, "bytes": 1, "sha256": ""}
    manifest = {
        "schema": SCHEMA_NAME,
        "partition": "month",
        "parts": [part] if place == "part" else [],
        "sources": [],
        "report": {"file": path if place == "report" else "", "sha256": ""},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SeriesError, match=r"is damaged \(ValueError: path"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["../../x", "..", "/etc/x", "a/../b", "C:\\x", "a\0b"])
def test_a_target_s_name_makes_a_folder_and_no_path(name: str) -> None:
    """Names come from dimensions and labels, which other people write."""
    folder = target_folder(name)
    assert "/" not in folder
    assert "\\" not in folder
    assert "\0" not in folder
    assert folder not in (".", "..")


@pytest.mark.parametrize("first", list("=+-@\t\r|%"))
def test_a_target_s_name_is_no_formula(first: str) -> None:
    """Spreadsheets run cells that begin so; names stand in tables that people export (CSV injection)."""
    assert not is_target_name(f"{first}HYPERLINK(1)")


class _Tags(HTMLParser):
    """Counts elements and attributes that run something."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.handlers: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.images += tag == "img"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def _rows(bad: range) -> str:
    rows = (f"2026-01-05T00:{m:02d}:00Z,600,{560 if m in bad else 1}\n" for m in range(60))
    return "timestamp,requests,errors\n" + "".join(rows)


def test_a_report_shows_names_and_runs_none(tmp_path: Path) -> None:
    """A target is named after its file, and a page is opened in a browser with a session."""
    evil = '<script>alert(1)<!script><img src=x onerror=alert(2)>" onload="alert(3)'.replace("/", "")
    (tmp_path / "plain.csv").write_text(_rows(range(30, 40)))
    (tmp_path / f"{evil}.csv").write_text(_rows(range(30, 40)))
    pages = {}
    for name in ("plain", evil):
        out = tmp_path / "page.html"
        done = CliRunner().invoke(cli, ["report", str(tmp_path / f"{name}.csv"), "--out", str(out)])
        assert done.exit_code in (0, 1), done.output
        tags = _Tags()
        tags.feed(out.read_text())
        pages[name] = (tags.scripts, tags.images, tags.handlers)
        assert name == "plain" or "&lt;script&gt;" in out.read_text() or "\\u003cscript>" in out.read_text()
    assert pages[evil] == pages["plain"]
    assert pages[evil][2] == []


def test_a_message_of_the_command_line_moves_no_cursor(tmp_path: Path) -> None:
    """Keys of a file are repeated in errors; an escape sequence in one must not reach the terminal."""
    policy = tmp_path / "p.yaml"
    policy.write_text('version: 1\n"\\x1b[2J\\x1b[31mall is well": 1\n')
    done = CliRunner().invoke(cli, ["validate", str(policy)])
    assert done.exit_code == 2
    assert "\x1b" not in done.output + done.stderr
    assert "x1b[2J" in done.output + done.stderr
