"""Doors of files that people give to the command line, and of what a Prometheus server replies."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from flyball_analytics.ingest.mapping import read_metric_maps
from flyball_analytics.integrations_file import IntegrationsError, parse_integrations
from flyball_analytics.problems import SeriesError
from flyball_analytics.scenarios.node import ScenarioError, read_node
from flyball_analytics.series import read_csv
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.inspect import is_finite
from flyball_controller.core.model import Quality
from flyball_controller.policy_file import RANGES, parse_policy
from flyball_controller.policy_set import compile_set, load_compiled
from fuzz.engine import Door, require, told
from fuzz.mutate import mutate_bytes, mutate_lines, one_of

YAML_TOKENS: tuple[bytes, ...] = (
    b"",
    b"*a",
    b"&a",
    b"&a [*a]",
    b"<<: *a",
    b"!!int",
    b'!!int ""',
    b"!!float x",
    b"!!timestamp x",
    b"!!bool x",
    b"!!binary x",
    b"!!python/object/apply:os.system [id]",
    b"!x",
    b"0x" + b"f" * 5_000,
    b"9" * 5_000,
    b"1:1:1",
    b"190:20:30",
    b".nan",
    b".inf",
    b"-.inf",
    b"1e999",
    b"~",
    b"null",
    b"true",
    b"no",
    b"off",
    b"2001-12-14",
    b"2001-99-99",
    b"0001-01-01T00:00:00+23:59",
    b"? [a]",
    b"? {a: b}",
    b"[",
    b"]",
    b"{",
    b"}",
    b"|",
    b">",
    b"'",
    b'"',
    b"#",
    b"---",
    b"...",
    b"%YAML 1.1",
    b"\t",
    b"\x00",
    b"\xff",
    b"\xe2\x80\xa8",
    b"\\u0007",
    b'"\\x1b[31m"',
    b"a" * 300,
    b"[" * 300,
    b"- - - -",
    b"=",
    b"<<",
    b"stock",
    b"active",
    b"shadow",
    b"0.5",
    b"1",
    b"-1",
    b"&a {x: &b {y: *b}}",
)
CORPUS = Path(__file__).parent / "corpus"


def written(door: str) -> tuple[bytes, ...]:
    """Return the files of the corpus that were written for a door."""
    return tuple(path.read_bytes() for path in sorted((CORPUS / door).iterdir()))


def mutate_yaml(rng: Random, pool: Sequence[bytes]) -> bytes:
    """Lines and words of a YAML file changed; sometimes bytes."""
    if rng.random() < 0.8:
        return mutate_lines(rng, one_of(rng, pool), one_of(rng, pool), YAML_TOKENS, b" :,[")
    return mutate_bytes(rng, one_of(rng, pool), one_of(rng, pool), YAML_TOKENS)


def check_policy(data: bytes) -> str:
    """A policy file: inside its ranges, or an error with file and line."""
    try:
        found = parse_policy(data, where="p.yaml")
    except PolicyError as error:
        require(str(error).startswith(("p.yaml:", "preset")), "file:line", str(error)[:80])
        return told(error)
    for policy in (found.default, *found.targets.values()):
        for field, (low, high) in RANGES.items():
            require(low <= getattr(policy, field) <= high, "C4 ranges", field)
    require(load_compiled(compile_set(found), where="again") == found, "read(write(x)) == x")
    return f"good, {min(len(found.targets), 3)} targets, {min(len(found.probes), 2)} probes"


def check_integrations(data: bytes) -> str:
    """An integration map: valid as a whole, or every problem with its line."""
    try:
        found = parse_integrations(data, where="i.yaml")
    except IntegrationsError as error:
        require(all(text.startswith("i.yaml:") for text in error.problems), "file:line", error.problems[:2])
        return told(error) + str(len(error.problems))
    return f"good, {len(found.targets)}, {len(found.functions)}"


def check_node(data: bytes) -> str:
    """Scenario and mapping files, which are read node by node."""
    with as_file(data, ".yaml") as path:
        try:
            return f"good, {len(read_metric_maps(path))}"
        except (ScenarioError, SeriesError) as error:
            try:
                read_node(data, file="s.yaml")
            except ScenarioError as other:
                return told(error) + told(other)
            return told(error)


class as_file:  # noqa: N801 - used like a function
    """The bytes as a file; one folder per process, removed at its end."""

    folder: tempfile.TemporaryDirectory[str] | None = None

    def __init__(self, data: bytes, suffix: str) -> None:
        if as_file.folder is None:
            as_file.folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        self._path = Path(as_file.folder.name) / f"input{suffix}"
        self._path.write_bytes(data)

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *_: object) -> None:
        return None


# --- CSV ------------------------------------------------------------------------------------

CSV_TOKENS: tuple[bytes, ...] = (
    b"",
    b" ",
    b'"',
    b'""',
    b'"a',
    b"nan",
    b"inf",
    b"-1",
    b"1e308",
    b"9" * 400,
    b"1_000",
    b"0x10",
    b"=1+1",
    b"@x",
    b"\x00",
    b"\xff",
    b"\r",
    b"2026-13-01",
    b"9999-12-31T23:59:59Z",
    b"0",
    b"1767571260",
    b"1767571260000",
    b"99999999999999",
    b"timestamp",
    b"requests",
    b"errors",
    b"target",
    b"x" * 200,
    b"\xef\xbb\xbf",
    b"1.5",
    b"600",
    b"2026-01-05T00:03:00Z",
    b"2026-01-05T00:03:00",
    b"\xd9\xa3",
)


def mutate_csv(rng: Random, pool: Sequence[bytes]) -> bytes:
    """Lines and cells of a table changed; sometimes bytes."""
    if rng.random() < 0.8:
        return mutate_lines(rng, one_of(rng, pool), one_of(rng, pool), CSV_TOKENS, b",,;\t")
    return mutate_bytes(rng, one_of(rng, pool), one_of(rng, pool), CSV_TOKENS)


GOOD_START_S = 1_772_323_200.0  # 2026-03-01T00:00:00Z, in no corpus


def check_csv(data: bytes) -> str:
    """A history in CSV: damaged rows are told with their line, the others are read."""
    with as_file(data, ".csv") as path:
        try:
            series = read_csv(path, period_s=60.0, companions=False)
        except SeriesError as error:
            return told(error)
    for seen in series.observations:
        require(is_finite(seen.start_s) and is_finite(seen.arrived_s), "C3 finite", seen)
        possible = 0 <= seen.failures <= seen.requests
        require(possible or seen.quality != Quality.OK, "impossible is flagged", seen)
    require(len(series.observations) <= data.count(b"\n") + data.count(b"\r") + 1, "bounded")
    _good_row_kept(data)
    kinds = ",".join(sorted(kind.name for kind in series.problem_counts))
    return f"{min(len(series.observations), 3)} rows, {kinds}"


def _good_row_kept(data: bytes) -> None:
    """After an intact header, a good row behind whatever came must be read as if it stood alone (E2)."""
    header, line_end, rest = data.partition(b"\n")
    if header != b"timestamp,requests,errors,latency_ms_p99" or b'"' in rest or b"\x00" in rest:
        return  # a quote may swallow what follows; that is CSV
    try:
        rest.decode()
    except UnicodeDecodeError:
        return
    with as_file(header + line_end + rest + b"\n2026-03-01T00:00:00Z,77,7,\n", ".csv") as path:
        series = read_csv(path, period_s=60.0, companions=False)
    # What came before decides the order that is expected of rows, and so the quality; never the counts.
    found = [(o.requests, o.errors_fast) for o in series.observations if o.start_s == GOOD_START_S]
    require(found in ([(77, 7)], [(0, 0)]) or len(found) > 1, "E2 good neighbours kept", found)


def doors() -> tuple[Door, ...]:
    """Return the doors of this file."""
    yaml_doors: tuple[tuple[str, Callable[[Any], str]], ...] = (
        ("policy-yaml", check_policy),
        ("integrations-yaml", check_integrations),
        ("mapping-yaml", check_node),
    )
    return (
        *(Door(name, partial(written, name), mutate_yaml, check) for name, check in yaml_doors),
        Door("csv", partial(written, "csv"), mutate_csv, check_csv),
    )
