"""The bundles that Lambda gets: same bytes from the same files, small, complete, nothing of the machine."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flyball_controller.policy_set import load_compiled
from flyball_local.embedded import EmbeddedAws
from flyball_local.lambdahost import FunctionSettings, LambdaHost
from flyball_local.template import Stack
from flyball_local.template.expand import code_paths, read_template
from flyball_local.virtualclock import VirtualClock
from integration.infra_world import ACCOUNT, ROOT, TEMPLATE, expanded
from tool_modules import tool_module

TOOL = ROOT / "tools" / "package.py"
package = tool_module("package")

# Everything that Lambda does at a cold start, but with the bundle alone on the path.
SMOKE = """
import sys
sys.path[:0] = [sys.argv[1]]
import flyball_handlers.tick, flyball_handlers.alarm, flyball_handlers.stream, flyball_handlers.override
from flyball_controller.aws.clients import Clients
from flyball_handlers import wiring
runtime = wiring.build({"AWS_REGION": "eu-west-1", "FLYBALL_TARGETS": "a", "FLYBALL_POLICY": sys.argv[2]})
clients = Clients(region="eu-west-1")
assert clients.dynamodb and clients.appconfig and clients.cloudwatch
model = clients.appconfig.meta.service_model.operation_model("StartDeployment")
assert "LatestDeploymentNumber" in model.input_shape.members
files = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
assert not {file for file in files if "site-packages" in file}
import flyball
print(flyball.__cached__.startswith(sys.argv[1]), runtime.policies.name)
"""
POLICY = "version: 1\npreset: ladder\ntargets:\n  payments: {open_floor: 0.6}\n"


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both bundles, built two times at once, with a policy in them."""
    base = tmp_path_factory.mktemp("dist")
    policy = base / "fleet.yaml"
    policy.write_text(POLICY)
    builds = []
    for name in ("first", "second"):
        command = [sys.executable, str(TOOL), "--out", str(base / name), "--policy", str(policy)]
        builds.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for build in builds:
        output, _ = build.communicate(timeout=300)
        assert build.returncode == 0, output
        assert "Policy=policy.json" in output
    return base / "first", base / "second"


