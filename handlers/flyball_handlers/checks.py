"""Makes one check of a target and says what came of it. Total: every check ends in an Outcome.

An outcome is about the target (`good` or not) or about the check itself
(`broken`: it could not be made, so it says nothing about the target and must
never count against it). A word for the cause is all that is told: no URL, no
header, no body and no text of an exception goes into logs or metrics, because
any of them can hold a secret or be written by whoever runs the target.

Redirects are answers, not orders: following one would send the headers to
wherever it points. A target that answers 302 is well if the policy expects it.
"""

from __future__ import annotations

import http.client
import importlib
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from flyball_controller.probes import SECRET, Check, Kind
from flyball_handlers.checks_aws import AwsCheckError, AwsChecks
from flyball_handlers.checks_net import Deadline, Dialer, ForbiddenAddressError, Monotonic, Wire

BODY_BYTES_MAX = 65_536  # of an answer that are read, and only where the policy looks for something in it
AGENT = "flyball-probe"


class Outcome(NamedTuple):
    """What came of a check. `code` is one of a few constant words; `latency_ms` is the whole check's."""

    good: bool
    code: str
    latency_ms: float
    broken: bool = False


class BrokenCheckError(Exception):
    """The check cannot be made; `code` says why in a word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _FailedError(Exception):
    """The target is not well; `code` says why in a word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Checker(NamedTuple):
    """What checks need of their surroundings.

    `environ` is read for headers' secrets (PROBE_*) only. `modules` are the packages of the
    bundle from which callables may come: a policy must not be able to call anything that is installed.
    """

    dialer: Dialer
    aws: AwsChecks
    clock: Monotonic
    environ: Mapping[str, str]
    modules: tuple[str, ...] = ()
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context

    def run(self, check: Check) -> Outcome:
        """Make a check; never raises."""
        started_s = self.clock()
        deadline = Deadline(started_s + check.timeout_s, self.clock)
        good, code, broken = False, "ok", False
        try:
            self._ask(check, deadline)
            good = True
        except _FailedError as error:
            code = error.code
        except BrokenCheckError as error:
            code, broken = error.code, True
        except ForbiddenAddressError:
            code, broken = "forbidden-address", True
        except AwsCheckError as error:
            code, broken = error.code, error.broken
        except Exception as error:  # noqa: BLE001 - a check tells, whatever happens
            code = _word(error)
        return Outcome(good, code, (self.clock() - started_s) * 1_000.0, broken)

    def _ask(self, check: Check, deadline: Deadline) -> None:
        if check.kind is Kind.HTTP:
            self._http(check, deadline)
        elif check.kind is Kind.TCP:
            self.dialer.dial(check.host, check.port, deadline).close()
        elif check.kind is Kind.LAMBDA:
            self.aws.function(check)
        elif check.kind is Kind.DYNAMODB:
            self.aws.table(check)
        elif self._callable(check)() is False:
            raise _FailedError("said-no")

    def _http(self, check: Check, deadline: Deadline) -> None:
        parts = urlsplit(check.url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        headers = {"User-Agent": AGENT, "Connection": "close", **self._headers(check)}
        wire = Wire(self.dialer.dial(host, port, deadline), deadline)
        try:
            if secure:
                wire = wire.secure(host, self.context())
            connection = http.client.HTTPConnection(host, port)
            connection.sock = wire
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(check.method, target, headers=headers)
            answer = connection.getresponse()
            if not any(low <= answer.status <= high for low, high in check.expect_status):
                raise _FailedError("status")
            if check.body_contains and check.body_contains.encode() not in answer.read(BODY_BYTES_MAX):
                raise _FailedError("body")
        finally:
            wire.hang_up()

    def _headers(self, check: Check) -> dict[str, str]:
        headers = {}
        for name, content in check.headers:
            secret = SECRET.fullmatch(content)
            value = self.environ.get(secret[1]) if secret else content
            if not value or not re.fullmatch(r"[\x20-\x7e]+", value):  # a line break would add a header
                raise BrokenCheckError("secret-missing")
            headers[name] = value
        return headers

    def _callable(self, check: Check) -> Callable[[], object]:
        module, _, name = check.callable.partition(":")
        if not any(module == known or module.startswith(f"{known}.") for known in self.modules):
            raise BrokenCheckError("callable-not-allowed")
        try:
            found = getattr(importlib.import_module(module), name)
        except Exception as error:
            raise BrokenCheckError("callable-missing") from error
        if not callable(found):
            raise BrokenCheckError("callable-missing")
        made: Callable[[], object] = found
        return made


def _word(error: Exception) -> str:
    """Return the word for what kept a target from answering."""
    words: tuple[tuple[type[Exception], str], ...] = (
        (TimeoutError, "timeout"),
        (socket.gaierror, "no-such-host"),
        (ssl.SSLError, "tls"),
        (ConnectionRefusedError, "refused"),
        (ConnectionError, "cut-off"),
        (http.client.HTTPException, "not-http"),
        (OSError, "unreachable"),
    )
    return next((word for kind, word in words if isinstance(error, kind)), "raised")
