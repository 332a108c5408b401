"""History from Prometheus: counters with resets, ranges in pieces, and a server that says no."""

from __future__ import annotations

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.cli import cli, ingest_prometheus
from flyball_analytics.ingest import mapping as mapping_module
from flyball_analytics.ingest import prometheus
from flyball_analytics.ingest.history import open_history
from flyball_analytics.ingest.manifest import Covered
from flyball_analytics.ingest.mapping import SampleKind, read_csv_map, read_metric_maps, read_prometheus_map
from flyball_analytics.ingest.prometheus import POINTS_MAX, values_of, windows
from flyball_analytics.problems import SeriesError
from flyball_analytics.scenarios.node import ScenarioError

NOW_S = 1_767_604_800.0
MAP = """
step: 60s
target_label: service
fields:
  requests: {query: http_requests_total, as: counter}
  errors: {query: 'http_requests_total{code="500"}', as: counter}
  latency_p99_s: {query: p99, as: gauge}
  retries: {query: retry_rate, as: rate}
"""


class Time:
    at_s: ClassVar[float] = NOW_S

    def now_s(self) -> float:
        return NOW_S

    def steady_s(self) -> float:
        return self.at_s


class Server(BaseHTTPRequestHandler):
    """Enough of a Prometheus: each query is a function of time per series."""

    series: ClassVar[dict[str, list[tuple[dict[str, str], object]]]] = {}
    trouble: ClassVar[list[tuple[int, bytes]]] = []
    asked: ClassVar[list[dict[str, list[str]]]] = []

    def do_POST(self) -> None:
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.asked.append({**form, "token": [self.headers.get("Authorization", "")]})
        if self.trouble:
            status, body = self.trouble.pop(0)
            self._reply(status, body)
            return
        start_s, end_s, step_s = (float(form[k][0]) for k in ("start", "end", "step"))
        assert (end_s - start_s) / step_s < POINTS_MAX
        result = []
        for labels, value in self.series.get(form["query"][0], []):
            at = [start_s + i * step_s for i in range(round((end_s - start_s) / step_s) + 1)]
            values = [[t, str(v)] for t in at if (v := value(t)) is not None]
            if values:
                result.append({"metric": labels, "values": values})
        body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        self._reply(200, json.dumps(body).encode())

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    Server.asked, Server.trouble = [], []
    minute = lambda t: round((t - NOW_S) / 60.0)  # noqa: E731 - a unit
    Server.series = {
        "http_requests_total": [
            # Two instances; one restarts ten minutes before the end and begins at zero.
            ({"service": "pay", "pod": "a"}, lambda t: 10_000 + 100 * minute(t)),
            (
                {"service": "pay", "pod": "b"},
                lambda t: 50 * (minute(t) + 10) if minute(t) >= -10 else 9_000 + 50 * minute(t),
            ),
            ({"job": "node"}, lambda t: 1.0),
        ],
        'http_requests_total{code="500"}': [
            ({"service": "pay"}, lambda t: 2 * minute(t) + 9_999 if minute(t) > -30 else None)
        ],
        "p99": [({"service": "pay"}, lambda t: 0.25 if minute(t) % 2 else "NaN")],
        "retry_rate": [({"service": "pay"}, lambda t: 0.5)],
    }
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def flyball(monkeypatch, tmp_path):
    monkeypatch.setattr(ingest_prometheus, "SystemClock", Time)
    monkeypatch.setattr(ingest_prometheus.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "map.yaml").write_text(MAP)
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(
        cli, ["ingest", "prometheus", *words, "--map", "map.yaml", "-o", "h"]
    )


def test_counters_of_all_instances_are_added_up_over_a_restart(flyball, url, monkeypatch):
    """150 requests a minute, whatever a pod does; and nothing for what was never measured."""
    monkeypatch.setenv("FLYBALL_PROMETHEUS_TOKEN", "secret")
    done = flyball(url, "--from", "2026-01-05T08:00:00Z", "--format", "json")
    assert done.exit_code == 0, done.output
    assert "secret" not in done.output
    document = json.loads(done.stdout)
    assert document["targets"] == {"pay": 79}
    assert document["findings"]["foreign"] == 80
    seen = open_history(Path("h")).series("pay").observations
    # At the restart pod b went from 8,450 to 0: what it shows, nothing, has grown since.
    assert sorted({o.requests for o in seen}) == [100, 150]
    assert [o.errors_fast for o in seen].count(2) == 28
    assert seen[0].errors_fast == 0
    assert {o.latency_ms_p99 for o in seen} == {250.0, -1.0}
    assert {o.attempts - o.requests for o in seen} == {30}
    assert all(b.start_s - a.start_s == 60.0 for a, b in pairwise(seen))
    assert Server.asked[0]["token"] == ["Bearer secret"]


def test_long_ranges_are_asked_in_pieces_and_continued_after_a_failure(flyball, url):
    """The server takes 11,000 points; a run that fails in the middle goes on there."""
    whole = flyball(url, "--days", "9", "--dry-run")
    assert "8 range queries" in whole.stdout
    Server.trouble = [(200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}')] * 4
    Server.trouble += [(422, b'{"error":"bad query"}')]
    failed = flyball(url, "--days", "9")
    assert failed.exit_code == 5
    assert "422 bad query; check the query and the token" in failed.stderr
    Server.asked = []
    assert flyball(url, "--days", "9").exit_code == 0
    assert len(Server.asked) == 4
    assert flyball(url, "--days", "9").exit_code == 0
    assert len(Server.asked) == 4


def test_a_busy_server_is_waited_for(flyball, url):
    """429 and 503 pass; the user is told."""
    Server.trouble = [(503, b"x"), (429, b'{"error":"slow down"}')]
    done = flyball(url, "--days", "0.1")
    assert done.exit_code == 0
    assert done.stderr.count("waiting") == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "no range of series"),
        (b'{"status":"error","error":"oops"}', "oops"),
        (b"[]", "no range of series"),
    ],
)
def test_what_is_no_prometheus_is_told(flyball, url, body, message):
    """A wrong port answers something, too."""
    Server.trouble = [(200, body)]
    failed = flyball(url, "--days", "0.1")
    assert failed.exit_code == 5
    assert message in failed.stderr


