"""The fleet's record as canonical JSON. Damaged bytes mean an empty record: it only ever restrains."""

from __future__ import annotations

import json

from flyball_controller.codec import canonical_json
from flyball_controller.core.fleet import FleetState
from flyball_controller.core.inspect import is_finite


def encode_fleet(fleet: FleetState) -> bytes:
    """Return canonical bytes that `decode_fleet` reads back."""
    return canonical_json(fleet)


def decode_fleet(data: bytes) -> FleetState:
    """Return the record, or an empty one if the bytes are absent or damaged.

    >>> decode_fleet(b"nonsense")
    FleetState(open_targets=(), tightened=(), frozen_until_s=-1.0)
    """
    try:
        plain = json.loads(data)
        open_targets = tuple(sorted(str(name) for name in plain["open_targets"]))
        tightened = tuple((str(name), float(when)) for name, when in plain["tightened"])
        frozen_until_s = float(plain["frozen_until_s"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return FleetState()
    if not all(is_finite(when) for _, when in tightened) or not is_finite(frozen_until_s):
        return FleetState()
    return FleetState(open_targets, tightened, frozen_until_s)
