"""What a controller bundle weighs and what a cold start imports.

Size: our three packages and the distributions that the handlers need, as
installed (unzipped, without caches). Limit: 50 MB. boto3 and botocore are in
Lambda's runtime already; they are counted apart, since bundling them pins the
API models that the publisher needs.

Imports: each handler in a fresh interpreter. The reference is boto3 with a
DynamoDB client, which any controller pays for.

Run: python benchmarks/bench_bundle.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from common import table

ROOT = Path(__file__).resolve().parent.parent
OURS = ("client/flyball", "controller/flyball_controller", "handlers/flyball_handlers")
RUNTIME = ("aws-lambda-powertools", "jmespath", "typing_extensions")
IN_LAMBDA = ("boto3", "botocore", "s3transfer", "urllib3", "python-dateutil", "six")
LIMIT_BYTES = 50_000_000
BANNED = ("numpy", "pandas", "pydantic", "yaml", "click", "rich", "moto")
HANDLERS = ("alarm", "tick", "stream", "override")
ROUNDS = 5

REFERENCE = "boto3 + DynamoDB client"
CLIENT = (
    "import boto3; boto3.client('dynamodb', region_name='x', "
    "aws_access_key_id='a', aws_secret_access_key='b')"
)

PROBE = """
import json, resource, sys, time
before = len(sys.modules)
begin = time.process_time_ns()
{what}
cpu = time.process_time_ns() - begin
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([cpu, len(sys.modules) - before, rss, sorted({{m.split('.')[0] for m in sys.modules}})]))
"""


def distribution_bytes(name: str) -> int:
    """Installed size of a distribution, caches left out."""
    files = metadata.files(name) or []
    sizes = [
        Path(str(f.locate())).stat().st_size
        for f in files
        if f.suffix != ".pyc" and Path(str(f.locate())).exists()
    ]
    return sum(sizes)


def folder_bytes(folder: Path) -> int:
    """Size of a folder, caches left out."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")


def fresh(what: str) -> tuple[float, int, int, list[str]]:
    """Median CPU (ns), new modules, peak memory (KiB) and loaded packages of a fresh interpreter."""
    results = []
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", PROBE.format(what=what)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results.append(json.loads(done.stdout))
    return statistics.median(r[0] for r in results), results[0][1], results[0][2], results[0][3]


def main() -> None:
    """Measure and print; exit 1 if the bundle is too large or drags in what it must not."""
    ours = sum(folder_bytes(ROOT / folder) for folder in OURS)
    runtime = sum(distribution_bytes(name) for name in RUNTIME)
    lambdas = sum(distribution_bytes(name) for name in IN_LAMBDA)
    alone, whole = (ours + runtime) / 1e6, (ours + runtime + lambdas) / 1e6
    print(f"bundle, unzipped: ours {ours / 1e6:.2f} MB + Powertools {runtime / 1e6:.2f} MB = {alone:.2f} MB")
    print(f"                  with our own boto3: {whole:.2f} MB   (limit {LIMIT_BYTES / 1e6:.0f} MB)")
    figures: dict[str, float] = {}
    broken = ours + runtime + lambdas > LIMIT_BYTES
    whats = {
        REFERENCE: CLIENT,
        "import flyball (client)": "import flyball",
        **{f"{name} handler": f"import flyball_handlers.{name}" for name in HANDLERS},
    }
    for name, what in whats.items():
        cpu, modules, rss, loaded = fresh(what)
        figures[name] = cpu / 1e6
        print(f"  {name:<26} {modules:>5} modules  {rss / 1024:>6.1f} MiB")
        dragged = sorted(set(loaded) & set(BANNED))
        if dragged:
            print(f"  {name} loads {', '.join(dragged)}: must not be on Lambda's import path")
            broken = True
    table("CPU of import", figures, reference=REFERENCE, unit="ms")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