def test_a_server_that_is_not_there_is_told(flyball, url, monkeypatch):
    """After ten tries, with the address."""
    failed = flyball("http://127.0.0.1:9", "--days", "0.1")
    assert failed.exit_code == 5
    assert "no reply" in failed.stderr
    assert "must begin with http" in flyball("ftp://x", "--days", "0.1").stderr
    monkeypatch.setattr(prometheus, "REPLY_BYTES_MAX", 10)
    assert "aggregate in the query" in flyball(url, "--days", "0.1").stderr
    assert "must be before" in flyball(url, "--from", "2026-01-06").stderr
    assert "not both" in flyball(url, "--from", "2026-01-01", "--days", "1").stderr


@given(st.lists(st.integers(0, 1_000), min_size=2, max_size=20), st.sets(st.integers(1, 19)))
def test_the_growth_of_a_counter_is_what_happened_since_whatever_restarts(steps, restarts):
    """Adding up the increases gives every event that came after the last look before a restart."""
    value, samples, expected = 0, [(0.0, 0.0)], []
    for number, step in enumerate(steps, start=1):
        value = step if number in restarts else value + step
        expected.append(step if number not in restarts or value < samples[-1][1] else value - samples[-1][1])
        samples.append((60.0 * number, float(value)))
    assert [v for _, v in values_of(samples, SampleKind.COUNTER, 60.0)] == expected


def test_a_hole_in_a_counter_is_not_one_big_step():
    """An hour of requests in one minute would look like a storm."""
    samples = [(0.0, 1.0), (60.0, 2.0), (240.0, 100.0), (300.0, float("nan")), (360.0, 101.0), (420.0, 103.0)]
    assert list(values_of(samples, SampleKind.COUNTER, 60.0)) == [(60.0, 1.0), (420.0, 2.0)]
    assert list(values_of([(60.0, 7.0)], SampleKind.COUNT, 60.0)) == [(60.0, 7.0)]


def test_ranges_leave_out_what_is_covered():
    """On the grid of the step."""
    found = windows([Covered(600.0, 1_200.0, 60.0)], from_s=30.0, to_s=1_810.0, step_s=60.0)
    assert [tuple(w) for w in found] == [(60.0, 600.0), (1_200.0, 1_800.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fields: {}", "exactly one of target_label"),
        ("target: x", "needs `fields:`"),
        ("target: x\nfields: {requests: {query: q, as: counter}}", "needs requests and one of"),
        (
            "target: x\nfields: {requests: {query: q, as: gauge}, errors: {query: q, as: rate}}",
            "must be one of counter",
        ),
        ("target: x\nfields: {requests: {query: q}, errors: {query: q, as: rate}}", "needs `as:`"),
        ("target: x\nfields: {requests: {as: rate}, errors: {query: q, as: rate}}", "needs `query:`"),
        ("target: x\nfields: {reqests: {query: q}}", "did you mean 'requests'"),
    ],
)
def test_a_mapping_for_prometheus_says_what_is_wrong_and_where(tmp_path, text, message):
    """With file and line: the file is the user's."""
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"m\.yaml:") as caught:
        read_prometheus_map(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("targets: {a: {}}", "needs 'namespace'"),
        ("targets: {a: {lambda: f, requests: [x]}}", "no meaning beside 'lambda'"),
        ("targets: {a: {namespace: n, requests: [x]}}", "needs a metric of failures"),
        (
            "targets: {a: {namespace: n, requests: [x], timeouts: y, latency_unit: h}}",
            "must be one of us, ms, s",
        ),
    ],
)
def test_a_mapping_for_cloudwatch_says_what_is_wrong_and_where(tmp_path, text, message):
    """The same for metric maps."""
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"m\.yaml:") as caught:
        read_metric_maps(path)
    assert message in str(caught.value)
    path.write_text("target: x")
    with pytest.raises(ScenarioError, match="unknown key"):
        read_metric_maps(path)
    path.write_text("{}")
    with pytest.raises(SeriesError, match="needs `targets:`"):
        read_metric_maps(path)
    with pytest.raises(SeriesError, match="cannot be read"):
        read_csv_map(tmp_path / "none")
    assert mapping_module.CsvMap({}, "", None, 0.0).delay_s == 0.0


def test_one_target_without_a_label_and_two_series_of_a_gauge(flyball, url, tmp_path):
    """The larger latency stands, and it is said."""
    Server.series["p99"].append(({"service": "pay", "pod": "b"}, lambda t: 0.5))
    (tmp_path / "map.yaml").write_text(MAP.replace("target_label: service", "target: all"))
    done = json.loads(flyball(url, "--days", "0.02", "--format", "json").stdout)
    assert list(done["targets"]) == ["all"]
    assert done["findings"]["problem"] > 0
    assert {o.latency_ms_p99 for o in open_history(Path("h")).series("all").observations} == {500.0}
