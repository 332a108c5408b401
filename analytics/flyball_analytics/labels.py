"""Which stretches of a recorded history were incidents: the truth that a replay is scored against.

File format (JSON), by the name of the series file or of the target:

    {"series": {"payments.csv": {
        "incidents": [{"start": "...", "end": "...", "from": "...", "to": "..."}],
        "ignore": [["...", "..."]], "probation": 144}}}

`start` and `end` are the first and last bad row; an answer counts if it comes
between `from` and `to` (default: start and end), which leave room for an early
sign and a late row. `ignore` are stretches that say nothing either way, and the
first `probation` rows are for learning. Further keys of an incident are notes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from flyball.hints import did_you_mean
from flyball_analytics.moments import MomentError, parse_moment

_SERIES_KEYS = ("incidents", "ignore", "probation", "rows", "interval_s", "windows")
_TOP_KEYS = ("series", "dataset", "version")


class LabelsError(ValueError):
    """A labels file that cannot be obeyed; `path` and `field` are for tools."""

    def __init__(self, message: str, *, path: str, field: str) -> None:
        super().__init__(f"{path}: {field}: {message}" if field else f"{path}: {message}")
        self.path = path
        self.field = field


class Incident(NamedTuple):
    """One labelled incident; all times are starts of windows, both ends included."""

    start_s: float
    end_s: float
    from_s: float
    to_s: float
    note: str = ""

    def holds(self, start_s: float) -> bool:
        """Return whether an answer to the window that starts then belongs to this incident."""
        return self.from_s <= start_s <= self.to_s


class Labels(NamedTuple):
    """The truth about one series; `rows` is 0 if the file does not say how many rows it labels.

    `windows` are the scoring windows of NAB where the file states them; None if not.
    """

    incidents: tuple[Incident, ...]
    ignore: tuple[tuple[float, float], ...] = ()
    probation: int = 0
    rows: int = 0
    windows: tuple[tuple[float, float], ...] | None = None

    def incident_at(self, start_s: float) -> Incident | None:
        """Return the first incident that holds this window, if any."""
        return next((i for i in self.incidents if i.holds(start_s)), None)

    def ignored(self, start_s: float) -> bool:
        """Return whether nothing may be concluded from this window."""
        return any(a <= start_s <= b for a, b in self.ignore)


def read_labels(path: str | Path) -> dict[str, Labels]:
    """Return the labels of every series in a file, by the name under which they stand.

    Raises:
        LabelsError: If the file is no labels file, has unknown keys or impossible times.
    """
    name = str(path)
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise LabelsError(f"cannot be read: {error.strerror or error}", path=name, field="") from error
    except ValueError as error:
        raise LabelsError(f"is not JSON: {error}", path=name, field="") from error
    if not isinstance(document, dict) or not isinstance(document.get("series"), dict):
        raise LabelsError('needs an object "series": file name -> incidents', path=name, field="series")
    _known(document, _TOP_KEYS, path=name, field="")
    return {
        str(key): _labels(entry, path=name, field=f"series.{key}")
        for key, entry in document["series"].items()
    }


def labels_for(labels: Mapping[str, Labels], *, file_name: str, target: str, path: str) -> Labels:
    """Return the labels of one series, by its file name, else by its target.

    Raises:
        LabelsError: If the file has none for it.
    """
    for key in (file_name, target):
        if key in labels:
            return labels[key]
    raise LabelsError(
        f'no labels for "{file_name}"{did_you_mean(file_name, labels)}; '
        f"use --labels only with the files it names ({len(labels)} in all)",
        path=path,
        field="series",
    )


def _labels(entry: object, *, path: str, field: str) -> Labels:
    """Return the labels of one entry."""
    if not isinstance(entry, dict):
        raise LabelsError(f"must be an object, is {type(entry).__name__}", path=path, field=field)
    _known(entry, _SERIES_KEYS, path=path, field=field)
    incidents = _items(entry.get("incidents", []), path=path, field=f"{field}.incidents")
    ignore = _items(entry.get("ignore", []), path=path, field=f"{field}.ignore")
    return Labels(
        tuple(
            sorted(
                _incident(item, path=path, field=f"{field}.incidents[{i}]")
                for i, item in enumerate(incidents)
            )
        ),
        tuple(_stretch(item, path=path, field=f"{field}.ignore[{i}]") for i, item in enumerate(ignore)),
        _whole(entry.get("probation", 0), path=path, field=f"{field}.probation"),
        _whole(entry.get("rows", 0), path=path, field=f"{field}.rows"),
        _windows(entry, path=path, field=f"{field}.windows"),
    )


def _windows(entry: Mapping[str, object], *, path: str, field: str) -> tuple[tuple[float, float], ...] | None:
    """Return the scoring windows that a file states."""
    if "windows" not in entry:
        return None
    items = _items(entry["windows"], path=path, field=field)
    return tuple(_stretch(item, path=path, field=f"{field}[{i}]") for i, item in enumerate(items))


def _incident(item: object, *, path: str, field: str) -> Incident:
    """Return one incident; `from` and `to` default to `start` and `end`."""
    if not isinstance(item, dict):
        raise LabelsError("must be an object with start and end", path=path, field=field)
    times = {}
    for key, other in (("start", None), ("end", None), ("from", "start"), ("to", "end")):
        value = item.get(key, item.get(other) if other else None)
        times[key] = _moment(value, path=path, field=f"{field}.{key}")
    if not times["from"] <= times["start"] <= times["end"] <= times["to"]:
        raise LabelsError("times must rise: from <= start <= end <= to", path=path, field=field)
    note = str(item.get("fault", item.get("note", "")))
    return Incident(times["start"], times["end"], times["from"], times["to"], note)


def _stretch(item: object, *, path: str, field: str) -> tuple[float, float]:
    """Return one [begin, end] pair."""
    if not isinstance(item, list) or len(item) != 2:
        raise LabelsError("must be a pair [begin, end]", path=path, field=field)
    begin, end = (_moment(value, path=path, field=field) for value in item)
    if begin > end:
        raise LabelsError("must not end before it begins", path=path, field=field)
    return begin, end


def _moment(value: object, *, path: str, field: str) -> float:
    """Return epoch seconds."""
    try:
        return parse_moment(str(value) if value is not None else "")
    except MomentError as error:
        raise LabelsError(str(error), path=path, field=field) from error


def _items(value: object, *, path: str, field: str) -> list[object]:
    """Return the value if it is a list."""
    if not isinstance(value, list):
        raise LabelsError(f"must be a list, is {type(value).__name__}", path=path, field=field)
    return value


def _whole(value: object, *, path: str, field: str) -> int:
    """Return the value if it is a whole number, at least 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise LabelsError(f"must be a whole number, at least 0, is {value!r}", path=path, field=field)
    return value


def _known(mapping: Mapping[str, object], known: tuple[str, ...], *, path: str, field: str) -> None:
    """Refuse unknown keys: a misspelt one would be ignored in silence."""
    for key in mapping:
        if key not in known:
            raise LabelsError(
                f'unknown key "{key}"{did_you_mean(key, known)}; known are {", ".join(known)}',
                path=path,
                field=field,
            )
