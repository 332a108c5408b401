"""Lets our decisions hold and release the circuit breakers of Powertools for AWS Lambda.

The decorated functions stay as they are. This stands around a Circuits store: our
own item is written first and is the truth; the item of Powertools' breaker, in its
own DynamoDB table, is only an output.

| Our circuit | Powertools' item |
| --- | --- |
| open, forced open | OPEN until `valid_until`: the **hold** |
| half-open, or lapsed | our hold ends at once: Powertools elects one prober and recovers by itself |
| closed | our hold is released (CLOSED); what Powertools opened itself is left to it |
| forced closed | released, whoever opened it |

**A hold ends by itself.** Powertools lets a probe pass when `opened_at` is its
recovery time-out ago, so a hold is an OPEN whose `opened_at` lies at
`valid_until - recovery_s`, mostly in the future. If the controller dies, or says
nothing more, probing begins at `valid_until`; where a function's time-out is
longer than `recovery_s`, that much later, and never after `valid_until` plus its
own time-out. It is a whole number: Powertools compares it for equality in its
election, and a fraction would keep that election from ever being won.

**Conditions.** Powertools has no versions: its change to OPEN is an unconditional
put, its changes out of HALF_OPEN unconditional updates, and only its election is
conditional. We write only over what we have read, attribute by attribute; a lost
race is looked at again. A HALF_OPEN with a probe under way (its lease lives) is
overruled by an opening and by nothing else. A hold is known as ours by an
attribute that repeats its `opened_at`; Powertools ignores it, drops it with its
next put, and does not change it with an update.

Hazards.
* A prober that was under way when a hold began may write CLOSED or its own OPEN
  over it. The next publication holds again; the controller publishes each minute
  while a circuit is not closed.
* While a hold lasts nothing is probed. If every caller of a target is a Powertools
  breaker there is no evidence either, and the hold lasts its `valid_until`: a few
  minutes at most, by design.
* `CircuitInfo.opened_at` of a held circuit lies in the future, and its
  `failure_count` is 0.
* Reads are cached for `local_cache_max_age`, 5 s unless configured: a hold or a
  release counts that much later.
* Powertools trips again on its own count after a forced close.
* Only circuits of the whole fleet are carried over: Powertools' item is shared by
  all functions, and one sick caller must not open it for the others.

The function's role needs dynamodb:GetItem and PutItem on Powertools' table.

Source: aws-lambda-powertools 3.37, circuit_breaker/base.py (handle, _call_probe),
persistence/base.py (leases, expiry) and persistence/dynamodb.py (attributes, the
election's condition).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import TYPE_CHECKING, NamedTuple

from flyball.contract import FLEET, Circuit, CircuitState
from flyball_controller.aws.clients import DynamoDBClient
from flyball_controller.aws.dynamodb import put_if
from flyball_controller.aws.errors import aws_call
from flyball_controller.aws.tables import BACKEND, Attribute, Item, read_number, read_text
from flyball_controller.ports import Circuits, Clock, PortError

# Powertools' default `recovery_timeout`.
RECOVERY_S = 30.0
# How much longer than a recovery an item is kept: Powertools' own slack, one hour.
EXPIRY_SLACK_S = 3_600
# Times that a write is decided anew because somebody was faster. A loser's rival is a
# whole Powertools transition, of which there are few in a second.
TRIES = 3
HELD_ATTR = "flyball_hold"

_CLOSED, _OPEN, _HALF_OPEN = "CLOSED", "OPEN", "HALF_OPEN"
_HOLDING = frozenset({CircuitState.OPEN, CircuitState.FORCED_OPEN})


class PowertoolsTable(NamedTuple):
    """Where Powertools keeps its circuits; the names are those of CircuitBreakerDynamoDBPersistence.

    With `sort_key_attr` the circuit's name is the sort key, and `static_pk_value`
    the partition key: "circuit_breaker#<function>" unless it was configured.
    """

    table_name: str
    key_attr: str = "id"
    static_pk_value: str = ""
    sort_key_attr: str = ""
    state_attr: str = "state"
    failure_count_attr: str = "failure_count"
    opened_at_attr: str = "opened_at"
    half_open_owner_attr: str = "half_open_owner"
    probe_lease_expiry_attr: str = "probe_lease_expiry"
    expiry_attr: str = "expiration"

    def key(self, name: str) -> Item:
        """Return the primary key of a circuit.

        >>> PowertoolsTable("breakers").key("payments")
        {'id': {'S': 'payments'}}
        """
        if self.sort_key_attr:
            return {self.key_attr: {"S": self.static_pk_value}, self.sort_key_attr: {"S": name}}
        return {self.key_attr: {"S": name}}


class _Standing(NamedTuple):
    """Powertools' item as it was read: raw, for the condition of a write, and what it means."""

    raw: Item
    exists: bool
    state: str  # "" = absent, expired or unreadable: as good as closed
    opened_at_s: float
    lease_s: float  # end of the probe's lease; -inf = none
    ours: bool

    def probing(self, now_s: float) -> bool:
        return self.state == _HALF_OPEN and now_s < self.lease_s


