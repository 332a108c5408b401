"""`flyball assess`: what is dangerous, which pattern helps where and why, what to do first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball.hints import did_you_mean
from flyball_analytics.cli.errors import ExitCode, InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import moment
from flyball_analytics.clock import SystemClock
from flyball_analytics.codes import ErrorCode

if TYPE_CHECKING:
    from flyball_analytics.assess.assessment import Assessment
    from flyball_analytics.integrations import IntegrationMap
    from flyball_analytics.labels import Labels
    from flyball_analytics.thresholds.recommend import Recommendation

FAIL_ON = ("high", "medium", "low", "unknown")


@click.command(short_help="Judge an integration map: hazards, patterns with reasons, first policy.")
@click.argument("map_file", metavar="MAP", type=click.Path(path_type=Path), default="integrations.yaml")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "html"]),
    default="text",
    help="Form of the result; markdown suits a pull request, html is one page that needs no network.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the assessment there, not to stdout; replaced if it is there.",
)
@click.option(
    "--policy",
    "policy_out",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write the first policy there; - is stdout, in place of the assessment.",
)
@click.option("--force", is_flag=True, help="Let --policy replace a file.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this function or target. May be repeated.")
@click.option("--all", "everything", is_flag=True, help="Show every step and every integration in full.")
@click.option(
    "--history",
    "given",
    multiple=True,
    metavar="[TARGET=]PATH",
    help="Recorded metrics: a CSV file of a target, or a folder of them. May be repeated.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="JSON file with the true incidents.")
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    help="Exit with 1 on a hazard of this severity or higher; unknown: also on an unanswered question.",
)
@click.option("--now", "now_s", type=moment, help="What counts as now; later rows are impossible.")
def assess(
    map_file: Path,
    form: str,
    out: Path | None,
    policy_out: Path | None,
    force: bool,
    only: tuple[str, ...],
    everything: bool,
    given: tuple[str, ...],
    labels: Path | None,
    fail_on: str | None,
    now_s: float | None,
) -> None:
    """Judge an integration map: hazards, patterns with reasons, first policy.

    MAP is an integrations.yaml, drafted by `flyball map` or `flyball init` and filled
    in by you. For every integration and function the decision checklist is answered,
    and time-out, retry, breaker, bulkhead or nothing is advised, with the reason.
    Targets with a history (named by the map, or by --history) get adaptive thresholds
    if it proves frequent false positives. No AWS is asked; only the files of --out and
    --policy are written. docs/how-to/assess.md

    \b
    example: flyball assess integrations.yaml --policy policy.yaml
    example: flyball assess --format markdown --fail-on high
    example: flyball assess --history history/ --format html --out assessment.html
    """
    from flyball_analytics.assess.assessment import assess as judge
    from flyball_analytics.assess.first_policy import policy_text
    from flyball_analytics.integrations_file import load_integrations

    to_stdout = policy_out is not None and str(policy_out) == "-"
    if policy_out is not None and not to_stdout and policy_out.exists() and not force:
        raise InvalidError(
            f"{policy_out} exists; choose another name or give --force", code=ErrorCode.FILE_EXISTS
        )
    if labels is not None and not given:
        raise click.UsageError("--labels says which incidents of --history are true: give --history too")
    known = load_integrations(map_file)
    histories = _histories(known, map_file.parent, given, labels, now_s)
    judged = judge(_only(known, only), histories)
    if policy_out is not None:
        _write(policy_out, policy_text(judged), to_stdout=to_stdout)
    if not to_stdout:
        shown = _shown(judged, form, everything=everything, map_file=map_file)
        if out is not None:
            _write(out, shown, to_stdout=False)
        else:
            click.echo(shown, nl=False)
    _fail(fail_on, [hazard.severity.value for hazard in judged.hazards], judged.unknown())


def _shown(judged: Assessment, form: str, *, everything: bool, map_file: Path) -> str:
    """Return the assessment in one of its forms."""
    from flyball_analytics.assess.forms import markdown_of, plain_of, text_of
    from flyball_controller.codec import canonical_json

    if form == "json":
        return canonical_json(plain_of(judged)).decode() + "\n"
    if form == "html":
        from flyball_analytics.assess.page import render

        return render(judged, source=str(map_file)).decode()
    render_text = markdown_of if form == "markdown" else text_of
    return render_text(judged, everything=everything) + "\n"


def _only(known: IntegrationMap, names: Sequence[str]) -> IntegrationMap:
    """Return the part of the map that was asked for."""
    from flyball_analytics.assess.forms import only

    if not names:
        return known
    try:
        return only(known, names)
    except KeyError as error:
        name = str(error.args[0])
        hint = did_you_mean(name, [*known.functions, *known.targets])
        text = f"--only {name}: the map has no function or target of this name{hint}"
        raise InvalidError(text, code=ErrorCode.UNKNOWN_NAME) from error


def _histories(
    known: IntegrationMap, folder: Path, given: Sequence[str], labels: Path | None, now_s: float | None
) -> dict[str, Recommendation]:
    """Return what the histories say: those that the map names, and those that were given, which win."""
    from flyball_analytics.assess.histories import named_histories, recommendations

    paths = named_histories(known, folder=folder)
    for text in given:
        paths |= _given(text, known)
    truth = _labels(paths, labels)
    at_s = now_s if now_s is not None else SystemClock().now_s()
    found = recommendations(paths, now_s=at_s, labels=truth)
    advice: dict[str, Recommendation] = {}
    for name, said in with_progress(found, total=len(paths), label="histories", check_every=1):
        if said is None:
            click.echo(f"{name}: its history has no error ratio; thresholds stay fixed", err=True)
        else:
            advice[name] = said
    return advice


def _given(text: str, known: IntegrationMap) -> dict[str, Path]:
    """Return the files of one --history by target; those of a folder that the map does not know are told."""
    from flyball_analytics.cli.histories import metric_files
    from flyball_analytics.companions import target_of

    name, equals, rest = text.partition("=")
    if equals and name in known.targets:
        return {name: Path(rest)}
    path = Path(text)
    if equals and not path.exists():
        hint = did_you_mean(name, known.targets, listing="targets are")
        raise click.BadParameter(f"{name!r} is no target of the map{hint}", param_hint="--history")
    files = {target_of(file): file for file in metric_files([path])}
    matching = {target: file for target, file in files.items() if target in known.targets}
    if not matching:
        raise click.BadParameter(
            f"{path}: none of {', '.join(sorted(files))} is a target of the map; name one with TARGET=PATH",
            param_hint="--history",
        )
    for target in sorted(files.keys() - matching.keys()):
        click.echo(f"{files[target]}: the map has no target {target!r}; skipped", err=True)
    return matching


def _labels(paths: dict[str, Path], file: Path | None) -> dict[str, Labels]:
    from flyball_analytics.cli.histories import label_file, labels_of
    from flyball_analytics.companions import target_of

    if file is None:
        return {}
    known = label_file(file)
    own = {name: name if name in known else target_of(path) for name, path in paths.items()}
    found = {name: labels_of(known, path, own[name], file=file) for name, path in paths.items()}
    return {name: truth for name, truth in found.items() if truth is not None}


def _write(path: Path, text: str, *, to_stdout: bool) -> None:
    if to_stdout:
        click.echo(text, nl=False)
        return
    write_whole(path, text.encode())
    click.echo(f"written {path}", err=True)


def _fail(fail_on: str | None, severities: list[str], unknown: int) -> None:
    """End with 1 if what was asked not to be there is there."""
    if fail_on is None:
        return
    counted = FAIL_ON[: FAIL_ON.index(fail_on) + 1]
    hazards = sum(severity in counted for severity in severities)
    questions = unknown if fail_on == "unknown" else 0
    if hazards or questions:
        click.echo(
            f"flyball: failed on {fail_on}: {hazards} hazards, {questions} unanswered questions", err=True
        )
        raise click.exceptions.Exit(ExitCode.CHECK_FAILED)
