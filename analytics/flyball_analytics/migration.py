"""Brings files of older formats up to date: policies and integration maps; comments and layout stay.

A change is an edit of the text at the place that the YAML reader names, never a
rewrite. What comes out must pass the present reader, or nothing does: a file that
is wrong for another reason is told as such. What nobody knows is refused. Compiled
policies and published documents are made by flyball, so they are made anew, not migrated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from flyball_analytics.codes import ErrorCode
from flyball_controller.core.errors import PolicyError
from flyball_controller.yaml_lines import YamlError, read_mapping

FILE_BYTES_MAX = 4_000_000  # as the larger of the two readers
CURRENT = 1  # of policies and of maps
# Settings of a policy that are gone, with what became of them.
RETIRED = {
    "profile_rate": "seasons now count what comes again (profile_visits_min), at no rate of their own",
}


class Kind(StrEnum):
    """What a file is."""

    POLICY = "policy"
    INTEGRATIONS = "integrations"
    COMPILED = "compiled policy"
    DOCUMENT = "document"


class Change(NamedTuple):
    """One edit: characters `start` to `end` of the text become `text`; `line` counts from 1."""

    line: int
    says: str
    start: int
    end: int
    text: str


class Migration(NamedTuple):
    """A file before and after; equal if it is current. `version`: of the file, 0 = it states none."""

    where: str
    kind: Kind
    version: int
    changes: tuple[Change, ...]
    before: str
    after: str


class MigrationError(ValueError):
    """A file that cannot be migrated; `code` says why."""

    def __init__(self, message: str, *, code: ErrorCode) -> None:
        super().__init__(message)
        self.code = code


def migrate(data: bytes, *, where: str) -> Migration:
    """Return what a file becomes.

    Raises:
        MigrationError: It is none of our files, of a newer version, or made by flyball and not current.
        PolicyError, IntegrationsError: What comes out is still wrong; the place is that in the result.

    >>> done = migrate(b"# ours\\ntargets:\\n  pay: {profile_rate: 0.1, open_floor: 0.5}\\n", where="p.yaml")
    >>> print(done.after, end="")
    # ours
    version: 1
    targets:
      pay: {open_floor: 0.5}
    """
    if where.endswith(".json"):
        return _made(data, where)
    try:
        plain, _ = read_mapping(data, where=where, kind="a policy or map", bytes_max=FILE_BYTES_MAX)
    except YamlError as error:
        code = ErrorCode.REPEATED_KEY if error.path else ErrorCode.NOT_YAML
        raise MigrationError(error.problems[0], code=code) from error
    kind = _kind(set(map(str, plain)), where)
    version = plain.get("version", 0)
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise MigrationError(
            f"{where}: version={version!r} must be a whole number", code=ErrorCode.WRONG_VALUE
        )
    if version > CURRENT:
        raise MigrationError(
            f"{where}: version={version} is newer than this flyball reads ({CURRENT}): install a newer one",
            code=ErrorCode.WRONG_VERSION,
        )
    text = data.decode("utf-8")
    changes = tuple(sorted(_changes(text, kind, has_version="version" in plain, version=version)))
    after = _edited(text, changes)
    _proved(after, kind, where)
    return Migration(where, kind, version, changes, text, after)


def _kind(keys: set[str], where: str) -> Kind:
    """Return what a file is by its keys."""
    if "functions" in keys:
        return Kind.INTEGRATIONS
    if keys & {"preset", "defaults", "mode", "probes", "targets"}:
        return Kind.POLICY
    raise MigrationError(
        f"{where}: is neither a policy (targets, defaults, preset) nor an integration map (functions): "
        f"its keys are {', '.join(sorted(keys)) or 'none'}",
        code=ErrorCode.INVALID,
    )


def _changes(text: str, kind: Kind, *, has_version: bool, version: int) -> Iterator[Change]:
    """Yield what has to be edited."""
    import yaml

    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None or root.id != "mapping":  # read_mapping has refused it
        return
    by_key = {key.value: (key, value) for key, value in root.value}
    if not has_version:
        first = root.value[0][0].start_mark
        yield Change(first.line + 1, "version: 1 is stated", first.index, first.index, "version: 1\n")
    elif version < CURRENT:
        _, value = by_key["version"]
        start, end = value.start_mark, value.end_mark
        yield Change(
            start.line + 1, f"version {version} becomes {CURRENT}", start.index, end.index, f"{CURRENT}"
        )
    if kind is Kind.POLICY:
        for section in _sections(by_key):
            yield from _retired(text, section)


def _sections(by_key: dict[str, Any]) -> Iterator[Any]:
    """Yield the mappings of settings in a policy."""
    for name in ("defaults", "targets"):
        node = by_key[name][1] if name in by_key else None
        if node is None or node.id != "mapping":
            continue
        if name == "defaults":
            yield node
        else:
            yield from (value for _, value in node.value if value.id == "mapping")


def _retired(text: str, section: Any) -> Iterator[Change]:
    """Yield the removal of every setting that is gone."""
    pairs = section.value
    gone = [number for number, (key, _) in enumerate(pairs) if key.value in RETIRED]
    for number in gone:
        key, value = pairs[number]
        start, end = key.start_mark.index, value.end_mark.index
        if not section.flow_style:  # its lines, with the comment behind it
            start = text.rfind("\n", 0, start) + 1
            end = text.find("\n", end) + 1 or len(text)
        elif number + 1 < len(pairs):
            end = pairs[number + 1][0].start_mark.index
        elif number - 1 >= 0 and number - 1 not in gone:
            start = pairs[number - 1][1].end_mark.index
        says = f"{key.value} is removed: {RETIRED[key.value]}"
        yield Change(key.start_mark.line + 1, says, start, end, "")


def _edited(text: str, changes: tuple[Change, ...]) -> str:
    for change in sorted(changes, key=lambda one: one.start, reverse=True):
        text = text[: change.start] + change.text + text[change.end :]
    return text


def _proved(text: str, kind: Kind, where: str) -> None:
    """Let the present reader judge the result."""
    if kind is Kind.POLICY:
        from flyball_controller.policy_file import parse_policy

        parse_policy(text.encode(), where=where)
    else:
        from flyball_analytics.integrations_file import parse_integrations

        parse_integrations(text.encode(), where=where)


def _made(data: bytes, where: str) -> Migration:
    """Return a file that flyball makes, if it is current."""
    from flyball.document import decode_document
    from flyball.errors import ContractError
    from flyball_controller.policy_set import load_compiled

    try:
        plain = json.loads(data)
    except ValueError as error:
        raise MigrationError(f"{where}: is not JSON: {error}", code=ErrorCode.NOT_YAML) from error
    keys = set(plain) if isinstance(plain, dict) else set()
    text = data.decode("utf-8")
    try:
        if "compiled" in keys:
            load_compiled(data, where=where)
            return Migration(where, Kind.COMPILED, int(plain["compiled"]), (), text, text)
        if "schema" in keys and "targets" in keys:
            decode_document(data, strict=True)
            return Migration(where, Kind.DOCUMENT, int(plain["schema"]), (), text, text)
    except PolicyError as error:
        remedy = "compile it anew from its YAML: flyball validate POLICY.yaml --compile FILE"
        raise MigrationError(f"{error}; {remedy}", code=ErrorCode(error.code)) from error
    except ContractError as error:
        remedy = "let flyball publish a new one: flyball plan, flyball apply"
        raise MigrationError(f"{where}: {error}; {remedy}", code=ErrorCode.WRONG_VALUE) from error
    raise MigrationError(
        f"{where}: is neither a compiled policy (compiled) nor a document (schema, targets)",
        code=ErrorCode.INVALID,
    )
