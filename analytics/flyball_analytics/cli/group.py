"""The command group: imports a command when it is used, and turns every failure into one paragraph.

Built-in commands stand in a table with their one-line help, so that `flyball
--help` imports none of them. Other packages add commands by the entry-point
group `flyball.commands`.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from flyball.hints import did_you_mean
from flyball_analytics.cli.errors import ExitCode, FlyballError, InterruptedRunError, InvalidError, failure_of
from flyball_analytics.codes import ErrorCode

PLUGIN_GROUP = "flyball.commands"


class FlyballGroup(click.Group):
    """Lazy subcommands, plugins, and errors with an exit code of their own."""

    def __init__(self, *, commands_lazy: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        """Take the built-in commands as name -> ("module:attribute", one-line help)."""
        super().__init__(**attributes)
        self._lazy = dict(commands_lazy)
        self.params.append(
            click.Option(["--debug"], is_flag=True, help="Show the full traceback of an error.")
        )
        self.params.append(
            click.Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_show_version,
                help="Show the version and exit.",
            )
        )
        self.callback = lambda debug: None  # the flag is read in invoke()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command by name; plugins cannot replace a built-in one."""
        return sorted({*self._lazy, *_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None if there is none of that name."""
        if cmd_name in self._lazy:
            module, _, attribute = self._lazy[cmd_name][0].partition(":")
            command = getattr(importlib.import_module(module), attribute)
        else:
            point = _plugins().get(cmd_name)
            if point is None:
                return None
            command = _load(point)
        if not isinstance(command, click.Command):
            raise FlyballError(f"command {cmd_name!r} is a {type(command).__name__}, not a click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Add a guess to click's message for an unknown command."""

        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            guess = did_you_mean(name, self.list_commands(ctx))
            raise click.UsageError(f'there is no command "{name}"{guess}; see flyball --help', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing the built-in ones."""
        rows = []
        for name in self.list_commands(ctx):
            if name in self._lazy:
                rows.append((name, self._lazy[name][1]))
                continue
            try:
                command = self.get_command(ctx, name)
                rows.append((name, command.get_short_help_str(limit=100) if command is not None else ""))
            except Exception as error:  # noqa: BLE001 - a broken plugin must not break the help of the others
                rows.append((name, f"(cannot be loaded: {error})"))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the options that stand before a command; what is wrong with them has a code, too."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise _coded(error) from error

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; known errors end as one paragraph with their exit code."""
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise _coded(error) from error
        except (KeyboardInterrupt, click.Abort) as error:  # click.Abort: Ctrl-C or Ctrl-D at a question
            raise InterruptedRunError from error
        except (click.ClickException, click.exceptions.Exit):
            raise
        except BrokenPipeError:
            _write_no_more()
            raise click.exceptions.Exit(ExitCode.PIPE_CLOSED) from None
        except Exception as error:
            if ctx.params.get("debug"):
                click.echo(traceback.format_exc(), err=True)
            raise failure_of(error) from error


def _write_no_more() -> None:
    """Send what stdout still holds nowhere: its reader is gone, and Python would complain at the exit."""
    with suppress(OSError):  # a stdout without a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _coded(error: click.UsageError) -> click.UsageError:
    """Return click's own error with the code by which it is explained."""
    return click.UsageError(f"{error.format_message()} [{ErrorCode.USAGE}]", error.ctx)


def _plugins() -> dict[str, EntryPoint]:
    """Return the commands of other packages by name."""
    return {point.name: point for point in entry_points(group=PLUGIN_GROUP)}


def _load(point: EntryPoint) -> object:
    """Import a plugin's command; a missing package is the user's to install, and is named."""
    try:
        return point.load()
    except ImportError as error:
        missing = error.name or str(error)
        raise InvalidError(
            f"command {point.name!r} needs the Python package {missing!r}, which is not installed; "
            f"install the extra that has it, e.g. pip install 'flyball[local]'",
            code=ErrorCode.MISSING_PACKAGE,
        ) from error


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"flyball {version('flyball')}")
    ctx.exit()
