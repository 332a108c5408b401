"""Which policies a search may try: the fields that vary, their values or ranges, and the points between.

    version: 1
    parameters:
      open_floor: [0.4, 0.5, 0.6]                       # these values
      retry_floor: {from: 0.02, to: 0.10, steps: 5}     # five, equally far apart
      min_requests: {from: 8, to: 80, steps: 4, scale: log}

A space knows fields and bounds of `Policy`, never histories or results. What breaks a
rule between fields (policy_ranges.RULES) is no policy: it is left out, and counted.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import product
from typing import NamedTuple

from flyball.hints import did_you_mean
from flyball_analytics.scenarios.node import Node, ScenarioError, read_node
from flyball_controller.codec import with_digest
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.policy import Policy
from flyball_controller.policy_ranges import RANGES, contradiction
from flyball_controller.policy_set import policy_from_fields

Value = bool | int | float | str
Point = Mapping[str, Value]

TOP_KEYS = ("version", "parameters", "description")
RANGE_KEYS = ("from", "to", "steps", "scale")
SCALES = ("linear", "log")
FIELDS = tuple(name for name in Policy._fields if name != "digest")
STEPS_MAX = 1_000
# More than this is no search but a mistake in the grid: at ten milliseconds each it is a quarter of an hour.
POINTS_MAX = 100_000


class SpaceError(ScenarioError):
    """A space that cannot be searched; `where` is file:line or the option."""


class Parameter(NamedTuple):
    """One field that varies: over `values`, or from `low` to `high` (both included) if there are none.

    `steps` is how many values a grid takes of a range; 0: a grid cannot be made of it.
    """

    field: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    steps: int = 0
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether the field is a whole number."""
        like = getattr(Policy(), self.field)
        return isinstance(like, int) and not isinstance(like, bool | IntEnum)

    def at(self, share: float) -> Value:
        """Return the value at a share in [0, 1] of the range, or of the list of values.

        >>> Parameter("open_floor", low=0.2, high=0.6).at(0.5), Parameter("min_requests", (8, 16)).at(0.9)
        (0.4, 16)
        """
        if self.values:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        if self.log:
            number = self.low * math.exp(share * math.log(self.high / self.low))
        else:
            number = self.low + (self.high - self.low) * share
        if self.whole:
            return math.floor(number + 0.5)
        return min(max(rounded(number), self.low), self.high)

    def grid(self) -> tuple[Value, ...]:
        """Return the values of a grid, each once."""
        if self.values:
            return self.values
        if self.steps == 1:
            return (self.at(0.5),)
        return tuple(dict.fromkeys(self.at(n / (self.steps - 1)) for n in range(self.steps)))


class Space(NamedTuple):
    """The fields that vary, in the order given."""

    parameters: tuple[Parameter, ...]

    def grid(self) -> Iterator[dict[str, Value]]:
        """Yield every combination, the last field fastest.

        Raises:
            SpaceError: If a range has no steps, or there are too many combinations.
        """
        for one in self.parameters:
            if not one.values and not one.steps:
                raise SpaceError(
                    f"{one.field}: a grid needs steps: write {{from: {one.low:g}, to: {one.high:g}, "
                    "steps: 5}, or draw points with --lhs N",
                    where="space",
                    field=one.field,
                )
        axes = [one.grid() for one in self.parameters]
        count = math.prod(len(axis) for axis in axes)
        if count > POINTS_MAX:
            raise SpaceError(
                f"the grid has {count} points, at most {POINTS_MAX}: fewer values, or --lhs N", where="space"
            )
        for values in product(*axes):
            yield dict(zip((one.field for one in self.parameters), values, strict=True))

    def latin(self, count: int, *, seed: int) -> Iterator[dict[str, Value]]:
        """Yield `count` points of a Latin hypercube: of each range, one point in every count-th part.

        Args:
            count: How many, 1 to POINTS_MAX.
            seed: Equal seeds give equal points.

        Source: McKay, Beckman and Conover (1979), Technometrics 21, 239-245.
        """
        if not 1 <= count <= POINTS_MAX:
            raise SpaceError(f"{count} points: must be 1 to {POINTS_MAX}", where="space")
        columns = []
        for one in self.parameters:
            # A generator of its own per field: a further field leaves the others' values as they were.
            draw = random.Random(f"{seed}:{one.field}")
            places = list(range(count))
            draw.shuffle(places)
            columns.append([one.at((place + draw.random()) / count) for place in places])
        for values in zip(*columns, strict=True):
            yield dict(zip((one.field for one in self.parameters), values, strict=True))


def rounded(number: float) -> float:
    """Return a number with four digits: policies are read by people, and no history tells the rest apart."""
    return float(f"{number:.4g}")


