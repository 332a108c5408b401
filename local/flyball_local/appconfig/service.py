"""The façade: one embedded AppConfig, reachable in process, over HTTP, and through agents.

    with AppConfigService(clock).serve() as served:
        control = boto3.client("appconfig", endpoint_url=served.url, ...)

or, faster and without a socket, `AppConfigService(clock).attach(client)`.

Every request and every response, on every face, is held to botocore's service
model; a response that breaks it is a fault of the emulator and raises
ContractError instead of reaching the caller.

Takes no time from anywhere but its clock, no randomness but its seed, and
nothing from the environment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from random import Random
from threading import RLock
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from botocore import xform_name
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError

from flyball_local.appconfig.agent import POLL_INTERVAL_S, Agent, AgentServer
from flyball_local.appconfig.control import ControlPlane
from flyball_local.appconfig.data import DataPlane
from flyball_local.appconfig.deployments import AlarmState, DeploymentEngine, Timing
from flyball_local.appconfig.errors import LostReplyError, NotEmulatedError, ServiceError, bad_request
from flyball_local.appconfig.notices import deployment_event
from flyball_local.appconfig.records import Deployment, Limits, Wire
from flyball_local.appconfig.rest import Reply, Request, Router, parse, render, render_error
from flyball_local.appconfig.validators import LambdaValidator
from flyball_local.appconfig.weather import FaultKind, Faults, Throttle
from flyball_local.contractcheck import check_response, contract_for, service_model
from flyball_local.loopback import HttpReply, HttpRequest, LoopbackServer
from flyball_local.virtualclock import VirtualClock

SERVICES = ("appconfig", "appconfigdata")
# US dollars per data-plane request and per configuration received. From secondary
# sources, not from AWS's price page: confirm before quoting.
USD_PER_REQUEST = 0.0000002
USD_PER_RECEIVE = 0.0008

DEFAULT_LIMITS = Limits()
DEFAULT_TIMING = Timing()

Notify = Callable[[dict[str, Any]], object]


class Usage(NamedTuple):
    """What readers cost: data-plane requests, and configurations received."""

    requests: int
    receives: int

    @property
    def usd(self) -> float:
        """Price in US dollars, at the module's unverified rates.

        >>> round(Usage(requests=1_000_000, receives=1_000).usd, 6)
        1.0
        """
        return self.requests * USD_PER_REQUEST + self.receives * USD_PER_RECEIVE


class AppConfigService:
    """One account's AppConfig on a virtual clock.

    Args:
        clock: Time for everything, deployments and polls included.
        seed: Decides ids and each session's place in roll-outs; same seed, same calls, same world.
        alarm_state: Told an alarm's ARN, returns its state; without it monitors never roll back.
        call_lambda: Stands for every LAMBDA validator; raises to refuse a configuration.
        notify: Receives EventBridge events of deployments, as if the extension were associated.
        throttle: True enforces the request quotas in virtual time. Off by default, since a
            test makes all its calls at one virtual instant.
        limits: Sizes and counts AppConfig allows.
        timing: Seconds AppConfig takes for what it promises no time for.
    """

    def __init__(
        self,
        clock: VirtualClock,
        *,
        seed: int = 0,
        alarm_state: AlarmState | None = None,
        call_lambda: LambdaValidator | None = None,
        notify: Notify | None = None,
        throttle: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._clock = clock
        self._lock = RLock()
        self._notify = notify
        self._notices = 0
        self._engine = DeploymentEngine(
            clock, self._lock, timing=timing, alarm_state=alarm_state, listener=self._tell
        )
        self._control = ControlPlane(
            self._engine, draw=Random(f"{seed}:ids"), limits=limits, call_lambda=call_lambda
        )
        self._data = DataPlane(clock, self._engine, self._control.applications, seed=seed)
        self._throttle = Throttle(clock) if throttle else None
        self._router = Router(SERVICES)
        self.faults = Faults(
            [name for service in SERVICES for name in service_model(service).operation_names]
        )
        self.calls: Counter[str] = Counter()

    def call_validators_by(self, call_lambda: LambdaValidator) -> None:
        """Let `call_lambda` stand for every LAMBDA validator from now on."""
        self._control.call_lambda = call_lambda

    # -- what simulations ask

    @property
    def revision(self) -> int:
        """A number that rises whenever anything a reader sees may have changed, also by time alone."""
        with self._lock:
            return self._engine.revision

    def next_change_s(self) -> float | None:
        """Return the earliest time `revision` may rise without a call, None if it cannot."""
        with self._lock:
            return self._engine.next_change_s()

    @property
    def usage(self) -> Usage:
        """Data-plane requests and receives so far."""
        requests = sum(self.calls[name] for name in service_model("appconfigdata").operation_names)
        return Usage(requests, self._data.receives)

    # -- the one way in

    def forget_deployments(self, *, keep: int) -> None:
        """Drop all but the newest `keep` (at least 1) deployments of each environment: for runs of many days.

        What stands is served on, numbers go on, and hosted versions stay until they are deleted.
        """
        with self._lock:
            for application in self._control.applications.values():
                for environment in application.environments.values():
                    self._engine.forget(environment, keep=keep)

    def call(self, service: str, operation: str, params: Wire) -> Wire:
        """Carry out one operation.

        Raises:
            ServiceError: The error AppConfig answers.
            LostReplyError: A fault asked for by a test; the outcome is unknown to a real caller.
            NotEmulatedError: AppConfig has this, the emulator does not.
            ContractError: The emulator was about to answer something AppConfig cannot.
        """
        with self._lock:
            self.calls[operation] += 1
            fault = self.faults.take(operation)
            if fault is FaultKind.TIMEOUT_BEFORE_EFFECT:
                raise LostReplyError(operation, took_effect=False)
            if fault is FaultKind.SERVER_ERROR:
                raise ServiceError("InternalServerException", "internal failure (asked for by a test)")
            throttled = self._throttle is not None and not self._throttle.admit(operation)
            if throttled or fault is FaultKind.THROTTLED:
                raise ServiceError("ThrottlingException", "Rate exceeded")
            if fault is not FaultKind.TIMEOUT_AFTER_EFFECT:
                return self._perform(service, operation, params)
            try:
                self._perform(service, operation, params)
            except ServiceError as error:  # the refusal is lost like any reply
                raise LostReplyError(operation, took_effect=False) from error
            raise LostReplyError(operation, took_effect=True)

    def _perform(self, service: str, operation: str, params: Wire) -> Wire:
        wrong = contract_for(service).request(operation, params)
        if wrong:
            raise bad_request("; ".join(map(str, wrong)))
        plane = self._control if service == "appconfig" else self._data
        method: Callable[[Wire], Wire] | None = getattr(plane, xform_name(operation), None)
        if method is None:
            raise NotEmulatedError(f"{service}.{operation} is not emulated")
        result = method(params)
        check_response(service, operation, result)
        return result

    def version_behind(self, token: str) -> str | None:
        """Return the version last delivered to the session of a data-plane token."""
        with self._lock:
            return self._data.version_behind(token)

    def handle(self, request: Request) -> Reply:
        """Answer one HTTP request; raises what `call` raises, except ServiceError."""
        route = self._router.find(request)
        if route is None:
            raise NotEmulatedError(f"no operation has {request.method} {urlsplit(request.target).path}")
        try:
            result = self.call(route.service, route.operation.name, parse(route, request))
        except ServiceError as error:
            reply = render_error(error)
        else:
            reply = render(route.operation, result)
        number = sum(self.calls.values())
        return reply._replace(
            headers={**reply.headers, "x-amzn-RequestId": f"00000000-0000-4000-8000-{number:012x}"}
        )

    # -- faces

    def serve(self) -> Serving:
        """Return a context manager that serves both planes over HTTP on loopback; `.url` is its address."""
        return Serving(self)

    def attach(self, client: Any) -> None:
        """Answer all calls of a boto3 client (appconfig or appconfigdata) in process, without a socket.

        Raises:
            ValueError: If the client is of another service.
        """
        name = client.meta.service_model.service_name
        if name not in SERVICES:
            raise ValueError(f"client is of service {name!r}: only {', '.join(SERVICES)} can be attached")
        client.meta.events.register_first("before-send", self._before_send)

    def agent(
        self,
        application: str,
        environment: str,
        profile: str,
        poll_interval_s: float = POLL_INTERVAL_S,
        *,
        thaw_stale: bool = False,
    ) -> Agent:
        """Return the agent of a new execution environment, by ids or names."""
        return Agent(
            self,
            self._clock,
            application,
            environment,
            profile,
            poll_interval_s=poll_interval_s,
            thaw_stale=thaw_stale,
        )

    def agent_server(
        self, poll_interval_s: float = POLL_INTERVAL_S, *, thaw_stale: bool = False
    ) -> AgentServer:
        """Return a context manager: the agent of a new execution environment behind HTTP on loopback."""
        return AgentServer(
            lambda a, e, p: self.agent(a, e, p, poll_interval_s=poll_interval_s, thaw_stale=thaw_stale)
        )

    def _before_send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        url = urlsplit(request.url)
        target = f"{url.path}?{url.query}" if url.query else url.path
        headers = {_text(name).lower(): _text(value) for name, value in request.headers.items()}
        try:
            reply = self.handle(Request(str(request.method), target, headers, _bytes(request.body)))
        except LostReplyError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        reply_headers = HTTPHeaders.from_dict({**reply.headers, "Content-Length": str(len(reply.body))})
        return AWSResponse(request.url, reply.status, reply_headers, _Raw(reply.body))

    def _tell(self, kind: str, deployment: Deployment) -> None:
        if self._notify is None:
            return
        self._notices += 1
        application = self._control.applications[deployment.environment.application_id]
        self._notify(
            deployment_event(kind, deployment, application, number=self._notices, now_s=self._clock.now_s())
        )


class Serving:
    """Both planes behind HTTP. Faults of the emulator itself surface when the `with` block ends."""

    def __init__(self, service: AppConfigService) -> None:
        self._service = service
        self._server = LoopbackServer(self._respond)
        self.crashes: list[Exception] = []

    @property
    def url(self) -> str:
        """Base address for `endpoint_url`, of both services."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        if self.crashes and error is None:
            raise self.crashes[0]

    def _respond(self, request: HttpRequest) -> HttpReply | None:
        headers: Mapping[str, str] = {name.lower(): value for name, value in request.headers.items()}
        try:
            reply = self._service.handle(Request(request.method, request.path, headers, request.body))
        except LostReplyError:
            return None  # the connection is cut: the caller cannot know what happened
        except NotEmulatedError as error:
            return HttpReply(501, str(error).encode(), {"x-amzn-ErrorType": "NotEmulatedError"})
        except Exception as error:
            self.crashes.append(error)
            raise
        return HttpReply(reply.status, reply.body, reply.headers)


class _Raw(BytesIO):
    """A body that reads like urllib3's."""

    def stream(self, **_: object) -> list[bytes]:
        return [self.read()]


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return bytes(body.read()) if hasattr(body, "read") else bytes(body)
