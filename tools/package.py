"""Build the Lambda bundles that infra/template.yaml names: same inputs, same bytes.

    flyball-controller.zip   tick, alarm, stream, override: our packages, Powertools, boto3
    flyball-validator.zip    the AppConfig validator: client and reader alone, so that it starts in no time

boto3 is bundled although Lambda has one: the publisher needs members of the
AppConfig model that an older runtime does not know. Of its 400 service models
the four that are called are kept.

Bytecode is compiled for the interpreters that are given, with unchecked hashes:
Lambda's file system is read-only, so what is not compiled here is compiled at
every cold start. Sources are kept, for tracebacks and for other interpreters.
Times, order, permissions and owners in the archives are fixed. The same files
and interpreters give the same archive; another zlib may compress differently.

Run: python tools/package.py [--out DIR] [--python PYTHON ...] [--policy FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OURS = ("client/flyball", "controller/flyball_controller", "handlers/flyball_handlers")
DISTRIBUTIONS = (
    "aws-lambda-powertools", "boto3", "botocore", "jmespath", "python-dateutil",
    "s3transfer", "six", "typing_extensions", "urllib3",
)  # fmt: skip
MODELS = ("appconfig", "cloudwatch", "dynamodb", "lambda")
# Of Powertools the logger and the metrics serialiser are used; what those import is kept.
POWERTOOLS = ("exceptions", "logging", "metrics", "shared", "tracing", "utilities/jmespath_utils", "warnings")
# Records of one machine's installation; nothing reads them in Lambda.
LOCAL_RECORDS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "entry_points.txt")
MACHINE_CODE = (".so", ".pyd", ".dylib")
VALIDATOR = ("flyball", "flyball_handlers.validator")
TASK_ROOT = "/var/task"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that an archive can hold
POLICY_NAME = "policy.json"


class Limits(NamedTuple):
    """Largest sizes in bytes. Lambda allows 250 MB unzipped; the time of a cold start is the real limit."""

    unzipped: int
    zipped: int


LIMITS = {
    "flyball-controller": Limits(20_000_000, 8_000_000),
    "flyball-validator": Limits(2_000_000, 500_000),
}

COMPILE = """
import py_compile, sys
root, task_root, names = sys.argv[1], sys.argv[2], sys.stdin.read().splitlines()
for name in names:
    target = py_compile.compile(
        f"{root}/{name}", dfile=f"{task_root}/{name}", doraise=True, quiet=1,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
print(f"{sys.version_info[0]}.{sys.version_info[1]}")
"""
IMPORTED = """
import sys
sys.path[:0] = {paths!r}
before = set(sys.modules)
for name in {names!r}:
    __import__(name)
tops = ("flyball", "flyball_controller", "flyball_handlers")
for name in sorted(set(sys.modules) - before):
    if name.split(".")[0] in tops:
        print(sys.modules[name].__file__)
"""


def our_files() -> dict[str, Path]:
    """Return our packages' files by name in the bundle."""
    found: dict[str, Path] = {}
    for folder in OURS:
        base = (ROOT / folder).parent
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in (".pyc", ".yaml"):
                found[path.relative_to(base).as_posix()] = path
    return found


def library_files(name: str) -> Iterator[tuple[str, Path]]:
    """Yield a distribution's files that a handler may need, by name in the bundle."""
    for entry in metadata.files(name) or []:
        relative, path = entry.as_posix(), Path(str(entry.locate()))
        if relative.startswith("..") or entry.suffix == ".pyc" or not path.is_file():
            continue
        if ".dist-info/" in relative and relative.split("/")[-1] in LOCAL_RECORDS:
            continue
        if entry.suffix in MACHINE_CODE:
            sys.exit(f"package: {relative} is machine code; the bundles are meant for any architecture")
        if _needed(relative):
            yield relative, path


def _needed(relative: str) -> bool:
    if relative.startswith("botocore/data/"):
        rest = relative.removeprefix("botocore/data/")
        return "/" not in rest or rest.split("/")[0] in MODELS
    if relative.startswith(("boto3/examples/", "boto3/data/")):
        return False
    if relative.startswith("aws_lambda_powertools/"):
        rest = relative.removeprefix("aws_lambda_powertools/")
        return "/" not in rest or rest == "utilities/__init__.py" or rest.startswith(POWERTOOLS)
    return True


def validator_files() -> dict[str, Path]:
    """Return the files that the validator imports, found by importing it in a fresh interpreter."""
    paths = [str(ROOT / folder.split("/")[0]) for folder in OURS]
    script = IMPORTED.format(paths=paths, names=VALIDATOR)
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", script], capture_output=True, text=True, check=True
    )
    files = our_files()
    wanted = {str(Path(line)) for line in done.stdout.split()}
    return {name: path for name, path in files.items() if str(path) in wanted}