def read_space(data: bytes, *, file: str) -> Space:
    """Return the space in the bytes of a YAML file.

    Raises:
        SpaceError, ScenarioError: With file:line, field, value, bound and remedy.
    """
    root = read_node(data, file=file, kind="space", first="version")
    top = root.mapping(TOP_KEYS)
    if "version" not in top or top["version"].value != 1:
        got = top["version"].value if "version" in top else None
        raise SpaceError(f"version={got!r} must be 1", where=root.where, field="version")
    if "parameters" not in top:
        raise SpaceError("needs parameters: field -> values", where=root.where, field="parameters")
    found = tuple(_parameter(name, node) for name, node in top["parameters"].mapping().items())
    if not found:
        raise SpaceError("parameters is empty: name a field", where=top["parameters"].where)
    return Space(found)


def grid_option(texts: Sequence[str]) -> Space:
    """Return the space of FIELD=A,B,C options.

    Raises:
        SpaceError: If one is no such thing, or a field stands twice.

    >>> grid_option(["open_floor=0.4,0.5", "law=ladder"]).parameters[0].values
    (0.4, 0.5)
    """
    found: dict[str, Parameter] = {}
    for text in texts:
        field, equals, values = text.partition("=")
        if not equals or not values:
            raise SpaceError(f"{text!r} is no FIELD=A,B,C", where="--grid", field=field, value=text)
        if field in found:
            raise SpaceError(f"{field} stands twice", where="--grid", field=field)
        words = [_scalar(word.strip()) for word in values.split(",")]
        found[field] = Parameter(field, _checked(field, words, where="--grid"))
    return Space(tuple(found.values()))


def policy_at(base: Policy, point: Point) -> Policy:
    """Return the policy at a point of the space.

    Raises:
        PolicyError: If the point breaks a rule between fields.
    """
    policy = policy_from_fields(point, base=base, where="space")
    broken = contradiction(policy)
    if broken is not None:
        raise PolicyError(broken.text, field=broken.field, code="contradiction")
    return with_digest(policy)


def _scalar(word: str) -> Value:
    """Return the value that a word stands for, as YAML would read it."""
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _parameter(name: str, node: Node) -> Parameter:
    """Return one entry of `parameters`."""
    if name not in FIELDS:
        raise SpaceError(
            f"unknown field {name!r}{did_you_mean(name, FIELDS, listing='known are')}",
            where=node.where,
            field=name,
        )
    if isinstance(node.value, list):
        return Parameter(name, _checked(name, [entry.value for entry in node.items()], where=node.where))
    entries = node.mapping(RANGE_KEYS)
    if name not in RANGES:
        raise SpaceError(f"{name} has no range: list its values", where=node.where, field=name)
    for key in ("from", "to"):
        if key not in entries:
            raise SpaceError(
                f"{name} needs {key}: write {{from: A, to: B}} or [A, B]", where=node.where, field=name
            )
    bounds = RANGES[name]
    low, high = entries["from"].number(*bounds), entries["to"].number(*bounds)
    if low >= high:
        entries["to"].fail(f"must be over from={low:g}")
    steps = entries["steps"].whole(1, STEPS_MAX) if "steps" in entries else 0
    scale = entries["scale"].text() if "scale" in entries else SCALES[0]
    if scale not in SCALES:
        entries["scale"].fail(f"{scale!r} must be linear or log")
    if scale == "log" and low <= 0.0:
        entries["from"].fail(f"{low:g} must be over 0 on a log scale")
    return Parameter(name, (), low, high, steps, scale == "log")


def _checked(field: str, values: Sequence[object], *, where: str) -> tuple[Value, ...]:
    """Return the values of a field if each can stand in a policy."""
    if field not in FIELDS:
        raise SpaceError(
            f"unknown field {field!r}{did_you_mean(field, FIELDS, listing='known are')}",
            where=where,
            field=field,
        )
    if not values:
        raise SpaceError(f"{field}: the list of values is empty", where=where, field=field)
    kept: list[Value] = []
    for value in values:
        try:
            policy_from_fields({field: value}, base=Policy(), where=where)
        except PolicyError as error:
            raise SpaceError(
                str(error).removeprefix(f"{where}: "), where=where, field=field, value=value
            ) from error
        assert isinstance(value, bool | int | float | str)  # noqa: S101 - checked by the line above
        if field in RANGES:
            low, high = RANGES[field]
            if not low <= float(value) <= high:
                raise SpaceError(
                    f"{field}={value!r} must be from {low:g} to {high:g}",
                    where=where,
                    field=field,
                    value=value,
                )
        kept.append(value)
    return tuple(dict.fromkeys(kept))
