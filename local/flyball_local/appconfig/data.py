"""The data plane: sessions, single-use tokens, and the configuration each session is shown.

A reader starts a session, then polls with the newest token. Every token is good
for one successful poll, for 24 hours; a poll whose answer the reader already
has comes back empty (API reference, appconfigdata). Each non-empty answer is a
configuration *received*, which is what AWS charges for, so they are counted.

Assumed, as nothing documents it: a token already used counts as Expired, one
never issued as Corrupted; a refused poll leaves its token good; a profile of
which nothing reached the reader yet answers ResourceNotFoundException; without
RequiredMinimumPollIntervalInSeconds nothing is enforced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar

from flyball_local.appconfig.deployments import DeploymentEngine
from flyball_local.appconfig.errors import ServiceError, bad_request
from flyball_local.appconfig.records import Application, Environment, Profile, Wire, without_none
from flyball_local.virtualclock import VirtualClock

TOKEN_VALID_S = 24 * 3600.0
# Advised to sessions that require no interval (user guide, "Retrieving a configuration").
DEFAULT_POLL_S = 60
# Virtual times are binary floats: a poll on the dot must not fail by rounding.
ROUNDING_S = 1e-6


class _Named(Protocol):
    id: str
    name: str


_N = TypeVar("_N", bound=_Named)


@dataclass(slots=True, kw_only=True)
class Session:
    """One reader: its place in roll-outs never changes, so a roll-out never takes a version back from it."""

    number: int
    environment: Environment
    profile: Profile
    minimum_s: int | None
    unit: float
    lag_ratio: float
    issued_s: float
    sequence: int = 0
    polled_s: float | None = None
    version: str | None = None


class DataPlane:
    """Sessions of one account. `receives` counts configurations received, the unit of the price."""

    def __init__(
        self,
        clock: VirtualClock,
        engine: DeploymentEngine,
        applications: dict[str, Application],
        *,
        seed: int,
    ) -> None:
        self._clock = clock
        self._engine = engine
        self._applications = applications
        self._seed = seed
        self._sessions: list[Session] = []
        self.receives = 0

    def start_configuration_session(self, params: Wire) -> Wire:
        """StartConfigurationSession, by ids or names."""
        application = _lookup(self._applications.values(), params, "ApplicationIdentifier", "Application")
        environment = _lookup(
            application.environments.values(), params, "EnvironmentIdentifier", "Environment"
        )
        profile = _lookup(
            application.profiles.values(), params, "ConfigurationProfileIdentifier", "ConfigurationProfile"
        )
        number = len(self._sessions)
        draw = Random(f"{self._seed}:session:{number}")
        session = Session(
            number=number,
            environment=environment,
            profile=profile,
            minimum_s=params.get("RequiredMinimumPollIntervalInSeconds"),
            unit=draw.random() * 100.0,
            lag_ratio=draw.random(),
            issued_s=self._clock.now_s(),
        )
        self._sessions.append(session)
        return {"InitialConfigurationToken": self._token(session)}

    def get_latest_configuration(self, params: Wire) -> Wire:
        """GetLatestConfiguration: the content if it is news to this session, else an empty body."""
        session = self._session(params["ConfigurationToken"])
        now_s = self._clock.now_s()
        if (
            session.minimum_s is not None
            and session.polled_s is not None
            and now_s - session.polled_s < session.minimum_s - ROUNDING_S
        ):
            raise _bad_token("PollIntervalNotSatisfied")
        served = self._engine.view(
            session.environment.id, session.profile.id, unit=session.unit, lag_ratio=session.lag_ratio
        )
        if served is None:
            raise _not_found("Deployment", "ConfigurationToken", params["ConfigurationToken"])
        news = served.version != session.version
        if news:
            self.receives += 1
        session.version = served.version
        session.polled_s = session.issued_s = now_s
        session.sequence += 1
        return without_none(
            NextPollConfigurationToken=self._token(session),
            NextPollIntervalInSeconds=session.minimum_s or DEFAULT_POLL_S,
            ContentType=served.content_type,
            Configuration=served.content if news else b"",
            VersionLabel=served.label if news else None,
        )

    def version_behind(self, token: str) -> str | None:
        """Return the configuration version last delivered to the session of a valid token.

        The Agent reports it in `Configuration-Version`; the data plane's own
        model has no member for it.
        """
        return self._session(token).version

    def _token(self, session: Session) -> str:
        text = f"{session.number}.{session.sequence}"
        return f"{text}.{hashlib.sha256(f'{self._seed}:{text}'.encode()).hexdigest()[:32]}"

    def _session(self, token: str) -> Session:
        number, _, rest = token.partition(".")
        if not number.isdecimal() or int(number) >= len(self._sessions):
            raise _bad_token("Corrupted")
        session = self._sessions[int(number)]
        if token == self._token(session):
            if self._clock.now_s() - session.issued_s > TOKEN_VALID_S:
                raise _bad_token("Expired")
            return session
        sequence = rest.partition(".")[0]
        used = sequence.isdecimal() and int(sequence) < session.sequence
        raise _bad_token("Expired" if used else "Corrupted")


def _lookup(items: Iterable[_N], params: Wire, parameter: str, kind: str) -> _N:
    wanted = params[parameter]
    candidates = list(items)
    for item in candidates:
        if item.id == wanted:
            return item
    for item in candidates:
        if item.name == wanted:
            return item
    raise _not_found(kind, parameter, wanted)


def _bad_token(problem: str) -> ServiceError:
    return bad_request(
        f"ConfigurationToken: {problem}",
        Reason="InvalidParameters",
        Details={"InvalidParameters": {"ConfigurationToken": {"Problem": problem}}},
    )


def _not_found(kind: str, parameter: str, value: str) -> ServiceError:
    return ServiceError(
        "ResourceNotFoundException",
        f"{kind} for {parameter} {value!r} could not be found",
        ResourceType=kind,
        ReferencedBy={parameter: value},
    )
