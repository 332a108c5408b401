"""Which controller looks at which target when one alone cannot look at all: `FLYBALL_SHARD=k/n`.

Every target belongs to exactly one of n shards, whatever the order or number of
targets, and every process computes the same without asking anybody. States are
in a shared store and written conditionally, so a target that changes its shard
changes nothing else: the new owner reads what the old one wrote, and a moment
with two owners is two controllers that lose races to each other (P7).

Jump consistent hashing: from n to n + 1 shards, one target in n + 1 moves, all
of them to the new shard. Its buckets are numbered and only the last can be
taken away, which is how shards of a schedule are added and removed.

Source: Lamping and Veach (2014), "A Fast, Minimal Memory, Consistent Hash
Algorithm", arXiv:1406.2294.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from flyball.errors import SettingsError

SHARDS_MAX = 100  # of 10,000 targets each would have 100, a tenth of what one looks at with ease
_FORM = re.compile(r"([1-9]\d{0,2})/([1-9]\d{0,2})", re.ASCII)


class Shard(NamedTuple):
    """The `number`-th of `total` shards, counted from 1."""

    number: int = 1
    total: int = 1

    def __str__(self) -> str:
        """Return it as it is written in settings."""
        return f"{self.number}/{self.total}"


WHOLE = Shard()


def read_shard(value: str, *, field: str) -> Shard:
    """Return the shard written as "k/n".

    Raises:
        SettingsError: It is not of that form, or k > n; `field` names where it came from.

    >>> read_shard("2/4", field="FLYBALL_SHARD")
    Shard(number=2, total=4)
    """
    match = _FORM.fullmatch(value)
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(1, 0)
    if not shard.number <= shard.total <= SHARDS_MAX:
        raise SettingsError(
            f"{field}={value[:40]!r} must be k/n with 1 <= k <= n <= {SHARDS_MAX}, e.g. 1/4 for the first "
            "of four; unset it to look at every target",
            field=field,
        )
    return shard


def shard_of(target: str, total: int) -> int:
    """Return the number, 1 to `total`, of the shard that a target belongs to.

    >>> [shard_of("checkout", total) for total in (1, 2, 3, 4)]
    [1, 1, 1, 4]
    """
    key = int.from_bytes(blake2b(target.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    bucket, jump = -1, 0
    while jump < total:
        bucket = jump
        # The linear congruential generator of the paper; its high bits give the next candidate.
        key = (key * 2_862_933_555_777_941_757 + 1) & 0xFFFF_FFFF_FFFF_FFFF
        jump = int((bucket + 1) * (float(1 << 31) / float((key >> 33) + 1)))
    return bucket + 1


def owned(targets: Iterable[str], shard: Shard) -> tuple[str, ...]:
    """Return the targets of a shard, in their order."""
    if shard.total == 1:
        return tuple(targets)
    return tuple(target for target in targets if shard_of(target, shard.total) == shard.number)
