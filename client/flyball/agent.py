"""The document from the AppConfig Agent, a Lambda extension that polls AppConfig and answers on localhost.

Loaded where FLYBALL_AGENT names it. Like every source it answers or fails; what
surrounds it (`flyball.sources`) caches and backs off.

Source: AWS AppConfig User Guide, "Retrieving configuration data using AppConfig
Agent Lambda extension".
"""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import quote

from flyball.clock import SystemClock
from flyball.errors import SourceError
from flyball.misuse import number, refuse
from flyball.records import DOCUMENT_BYTES_MAX, Document
from flyball.sources import Decoded, DocumentSource

AGENT_PORT = 2772
AGENT_TIMEOUT_S = 0.5
PORT_VARIABLE = "AWS_APPCONFIG_EXTENSION_HTTP_PORT"  # the Agent's own


def agent_port(environ: Mapping[str, str]) -> int:
    """Return the port on which the environment variables let the Agent listen.

    Raises:
        SettingsError: The variable is no number.

    >>> agent_port({}), agent_port({PORT_VARIABLE: "2800"})
    (2772, 2800)
    """
    text = environ.get(PORT_VARIABLE, "")
    if text and not (text.isascii() and text.isdigit()):
        refuse(PORT_VARIABLE, text, "a TCP port")
    return int(text or AGENT_PORT)


class AgentDocuments:
    """The document as the AppConfig Agent (a Lambda extension) serves it on localhost.

    The Agent polls AppConfig and caches; this asks the Agent. Every read opens
    its own connection: one that was kept over a freeze would be a dead one.

    It is one process with one session, so it never serves an older configuration
    by itself: another `Configuration-Version` than that of the document read
    before means that AppConfig has moved on, be it back. An Agent that does not
    name versions cannot say so.
    """

    __slots__ = ("_decoded", "_known", "_path", "_port", "_timeout_s", "host", "replaced")

    def __init__(
        self,
        application: str,
        environment: str,
        configuration: str,
        *,
        host: str = "localhost",
        port: int = AGENT_PORT,
        timeout_s: float = AGENT_TIMEOUT_S,
    ) -> None:
        """Name the document; nothing is asked yet.

        Args:
            application: Name or id, as the two below.
            environment: Of the application.
            configuration: The configuration profile.
            host: Where the Agent listens.
            port: 2772, unless the Agent is told otherwise (`agent_port`).
            timeout_s: Longest wait for a piece of the answer, and for all of it, > 0.

        Raises:
            SettingsError: One of these cannot be used.
        """
        names: dict[str, object] = {
            "application": application,
            "environment": environment,
            "configuration": configuration,
        }
        for field, name in names.items():
            if not isinstance(name, str) or not name:
                refuse(field, name, "a name or an id of AppConfig")
        number("port", port, 1, 65_535, "a TCP port")
        number("timeout_s", timeout_s, 0.001, 60.0, "seconds in [0.001, 60]")
        self._path = "".join(f"/{kind}s/{quote(str(name), safe='')}" for kind, name in names.items())
        self.host = host
        self._port = port
        self._timeout_s = timeout_s
        # Revision read last, and the configuration version under which it was read first.
        self._known: tuple[int, str | None] = (-1, None)
        self.replaced = False
        self._decoded = Decoded()

    def read(self) -> Document | None:
        """Return the document; None if the answer is empty (unchanged, or nothing deployed)."""
        connection = HTTPConnection(self.host, self._port, timeout=self._timeout_s)
        try:
            connection.request("GET", self._path)
            response = connection.getresponse()
            data = self._whole(response)
            status, version = response.status, response.getheader("Configuration-Version")
        except (OSError, HTTPException) as cause:
            raise SourceError(f"the AppConfig Agent does not answer: {cause!r}", source="agent") from cause
        finally:
            connection.close()
        if status not in (200, 204):
            raise SourceError(f"the AppConfig Agent answers {status} for {self._path}", source="agent")
        document = self._decoded.of(data)
        if document is not None:
            revision, known = self._known
            self.replaced = None not in (known, version) and version != known
            if document.revision != revision:
                self._known = document.revision, version
        return document

    def _whole(self, response: HTTPResponse) -> bytes:
        """The body, if all of it comes in time: the time-out of a socket is that of each piece."""
        ends_s = SystemClock.monotonic_s() + self._timeout_s
        data = b""
        while piece := response.read1(DOCUMENT_BYTES_MAX + 1 - len(data)):
            data += piece
            if SystemClock.monotonic_s() > ends_s:
                raise TimeoutError(f"{len(data)} bytes in {self._timeout_s:g} s, and more to come")
        return data


_fits: DocumentSource = AgentDocuments("a", "e", "c")
