"""`flyball ingest prometheus`: range queries of the HTTP API into a history.

A sample at time t speaks for the step that ends at t. Counters are read raw, per
series, and their growth is added up here: a value below the one before is a reset,
and what it shows has grown since. A series that appears has no growth in its first
step, and one with a hole none in the step after it (the same reading as PromQL's
`increase`, without extrapolation). What the numbers then mean is decided by the
reader of CSV rows, so that both sources are checked alike.

Source: Prometheus documentation, "HTTP API: range queries" (at most 11,000 points
per series). Nothing here reads a clock.
"""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import NamedTuple

from flyball_analytics.columns import Columns, Field
from flyball_analytics.ingest.block import block_of
from flyball_analytics.ingest.findings import FindingKind, Findings
from flyball_analytics.ingest.manifest import Covered, Source, cover, uncovered
from flyball_analytics.ingest.mapping import PrometheusMap, Query, SampleKind
from flyball_analytics.ingest.pace import Bucket, Refused, patiently
from flyball_analytics.ingest.store import HistoryWriter, Rule
from flyball_analytics.problems import ProblemLog
from flyball_analytics.rows import RowReader
from flyball_controller.core.model import Observation
from flyball_controller.ports import PortError

BACKEND = "prometheus"
POINTS_MAX = 11_000  # per series and query, the server's limit
REPLY_BYTES_MAX = 1 << 28
TIMEOUT_S = 120.0
RATE_PER_S = 5.0  # queries; a range query over days is work for the server
COVERED_KEY = "*"  # queries give all targets at once
_AGAIN = (429, 500, 502, 503, 504)

Fetch = Callable[[str, Mapping[str, str]], bytes]
# target -> start of the step -> field -> value
Steps = dict[str, dict[float, dict[Field, float]]]


class Window(NamedTuple):
    """Steps whose ends lie in (start_s, end_s]."""

    start_s: float
    end_s: float


def windows(covered: list[Covered], *, from_s: float, to_s: float, step_s: float) -> list[Window]:
    """Return the ranges that are missing, each small enough for one query."""
    begin_s, end_s = math.ceil(from_s / step_s) * step_s, math.floor(to_s / step_s) * step_s
    longest_s = (POINTS_MAX - 1) * step_s  # both ends are samples
    found = []
    for a, b in uncovered(covered, begin_s, end_s):
        at_s = a
        while at_s < b:
            found.append(Window(at_s, min(b, at_s + longest_s)))
            at_s = found[-1].end_s
    return found


def http_fetch(base: str, *, token: str) -> Fetch:
    """Return a function that gets a path with parameters from a server.

    Args:
        base: Address, http or https.
        token: Sent as bearer token if it is not empty; never printed.

    Raises:
        PortError: From the function: the server cannot be reached or refuses.
    """
    if urllib.parse.urlsplit(base).scheme not in ("http", "https"):
        raise PortError(f"{base}: must begin with http:// or https://", backend=BACKEND, retryable=False)

    def fetch(path: str, parameters: Mapping[str, str]) -> bytes:
        data = urllib.parse.urlencode(parameters).encode()
        url = f"{base.rstrip('/')}{path}"
        request = urllib.request.Request(url, data=data, method="POST")  # noqa: S310 - scheme checked
        if token:  # a redirect may lead to another host, which must not get it
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310 - scheme checked
                body: bytes = reply.read(REPLY_BYTES_MAX + 1)
        except urllib.error.HTTPError as error:
            problem = PortError(
                f"{url}: {error.code} {_reason(error.read(65_536))}; check the query and the token",
                backend=BACKEND,
                retryable=error.code in _AGAIN,
            )
            if error.code in _AGAIN:
                raise Refused(problem, throttled=error.code == 429, after_s=_after_s(error)) from error
            raise problem from error
        except (OSError, ValueError) as error:
            problem = PortError(f"{url}: no reply ({error})", backend=BACKEND, retryable=True)
            raise Refused(problem, throttled=False) from error
        if len(body) > REPLY_BYTES_MAX:
            raise PortError(
                f"{url}: over {REPLY_BYTES_MAX} bytes came back: aggregate in the query, e.g. sum by (...)",
                backend=BACKEND,
                retryable=False,
            )
        return body

    return fetch


def _after_s(error: urllib.error.HTTPError) -> float:
    text = error.headers.get("Retry-After", "")
    return min(float(text), 120.0) if text.isdigit() else 0.0


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])[:500]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body[:200].decode("utf-8", "replace")


