"""The composition root, the environment, the controller's own telemetry, the validator."""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from flyball.contract import DEFAULT_PARAMS, ContractError
from flyball.errors import SettingsError
from flyball_controller.absent import NoPublisher
from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.aws.powertools import PowertoolsCircuits
from flyball_controller.aws.publish_plan import Limits
from flyball_controller.core.errors import PolicyError
from flyball_handlers import validator, wiring
from flyball_handlers.origins import Origins
from flyball_handlers.telemetry import Telemetry

from .conftest import World

Sample = Callable[[str], Any]
PLACE = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
IDS = {
    "FLYBALL_APPCONFIG_APPLICATION_ID": "ba8toh7",
    "FLYBALL_APPCONFIG_ENVIRONMENT_ID": "pgil2o7",
    "FLYBALL_APPCONFIG_PROFILE_ID": "ga3tqep",
    "FLYBALL_APPCONFIG_STRATEGY_ID": "s1zq2x9",
}


def test_a_runtime_is_built_from_the_environment_without_a_call() -> None:
    """A cold start must not depend on any backend being up."""
    runtime = wiring.build({**PLACE, "FLYBALL_TARGETS": "a,b", "FLYBALL_ACCOUNTS": "123456789012"})
    assert runtime.targets == ("a", "b")
    assert isinstance(runtime.ports.publisher, NoPublisher)
    assert runtime.expected(5.0).accounts == {"123456789012"}
    assert runtime.policies.name == "two-loop"


def test_appconfig_is_wired_when_its_ids_are_set() -> None:
    """Circuits only is a choice, made by leaving out all four ids."""
    runtime = wiring.build({**PLACE, **IDS})
    assert isinstance(runtime.ports.publisher, AppConfigPublisher)


def test_publishing_limits_come_from_the_policy_and_the_settings(world: World) -> None:
    """A limit that an operator writes down must be the one that is kept; a quarter is for emergencies."""
    policies = world.runtime.policies
    policy = policies.default._replace(changes_per_h_max=8, change_gap_s=90.0)
    settings = world.runtime.settings._replace(rollback_hold_s=120.0)
    limits = wiring.publish_limits(policies._replace(default=policy), settings)
    assert limits == Limits(per_h=8, reserve=2, gap_s=90.0, hold_s=120.0)


