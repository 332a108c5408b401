"""The document from AppConfig's data API, for hosts without the Agent: containers, other clouds, a laptop.

The protocol is a chain of single-use tokens: a session gives the first, every
answer the next, and each is good for one poll within 24 hours. An empty answer
means unchanged. Rules kept here:

* A token is spent when it is sent. Only a throttled poll, which did nothing,
  gives it back; after any other failure the next read opens a new session,
  which brings the whole document. Replaying a token whose answer was lost could
  skip that answer for ever.
* A refused token (expired while the environment slept, shared by clones of one
  snapshot, polled too early) is replaced by a new session within the same read,
  once: there is no way to go on asking with a dead token.
* Nothing is asked before the interval that the service named has passed, unless
  a clock disagrees (K6); then a refusal costs one more session.

An older document may be stale, or a roll-back. What an unbroken chain delivers is
the newer word, whatever its revision. A new session may stand elsewhere (in a
gradual roll-out, at a replica that lags) and be shown the older document at its
first poll: the cache around this refuses to go back (K2), until the next poll of
that session says that this is still what holds for it.

Price: every request, and much more every document received, costs money; an
unchanged document is not received again as long as the chain holds.
Source: AppConfig data API reference, StartConfigurationSession and
GetLatestConfiguration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from flyball.aws import own_client
from flyball.clock import Clock, SystemClock
from flyball.document import decode_document
from flyball.errors import SettingsError, SourceError
from flyball.records import DOCUMENT_BYTES_MAX, Document
from flyball.sources import DocumentSource

# What AppConfig advises to sessions that ask for nothing; the fast path is the circuit item.
POLL_S = 60
POLL_MIN_S = 15  # the API's own bounds of RequiredMinimumPollIntervalInSeconds
POLL_MAX_S = 86_400
# A read makes at most three requests (refused token, new session, poll) of twice this each;
# one that is not answered ends the read.
TIMEOUT_S = 0.5
_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})
_REFUSED = "BadRequestException"  # of a poll: its token is expired, corrupted or too early


class AppConfigDataClient(Protocol):
    """The two methods used of boto3's AppConfig data client."""

    def start_configuration_session(self, **arguments: Any) -> Mapping[str, Any]:
        """Open a session."""
        ...

    def get_latest_configuration(self, *, ConfigurationToken: str) -> Mapping[str, Any]:  # noqa: N803
        """Poll once."""
        ...


