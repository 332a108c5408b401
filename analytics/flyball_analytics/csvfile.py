"""Open a delimited text file and give its header and numbered rows; nothing about their meaning."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from flyball_analytics.problems import SeriesError

_SEPARATORS = (",", ";", "\t")
# What is often given in the place of a text file, by its first bytes, and what to do with it.
_MAGIC = (
    (b"\x1f\x8b", "gzip: unpack it first (gunzip)"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet: unpack it, or export it as CSV"),
    (b"PAR1", "Parquet: give the folder that flyball ingest wrote, or export it as CSV"),
    (b"\xff\xfe", "UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16: save it as UTF-8"),
)
# Longest header that is looked at: a binary file without a line end must not fill the memory.
HEADER_CHARS_MAX = 65_536
LINE_CHARS_MAX = 1 << 20


def shown(path: Path) -> str:
    """Return a path as it may be written: in UTF-8, whatever encoding the bytes of its name are of.

    >>> shown(Path("pay.csv"))
    'pay.csv'
    """
    return os.fsencode(path).decode("utf-8", "replace")


class Table(NamedTuple):
    """The header with its line number, and the rows with theirs (1 = first line of the file)."""

    header: tuple[str, ...]
    header_line: int
    rows: Iterator[tuple[int, list[str]]]


def read_table(path: Path) -> Table:
    """Return the header and an iterator over the rows of a CSV file (comma, semicolon or tab).

    Blank lines and lines that begin with `#` are skipped. The separator is the one
    that the header uses most.

    Raises:
        SeriesError: If the file cannot be opened or read as UTF-8 text, or has no
            header; also while the rows are read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line, text = _first_line(file, path)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    separator = max(_SEPARATORS, key=text.count)
    header = next(csv.reader([text], delimiter=separator))
    return Table(tuple(header), line, _rows(path, line, separator))


def _first_line(file: TextIO, path: Path) -> tuple[int, str]:
    """Return number and text of the first line that is neither blank nor a comment."""
    line = 0
    while True:
        text = file.readline(HEADER_CHARS_MAX)
        line += 1
        if not text:
            raise SeriesError("the file is empty: a header line with column names is needed", path=str(path))
        if len(text) >= HEADER_CHARS_MAX:
            raise SeriesError(
                f"line {line} has over {HEADER_CHARS_MAX} characters: is it a CSV file?", path=str(path)
            )
        if text.strip() and not text.startswith("#"):
            return line, text


def _rows(path: Path, header_line: int, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows after the header with the line on which each ends."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for _ in range(header_line):
                file.readline()
            reader = csv.reader(_lines(file), delimiter=separator)
            for cells in reader:
                if not cells or not any(cell.strip() for cell in cells) or cells[0].startswith("#"):
                    continue
                yield header_line + reader.line_num, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _lines(file: TextIO) -> Iterator[str]:
    """Yield the lines; one without end must not fill the memory."""
    while text := file.readline(LINE_CHARS_MAX + 1):
        if len(text) > LINE_CHARS_MAX:
            raise csv.Error(f"a line has over {LINE_CHARS_MAX} characters")
        yield text


def _unreadable(path: Path, error: Exception) -> SeriesError:
    """Return the error for a file that cannot be read as text."""
    if isinstance(error, UnicodeDecodeError):
        what = f"is {_kind(path)}" if _kind(path) else f"byte {error.start} is not UTF-8: save it as UTF-8"
        what += "; a CSV text file is needed"
    elif isinstance(error, OSError):
        what = f"cannot be read: {error.strerror or error}"
    else:
        what = f"is not CSV: {error}"
    return SeriesError(what, path=str(path))


def _kind(path: Path) -> str:
    """Return what a file that is no text is, with the remedy; empty if that is not known."""
    with path.open("rb") as file:
        first = file.read(max(len(magic) for magic, _ in _MAGIC))
    return next((words for magic, words in _MAGIC if first.startswith(magic)), "")
