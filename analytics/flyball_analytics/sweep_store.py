"""The folder of a search: inputs, shards, results and a journal, so that nothing done is ever done again.

    inputs/<digest>.bin     one packed series or scenario, named by its content
    shards/<key>.json       what to run, named by its bytes
    items.json              the keys of all shards, as a Distributed Map reads them
    results/<key>.json      what came of it, written whole or not at all
    journal.jsonl           every attempt, in order: {"key", "attempt", "at_s", "error"}

Results are the truth; the journal is for people. The same layout under a prefix of a
bucket is what the Lambda worker reads and writes (shards_lambda.py), so a folder can be
copied up, run there, copied back and finished here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flyball_analytics.cli.files import write_whole
from flyball_analytics.executors.base import INPUT_SUFFIX, INPUTS
from flyball_analytics.shards import ShardError, read_result, shard_key
from flyball_analytics.shards_input import Packed
from flyball_controller.codec import canonical_json

SHARDS = "shards"
RESULTS = "results"
ITEMS = "items.json"
JOURNAL = "journal.jsonl"
SUMMARY = "sweep.json"
SUFFIX = ".json"


class Attempt(NamedTuple):
    """One attempt at a shard as the journal has it; `error` is empty where it was done."""

    key: str
    attempt: int
    at_s: float
    error: str


class Store:
    """One folder. Several processes may write into it: equal names hold equal bytes."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where there is none.

        Raises:
            OSError: If it cannot be made.
        """
        self.folder = folder
        for name in (INPUTS, SHARDS, RESULTS):
            (folder / name).mkdir(parents=True, exist_ok=True)

    # --- what to run ------------------------------------------------------------------

    def add_input(self, one: Packed) -> str:
        """Keep an input and return its digest."""
        path = self.input_path(one.digest)
        if not path.is_file():
            write_whole(path, one.data)
        return one.digest

    def input_path(self, digest: str) -> Path:
        """Return where an input lies."""
        return self.folder / INPUTS / f"{digest}{INPUT_SUFFIX}"

    def add_shard(self, data: bytes) -> str:
        """Keep a shard and return its key."""
        key = shard_key(data)
        path = self.folder / SHARDS / f"{key}{SUFFIX}"
        if not path.is_file():
            write_whole(path, data)
        return key

    def shard(self, key: str) -> bytes:
        """Return the bytes of a shard."""
        return (self.folder / SHARDS / f"{key}{SUFFIX}").read_bytes()

    def write_items(self, keys: Sequence[str]) -> None:
        """Write the list of shards that a Distributed Map reads."""
        write_whole(self.folder / ITEMS, canonical_json([{"key": key} for key in keys]))

    # --- what came of it --------------------------------------------------------------

    def result(self, key: str) -> list[dict[str, Any]] | None:
        """Return a shard's result; None if there is none, or what lies there is not its result."""
        try:
            return read_result((self.folder / RESULTS / f"{key}{SUFFIX}").read_bytes(), key=key)
        except (OSError, ShardError):
            return None

    def has_result(self, key: str) -> bool:
        """Return whether a shard is done."""
        return self.result(key) is not None

    def add_result(self, key: str, data: bytes) -> None:
        """Keep the result of a shard.

        Raises:
            ShardError: If it is no result of this shard.
        """
        read_result(data, key=key)
        write_whole(self.folder / RESULTS / f"{key}{SUFFIX}", data)

    # --- what happened ----------------------------------------------------------------

    def note(self, attempt: Attempt) -> None:
        """Append an attempt to the journal."""
        with (self.folder / JOURNAL).open("ab") as file:
            # In one write, and on a line of its own even after a torn one: readers skip blank lines.
            file.write(b"\n" + canonical_json(attempt._asdict()) + b"\n")

    def attempts(self) -> Iterator[Attempt]:
        """Yield the journal; a line torn by a crash is skipped."""
        try:
            lines: Iterable[str] = (self.folder / JOURNAL).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                plain = json.loads(line)
                yield Attempt(plain["key"], plain["attempt"], plain["at_s"], plain["error"])
            except (ValueError, KeyError, TypeError):
                continue

    def write_summary(self, plain: object) -> None:
        """Keep the outcome of the search for other commands."""
        write_whole(self.folder / SUMMARY, canonical_json(plain) + b"\n")


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the outcome of a search that was run in a folder.

    Raises:
        OSError: If there is none.
        ShardError: If it is not JSON.
    """
    path = folder / SUMMARY
    try:
        plain: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise ShardError(f"{path}: is no outcome of a search: {error}") from error
    return plain
