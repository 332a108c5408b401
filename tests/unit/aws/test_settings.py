"""Settings: complete, typed, and loud about what they do not know."""

from __future__ import annotations

import pytest

from flyball.errors import SettingsError
from flyball_controller.aws.settings import VARIABLES, AppConfigIds, Settings
from flyball_controller.shards import Shard

IDS = {
    "FLYBALL_APPCONFIG_APPLICATION_ID": "app1234",
    "FLYBALL_APPCONFIG_ENVIRONMENT_ID": "env1234",
    "FLYBALL_APPCONFIG_PROFILE_ID": "pro1234",
    "FLYBALL_APPCONFIG_STRATEGY_ID": "str1234",
}


def test_an_empty_environment_gives_the_defaults():
    """A first deployment sets nothing but the ids."""
    assert Settings.from_env({}) == Settings()


def test_every_variable_is_obeyed():
    """A variable that changes nothing would be a trap."""
    environ = {
        **IDS,
        "FLYBALL_CIRCUITS_TABLE": "c",
        "FLYBALL_STATE_TABLE": "s",
        "FLYBALL_JOURNAL_TABLE": "j",
        "FLYBALL_HOLDS_TABLE": "h",
        "FLYBALL_ROLLBACK_HOLD_S": "7200",
        "FLYBALL_METRIC_NAMESPACE": "acme",
        "FLYBALL_METRIC_ACCOUNTS": "111111111111, 222222222222",
        "FLYBALL_METRIC_LAG_S": "42.5",
        "FLYBALL_METRIC_PERIOD_S": "10",
        "FLYBALL_TARGETS": "payments, search",
        "FLYBALL_CHECKPOINT_EVERY_S": "0",
        "FLYBALL_JOURNAL_DAYS": "30",
        "FLYBALL_POLICY": "policies/strict.yaml",
        "FLYBALL_REGION": "eu-north-1",
        "FLYBALL_SHARD": "2/4",
        "FLYBALL_PROBE_MODULES": "acme.health, shop",
        "FLYBALL_INSTALLATION": "trial",
        "FLYBALL_TRACES": "otel",
    }
    assert set(environ) == set(VARIABLES)
    assert Settings.from_env(environ) == Settings(
        circuits_table="c",
        state_table="s",
        journal_table="j",
        holds_table="h",
        appconfig=AppConfigIds("app1234", "env1234", "pro1234", "str1234"),
        rollback_hold_s=7200.0,
        metric_namespace="acme",
        metric_accounts=("111111111111", "222222222222"),
        metric_lag_s=42.5,
        metric_period_s=10,
        targets=("payments", "search"),
        checkpoint_every_s=0.0,
        journal_days=30,
        policy="policies/strict.yaml",
        region="eu-north-1",
        shard=Shard(2, 4),
        probe_modules=("acme.health", "shop"),
        installation="trial",
        traces="otel",
    )


def test_lambda_s_own_region_is_used_when_none_is_set():
    """Lambda sets AWS_REGION; ours wins if both are there."""
    assert Settings.from_env({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}).region == "a"
    assert Settings.from_env({"AWS_REGION": "a", "FLYBALL_REGION": "c"}).region == "c"


def test_a_misspelt_variable_is_an_error_that_names_the_right_one():
    """Otherwise its default would silently stay in force."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"FLYBALL_METRICS_LAG_S": "30"})
    assert caught.value.field == "FLYBALL_METRICS_LAG_S"
    assert "did you mean 'FLYBALL_METRIC_LAG_S'?" in str(caught.value)


def test_a_variable_like_none_of_ours_gets_the_list():
    """Without a close match the reader needs all the names."""
    with pytest.raises(SettingsError, match="known are"):
        Settings.from_env({"FLYBALL_ZZZZZZZZZZZZZZZZZZZZZ": "1"})


def test_variables_of_others_can_be_declared():
    """Handlers and clients in the same environment have their own FLYBALL_ names."""
    assert Settings.from_env({"FLYBALL_OFF": "1"}, also=("FLYBALL_OFF",)) == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLYBALL_STATE_TABLE", ""),
        ("FLYBALL_STATE_TABLE", " x"),
        ("FLYBALL_METRIC_LAG_S", "soon"),
        ("FLYBALL_METRIC_LAG_S", "nan"),
        ("FLYBALL_METRIC_LAG_S", "-1"),
        ("FLYBALL_METRIC_LAG_S", "901"),
        ("FLYBALL_METRIC_PERIOD_S", "61"),
        ("FLYBALL_METRIC_PERIOD_S", "0"),
        ("FLYBALL_METRIC_PERIOD_S", "1e1"),
        ("FLYBALL_METRIC_PERIOD_S", "9" * 5000),
        ("FLYBALL_JOURNAL_DAYS", "3651"),
        ("FLYBALL_TARGETS", "a,,b"),
        ("FLYBALL_TARGETS", "a,a"),
        ("FLYBALL_ROLLBACK_HOLD_S", "inf"),
        ("FLYBALL_INSTALLATION", "fly ball"),
        ("FLYBALL_INSTALLATION", ""),
        ("FLYBALL_TRACES", "xray"),
        ("FLYBALL_METRIC_ACCOUNTS", "1111"),
        ("FLYBALL_METRIC_ACCOUNTS", "111111111111,111111111111"),
    ],
)
def test_a_value_that_cannot_be_obeyed_names_its_variable(variable: str, value: str):
    """The remedy is to correct one variable, so the error names it."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable: value})
    assert caught.value.field == variable
    assert "unset it" in str(caught.value)


@pytest.mark.parametrize("missing", sorted(IDS))
def test_a_half_configured_publisher_is_an_error(missing: str):
    """Three of four ids is a mistake; none of them means circuits only."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: value for name, value in IDS.items() if name != missing})
    assert caught.value.field == missing


@pytest.mark.parametrize("value", ["acme health", "acme.", "1st", "acme:health"])
def test_a_package_of_callables_must_be_named_as_python_names_it(value):
    """A misspelt one would break every check that calls it, one by one."""
    with pytest.raises(SettingsError, match="must be names of Python packages") as refused:
        Settings.from_env({"FLYBALL_PROBE_MODULES": value})
    assert refused.value.field == "FLYBALL_PROBE_MODULES"
