"""One piece of a search: some policies over one history or scenario, as a pure function of bytes.

`run_shard(shard, content)` gives equal bytes for equal bytes, on any machine, in any
process, in any order: so results can be kept under the shard's key, found again after
a crash, and computed wherever there is a processor. It opens no file and asks no
clock; where shards and results lie is for sweep_store.py, who runs them for
executors/.

A shard names the code that it was made for. Results of another state of the law are
never mixed in: a changed kernel gives new keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

from flyball_analytics.labels import Incident, Labels
from flyball_analytics.shards_figures import Part, parts_of
from flyball_analytics.shards_input import Columns, InputError, columns_in, unpack
from flyball_analytics.shards_replay import figures_of_policies
from flyball_controller.codec import canonical_json
from flyball_controller.core.policy import Policy
from flyball_controller.policy_set import PolicySet, compile_set, policy_from_fields

SCHEMA = 1
# What decides a result; a change elsewhere (texts, plots, the command line) leaves results valid.
_LAW = (
    ("flyball_controller", "core"),
    ("flyball_controller", "codec.py"),
    ("flyball_analytics", "replay.py"),
    ("flyball_analytics", "score.py"),
    ("flyball_analytics", "compare_figures.py"),
    ("flyball_analytics", "shards.py"),
    ("flyball_analytics", "shards_figures.py"),
    ("flyball_analytics", "shards_input.py"),
    ("flyball_analytics", "shards_replay.py"),
    ("flyball_analytics", "shards_columns.py"),
    ("flyball_analytics", "fastreplay.py"),
    ("flyball_analytics", "fastreplay_agree.py"),
    ("flyball_analytics", "fastreplay_block.py"),
    ("flyball_analytics", "fastreplay_columns.py"),
    ("flyball_analytics", "fastreplay_desk.py"),
    ("flyball_analytics", "fastreplay_jit.py"),
    ("flyball_analytics", "fastreplay_lanes.py"),
    ("flyball_analytics", "fastreplay_learning.py"),
    ("flyball_analytics", "fastreplay_loop.py"),
    ("flyball_analytics", "fastreplay_memory.py"),
    ("flyball_analytics", "fastreplay_ring.py"),
    ("flyball_analytics", "fastreplay_together.py"),
)
_WORLD = (
    *_LAW,
    ("flyball", ""),
    ("flyball_controller", ""),
    ("flyball_analytics", "plant"),
    ("flyball_analytics", "scenarios"),
    ("flyball_analytics", "closedloop.py"),
    ("flyball_analytics", "closedloop_control.py"),
    ("flyball_analytics", "closedloop_measures.py"),
    ("flyball_analytics", "arrivals.py"),
)


class ShardError(ValueError):
    """A shard that cannot be run here; the message says why and what to do."""


class Kind(StrEnum):
    """What a shard runs its policies over."""

    HISTORY = "history"  # open loop: what was recorded does not react
    SCENARIO = "scenario"  # closed loop: clients, target and controller act on each other


class Shard(NamedTuple):
    """Some policies over one input.

    `policies` are the fields that differ from `Policy()`, one mapping each. `labels` is
    None where nobody knows the incidents. Of a history, the last `held_ratio` of its
    days is judged apart, 0.0: nothing is. `seed` decides the arrivals of a scenario,
    and is 0 for a history, in which nothing is drawn.
    """

    kind: Kind
    input: str
    target: str
    policies: tuple[Mapping[str, object], ...]
    labels: Labels | None = None
    held_ratio: float = 0.0
    seed: int = 0

    def encode(self) -> bytes:
        """Return the shard as bytes that `decode` reads back; equal shards are equal bytes."""
        labels = None
        if self.labels is not None:
            labels = {
                "incidents": [list(incident[:4]) for incident in self.labels.incidents],
                "ignore": [list(pair) for pair in self.labels.ignore],
                "probation": self.labels.probation,
            }
        return canonical_json(
            {
                "schema": SCHEMA,
                "code": code_digest(self.kind),
                "kind": self.kind.value,
                "input": self.input,
                "target": self.target,
                "policies": list(self.policies),
                "labels": labels,
                "held_ratio": self.held_ratio,
                "seed": self.seed,
            }
        )


def decode(data: bytes) -> Shard:
    """Return the shard in the bytes of `Shard.encode`.

    Raises:
        ShardError: If they are none, or were made for another state of the code.
    """
    try:
        plain = json.loads(data)
        kind = Kind(plain["kind"])
        code, schema = plain["code"], plain["schema"]
        shard = Shard(
            kind,
            str(plain["input"]),
            str(plain["target"]),
            tuple(dict(policy) for policy in plain["policies"]),
            _labels(plain["labels"]),
            float(plain["held_ratio"]),
            int(plain["seed"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(f"is no shard: {type(error).__name__}: {error}") from error
    ours = code_digest(kind)
    if schema != SCHEMA or (code and ours and code != ours):
        raise ShardError(
            f"shard of schema {schema}, code {code}, and this worker has {SCHEMA}, {ours}: "
            "install the same flyball where the shards are made and where they run"
        )
    return shard


def shard_key(data: bytes) -> str:
    """Return the name of a shard: the digest of its bytes, under which its result is kept."""
    return sha256(data).hexdigest()[:32]


def run_shard(data: bytes, content: bytes) -> bytes:
    """Return the result of a shard as canonical JSON: one entry per policy, in the shard's order.

    Args:
        data: From `Shard.encode`.
        content: The packed input that the shard names.

    Raises:
        ShardError: If the shard cannot be run by this code.
        InputError: If the content is damaged or another one.
        PolicyError, ScenarioError: If a policy or scenario cannot be obeyed.
    """
    shard = decode(data)
    policies = [policy_from_fields(fields, base=Policy(), where=shard_key(data)) for fields in shard.policies]
    if shard.kind is Kind.HISTORY:
        entries = _over_history(shard, policies, _columns(content, shard.input))
    else:
        entries = _over_scenario(shard, policies, unpack(content, digest=shard.input))
    return canonical_json({"schema": SCHEMA, "shard": shard_key(data), "policies": entries})


def read_result(data: bytes, *, key: str) -> list[dict[str, Any]]:
    """Return the entries of a result, one per policy of its shard.

    Raises:
        ShardError: If the bytes are no result of this shard.
    """
    try:
        plain = json.loads(data)
        if plain["shard"] != key or plain["schema"] != SCHEMA:
            raise ShardError(f"result {key}: belongs to shard {plain['shard']}, schema {plain['schema']}")
        return list(plain["policies"])
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(f"result {key}: is no result of this shard: {error}") from error


def fields_of(policy: Policy) -> dict[str, object]:
    """Return what differs from the defaults, as a shard carries it."""
    fields: dict[str, object] = json.loads(compile_set(PolicySet(policy, {}, "")))["default"]
    return fields


def _labels(plain: Mapping[str, Any] | None) -> Labels | None:
    if plain is None:
        return None
    return Labels(
        tuple(
            Incident(float(start), float(end), float(begin), float(to))
            for start, end, begin, to in plain["incidents"]
        ),
        tuple((float(begin), float(end)) for begin, end in plain["ignore"]),
        int(plain["probation"]),
    )


_newest: list[tuple[str, bytes, Columns]] = []  # shards of one input follow each other: it is unpacked once


def _columns(content: bytes, digest: str) -> Columns:
    """Return the columns of a packed history; those of the newest one are kept, and no others."""
    newest = next(iter(_newest), None)
    if newest is not None and newest[:2] == (digest, content):
        return newest[2]
    _newest.clear()  # first: never two histories at a time
    columns = columns_in(unpack(content, digest=digest))
    _newest.append((digest, content, columns))
    return columns


def _over_history(shard: Shard, policies: Sequence[Policy], columns: Columns) -> list[dict[str, object]]:
    """Return the parts of each policy; a policy that stands twice is run once."""
    each = {policy.digest: policy for policy in policies}
    parts: dict[int, tuple[dict[str, object], dict[str, object]]] = {}
    done: dict[str, dict[str, object]] = {}
    # All figures are held until the end, so that days of an equal identity are the same days.
    for figures in figures_of_policies(columns, list(each.values()), shard.labels):
        if id(figures.days) not in parts:
            fit, held = parts_of(figures, shard.held_ratio)
            parts[id(figures.days)] = fit.plain(), held.plain()
        fitted, kept = parts[id(figures.days)]
        done[figures.contender] = {"policy": figures.contender, "fit": fitted, "held": kept}
    return [done[policy.digest] for policy in policies]


def _over_scenario(shard: Shard, policies: Sequence[Policy], content: bytes) -> list[dict[str, object]]:
    """Return the traffic lost under each policy, in minutes of the mean traffic."""
    # Imported here: the closed loop brings the client and the plant, which histories do not need.
    from flyball_analytics.algorithms import FLYBALL, algorithm, algorithm_names, is_algorithm
    from flyball_analytics.closedloop import run
    from flyball_analytics.scenarios.parse import parse_scenario

    scenario = parse_scenario(content, file=shard.target, known=is_algorithm, names=algorithm_names())
    entries: list[dict[str, object]] = []
    for policy in policies:
        steered = algorithm(FLYBALL)._replace(policies=PolicySet(policy, {}, ""))
        measures = run(scenario, steered, seed=shard.seed).measures
        entries.append({"policy": policy.digest, "lost_min": measures["lost_min"]})
    return entries


def parts_in(entry: Mapping[str, Any]) -> tuple[Part, Part]:
    """Return both parts of one policy's entry: what was fitted on, and what was held out."""
    return Part.of(entry["fit"]), Part.of(entry["held"])


@lru_cache(maxsize=2)
def code_digest(kind: Kind) -> str:
    """Return the identity of the source that decides a result; empty where only bytecode is installed."""
    digest = sha256()
    seen = 0
    for package, name in _LAW if kind is Kind.HISTORY else _WORLD:
        root = resources.files(package)
        for path, file in _sources(root / name if name else root, f"{package}/{name}"):
            digest.update(f"{path}\n".encode())
            digest.update(file.read_bytes())
            seen += 1
    return digest.hexdigest()[:16] if seen else ""


def _sources(place: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    """Yield the Python files at a place, those of a folder by name; tests and caches have none."""
    if place.is_file():
        yield path, place
        return
    inside: Iterable[Traversable] = place.iterdir() if place.is_dir() else ()
    for file in sorted(inside, key=lambda entry: entry.name):
        if file.name.endswith(".py") and file.is_file():
            yield f"{path}/{file.name}", file


__all__ = [
    "InputError",
    "Kind",
    "Shard",
    "ShardError",
    "code_digest",
    "decode",
    "fields_of",
    "parts_in",
    "read_result",
    "run_shard",
    "shard_key",
]
