"""`flyball test`: the expectations in scenario files, checked."""

from __future__ import annotations

from pathlib import Path

import click

from flyball_analytics import closedloop_text as text
from flyball_analytics.cli.closedloop_options import jobs_option, model_of, model_option, policy_option
from flyball_analytics.cli.errors import ExitCode, InconclusiveError, InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.judge import Coverage, Verdict, coverage, expected_jobs, load_known, scenario_files
from flyball_analytics.judge import verdicts as judged
from flyball_analytics.scenarios import Scenario, ScenarioError
from flyball_analytics.suite import run_jobs
from flyball_controller.codec import canonical_json


@click.command(short_help="Check the expectations in scenario files.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write JUnit XML.")
@click.option("--fast", is_flag=True, help="Only scenarios marked `fast: true`, on their first seed.")
@policy_option
@model_option
@jobs_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def test(
    ctx: click.Context,
    paths: tuple[Path, ...],
    junit: Path | None,
    fast: bool,
    policy: str,
    model_pairs: tuple[str, ...],
    jobs: int,
    form: str,
) -> None:
    """Check the expectations in scenario files.

    Each PATH is a scenario or a folder of them. Every bound must hold for every
    seed; a broken one is shown with its measure, values, distance and the command
    that reproduces it, and the exit code is 1. Ends with what of the control law
    (regimes, reasons, branches) no run reached. Only the file of --junit is written.

    \b
    example: flyball test scenarios/
    example: flyball test scenarios/ --fast --junit scenarios.xml
    example: flyball test scenarios/capacity-hard.yaml --policy mine.yaml
    """
    model = model_of(model_pairs)
    scenarios = _load(paths)
    work = expected_jobs(scenarios, fast=fast, policy=policy, model=model)
    if not work:
        which = "marked `fast: true` with" if fast else "with"
        raise InconclusiveError(
            f"none of {len(scenarios)} scenarios is {which} an `expect`: nothing to check"
        )
    results = dict(
        with_progress(run_jobs(work, workers=jobs), total=len(work), label="scenarios", check_every=1)
    )
    verdicts = judged(work, results)
    reached = coverage(results.values())
    if junit is not None:
        write_whole(junit, text.junit(verdicts))
    option = "" if policy == "two-loop" else f" --policy {policy}"
    option += "".join(f" --model {pair}" for pair in model_pairs)
    _show(verdicts, reached, form, option)
    if not all(verdict.kept for verdict in verdicts):
        ctx.exit(ExitCode.CHECK_FAILED)


def _load(paths: tuple[Path, ...]) -> list[Scenario]:
    """Return all scenarios; all files with a mistake are named, not just the first."""
    found, mistakes = [], []
    for file in scenario_files(paths):
        try:
            found.append(load_known(file))
        except ScenarioError as error:
            mistakes.append(str(error))
    if mistakes:
        raise InvalidError("\n".join(mistakes))
    return found


def _show(verdicts: list[Verdict], reached: Coverage, form: str, option: str) -> None:
    if form == "json":
        for verdict in verdicts:
            click.echo(canonical_json(text.verdict_json(verdict)).decode())
        click.echo(canonical_json({"coverage": text.coverage_json(reached)}).decode())
        return
    click.echo(text.summary_rows(verdicts))
    failed = text.broken(verdicts, policy_option=option)
    if failed:
        click.echo(f"\n{failed}")
    kept = sum(verdict.kept for verdict in verdicts)
    click.echo(f"\n{kept} of {len(verdicts)} expectations kept, each on every seed it was run with")
    click.echo(f"\n{text.coverage_text(reached)}")