class AppConfigDataDocuments:
    """Polls AppConfig itself; creates its own client at the first read unless given one.

    `sessions` counts the sessions opened: one, and one more per refused or lost
    token. `replaced`: whether the document read last is known to stand in place of
    the one before.
    """

    __slots__ = (
        "_client",
        "_clock",
        "_doubtful",
        "_fresh",
        "_monotonic_s",
        "_names",
        "_next_in_s",
        "_revision",
        "_token",
        "_wall_s",
        "replaced",
        "sessions",
    )

    def __init__(
        self,
        application: str,
        environment: str,
        configuration: str,
        *,
        poll_s: int = POLL_S,
        client: AppConfigDataClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Name the document; nothing is asked yet.

        Args:
            application: Name or id, as the two below.
            environment: Of the application.
            configuration: The configuration profile.
            poll_s: Shortest time between two polls of a session, seconds, whole, 15 to 86,400.
            client: The function's own, with short time-outs and one attempt: a repeated poll
                would send a spent token.
            clock: For tests.

        Raises:
            SettingsError: `poll_s` is what AppConfig would refuse.
        """
        given: object = poll_s  # a float would be refused by the SDK at every read, and by nobody before
        if not isinstance(given, int) or given not in range(POLL_MIN_S, POLL_MAX_S + 1):
            raise SettingsError(
                f"poll_s={poll_s!r} must be an integer in [{POLL_MIN_S}, {POLL_MAX_S}] seconds: "
                "AppConfig refuses sessions with another interval",
                field="poll_s",
            )
        self._names = {
            "ApplicationIdentifier": application,
            "EnvironmentIdentifier": environment,
            "ConfigurationProfileIdentifier": configuration,
            "RequiredMinimumPollIntervalInSeconds": poll_s,
        }
        self._client = client
        self._clock: Clock = SystemClock() if clock is None else clock
        self._token: str | None = None
        self._wall_s = 0.0  # of the last good poll, on either clock
        self._monotonic_s = 0.0
        self._next_in_s = 0.0  # after it
        self._fresh = True  # whether the last poll was the first of its session
        self._revision = -1  # the highest read so far
        self._doubtful: Document | None = None  # a lower one, shown first to a new session
        self.sessions = 0
        self.replaced = False

    def read(self) -> Document | None:
        """Return the document; None if it is unchanged or it is too early to ask.

        Raises:
            ContractError: There is a document, and it cannot be understood.
            SourceError: AppConfig could not be asked, or answered no.
        """
        wall_s, monotonic_s = self._clock.wall_s(), self._clock.monotonic_s()
        if (
            0.0 <= wall_s - self._wall_s < self._next_in_s
            and monotonic_s - self._monotonic_s < self._next_in_s
        ):
            return None
        try:
            data = self._poll()
        except SourceError:
            raise
        except Exception as cause:
            raise SourceError(f"cannot read AppConfig: {cause!r}", source="appconfigdata") from cause
        # From the answer on, not from the request: the next request may travel faster than this
        # one did, and a fraction of a second early is refused and costs a session.
        self._wall_s, self._monotonic_s = self._clock.wall_s(), self._clock.monotonic_s()
        return self._judged(data)

    def _judged(self, data: bytes) -> Document | None:
        """The document as the cache is to see it; notes whether it stands in place of the one before."""
        doubtful, self._doubtful = self._doubtful, None
        self.replaced = not self._fresh
        news = decode_document(data) if data else None
        if news is None:
            news = doubtful  # nothing newer came, so it holds
        elif self._fresh and news.revision < self._revision:
            self._doubtful = news
        if news is not None and (self.replaced or news.revision > self._revision):
            self._revision = news.revision
        return news

    def _poll(self) -> bytes:
        """The bytes of the document, empty if unchanged; opens a session if there is no good one."""
        if self._client is None:
            self._client = own_client("appconfigdata", timeout_s=TIMEOUT_S)
        client = self._client
        self._fresh = False
        if self._token is not None:
            try:
                return self._poll_once(client)
            except Exception as error:
                if _code(error) != _REFUSED:
                    raise
        self._token = client.start_configuration_session(**self._names)["InitialConfigurationToken"]
        self.sessions += 1
        self._fresh = True
        return self._poll_once(client)

    def _poll_once(self, client: AppConfigDataClient) -> bytes:
        token, self._token = self._token, None
        assert token is not None  # noqa: S101 - callers have asked
        self._next_in_s = 0.0
        try:
            reply = client.get_latest_configuration(ConfigurationToken=token)
        except Exception as error:
            if _code(error) in _THROTTLED:
                self._token = token
            raise
        data = _body(reply["Configuration"])
        self._next_in_s = _interval_s(reply.get("NextPollIntervalInSeconds"))
        self._token = reply["NextPollConfigurationToken"]
        return data


_fits: DocumentSource = AppConfigDataDocuments("", "", "")


def _body(stream: Any) -> bytes:
    try:
        data: bytes = stream.read(DOCUMENT_BYTES_MAX + 1)
        if len(data) <= DOCUMENT_BYTES_MAX:
            stream.read()  # nothing is left; only now does the SDK compare with the promised length
    finally:
        stream.close()
    return data


def _interval_s(value: object) -> float:
    """The interval as the service named it; what is no number of seconds is as if not named."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= POLL_MAX_S:
        return float(value)
    return float(POLL_S)


def _code(error: Exception) -> str:
    """The service's error code, as botocore's ClientError carries it; "" if there was no answer."""
    response = getattr(error, "response", None)
    detail = response.get("Error") if isinstance(response, Mapping) else None
    code = detail.get("Code") if isinstance(detail, Mapping) else None
    return code if isinstance(code, str) else ""