class PowertoolsCircuits:
    """Publishes through to another Circuits store, and drives Powertools' breakers by what stands then."""

    def __init__(
        self,
        circuits: Circuits,
        client: DynamoDBClient,
        *,
        table: PowertoolsTable,
        names: Mapping[str, Sequence[str]],
        clock: Clock,
        recovery_s: float = RECOVERY_S,
    ) -> None:
        """Wrap `circuits`.

        Args:
            circuits: The store of our own items.
            client: A low-level DynamoDB client of the region of Powertools' table.
            table: That table.
            names: For each target, the names its circuits have in Powertools; others are left alone.
            clock: Decides whether leases, expiries and circuits still run.
            recovery_s: The functions' `recovery_timeout`, seconds > 0; the longest, if they differ.
        """
        self._circuits = circuits
        self._client = client
        self._table = table
        self._names = names
        self._clock = clock
        self._recovery_s = recovery_s

    def read(self, target: str, function: str = FLEET) -> Circuit | None:
        """Return our own item."""
        return self._circuits.read(target, function)

    def publish(self, circuit: Circuit) -> bool:
        """Publish our item, then carry it over if it stands; True if it stands.

        Raises:
            PortError: Either store failed, or Powertools' item changed under every try
                (retryable). Publishing the same circuit again carries it over again.
        """
        if not self._circuits.publish(circuit):
            return False
        if circuit.function == FLEET:
            failures = []
            for name in self._names.get(circuit.target, ()):
                try:
                    self._carry_over(name, circuit)
                except PortError as error:
                    failures.append(error)  # the other names of the target have a right to theirs
            if failures:
                raise failures[0]
        return True

    def _carry_over(self, name: str, circuit: Circuit) -> None:
        table = self._table
        with aws_call(BACKEND, "GetItem"):
            reply = self._client.get_item(
                TableName=table.table_name, Key=table.key(name), ConsistentRead=True
            )
        item: Item = reply.get("Item", {})
        for _ in range(TRIES):
            now_s = self._clock.now_s()
            standing = self._understood(item, now_s)
            wish = self._wish(circuit, standing, now_s)
            if wish is None:
                return
            lost_to = self._put(name, wish, standing)
            if lost_to is None:
                return
            item = lost_to
        raise PortError(
            f"circuit {name!r} in {table.table_name} changed under each of {TRIES} writes; "
            "it is tried again at the next tick",
            backend=BACKEND,
            retryable=True,
        )

    def _understood(self, item: Item, now_s: float) -> _Standing:
        table = self._table
        state = read_text(item, table.state_attr) or ""
        expiry_s = read_number(item, table.expiry_attr)
        if expiry_s is not None and expiry_s <= now_s:
            state = ""  # deletion is lazy: an item past its expiry counts as deleted
        opened_at_s = read_number(item, table.opened_at_attr)
        lease_s = read_number(item, table.probe_lease_expiry_attr)
        told = (
            table.state_attr,
            table.opened_at_attr,
            table.half_open_owner_attr,
            table.probe_lease_expiry_attr,
            HELD_ATTR,
        )
        return _Standing(
            raw={name: item[name] for name in told if name in item},
            exists=bool(item),
            state=state,
            opened_at_s=float("-inf") if opened_at_s is None else opened_at_s,
            lease_s=float("-inf") if lease_s is None else lease_s,
            # A late prober's update leaves our mark on a state that is no longer ours.
            ours=state == _OPEN and opened_at_s is not None and read_number(item, HELD_ATTR) == opened_at_s,
        )

    def _wish(self, circuit: Circuit, standing: _Standing, now_s: float) -> Item | None:
        """What Powertools' item should become; None = leave it."""
        if circuit.state in _HOLDING and now_s < circuit.valid_until:
            opened_at = floor(circuit.valid_until - self._recovery_s)
            longer = standing.state == _OPEN and not standing.ours and standing.opened_at_s >= opened_at
            same = standing.ours and standing.opened_at_s == opened_at
            return None if longer or same else self._hold(opened_at, now_s)
        if circuit.state in (CircuitState.CLOSED, CircuitState.FORCED_CLOSED):
            forced = circuit.state == CircuitState.FORCED_CLOSED and now_s < circuit.valid_until
            other = standing.state in (_OPEN, _HALF_OPEN) and not standing.probing(now_s)
            return self._released(now_s) if standing.ours or (forced and other) else None
        ends_now = floor(now_s - self._recovery_s)
        runs = standing.ours and standing.opened_at_s > ends_now
        return self._hold(ends_now, now_s) if runs else None

    def _hold(self, opened_at: int, now_s: float) -> Item:
        table = self._table
        return {
            table.state_attr: {"S": _OPEN},
            table.failure_count_attr: {"N": "0"},
            table.opened_at_attr: {"N": str(opened_at)},
            table.expiry_attr: self._expiry(max(now_s, opened_at + self._recovery_s)),
            HELD_ATTR: {"N": str(opened_at)},
        }

    def _released(self, now_s: float) -> Item:
        table = self._table
        return {
            table.state_attr: {"S": _CLOSED},
            table.failure_count_attr: {"N": "0"},
            table.expiry_attr: self._expiry(now_s),
        }

    def _expiry(self, after_s: float) -> Attribute:
        """As Powertools reckons it: a recovery and an hour after the last moment that matters."""
        return {"N": str(ceil(after_s + self._recovery_s) + EXPIRY_SLACK_S)}

    def _put(self, name: str, wish: Item, standing: _Standing) -> Item | None:
        """Write `wish` over exactly what was read; None if done, else what stands there now."""
        table = self._table
        if not standing.exists:
            return self._put_if(name, wish, "attribute_not_exists(#key)", {"#key": table.key_attr}, {})
        told = (
            ("state", table.state_attr),
            ("opened_at", table.opened_at_attr),
            ("owner", table.half_open_owner_attr),
            ("lease", table.probe_lease_expiry_attr),
            ("held", HELD_ATTR),
        )
        unchanged = [
            f"#{short} = :{short}" if attribute in standing.raw else f"attribute_not_exists(#{short})"
            for short, attribute in told
        ]
        return self._put_if(
            name,
            wish,
            " AND ".join(unchanged),
            {f"#{short}": attribute for short, attribute in told},
            {f":{short}": standing.raw[attribute] for short, attribute in told if attribute in standing.raw},
        )

    def _put_if(
        self, name: str, wish: Item, condition: str, names: Mapping[str, str], values: Item
    ) -> Item | None:
        return put_if(
            self._client,
            self._table.table_name,
            self._table.key(name),
            wish,
            condition=condition,
            names=names,
            values=values,
        )


if TYPE_CHECKING:
    _fits: type[Circuits] = PowertoolsCircuits
