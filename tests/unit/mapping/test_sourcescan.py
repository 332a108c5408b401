"""What a source scan sees, and what it refuses to guess."""

from __future__ import annotations

import pytest

from flyball_analytics.mapping import sourcescan
from flyball_analytics.mapping.sourcescan import scan_source, scan_text

HEAD = """
import os
import boto3, requests, httpx, tenacity, stamina, backoff
from requests import post as send
from tenacity import retry, stop_after_attempt
from botocore.config import Config
T = 4
URL = "https://pay.example"
ALIAS = URL
"""


def one(line: str):
    (seen,) = scan_text(HEAD + line, where="m.py")
    return seen


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("requests.get('https://a.example:8443/x')", "a.example"),
        ("send(URL)", "pay.example"),
        ("httpx.get(ALIAS)", "pay.example"),
        ("requests.get(f'{URL}/x')", "pay.example"),
        ("requests.get(f'https://b.example/{id}')", "b.example"),
        ("requests.get(URL + '/x')", "pay.example"),
        ("requests.get(os.environ['PAYMENTS_API_URL'])", "payments-api"),
        ("requests.get(os.getenv('STOCK_ENDPOINT') + '/x')", "stock"),
        ("requests.request('GET', url=URL)", "pay.example"),
        ("boto3.client('s3')", "s3"),
        ("boto3.Session().resource('dynamodb')", "dynamodb"),
    ],
)
def test_a_target_is_the_host_or_service_or_the_variable_that_holds_it(line, target):
    """Names as people say them, so that the draft is recognised."""
    assert one(line).target == target
    assert "URL" not in " ".join(one(line).unclear)


@pytest.mark.parametrize(
    "line",
    [
        "requests.get(make())",
        "requests.get(f'{make()}/x')",
        "requests.get('https://{host}/')",
        "requests.get()",
    ],
)
def test_a_url_that_is_made_at_run_time_is_unclear(line):
    """It is told with its line; a guess would become a dependency."""
    assert one(line).target.startswith("unknown-m-")
    assert "its URL is not a constant" in one(line).unclear


@pytest.mark.parametrize(
    ("line", "timeout"),
    [
        ("requests.get(URL)", "none"),
        ("requests.get(URL, timeout=None)", "none"),
        ("requests.get(URL, timeout=T)", 4.0),
        ("requests.get(URL, timeout=(1, 2.5))", 3.5),
        ("requests.get(URL, timeout=(1, f()))", None),
        ("requests.get(URL, timeout=f())", None),
        ("requests.get(URL, timeout=True)", None),
        ("httpx.get(URL)", 5.0),
        ("httpx.get(URL, timeout=httpx.Timeout(7))", 7.0),
        ("httpx.Client(timeout=3).get(URL)", 3.0),
        ("boto3.client('sqs')", 60.0),
        ("boto3.client('sqs', config=Config(read_timeout=2))", 2.0),
        ("boto3.client('sqs', config=CONFIG)", None),
    ],
)
def test_a_time_out_is_what_stands_there_or_the_librarys_own(line, timeout):
    """requests waits for ever, httpx 5 s, botocore 60 s: their documentation."""
    assert one(line).timeout_s == timeout


@pytest.mark.parametrize(
    ("config", "attempts"),
    [
        ("", 5),
        (", config=Config(retries={'total_max_attempts': 2})", 2),
        (", config=Config(retries={'max_attempts': 2})", 3),
        (", config=Config(retries={'mode': 'standard'})", 3),
        (", config=Config(retries={'mode': 'legacy'})", 5),
        (", config=Config(retries={'max_attempts': n})", None),
        (", config=Config(retries=R)", None),
    ],
)
def test_botocores_attempts_are_counted_with_the_first(config, attempts):
    """max_attempts counts retries, total_max_attempts counts attempts."""
    layers = one(f"boto3.client('sqs'{config})").layers
    assert layers == (None if attempts is None else {"botocore": attempts})
    assert one("boto3.client('dynamodb')").layers == {"botocore": 10}


