"""Reads integrations.yaml; every problem is told with file:line, field, value, bound and remedy.

All problems are told at once (up to `TOLD_MAX`): a map of sixty functions is
mended in one go. Pydantic checks the values; this module knows where they stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from flyball.errors import printable
from flyball.hints import did_you_mean
from flyball.names import name_problem
from flyball_analytics.codes import ErrorCode
from flyball_analytics.integrations import Call, Function, IntegrationMap, Target
from flyball_controller.yaml_lines import Lines, YamlError, read_mapping

FILE_BYTES_MAX = 4_000_000  # a thousand functions with every field take about one
TOLD_MAX = 20
_CODES = {"extra_forbidden": ErrorCode.UNKNOWN_KEY, "missing": ErrorCode.MISSING_KEY}
FUNCTION_NAME_MAX = 140  # Lambda's own limit for a name with a qualifier


class IntegrationsError(ValueError):
    """A map that cannot be used; `problems` are the lines of the message, `codes` what each is."""

    def __init__(self, problems: tuple[str, ...], codes: tuple[ErrorCode, ...]) -> None:
        problems = tuple(printable(text) for text in problems)
        super().__init__(_told(problems))
        self.problems = problems
        self.codes = codes

    def coded(self) -> str:
        """Return the message with the code of each problem behind its line."""
        lines = (f"{text} [{code}]" for text, code in zip(self.problems, self.codes, strict=True))
        return _told(tuple(lines))


def _told(problems: tuple[str, ...]) -> str:
    more = len(problems) - TOLD_MAX
    return "\n".join([*problems[:TOLD_MAX], *([f"and {more} more"] if more > 0 else [])])


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
    i.yaml:2: unknown key 'functons'; did you mean 'functions'?
    """
    try:
        plain, lines = read_mapping(data, where=where, kind="a map", bytes_max=FILE_BYTES_MAX)
    except YamlError as error:
        code = ErrorCode.REPEATED_KEY if error.path else ErrorCode.NOT_YAML
        raise IntegrationsError(error.problems, (code,) * len(error.problems)) from error
    try:
        read = IntegrationMap.model_validate(plain)
    except ValidationError as error:
        problems = _problems(error, lines)
        raise IntegrationsError(*_split(problems)) from error
    wrong = _names(read, lines)
    if wrong:
        raise IntegrationsError(*_split(wrong))
    return read


def _split(problems: Sequence[tuple[str, ErrorCode]]) -> tuple[tuple[str, ...], tuple[ErrorCode, ...]]:
    return tuple(text for text, _ in problems), tuple(code for _, code in problems)


def _problems(error: ValidationError, lines: Lines) -> list[tuple[str, ErrorCode]]:
    """Return one line for each field that is wrong; a field with several allowed forms is told once."""
    told: dict[tuple[str, ...], str] = {}
    codes: dict[tuple[str, ...], ErrorCode] = {}
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
        codes[key] = _CODES.get(item["type"], ErrorCode.WRONG_VALUE)
        if path == ("version",) and item["type"] != "missing":
            codes[key] = ErrorCode.WRONG_VERSION
    return sorted(((text, codes[key]) for key, text in told.items()), key=lambda pair: _line_of(pair[0]))


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


def _names(read: IntegrationMap, lines: Lines) -> list[tuple[str, ErrorCode]]:
    """Return what is wrong with names, and calls of targets that are not listed."""
    wrong: list[tuple[str, ErrorCode]] = []
    for target in read.targets:
        problem = name_problem(target)
        if problem:
            wrong.append((f"{lines.at('targets', target)}: the target {problem}", ErrorCode.BAD_NAME))
    for name, function in read.functions.items():
        if not (name.isprintable() and 0 < len(name) <= FUNCTION_NAME_MAX):
            text = (
                f"{lines.at('functions', name)}: the function {name!r} must have 1 to "
                f"{FUNCTION_NAME_MAX} printable characters, as AWS_LAMBDA_FUNCTION_NAME gives them"
            )
            wrong.append((text, ErrorCode.BAD_NAME))
        for called in function.calls or {}:
            if called not in read.targets:
                at = lines.at("functions", name, "calls", called)
                hint = did_you_mean(called, read.targets)
                text = f"{at}: {name} calls {called!r}, which is not under targets: add it there{hint}"
                wrong.append((text, ErrorCode.UNKNOWN_NAME))
    return wrong


def integrations_schema() -> dict[str, object]:
    """Return the JSON Schema of the file (draft 2020-12), for editors."""
    schema: dict[str, object] = IntegrationMap.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flyball integration map",
        **{key: value for key, value in schema.items() if key != "title"},
    }
