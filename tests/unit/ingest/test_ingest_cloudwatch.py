"""History from CloudWatch: as fine as it is kept, paid for once, and continued where it stopped."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from click.testing import CliRunner

from flyball_analytics.cli import cli, ingest_cloudwatch
from flyball_analytics.ingest import cloudwatch
from flyball_analytics.ingest.block import MEASURED_BIT
from flyball_analytics.ingest.cloudwatch import Chunk, PacedClient, plan, reopened
from flyball_analytics.ingest.history import open_history
from flyball_analytics.ingest.manifest import Covered
from flyball_analytics.ingest.pace import TRIES_MAX, Bucket
from flyball_analytics.ingest.store import open_writer
from flyball_controller.aws.cloudwatch import POINTS_MAX, QUERIES_MAX
from flyball_controller.aws.metric_map import client_metrics, lambda_metrics
from flyball_controller.core.model import Quality
from flyball_controller.ports import PortError
from flyball_local.cloudwatch import metric_key
from flyball_local.embedded import EmbeddedAws
from flyball_local.virtualclock import VirtualClock

NOW_S = 1_767_604_800.0  # 2026-01-05T09:20:00Z
DAY_S = 86_400.0
PAY = {"pay": client_metrics("pay")}


class Time:
    """A clock that only moves when somebody sleeps."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.at_s = now_s

    def now_s(self) -> float:
        return self.at_s

    def steady_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds


def put(aws: EmbeddedAws, metric: str, value: float, *, ago_s: float, target: str = "pay") -> None:
    key = metric_key("flyball", metric, {"target": target})
    at_s = NOW_S - ago_s
    aws.cloudwatch.store.put(key, value, at_s=at_s, now_s=at_s + 120.0, unit="Count")


@pytest.fixture
def aws():
    """An account with a few minutes of one target, some of them old."""
    with EmbeddedAws(VirtualClock(NOW_S)) as account:
        for ago_s in (70 * DAY_S, 20 * DAY_S, 7_200.0, 3_600.0, 3_540.0):
            for metric, value in (("requests", 100.0), ("timeouts", 3.0), ("errors_fast", 0.0)):
                put(account, metric, value, ago_s=ago_s)
        put(account, "requests", -5.0, ago_s=600.0)
        yield account


def paced(client, time: Time, **options) -> PacedClient:
    bucket = Bucket(1e6, 1e6, time.steady_s, time.sleep)
    return PacedClient(
        client, bucket=bucket, sleep=time.sleep, draws=Random(1), told=options.pop("told", str), **options
    )


def read(
    folder: Path, client, *, from_s: float = NOW_S - 80 * DAY_S, now_s: float = NOW_S, stop: int = 10**9
):
    """Run over an account, giving up after `stop` chunks."""
    with open_writer(folder) as writer:
        source = writer.source("cloudwatch", "c", {})
        covered = reopened(source[0].covered) if source[0].complete else source[0].covered
        planned = plan(PAY, covered, from_s=from_s, to_s=now_s - 20.0, now_s=now_s, period_s=60)
        client = paced(client, Time())
        run = cloudwatch.run(writer, source, PAY, client, planned, now_s=now_s, delay_s=20.0)
        for number, _ in enumerate(run, start=1):
            if number >= stop:
                break
    return planned


def test_every_part_of_the_range_comes_at_the_finest_period_that_is_kept(aws, tmp_path):
    """Minutes for 15 days, five minutes for 63, hours for 455."""
    read(tmp_path, aws.client("cloudwatch"))
    seen = open_history(tmp_path).series("pay").observations
    assert [o.period_s for o in seen] == [3_600.0, 300.0, 60.0, 60.0, 60.0, 60.0]
    assert [(o.requests, o.timeouts) for o in seen[:5]] == [(100, 3)] * 5
    assert seen[5].quality == Quality.INVALID
    assert all(o.arrived_s == o.start_s + o.period_s + 20.0 for o in seen)
    assert [f.kind.value for f in open_history(tmp_path).findings()] == ["problem"]
    bits = open_history(tmp_path).block("pay")["measured"][2]
    assert bits == MEASURED_BIT["requests"] | MEASURED_BIT["timeouts"] | MEASURED_BIT["errors_fast"]


