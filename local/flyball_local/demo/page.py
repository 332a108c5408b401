"""The demo's day as one HTML page, and the recording that it was made from.

The recording is what the embedded CloudWatch kept of the world with flyball, the day of learning before it
included, read the way the controller reads its history. The page replays the policy over it; both
worlds' outcomes stand first. `flyball report` makes the page's other sections again
from the folder beside it, and every other command over histories takes that folder too.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.program import program_name
from flyball_analytics.companions import target_of
from flyball_analytics.labels import Labels, labels_for, read_labels
from flyball_analytics.moments import span_words, utc
from flyball_analytics.report.model import Manifest, Table, build, input_of
from flyball_analytics.report.page import render
from flyball_analytics.report.sections import arrows
from flyball_analytics.report.watch import Watched, watch
from flyball_analytics.series import read_csv
from flyball_analytics.wording import percent
from flyball_controller.core.model import Observation
from flyball_controller.policy_set import PolicySet
from flyball_local.demo.outcome import IncidentOutcome
from flyball_local.demo.report import DemoResult, verdict

MINUTE_S = 60.0
LABELS = "labels.json"
FIELDS = (
    "requests", "timeouts", "errors_fast", "throttles", "attempts", "request_failures", "short_circuited",
    "errors_permanent",
)  # fmt: skip
LATENCIES = {"latency_p50_ms": "latency_ms_p50", "latency_p99_ms": "latency_ms_p99"}
HEADS = (
    "service", "what happened", "lost with", "lost without", "back with", "back without", "hour after, with",
    "hour after, without", "first action",
)  # fmt: skip
NOTE = (
    "Both worlds get the same arrivals and run the same client code. Lost: requests without success in the "
    "incident and in the hour after it. Back: from the end of the fault until 98 % succeed again; never: an "
    "operator had to stop the callers. Hour after: successful share of its requests."
)


def write_page(result: DemoResult, *, policies: PolicySet, path: Path) -> int:
    """Write the page and, in a folder beside it, the recording; return the bytes of the page.

    Args:
        result: Of a run with `record`.
        policies: What the controller obeyed.
        path: Of the page; the recording goes to the folder `<name>-data`.
    """
    folder = path.with_name(f"{path.stem}-data")
    folder.mkdir(parents=True, exist_ok=True)
    _write_recording(result, folder)
    files = [folder / f"{target}.csv" for target, _ in result.recorded]
    truth = read_labels(folder / LABELS)
    services = [_watched(file, truth, policies) for file in files]
    page = render(
        build(
            services,
            Manifest(
                f"{program_name()} report {folder} --policy {policies.name}",
                _version(),
                tuple(input_of(file) for file in (*files, folder / LABELS)),
                ((policies.name, policies.default.digest),),
                (_again(result),),
            ),
            title="flyball demo",
            lead=_lead(result),
            tables=(both_worlds(result),),
        )
    )
    write_whole(path, page)
    return len(page)


def _watched(file: Path, truth: Mapping[str, Labels], policies: PolicySet) -> Watched:
    target = target_of(file)
    labels = labels_for(truth, file_name=file.name, target=target, path=LABELS)
    return watch(read_csv(file), policies.for_target(target), name=policies.name, labels=labels)


def _version() -> str:
    from importlib.metadata import version

    return version("flyball")


def _again(result: DemoResult) -> str:
    return (
        f"The table of both worlds: {program_name()} demo --seed {result.seed} "
        f"--hours {result.scenario.hours} --policy {result.policy}"
    )


def _write_recording(result: DemoResult, folder: Path) -> None:
    """Write one CSV file per service, and the truth about all of them."""
    scenario = result.scenario
    series = {}
    for target, seen in result.recorded:
        write_whole(folder / f"{target}.csv", _rows(seen).encode())
        learning = [utc(seen[0].start_s), utc(scenario.start_s - MINUTE_S)]
        incidents = [
            {
                "start": utc(one.fault.start_s),
                "end": utc(one.fault.end_s - MINUTE_S),
                "fault": one.label,
            }
            for one in scenario.incidents
            if one.service == target and not one.harmless
        ]
        series[f"{target}.csv"] = {"incidents": incidents, "ignore": [learning]}
    write_whole(folder / LABELS, (json.dumps({"series": series}, indent=1, sort_keys=True) + "\n").encode())


def _rows(seen: Sequence[Observation]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["timestamp", "arrived", *FIELDS, *LATENCIES])
    for one in seen:
        values = [getattr(one, name) for name in (*FIELDS, *LATENCIES.values())]
        # Minus one says that it was not measured: an empty cell.
        writer.writerow([f"{one.start_s:.0f}", f"{one.arrived_s:.0f}", *("" if v < 0 else v for v in values)])
    return out.getvalue()


def both_worlds(result: DemoResult) -> Table:
    """Return what each incident cost with flyball and without, one row each."""
    rows = []
    for number, incident in enumerate(result.scenario.incidents):
        control = result.incident_control[number]
        with_it, without = result.flyball.incidents[number], result.static.incidents[number]
        nothing = "nothing, which is right" if incident.harmless else "nothing"
        rows.append(
            (
                incident.service,
                incident.label,
                f"{with_it.lost:,}",
                f"{without.lost:,}",
                _recovered(with_it),
                _recovered(without),
                percent(with_it.goodput_after_ratio),
                percent(without.goodput_after_ratio),
                arrows(control.action) or nothing,
            )
        )
    return Table(
        "worlds",
        "With flyball and without",
        NOTE,
        f"{len(rows)} incidents, seed {result.seed}; without: three static retries",
        HEADS,
        tuple(rows),
        (2, 3, 4, 5, 6, 7),
    )


def _recovered(one: IncidentOutcome) -> str:
    if one.recovered_after_s is None:
        return "never" if one.rescued else "not yet"
    return span_words(one.recovered_after_s) if one.recovered_after_s else "at once"


def _lead(result: DemoResult) -> list[str]:
    """Return the verdict as two sentences: what it comes to, and the rest."""
    first, _, rest = verdict(result).removeprefix("Verdict: ").partition("; ")
    return [first.rstrip(".") + ".", rest[:1].upper() + rest[1:]] if rest else [first]
