"""YAML whose keys know their line: so that what is wrong in a file can be told with file:line.

Knows no schema. YAML is imported when a file is read, which Lambda never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A thousand functions with every field are about thirty thousand values. Aliases of aliases reach
# any number in a few lines ("billion laughs").
NODES_MAX = 200_000
NUMBER_CHARS_MAX = 1_000
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class YamlError(ValueError):
    """Bytes that are no YAML mapping, or hold a key twice; `path` is that key, empty otherwise."""

    def __init__(self, problems: tuple[str, ...], path: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.path = path


def compose(data: bytes, *, nodes_max: int) -> Any:
    """Return the tree of nodes in a YAML file; None if it is empty.

    Raises:
        YAMLError, UnicodeDecodeError, RecursionError: It is no YAML, or not in UTF-8.
        ValueError: With every alias written out it has more than `nodes_max` nodes.
    """
    import yaml

    node = yaml.compose(data.decode("utf-8"), Loader=yaml.SafeLoader)
    if node is not None and _unfolded(node, {}, ()) > nodes_max:
        raise ValueError(f"with its aliases written out it has more than {nodes_max} values")
    return node


def _unfolded(node: Any, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Return how many nodes there are if every alias is written out; each node is visited once."""
    if node.id == "scalar" or id(node) in above:
        return 1
    if id(node) not in known:
        inner = [part for pair in node.value for part in pair] if node.id == "mapping" else node.value
        known[id(node)] = 1 + sum(_unfolded(part, known, (*above, id(node))) for part in inner)
    return known[id(node)]


def construct(node: Any) -> Any:
    """Return the plain value of a composed tree.

    Raises:
        YAMLError, RecursionError: It has none.
        ValueError: A value does not fit the tag before it (`!!int ""`, `!!bool maybe`), or is
            a number of more digits than Python writes out.
    """
    import yaml

    if node is None:
        return None
    _refuse_long(node)
    try:
        loader = yaml.SafeLoader("")
        # As PyYAML ships it: other libraries add tags of their own to the class, for the whole process.
        shipped = yaml.constructor.SafeConstructor.yaml_constructors
        vars(loader).update(yaml_constructors=shipped, yaml_multi_constructors={})
        plain = loader.construct_document(node)
    except (LookupError, AttributeError, TypeError, ArithmeticError) as error:
        # PyYAML trusts a tag that is written out: the constructors fail each in their own way.
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"a value does not fit the tag before it ({reason})") from error
    return plain


def _refuse_long(root: Any) -> None:
    """Refuse numbers (0x..., or 1:30:... in base 60) that are too long to be computed or written out."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node.id == "scalar":
            if node.tag in _NUMBERS and len(node.value) > NUMBER_CHARS_MAX:
                raise ValueError(f"a number of {len(node.value)} characters; at most {NUMBER_CHARS_MAX}")
        elif id(node) not in seen:
            seen.add(id(node))
            stack += [part for pair in node.value for part in pair] if node.id == "mapping" else node.value


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
        node = compose(data, nodes_max=NODES_MAX)
        lines = Lines(node, where)
        plain = construct(node)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        detail = getattr(error, "problem", None) or error
        raise YamlError((f"{where}{line}: is not YAML: {detail}",)) from error
    if lines.repeated:
        raise YamlError(tuple(text for _, text in lines.repeated), lines.repeated[0][0])
    if not isinstance(plain, dict):
        raise YamlError((f"{where}:1: must be a mapping that begins with 'version: 1'",))
    return plain, lines
