"""The run directory of `flyball sweep` or `flyball tune`, as a report reads it.

The outcome gives the front; the inputs beside it give the histories back, so that a run
directory alone makes a whole report. Never runs a shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from flyball_analytics.labels import Labels
from flyball_analytics.problems import SeriesError
from flyball_analytics.report.pareto import Effect, Point, Sweep
from flyball_analytics.series import GAP_PERIODS, Gap, Series
from flyball_analytics.shards import InputError, Kind, ShardError, decode
from flyball_analytics.shards_input import columns_in, series_of, unpack
from flyball_analytics.sweep_objectives import TITLES, Objective
from flyball_analytics.sweep_store import SHARDS, SUFFIX, SUMMARY, Store, read_summary

SCHEMA = 1
IN_FORCE = "in force"
NOTE = "rows from the inputs of the sweep, which keep no problems of files: see the report on the history"


def is_run(folder: Path) -> bool:
    """Return whether a folder holds the outcome of a search."""
    return (folder / SUMMARY).is_file()


def outcome_in(folder: Path) -> dict[str, Any]:
    """Return the outcome that a search wrote.

    Raises:
        SeriesError: If it cannot be read, or is of another version.
    """
    try:
        plain = read_summary(folder)
    except (OSError, ShardError) as error:
        raise SeriesError(f"is no run directory of a sweep: {error}", path=str(folder)) from error
    if plain.get("schema") != SCHEMA:
        raise SeriesError(
            f"{SUMMARY} has schema {plain.get('schema')!r}, this program reads {SCHEMA}: run the sweep again",
            path=str(folder),
        )
    return plain


def sweep_of(plain: Mapping[str, Any]) -> Sweep | None:
    """Return what a page shows of an outcome; None with under two objectives, which have no front to draw."""
    names = [str(name) for name in plain["objectives"]]
    if len(names) < 2:
        return None
    points = tuple(
        Point(point_name(one["number"]), dict(one["point"]), tuple(float(one["fit"][name]) for name in names))
        for one in plain["candidates"]
        if all(name in one["fit"] for name in names)
    )
    found = tuple(
        Effect(one["field"], _title(one["objective"]).split(",")[0], float(one["rank"]))
        for one in plain["effects"]
        if one["rank"] is not None
    )
    titles = tuple(_title(name) for name in names)
    told = f"Held out: {plain['holdout']}. {plain['verdict']}"
    return Sweep(titles, points, found, point_name(plain["chosen"]), told)


def point_name(number: int) -> str:
    """Return what a candidate is called; number 0 is the policy in force.

    >>> point_name(0), point_name(7)
    ('in force', 'candidate 7')
    """
    return f"candidate {number}" if number else IN_FORCE


def _title(name: str) -> str:
    try:
        title, unit = TITLES[Objective(name)]
    except ValueError:
        return name
    return f"{title}, {unit.split(',')[0].split(';')[0]}"


def histories_in(folder: Path) -> Iterator[tuple[Series, Labels | None]]:
    """Yield the histories of a run with their labels, by target; one is in memory at a time.

    Raises:
        SeriesError: If a shard or an input cannot be read by this version.
    """
    store = Store(folder)
    shards: dict[tuple[str, str], Labels | None] = {}
    for path in sorted((folder / SHARDS).glob(f"*{SUFFIX}")):
        try:
            shard = decode(path.read_bytes())
        except ShardError as error:
            raise SeriesError(
                f"{error}; name the histories beside the run directory", path=str(path)
            ) from error
        if shard.kind is Kind.HISTORY:
            shards.setdefault((shard.target, shard.input), shard.labels)
    for (target, digest), labels in sorted(shards.items(), key=lambda item: item[0]):
        try:
            series = series_of(columns_in(unpack(store.input_path(digest).read_bytes(), digest=digest)))
        except (OSError, InputError) as error:
            raise SeriesError(f"input of {target}: {error}", path=str(folder)) from error
        yield series._replace(path=str(folder), notes=(NOTE,), gaps=_gaps(series)), labels


def _gaps(series: Series) -> tuple[Gap, ...]:
    """Return the stretches without rows, which packed inputs do not carry."""
    starts = sorted({seen.start_s for seen in series.observations})
    return tuple(
        Gap(a, b, round((b - a) / series.period_s) - 1)
        for a, b in pairwise(starts)
        if b - a > GAP_PERIODS * series.period_s
    )
