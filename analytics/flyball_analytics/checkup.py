"""The checks of `flyball doctor`: each says what was found and, if it is wrong, what to do.

A check never raises: what goes wrong in it is its finding. What depends on the
machine (Python, packages, environment, AWS) is passed in, so that each finding
can be shown without the machine that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from flyball.hints import did_you_mean
from flyball_analytics.codes import ErrorCode
from flyball_analytics.counts import counted
from flyball_analytics.installation import Installation
from flyball_controller.core.errors import PolicyError
from flyball_controller.document_room import Room, room_of, room_of_policies
from flyball_controller.ports import PortError

PYTHON_MIN = (3, 11)
SKEW_S = 60.0  # a circuit lapses after 90 s: a clock this wrong reads it as lapsed, or holds it too long
# What each extra is for; any one module of it stands for the rest.
EXTRAS = {
    "sim": (("numpy", "pandas", "pyarrow", "numba"), "ingest, sweep and fast replays"),
    "plot": (("matplotlib",), "pictures"),
    "report": (("jinja2",), "HTML reports"),
    "tune": (("optuna",), "tune"),
    "local": (("moto", "jsonschema"), "the demo and the embedded AWS"),
}


class State(StrEnum):
    """ok; warn = something will not work, and may not be wanted; fail = mend it."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One check's answer; `remedy` "" if all is well."""

    check: str
    state: State
    says: str
    remedy: str = ""


def python_version(version: tuple[int, int]) -> Finding:
    """Say whether this Python is new enough.

    >>> python_version((3, 10)).state.value
    'fail'
    """
    said = f"Python {version[0]}.{version[1]}"
    if version < PYTHON_MIN:
        return Finding("python", State.FAIL, said, "use Python 3.11 or later")
    return Finding("python", State.OK, said)


def extras(installed: Callable[[str], bool]) -> list[Finding]:
    """Say which optional packages are missing, and what does not work without them."""
    found = []
    for extra, (modules, purpose) in EXTRAS.items():
        missing = [module for module in modules if not installed(module)]
        if missing:
            says = f"{', '.join(missing)} missing: no {purpose}"
            found.append(Finding(f"extra {extra}", State.WARN, says, f"pip install 'flyball[{extra}]'"))
        else:
            found.append(Finding(f"extra {extra}", State.OK, purpose))
    return found


def variables(environ: Mapping[str, str], known: tuple[str, ...]) -> Finding:
    """Say whether a FLYBALL_* variable is misspelt: neither controller nor commands start with one."""

    unknown = sorted(name for name in environ if name.startswith("FLYBALL_") and name not in known)
    if not unknown:
        return Finding("variables", State.OK, "no unknown FLYBALL_* variable")
    told = ", ".join(f"{name}{did_you_mean(name, known)}" for name in unknown)
    remedy = "correct or unset them: the controller refuses them"
    return Finding("variables", State.FAIL, f"unknown: {told}", remedy)


def map_file(path: Path) -> Finding:
    """Say whether an integration map can be used."""
    from flyball_analytics.integrations_file import IntegrationsError, load_integrations

    name = f"map {path}"
    if not path.exists():
        return Finding(name, State.WARN, "there is none", "write one: flyball init, or flyball map")
    try:
        known = load_integrations(path)
    except IntegrationsError as error:
        return Finding(name, State.FAIL, error.coded(), _remedy(path, error.codes, "integrations"))
    except OSError as error:
        return Finding(name, State.FAIL, f"{error.strerror or error}", "make it readable")
    return Finding(
        name,
        State.OK,
        f"{counted(len(known.functions), 'function')}, {counted(len(known.targets), 'target')}",
    )


def _remedy(path: Path, codes: Iterable[str], schema: str) -> str:
    """Return what to do about a file that is wrong; older formats have a command of their own."""
    if set(codes) & {ErrorCode.WRONG_VERSION, ErrorCode.UNKNOWN_KEY}:
        return f"correct it, or if it is of an older format: flyball migrate {path}"
    return f"correct it; an editor helps: flyball schema {schema}"


def policy_file(path: Path) -> Finding:
    """Say whether a policy file can be used."""
    from flyball_controller.policy_file import load_policy

    name = f"policy {path}"
    if not path.exists():
        return Finding(name, State.WARN, "there is none", "write one: flyball assess --policy policy.yaml")
    try:
        policies = load_policy(str(path))
    except PolicyError as error:
        says = f"{error} [{error.code}]"
        return Finding(name, State.FAIL, says, _remedy(path, (error.code,), "policy"))
    says = f"valid, {counted(len(policies.targets), 'target')} with settings of their own"
    return _with_room(Finding(name, State.OK, says), room_of_policies(policies))


def _with_room(fine: Finding, room: Room) -> Finding:
    """Return a finding that is fine but for the room in the document."""
    if not room.tight:
        return fine
    says, _, remedy = room.sentence().partition(": ")
    return Finding(fine.check, State.WARN if room.fits else State.FAIL, f"{fine.says}; {says}", remedy)


def identity(ask: Callable[[], dict[str, Any]], *, now_s: float) -> list[Finding]:
    """Say who AWS thinks we are, and whether our clock agrees with AWS's.

    Args:
        ask: STS's GetCallerIdentity.
        now_s: This machine's time.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        reply = ask()
    except ClientError as error:
        says = f"refused: {error.response.get('Error', {}).get('Code', 'no code')}"
        return [
            Finding("credentials", State.FAIL, says, "renew or choose credentials (AWS_PROFILE, aws login)")
        ]
    except BotoCoreError as error:
        says = f"{type(error).__name__}: {error}"
        remedy = "set AWS_REGION and credentials (AWS_PROFILE, aws login), or check the network"
        return [Finding("credentials", State.FAIL, says, remedy)]
    found = [Finding("credentials", State.OK, f"account {reply.get('Account')}, {reply.get('Arn')}")]
    date = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return found
    skew_s = now_s - parsedate_to_datetime(date).timestamp()
    if abs(skew_s) > SKEW_S:
        says = f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} AWS"
        return [*found, Finding("clock", State.FAIL, says, "set the clock (NTP): states expire by it")]
    return [*found, Finding("clock", State.OK, "agrees with AWS's within a minute")]


def installed(installation: Installation, *, now_s: float) -> list[Finding]:
    """Say whether tables and document can be read, and how old the document's last change may be."""
    found = []
    try:
        installation.checkpoints.load(["flyball-doctor"])
        found.append(Finding("tables", State.OK, f"{installation.settings.state_table} can be read"))
    except PortError as error:
        remedy = "deploy first (docs/how-to/deploy.md), or give --prefix and --region"
        found.append(Finding("tables", State.FAIL, str(error), remedy))
    live, problem = installation.seen(now_s=now_s)
    if problem:
        remedy = "check permissions (docs/reference/iam.md), or give --appconfig"
        found.append(Finding("document", State.FAIL, problem, remedy))
    elif live is None:
        found.append(
            Finding(
                "document", State.WARN, "no AppConfig profile", "deploy it: clients run on their defaults"
            )
        )
    elif live.document is None:
        found.append(
            Finding("document", State.WARN, "nothing is published yet", "flyball plan, flyball apply")
        )
    else:
        fine = Finding("document", State.OK, counted(len(live.document.targets), "target"))
        found.append(_with_room(fine, room_of(live.document)))
    return found
