"""Ingest of metric streams beside json.loads, orjson and pandas: lines to columns, and the second run.

    python benchmarks/bench_ingest.py [--lines 200000] [--rounds 5] [--shuffled]

All variants read the same file of a metric stream (20 targets, the client's ten
metrics) and end with the same columns: series, time, sum, p50, p99; that they are
equal is checked before anything is timed. `loads only` throws the parsed line away:
it is a bound for anything built on that parser, not a reader. The last table times
the whole command, from the file to Parquet on disk, and a second run of it that
finds the file unchanged and hands out all columns. CPU time, medians of interleaved
rounds; compilation is left out (it is cached between processes).
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common import interleaved, table
from flyball_analytics.ingest.blobs import BLOCK_BYTES, local_blobs
from flyball_analytics.ingest.history import open_history
from flyball_analytics.ingest.routes import Router
from flyball_analytics.ingest.scan import Registry, ScannerReader, SeriesName
from flyball_analytics.ingest.store import open_writer
from flyball_analytics.ingest.stream import StreamIngest

METRICS = (
    "requests", "attempts", "timeouts", "errors_fast", "throttles", "request_failures", "short_circuited",
    "errors_permanent", "retries", "latency",
)  # fmt: skip
TARGETS = 20
START_MS = 1_767_571_200_000
NAN = float("nan")


def stream_lines(count: int, *, shuffled: bool) -> list[str]:
    """Return lines as CloudWatch writes them; `shuffled`: the metrics of a minute in any order."""
    rng = random.Random(7)
    lines: list[str] = []
    for minute in range(count // (TARGETS * len(METRICS))):
        block = [_line(rng, metric, target, minute) for target in range(TARGETS) for metric in METRICS]
        if shuffled:
            rng.shuffle(block)
        lines += block
    return lines


def _line(rng: random.Random, metric: str, target: int, minute: int) -> str:
    value = {"max": 1.0, "min": 0.0, "sum": float(rng.randint(0, 5_000)), "count": 60.0}
    if metric == "latency":
        value = {"max": 900.5, "min": 1.5, "sum": rng.random() * 1e5, "count": 60.0}
        value |= {"p50": rng.random() * 100.0, "p99": rng.random() * 1_000.0}
    point = {
        "metric_stream_name": "flyball-stream",
        "account_id": "123456789012",
        "region": "eu-west-1",
        "namespace": "flyball",
        "metric_name": metric,
        "dimensions": {"target": f"service-{target}"},
        "timestamp": START_MS + minute * 60_000,
        "value": value,
        "unit": "Count",
    }
    return json.dumps(point, separators=(",", ":"))


def parsed(
    data: bytes, loads: Callable[[bytes], dict[str, object]]
) -> tuple[list[int], list[tuple[float, ...]]]:
    """Read lines with a JSON parser into the columns that the scanner gives, as one writes it by hand."""
    numbers: dict[tuple[object, ...], int] = {}
    series: list[int] = []
    values: list[tuple[float, ...]] = []
    for raw in data.splitlines():
        point = loads(raw)
        value = point["value"]
        key = (
            point["account_id"], point["region"], point["namespace"], point["metric_name"],
            *point["dimensions"].items(),
        )  # fmt: skip
        series.append(numbers.setdefault(key, len(numbers)))
        values.append(
            (point["timestamp"] / 1000.0, value["sum"], value.get("p50", NAN), value.get("p99", NAN))
        )
    return series, values


def pandas_columns(data: bytes) -> tuple[list[int], object]:
    """The same with pandas.read_json, which leaves the nested members as objects."""
    import pandas as pd

    frame = pd.read_json(io.BytesIO(data), lines=True, dtype=False)
    value = pd.DataFrame(frame["value"].tolist())
    target = frame["dimensions"].map(lambda d: d["target"])
    keys = [frame["account_id"], frame["region"], frame["namespace"], frame["metric_name"], target]
    series = frame.groupby(keys, sort=False).ngroup()
    return series.tolist(), np.column_stack(
        [_seconds(frame["timestamp"]), value["sum"], value["p50"], value["p99"]]
    )


def blocks(data: bytes) -> Iterator[bytes]:
    """Yield the lines in the blocks in which a file is read."""
    at = 0
    while at < len(data):
        end = data.rfind(b"\n", at, at + BLOCK_BYTES) + 1
        yield data[at:end]
        at = end


def _seconds(stamps: Any) -> Any:
    """Return epoch seconds; pandas may have taken the column for dates."""
    return stamps.astype("datetime64[ms]").astype("int64") / 1000.0


def whole_run(path: Path, folder: Path) -> None:
    """`flyball ingest metric-stream`, without the command line around it."""
    with open_writer(folder) as writer:
        source = writer.source("metric-stream", "bench", {})
        for _ in StreamIngest(writer, source, Router({}), delay_s=20.0).run(local_blobs(path)):
            pass


def main() -> None:
    """Print the tables."""
    import orjson

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--lines", type=int, default=200_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--shuffled", action="store_true", help="metrics of a minute in random order")
    chosen = options.parse_args()
    lines = stream_lines(chosen.lines, shuffled=chosen.shuffled)
    data = ("\n".join(lines) + "\n").encode()
    count = len(lines)
    registry = Registry()
    reader = ScannerReader(registry)
    batch = reader.read(data, 1, print)
    reference, values = parsed(data, orjson.loads)
    assert batch.series.tolist() == reference
    assert np.array_equal(batch.values, np.array(values), equal_nan=True)
    assert isinstance(registry.names[0], SeriesName)
    by_pandas = pandas_columns(data[: len(data) // 20].rpartition(b"\n")[0])
    assert by_pandas[0] == reference[: len(by_pandas[0])]
    print(f"{count} lines of {len(data) / count:.0f} bytes, {'shuffled' if chosen.shuffled else 'in order'}")

    def work(read: Callable[[bytes], object]) -> Callable[[], int]:
        def once() -> int:
            read(data)
            return count

        return once

    def loads_only(loads: Callable[[bytes], object]) -> Callable[[bytes], None]:
        def read(data: bytes) -> None:
            for raw in data.splitlines():
                loads(raw)

        return read

    pieces = list(blocks(data))  # as they come from a file
    figures = interleaved(
        {
            "flyball scanner": work(lambda d: [reader.read(block, 1, print) for block in pieces]),
            "orjson to columns": work(lambda d: parsed(d, orjson.loads)),
            "json.loads to columns": work(lambda d: parsed(d, json.loads)),
            "pandas.read_json to columns": work(pandas_columns),
            "orjson, loads only": work(loads_only(orjson.loads)),
            "json.loads, loads only": work(loads_only(json.loads)),
        },
        rounds=chosen.rounds,
    )
    table("lines to columns, per line", figures, reference="flyball scanner")
    commands(data, count, chosen.rounds)


def commands(data: bytes, count: int, rounds: int) -> None:
    """Time the whole command, first and second run."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "stream.jsonl"
        path.write_bytes(data)
        folder = Path(name) / "history"

        def first() -> int:
            shutil.rmtree(folder, ignore_errors=True)
            whole_run(path, folder)
            return count

        def second() -> int:
            for _ in range(20):
                whole_run(path, folder)
            return 20 * count

        def columns() -> int:
            history = open_history(folder)
            for target in history.targets():
                history.block(target)
            return count

        figures = interleaved(
            {"first run": first, "second run, file unchanged": second, "read all columns": columns},
            rounds=rounds,
        )
        table("the whole command, per line", figures, reference="second run, file unchanged", unit="ns")


if __name__ == "__main__":
    main()
