"""Joins what source and AWS showed into one draft, and writes it as YAML that says what nobody could know.

The fields that are not known are named beside those that are. The text is read back before it is returned.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from flyball_analytics.integrations import Call, Function, IntegrationMap, Target
from flyball_analytics.integrations_file import parse_integrations
from flyball_analytics.mapping.found import FoundFunction, FoundSource, few
from flyball_analytics.mapping.sourcescan import Seen

NEVER_ASKED = (
    "calls by other libraries, and retries written as loops",
    "what a cold start adds (cold_start_ms)",
)
HEAD = """# Integration map, drafted by `flyball map`. Fill in what is not known, then: flyball assess
# What each field means: `flyball init`, or `flyball schema integrations` for your editor.
# yaml-language-server: $schema=integrations.schema.json
"""
WIDTH = 100  # of comments
SEEN_MAX = 5  # places named per call
NAMES_MAX = 5  # functions named in one line of what could not be known
# Not asked for in a draft: where other fields say it already, or few have it.
QUIET = ("failures", "seen_in", "calls", "calls_per_request")


class Draft(NamedTuple):
    """The plain map, and what could not be known, in words; `origins`: who told a field, by its path."""

    plain: dict[str, Any]
    unknown: tuple[str, ...]
    origins: Mapping[tuple[str, ...], str] = {}


def draft_of(
    functions: Iterable[FoundFunction],
    calls: Mapping[str, Sequence[Seen]],
    skipped: Sequence[str] = (),
    sources: Iterable[FoundSource] = (),
    not_asked: Sequence[str] = (),
) -> Draft:
    """Return the draft of a map.

    Args:
        functions: What AWS knows; may be empty.
        calls: What the source of each function shows, by function.
        skipped: Files that could not be read, with the reason.
        sources: What maps and metrics of AWS show; of two values the first source's counts.
        not_asked: Sources that were left out, in words.
    """
    sources = tuple(sources)
    found = {item.name: item for item in functions}
    unknown = [f"source: {text}" for text in skipped]
    targets: dict[str, dict[str, Any]] = {}
    plain: dict[str, Any] = {}
    for name in dict.fromkeys([*found, *calls]):
        item = found.get(name)
        fields: dict[str, Any] = dict(item.fields) if item is not None else {}
        unknown += [f"{name}: {text}" for text in (item.unknown if item is not None else ())]
        if name not in calls and not any(name == caller for one in sources for caller, _ in one.calls):
            unknown.append(f"{name}: which targets it calls: scan its source (--source NAME=FOLDER)")
        elif name in calls and not calls[name]:
            unknown.append(f"{name}: no call was found in its source; if it is pure, write calls: {{}}")
        if name in calls and not found:
            unknown.append(f"{name}: AWS was not asked (--aws): its configuration")
        elif name in calls and item is None:
            unknown.append(f"{name}: AWS has no function of this name")
        if calls.get(name):
            fields["calls"] = _calls_of(name, calls[name], targets, unknown)
        plain[name] = fields
    whole: dict[str, Any] = {"version": 1, "targets": targets, "functions": plain}
    origins = _joined(whole, sources, unknown)
    unknown += [f"not asked: {text}" for text in (*not_asked, *NEVER_ASKED)]
    return Draft(whole, tuple(unknown), origins)


def _joined(
    whole: dict[str, Any], sources: Sequence[FoundSource], unknown: list[str]
) -> dict[tuple[str, ...], str]:
    """Add what maps and metrics show to a draft; returns who told each field."""
    origins: dict[tuple[str, ...], str] = {}

    def add(record: dict[str, Any], path: tuple[str, ...], fields: Mapping[str, object], source: str) -> None:
        for field, value in fields.items():
            if field not in record:
                record[field] = value
                origins[*path, field] = source

    for source in sources:
        unknown += source.unknown
        for name, fields in source.targets.items():
            add(whole["targets"].setdefault(name, {}), ("targets", name), fields, source.name)
        for (caller, target), fields in source.calls.items():
            whole["targets"].setdefault(target, {})
            calls = whole["functions"].setdefault(caller, {}).setdefault("calls", {})
            seen_before = target in calls
            add(calls.setdefault(target, {}), ("functions", caller, "calls", target), fields, source.name)
            if not seen_before:
                unknown.append(
                    f"{caller} -> {target}: time-out and retries: only {source.name} shows this call"
                )
        if source.rollback_alarms:
            add(whole, (), {"rollback_alarms": list(source.rollback_alarms)}, source.name)
    return origins


def _calls_of(
    name: str, seen: Sequence[Seen], targets: dict[str, dict[str, Any]], unknown: list[str]
) -> dict[str, dict[str, Any]]:
    """Return the calls of one function, those of one target joined; the worse of two values counts."""
    by_target: dict[str, list[Seen]] = {}
    for call in seen:
        by_target.setdefault(call.target, []).append(call)
    result = {}
    for target, group in by_target.items():
        targets.setdefault(target, {"kind": group[0].kind})
        fields: dict[str, Any] = {}
        timeouts = [call.timeout_s for call in group]
        if "none" in timeouts:
            fields["timeout_s"] = "none"
        elif None not in timeouts:
            fields["timeout_s"] = max(t for t in timeouts if isinstance(t, float))
        layers: dict[str, int | str] = {}
        for call in group:
            for layer, count in (call.layers or {}).items():
                layers[layer] = _more(layers.get(layer), count)
        if all(call.layers is not None for call in group):
            fields["layers"] = layers
        if all(call.idempotent for call in group):
            fields["idempotent"] = True
        fields["seen_in"] = [call.where for call in group[:SEEN_MAX]]
        for call in group:
            unknown += [f"{name} -> {target}, {call.where}: {text}" for text in call.unclear]
        result[target] = fields
    return result


def _more(one: int | str | None, other: int | str) -> int | str:
    if isinstance(one, str) or isinstance(other, str):
        return "unlimited"
    return max(one or 0, other)


def draft_text(draft: Draft) -> str:
    """Return the draft as YAML, unknown fields as comments with their meaning.

    Raises:
        IntegrationsError: A name found in the source is no name of a target.
    """
    plain = draft.plain
    lines = [HEAD.rstrip("\n"), "version: 1"]
    if "rollback_alarms" in plain:
        lines.append(f"rollback_alarms: {_plain(plain['rollback_alarms'])}")
    lines.append("targets:" if plain["targets"] else "targets: {}")
    for name, fields in plain["targets"].items():
        lines += [
            f"  {_plain(name)}:{'' if fields else ' {}'}",
            *_record(Target, fields, 4, draft, "targets", name),
        ]
    lines.append("functions:" if plain["functions"] else "functions: {}")
    for name, fields in plain["functions"].items():
        lines += [
            f"  {_plain(name)}:{'' if fields else ' {}'}",
            *_record(Function, fields, 4, draft, "functions", name),
        ]
        lines.append("    calls:" if "calls" in fields else "    # calls:")
        for target, call in fields.get("calls", {}).items():
            lines.append(f"      {_plain(target)}:{'' if call else ' {}'}")
            lines += _record(Call, call, 8, draft, "functions", name, "calls", target)
    unknown = list(grouped(draft.unknown, list(plain["functions"])))
    lines += ["", "# What could not be known:", *(f"# - {' '.join(text.split())}" for text in unknown)]
    text = "\n".join(lines) + "\n"
    parse_integrations(text.encode(), where="draft")
    return text


def grouped(unknown: Iterable[str], functions: Sequence[str]) -> Iterator[str]:
    """Yield what could not be known, each text once, with the functions that it holds for.

    >>> list(grouped(["f: trigger: 404", "g: trigger: 404", "source: x"], ["f", "g"]))
    ['trigger: 404 (f, g)', 'source: x']
    """
    holders: dict[str, list[str]] = {}
    names = frozenset(functions)
    for text in unknown:
        holder, _, rest = text.partition(": ")
        own = bool(rest) and holder.partition(" -> ")[0] in names
        holders.setdefault(rest if own else text, []).extend([holder] if own else [])
    for text, held in holders.items():
        if len(held) == 1:
            yield f"{held[0]}: {text}"
        else:
            yield f"{text} ({few(held, NAMES_MAX)})" if held else text


def _record(
    model: type[BaseModel], fields: Mapping[str, Any], indent: int, draft: Draft, *path: str
) -> list[str]:
    """Return the known fields, with who told them, and the names of the others in a comment."""
    pad = " " * indent
    lines = []
    for name in model.model_fields:
        if name in fields and name != "calls":
            origin = draft.origins.get((*path, name))
            lines.append(f"{pad}{name}: {_plain(fields[name])}{f'  # {origin}' if origin else ''}")
    missing = [name for name in model.model_fields if name not in fields and name not in QUIET]
    mark = f"{pad}# "
    lines += textwrap.wrap(
        f"not known: {', '.join(missing)}", WIDTH, initial_indent=mark, subsequent_indent=f"{mark}  "
    )
    return lines


def _plain(value: object) -> str:
    """Return a value in YAML's one-line form."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def validated(draft: Draft) -> IntegrationMap:
    """Return the draft as a checked map.

    Raises:
        IntegrationsError: As `draft_text`.
    """
    return parse_integrations(draft_text(draft).encode(), where="draft")
