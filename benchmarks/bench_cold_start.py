"""What bytecode in the bundle saves at a cold start.

The controller's bundle is built as `make package` does and unpacked twice, once
without its compiled files. Lambda's file system is read-only, so what is not
compiled in the bundle is compiled at every cold start: the interpreter writes
nothing here either. Each round is a fresh interpreter with the bundle alone on
its path, which imports the tick handler and makes the three clients. Reference:
the same without bytecode.

Run: python benchmarks/bench_cold_start.py
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from common import table

PACKAGE = Path(__file__).resolve().parent.parent / "tools" / "package.py"
ROUNDS = 7
REFERENCE = "sources alone"
START = """
import sys, time
sys.path[:0] = [sys.argv[1]]
begin = time.process_time_ns()
import flyball_handlers.tick
from flyball_controller.aws.clients import Clients
from flyball_handlers import wiring
wiring.build({"AWS_REGION": "eu-west-1", "FLYBALL_TARGETS": "a"})
clients = Clients(region="eu-west-1")
clients.dynamodb, clients.appconfig, clients.cloudwatch
print(time.process_time_ns() - begin)
"""


def start_ms(bundle: Path) -> float:
    """CPU of one cold start, milliseconds."""
    command = [sys.executable, "-I", "-S", "-B", "-c", START, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e6


def main() -> None:
    """Build, unpack, measure in turn, print."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        build = [sys.executable, str(PACKAGE), "--only", "controller", "--out", str(base)]
        subprocess.run(build, capture_output=True, check=True)
        bundles = {"with bytecode": base / "compiled", REFERENCE: base / "plain"}
        for place in bundles.values():
            with zipfile.ZipFile(base / "flyball-controller.zip") as archive:
                archive.extractall(place)
        for cache in list(bundles[REFERENCE].rglob("__pycache__")):
            shutil.rmtree(cache)
        taken: dict[str, list[float]] = {name: [] for name in bundles}
        for _ in range(ROUNDS):
            for name, place in bundles.items():
                taken[name].append(start_ms(place))
    figures = {name: statistics.median(values) for name, values in taken.items()}
    table("CPU of a cold start", figures, reference=REFERENCE, unit="ms")


if __name__ == "__main__":
    main()
