"""Which files a command was given: folders opened, labels found. Shared by the commands over metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.codes import ErrorCode
from flyball_analytics.companions import target_of
from flyball_analytics.counts import counted
from flyball_analytics.labels import Labels, LabelsError, labels_for, read_labels
from flyball_analytics.problems import SeriesError
from flyball_analytics.series import series_files
from flyball_analytics.thresholds.metric import Metric, orphans, read_metrics

UNLABELLED = "flyball.unlabelled"  # how many, in the context of the command
UNLABELLED_SHOWN_MAX = 5


def none_labelled(file: Path, count: int) -> InvalidError:
    """Return the error for labels that belong to none of the histories: they are those of other data."""
    names = counted(count, "history", "histories")
    return InvalidError(
        f"{file}: no labels for the {names} given; name the labels of this data", code=ErrorCode.LABELS
    )


def metric_files(given: Sequence[Path], target: str | None = None) -> list[Path]:
    """Return the files to read: named ones, and of a folder every CSV file that is not joined to another.

    Folders inside are searched too, as exports by service lie. Of a history (`flyball
    ingest`) these are the folders of its targets; `target` chooses one of them.

    Raises:
        InvalidError: If a folder holds no CSV file.
    """
    paths: list[Path] = []
    for path in given:
        if not path.is_dir():
            paths.append(path)
            continue
        inside = series_files(path)
        if inside and inside[0].is_dir():
            paths.extend([p for p in inside if target in (None, target_of(p))] or inside)
            continue
        folders = [path, *sorted(child for child in path.iterdir() if child.is_dir())]
        inside = [file for folder in folders for file in (*series_files(folder), *orphans(folder))]
        if not inside:
            raise InvalidError(f"{path}: the folder holds no CSV file and is no history")
        paths.extend(inside)
    return paths


def load_metrics(
    paths: Sequence[Path],
    *,
    named: Sequence[Path],
    target: str | None,
    columns: Mapping[str, str],
    period_s: float | None,
    delay_s: float,
    now_s: float,
) -> dict[Path, list[Metric]]:
    """Return the metrics of every file; one that was not named and is no history is skipped, with a line.

    Raises:
        SeriesError: If a named file is no metric history.
        InvalidError: If none of the files is.
    """
    found: dict[Path, list[Metric]] = {}
    for path in paths:
        try:
            found[path] = read_metrics(
                path, target=target, columns=columns, period_s=period_s, delay_s=delay_s, now_s=now_s
            )
        except SeriesError as error:
            if path in named or len(paths) == 1:
                raise
            click.echo(f"skipped {error}", err=True)
    if not found:
        raise InvalidError("none of the files is a metric history (see the lines above)")
    return found


def label_file(path: Path | None) -> dict[str, Labels]:
    """Return the labels by name; none without a file."""
    return {} if path is None else read_labels(path)


def labels_of(known: Mapping[str, Labels], path: Path, target: str | None, *, file: Path) -> Labels | None:
    """Return the labels of one history: by folder and file name, by file name, or by target; None if none.

    What has no labels is named on stderr: a history without labels is judged without them.
    """
    within = f"{path.parent.name}/{path.name}"
    if within in known:
        return known[within]
    # A journal names targets, labels often the files that they came from.
    same = [name for name in known if target_of(Path(name)) == target]
    if target is not None and len(same) == 1 and path.name not in known:
        return known[same[0]]
    try:
        return labels_for(known, file_name=path.name, target=target or target_of(path), path=str(file))
    except LabelsError as error:
        tell_unlabelled(str(error))
        return None


def _tell_rest(context: click.Context) -> None:
    """Say how many histories without labels were not named."""
    rest = context.meta[UNLABELLED] - UNLABELLED_SHOWN_MAX
    click.echo(f"not labelled: {counted(rest, 'more history', 'more histories')}", err=True)


def tell_unlabelled(why: str) -> None:
    """Name what has no labels; of a fleet that has none the first few, and how many more at the end."""
    context = click.get_current_context(silent=True)
    told = 0 if context is None else context.meta.get(UNLABELLED, 0)
    if told < UNLABELLED_SHOWN_MAX:
        click.echo(f"not labelled: {why}", err=True)
    if context is None:
        return
    if told == UNLABELLED_SHOWN_MAX:
        context.call_on_close(partial(_tell_rest, context))
    context.meta[UNLABELLED] = told + 1
