"""`flyball validate`: check a policy before it reaches production, or an integration map."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import click

from flyball.contract import DOCUMENT_BYTES_MAX
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.room import check_room
from flyball_analytics.counts import counted
from flyball_controller.codec import canonical_json
from flyball_controller.core.policy import Policy
from flyball_controller.document_room import room_of_policies
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import compile_set

MAP_BYTES_MAX = 4_000_000  # as the reader of maps


@click.command(short_help="Check a policy and show what it sets; or check a map.")
@click.argument("policy")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result."
)
@click.option(
    "--compile",
    "compiled",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the checked policy as the JSON that Lambda loads.",
)
@click.option("--no-document", is_flag=True, help="The installation publishes none: any number of targets.")
def validate(policy: str, form: str, compiled: Path | None, no_document: bool) -> None:
    """Check a policy and show what it sets; or check a map.

    POLICY is a YAML file, a compiled JSON file or the name of a preset (two-loop,
    adaptive, fixed, ladder); or an integration map. An error names file, line, field,
    value, bound and remedy, and ends with exit code 2. More targets than a document has room for end
    with 1; over 80 % of that it warns. Only the file of --compile is written.

    \b
    example: flyball validate payments.yaml
    example: flyball validate payments.yaml --compile policy.json
    """
    if _is_map(Path(policy)):
        _map(policy, form, compiled)
        return
    policies = load_policy(policy)
    room = room_of_policies(policies)
    if not no_document:
        check_room(room, where=policy)
    if compiled is not None:
        write_whole(compiled, compile_set(policies))
        click.echo(f"written {compiled}", err=True)
    if form == "json":
        document = {
            "schema": 1,
            "name": policies.name,
            "hash": policies.hash,
            "default": policies.default,
            "targets": dict(policies.targets),
            "document": {"targets": room.targets, "bytes": room.size_bytes, "bytes_max": DOCUMENT_BYTES_MAX},
        }
        click.echo(canonical_json(document).decode())
        return
    click.echo(
        f"{policy}: valid, {counted(len(policies.targets), 'target')} with settings of their own "
        f"({policies.hash})"
    )
    _show("defaults", policies.default, Policy())
    for name, special in sorted(policies.targets.items()):
        _show(name, special, policies.default)


def _is_map(path: Path) -> bool:
    """Return whether a file is an integration map, by the key that only maps have."""
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    from flyball_controller.yaml_lines import YamlError, read_mapping

    try:
        plain, _ = read_mapping(path.read_bytes(), where=str(path), kind="a map", bytes_max=MAP_BYTES_MAX)
    except YamlError:
        return False  # the reader of policies says where
    return "functions" in plain


def _map(path: str, form: str, compiled: Path | None) -> None:
    """Check a map, and say how much it holds."""
    from flyball_analytics.integrations_file import load_integrations

    if compiled is not None:
        raise click.UsageError(f"--compile makes a policy ready for Lambda; {path} is an integration map")
    known = load_integrations(Path(path))
    counts = {"functions": len(known.functions), "targets": len(known.targets)}
    if form == "json":
        click.echo(canonical_json({"schema": 1, "kind": "integrations", **counts}).decode())
        return
    told = ", ".join(counted(count, name.removesuffix("s")) for name, count in counts.items())
    click.echo(f"{path}: valid map, {told}; next: flyball assess {path}")


def _show(name: str, policy: Policy, base: Policy) -> None:
    """Write what a policy sets differently from `base`."""
    different = [
        f"{field} {_word(getattr(base, field))} -> {_word(getattr(policy, field))}"
        for field in Policy._fields
        if field != "digest" and getattr(policy, field) != getattr(base, field)
    ]
    click.echo(f"  {name}: {'; '.join(different) or 'as shipped'}")


def _word(value: object) -> str:
    """Return a value as a policy file has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, IntEnum):
        return value.name.lower()
    return f"{value:g}" if isinstance(value, float) else f"{value}"