def test_seconds_are_asked_for_where_they_are_still_kept():
    """High-resolution metrics live for three hours; then minutes."""
    planned = plan(PAY, {}, from_s=NOW_S - DAY_S, to_s=NOW_S, now_s=NOW_S, period_s=1)
    spans = [chunk.span for chunk in planned.chunks]
    assert [span.period_s for span in spans] == [1, 60]
    assert (spans[0].start_s, spans[0].end_s) == (NOW_S - 7_200.0 + 2_400.0, NOW_S)
    assert (spans[1].start_s, spans[1].end_s) == (NOW_S - DAY_S, spans[0].start_s)


def test_a_killed_run_continues_where_it_stopped_and_ends_with_the_same_files(aws, tmp_path):
    """What was paid for is not paid for again, and nothing shows where the cut was."""
    client = aws.client("cloudwatch")
    whole = read(tmp_path / "calm", client)
    assert len(whole.chunks) > 5
    read(tmp_path / "cut", client, stop=3)
    rest = read(tmp_path / "cut", client)
    assert len(rest.chunks) == len(whole.chunks) - 3
    assert (tmp_path / "cut" / "manifest.json").read_bytes() == (
        tmp_path / "calm" / "manifest.json"
    ).read_bytes()
    assert list(open_history(tmp_path / "cut").verify()) == []


def test_a_complete_history_is_extended_and_says_what_was_revised(aws, tmp_path):
    """Late points change the last hours: they are read again."""
    client = aws.client("cloudwatch")
    read(tmp_path, client, from_s=NOW_S - DAY_S)
    put(aws, "timeouts", 4.0, ago_s=3_600.0)
    aws.clock.advance(600.0)
    again = read(tmp_path, client, from_s=NOW_S - DAY_S, now_s=NOW_S + 600.0)
    (chunk,) = again.chunks
    assert (chunk.span.start_s, chunk.span.end_s) == (NOW_S - 60.0 - 10_800.0, NOW_S + 540.0)
    revised = [f for f in open_history(tmp_path).findings() if f.kind == "revised"]
    assert [f.detail for f in revised] == ["requests 100 -> 100, failures 3 -> 7"]
    assert "duplicate" not in json.loads((tmp_path / "manifest.json").read_text())["sources"][0]["findings"]