@pytest.mark.parametrize(
    ("environ", "error", "field"),
    [
        ({"FLYBALL_ALARM_TARGET": "{}"}, SettingsError, "FLYBALL_ALARM_TARGET"),
        ({"FLYBALL_ALARM_TARGETS": "{"}, SettingsError, "FLYBALL_ALARM_TARGETS"),
        ({"FLYBALL_ALARM_TARGETS": "[]"}, SettingsError, "FLYBALL_ALARM_TARGETS"),
        ({"FLYBALL_ALARM_TARGETS": '{"a": []}'}, SettingsError, "FLYBALL_ALARM_TARGETS"),
        ({"FLYBALL_ALARM_TARGETS": '{"a": 7}'}, SettingsError, "FLYBALL_ALARM_TARGETS"),
        ({"FLYBALL_ALARM_TARGETS": '{"a": ["b c"]}'}, SettingsError, "FLYBALL_ALARM_TARGETS"),
        ({"FLYBALL_FUNCTION_TARGETS": '{"f": "a", "g": "a"}'}, SettingsError, "FLYBALL_FUNCTION_TARGETS"),
        ({"FLYBALL_ACCOUNTS": "12345,me"}, SettingsError, "FLYBALL_ACCOUNTS"),
        ({"FLYBALL_REGIONS": "Ireland"}, SettingsError, "FLYBALL_REGIONS"),
        ({"FLYBALL_POLICY": "two-lop"}, PolicyError, "policy"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_a_setting_that_cannot_be_obeyed_names_its_variable(
    environ: dict[str, str], error: type[Exception], field: str
) -> None:
    """A misread setting would silently let foreign alarms in, or ours out."""
    with pytest.raises(error) as caught:
        wiring.build({**PLACE, **environ})
    assert getattr(caught.value, "field", None) == field


def test_origins_read_both_forms_of_a_target() -> None:
    """One target is a word, several are a list, duplicates count once."""
    origins = Origins.from_env(
        {
            "FLYBALL_ALARM_TARGETS": '{"x": "a", "arn:aws:cloudwatch:r:1:alarm:y": ["b", "c", "b"]}',
            "FLYBALL_FUNCTION_TARGETS": '{"mail-sender": "mail"}',
            "FLYBALL_REGIONS": "eu-west-1, us-gov-west-1",
        }
    )
    assert origins.alarm_targets == {"x": ("a",), "arn:aws:cloudwatch:r:1:alarm:y": ("b", "c")}
    assert origins.regions == {"eu-west-1", "us-gov-west-1"}
    assert wiring.metric_maps(origins)["mail"].dimensions == (("FunctionName", "mail-sender"),)
    assert Origins.from_env({}) == Origins()


def test_the_runtime_is_built_once_and_can_be_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One container, one runtime; a test's runtime is gone after its block."""
    assert wiring.runtime() is world.runtime
    for name, value in PLACE.items():
        monkeypatch.setenv(name, value)
    wiring.set_runtime(None)
    built = wiring.runtime()
    assert wiring.runtime() is built
    assert wiring.telemetry() is built.telemetry
    with wiring.use_runtime(world.runtime):
        assert wiring.runtime() is world.runtime
    assert wiring.runtime() is built


def test_targets_are_those_of_the_policy_if_the_settings_name_none(world: World) -> None:
    """Naming every target twice would be one place too many."""
    policies = world.runtime.policies
    named = policies._replace(targets={"b": policies.default, "a": policies.default})
    world.use(policies=named)
    world.use(settings=world.runtime.settings._replace(targets=()))
    assert world.runtime.targets == ("a", "b")


def test_without_appconfig_nothing_is_published_and_nothing_is_pending() -> None:
    """Circuit items carry the retry level; the fleet works without a document."""
    report = NoPublisher().publish({"a": DEFAULT_PARAMS}, urgent=True, policy_hash="p", now_s=0.0)
    assert (report.status.code, report.status.pending, report.revision) == ("unchanged", False, 0)
    assert NoPublisher().current() is None


def test_a_log_line_is_strict_json_in_ascii_for_any_fact() -> None:
    """O6: a line that a reader refuses is a line nobody finds in the incident."""
    output = io.StringIO()
    telemetry = Telemetry(stream=output, service=f"test-{uuid.uuid4().hex}")
    telemetry.info("hello %s {", name="\ud800\n", nan=float("nan"), inf=[float("-inf")], kind=object)
    (line,) = output.getvalue().splitlines()
    assert line.isascii()
    decoded = json.loads(line, parse_constant=pytest.fail)
    assert decoded["message"] == "hello %s {"
    assert decoded["facts"] == {"name": "\ud800\n", "nan": "NaN", "inf": ["-Infinity"], "kind": str(object)}
    assert decoded["location"].startswith("test_a_log_line_is_strict_json")


def test_counts_are_summed_per_invocation_and_the_largest_duration_stands() -> None:
    """EMF allows 100 values per metric; a thousand decisions are one number."""
    output = io.StringIO()
    telemetry = Telemetry(stream=output, service=f"test-{uuid.uuid4().hex}")
    for age_s in range(1_000):
        telemetry.count("decisions")
        telemetry.seconds("evidence_age", float(age_s))
    telemetry.flush(now_s=1.0)
    telemetry.flush(now_s=2.0)
    (line,) = output.getvalue().splitlines()
    emf = json.loads(line)
    assert (emf["decisions"], emf["evidence_age"]) == ([1000.0], [999.0])
    assert emf["_aws"]["Timestamp"] == 1_000
    assert telemetry.totals["decisions"] == 1_000


def test_silent_telemetry_counts_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """An embedded run has an output of its own."""
    telemetry = Telemetry(silent=True, service=f"test-{uuid.uuid4().hex}")
    telemetry.count("decisions", 3)
    telemetry.error("x")
    telemetry.flush(now_s=0.0)
    assert telemetry.totals["decisions"] == 3
    assert capsys.readouterr().out == ""


def test_the_validator_accepts_what_a_client_obeys(sample: Sample) -> None:
    """AppConfig takes silence for consent."""
    validator.handler(sample("appconfig_validator"))


def _content(text: str) -> dict[str, str]:
    return {"content": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"content": 7},
        {"content": "@@"},
        {"content": "ü"},
        {"content": "A" * 131_076},
        _content(""),
        _content("[" * 10_000),
        _content("9" * 5_000),
        _content('{"schema": 2}'),
        _content(
            '{"schema": 1, "revision": 1, "generated_at": "", "policy_hash": "", '
            '"targets": {"a": {"retry": {"max_attempts": 1000000000}}}}'
        ),
        _content(
            '{"schema": 1, "revision": 1, "generated_at": "", "policy_hash": "", '
            '"targets": {"a": {"retry": {"max_atempts": 2}}}}'
        ),
    ],
    ids=range(12),
)
def test_the_validator_refuses_what_a_client_would_refuse_or_bend(event: object) -> None:
    """A1, T4: a retry storm by configuration ends before it is deployed."""
    with pytest.raises(ContractError):
        validator.handler(event)


POWERTOOLS = {
    "FLYBALL_POWERTOOLS_TABLE": "breakers",
    "FLYBALL_POWERTOOLS_CIRCUITS": '{"payments-breaker": "payments-api", "old": ["payments-api", "mail"]}',
}


def test_powertools_breakers_are_driven_where_they_are_named() -> None:
    """Existing functions keep their decorator; our circuits hold and release it."""
    runtime = wiring.build({**PLACE, **POWERTOOLS})
    assert isinstance(runtime.ports.circuits, PowertoolsCircuits)
    assert runtime.origins.powertools_circuits == {
        "payments-breaker": ("payments-api",),
        "old": ("payments-api", "mail"),
    }


@pytest.mark.parametrize("missing", sorted(POWERTOOLS))
def test_powertools_needs_its_table_and_its_circuits(missing: str) -> None:
    """One without the other would drive nothing, silently."""
    with pytest.raises(SettingsError, match="set together") as caught:
        wiring.build(PLACE | {name: value for name, value in POWERTOOLS.items() if name != missing})
    assert caught.value.field == missing
