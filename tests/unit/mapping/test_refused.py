"""An account that lets its functions be listed and refuses all else: the draft tells every refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml
from click.testing import CliRunner

from flyball_analytics.cli import cli
from unit.mapping.stubs import no_other_account

LISTED = json.dumps({"Functions": [{"FunctionName": name, "Timeout": 3} for name in ("f", "g")]}).encode()


class Refusing(BaseHTTPRequestHandler):
    """AWS's front, as a caller without permissions meets it."""

    lists = True

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0].rstrip("/")
        listing = self.lists and self.command == "GET" and path == "/2015-03-31/functions"
        body = LISTED if listing else b'{"__type": "AccessDeniedException", "message": "no"}'
        self.send_response(200 if listing else 403)
        self.send_header("x-amzn-ErrorType", "AccessDeniedException")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815 - the names are http.server's

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""


@pytest.fixture
def url(monkeypatch) -> Iterator[str]:
    no_other_account(monkeypatch)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_every_refusal_is_a_line_with_the_action_that_it_needs(url):
    """No traceback, no empty draft; the lines are what an administrator is asked for."""
    result = CliRunner().invoke(cli, ["map", "--aws", "--endpoint-url", url])
    assert result.exit_code == 0, result.stderr
    assert list(yaml.safe_load(result.stdout)["functions"]) == ["f", "g"]
    for action in (
        "lambda:GetFunctionConcurrency",
        "lambda:ListProvisionedConcurrencyConfigs",
        "lambda:ListEventSourceMappings",
        "lambda:GetPolicy",
        "cloudwatch:GetMetricStatistics",
        "cloudwatch:ListMetrics",
        "cloudwatch:DescribeAlarms",
        "application-signals:ListServices",
        "xray:GetServiceGraph",
        "appconfig:ListApplications",
    ):
        assert f"AccessDeniedException (needs {action})" in result.stdout, action


def test_an_account_that_refuses_the_list_is_an_error_of_the_backend(url, monkeypatch):
    """Without functions there is nothing to draft."""
    monkeypatch.setattr(Refusing, "lists", False)
    result = CliRunner().invoke(cli, ["map", "--aws", "--endpoint-url", url])
    assert result.exit_code == 5
    assert "AccessDenied" in result.stderr
    assert result.stderr.rstrip().endswith("[backend]")
