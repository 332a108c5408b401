"""Reads a history that `flyball ingest` or `flyball synth` wrote: arrays, a frame, or a Series to replay.

    history = open_history("history/")
    history.frame()                    # pandas, one row per target and window
    history.series("payments")         # observations in order of arrival

Only the parts that are asked for are read; memory is that of the targets and
columns asked for. Needs the extra `sim`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flyball.hints import did_you_mean
from flyball_analytics.companions import target_of
from flyball_analytics.ingest import block as blocks
from flyball_analytics.ingest.block import US_PER_S, Array, Block
from flyball_analytics.ingest.findings import Finding
from flyball_analytics.ingest.manifest import Manifest, Part, is_history, read_manifest
from flyball_analytics.ingest.parquet import MEANINGS, from_bytes
from flyball_analytics.ingest.store import orphans, read_report, target_folder
from flyball_analytics.problems import SeriesError
from flyball_analytics.series import GAP_PERIODS, Gap, Series

if TYPE_CHECKING:
    import pandas as pd


class Damage(NamedTuple):
    """One file of a history that is not what the manifest says."""

    path: str
    what: str
    remedy: str


class History:
    """A history on disk. `manifest` says what is in it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    def targets(self) -> tuple[str, ...]:
        """Return the targets, sorted."""
        return tuple(sorted(self.manifest.targets()))

    def block(self, target: str, columns: Sequence[str] | None = None) -> Block:
        """Return the rows of one target as NumPy arrays, in order of arrival.

        Args:
            target: Whose.
            columns: Names as in the files (docs/reference/history.md); None: all.
                `start` and `arrived` come as `start_us` and `arrived_us`, epoch microseconds.

        Raises:
            SeriesError: If the target or a column is unknown, or a part cannot be read.
        """
        parts = [part for part in self.manifest.parts if part.target == target]
        if not parts:
            raise SeriesError(
                f"no target {target!r}{did_you_mean(target, self.targets())}; "
                f"targets are {', '.join(self.targets()[:20]) or 'none'}",
                path=str(self.folder),
            )
        for name in columns or ():
            if name not in MEANINGS:
                raise SeriesError(
                    f"no column {name!r}{did_you_mean(name, MEANINGS)}; columns are {', '.join(MEANINGS)}",
                    path=str(self.folder),
                )
        wanted = None if columns is None else list(dict.fromkeys(["arrived", *columns]))
        found = [self._read(part, wanted) for part in sorted(parts)]
        names = found[0].keys()
        rows = {name: np.concatenate([block[name] for block in found]) for name in names}
        arrived = rows["arrived_us"]
        if np.any(arrived[1:] < arrived[:-1]):  # a window of last month may have come this month
            order = np.argsort(arrived, kind="stable")
            rows = {name: values[order] for name, values in rows.items()}
        if columns is not None and "arrived" not in columns:
            del rows["arrived_us"]
        return rows

    def series(self, target: str, *, delay_s: float | None = None) -> Series:
        """Return one target's history for replay.

        Args:
            target: Whose.
            delay_s: Arrival of every window after its end; None: as it was recorded.

        Raises:
            SeriesError: As `block`.
        """
        rows = self.block(target)
        notes = []
        if delay_s is not None:
            ends = rows["start_us"] + (rows["period_s"] * US_PER_S).astype(np.int64)
            rows["arrived_us"] = ends + round(delay_s * US_PER_S)
            order = np.argsort(rows["arrived_us"], kind="stable")
            rows = blocks.take(rows, order)
            notes.append(f"arrival taken as {delay_s:g} s after the end of each window")
        period_s = commonest_period(rows)
        periods = sorted(set(rows["period_s"].tolist()))
        if len(periods) > 1:
            notes.append(f"windows of {', '.join(f'{p:g} s' for p in periods)}")
        return Series(
            target=target,
            path=str(self.folder / target_folder(target)),
            period_s=period_s,
            observations=blocks.observations_of(target, rows),
            rows=blocks.length(rows),
            gaps=gaps_of(rows),
            problems=(),
            problem_counts=Counter(),
            unused=(),
            notes=tuple(notes),
        )

    def frame(self, targets: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows of some or all targets as one pandas frame, by target, start and arrival."""
        import pandas as pd

        frames = []
        for target in self.targets() if targets is None else targets:
            rows = self.block(target)
            data: dict[str, object] = {"target": np.full(blocks.length(rows), target, dtype=object)}
            for name in MEANINGS:
                moment = f"{name}_us"
                data[name] = (
                    pd.to_datetime(rows[moment], unit="us", utc=True) if moment in rows else rows[name]
                )
            frames.append(pd.DataFrame(data))
        if not frames:
            return pd.DataFrame(columns=["target", *MEANINGS])
        joined = pd.concat(frames, ignore_index=True)
        return joined.sort_values(["target", "start", "arrived"], kind="stable", ignore_index=True)

    def findings(self) -> tuple[Finding, ...]:
        """Return the listed findings of the data-quality report."""
        return tuple(finding for _, finding in read_report(self.folder, self.manifest))

    def verify(self) -> Iterator[Damage]:
        """Yield what differs from the manifest: missing, changed and unknown files."""
        for part in self.manifest.parts:
            yield from self._check(part.path, part.sha256, "restore it from a copy, or ingest again")
        if self.manifest.report:
            remedy = "the data are not concerned; ingest again to write the report anew"
            yield from self._check(self.manifest.report, self.manifest.report_sha256, remedy)
        for path in orphans(self.folder, self.manifest):
            name = str(path.relative_to(self.folder))
            yield Damage(name, "is not in the manifest", "left by a killed run; the next ingest removes it")

    def _check(self, name: str, sha256: str, remedy: str) -> Iterator[Damage]:
        try:
            found = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
        except OSError as error:
            yield Damage(name, f"cannot be read: {error.strerror or error}", remedy)
            return
        if found != sha256:
            yield Damage(name, f"SHA-256 is {found[:16]}..., must be {sha256[:16]}...", remedy)

    def _read(self, part: Part, columns: Sequence[str] | None) -> Block:
        path = self.folder / part.path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SeriesError(
                f"cannot be read: {error.strerror or error}; see `flyball ingest verify`", path=str(path)
            ) from error
        return from_bytes(data, path=str(path), columns=columns)


def open_history(folder: str | Path) -> History:
    """Open a history for reading.

    Raises:
        SeriesError: If the folder holds none, or its manifest cannot be used.
    """
    folder = Path(folder)
    return History(folder, read_manifest(folder))


def read_target(path: Path, *, delay_s: float | None = None) -> Series:
    """Return the series of one target's folder in a history.

    Raises:
        SeriesError: As `History.series`.
    """
    return open_history(path.parent).series(target_of(path), delay_s=delay_s)


def history_targets(folder: Path) -> list[Path]:
    """Return the folders of a history's targets, sorted: what `flyball replay` takes for files.

    A folder of one target gives itself; a folder that is no history gives nothing.
    """
    if is_history(folder):
        return [folder / target_folder(target) for target in open_history(folder).targets()]
    return [folder] if is_target_folder(folder) else []


def is_target_folder(path: Path) -> bool:
    """Return whether a path is the folder of one target of a history."""
    return path.name.startswith("target=") and is_history(path.parent)


def commonest_period(rows: Block) -> float:
    """Return the commonest length of a window, the shortest of equals."""
    periods, counts = np.unique(rows["period_s"], return_counts=True)
    return float(periods[np.argmax(counts)])


def gaps_of(rows: Block) -> tuple[Gap, ...]:
    """Return the stretches between windows for which there is no row, oldest first.

    Each window is measured by its own length, so that hours beside minutes are no gap.
    """
    order = np.lexsort((rows["period_s"], rows["start_us"]))
    starts_s: Array = rows["start_us"][order] / US_PER_S
    periods: Array = rows["period_s"][order]
    distance = starts_s[1:] - starts_s[:-1]
    at = np.flatnonzero(distance > GAP_PERIODS * periods[:-1])
    return tuple(
        Gap(float(starts_s[i]), float(starts_s[i + 1]), round(float(distance[i] / periods[i])) - 1)
        for i in at
    )
