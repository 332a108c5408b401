"""The loopback server under all emulators that speak HTTP: exact replies, and nothing open afterwards."""

from __future__ import annotations

import gc
import http.client
import socket
import threading
import time

import pytest

from flyball_local.loopback import HttpReply, HttpRequest, LoopbackServer


def echo(request: HttpRequest) -> HttpReply | None:
    if request.path == "/drop":
        return None
    if request.path == "/fault":
        raise LookupError("a fault of the emulator")
    body = f"{request.method} {request.path} {request.headers.get('x-mark')} ".encode() + request.body
    return HttpReply(201, body, {"X-Answer": "yes"})


def test_a_request_arrives_whole_and_the_connection_is_kept():
    """Botocore and the Lambda runtime reuse connections; a second request must not see the first's rest."""
    with LoopbackServer(echo) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        for body in (b"one", b""):
            connection.request("POST", "/a?b=c", body, {"X-Mark": "m"})
            reply = connection.getresponse()
            assert reply.read() == b"POST /a?b=c m " + body
            assert (reply.status, reply.headers["X-Answer"]) == (201, "yes")
        connection.close()


def test_replies_do_not_wait_for_acknowledgements():
    """With Nagle's algorithm a body written after its head waits 40 ms for a delayed acknowledgement."""
    options = []

    def look(request: HttpRequest) -> HttpReply:
        mine = [s for s in gc.get_objects() if isinstance(s, socket.socket) and s.fileno() >= 0]
        serving = [s for s in mine if s.type == socket.SOCK_STREAM and s.getsockname()[1] == server.port]
        options.extend(
            s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for s in serving if not listens(s)
        )
        return HttpReply(200, b"")

    with LoopbackServer(look) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
    assert options == [1]


def listens(one: socket.socket) -> bool:
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def test_a_withheld_reply_cuts_the_connection():
    """How a lost reply looks to another process."""
    with LoopbackServer(echo) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/drop")
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
        connection.close()


def test_a_fault_of_the_emulator_is_answered_with_its_words():
    """A hang would look like a network fault and be retried; a 500 that names it is found at once."""
    with LoopbackServer(echo) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/fault")
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (500, b"LookupError: a fault of the emulator")
        connection.close()


def test_a_chunked_body_is_refused():
    """Nothing we emulate for sends one; reading it wrong would corrupt the next request."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with LoopbackServer(echo) as server:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=2)
        answer = connection.makefile("rb")
        # All of it in one send: the refusal comes after the headers, and a client that still writes
        # its chunks by then may find the connection closed before it reads the answer.
        connection.sendall(head + b"1\r\na\r\n0\r\n\r\n")
        assert answer.readline().split()[1] == b"411"
        answer.close()
        connection.close()


def test_close_ends_open_connections_threads_and_the_port():
    """A failing test must not leave a server behind for the next one."""
    before = threading.active_count()
    server = LoopbackServer(echo)
    with server:
        idle = socket.create_connection(("127.0.0.1", server.port), timeout=2)
        while threading.active_count() < before + 2:  # the server's own and the connection's
            time.sleep(0.005)
        assert server.url == f"http://127.0.0.1:{server.port}"
    server.close()
    assert idle.recv(1) == b""
    idle.close()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)
