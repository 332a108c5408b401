"""Clients that stand between an adapter and an emulator: they count, lose replies, leave work undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from flyball_controller.aws.tables import Pauses


def client_error(code: str, operation: str, *, status: int = 400, **fields: Any) -> ClientError:
    """Return the error that botocore raises for a reply with this code."""
    response: Any = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError({**response, **fields}, operation)


class Between:
    """Passes every call on to a client, after or instead of what a test asked for.

    `before[name]` runs before the call and may raise; `lose_reply` names the
    operations whose next reply is lost after they took effect.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: Counter[str] = Counter()
        self.lose_reply: set[str] = set()
        self.before: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls[name] += 1
            if name in self.before:
                instead = self.before[name](arguments)
                if instead is not None:
                    return instead
            reply = getattr(self._client, name)(**arguments)
            if name in self.lose_reply:
                self.lose_reply.discard(name)
                raise ReadTimeoutError(endpoint_url="https://aws.invalid")
            return reply

        return call


class Waits(list[float]):
    """Records pauses instead of waiting; the draw is always one half."""

    def pauses(self, **changes: Any) -> Pauses:
        """Return pauses that only record."""
        return Pauses(draw=lambda: 0.5, sleep=self.append)._replace(**changes)
