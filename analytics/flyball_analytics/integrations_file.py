"""Reads integrations.yaml; every problem is told with file:line, field, value, bound and remedy.

All problems are told at once (up to `TOLD_MAX`): a map of sixty functions is
mended in one go. Pydantic checks the values; this module knows where they stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from flyball.names import name_problem
from flyball_analytics.integrations import Call, Function, IntegrationMap, Target
from flyball_analytics.problems import did_you_mean
from flyball_controller.yaml_lines import Lines, YamlError, read_mapping

FILE_BYTES_MAX = 4_000_000  # a thousand functions with every field take about one
TOLD_MAX = 20
FUNCTION_NAME_MAX = 140  # Lambda's own limit for a name with a qualifier


class IntegrationsError(ValueError):
    """A map that cannot be used; `problems` are the lines of the message."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        more = len(problems) - TOLD_MAX
        told = [*problems[:TOLD_MAX], *([f"and {more} more"] if more > 0 else [])]
        super().__init__("\n".join(told))
        self.problems = problems


def load_integrations(path: Path) -> IntegrationMap:
    """Return the map in a YAML file.

    Raises:
        OSError: The file cannot be read.
        IntegrationsError: It is no map; says what and where.
    """
    return parse_integrations(path.read_bytes(), where=str(path))


def parse_integrations(data: bytes, *, where: str) -> IntegrationMap:
    """Return the map in the bytes of a YAML file; `where` stands in errors.

    Raises:
        IntegrationsError: As `load_integrations`.

    >>> parse_integrations(b"version: 1\\nfunctons: {}", where="i.yaml")
    Traceback (most recent call last):
    ...
    flyball_analytics.integrations_file.IntegrationsError: i.yaml:1: functions is missing; Functions by name.
    i.yaml:2: unknown key 'functons' (did you mean "functions"?)
    """
    try:
        plain, lines = read_mapping(data, where=where, kind="a map", bytes_max=FILE_BYTES_MAX)
    except YamlError as error:
        raise IntegrationsError(error.problems) from error
    try:
        read = IntegrationMap.model_validate(plain)
    except ValidationError as error:
        raise IntegrationsError(_problems(error, lines)) from error
    wrong = tuple(_names(read, lines))
    if wrong:
        raise IntegrationsError(wrong)
    return read


def _problems(error: ValidationError, lines: Lines) -> tuple[str, ...]:
    """Return one line for each field that is wrong; a field with several allowed forms is told once."""
    told: dict[tuple[str, ...], str] = {}
    for item in error.errors():
        path = tuple(str(part) for part in item["loc"])
        model, depth = _model_at(path)
        field = path[depth] if depth < len(path) else ""
        key = path[: depth + 1]
        known = tuple(model.model_fields) if model is not None else ()
        about = model.model_fields[field].description if model is not None and field in known else ""
        if item["type"] == "extra_forbidden":
            text = f"unknown key {field!r}{did_you_mean(field, known)}"
        elif item["type"] == "missing":
            text = f"{field} is missing; {about}"
        else:
            said = str(item["msg"]).removeprefix("Input ")
            name = ".".join(path) if field == "" else ".".join(key)
            text = f"{name}={_shown(item.get('input'))} {said}; {about}".removesuffix("; ")
            if key in told:
                previous = told[key].split(": ", 1)[1]
                text = previous.replace("; ", f", or {said.removeprefix('should ')}; ", 1)
        told[key] = f"{lines.at(*path)}: {text}"
    return tuple(sorted(told.values(), key=_line_of))


def _line_of(text: str) -> int:
    number = text.split(":", 2)[1]
    return int(number) if number.isdigit() else 0


def _shown(value: object) -> str:
    return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else repr(value)


def _model_at(path: tuple[str, ...]) -> tuple[type[BaseModel] | None, int]:
    """Return the record that a path leads into, and how many parts of the path lead there."""
    if path[:1] == ("targets",) and len(path) > 2:
        return Target, 2
    if path[:1] == ("functions",) and len(path) > 2:
        return (Call, 4) if path[2] == "calls" and len(path) > 4 else (Function, 2)
    return IntegrationMap, 0


def _names(read: IntegrationMap, lines: Lines) -> list[str]:
    """Return what is wrong with names, and calls of targets that are not listed."""
    wrong = []
    for target in read.targets:
        problem = name_problem(target)
        if problem:
            wrong.append(f"{lines.at('targets', target)}: the target {problem}")
    for name, function in read.functions.items():
        if not (name.isprintable() and 0 < len(name) <= FUNCTION_NAME_MAX):
            wrong.append(
                f"{lines.at('functions', name)}: the function {name!r} must have 1 to "
                f"{FUNCTION_NAME_MAX} printable characters, as AWS_LAMBDA_FUNCTION_NAME gives them"
            )
        wrong += [
            f"{lines.at('functions', name, 'calls', called)}: {name} calls {called!r}, which is "
            f"not under targets{did_you_mean(called, read.targets)}; add it there"
            for called in function.calls or {}
            if called not in read.targets
        ]
    return wrong


def integrations_schema() -> dict[str, object]:
    """Return the JSON Schema of the file (draft 2020-12), for editors."""
    schema: dict[str, object] = IntegrationMap.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flyball integration map",
        **{key: value for key, value in schema.items() if key != "title"},
    }