class PrometheusIngest:
    """One run of range queries.

    Args:
        writer: The history.
        source: Of this command, with its findings.
        mapping: The queries.
        fetch: Gets a path with parameters; see `http_fetch`.
        delay_s: How long after its end a step could be read.
        bucket: Rate in queries per second.
        sleep: Waits so many seconds.
        told: Gets a sentence for the user after each refusal.
    """

    def __init__(
        self,
        writer: HistoryWriter,
        source: tuple[Source, Findings],
        mapping: PrometheusMap,
        fetch: Fetch,
        *,
        delay_s: float,
        bucket: Bucket,
        sleep: Callable[[float], object],
        told: Callable[[str], object],
    ) -> None:
        self._writer = writer
        self._source, self._findings = source
        self._mapping, self._fetch, self._delay_s = mapping, fetch, delay_s
        self._bucket, self._sleep, self._told = bucket, sleep, told
        self._draws = Random(0)

    def run(self, planned: list[Window]) -> Iterator[Window]:
        """Read the ranges in order and commit each; yield it when it is durable.

        Raises:
            PortError: If the server fails for good; what was read before is kept.
        """
        self._source.complete = False
        for window in planned:
            steps: Steps = {}
            for query in self._mapping.queries:
                self._read(query, window, steps)
            for target, rows in sorted(steps.items()):
                self._write(target, rows)
            stretch = Covered(window.start_s, window.end_s, self._mapping.step_s)
            self._source.covered[COVERED_KEY] = cover(self._source.covered.get(COVERED_KEY, []), stretch)
            self._writer.commit(self._source, self._findings)
            yield window
        self._source.complete = True
        self._writer.commit(self._source, self._findings)

    def _read(self, query: Query, window: Window, steps: Steps) -> None:
        step_s = self._mapping.step_s
        first_s = window.start_s if query.kind is SampleKind.COUNTER else window.start_s + step_s
        parameters = {
            "query": query.query,
            "start": f"{first_s:.3f}",
            "end": f"{window.end_s:.3f}",
            "step": f"{step_s:g}",
        }
        body = patiently(
            lambda: self._fetch("/api/v1/query_range", parameters),
            bucket=self._bucket,
            tokens=1.0,
            sleep=self._sleep,
            draws=self._draws,
            told=self._told,
        )
        for labels, samples in _matrix(body, query):
            target = labels.get(self._mapping.label, "") if self._mapping.label else self._mapping.target
            self._source.points += len(samples)
            if not target:
                self._findings.count(FindingKind.FOREIGN, len(samples))
                continue
            rows = steps.setdefault(target, {})
            for end_s, value in values_of(samples, query.kind, step_s):
                fields = rows.setdefault(end_s - step_s, {})
                if query.field in fields and query.kind is SampleKind.GAUGE:
                    self._findings.add(
                        FindingKind.PROBLEM,
                        f"{query.field}: several series, the larger stands: aggregate in the query",
                        target=target,
                        at_s=end_s - step_s,
                    )
                    fields[query.field] = max(value, fields[query.field])
                else:
                    fields[query.field] = fields.get(query.field, 0.0) + value

    def _write(self, target: str, rows: Mapping[float, Mapping[Field, float]]) -> None:
        fields = tuple(query.field for query in self._mapping.queries)
        header = (Field.TIMESTAMP.value, *(field.value for field in fields))
        position = {Field.TIMESTAMP: 0, **{field: i for i, field in enumerate(fields, start=1)}}
        log = ProblemLog()
        reader = RowReader(Columns(position, header, ()), path=BACKEND, target=target, now_s=None, log=log)
        found: list[Observation] = []
        for number, (start_s, values) in enumerate(sorted(rows.items()), start=1):
            if Field.REQUESTS not in values:
                continue  # nothing was measured: silence is not zero
            # A counter that does not exist yet has counted nothing.
            absent = {q.field: 0.0 for q in self._mapping.queries if q.kind is not SampleKind.GAUGE}
            cells = [repr(start_s), *(_cell({**absent, **values}.get(field)) for field in fields)]
            row = reader.read(number, cells)
            if row is not None:
                step_s = self._mapping.step_s
                arrived_s = start_s + step_s + self._delay_s
                found.append(row.observation._replace(period_s=step_s, arrived_s=arrived_s))
        self._findings.add_problems(log.kept, total=sum(log.counts.values()), target=target)
        self._writer.add(target, block_of(found), Rule(), self._findings)


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _matrix(body: bytes, query: Query) -> Iterator[tuple[Mapping[str, str], list[tuple[float, float]]]]:
    """Yield labels and samples of every series in a reply."""
    try:
        document = json.loads(body)
        if document["status"] != "success" or document["data"]["resultType"] != "matrix":
            raise ValueError(str(document.get("error", document.get("status"))))
        for series in document["data"]["result"]:
            labels = {str(name): str(value) for name, value in series["metric"].items()}
            samples = [(float(at), float(value)) for at, value in series["values"]]
            yield labels, [(at, value) for at, value in samples if math.isfinite(at)]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PortError(
            f"the reply to {query.query!r} is no range of series "
            f"({type(error).__name__}: {str(error)[:200]}): "
            "is this the address of a Prometheus server?",
            backend=BACKEND,
            retryable=False,
        ) from error


def values_of(
    samples: list[tuple[float, float]], kind: SampleKind, step_s: float
) -> Iterator[tuple[float, float]]:
    """Yield (end of the step, value) of one series; samples that say nothing (NaN, infinite) are left out.

    >>> list(values_of([(0.0, 5.0), (60.0, 9.0), (120.0, 2.0)], SampleKind.COUNTER, 60.0))
    [(60.0, 4.0), (120.0, 2.0)]
    >>> list(values_of([(60.0, 0.5)], SampleKind.RATE, 60.0))
    [(60.0, 30.0)]
    """
    before: tuple[float, float] | None = None
    for at_s, value in samples:
        if not math.isfinite(value):
            before = None
            continue
        if kind is SampleKind.COUNTER:
            if before is not None and abs(at_s - before[0] - step_s) < 0.5 * step_s:
                yield at_s, value - before[1] if value >= before[1] else value
            before = (at_s, value)
        else:
            yield at_s, value * step_s if kind is SampleKind.RATE else value
