"""A replay that may be killed: its journal grows in a folder, and the next call continues it bit for bit.

Per series two files: the records so far, and a checkpoint (how many steps and bytes,
and the state behind them) that is replaced whole every few thousand steps, after the
records are on disk. What a killed run wrote beyond its last checkpoint is cut off and
made again, so that the joined journal is that of a run that nobody killed. Steps that
are done are read back from the records, so that totals come out the same too.

A checkpoint names what it belongs to: history, policy, start and code version. Others
are refused, because half of one replay and half of another would look like a whole.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import quote

from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.journalfile import Entry, decision_of
from flyball_analytics.replay import Replayed, replay_pairs, with_looks
from flyball_analytics.series import Series
from flyball_controller.codec import STATE_VERSION, canonical_json, decode_state, encode_state
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Mode, Observation, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import initial_state

SCHEMA = 1
# About a quarter of a second of work: so much a kill costs.
CHECKPOINT_EVERY = 5_000


class Progress(NamedTuple):
    """How far a replay came: steps, bytes of its journal, and the state behind the last of them."""

    key: str
    steps: int
    size: int
    state: bytes


class Segment:
    """The part of a journal that one series fills."""

    def __init__(
        self, folder: Path, number: int, series: Series, policy: Policy, start: bytes | None
    ) -> None:
        """Open it in `folder` (made if absent), continuing what lies there.

        Raises:
            InvalidError: If what lies there belongs to another replay or is damaged.
        """
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{number:05d}-{quote(series.target, safe='')[:100]}"
        self.path = folder / f"{name}.jsonl"
        self._mark = folder / f"{name}.progress.json"
        self._series = series
        self._policy = policy
        first = start if start is not None else encode_state(initial_state(policy))
        self._first = first
        self.progress = self._load(identity(series, policy, first), first)

    def _load(self, key: str, first: bytes) -> Progress:
        """Return the stored progress, or the beginning."""
        if not self._mark.exists():
            return Progress(key, 0, 0, first)
        try:
            plain = json.loads(self._mark.read_bytes())
            found = Progress(
                str(plain["key"]), int(plain["steps"]), int(plain["bytes"]), base64.b64decode(plain["state"])
            )
            decode_state(found.state)
        except (ValueError, KeyError, TypeError, CheckpointError) as error:
            raise InvalidError(f"{self._mark}: is damaged ({error}): delete it to start afresh") from error
        if found.key != key:
            raise InvalidError(
                f"{self._mark}: belongs to a replay of another history, policy, start or version: "
                "give another folder to --resume, or delete this one"
            )
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < found.size:
            raise InvalidError(
                f"{self.path}: has {size} bytes, its progress says {found.size}: delete both to start afresh"
            )
        return found

    def steps(self) -> Iterator[Replayed]:
        """Yield every step of the series: those done, read back, then the others as they are made."""
        pairs = with_looks(self._series.observations, period_s=self._series.period_s)
        done = self.progress.steps
        yield from self._done(islice(pairs, done))
        with self.path.open("ab") as file:
            file.truncate(self.progress.size)
            steps, size, state = done, self.progress.size, self.progress.state
            try:
                for replayed in replay_pairs(pairs, policy=self._policy, start=state):
                    size += file.write(canonical_json(replayed.record()) + b"\n")
                    steps, state = steps + 1, replayed.state_after
                    if (steps - done) % CHECKPOINT_EVERY == 0:
                        self._save(file, Progress(self.progress.key, steps, size, state))
                    yield replayed
            finally:  # also when interrupted: what was made is kept
                self._save(file, Progress(self.progress.key, steps, size, state))

    def _done(self, pairs: Iterator[tuple[Observation, bool]]) -> Iterator[Replayed]:
        """Yield the steps that the journal already holds; states between them are not kept, only the last."""
        if not self.progress.steps:
            return
        before: Setpoint = decode_state(self._first).law.applied
        shadow = self._policy.mode == Mode.SHADOW
        with self.path.open("rb") as file:
            for number, ((seen, look), line) in enumerate(zip(pairs, file, strict=False), start=1):
                try:
                    decision = decision_of(Entry(f"{self.path}:{number}", json.loads(line)))
                except ValueError as error:
                    raise InvalidError(f"{self.path}:{number}: is damaged: delete the folder") from error
                last = number == self.progress.steps
                state = self.progress.state if last else b""
                yield Replayed(seen, decision, before, b"", state, look, shadow)
                before = decision.applied

    def _save(self, file: IO[bytes], progress: Progress) -> None:
        """Put the records on disk, then the checkpoint that counts them."""
        file.flush()
        os.fsync(file.fileno())
        plain = {
            "schema": SCHEMA,
            "key": progress.key,
            "steps": progress.steps,
            "bytes": progress.size,
            "state": base64.b64encode(progress.state).decode("ascii"),
        }
        write_whole(self._mark, canonical_json(plain))
        self.progress = progress

    def copy_to(self, out: IO[bytes]) -> None:
        """Write the whole journal of this series."""
        with self.path.open("rb") as file:
            shutil.copyfileobj(file, out)


def identity(series: Series, policy: Policy, first: bytes) -> str:
    """Return what a replay is of: equal for equal observations, policy, first state and code version."""
    from importlib.metadata import version

    digest = hashlib.sha256()
    digest.update(f"{version('flyball')} {STATE_VERSION} {policy.digest} {series.period_s!r}\n".encode())
    digest.update(first)
    for observation in series.observations:
        digest.update(repr(tuple(observation)).encode())
    return digest.hexdigest()
