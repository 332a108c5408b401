"""YAML whose keys know their line: so that what is wrong in a file can be told with file:line.

Knows no schema. YAML is imported when a file is read, which Lambda never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class YamlError(ValueError):
    """Bytes that are no YAML mapping, or hold a key twice; `path` is that key, empty otherwise."""

    def __init__(self, problems: tuple[str, ...], path: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.path = path


class Lines:
    """Where each key of a composed YAML tree stands, and which stand twice."""

    def __init__(self, node: Any, where: str) -> None:
        self._where = where
        self._lines: dict[tuple[str, ...], int] = {}
        self.repeated: list[tuple[tuple[str, ...], str]] = []  # path and problem
        self._walk(node, (), ())

    def _walk(self, node: Any, path: tuple[str, ...], above: tuple[Any, ...]) -> None:
        if any(node is one for one in above):  # an alias of what it stands in
            return
        above = (*above, node)
        kind = getattr(node, "id", "")
        if kind == "sequence":
            for index, entry in enumerate(node.value):
                self._lines[*path, str(index)] = entry.start_mark.line + 1
                self._walk(entry, (*path, str(index)), above)
        elif kind == "mapping":
            for key, value in node.value:
                here, line = (*path, str(key.value)), key.start_mark.line + 1
                if here in self._lines:
                    text = (
                        f"{self._where}:{line}: {'.'.join(here)} stands twice "
                        f"(first on line {self._lines[here]}); remove one"
                    )
                    self.repeated.append((here, text))
                self._lines[here] = line
                self._walk(value, here, above)

    def at(self, *path: str) -> str:
        """Return 'file:line' of the nearest known ancestor of a path."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return f"{self._where}:{self._lines[path[:length]]}"
        return f"{self._where}:1"


def read_mapping(
    data: bytes, *, where: str, kind: str, bytes_max: int
) -> tuple[Mapping[object, object], Lines]:
    """Return the mapping in the bytes of a YAML file, and where its keys stand.

    Args:
        data: The file.
        where: Its name, for errors.
        kind: What it should be, as in "a policy".
        bytes_max: How large one may be.

    Raises:
        YamlError: It is too large, no YAML, no mapping, or a key stands twice (all of them are told).

    >>> read_mapping(b"a: {b: 1}", where="p.yaml", kind="a policy", bytes_max=99)[1].at("a", "b")
    'p.yaml:1'
    """
    import yaml

    if len(data) > bytes_max:
        raise YamlError((f"{where}: {len(data)} bytes; {kind} has at most {bytes_max}",))
    try:
        text = data.decode("utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        plain = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        detail = getattr(error, "problem", None) or error
        raise YamlError((f"{where}{line}: is not YAML: {detail}",)) from error
    lines = Lines(node, where)
    if lines.repeated:
        raise YamlError(tuple(text for _, text in lines.repeated), lines.repeated[0][0])
    if not isinstance(plain, dict):
        raise YamlError((f"{where}:1: must be a mapping that begins with 'version: 1'",))
    return plain, lines
