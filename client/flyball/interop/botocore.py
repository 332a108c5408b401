"""A boto3 client that obeys a target, without a change to the code that calls it.

    payments = flyball.target("payments-table", idempotent=True)
    table = boto3.client("dynamodb", config=Config(connect_timeout=0.5, read_timeout=2))
    obey(table, payments)

From then on every call of the client asks the target first, is retried by the
target's attempts, waits and budget, and is counted once. Several clients may
obey one target. `release()`, or leaving the block, restores the client.

How. Events of the SDK: `before-call` (the gate; an exception raised there
leaves `client.get_item(...)` before anything is signed or sent), `request-created`
(an attempt begins), `needs-retry` (it failed: again, and when?), `after-call` and
`after-call-error` (the end). `before-send` is where faults on purpose take the
place of the service. The SDK's own retry handler is set aside meanwhile: two
ladders multiply. With FLYBALL_OFF it decides as if we were not there.

A refusal is a CircuitOpenError, ShedError or DeadlineExceeded, and a
`botocore.exceptions.ClientError` as well, so that call sites which expect only
that still do. Its code is the name of the kind; it carries no HTTP status,
because no answer came.

Hazards.
* The read time-out is shortened to the invocation's deadline, per attempt, and
  with `timeouts=True` to the target's own attempt time-out. It bounds each read
  from the socket, not their sum; the connect time-out is fixed when the client
  is made. Both are 60 s unless configured. botocore of before per-request
  time-outs ignores this.
* In `adaptive` mode the SDK's rate limiter stays, and cannot be set aside: after throttles it
  waits before each attempt, for seconds, and knows no deadline. Said once; use `standard`.
* What the SDK alone would repeat is not repeated: DynamoDB's checksum mismatch,
  IDPCommunicationError of STS. Declare it with `on=` of the target.
* Nothing is repeated unless the target, or `idempotent=`, says that it may be:
  the SDK repeats everything.
* A download that fails while its body is read fails after the call was counted.
* Not for aiobotocore: waiting would stop its event loop. Not for the client
  through which the Runtime itself reads circuits.
* A call that is answered before it is made (a Stubber, a cache) is not counted.

Source: botocore 1.44, client.py (_make_api_call), endpoint.py (_send_request,
_needs_retry), retryhandler.py and retries/standard.py (who registers what).
"""

from __future__ import annotations

from _thread import _local
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flyball.breaker import NEVER
from flyball.errors import RejectedError, SettingsError
from flyball.faults import InjectedThrottle
from flyball.guard import GuardedTarget
from flyball.interop.shell import Held, Shell, library
from flyball.misuse import refuse, warn
from flyball.outcome import Outcome

if TYPE_CHECKING:
    from botocore.client import BaseClient

_CONTEXT = "flyball"  # our place in the context that botocore carries through a call
# A read time-out of nothing is an error to urllib3; less than this cannot be waited for.
_TIMEOUT_MIN_S = 0.01
_REDIRECT = 300  # from here on botocore raises


def obey(
    client: BaseClient,
    handle: GuardedTarget,
    *,
    idempotent: bool | Collection[str] | None = None,
    timeouts: bool = False,
) -> Obedience:
    """Let every call of `client` obey the target of `handle`; returns what ends it.

    Args:
        client: A client of boto3 or botocore; of a resource, `resource.meta.client`.
        handle: From `flyball.target`.
        idempotent: Which operations may be repeated: all, none, or those named, as
            ("GetItem", "Query"). None leaves it to the target's declaration.
        timeouts: Whether an attempt may take no longer than the target's attempt
            time-out. False: only the deadline of the invocation counts.

    Raises:
        SettingsError: The client obeys a target already, or an operation has no such name.
    """
    return Obedience(client, handle, idempotent=idempotent, timeouts=timeouts)


