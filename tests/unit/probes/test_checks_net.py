"""Where a check may connect to: judged by address, once, before anything is sent."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_handlers.checks_net import Deadline, Dialer, ForbiddenAddressError, is_forbidden, resolve

from .servers import check, checker, serving, silent


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",  # runtime API and extensions of the function itself
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "0.1.2.3",
        "169.254.169.254",  # instance metadata
        "169.254.170.2",  # container credentials
        "169.254.100.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.0.192",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",  # instance metadata
        "fd00:ec2::23",  # pod credentials
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",  # the same through a translator
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "ff02::1",
    ],
)
def test_addresses_of_credentials_and_of_the_function_itself_are_forbidden(address: str) -> None:
    """Whoever can write a policy, or a DNS answer, must not read credentials through a check."""
    assert is_forbidden(address)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.7", "172.16.3.4", "192.168.1.1", "52.95.110.1", "fd12::7", "2600:1f18::1", "64:ff9b::a00:7"],
)
def test_private_and_public_addresses_are_allowed(address: str) -> None:
    """Dependencies live in both."""
    assert not is_forbidden(address)


@given(st.ip_addresses())
def test_an_address_mapped_into_ipv6_is_judged_like_itself(address: object) -> None:
    """The two forms reach the same host."""
    if ":" not in str(address) and is_forbidden(str(address)):
        assert is_forbidden(f"::ffff:{address}")


def test_a_name_that_leads_to_a_forbidden_address_breaks_the_check() -> None:
    """Also behind a good address: such a name is not under the control of whom we trust."""
    for found in (["127.0.0.1"], ["10.255.255.1", "169.254.169.254"]):
        dialer = Dialer(resolve=lambda host, port, found=found: found)
        asked = check(kind="http", url="http://shop.internal/")
        outcome = checker(dialer=dialer).run(asked)
        assert (outcome.good, outcome.code, outcome.broken) == (False, "forbidden-address", True)


def test_the_name_is_resolved_once_and_the_judged_address_is_dialled() -> None:
    """A name that answers otherwise the second time would pass any judgement (DNS rebinding)."""
    asked: list[str] = []

    def once(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with serving(silent) as server:
        dialer = Dialer(forbidden=lambda address: False, resolve=once)
        tcp = check(kind="tcp", host="shop.internal", port=server.port)
        assert checker(dialer=dialer).run(tcp).good
    assert asked == ["shop.internal"]


def test_a_dead_address_does_not_hide_a_good_one() -> None:
    """Names have several addresses for this very reason."""
    with serving(silent) as server:
        dialer = Dialer(forbidden=lambda address: False, resolve=lambda h, p: ["127.0.0.9", "127.0.0.1"])
        assert checker(dialer=dialer).run(check(kind="tcp", host="shop", port=server.port)).good


def test_a_tcp_check_of_a_closed_port_is_refused() -> None:
    """The plainest way of being down."""
    with serving(silent) as server:
        port = server.port
    assert checker().run(check(kind="tcp", host="shop", port=port)).code == "refused"


def test_a_name_without_address_says_so() -> None:
    """A deleted record is the target's trouble."""

    def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    tcp = check(kind="tcp", host="gone.internal", port=80)
    assert checker(dialer=Dialer(resolve=nobody)).run(tcp).code == "no-such-host"
    assert checker(dialer=Dialer(resolve=lambda h, p: [])).run(tcp).code == "unreachable"


def test_the_system_s_resolver_gives_each_address_once() -> None:
    """It lists one entry per protocol."""
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]


def test_a_deadline_that_has_passed_dials_nothing() -> None:
    """Zero would mean "do not block" to a socket, and less is an error."""
    late = Deadline(10.0, lambda: 10.0)
    with pytest.raises(TimeoutError):
        Dialer(forbidden=lambda a: False, resolve=lambda h, p: ["127.0.0.1"]).dial("shop", 1, late)


def test_loopback_is_refused_by_the_dialer_that_production_uses() -> None:
    """The default is the strict one."""
    with pytest.raises(ForbiddenAddressError, match=r"127\.0\.0\.1"):
        Dialer().dial("127.0.0.1", 9001, Deadline(1.0, lambda: 0.0))
