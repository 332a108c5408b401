"""A real server that misbehaves, over real sockets: no call hangs, attempts are bounded, the books balance.

Two ways to ask (http.client, urllib), each from a plain function and from a
thread of an event loop. Waits between attempts are skipped; attempts are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flyball.environment import Runtime
from flyball.errors import CircuitOpenError, ShedError
from flyball.explain import explain
from flyball.guard import target
from flyball.testing import capture, no_sleep, with_params

TIMEOUT_S = 0.08  # of an attempt; the first of a new environment has three times that
RETRIED = {"attempt_timeout_ms": 80, "max_attempts": 3, "budget_ratio": 3.0}
SLACK_S = 2.0  # for a busy machine


class Chaos(BaseHTTPRequestHandler):
    """What happens is the path's first word."""

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked[self.path] += 1
            number = self.server.asked[self.path]
        getattr(self, "do_" + self.path.strip("/").split("/")[0])(number)

    def answer(self, status: int, body: bytes = b"fine", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_fine(self, number: int) -> None:
        self.answer(200)

    def do_broken(self, number: int) -> None:
        self.answer(500)

    def do_busy(self, number: int) -> None:
        self.answer(503, headers={"Retry-After": "2"})

    def do_throttled(self, number: int) -> None:
        self.answer(429, headers={"Retry-After": "1"})

    def do_missing(self, number: int) -> None:
        self.answer(404)

    def do_hang(self, number: int) -> None:
        self.server.over.wait(10.0)

    def do_slow(self, number: int) -> None:
        """A byte now and then, for longer than anybody may wait: each read of the socket is in time."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.over.wait(TIMEOUT_S / 4.0):
                self.wfile.write(b".")

    def do_half(self, number: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def do_reset(self, number: int) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def do_silent(self, number: int) -> None:
        """Closes without a word."""
        self.close_connection = True

    def do_nonsense(self, number: int) -> None:
        self.wfile.write(b"\x00\x01 no HTTP at all\r\n\r\n")
        self.close_connection = True

    def do_flaky(self, number: int) -> None:
        """Fails twice, then answers."""
        self.do_broken(number) if number < 3 else self.do_fine(number)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that gave up are what this is about."""


@pytest.fixture
def server():
    shared = Server(("127.0.0.1", 0), Chaos)
    shared.asked, shared.lock, shared.over = Counter(), threading.Lock(), threading.Event()
    thread = threading.Thread(target=shared.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield shared
    shared.over.set()
    shared.shutdown()
    thread.join()
    shared.server_close()


def body_of(response: http.client.HTTPResponse, ends_s: float) -> bytes:
    """Read to the end, by `ends_s`: the time-out of a socket is one of each read, not of the whole."""
    body = b""
    while chunk := response.read1(100):
        body += chunk
        if time.monotonic() > ends_s:
            raise TimeoutError("the body came too slowly")
    if response.length:
        raise http.client.IncompleteRead(body, response.length)
    return body


def by_http_client(port: int, path: str, timeout_s: float) -> bytes:
    ends_s = time.monotonic() + timeout_s
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    with contextlib.closing(connection):
        connection.request("GET", path)
        with connection.getresponse() as response:
            if response.status >= 400:
                raise urllib.error.HTTPError(path, response.status, response.reason, response.headers, None)
            return body_of(response, ends_s)


def by_urllib(port: int, path: str, timeout_s: float) -> bytes:
    ends_s = time.monotonic() + timeout_s
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as response:
            return body_of(response, ends_s)
    except urllib.error.HTTPError as error:
        error.close()
        raise


WAYS = {"http.client": by_http_client, "urllib": by_urllib}


@pytest.fixture(params=[(way, thread) for way in WAYS for thread in ("plain", "thread")], ids="-".join)
def world(request, server):
    """A runtime of its own, and a guarded function that asks the server for a path."""
    ask, in_thread = WAYS[request.param[0]], request.param[1] == "thread"
    shared = Runtime()
    handle = target(
        "chaos", on=(http.client.HTTPException, urllib.error.URLError), idempotent=True, within=shared
    )

    @handle.guard(timeout="timeout_s")
    def plain(path: str, timeout_s: float) -> bytes:
        return ask(server.server_port, path, timeout_s)

    @handle.guard(timeout="timeout_s")
    async def asynchronous(path: str, timeout_s: float) -> bytes:
        return await asyncio.to_thread(ask, server.server_port, path, timeout_s)

    def call(path: str) -> bytes:
        return asyncio.run(asynchronous(path)) if in_thread else plain(path)

    with (
        with_params(handle, retry=RETRIED),
        no_sleep(within=shared) as waits,
        capture(within=shared) as captured,
    ):
        yield call, plain, asynchronous, waits, captured


SCENARIOS = [
    # path, what the caller sees, attempts, as which class the first attempt counts
    ("/fine", None, 1, None),
    ("/flaky", None, 3, "errors_fast"),
    ("/broken", urllib.error.HTTPError, 3, "errors_fast"),
    ("/busy", urllib.error.HTTPError, 3, "errors_fast"),
    ("/throttled", urllib.error.HTTPError, 3, "throttles"),
    ("/hang", TimeoutError, 3, "timeouts"),
    ("/slow", TimeoutError, 3, "timeouts"),
    ("/half", http.client.IncompleteRead, 3, "errors_fast"),
    ("/reset", (ConnectionError, urllib.error.URLError), 3, "errors_fast"),
    ("/silent", http.client.RemoteDisconnected, 3, "errors_fast"),
    ("/nonsense", http.client.BadStatusLine, 3, "errors_fast"),
]


@pytest.mark.parametrize(("path", "seen", "attempts", "counted"), SCENARIOS, ids=lambda p: str(p).strip("/"))
def test_no_call_hangs_and_what_the_server_saw_is_what_was_counted(
    world, server, path, seen, attempts, counted
):
    """In at most the time that explain promises; as many attempts as allowed; each in its class."""
    call, plain, _, waits, captured = world
    worst_s = explain(plain).worst_case_s
    begun_s = time.monotonic()
    if seen is None:
        assert call(path) == b"fine"
    else:
        with pytest.raises(seen):
            call(path)
    assert time.monotonic() - begun_s < worst_s + SLACK_S
    assert server.asked[path] == attempts == len(captured.attempts)
    assert captured.retries == len(waits) == attempts - 1
    flush(captured)
    assert captured.metric("requests") == 1
    assert captured.metric("attempts") == attempts
    assert captured.metric("retries") == attempts - 1
    assert captured.metric("request_failures") == (seen is not None)
    for name in ("errors_fast", "throttles", "timeouts"):
        assert captured.metric(name) == (name == counted), name


def flush(captured) -> None:
    """Bring the lines up to date before the block ends."""
    captured._within.flush()


def test_the_pause_that_the_server_asks_for_is_kept(world):
    """Retry-After: 2 s of a 503 and 1 s of a 429, jitter on top."""
    call, _, _, waits, _ = world
    for path, least_s in (("/busy", 2.0), ("/throttled", 1.0)):
        waits.clear()
        with pytest.raises(urllib.error.HTTPError):
            call(path)
        assert all(least_s <= wait_s < least_s + 2.1 for wait_s in waits)
        assert len(waits) == 2


def test_the_callers_own_fault_is_asked_once(world, server):
    """404 with `on=URLError`, whose kind it is: declared, so repeated; not declared, so not."""
    call, *_ = world
    with pytest.raises(urllib.error.HTTPError):
        call("/missing")
    assert server.asked["/missing"] == 3
    shared = Runtime()
    guarded = target("chaos", idempotent=True, within=shared).guard(
        lambda: by_http_client(server.server_port, "/missing/undeclared", 1.0)
    )
    with pytest.raises(urllib.error.HTTPError):
        guarded()
    assert server.asked["/missing/undeclared"] == 1


@pytest.mark.parametrize(("path", "refusal"), [("/hang", ShedError), ("/reset", CircuitOpenError)])
def test_a_server_that_stays_sick_is_spared(world, server, path, refusal):
    """Shed if it hangs, cut off if it breaks; each call is counted once, and refused ones never reach it."""
    call, _, _, _, captured = world
    refused = failed = 0
    while refused < 4:
        try:
            call(path)
        except refusal:
            refused += 1
        except OSError:
            failed += 1
            assert failed < 40
    flush(captured)
    assert captured.metric("short_circuited") == refused == len(captured.rejections)
    assert captured.metric("requests") == failed
    assert captured.metric("attempts") == server.asked[path] <= 3 * failed


def test_many_tasks_at_once_are_counted_each_and_none_hangs(world, server):
    """Eight of each scenario side by side, over one target; those cancelled count as nothing."""
    _, plain, asynchronous, _, captured = world
    paths = ["/fine", "/busy", "/half", "/reset", "/flaky", "/fine/a", "/fine/b", "/nonsense"]

    async def all_at_once() -> list[object]:
        tasks = [asyncio.create_task(asynchronous(path)) for path in paths]
        doomed = asyncio.create_task(asynchronous("/hang"))
        await asyncio.sleep(TIMEOUT_S / 2.0)
        doomed.cancel()
        return await asyncio.gather(*tasks, doomed, return_exceptions=True)

    begun_s = time.monotonic()
    results = asyncio.run(all_at_once())
    assert time.monotonic() - begun_s < explain(plain).worst_case_s + SLACK_S
    assert isinstance(results[-1], asyncio.CancelledError)
    assert sum(result == b"fine" for result in results) >= 3
    flush(captured)
    assert captured.metric("requests") == len(paths)
    assert captured.metric("attempts") == sum(server.asked[path] for path in paths)
