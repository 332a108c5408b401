"""`flyball migrate`: bring policies and integration maps of older formats up to date."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from flyball_analytics.cli.errors import ExitCode, InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.operating import form_option


@click.command(short_help="Bring policies and maps of older formats up to date.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--write", is_flag=True, help="Replace the files; without it nothing is written.")
@click.option("--check", is_flag=True, help="Exit with 3 if a file has to be migrated; for CI.")
@form_option
def migrate(files: tuple[Path, ...], write: bool, check: bool, form: str) -> None:
    """Bring policies and integration maps of older formats up to date.

    Shows what would change and why, as a diff; --write does it. Comments and layout
    stay. All files are judged before one is written, and what comes out passes
    `flyball validate` or `flyball assess`. A file that nobody knows, or of a newer
    version, is refused. docs/how-to/migrate.md

    \b
    example: flyball migrate policy.yaml integrations.yaml
    example: flyball migrate policy.yaml --write
    example: flyball migrate policies/*.yaml --check
    """
    from flyball_analytics.migration import MigrationError
    from flyball_analytics.migration import migrate as migrated
    from flyball_controller.codec import canonical_json

    if write and check:
        raise click.UsageError("--check only looks, --write writes: give one of them")
    done = []
    for path in files:
        try:
            done.append(migrated(path.read_bytes(), where=str(path)))
        except MigrationError as error:
            raise InvalidError(str(error), code=error.code) from error
    pending = [one for one in done if one.changes]
    if form == "json":
        rows = [
            {
                "file": one.where,
                "kind": one.kind.value,
                "version": one.version,
                "changes": [{"line": change.line, "says": change.says} for change in one.changes],
            }
            for one in done
        ]
        click.echo(canonical_json({"schema": 1, "files": rows}).decode())
    else:
        for one in done:
            if not one.changes:
                click.echo(f"{one.where}: current ({one.kind}, version {one.version})")
                continue
            for change in one.changes:
                click.echo(f"{one.where}:{change.line}: {change.says}")
            click.echo(_diff(one.where, one.before, one.after), nl=False)
    if write:
        for one in pending:
            write_whole(Path(one.where), one.after.encode())
            click.echo(f"written {one.where}", err=True)
    elif pending and form == "text":
        click.echo("nothing is written: give --write", err=True)
    if check and pending:
        raise click.exceptions.Exit(ExitCode.PENDING)


def _diff(name: str, before: str, after: str) -> str:
    """Return a unified diff."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, name
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