class Obedience:
    """The hold of a target over a client. Ends with `release()` or its `with` block."""

    __slots__ = (
        "_client",
        "_fault",
        "_handlers",
        "_operations",
        "_own_id",
        "_own_retries",
        "_retry_event",
        "_shell",
        "_timeouts",
    )

    def __init__(
        self,
        client: BaseClient,
        handle: GuardedTarget,
        *,
        idempotent: bool | Collection[str] | None,
        timeouts: bool,
    ) -> None:
        _refuse_others(client)
        self._shell = Shell(handle)
        if idempotent is None or isinstance(idempotent, bool):
            everything, operations = idempotent, frozenset[str]()
        else:
            everything, operations = False, _known(client, idempotent)
        if everything is not None:
            self._shell.idempotent = everything
        self._operations = operations
        self._client = client
        self._timeouts = timeouts
        self._fault = _local()  # between two events of one attempt, on its thread
        service = client.meta.service_model.service_id.hyphenize()
        self._retry_event = f"needs-retry.{service}"
        self._own_id = f"retry-config-{service}"
        self._own_retries = _retry_handler(client, self._own_id)
        _say_adaptive(client, self._shell)
        self._handlers: tuple[tuple[str, Callable[..., Any]], ...] = (
            ("before-call", self._gate),
            ("request-created", self._attempt),
            ("before-send", self._send),
            ("needs-retry", self._decide),
            ("after-call", self._end),
            ("after-call-error", self._fail),
        )
        events = client.meta.events
        events.unregister(self._retry_event, unique_id=self._own_id)
        for event, handler in self._handlers:
            # Last: who answers a call instead of the service, or mends a redirect, comes first.
            events.register_last(event, handler)

    def release(self) -> None:
        """Restore the client, the SDK's own retries included. Harmless if done already."""
        events = self._client.meta.events
        handlers, self._handlers = self._handlers, ()
        for event, handler in handlers:
            events.unregister(event, handler)
        if handlers:
            # First of its service, as it was: the SDK registers its retries before its redirects.
            events.register_first(self._retry_event, self._own_retries, unique_id=self._own_id)

    def __enter__(self) -> Obedience:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    # --- the events, in their order ----------------------------------------------------

    def _gate(self, *, model: Any, context: dict[str, Any], **_: Any) -> None:
        """before-call: nothing is sent unless the target lets it pass."""
        shell = self._shell
        if shell.runtime.off:
            return
        try:
            call = shell.begin(idempotent=shell.idempotent or model.name in self._operations)
        except RejectedError as refusal:
            raise _as_client_error(refusal, model.name) from None
        context[_CONTEXT] = Held(call)

    def _attempt(self, *, request: Any, **_: Any) -> None:
        """request-created: signed and about to be sent."""
        held = request.context.get(_CONTEXT)
        if held is None or held.over:
            return
        clock = self._shell.runtime.clock
        held.begun_s = clock.monotonic_s()
        limit_s = self._time_left_s(held, clock.wall_s())
        faults = self._shell.runtime.faults
        if faults is not None:
            self._fault.met = faults.script(self._shell.target.name, limit_s)
        if limit_s is not None:
            config: Any = self._client.meta.config  # its options are not in the stubs
            own_s: float | None = config.read_timeout
            allowed_s = limit_s if own_s is None else min(own_s, limit_s)
            request.context["read_timeout"] = max(_TIMEOUT_MIN_S, allowed_s)

    def _time_left_s(self, held: Held, now_s: float) -> float | None:
        if self._timeouts:
            return held.call.timeout_s(now_s)
        deadline_s = self._shell.runtime.deadline()
        return None if deadline_s is None or deadline_s == NEVER else deadline_s - now_s

    def _send(self, *, event_name: str, **_: Any) -> None:
        """before-send: a fault on purpose; what it raises is taken for what the connection raised."""
        wait_s, error = self._fault.__dict__.pop("met", (0.0, None))
        if wait_s:
            self._shell.runtime.sleep(wait_s)
        if error is not None:
            raise _as_answer(error, event_name.rpartition(".")[2])

    def _decide(self, **event: Any) -> Any:
        """needs-retry: 0 = again, for the waiting is done; None = not as far as we are concerned."""
        held = event["request_dict"]["context"].get(_CONTEXT)
        if held is None:  # switched off
            return self._own_retries(**event)
        error = event["caught_exception"] or self._error(event["response"], event["operation"].name)
        if error is None or held.over:
            return None
        found = self._shell.classify(error)
        if found.outcome >= Outcome.PERMANENT:
            return None  # the SDK may follow a redirect; what is not mended is reported at the end
        # Not `site.failed`: it would take our own repetitions for the SDK's.
        wait_s = self._shell.site.ended(held.call, found.outcome, self._begun_s(held), found.retry_after_s)
        held.begun_s = None
        if wait_s is None:
            held.over = True
            return None
        self._shell.runtime.sleep(wait_s)
        return 0

    def _end(self, *, http_response: Any, parsed: Any, model: Any, context: Any, **_: Any) -> None:
        """after-call: there is an answer, good or bad."""
        held = context.get(_CONTEXT)
        if held is None or held.over:
            return
        error = self._error((http_response, parsed), model.name, code=context.get("error_code_override"))
        if error is None:
            held.over = True
            self._shell.site.succeeded(held.call, self._begun_s(held))
        else:
            self._close(held, error)

    def _fail(self, *, exception: Exception, context: Any, **_: Any) -> None:
        """after-call-error: no answer, or none that can be read."""
        held = context.get(_CONTEXT)
        if held is None or held.over:
            return
        if held.begun_s is None:  # it could not be signed, or its body not be sent again
            held.abandon()
        else:
            self._close(held, exception)

    def _close(self, held: Held, error: Exception) -> None:
        """Report the last attempt; if the target would have repeated it, it is too late."""
        found = self._shell.classify(error)
        self._shell.site.ended(held.call, found.outcome, self._begun_s(held), found.retry_after_s)
        held.abandon()

    def _begun_s(self, held: Held) -> float:
        """When the attempt under way began, monotonic; without `request-created` it took no time."""
        return self._shell.runtime.clock.monotonic_s() if held.begun_s is None else held.begun_s

    def _error(self, response: tuple[Any, Any], operation: str, *, code: str | None = None) -> Any:
        """The exception that the caller will see for an answer; None for a good one."""
        http, parsed = response
        status = parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", http.status_code)
        if status < _REDIRECT:
            return None
        kinds: Any = self._client.exceptions
        return kinds.from_code(code or parsed.get("Error", {}).get("Code"))(parsed, operation)


