"""Real servers on loopback that misbehave in every way a target can, and a checker that may reach them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flyball_controller.probes import Check, check_from_fields
from flyball_handlers.checks import Checker
from flyball_handlers.checks_aws import AwsChecks
from flyball_handlers.checks_net import Dialer

Behave = Callable[[socket.socket, threading.Event], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Accepts on a free port of loopback; a thread gives each connection to `behave`."""

    def __init__(self, behave: Behave) -> None:
        self._behave = behave
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._behave(connection, self.over)
            except OSError:
                return

    def close(self) -> None:
        """Let every behaviour end and wait for it."""
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5.0)


@contextmanager
def serving(behave: Behave) -> Iterator[Server]:
    """A server while the block runs."""
    server = Server(behave)
    try:
        yield server
    finally:
        server.close()


def answering(answer: bytes, heard: list[bytes] | None = None) -> Behave:
    """Read the head of a request, answer, and hang up."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65_536)
            if not piece:
                return
            head += piece
        if heard is not None:
            heard.append(head)
        connection.sendall(answer)

    return behave


def silent(connection: socket.socket, over: threading.Event) -> None:
    """Take everything and never answer."""
    over.wait(10.0)


def dripping(answer: bytes, every_s: float = 0.02) -> Behave:
    """Send a byte at a time, faster than any socket's own time-out."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65_536)
        for byte in answer:
            if over.wait(every_s):
                return
            connection.sendall(bytes([byte]))

    return behave


def endless(head: bytes, piece: bytes) -> Behave:
    """Send without end, as fast as it is taken."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(piece)

    return behave


def checker(environ: Mapping[str, str] | None = None, **parts: Any) -> Checker:
    """A checker that may connect to loopback, where every name of the tests leads."""
    given = {
        "dialer": Dialer(forbidden=lambda address: False, resolve=lambda host, port: ["127.0.0.1"]),
        "aws": AwsChecks(_no_aws),
        "clock": time.monotonic,
        "environ": environ or {},
    }
    return Checker(**{**given, **parts})


def _no_aws(service: str, timeout_s: float) -> Any:
    raise AssertionError("no AWS here")


def check(**fields: object) -> Check:
    """The check that a policy's entry describes; short time-out."""
    return check_from_fields("shop", {"timeout_s": 0.3, **fields}, at=str)


def http(server: Server, path: str = "/health", **fields: object) -> Check:
    """An HTTP check of a server."""
    return check(kind="http", url=f"http://shop.internal:{server.port}{path}", **fields)
