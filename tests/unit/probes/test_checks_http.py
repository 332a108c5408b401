"""HTTP checks against a real server that misbehaves: every answer is one word, in time, within bounds."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from .servers import OK, answering, check, checker, dripping, endless, http, serving, silent

HEAD = b"HTTP/1.1 200 OK\r\n"


def test_a_well_target_is_asked_as_the_policy_says() -> None:
    """Method, path with its query, headers, one secret from the environment."""
    heard: list[bytes] = []
    with serving(answering(OK, heard)) as server:
        asked = http(server, "/health?deep=1", method="GET", body_contains="ok", headers={"X-Team": "shop"})
        outcome = checker().run(asked)
    assert (outcome.good, outcome.code, outcome.broken) == (True, "ok", False)
    assert outcome.latency_ms > 0.0
    lines = heard[0].decode().split("\r\n")
    assert lines[0] == "GET /health?deep=1 HTTP/1.1"
    assert f"Host: shop.internal:{server.port}" in lines
    assert {"X-Team: shop", "User-Agent: flyball-probe", "Connection: close"} <= set(lines)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", "body"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not-http"),
        (b"", "cut-off"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "not-http"),
        (b"HTTP/1.1 " + b"2" * 70_000, "not-http"),
    ],
    ids=["another status", "another body", "another protocol", "nothing", "headers", "line"],
)
def test_an_answer_that_is_not_the_expected_one_is_not_good(answer: bytes, code: str) -> None:
    """And it is the target's fault, not the check's."""
    with serving(answering(answer)) as server:
        outcome = checker().run(http(server, body_contains="ok"))
    assert (outcome.good, outcome.code, outcome.broken) == (False, code, False)


@pytest.mark.parametrize("drips", [HEAD, HEAD + b"Content-Length: 900\r\n\r\n" + b"x" * 900])
def test_a_server_that_drips_bytes_runs_into_the_check_s_deadline(drips: bytes) -> None:
    """Each read succeeds in time, so a socket's own time-out would wait for hours."""
    with serving(dripping(drips + b" " * 10_000)) as server:
        assert checker().run(http(server, body_contains="ok")).code == "timeout"


def test_a_server_that_says_continue_for_ever_runs_into_the_deadline() -> None:
    """http.client skips interim answers without counting them."""
    with serving(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")) as server:
        assert checker().run(http(server)).code == "timeout"


def test_an_endless_body_is_read_to_its_bound_and_no_further() -> None:
    """Memory is the function's; 64 KiB without the words is an answer."""
    with serving(endless(HEAD + b"\r\n", b"x" * 4_096)) as server:
        assert checker().run(http(server, body_contains="ok", timeout_s=5.0)).code == "body"


def test_a_body_that_nobody_asked_about_is_not_read() -> None:
    """The status decides; a slow body must not turn a well target into a bad one."""
    with serving(dripping(HEAD + b"\r\n" + b"x" * 10_000, every_s=0.001)) as server:
        assert checker().run(http(server)).good


def test_silence_is_a_timeout_and_a_closed_port_a_refusal() -> None:
    """The two ways in which targets are mostly down."""
    with serving(silent) as server:
        assert checker().run(http(server)).code == "timeout"
        closed = http(server)
    assert checker().run(closed).code == "refused"


def test_a_redirect_is_an_answer_and_is_never_followed() -> None:
    """The headers, secret ones too, would go to wherever it points."""
    heard: list[bytes] = []
    elsewhere: list[bytes] = []
    with serving(answering(OK, elsewhere)) as other:
        answer = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other.port}/\r\n\r\n".encode()
        with serving(answering(answer, heard)) as server:
            assert checker().run(http(server)).code == "status"
            assert checker().run(http(server, expect_status=[200, 302])).good
    assert len(heard) == 2
    assert elsewhere == []


@pytest.mark.parametrize(
    "value", ["", "two\r\nX-Evil: 1", "käse"], ids=["absent", "a line break", "not ASCII"]
)
def test_a_secret_that_cannot_be_sent_breaks_the_check_before_anything_is_sent(value: str) -> None:
    """A variable may hold anything; a second header, or nothing, must not leave the function."""
    asked = check(kind="http", url="https://shop.internal/", headers={"Authorization": "env:PROBE_TOKEN"})
    outcome = checker({"PROBE_TOKEN": value} if value else {}).run(asked)
    assert (outcome.good, outcome.code, outcome.broken) == (False, "secret-missing", True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for shop.internal that nobody has signed but itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    made = subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key} "
        f"-out {cert} -days 2 -subj /CN=shop.internal -addext subjectAltName=DNS:shop.internal".split(),
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("openssl is not installed")
    return key, cert


def test_tls_is_verified_for_the_name_in_the_url(certificate: tuple[Path, Path]) -> None:
    """An address that was judged safe is no identity: the certificate is."""
    key, cert = certificate
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key)
    trusting = lambda: ssl.create_default_context(cafile=str(cert))  # noqa: E731 - three words
    plain = answering(OK)

    def behave(connection: object, over: object) -> None:
        with server_side.wrap_socket(connection, server_side=True) as secured:  # type: ignore[arg-type]
            plain(secured, over)  # type: ignore[arg-type]

    with serving(behave) as server:
        url = f"https://shop.internal:{server.port}/"
        secret = {"Authorization": "env:PROBE_TOKEN"}
        asked = check(kind="http", url=url, headers=secret, timeout_s=3.0)
        environ = {"PROBE_TOKEN": "s3cret"}
        assert checker(environ, context=trusting).run(asked).good
        assert checker(environ).run(asked).code == "tls"  # signed by nobody we know
        other = asked._replace(url=url.replace("shop.", "bank."))
        assert checker(environ, context=trusting).run(other).code == "tls"
    with serving(endless(b"", b"no TLS here\r\n")) as server:
        spoken = check(kind="http", url=f"https://shop.internal:{server.port}/", timeout_s=3.0)
        assert checker().run(spoken).code == "tls"
