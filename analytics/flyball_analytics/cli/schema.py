"""`flyball schema`: the JSON Schema of a file that people write."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flyball_analytics.cli.files import write_whole

NAMES = ("document", "integrations", "policy")


@click.command(short_help="Write the JSON Schema of a policy, a map or the document.")
@click.argument("name", type=click.Choice(NAMES))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it there, not to stdout.")
@click.option("--format", "form", type=click.Choice(["json"]), default="json", help="Form of the result.")
def schema(name: str, out: Path | None, form: str) -> None:
    """Write the JSON Schema of a policy, a map or the document.

    Editors check and complete YAML by it: put a line like the second example's
    first on top of the file. Rules between fields are checked by `flyball validate`
    and `flyball assess`. Only the file of --out is written.

    \b
    example: flyball schema policy
    example: flyball schema integrations --out integrations.schema.json
             # yaml-language-server: $schema=integrations.schema.json
    """
    from flyball_analytics.schemas import SCHEMAS

    text = json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False)
    if out is None:
        click.echo(text)
        return
    write_whole(out, f"{text}\n".encode())
    click.echo(f"written {out}", err=True)
