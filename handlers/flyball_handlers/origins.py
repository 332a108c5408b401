"""Which events are meant for this deployment: the handlers' own part of the environment.

Beside the controller's settings (tables, ids, policy) the handlers need to know
whose alarms may wake them and what an alarm without a `target` dimension is
about. Nothing here grants anything: permissions belong into IAM, this is the
second look (T1, T7).

    FLYBALL_ALARM_TARGETS     {"alarm name or ARN": "target" or ["target", ...], ...}
    FLYBALL_FUNCTION_TARGETS  {"Lambda function name": "target" or ["target", ...], ...}
    FLYBALL_ACCOUNTS          123456789012,210987654321   (unset: any)
    FLYBALL_REGIONS           eu-west-1,us-east-1         (unset: any)

Breakers of Powertools for AWS Lambda that shall be held and released with our
circuits are named in the same form, with the table they live in:

    FLYBALL_POWERTOOLS_TABLE     name of the table                (unset: none are driven)
    FLYBALL_POWERTOOLS_CIRCUITS  {"circuit name": "target" or ["target", ...], ...}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from flyball.errors import SettingsError
from flyball.names import name_problem
from flyball_controller.bounded import Undecodable, decode_json, shown

ALARM_TARGETS = "FLYBALL_ALARM_TARGETS"
FUNCTION_TARGETS = "FLYBALL_FUNCTION_TARGETS"
ACCOUNTS = "FLYBALL_ACCOUNTS"
REGIONS = "FLYBALL_REGIONS"
POWERTOOLS_TABLE = "FLYBALL_POWERTOOLS_TABLE"
POWERTOOLS_CIRCUITS = "FLYBALL_POWERTOOLS_CIRCUITS"
VARIABLES = (ALARM_TARGETS, FUNCTION_TARGETS, ACCOUNTS, REGIONS, POWERTOOLS_TABLE, POWERTOOLS_CIRCUITS)

_ACCOUNT = re.compile(r"[0-9]{1,12}")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}")

TargetMap = Mapping[str, tuple[str, ...]]


class Origins(NamedTuple):
    """Where events may come from, and what those without a target dimension mean. Empty sets: any."""

    alarm_targets: TargetMap = MappingProxyType({})
    function_targets: TargetMap = MappingProxyType({})
    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    powertools_table: str = ""
    powertools_circuits: TargetMap = MappingProxyType({})

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Origins:
        """Return the origins that an environment describes.

        Raises:
            SettingsError: A value that cannot be obeyed; `field` is the variable.

        >>> Origins.from_env({"FLYBALL_ALARM_TARGETS": '{"checkout-5xx": "checkout"}'}).alarm_targets
        {'checkout-5xx': ('checkout',)}
        """
        table = environ.get(POWERTOOLS_TABLE, "").strip()
        circuits = _target_map(environ, POWERTOOLS_CIRCUITS)
        if bool(table) != bool(circuits):
            missing = POWERTOOLS_CIRCUITS if table else POWERTOOLS_TABLE
            raise SettingsError(
                f"{missing} is not set: a table and the circuits in it are set together, or neither",
                field=missing,
            )
        return cls(
            powertools_table=table,
            powertools_circuits=circuits,
            alarm_targets=_target_map(environ, ALARM_TARGETS),
            function_targets=_target_map(environ, FUNCTION_TARGETS),
            accounts=_set(environ, ACCOUNTS, _ACCOUNT, "account numbers separated by commas"),
            regions=_set(environ, REGIONS, _REGION, "region names separated by commas"),
        )


def _target_map(environ: Mapping[str, str], variable: str) -> TargetMap:
    raw = environ.get(variable, "")
    if not raw.strip():
        return {}
    decoded = decode_json(raw)
    if isinstance(decoded, Undecodable):
        raise SettingsError(f"{variable} is {decoded.shown}: it must be {decoded.bound}", field=variable)
    if not isinstance(decoded, dict):
        raise SettingsError(
            f"{variable} is {shown(decoded)}: it must be an object, name to target", field=variable
        )
    return {name: _targets(value, f"{variable}[{name!r}]", variable) for name, value in decoded.items()}


def _targets(value: object, where: str, variable: str) -> tuple[str, ...]:
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not entries:
        raise SettingsError(
            f"{where} is {shown(value)}: it must be a target or a list of them", field=variable
        )
    for entry in entries:
        problem = name_problem(entry)
        if problem:
            raise SettingsError(f"{where}: the target {problem}", field=variable)
    return tuple(dict.fromkeys(entries))


def _set(environ: Mapping[str, str], variable: str, form: re.Pattern[str], what: str) -> frozenset[str]:
    raw = environ.get(variable, "")
    names = [name.strip() for name in raw.split(",")] if raw.strip() else []
    for name in names:
        if not form.fullmatch(name):
            raise SettingsError(
                f"{variable}={shown(raw)} must be {what}; {shown(name)} is none", field=variable
            )
    return frozenset(names)
