"""FLYBALL_FAULTS: faults for an experiment in a deployed function. Read at the first use, if it is set.

Strict, unlike a published document: a variable is written by whoever deploys the
function, who shall learn at once what is wrong with it. The end of the
experiment is mandatory and at most a day away; what is over is no error, for the
variable may stay until the next deployment.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping

from flyball.document import shown
from flyball.environment import Runtime
from flyball.errors import SettingsError
from flyball.faults import Fault, Faults, Injection, checked, draws, refuse, wrong

VARIABLE = "FLYBALL_FAULTS"
# Nobody may leave an experiment running: longer ones are begun anew each day.
FAULTS_MAX_S = 86_400.0
TIME_MAX_S = 253_402_300_800.0  # the year 10000


def turn_on(text: str, within: Runtime) -> Faults | None:
    """Turn on what the variable says; None if its time is over.

    Raises:
        SettingsError: It cannot be understood, has no end, or ends in more than a day.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise SettingsError(f"{VARIABLE} is no JSON: {cause}", field=VARIABLE) from cause
    if not isinstance(content, dict):
        refuse("", content, "an object with the keys until and faults")
    _only_known(content, ("until", "faults"), "")
    until_s = _until_s(content.get("until"))
    entries = content.get("faults")
    if not isinstance(entries, list):
        refuse("faults", entries, "a list")
    injections = [_injection(entry, f"faults.{i}", until_s, within) for i, entry in enumerate(entries)]
    now_s = within.clock.wall_s()
    if until_s <= now_s:
        return None
    if not until_s <= now_s + FAULTS_MAX_S:  # NaN neither
        refuse("until", content["until"], "at most a day away: no experiment is for ever")
    faults = Faults(within)
    for injection in injections:
        faults.add(injection)
    return faults


def _injection(entry: object, path: str, until_s: float, within: Runtime) -> Injection:
    if not isinstance(entry, dict):
        refuse(path, entry, "an object")
    _only_known(entry, ("target", "error", "latency_s", "throttle", "timeout_s", "ratio", "seed"), path)
    name, seed, error = entry.get("target"), entry.get("seed"), entry.get("error")
    if not isinstance(name, str):
        refuse(f"{path}.target", name, "the name of a target")
    if not isinstance(seed, int | None):
        refuse(f"{path}.seed", seed, "an integer")
    kind = getattr(builtins, error, None) if isinstance(error, str) else error
    if error is not None and not (isinstance(kind, type) and issubclass(kind, Exception)):
        refuse(f"{path}.error", error, "the name of a built-in exception, as ConnectionError")
    numbers = {key: entry[key] for key in ("latency_s", "throttle", "timeout_s", "ratio") if key in entry}
    fault = checked(Fault(name, error=kind, until_s=until_s, **numbers), path)
    return Injection(fault, within.clock, draws(within, seed))


def _until_s(value: object) -> float:
    """Epoch seconds of the end, given as such or in ISO 8601 with its zone."""
    bound = "the time at which the experiment ends, as 2026-01-05T12:00:00Z"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= TIME_MAX_S:  # a larger integer fits no float; NaN is in no range
            refuse("until", value, bound)
        return value
    if not isinstance(value, str):
        refuse("until", value, bound)
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(value)
    except ValueError as cause:
        raise wrong("until", value, bound) from cause
    if moment.tzinfo is None:
        refuse("until", value, bound)
    return moment.timestamp()


def _only_known(entry: Mapping[str, object], known: tuple[str, ...], path: str) -> None:
    for key in entry:
        if key not in known:
            from flyball.hints import did_you_mean

            hint = did_you_mean(key, known, listing="known are")
            field = f"{path}.{key}" if path else key
            raise SettingsError(f"{VARIABLE}: unknown key {shown(field)}{hint}", field=field)
