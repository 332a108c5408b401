"""A shard as a Lambda function, for a Step Functions Distributed Map (infra/sweep.asl.json).

The same `run_shard` on the same bytes as everywhere else: it reads a run's folder
(sweep_store.py) that was copied to a bucket and writes the result beside it. Whoever
copies the results back finds them under the keys that every other executor would have
used. It lives here and not with the controller's handlers, which must stay free of
analysis: it is another bundle, with rights on one bucket and on nothing of the fleet.

A shard that fails raises; the state machine tries it twice more and then lists it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from flyball_analytics.shards import ShardError, decode, read_result, run_shard, shard_key

_KEY = re.compile(r"[0-9a-f]{32}")
# A run's prefix is a plain path that ends with "/": nothing in it can lead to another run's objects.
_PREFIX = re.compile(r"([A-Za-z0-9_.=-]+/)*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
EVENT_KEYS = ("bucket", "prefix", "key")


class Objects(Protocol):
    """The two calls of S3 that are needed; boto3's client has them."""

    def get_object(self, *, Bucket: str, Key: str) -> Mapping[str, Any]:  # noqa: N803 - boto3's names
        """Return the object; `Body` reads its bytes."""

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> object:  # noqa: N803
        """Write the object whole."""


class Place(NamedTuple):
    """One shard in a bucket."""

    bucket: str
    prefix: str
    key: str


def handler(event: Any, context: Any = None) -> dict[str, str]:
    """Run one shard of a bucket and write its result.

    Args:
        event: {"bucket": ..., "prefix": "runs/7/", "key": ...}, as the state machine sends it.
        context: Lambda's; not used.

    Returns:
        The key, and `done`, or `known` if its result was there already.

    Raises:
        ShardError: If the event or the shard cannot be obeyed.
        InputError, PolicyError, ScenarioError: As `shards.run_shard`.
    """
    return serve(place_of(event), _client())


def place_of(event: object) -> Place:
    """Return what an event names.

    Raises:
        ShardError: If it is no such event.

    >>> place_of({"bucket": "runs", "prefix": "a/", "key": "0" * 32}).prefix
    'a/'
    """
    if not isinstance(event, Mapping) or set(event) != set(EVENT_KEYS):
        found = sorted(event) if isinstance(event, Mapping) else type(event).__name__
        raise ShardError(f"an event has {', '.join(EVENT_KEYS)}; this one has {found}")
    for name, allowed in zip(EVENT_KEYS, (_BUCKET, _PREFIX, _KEY), strict=True):
        value = event[name]
        if not isinstance(value, str) or not allowed.fullmatch(value) or ".." in value:
            raise ShardError(f"{name}={value!r} must match {allowed.pattern}")
    return Place(event["bucket"], event["prefix"], event["key"])


def serve(place: Place, objects: Objects) -> dict[str, str]:
    """Run one shard of a bucket and write its result; a result that is there already is kept."""

    def read(name: str) -> bytes:
        body: bytes = objects.get_object(Bucket=place.bucket, Key=f"{place.prefix}{name}")["Body"].read()
        return body

    shard = read(f"shards/{place.key}.json")
    if shard_key(shard) != place.key:
        raise ShardError(f"shards/{place.key}.json: its bytes are those of {shard_key(shard)}; copy it again")
    name = f"results/{place.key}.json"
    if _known(read, name, place.key):
        return {"key": place.key, "status": "known"}
    result = run_shard(shard, read(f"inputs/{decode(shard).input}.bin"))
    objects.put_object(Bucket=place.bucket, Key=f"{place.prefix}{name}", Body=result)
    return {"key": place.key, "status": "done"}


def _known(read: Callable[[str], bytes], name: str, key: str) -> bool:
    """Return whether the result is there; what cannot be read is made again."""
    try:
        read_result(read(name), key=key)
    except ShardError:
        return False
    except Exception as error:
        # Of botocore's errors by their code: without ListBucket a missing object is forbidden, not missing.
        response = getattr(error, "response", {})
        if response.get("Error", {}).get("Code") in ("NoSuchKey", "404", "AccessDenied", "403"):
            return False
        raise
    return True


def _client() -> Objects:
    """Return the one S3 client of this environment."""
    global _CLIENT  # noqa: PLW0603 - a Lambda environment serves many events
    if _CLIENT is None:
        import boto3

        _CLIENT = boto3.client("s3")
    return _CLIENT


_CLIENT: Objects | None = None