def _refuse_others(client: object) -> None:
    if not hasattr(client, "meta") or not hasattr(client.meta, "service_model"):
        refuse("client", client, "a client of boto3 or botocore; of a resource, resource.meta.client")


def _say_adaptive(client: BaseClient, shell: Shell) -> None:
    config: Any = client.meta.config
    mode = (config.retries or {}).get("mode")
    if mode == "adaptive" and shell.runtime.warn_once("adaptive", shell.target.name):
        warn(
            f"a client in adaptive mode obeys {shell.target.name!r}: the SDK's own rate limiter waits before "
            'its attempts, beside ours and past every deadline; use Config(retries={"mode": "standard"})'
        )


def _known(client: BaseClient, operations: Collection[str]) -> frozenset[str]:
    """The operations by name, all of which the client has."""
    names = client.meta.service_model.operation_names
    given: object = operations
    if not isinstance(given, Collection):
        refuse("idempotent", given, "True, False, None, or names of operations, as ('GetItem', 'Query')")
    if isinstance(operations, str):  # a text is a collection of texts
        operations = (operations,)
    for operation in operations:
        if operation not in names:
            from flyball.hints import did_you_mean

            hint = did_you_mean(operation, names)
            raise SettingsError(
                f"idempotent={operation!r} is no operation of {client.meta.service_model.service_name}{hint}",
                field="idempotent",
            )
    return frozenset(operations)


def _retry_handler(client: BaseClient, unique_id: str) -> Callable[..., Any]:
    """The SDK's own retry handler of this client. It is registered under an id, and has no public name."""
    emitter = getattr(client.meta.events, "_emitter", None)
    entries: Mapping[str, Mapping[str, Any]] = getattr(emitter, "_unique_id_handlers", {})
    if unique_id not in entries:
        raise SettingsError(
            f"the client has no {unique_id!r} to set aside: it obeys a target already (release that "
            "first), or this botocore keeps its retries elsewhere (configure total_max_attempts=1 and "
            "guard the call sites)",
            field="client",
        )
    handler: Callable[..., Any] = entries[unique_id]["handler"]
    return handler


def _as_answer(error: Exception, operation: str) -> Exception:
    """An injected throttle as the SDK raises one; any other error as it is."""
    if not isinstance(error, InjectedThrottle):
        return error
    client_error: type[Exception] = library("botocore.exceptions", "botocore").ClientError
    headers = {name.lower(): value for name, value in error.headers.items()}
    answer = {
        "Error": {"Code": "ThrottlingException", "Message": str(error)},
        "ResponseMetadata": {"HTTPStatusCode": error.code, "HTTPHeaders": headers},
    }
    told = client_error(answer, operation)
    for note in getattr(error, "__notes__", ()):
        told.add_note(note)
    return told


_kinds: dict[type[RejectedError], type[Any]] = {}


def _as_client_error(refusal: RejectedError, operation: str) -> Exception:
    """The same refusal as an error that is also the SDK's."""
    plain = type(refusal)
    kind = _kinds.get(plain)
    if kind is None:
        client_error = library("botocore.exceptions", "botocore").ClientError
        # Neither __init__ can be used: each calls the other's with its own arguments.
        kind = _kinds[plain] = type(plain.__name__, (plain, client_error), {"__init__": Exception.__init__})
    error: Exception = kind(*refusal.args)
    error.__dict__.update(
        refusal.__dict__,
        operation_name=operation,
        response={
            "Error": {"Code": plain.__name__, "Message": str(refusal)},
            "ResponseMetadata": {"RetryAttempts": 0},
        },
    )
    return error
