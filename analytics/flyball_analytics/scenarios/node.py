"""YAML with its line numbers: values that know where they stand, so that every error can say file:line.

A `Node` wraps one value. Its readers check type and range and raise a
ScenarioError that names field, value, bound and remedy; keys that nobody knows
are errors with "did you mean". Knows YAML, not scenarios.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from flyball.errors import printable
from flyball.hints import did_you_mean
from flyball_analytics.scenarios.notation import (
    NotationError,
    Piece,
    Quantity,
    parse_level,
    parse_series,
    parse_span_s,
)
from flyball_controller.yaml_lines import compose, construct

FILE_BYTES_MAX = 262_144
NODES_MAX = 50_000  # with every alias written out


class ScenarioError(ValueError):
    """A scenario file that cannot be used; `field`, `value` and `where` (file:line) are for tools."""

    def __init__(self, problem: str, *, where: str, field: str = "", value: object = None) -> None:
        super().__init__(printable(f"{where}: {problem}"))
        self.where = where
        self.field = field
        self.value = value


class Node:
    """One value of the file, with its path and its line."""

    __slots__ = ("_file", "line", "path", "value")

    def __init__(self, value: Any, *, file: str, line: int, path: str) -> None:
        """`value`: a scalar, a list of Nodes, or a dict of str to Node."""
        self.value = value
        self.line = line
        self.path = path
        self._file = file

    @property
    def where(self) -> str:
        """File and line, as editors understand them."""
        return f"{self._file}:{self.line}"

    def fail(self, problem: str) -> NoReturn:
        """Raise the error of this value."""
        shown = self.value if not isinstance(self.value, dict | list) else None
        raise ScenarioError(f"{self.path}: {problem}", where=self.where, field=self.path, value=shown)

    def _wrong(self, wanted: str) -> NoReturn:
        kind = repr(self.value)
        if isinstance(self.value, dict | list):
            kind = "a mapping" if isinstance(self.value, dict) else "a list"
        self.fail(f"must be {wanted}, not {kind}")

    # --- containers -------------------------------------------------------------------

    def mapping(self, known: Iterable[str] | None = None) -> dict[str, Node]:
        """Return the entries of a mapping; with `known`, any other key is an error."""
        if not isinstance(self.value, dict):
            self._wrong("a mapping")
        if known is not None:
            words = tuple(known)
            for key, entry in self.value.items():
                if key not in words:
                    entry.fail(f"unknown key {key!r}{did_you_mean(key, sorted(words), listing='known are')}")
        return self.value

    def items(self) -> Iterator[Node]:
        """Yield the entries of a list."""
        if not isinstance(self.value, list):
            self._wrong("a list")
        yield from self.value

    def texts(self) -> tuple[str, ...]:
        """Return one text or a list of them."""
        if isinstance(self.value, list):
            return tuple(entry.text() for entry in self.value)
        return (self.text(),)

    # --- scalars ----------------------------------------------------------------------

    def text(self) -> str:
        """Return a text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            self._wrong("text")
        return str(self.value)

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self._wrong("true or false")
        return bool(self.value)

    def whole(self, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""
        good = isinstance(self.value, int) and not isinstance(self.value, bool)
        if not good or not low <= self.value <= high:
            self._wrong(f"a whole number from {low} to {high}")
        return int(self.value)

    def number(self, low: float, high: float) -> float:
        """Return a number in [low, high]."""
        good = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not good or not low <= self.value <= high:
            self._wrong(f"a number from {low:g} to {high:g}")
        return float(self.value)

    def span_s(self) -> float:
        """Return the seconds of a span like 10m."""
        try:
            return parse_span_s(self._written())
        except NotationError as error:
            self.fail(str(error))

    def level(self, quantity: Quantity) -> float:
        """Return one level."""
        try:
            return parse_level(self._written(), quantity)
        except NotationError as error:
            self.fail(str(error))

    def series(self, quantity: Quantity) -> tuple[Piece, ...]:
        """Return a series of levels."""
        try:
            return parse_series(self._written(), quantity)
        except NotationError as error:
            self.fail(str(error))

    def _written(self) -> str:
        if isinstance(self.value, bool | dict | list) or self.value is None:
            self._wrong("text")
        return str(self.value)


def read_node(data: bytes, *, file: str, kind: str = "scenario", first: str = "description") -> Node:
    """Return the root of a YAML file; `kind` and `first` (its first key) stand in errors.

    Raises:
        ScenarioError: If it is no YAML mapping, or a key stands twice.
    """
    import yaml

    if len(data) > FILE_BYTES_MAX:
        raise ScenarioError(f"{len(data)} bytes; a {kind} has at most {FILE_BYTES_MAX}", where=file)
    try:
        root = _convert(compose(data, nodes_max=NODES_MAX), file, "scenario")
    except ScenarioError:
        raise
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        detail = getattr(error, "problem", None) or error
        raise ScenarioError(f"is not YAML: {detail}", where=f"{file}:{line}") from error
    if not isinstance(root.value, dict):
        raise ScenarioError(f"must be a mapping that begins with '{first}:'", where=f"{file}:1")
    return root


def _convert(node: Any, file: str, path: str) -> Node:
    """Return our tree of a composed YAML tree."""
    if node is None:  # an empty file
        return Node(None, file=file, line=1, path=path)
    line = node.start_mark.line + 1
    if node.id == "mapping":
        entries: dict[str, Node] = {}
        for key, value in node.value:
            name = str(key.value)
            here = name if path == "scenario" else f"{path}.{name}"
            if name in entries:
                where = f"{file}:{key.start_mark.line + 1}"
                raise ScenarioError(
                    f"{here}: stands twice (first on line {entries[name].line}); remove one",
                    where=where,
                    field=here,
                )
            entry = _convert(value, file, here)
            entry.line = key.start_mark.line + 1
            entries[name] = entry
        return Node(entries, file=file, line=line, path=path)
    if node.id == "sequence":
        parts = [_convert(entry, file, f"{path}[{n}]") for n, entry in enumerate(node.value)]
        return Node(parts, file=file, line=line, path=path)
    return Node(construct(node), file=file, line=line, path=path)
