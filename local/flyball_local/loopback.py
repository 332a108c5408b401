"""A small HTTP/1.1 server on 127.0.0.1 whose every thread, socket and port ends with its `with` block.

The emulators speak HTTP to other processes with it. Written here rather than
taken from a framework because of three needs: TCP_NODELAY and one write per
reply (without them each Lambda invocation waits 40 ms for a delayed ACK),
replies that can be withheld (a lost reply is a fault we inject), and a close
that waits for its threads, so that a failing test leaks nothing.

Binds loopback only, by construction: no host can be given.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import NamedTuple, Self

HOST = "127.0.0.1"
# How long a close may wait for the accept loop to notice, seconds.
POLL_S = 0.02


class HttpRequest(NamedTuple):
    """What arrived. `headers.get` compares names without regard to case."""

    method: str
    path: str
    headers: Message
    body: bytes


class HttpReply(NamedTuple):
    """What to send back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


Respond = Callable[[HttpRequest], HttpReply | None]


class LoopbackServer:
    """Serves `respond` on a free loopback port, one thread per connection; None cuts the connection."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._server: _Server | None = None
        self._thread: Thread | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Base address without a trailing slash, e.g. "http://127.0.0.1:40001"."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        respond = self._respond
        # A class per server is http.server's way to hand a request its context.
        handler = type("Handler", (_Handler,), {"respond": staticmethod(respond)})
        self._server = _Server((HOST, 0), handler)
        self.port = self._server.server_address[1]
        self._thread = Thread(
            target=self._server.serve_forever, args=(POLL_S,), name=f"loopback-{self.port}", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, cut open connections, wait for their threads. May be called again."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is None or thread is None:
            return
        server.shutdown()
        thread.join()
        server.server_close()
        server.cut_connections()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # an interpreter that ends without close() must not wait for them
    request_queue_size = 128
    allow_reuse_address = False

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()
        self._serving: list[Thread] = []
        self._lock = Lock()

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Serve a connection in a thread of its own, which `cut_connections` can end and wait for."""
        if not isinstance(request, socket.socket):
            raise TypeError("only stream sockets are served")
        thread = Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            self._open.add(request)
            self._serving = [one for one in self._serving if one.is_alive()]
            self._serving.append(thread)
        thread.start()

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that went away is no news, and a fault in `respond` is answered with 500."""

    def cut_connections(self) -> None:
        """Close what clients hold open and wait until nothing serves any more."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the peer may have been faster
                    connection.shutdown(socket.SHUT_RDWR)
            serving = list(self._serving)
        for thread in serving:
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: status line, headers and body leave in one segment
    respond: Respond

    def _serve(self) -> None:
        if self.headers.get("Transfer-Encoding"):  # no SDK and no Lambda runtime sends chunks
            self.send_error(411)
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            reply = self.respond(HttpRequest(self.command, self.path, self.headers, body))
        except Exception as fault:  # noqa: BLE001 - the caller of an emulator must see the fault, not a hang
            reply = HttpReply(500, f"{type(fault).__name__}: {fault}".encode())
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - names set by http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name set by http.server
        """Keep quiet: tests and the demo own the terminal."""
