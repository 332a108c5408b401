"""`flyball init`: a commented integration map and policy to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.operating import form_option
from flyball_analytics.cli.program import program_name
from flyball_analytics.codes import ErrorCode


@click.command(short_help="Write a commented integration map and policy to begin with.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@form_option
def init(folder: Path, force: bool, form: str) -> None:
    """Write a commented integration map and policy to begin with.

    Four files are written into FOLDER (default: here): integrations.yaml and
    policy.yaml, with every field of a map explained, and their JSON Schemas for your editor.
    The policy is in shadow: it acts on nothing. If one of the files is there, none
    is written, unless --force is given.

    \b
    example: flyball init
    example: flyball init resilience/
    """
    from flyball_analytics.scaffold import INTEGRATIONS, POLICY, scaffold
    from flyball_controller.codec import canonical_json

    files = scaffold()
    there = [str(folder / name) for name in files if (folder / name).exists()]
    if there and not force:
        raise InvalidError(
            f"{', '.join(there)}: exists, nothing is written; give another folder, or --force",
            code=ErrorCode.FILE_EXISTS,
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_whole(folder / name, text.encode())
    written = [str(folder / name) for name in files]
    if form == "json":
        click.echo(canonical_json({"schema": 1, "written": written}).decode())
        return
    for path in written:
        click.echo(f"written {path}")
    program = program_name()
    click.echo(f"next: fill in {folder / INTEGRATIONS}, then")
    click.echo(f"  {program} assess {shlex.quote(str(folder / INTEGRATIONS))}")
    click.echo(f"  {program} validate {shlex.quote(str(folder / POLICY))}")
