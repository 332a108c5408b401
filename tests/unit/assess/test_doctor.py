"""What `flyball doctor` finds wrong, and the remedy it gives."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from click.testing import CliRunner

from flyball.contract import Document, TargetParams
from flyball_analytics import checkup
from flyball_analytics.checkup import State
from flyball_analytics.cli import cli
from flyball_controller.aws.clients import Clients
from flyball_controller.ports import PortError
from flyball_local.embedded import EmbeddedAws

NOW_S = 1_767_571_200.0  # Mon, 05 Jan 2026 00:00:00 GMT
IDENTITY = {
    "Account": "000000000000",
    "Arn": "arn:aws:iam::000000000000:user/me",
    "ResponseMetadata": {"HTTPHeaders": {"date": "Mon, 05 Jan 2026 00:00:00 GMT"}},
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def raising(error: Exception):
    def ask():
        raise error

    return ask


@pytest.mark.parametrize(("off_s", "state"), [(0.0, State.OK), (-61.0, State.FAIL), (61.0, State.FAIL)])
def test_a_clock_that_differs_from_awss_is_found(off_s, state):
    """Circuits lapse by the clock of who reads them."""
    found = checkup.identity(lambda: IDENTITY, now_s=NOW_S + off_s)
    assert [finding.state for finding in found] == [State.OK, state]
    if off_s:
        assert ("ahead" in found[1].says) == (off_s > 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ClientError({"Error": {"Code": "ExpiredToken"}}, "GetCallerIdentity"), "refused: ExpiredToken"),
        (NoCredentialsError(), "NoCredentialsError"),
    ],
)
def test_credentials_that_do_not_work_have_a_remedy(error, said):
    """The commonest reason why nothing works."""
    (finding,) = checkup.identity(raising(error), now_s=NOW_S)
    assert finding.state is State.FAIL
    assert said in finding.says
    assert "AWS_PROFILE" in finding.remedy


def test_a_reply_without_a_date_says_nothing_of_the_clock():
    """An emulator may leave it out."""
    assert len(checkup.identity(lambda: {"Account": "1"}, now_s=NOW_S)) == 1


def test_missing_packages_are_warnings_with_their_extra():
    """Most people need one extra, not five."""
    found = {finding.check: finding for finding in checkup.extras(lambda module: module != "optuna")}
    assert found["extra tune"].state is State.WARN
    assert found["extra tune"].remedy == "pip install 'flyball[tune]'"
    assert found["extra sim"].state is State.OK
    assert checkup.python_version((3, 14)).state is State.OK


def test_a_misspelt_variable_is_found_with_a_guess():
    """The controller refuses to start with it."""
    finding = checkup.variables({"FLYBALL_TARGETZ": "1", "PATH": ""}, ("FLYBALL_TARGETS",))
    assert finding.state is State.FAIL
    assert "did you mean 'FLYBALL_TARGETS'?" in finding.says


def test_files_that_are_missing_warn_and_wrong_ones_fail():
    """Nobody has to have both at once."""
    assert checkup.map_file(Path("i.yaml")).state is State.WARN
    assert checkup.policy_file(Path("p.yaml")).state is State.WARN
    Path("i.yaml").write_text("version: 1\nfunctions: {f: {x: 1}}")
    Path("p.yaml").write_text("version: 3")
    assert "unknown key 'x' [unknown-key]" in checkup.map_file(Path("i.yaml")).says
    assert "must be 1 [wrong-version]" in checkup.policy_file(Path("p.yaml")).says
    assert checkup.policy_file(Path("p.yaml")).remedy.endswith("of an older format: flyball migrate p.yaml")
    Path("p.yaml").write_text("version: 1\ndefaults: {open_floor: 7}")
    assert checkup.policy_file(Path("p.yaml")).remedy == "correct it; an editor helps: flyball schema policy"
    Path("folder").mkdir()
    assert checkup.map_file(Path("folder")).says == "Is a directory"


def installation(*, load=None, seen=(None, "")):
    def checkpoints_load(names):
        if load is not None:
            raise load
        return {}

    return SimpleNamespace(
        checkpoints=SimpleNamespace(load=checkpoints_load),
        settings=SimpleNamespace(state_table="flyball-state"),
        seen=lambda now_s: seen,
    )


def test_an_installation_says_what_it_lacks():
    """Tables, permissions, a first document: in this order they are mended."""
    absent = PortError("no table", backend="dynamodb", retryable=False)
    live = SimpleNamespace(document=Document(1, "", "p", {"a": TargetParams()}))
    empty = SimpleNamespace(document=None)
    states = [
        [finding.state for finding in checkup.installed(installation(**given), now_s=NOW_S)]
        for given in (
            {"load": absent},
            {"seen": (None, "refused")},
            {"seen": (empty, "")},
            {"seen": (live, "")},
        )
    ]
    assert states == [
        [State.FAIL, State.WARN],
        [State.OK, State.FAIL],
        [State.OK, State.WARN],
        [State.OK, State.OK],
    ]


class Account(Clients):
    """Clients of an embedded account, and an STS that knows its one user."""

    def __init__(self, aws: EmbeddedAws) -> None:
        super().__init__()
        self.dynamodb = aws.client("dynamodb")
        self.appconfig = aws.client("appconfig")

    def checking(self, service, timeout_s):
        assert service == "sts"
        return SimpleNamespace(get_caller_identity=lambda: IDENTITY)


def doctor(*words: str, code: int, obj=None, env=None):
    result = CliRunner().invoke(cli, ["doctor", *words], obj=obj, env=env)
    assert result.exit_code == code, result.output
    return result.stdout


def test_the_command_checks_this_machine_and_ends_with_1_if_something_is_to_be_mended():
    """A script may rely on it."""
    assert "ok    python: Python 3." in doctor(code=0)
    Path("policy.yaml").write_text("version: 3")
    assert "-> correct it" in doctor(code=1)
    findings = json.loads(doctor("--format", "json", code=1))["findings"]
    assert {"check", "state", "says", "remedy"} == set(findings[0])


def test_the_command_looks_at_an_installation():
    """An account with tables and no deployment yet."""
    with EmbeddedAws() as aws:
        aws.create_flyball_resources()
        account = Account(aws)
        shown = doctor("--aws", "--now", "2026-01-05T00:00:00Z", code=0, obj=account)
        assert "ok    clock" in shown
        assert "ok    tables: flyball-state can be read" in shown
        assert "document: " in shown
        wrong = doctor(
            "--aws", "--now", "2026-01-05T00:00:00Z", code=1, obj=account, env={"FLYBALL_TARGETZ": "1"}
        )
        assert "fail  installation: FLYBALL_TARGETZ is not known" in wrong


def test_without_credentials_nothing_else_is_asked():
    """Ten findings with one cause help nobody."""

    class Nobody(Clients):
        def checking(self, service, timeout_s):
            return SimpleNamespace(get_caller_identity=raising(NoCredentialsError()))

    shown = doctor("--aws", code=1, obj=Nobody())
    assert "fail  credentials" in shown
    assert "tables" not in shown
