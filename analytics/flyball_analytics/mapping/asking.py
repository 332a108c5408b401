"""Asks AWS so that a refusal costs its answer and is told, not the whole draft.

A parameter that the SDK's own model refuses is our defect, and is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from flyball_controller.aws.errors import error_code

DAYS = 14  # of metrics: two weeks hold every weekday twice
DAY_S = 86_400  # the longest period that CloudWatch documents
ABSENT = ("ResourceNotFoundException", "ResourceNotFound")
PAGES_MAX = 200  # a listing longer than this is told, not read to its end


class Asker:
    """Makes describing calls; `unknown` collects what could not be read, and why."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def ask(
        self, what: str, call: Callable[..., Any], action: str, **arguments: object
    ) -> dict[str, Any] | None:
        """Return a reply; {} if the thing does not exist; None, and a note, if it could not be read.

        Args:
            what: What is wanted, for the note.
            call: A method of a client.
            action: The IAM action that the call needs, for the note.
            arguments: Of the call.
        """
        try:
            reply: dict[str, Any] = call(**arguments)
        except ParamValidationError:
            raise
        except ClientError as error:
            if error_code(error) in ABSENT:
                return {}
            self._refused(what, error_code(error) or "refused", action)
            return None
        except BotoCoreError as error:
            self._refused(what, type(error).__name__, "")
            return None
        return reply

    def pages(
        self, what: str, client: Any, operation: str, key: str, action: str, **arguments: object
    ) -> list[Any] | None:
        """Return the items of every page; None, and a note, if they could not be read."""
        items: list[Any] = []
        try:
            for number, page in enumerate(client.get_paginator(operation).paginate(**arguments), 1):
                if not isinstance(page, dict):  # an emulator that does not know the operation
                    self._refused(what, "an answer that cannot be read", "")
                    return None
                items += page.get(key, ())
                if number >= PAGES_MAX:
                    self.unknown.append(f"{what}: more than {PAGES_MAX} pages; the rest was not read")
                    break
        except ParamValidationError:
            raise
        except ClientError as error:
            self._refused(what, error_code(error) or "refused", action)
            return None
        except BotoCoreError as error:
            self._refused(what, type(error).__name__, "")
            return None
        return items

    def _refused(self, what: str, code: str, action: str) -> None:
        needs = f" (needs {action})" if action and ("Denied" in code or "Authoriz" in code) else ""
        self.unknown.append(f"{what}: {code}{needs}")

    def daily(
        self, metrics: Any, what: str, *, now_s: float, statistics: tuple[str, ...], **metric: object
    ) -> list[dict[str, float]] | None:
        """Return one mapping of statistics per day of the last two weeks, oldest first; None: not readable.

        Args:
            metrics: A CloudWatch client.
            what: What is wanted, for the note.
            now_s: The end, epoch seconds.
            statistics: Sum, Average, SampleCount or percentiles (p50).
            metric: Namespace, MetricName and Dimensions.
        """
        end = datetime.fromtimestamp(now_s, tz=UTC)
        plain = [name for name in statistics if not name.startswith("p")]
        ranks = [name for name in statistics if name.startswith("p")]
        wanted: dict[str, object] = {"Statistics": plain} if plain else {}
        if ranks:
            wanted["ExtendedStatistics"] = ranks
        reply = self.ask(
            what,
            metrics.get_metric_statistics,
            "cloudwatch:GetMetricStatistics",
            StartTime=end - timedelta(days=DAYS),
            EndTime=end,
            Period=DAY_S,
            **metric,
            **wanted,
        )
        if reply is None:
            return None
        points = sorted(reply.get("Datapoints", ()), key=lambda point: point["Timestamp"])
        return [{**_numbers(point), **_numbers(point.get("ExtendedStatistics", {}))} for point in points]


def _numbers(point: Mapping[str, object]) -> dict[str, float]:
    return {name: float(value) for name, value in point.items() if isinstance(value, int | float)}


def typical(values: list[float], digits: int = 1) -> float | None:
    """Return the value of a normal day: the median, which one day of outage does not move; None: no day.

    >>> typical([80.0, 82.0, 30_000.0]), typical([])
    (82.0, None)
    """
    return round(median(values), digits) if values else None
