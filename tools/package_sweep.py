"""Build dist/flyball-sweep.zip, the Lambda bundle that infra/sweep.yaml names: same inputs, same bytes.

It holds the client, the controller and the analysis, and PyYAML for scenarios; Lambda's
own boto3 is enough to read and write a bucket. Command line, ingest, plots and whatever
needs compiled libraries stay out: a shard uses the standard library only.

Run: python tools/package_sweep.py [--out DIR] [--python PYTHON ...]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
NAME = "flyball-sweep"
OURS = ("client/flyball", "controller/flyball_controller", "analytics/flyball_analytics")
LEFT_OUT = ("flyball_analytics/cli/", "flyball_analytics/ingest/", "flyball_analytics/report/")
UNZIPPED_MAX, ZIPPED_MAX = 8_000_000, 3_000_000


def _package() -> ModuleType:
    """Return tools/package.py, which knows how to write a bundle."""
    spec = importlib.util.spec_from_file_location("flyball_package", ROOT / "tools" / "package.py")
    assert spec is not None  # noqa: S101 - the file lies beside this one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.LIMITS[NAME] = module.Limits(UNZIPPED_MAX, ZIPPED_MAX)
    return module


def bundle_files() -> dict[str, Path]:
    """Return every file of the bundle by its name there."""
    found: dict[str, Path] = {}
    for folder in OURS:
        base = (ROOT / folder).parent
        for path in (ROOT / folder).rglob("*"):
            name = path.relative_to(base).as_posix()
            if path.is_file() and path.suffix not in (".pyc", ".yaml") and not name.startswith(LEFT_OUT):
                found[name] = path
    for entry in metadata.files("pyyaml") or []:
        if entry.suffix == ".py" and entry.as_posix().startswith("yaml/"):
            found[entry.as_posix()] = Path(str(entry.locate()))
    return found


def main() -> None:
    """Write the bundle and say what it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--python", nargs="*", default=[sys.executable], help="Compile for these as well.")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print(json.dumps(_package().write_bundle(NAME, bundle_files(), {}, given.out, given.python), indent=1))


if __name__ == "__main__":
    main()
