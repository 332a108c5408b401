"""The controller's environment: names of tables and ids, read once, checked completely.

Settings say where things are; what to do with them is the policy. Every variable
begins with FLYBALL_, and one that is not known is an error, because a misspelt
name would silently leave its default in force. Nothing here calls AWS, and
nothing but `from_env` reads a mapping; the mapping is an argument.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flyball.errors import SettingsError
from flyball.hints import did_you_mean
from flyball_controller.bounded import shown
from flyball_controller.shards import WHOLE, Shard, read_shard

PREFIX = "FLYBALL_"
# Periods that CloudWatch stores: 1, 5, 10, 20, 30 s and whole minutes (PutMetricData).
SUB_MINUTE_PERIODS_S = (1, 5, 10, 20, 30)
APPCONFIG_VARIABLES = {
    "application_id": "FLYBALL_APPCONFIG_APPLICATION_ID",
    "environment_id": "FLYBALL_APPCONFIG_ENVIRONMENT_ID",
    "profile_id": "FLYBALL_APPCONFIG_PROFILE_ID",
    "strategy_id": "FLYBALL_APPCONFIG_STRATEGY_ID",
}


class AppConfigIds(NamedTuple):
    """Where the configuration document is deployed. Ids, because names are not unique."""

    application_id: str
    environment_id: str
    profile_id: str
    strategy_id: str


class Settings(NamedTuple):
    """Everything the controller's adapters need to know about their surroundings."""

    circuits_table: str = "flyball-circuits"
    state_table: str = "flyball-state"
    journal_table: str = "flyball-journal"
    holds_table: str = "flyball-holds"
    appconfig: AppConfigIds | None = None  # None: no document is published, circuits only
    rollback_hold_s: float = 3_600.0  # a rolled-back document is not published again for this long (A5)
    metric_namespace: str = "flyball"
    metric_accounts: tuple[str, ...] = ()  # where clients run; empty: in this account
    metric_lag_s: float = 20.0  # a window is complete this long after its end
    metric_period_s: int = 60
    targets: tuple[str, ...] = ()  # empty: those that the policy names
    checkpoint_every_s: float = 300.0  # a state without a new decision is saved at most this often
    journal_days: int = 400  # decisions stay explainable for over a year
    policy: str = "two-loop"  # preset name or path of a policy file
    region: str | None = None  # None: boto3's own configuration
    shard: Shard = WHOLE  # which of the targets the tick looks at
    probe_modules: tuple[str, ...] = ()  # packages of the bundle whose callables a policy may name
    traces: str = "off"  # "otel": rounds are spans of OpenTelemetry
    installation: str = "flyball"  # tells the controller's own metrics from a second installation's

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, also: Iterable[str] = ()) -> Settings:
        """Return the settings that an environment describes; unset variables take the defaults.

        Args:
            environ: E.g. os.environ. Only FLYBALL_* and AWS_REGION, AWS_DEFAULT_REGION are read.
            also: Further FLYBALL_* names that belong to somebody else and are not errors.

        Raises:
            SettingsError: An unknown variable, or a value that cannot be obeyed; `field` is the variable.

        >>> Settings.from_env({"FLYBALL_METRIC_LAG_S": "30", "AWS_REGION": "eu-west-1"}).metric_lag_s
        30.0
        >>> Settings.from_env({"FLYBALL_METRIC_LAGS": "30"})
        Traceback (most recent call last):
            ...
        flyball.errors.SettingsError: FLYBALL_METRIC_LAGS is not known; did you mean 'FLYBALL_METRIC_LAG_S'?
        """
        _refuse_unknown(environ, known=(*VARIABLES, *also))
        default = cls()
        return cls(
            circuits_table=_name(environ, "FLYBALL_CIRCUITS_TABLE", default.circuits_table),
            state_table=_name(environ, "FLYBALL_STATE_TABLE", default.state_table),
            journal_table=_name(environ, "FLYBALL_JOURNAL_TABLE", default.journal_table),
            holds_table=_name(environ, "FLYBALL_HOLDS_TABLE", default.holds_table),
            appconfig=_appconfig(environ),
            rollback_hold_s=_seconds(environ, "FLYBALL_ROLLBACK_HOLD_S", default.rollback_hold_s, 0, 86_400),
            metric_namespace=_name(environ, "FLYBALL_METRIC_NAMESPACE", default.metric_namespace),
            metric_accounts=_accounts(environ, "FLYBALL_METRIC_ACCOUNTS"),
            metric_lag_s=_seconds(environ, "FLYBALL_METRIC_LAG_S", default.metric_lag_s, 0, 900),
            metric_period_s=_period(environ, "FLYBALL_METRIC_PERIOD_S", default.metric_period_s),
            targets=_targets(environ, "FLYBALL_TARGETS"),
            checkpoint_every_s=_seconds(
                environ, "FLYBALL_CHECKPOINT_EVERY_S", default.checkpoint_every_s, 0, 86_400
            ),
            journal_days=_whole(environ, "FLYBALL_JOURNAL_DAYS", default.journal_days, 1, 3_650),
            policy=_name(environ, "FLYBALL_POLICY", default.policy),
            region=next((v for v in map(environ.get, REGION_VARIABLES) if v), None),
            shard=read_shard(environ.get("FLYBALL_SHARD", str(WHOLE)), field="FLYBALL_SHARD"),
            probe_modules=_modules(environ, "FLYBALL_PROBE_MODULES"),
            traces=_one_of(environ, "FLYBALL_TRACES", default.traces, ("off", "otel")),
            installation=_installation(environ, "FLYBALL_INSTALLATION", default.installation),
        )


