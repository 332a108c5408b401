"""Connections that a check may make: to vetted addresses only, and over before its deadline.

A policy names hosts, and the probe function has credentials and neighbours that
no check has business with: its own runtime's and extensions' ports on loopback,
the metadata services of AWS on link-local addresses. So every address that a
name resolves to is judged before anything is sent, and the connection goes to
the address that was judged, not to the name again (which could answer otherwise
the second time). Private networks are allowed: dependencies live there.

Time-outs of sockets count per call; a server that sends a byte a second would
never run into one. Here the deadline is the whole check's: before each call the
socket gets what is left of it.
"""

from __future__ import annotations

import io
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Monotonic = Callable[[], float]
Resolve = Callable[[str, int], Sequence[str]]

ADDRESSES_MAX = 4  # of one name that are tried: a dead first one must not hide a good second
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # "this network"; Linux connects to itself
        "100.64.0.0/29",  # first addresses of the carrier range, where clouds put their own services
        "192.0.0.0/24",  # protocol assignments
        "fd00:ec2::/32",  # AWS: instance metadata, DNS, time, container credentials
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenAddressError(Exception):
    """The name leads to where no check may go; nothing was sent."""


class Deadline(NamedTuple):
    """A point in monotonic time."""

    at_s: float
    clock: Monotonic

    def left_s(self) -> float:
        """Return the seconds left, > 0.

        Raises:
            TimeoutError: None are left.
        """
        left_s = self.at_s - self.clock()
        if left_s <= 0.0:
            raise TimeoutError("the check's time is up")
        return left_s


def is_forbidden(address: str) -> bool:
    """Return whether no check may connect to an address, also if it is hidden in an IPv6 address.

    >>> [is_forbidden(a) for a in ("10.0.0.7", "169.254.169.254", "::ffff:127.0.0.1", "fd00:ec2::254")]
    [False, True, True, True]
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None and is_forbidden(str(inner)):
            return True
    return (
        ip.is_loopback
        or ip.is_link_local
        or ip.is_multicast
        or ip.is_unspecified
        # Python counts the translation prefix as reserved in some versions; what it holds was judged above.
        or (ip.is_reserved and ip not in _NAT64)
        or any(ip in network for network in _NEVER)
    )


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, as the system's resolver gives them.

    Raises:
        socket.gaierror: There are none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Dialer:
    """Opens connections. `forbidden` and `resolve` are the system's unless a test gives its own."""

    def __init__(
        self, *, forbidden: Callable[[str], bool] = is_forbidden, resolve: Resolve = resolve
    ) -> None:
        self._forbidden = forbidden
        self._resolve = resolve

    def dial(self, host: str, port: int, deadline: Deadline) -> socket.socket:
        """Return a connected socket.

        Raises:
            ForbiddenAddressError: One of the name's addresses is forbidden: then none is tried, because
                a name that answers with such an address is not under the control of whom we trust.
            OSError: It has no address, or none answers; TimeoutError if time is up.
        """
        addresses = self._resolve(host, port)
        for address in addresses:
            if self._forbidden(address):
                raise ForbiddenAddressError(f"{host} leads to {address}")
        failure: OSError = OSError("the name has no address")
        for address in addresses[:ADDRESSES_MAX]:
            try:
                return socket.create_connection((address, port), timeout=deadline.left_s())
            except TimeoutError:
                raise
            except OSError as error:
                failure = error
        raise failure


class Wire:
    """A connected socket as http.client wants it, every call cut to what is left of the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def secure(self, host: str, context: ssl.SSLContext) -> Wire:
        """Return the wire under TLS, the peer's certificate verified for `host`.

        Raises:
            ssl.SSLError: It is not valid, or there is no TLS at the other end.
        """
        self._sock.settimeout(self._deadline.left_s())
        self._sock = context.wrap_socket(self._sock, server_hostname=host)
        return self

    def sendall(self, data: bytes) -> None:
        """Send everything, or raise TimeoutError."""
        self._sock.settimeout(self._deadline.left_s())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a reader; `mode` is "rb" (http.client asks for no other)."""
        return io.BufferedReader(_Reader(self._sock, self._deadline))

    def close(self) -> None:
        """Do nothing: http.client lets go of a connection before it has read the answer's body."""

    def hang_up(self) -> None:
        """Close the socket."""
        self._sock.close()


class _Reader(io.RawIOBase):
    """Raw bytes from a socket, each read within the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._sock.settimeout(self._deadline.left_s())
        return self._sock.recv_into(buffer)