@pytest.mark.slow
def test_building_twice_gives_the_same_bytes(twice):
    """Whoever builds a release again must find what is deployed; and an unchanged bundle deploys nothing."""
    first, second = (json.loads((folder / "flyball-package.json").read_text()) for folder in twice)
    assert first == second
    assert first["schema"] == "flyball/package/1"
    for bundle in first["bundles"]:
        data = (twice[0] / bundle["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == bundle["sha256"]
        assert len(data) == bundle["bytes"]


@pytest.mark.slow
def test_the_bundles_are_where_the_template_looks_for_them(twice):
    """A path that nobody builds fails at the customer's first deployment."""
    wanted = {path.name for path in code_paths(read_template(TEMPLATE), TEMPLATE.parent).values()}
    built = {
        bundle["file"] for bundle in json.loads((twice[0] / "flyball-package.json").read_text())["bundles"]
    }
    assert wanted == built
    folders = {path.parent for path in code_paths(read_template(TEMPLATE), TEMPLATE.parent).values()}
    assert folders == {ROOT / "dist"}


@pytest.mark.slow
def test_the_bundles_stay_small_and_hold_nothing_of_the_machine(twice):
    """Size is cold start. Records of an installation, other models and machine code do not belong there."""
    for name, limits in package.LIMITS.items():
        with zipfile.ZipFile(twice[0] / f"{name}.zip") as bundle:
            members = bundle.infolist()
        names = [m.filename for m in members]
        assert names == sorted(names)
        assert sum(m.file_size for m in members) <= limits.unzipped
        assert {m.date_time for m in members} == {package.EPOCH}
        assert {m.external_attr >> 16 for m in members} == {0o644}
        assert not [
            n for n in names if n.endswith((".so", "direct_url.json", "RECORD", ".yaml")) or "tests/" in n
        ]
    with zipfile.ZipFile(twice[0] / "flyball-controller.zip") as bundle:
        parts = [name.split("/") for name in bundle.namelist()]
        folders = {part[2] for part in parts if part[:2] == ["botocore", "data"] and len(part) > 3}
        assert folders == set(package.MODELS)
        code = bundle.read(next(n for n in bundle.namelist() if n.endswith(".pyc")))
        assert code[4:8] == (1).to_bytes(4, "little")  # PEP 552: hash-based, unchecked
        assert str(ROOT).encode() not in b"".join(
            bundle.read(n) for n in bundle.namelist() if n.endswith(".pyc")
        )


@pytest.mark.slow
def test_the_controller_starts_from_its_bundle_alone_and_finds_the_policy(twice, tmp_path):
    """No site-packages: what was left out is missed here, not at three in the morning."""
    with zipfile.ZipFile(twice[0] / "flyball-controller.zip") as bundle:
        bundle.extractall(tmp_path)
    policy = tmp_path / "policy.json"
    command = [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", SMOKE, str(tmp_path), str(policy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True ")
    assert load_compiled(policy.read_bytes(), where="policy.json").targets["payments"].open_floor == 0.6


@pytest.mark.slow
def test_every_service_that_a_handler_calls_has_its_model_in_the_bundle(twice, tmp_path):
    """A probe of kind `lambda` was "misconfigured" on every check: the bundle's SDK did not know Lambda."""
    code = "".join(
        path.read_text()
        for folder in ("controller/flyball_controller/aws", "handlers/flyball_handlers")
        for path in (ROOT / folder).glob("*.py")
    )
    services = set(re.findall(r"""_(?:make|call)\("([a-z]+)",""", code))
    assert services >= {"appconfig", "cloudwatch", "dynamodb", "lambda"}
    with zipfile.ZipFile(twice[0] / "flyball-controller.zip") as bundle:
        bundle.extractall(tmp_path)
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from flyball_controller.aws.clients import Clients\n"
        "for service in sys.argv[2:]: Clients(region='eu-west-1').checking(service, 1.0)\n"
    )
    command = [sys.executable, "-I", "-S", "-B", "-c", script, str(tmp_path), *sorted(services)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_bundle_runs_in_lambda_s_own_bootstrap_with_the_template_s_settings(twice, tmp_path):
    """Handler name, variables and archive as they are deployed; the account behind it is the embedded one."""
    with zipfile.ZipFile(twice[0] / "flyball-controller.zip") as bundle:
        bundle.extractall(tmp_path)
    now_s = time.time()  # another process cannot share a virtual clock
    lines: list[str] = []
    with EmbeddedAws(VirtualClock(now_s), account=ACCOUNT) as aws:
        stack = Stack(aws, expanded(), {"Targets": "payments", "Policy": "policy.json"})
        aws.clock.advance(30.0)  # the first deployment is over, the first tick not yet due
        tick = stack.properties["TickFunction"]
        variables = {name: str(value) for name, value in tick["Environment"]["Variables"].items()}
        with aws.serve() as served:
            settings = FunctionSettings(
                tick["Handler"], variables={**variables, **served.variables}, task_root=tmp_path
            )
            with LambdaHost(settings, on_log=lines.append) as host:
                event = {"source": "aws.events", "time": datetime.fromtimestamp(now_s, UTC).isoformat()}
                answer = host.invoke(event)
        assert answer.error is None, (answer, lines)
        assert answer.payload == {"targets": 1, "decisions": 1, "changes": 0, "incomplete": []}
        assert any('"configuration_deployed":[1.0]' in line for line in lines), lines


@pytest.mark.slow
def test_the_validator_starts_from_its_bundle_alone_without_an_sdk(twice, tmp_path):
    """AppConfig waits 15 seconds for it, a cold start included."""
    with zipfile.ZipFile(twice[0] / "flyball-validator.zip") as bundle:
        bundle.extractall(tmp_path)
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from flyball_handlers.validator import handler\n"
        "import base64\n"
        'good = b\'{"schema":1,"revision":1,"generated_at":"","policy_hash":"","targets":{}}\'\n'
        "handler({'content': base64.b64encode(good).decode()}, None)\n"
        "assert not {'boto3', 'botocore', 'aws_lambda_powertools'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-I", "-S", "-B", "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_kept_of_powertools_imports_nothing_that_was_left_out():
    """A late import would fail on the first event that takes its way, not at the start."""
    files = dict(package.library_files("aws-lambda-powertools"))
    missing = set()
    for name, path in files.items():
        if not name.endswith(".py"):
            continue
        tree = ast.parse(path.read_text())
        guarded = {
            child
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for child in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aws_lambda_powertools."):
                place = node.module.replace(".", "/")
                if node not in guarded and not {f"{place}.py", f"{place}/__init__.py"} & set(files):
                    missing.add((name, node.module))
    # To dump pydantic models: no fact of ours is one, and pydantic is not in the bundle.
    pydantic = (
        "aws_lambda_powertools/shared/functions.py",
        "aws_lambda_powertools.event_handler.openapi.compat",
    )
    assert missing <= {pydantic}


def test_a_policy_that_is_wrong_stops_the_build_with_its_place(tmp_path):
    """Found at the desk, not by the function at its first event."""
    wrong = tmp_path / "fleet.yaml"
    wrong.write_text("version: 1\npreset: ladder\ndefaults: {open_flor: 0.6}\n")
    with pytest.raises(SystemExit, match=r"fleet.yaml:3.*open_floor"):
        package.compiled_policy(wrong)


def test_an_interpreter_that_is_not_there_is_named(tmp_path):
    """The runtime of the functions is chosen with it."""
    with pytest.raises(SystemExit, match="cannot run no-such-python"):
        package.compile_tree(tmp_path, [], "no-such-python")


def test_code_that_does_not_compile_stops_the_build(tmp_path):
    """Lambda would find it at the first event."""
    (tmp_path / "bad.py").write_text("def f(:\n")
    with pytest.raises(SystemExit, match="cannot compile the bundle"):
        package.compile_tree(tmp_path, ["bad.py"], sys.executable)


def test_a_bundle_that_grew_beyond_its_limit_is_refused(tmp_path, monkeypatch):
    """Weight comes in small steps; one of them must hurt."""
    monkeypatch.setitem(package.LIMITS, "flyball-validator", package.Limits(unzipped=10, zipped=10_000))
    module = tmp_path / "heavy.py"
    module.write_text("x = 1\n")
    with pytest.raises(SystemExit, match=r"flyball-validator has .* bytes unzipped; at most 10"):
        package.write_bundle("flyball-validator", {"heavy.py": module}, {}, tmp_path, [sys.executable])