def test_calls_hold_what_the_service_takes_and_cost_as_little_as_possible():
    """Long ranges of few metrics: the price is per metric and call."""
    maps = {f"t{i}": client_metrics(f"t{i}") for i in range(120)}
    long = plan(maps, {}, from_s=NOW_S - 14 * DAY_S, to_s=NOW_S, now_s=NOW_S, period_s=60)
    short = plan(maps, {}, from_s=NOW_S - 600.0, to_s=NOW_S, now_s=NOW_S, period_s=60)
    for chunk in (*long.chunks, *short.chunks):
        assert chunk.metrics <= QUERIES_MAX
        assert chunk.points <= POINTS_MAX
    assert long.metrics == 120 * 10 * math.ceil(14 * 1_440 / (POINTS_MAX // 10))
    assert [len(chunk.targets) for chunk in short.chunks] == [50, 50, 20]
    assert short.usd == pytest.approx(0.012)


class Throttled:
    """A service that refuses some calls."""

    def __init__(self, client, *errors: Exception) -> None:
        self._client, self._errors = client, list(errors)
        self.calls = 0

    def get_metric_data(self, **arguments):
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return self._client.get_metric_data(**arguments)


def refusal(code: str, status: int = 400) -> ClientError:
    reply = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(reply, "GetMetricData")


def test_throttling_is_waited_out_and_told(aws, tmp_path):
    """The user sees why it takes long; the run does not fail."""
    sentences: list[str] = []
    errors = [
        refusal("Throttling"),
        refusal("InternalServiceFault", 500),
        EndpointConnectionError(endpoint_url="x"),
    ]
    time = Time()
    client = paced(Throttled(aws.client("cloudwatch"), *errors), time, told=sentences.append)
    query = {
        "Id": "m0",
        "MetricStat": {"Metric": {"Namespace": "n", "MetricName": "m"}, "Period": 60, "Stat": "Sum"},
    }
    client.get_metric_data(MetricDataQueries=[query], StartTime=NOW_S - 60.0, EndTime=NOW_S)
    assert len(sentences) == 3
    assert "try 1 of 10" in sentences[0]
    assert time.at_s > NOW_S
    assert client.asked == 1


@pytest.mark.parametrize(
    ("error", "count"),
    [(refusal("AccessDenied", 403), 1), (NoCredentialsError(), 1), (refusal("Throttling"), 10)],
)
def test_what_waiting_cannot_mend_ends_the_run(aws, tmp_path, error, count):
    """A missing permission stays missing; endless throttling is an answer too."""
    throttled = Throttled(aws.client("cloudwatch"), *[error] * TRIES_MAX)
    with pytest.raises(PortError):
        read(tmp_path, throttled)
    assert throttled.calls == count
    assert (
        not json.loads((tmp_path / "manifest.json").read_text())["sources"]
        if (tmp_path / "manifest.json").exists()
        else True
    )


def test_an_unanswered_query_is_not_read_as_no_errors(aws, tmp_path):
    """A lost error count would read as health."""

    class Forbidden:
        def get_metric_data(self, **arguments):
            queries = arguments["MetricDataQueries"]
            return {"MetricDataResults": [{"Id": q["Id"], "StatusCode": "Forbidden"} for q in queries]}

    with pytest.raises(PortError, match="could not answer for pay"):
        read(tmp_path, Forbidden())


# --- as a user runs it --------------------------------------------------------------------


@pytest.fixture
def flyball(aws, tmp_path, monkeypatch):
    """Run the command against the embedded account at its own time."""
    monkeypatch.setattr(ingest_cloudwatch, "SystemClock", Time)
    monkeypatch.setattr(ingest_cloudwatch, "_client", lambda region: aws.client("cloudwatch"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, command: str = "cloudwatch", **options):
        words = ["ingest", command, *arguments] if command else list(arguments)
        return CliRunner().invoke(cli, words, **options)

    return run


def test_the_price_is_told_before_anything_is_read(flyball, tmp_path):
    """Nobody likes a bill that he did not expect."""
    dry = flyball("--target", "pay", "--days", "1", "--dry-run", "-o", "h")
    assert dry.stdout.endswith(
        "1 calls, 10 metrics requested: about $0.0001 (list price of us-east-1, 2026-11)\n"
    )
    assert not (tmp_path / "h").exists()
    plain = flyball("--target", "pay", "--days", "1", "-o", "h")
    assert plain.exit_code == 2
    assert "about $0.0001: give --yes or --max-cost" in plain.stderr
    dear = flyball("--target", "pay", "--days", "1", "--max-cost", "0.00001", "-o", "h")
    assert dear.exit_code == 1
    assert "more than --max-cost 1e-05" in dear.stderr
    document = json.loads(
        flyball("--target", "pay", "--days", "1", "--dry-run", "--format", "json", "-o", "h").stdout
    )
    assert (document["schema"], document["metrics"], document["usd"]) == (1, 10, 0.0001)


def test_embedded_cloudwatch_to_history_to_replay(flyball, tmp_path):
    """The whole way, twice: the second run reads the last hours only."""
    first = flyball("--target", "pay", "--days", "80", "--max-cost", "1", "--format", "json", "-o", "h")
    assert first.exit_code == 0, first.output
    document = json.loads(first.stdout)
    assert (document["rows"], document["complete"], document["findings"]["problem"]) == (6, True, 1)
    again = json.loads(
        flyball("--target", "pay", "--days", "80", "--yes", "--format", "json", "-o", "h").stdout
    )
    assert again["metrics_requested"] == 10 < document["metrics_requested"]
    assert flyball("h", command="verify").exit_code == 0
    replayed = flyball("replay", "h", "--summary", command="")
    assert replayed.exit_code == 0, replayed.output
    assert "pay" in replayed.stdout


def test_a_run_that_grows_too_dear_stops_and_keeps_what_it_has(flyball, monkeypatch, tmp_path):
    """Pages may be billed again: the bound holds for what is really asked."""
    monkeypatch.setattr(ingest_cloudwatch, "_consent", lambda usd, options: None)
    stopped = flyball("--target", "pay", "--days", "80", "--max-cost", "0.0003", "-o", "h")
    assert stopped.exit_code == 1
    assert "asked for 30 metrics ($0.0003), more than --max-cost allows" in stopped.stderr
    assert (
        len(json.loads((tmp_path / "h" / "manifest.json").read_text())["sources"][0]["covered"]["pay"]) >= 1
    )


def test_functions_and_map_files_name_other_metrics(flyball, tmp_path):
    """For targets that do not run the client."""
    (tmp_path / "maps.yaml").write_text(
        "targets:\n"
        "  quotes: {namespace: Shop, dimensions: {service: q}, requests: [Requests], errors_fast: [Errors],\n"
        "           latency: Latency, latency_unit: s}\n"
        "  orders: {lambda: orders-prod}\n"
        "  mail: {client: true, namespace: other}\n"
    )
    both = flyball(
        "--lambda",
        "pay-fn=pay",
        "--map",
        "maps.yaml",
        "--days",
        "1",
        "--dry-run",
        "--format",
        "json",
        "-o",
        "h",
    )
    assert json.loads(both.stdout)["metrics"] == 5 + 4 + 5 + 10
    for arguments, message in (
        (("--lambda", "pay", "--target", "pay"), "named twice"),
        (("--target", "mail", "--map", "maps.yaml"), "named on the command line, too"),
        ((), "whose metrics?"),
        (("--target", "pay", "--from", "2026-01-06"), "must be before the end"),
        (("--target", "pay", "--from", "2026-01-01", "--days", "2"), "not both"),
    ):
        failed = flyball(*arguments, "-o", "h")
        assert failed.exit_code == 2
        assert message in failed.stderr


def test_the_user_is_asked_where_there_is_one(flyball, monkeypatch, aws):
    """A terminal gets a question; no is no."""

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    options = ingest_cloudwatch.Options(
        ("pay",),
        (),
        None,
        "flyball",
        None,
        None,
        None,
        "60",
        20.0,
        1.0,
        None,
        False,
        None,
        Path("h"),
        None,
        False,
        "text",
    )
    monkeypatch.setattr(ingest_cloudwatch.sys, "stdin", Terminal())
    monkeypatch.setattr(
        ingest_cloudwatch.click, "confirm", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        ingest_cloudwatch._consent(0.5, options)
    assert ingest_cloudwatch._consent(0.0, options) is None


def test_chunks_count_their_points():
    """The unit of the service's limit."""
    (chunk,) = plan(
        {"f": lambda_metrics("f")}, {}, from_s=NOW_S - 600, to_s=NOW_S, now_s=NOW_S, period_s=60
    ).chunks
    assert isinstance(chunk, Chunk)
    assert (chunk.metrics, chunk.points) == (5, 50)
    assert reopened({"f": [Covered(0.0, 7_200.0, 60.0), Covered(7_200.0, 20_000.0, 60.0)]}) == {
        "f": [Covered(0.0, 7_200.0, 60.0), Covered(7_200.0, 9_200.0, 60.0)]
    }
