"""The reference of the command line, from click's own description of every command.

Knows no page: tools/docs_reference.py puts the text where it belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from flyball_analytics.cli import cli


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table; a pipe in a cell is escaped."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def commands() -> str:
    """Return a section per command, with a table of its arguments and options."""
    root = click.Context(cli, info_name="flyball")
    return "\n\n".join(_command(command, path) for path, command in _walk(cli, root, ("flyball",)))


def _walk(
    group: click.Group, context: click.Context, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None  # noqa: S101 - listed a moment ago
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _walk(command, click.Context(command, parent=context, info_name=name), (*path, name))


def _command(command: click.Command, path: tuple[str, ...]) -> str:
    context = click.Context(command, info_name=" ".join(path))
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"### {' '.join(path[1:])}", f"```\n{' '.join(path)} {usage}\n```", _prose(command.help or "")]
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    if any(isinstance(a.type, click.Choice) for a in arguments):
        rows = [(f"`{a.make_metavar(context)}`", _values(a)) for a in arguments if _values(a)]
        parts.append(table(("argument", "values"), rows))
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        parts.append(table(("option", "default", "meaning"), [_option(o, context) for o in options]))
    return "\n\n".join(part for part in parts if part)


def _prose(text: str) -> str:
    """Return a command's help as Markdown: what is not to be wrapped, as code."""
    parts = []
    for block in re.sub(r"\n[ \t]*\n", "\n\n", text.strip()).split("\n\n"):
        lines = [line.strip() for line in block.splitlines()]
        if lines and lines[0] == "\b":
            parts.append("```\n" + "\n".join(line.rstrip() for line in block.splitlines()[1:]) + "\n```")
            parts[-1] = re.sub(r"(?m)^    ", "", parts[-1])
        else:
            parts.append(_escaped(" ".join(lines)))
    return "\n\n".join(parts)


def _escaped(text: str) -> str:
    """Return prose in which no < begins a tag."""
    return re.sub(r"<(?=\w)", "\\<", text)


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    metavar = "" if option.is_flag or option.count else f" `{_metavar(option, context)}`"
    default = option.get_default(context, call=False)
    shown = "required" if option.required else _default(default, option)
    notes = [_escaped(option.help or "").rstrip(".")]
    if _values(option):
        notes.append(_values(option))
    if option.multiple and "repeated" not in notes[0]:
        notes.append("may be repeated")
    return f"{names}{metavar}", shown, "; ".join(note for note in notes if note)


def _metavar(option: click.Option, context: click.Context) -> str:
    if isinstance(option.type, click.Choice):
        return "WORD"
    return option.make_metavar(context).strip("[]").partition(" ")[0]


def _default(value: object, option: click.Option) -> str:
    if callable(value):
        return "see the meaning"
    if value is None or value == () or type(value).__name__ == "Sentinel" or (option.is_flag and not value):
        return ""
    if isinstance(value, Path):
        return f"`{value}`"
    if isinstance(value, list | tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _values(parameter: click.Parameter) -> str:
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, click.IntRange | click.FloatRange):
        low, high = kind.min, kind.max
        if low is not None and high is not None:
            return f"{low:g} to {high:g}"
        return f"from {low:g}" if low is not None else f"up to {high:g}" if high is not None else ""
    return ""
