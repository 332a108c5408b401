"""The release before, as far as stores can tell: what it wrote, and what it could not read.

In a rolling deployment two releases work on the same items. The older one writes
states of version 1 and knows no later one: it begins anew from the metrics. Its
publisher's record has neither edits nor what was published. Only the store's
boundary is older here; what it decides is what this release would.
"""

from __future__ import annotations

import json
import struct
import zlib

_HEAD = struct.Struct("<2sBI")
_BEGIN = struct.calcsize("<BidiBdi4dIIIIB") + struct.calcsize("<4dQBd")
_NUMBERS = struct.Struct("<10dq4dqdd")
_SLOTS = struct.Struct("<180H168H168H168B24H")
_RARITY = 5 * 8
_NUMBERS_1 = struct.Struct("<9dqdd")
_SLOTS_1 = struct.Struct("<180H168H168B")
_LATER = ("published", "published_version", "edited", "doubts")  # fields of the record that came later
_UNKNOWN = 200  # a version that nobody reads


def is_older(data: bytes) -> bool:
    """Return whether a state was written by the release before."""
    return data[2:3] == b"\x01"


def older_state(data: bytes) -> bytes:
    """Return a state as the release before would have written it: version 1, without what it did not know."""
    body = data[_HEAD.size :]
    numbers = _NUMBERS.unpack_from(body, _BEGIN)
    at = _BEGIN + _NUMBERS.size
    slots = _SLOTS.unpack_from(body, at)
    body = (
        body[:_BEGIN]
        + _NUMBERS_1.pack(*numbers[:9], *numbers[10:13])
        + _SLOTS_1.pack(*slots[:348], *slots[516:684])
        + body[at + _SLOTS.size + _RARITY :]
    )
    return _HEAD.pack(b"fb", 1, zlib.crc32(body)) + body


def as_older_reads(data: bytes) -> bytes:
    """Return a state as the release before sees it: its own, or one of a version that it does not know."""
    return data if is_older(data) else data[:2] + bytes((_UNKNOWN,)) + data[3:]


def older_record(data: bytes) -> bytes:
    """Return the publisher's record without the fields that came later."""
    fields = {name: value for name, value in json.loads(data).items() if name not in _LATER}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
