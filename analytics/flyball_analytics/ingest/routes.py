"""Which points belong to which target, and which column of its minutes they fill.

The same rules as in production: a target is read by its metric map; without one,
points of the client's namespace with the dimension `target` and no other name their
target themselves. `lambda_targets` takes every function of a stream as a target.
Two accounts or regions that publish the same target would be added up to nonsense,
so a target keeps to the first origin seen, and the others are reported.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flyball_analytics.ingest.block import Array
from flyball_analytics.ingest.cells_kernel import NO_TARGET
from flyball_analytics.ingest.scan import SeriesName
from flyball_analytics.ingest.store import target_folder
from flyball_controller.aws.metric_map import P50, P99, SUM, AwsMetricMap, client_metrics, lambda_metrics

LAMBDA_NAMESPACE = "AWS/Lambda"
LAMBDA_DIMENSION = "FunctionName"
TARGET_DIMENSION = "target"
FOLDER_CHARS_MAX = 255  # what file systems allow for one name
COLUMNS_MAX = 32  # metrics times statistics of one target; the client's map has ten


class Router:
    """Assigns series to targets as they appear.

    Args:
        maps: Metric maps of targets that do not run the client.
        namespace: Of the client's metrics.
        lambda_targets: Whether every Lambda function with its own metrics is a target.
        accounts: Only points of these; empty = all.
        regions: Only points of these; empty = all.
    """

    def __init__(
        self,
        maps: Mapping[str, AwsMetricMap],
        *,
        namespace: str = "flyball",
        lambda_targets: bool = False,
        accounts: frozenset[str] = frozenset(),
        regions: frozenset[str] = frozenset(),
    ) -> None:
        self.targets: list[str] = []
        self.maps: dict[str, AwsMetricMap] = {}
        self.strangers: dict[str, set[tuple[str, str]]] = {}  # target -> other origins
        self._fixed = {(m.namespace, frozenset(m.dimensions)): target for target, m in maps.items()}
        self._given = dict(maps)
        self._namespace = namespace
        self._lambda = lambda_targets
        self._accounts, self._regions = accounts, regions
        self._origins: dict[str, tuple[str, str]] = {}
        self._routes: Array = np.empty((0, 4), dtype=np.int64)
        self._numbers: dict[str, int] = {}

    def routes(self, names: list[SeriesName]) -> Array:
        """Return the routes of all series, new ones included, (s, 4)."""
        fresh = [self._route(name) for name in names[len(self._routes) :]]
        if fresh:
            self._routes = np.concatenate([self._routes, np.array(fresh, dtype=np.int64)])
        return self._routes

    def _route(self, name: SeriesName) -> tuple[int, int, int, int]:
        nowhere = (NO_TARGET, -1, -1, -1)
        if (self._accounts and name.account not in self._accounts) or (
            self._regions and name.region not in self._regions
        ):
            return nowhere
        target = self._target(name)
        if target is None:
            return nowhere
        known = self.maps.get(target) or self._given.get(target) or self._map(target, name)
        columns = {(s.metric, s.stat): i for i, s in enumerate(known.sources())}
        total, p50, p99 = (columns.get((name.metric, stat), -1) for stat in (SUM, P50, P99))
        if max(total, p50, p99) < 0:
            return nowhere
        origin = self._origins.setdefault(target, (name.account, name.region))
        if origin != (name.account, name.region):
            self.strangers.setdefault(target, set()).add((name.account, name.region))
            return nowhere
        if target not in self.maps:
            self._numbers[target] = len(self.targets)
            self.maps[target] = known
            self.targets.append(target)
        return (self._numbers[target], total, p50, p99)

    def _target(self, name: SeriesName) -> str | None:
        fixed = self._fixed.get((name.namespace, frozenset(name.dimensions)))
        if fixed is not None:
            return fixed
        if len(name.dimensions) != 1:
            return None
        key, value = name.dimensions[0]
        named = (name.namespace == self._namespace and key == TARGET_DIMENSION) or (
            self._lambda and name.namespace == LAMBDA_NAMESPACE and key == LAMBDA_DIMENSION
        )
        fits = value and len(target_folder(value)) <= FOLDER_CHARS_MAX
        return value if named and fits and value not in self._given else None

    def _map(self, target: str, name: SeriesName) -> AwsMetricMap:
        if name.namespace == self._namespace:
            return client_metrics(target, namespace=self._namespace)
        return lambda_metrics(target)
