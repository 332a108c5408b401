"""The AppConfig Agent: what a function really talks to, on localhost, in its execution environment.

`Agent` is the agent of one execution environment without a socket: it polls
when asked and its interval has passed, keeps the last good document, and serves
it for as long as polls fail (user guide, "How the Lambda extension works").
`AgentServer` puts the same behind HTTP.

An environment between invocations is frozen: nothing polls for it. With
`thaw_stale` the first read after the interval still gets the old document, as
happens on Lambda, where the poll and the handler start together.

Assumed: what a first read gets while AppConfig cannot be reached (nothing here,
500 over HTTP); that a dead token makes the agent start a new session at once.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

from flyball_local.appconfig.errors import LostReplyError, ServiceError
from flyball_local.appconfig.records import Wire
from flyball_local.loopback import HttpReply, HttpRequest, LoopbackServer
from flyball_local.virtualclock import VirtualClock

# AWS_APPCONFIG_EXTENSION_POLL_INTERVAL_SECONDS, default.
POLL_INTERVAL_S = 45.0
# The lowest interval a session can require; shorter ones are simply not announced.
ANNOUNCED_MIN_S = 15


class Source(Protocol):
    """What an agent needs of the service: its data plane, and the two facts the data plane does not tell."""

    @property
    def revision(self) -> int:
        """Rises whenever a reader may see something else."""
        ...

    def call(self, service: str, operation: str, params: Wire) -> Wire:
        """Carry out one operation or raise ServiceError or LostReplyError."""
        ...

    def version_behind(self, token: str) -> str | None:
        """Return the version last delivered to the session of a token."""
        ...


class Agent:
    """One execution environment's view of one configuration.

    Args:
        source: The service.
        clock: Time.
        application: Id or name; likewise `environment` and `profile`.
        poll_interval_s: Seconds between polls, > 0.
        thaw_stale: True if a due poll answers only the next read (Lambda's freeze), False if this one.
    """

    def __init__(
        self,
        source: Source,
        clock: VirtualClock,
        application: str,
        environment: str,
        profile: str,
        *,
        poll_interval_s: float = POLL_INTERVAL_S,
        thaw_stale: bool = False,
    ) -> None:
        if not poll_interval_s > 0.0:
            raise ValueError(f"poll_interval_s={poll_interval_s!r} must be above 0")
        self._source = source
        self._clock = clock
        self._names = {
            "ApplicationIdentifier": application,
            "EnvironmentIdentifier": environment,
            "ConfigurationProfileIdentifier": profile,
        }
        self._interval_s = poll_interval_s
        self._thaw_stale = thaw_stale
        self._token: str | None = None
        self._content: bytes | None = None
        self._returned: bytes | None = None
        self._seen_revision = -1
        self.next_poll_s = clock.now_s()
        self.configuration_version: str | None = None
        self.version_label: str | None = None
        self.content_type = "application/octet-stream"
        self.polls = 0
        self.failures = 0
        self.last_error: Exception | None = None

    def get(self) -> bytes | None:
        """Return the document, None if none was ever received. Never raises for AppConfig's errors.

        With nothing received yet every read asks AppConfig; afterwards only reads
        at or after `next_poll_s` do.
        """
        before = self._content
        due = self._clock.now_s() >= self.next_poll_s
        if before is None or due:
            self._poll()
        self._returned = before if self._thaw_stale and before is not None else self._content
        return self._returned

    @property
    def fresh(self) -> bool:
        """True if no read can return anything new before the service's `revision` rises: skip them."""
        return self._returned is self._content and self._seen_revision == self._source.revision

    def _poll(self) -> None:
        self.polls += 1
        self.next_poll_s = self._clock.now_s() + self._interval_s
        revision = self._source.revision
        try:
            self._receive()
        except (ServiceError, LostReplyError) as error:
            self.failures += 1
            self.last_error = error
            return
        self.last_error = None
        self._seen_revision = revision

    def _receive(self) -> None:
        opened = self._token is None
        if self._token is None:
            self._token = self._open()
        try:
            reply = self._latest(self._token)
        except ServiceError as error:
            if opened or not _token_is_dead(error):
                raise
            self._token = self._open()
            reply = self._latest(self._token)
        self._token = reply["NextPollConfigurationToken"]
        if reply["Configuration"]:
            self._content = reply["Configuration"]
            self.content_type = reply["ContentType"]
            self.version_label = reply.get("VersionLabel")
            self.configuration_version = self._source.version_behind(self._token)

    def _open(self) -> str:
        announced = (
            {"RequiredMinimumPollIntervalInSeconds": int(self._interval_s)}
            if self._interval_s >= ANNOUNCED_MIN_S
            else {}
        )
        reply = self._source.call("appconfigdata", "StartConfigurationSession", {**self._names, **announced})
        return str(reply["InitialConfigurationToken"])

    def _latest(self, token: str) -> Wire:
        return self._source.call("appconfigdata", "GetLatestConfiguration", {"ConfigurationToken": token})


class AgentServer:
    """The agent of one execution environment on a free loopback port; `url` is its base address.

    GET /applications/{a}/environments/{e}/configurations/{c} answers 200 with the
    document and `Configuration-Version`, or AppConfig's status if there is none.
    """

    def __init__(self, make_agent: Callable[[str, str, str], Agent]) -> None:
        self._make_agent = make_agent
        self._agents: dict[tuple[str, str, str], Agent] = {}
        self._server = LoopbackServer(self._respond)

    @property
    def url(self) -> str:
        """Base address without a trailing slash."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    def _respond(self, request: HttpRequest) -> HttpReply:
        url = urlsplit(request.path)
        match [unquote(part) for part in url.path.split("/")]:
            case ["", "applications", application, "environments", environment, "configurations", profile]:
                names = (application, environment, profile)
            case _:
                return _text(404, f"no such path: {url.path}")
        if request.method != "GET":
            return _text(405, f"method {request.method} is not allowed")
        if "flag=" in url.query:
            return _text(501, "feature flags are not emulated")
        agent = self._agents.setdefault(names, self._make_agent(*names))
        content = agent.get()
        if content is None:
            return _failure(agent.last_error)
        headers = {"Content-Type": agent.content_type}
        if agent.configuration_version is not None:
            headers["Configuration-Version"] = agent.configuration_version
        if agent.version_label is not None:
            headers["Version-Label"] = agent.version_label
        return HttpReply(200, content, headers)


def _token_is_dead(error: ServiceError) -> bool:
    details = error.fields.get("Details", {}).get("InvalidParameters", {})
    problem = details.get("ConfigurationToken", {}).get("Problem")
    return problem in ("Expired", "Corrupted")


def _failure(error: Exception | None) -> HttpReply:
    """Answer a read that found nothing: the caller's mistakes keep their status, all else is 500."""
    status = error.status if isinstance(error, ServiceError) and error.status in (400, 404) else 500
    return _text(status, str(error))


def _text(status: int, text: str) -> HttpReply:
    return HttpReply(status, text.encode(), {"Content-Type": "text/plain"})