@pytest.mark.parametrize(
    ("decorator", "layers"),
    [
        ("retry", {"tenacity": "unlimited"}),
        ("retry(stop=stop_after_attempt(3))", {"tenacity": 3}),
        ("tenacity.retry(stop=stop_after_attempt(T))", {"tenacity": 4}),
        ("retry(stop=stop_after_attempt(f()))", None),
        ("retry(stop=tenacity.stop_after_delay(3))", None),
        ("stamina.retry(on=ValueError)", {"stamina": 10}),
        ("stamina.retry(on=ValueError, attempts=2)", {"stamina": 2}),
        ("backoff.on_exception(backoff.expo, ValueError)", {"backoff": "unlimited"}),
        ("backoff.on_exception(backoff.expo, ValueError, max_tries=6)", {"backoff": 6}),
        ("backoff.on_predicate(backoff.expo, max_time=6)", None),
        ("functools.cache", {}),
    ],
)
def test_retrying_decorators_are_layers(decorator, layers):
    """tenacity and backoff never give up unless they are told to."""
    seen = one(f"@{decorator}\ndef go():\n    return requests.get(URL)\n")
    assert seen.layers == layers
    assert ("its retries are not constants" in seen.unclear) == (layers is None)


def test_two_retrying_decorators_are_two_layers():
    """They multiply, which is why they are looked for."""
    text = "@retry(stop=stop_after_attempt(3))\n@stamina.retry(on=OSError, attempts=2)\n"
    text += "def go():\n    requests.get(URL)\n"
    assert one(text).layers == {"tenacity": 3, "stamina": 2}


def test_a_session_kept_in_an_attribute_is_followed():
    """How most code holds it."""
    text = (
        "class C:\n  def __init__(self):\n    self.http: object = httpx.AsyncClient(timeout=2)\n"
        "  def go(self):\n    return self.http.post(URL)\n"
        "with requests.Session() as s:\n    s.get(URL)\n"
    )
    posted, got = scan_text(HEAD + text, where="m.py")
    assert (posted.timeout_s, posted.idempotent) == (2.0, None)
    assert (got.timeout_s, got.idempotent) == ("none", True)


def test_an_adapter_makes_a_sessions_retries_unclear():
    """urllib3's Retry sits there, and the session does not show it."""
    text = "from requests.adapters import HTTPAdapter\ns = requests.Session()\ns.get(URL)\nx.HTTPAdapter\n"
    assert one(text).layers is None
    assert any("HTTPAdapter" in words for words in one(text).unclear)


def test_a_name_that_is_given_twice_stands_for_nothing():
    """Which value holds depends on what ran before."""
    seen = one("U = 'https://a.example'\nU = 'https://b.example'\nrequests.get(U)\n")
    assert seen.target == "u"


def test_what_only_looks_like_a_call_is_none():
    """A dictionary has `get` too, and a list may be called requests."""
    assert scan_text("d = {}\nd.get('https://a.example')\nclient('s3')\nx.client('s3')\n", where="m.py") == []
    assert (
        scan_text(HEAD + "requests.exceptions.get(1)\nfrom . import requests as r\nr.get(1)\n", where="m.py")
        == []
    )
    unclear = one("boto3.client(name)")
    assert unclear.target.startswith("unknown-aws-")


def test_a_folder_is_read_without_what_was_installed_into_it(tmp_path, monkeypatch):
    """A bundle holds its dependencies; their calls are not the user's."""
    (tmp_path / "a.py").write_text(HEAD + "requests.get(URL)")
    for name in ("site-packages/b.py", ".venv/c.py", "node_modules/d.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(HEAD + "requests.get(URL)")
    (tmp_path / "broken.py").write_text("def (:")
    (tmp_path / "null.py").write_bytes(b"\x00")
    scan = scan_source(tmp_path)
    assert [call.where for call in scan.calls] == [f"{tmp_path / 'a.py'}:10"]
    assert (scan.files, len(scan.skipped)) == (1, 2)
    assert scan_source(tmp_path / "a.py").files == 1
    monkeypatch.setattr(sourcescan, "FILE_BYTES_MAX", 3)
    assert "more than 3 bytes" in scan_source(tmp_path / "a.py").skipped[0]
    with pytest.raises(FileNotFoundError):
        scan_source(tmp_path / "missing")
