"""Real boto3 clients, a server on loopback that answers them from a script, and a target for them to obey."""

from __future__ import annotations

import time
from typing import Any

import boto3
import pytest
from botocore.config import Config

from flyball.contract import DEFAULT_PARAMS, BreakerParams, RetryParams
from flyball_local.loopback import HttpReply, HttpRequest
from unit.client.support import World

GENEROUS = DEFAULT_PARAMS._replace(
    retry=RetryParams(budget_ratio=3.0), breaker=BreakerParams(min_calls=10_000)
)
JSON = {"Content-Type": "application/x-amz-json-1.0"}
GOOD = HttpReply(200, b'{"TableNames":["a"]}', JSON)
DOWN = HttpReply(500, b'{"__type":"InternalServerError"}', JSON)
BUSY = HttpReply(429, b'{"__type":"ThrottlingException"}', {**JSON, "Retry-After": "2"})
DENIED = HttpReply(400, b'{"__type":"AccessDeniedException"}', JSON)
RESET = None  # the connection is cut


class Server:
    """Answers from a script, the last answer for ever; a number of seconds hangs before a good answer."""

    def __init__(self) -> None:
        self.script: list[Any] = [GOOD]
        self.requests: list[HttpRequest] = []
        self.url = ""

    def respond(self, request: HttpRequest) -> HttpReply | None:
        self.requests.append(request)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, float):
            time.sleep(answer)
            return GOOD
        reply: HttpReply | None = answer
        return reply

    @property
    def attempts(self) -> int:
        return len(self.requests)


# A client costs a quarter of a second to make; tests release what they obey.
_clients: dict[tuple[str, str, str], Any] = {}


def client(server: Server, service: str = "dynamodb", mode: str = "standard") -> Any:
    """A client with dummy credentials, given explicitly, that finds nothing but the server."""
    key = (server.url, service, mode)
    if key not in _clients:
        _clients[key] = boto3.session.Session().client(
            service,
            region_name="eu-west-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            endpoint_url=server.url,
            config=Config(
                retries={"mode": mode}, connect_timeout=2, read_timeout=5, s3={"addressing_style": "path"}
            ),
        )
    return _clients[key]


class BotoWorld(World):
    """A target with budget to spare, on a clock that only moves by waiting."""

    def __init__(self, params: Any = GENEROUS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.handle = self.target(on=())
        self.handle.target.apply_params(params, 1)

    def counted(self) -> tuple[int, int, int]:
        counters = self.counters
        return counters.requests, counters.retries, counters.request_failures


MODES = pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