def controller_files() -> dict[str, Path]:
    """Return everything in the controller's bundle."""
    files = our_files()
    for name in DISTRIBUTIONS:
        files.update(library_files(name))
    return files


def write_bundle(
    name: str, files: dict[str, Path], extra: dict[str, bytes], out: Path, pythons: list[str]
) -> dict[str, Any]:
    """Write one archive; return what the manifest says of it."""
    with tempfile.TemporaryDirectory() as staged:
        stage = Path(staged)
        for relative, path in files.items():
            (stage / relative).parent.mkdir(parents=True, exist_ok=True)
            (stage / relative).write_bytes(path.read_bytes())
        for relative, content in extra.items():
            (stage / relative).write_bytes(content)
        versions = [compile_tree(stage, sorted(files), python) for python in pythons]
        members = sorted(p.relative_to(stage).as_posix() for p in stage.rglob("*") if p.is_file())
        unzipped = sum((stage / member).stat().st_size for member in members)
        archive = out / f"{name}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as bundle:
            for member in members:
                info = zipfile.ZipInfo(member, EPOCH)
                info.create_system, info.external_attr = 3, 0o644 << 16  # as on Unix, readable by all
                info.compress_type = zipfile.ZIP_DEFLATED
                bundle.writestr(info, (stage / member).read_bytes(), compresslevel=6)
    data = archive.read_bytes()
    limits = LIMITS[name]
    for what, size, limit in (("unzipped", unzipped, limits.unzipped), ("zipped", len(data), limits.zipped)):
        if size > limit:
            sys.exit(
                f"package: {name} has {size} bytes {what}; at most {limit} are allowed (tools/package.py)"
            )
    return {
        "file": archive.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "unzipped_bytes": unzipped,
        "files": len(members),
        "bytecode": versions,
    }


def compile_tree(stage: Path, files: list[str], python: str) -> str:
    """Compile the modules of a staged bundle with an interpreter; return its version.

    In one fresh process, in order and with a fixed hash seed: the bytes of marshalled
    code depend on all three.
    """
    modules = "\n".join(name for name in files if name.endswith(".py"))
    try:
        done = subprocess.run(
            [python, "-s", "-B", "-c", COMPILE, str(stage), TASK_ROOT],
            input=modules, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "0"},
        )  # fmt: skip
    except OSError as error:
        sys.exit(f"package: cannot run {python}: {error.strerror}; name an interpreter that is installed")
    except subprocess.CalledProcessError as error:
        sys.exit(f"package: {python} cannot compile the bundle:\n{error.stderr.strip()[-800:]}")
    return done.stdout.strip()


def compiled_policy(path: Path) -> bytes:
    """Return a policy file as Lambda reads it."""
    sys.path[:0] = [str(ROOT / "client"), str(ROOT / "controller")]
    from flyball_controller.core.errors import PolicyError
    from flyball_controller.policy_file import load_policy
    from flyball_controller.policy_set import compile_set

    try:
        return compile_set(load_policy(str(path))) + b"\n"
    except PolicyError as error:
        sys.exit(f"package: {error}")


def main(arguments: list[str] | None = None) -> None:
    """Build both bundles and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the archives")
    parser.add_argument("--python", action="append", help="interpreter to compile for; may be given again")
    parser.add_argument("--policy", type=Path, help="policy file (YAML) to put in as policy.json")
    parser.add_argument(
        "--only", choices=[name.removeprefix("flyball-") for name in LIMITS], help="one bundle"
    )
    options = parser.parse_args(arguments)
    extra = {} if options.policy is None else {POLICY_NAME: compiled_policy(options.policy)}
    pythons = options.python or [sys.executable]
    options.out.mkdir(parents=True, exist_ok=True)
    contents = {"flyball-controller": (controller_files, extra), "flyball-validator": (validator_files, {})}
    bundles = [
        write_bundle(name, collect(), more, options.out, pythons)
        for name, (collect, more) in contents.items()
        if options.only in (None, name.removeprefix("flyball-"))
    ]
    manifest = {"schema": "flyball/package/1", "bundles": bundles}
    (options.out / "flyball-package.json").write_text(json.dumps(manifest, indent=2) + "\n")
    for bundle in bundles:
        print(
            f"{options.out.name}/{bundle['file']}  {bundle['bytes'] / 1e6:.2f} MB, "
            f"{bundle['unzipped_bytes'] / 1e6:.2f} MB unzipped, sha256 {bundle['sha256'][:16]}"
        )
    versions = ", ".join(f"python{v}" for v in bundles[0]["bytecode"])
    print(f"Compiled for {versions}: deploy with this Runtime, or others start more slowly.")
    if options.policy is not None:
        print(f"The policy is in the bundle: deploy with Policy={POLICY_NAME}.")


if __name__ == "__main__":
    main()