# The first one set wins.
REGION_VARIABLES = ("FLYBALL_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
VARIABLES = (
    "FLYBALL_CIRCUITS_TABLE",
    "FLYBALL_STATE_TABLE",
    "FLYBALL_JOURNAL_TABLE",
    "FLYBALL_HOLDS_TABLE",
    *APPCONFIG_VARIABLES.values(),
    "FLYBALL_ROLLBACK_HOLD_S",
    "FLYBALL_METRIC_NAMESPACE",
    "FLYBALL_METRIC_ACCOUNTS",
    "FLYBALL_METRIC_LAG_S",
    "FLYBALL_METRIC_PERIOD_S",
    "FLYBALL_TARGETS",
    "FLYBALL_CHECKPOINT_EVERY_S",
    "FLYBALL_JOURNAL_DAYS",
    "FLYBALL_POLICY",
    "FLYBALL_REGION",
    "FLYBALL_SHARD",
    "FLYBALL_PROBE_MODULES",
    "FLYBALL_INSTALLATION",
    "FLYBALL_TRACES",
)
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_INSTALLATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def service_name(installation: str) -> str:
    """Return what the controller calls itself in its log and its metrics' dimension `service`.

    >>> service_name("flyball")
    'flyball-controller'
    """
    return f"{installation}-controller"


def _refuse_unknown(environ: Mapping[str, str], *, known: Iterable[str]) -> None:
    names = tuple(known)
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in names:
            hint = did_you_mean(variable, sorted(names), listing="known are")
            raise SettingsError(f"{variable} is not known{hint}", field=variable)


def _wrong(variable: str, value: str, allowed: str) -> SettingsError:
    return SettingsError(
        f"{variable}={shown(value)} must be {allowed}; correct it or unset it to use the default",
        field=variable,
    )


def _name(environ: Mapping[str, str], variable: str, default: str) -> str:
    value = environ.get(variable, default)
    if not value or value != value.strip():
        raise _wrong(variable, value, "a name, not empty and without blanks around it")
    return value


def _seconds(environ: Mapping[str, str], variable: str, default: float, low: float, high: float) -> float:
    raw = environ.get(variable)
    if raw is None:
        return default
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise _wrong(variable, raw, f"seconds from {low:g} to {high:g}")
    return value


def _whole(environ: Mapping[str, str], variable: str, default: int, low: int, high: int) -> int:
    raw = environ.get(variable)
    if raw is None:
        return default
    value = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 10 else low - 1
    if not low <= value <= high:
        raise _wrong(variable, raw, f"a whole number from {low} to {high}")
    return value


def _period(environ: Mapping[str, str], variable: str, default: int) -> int:
    value = _whole(environ, variable, default, 1, 3_600)
    if value % 60 != 0 and value not in SUB_MINUTE_PERIODS_S:
        raise _wrong(variable, str(value), "1, 5, 10, 20, 30 or a multiple of 60 seconds, at most 3600")
    return value


def _targets(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    raw = environ.get(variable, "")
    if not raw.strip():
        return ()
    names = tuple(name.strip() for name in raw.split(","))
    if "" in names or len(set(names)) != len(names):
        raise _wrong(variable, raw, "target names separated by commas, none empty, none twice")
    return names


def _accounts(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    names = tuple(filter(None, (name.strip() for name in environ.get(variable, "").split(","))))
    for name in names:
        if not _ACCOUNT.fullmatch(name) or names.count(name) > 1:
            raise _wrong(variable, name, "account numbers of 12 digits separated by commas, none twice")
    return names


def _one_of(environ: Mapping[str, str], variable: str, default: str, allowed: tuple[str, ...]) -> str:
    value = environ.get(variable, default)
    if value not in allowed:
        raise _wrong(variable, value, " or ".join(map(repr, allowed)))
    return value


def _installation(environ: Mapping[str, str], variable: str, default: str) -> str:
    value = environ.get(variable, default)
    if not _INSTALLATION.fullmatch(value):
        raise _wrong(variable, value, "1 to 64 letters, digits, '.', '_' or '-', as the stack's Prefix is")
    return value


def _modules(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    names = tuple(filter(None, (name.strip() for name in environ.get(variable, "").split(","))))
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise _wrong(variable, name, "names of Python packages separated by commas")
    return names


def _appconfig(environ: Mapping[str, str]) -> AppConfigIds | None:
    values = {field: environ.get(variable, "") for field, variable in APPCONFIG_VARIABLES.items()}
    missing = [APPCONFIG_VARIABLES[field] for field, value in values.items() if not value]
    if len(missing) == len(values):
        return None
    if missing:
        raise SettingsError(
            f"{missing[0]} is not set although other FLYBALL_APPCONFIG_* variables are: set all four to "
            "publish a document, or none to publish circuits only",
            field=missing[0],
        )
    return AppConfigIds(**values)
