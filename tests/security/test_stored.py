"""What others may have written: stored states, policies, plans, items; and what must never leave."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import flyball
from flyball.clock import SystemClock
from flyball.environment import Runtime
from flyball.errors import SettingsError, printable
from flyball.faults_json import turn_on
from flyball_analytics.ingest.prometheus import http_fetch
from flyball_controller.aws.tables import read_version
from flyball_controller.codec import _LAW, canonical_json, decode_state, encode_state
from flyball_controller.core.errors import CheckpointError, PolicyError
from flyball_controller.core.fleet import FleetState
from flyball_controller.core.state import initial_state
from flyball_controller.fakes import MemoryCheckpoints
from flyball_controller.fleet_codec import decode_fleet
from flyball_controller.operate import KIND, PLAN_SCHEMA, PlanError, _digest, decode_plan
from flyball_controller.policy_set import compile_set, load_compiled, load_preset
from flyball_controller.policy_store import POINTER_KEY, read_pointer
from flyball_controller.ports import Checkpoint
from flyball_handlers.envelopes import read_delivery
from flyball_handlers.events import Expected
from fuzz.doors import all_doors

POLICY = load_preset("two-loop").default
STATE = initial_state(POLICY)
BASE = STATE.baseline


def forged(**changes: float) -> bytes:
    """A state with other numbers in its baseline and a checksum that fits."""
    return encode_state(STATE._replace(baseline=BASE._replace(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"dispersion": 0.0},
        {"dispersion": 1e308},
        {"requests_ew": 1e308},
        {"failures_ew": 5.0, "requests_ew": 4.0},
        {"spread": -0.5},
        {"hour_best": 1e6},
        {"chronic": 1.5},
        {"latency_ms": -7.0},
        {"hour_index": -9},
        {"hour_failures": 7e-87, "hour_requests": 7e-320},  # a ratio of 1e233 cannot be stored
    ],
    ids=str,
)
def test_a_state_that_no_step_can_have_made_is_refused(changes: dict[str, float]) -> None:
    """Found by fuzzing: the checksum fitted, and the law divided by zero in every round after it."""
    with pytest.raises(CheckpointError):
        decode_state(forged(**changes))


def test_a_state_s_evidence_and_counters_are_bounded() -> None:
    """Evidence of -1e307 s became -infinity in the next window; a counter at its end could not be saved."""
    with pytest.raises(CheckpointError):
        decode_state(encode_state(STATE._replace(rarity=STATE.rarity._replace(any_s=-1e307))))
    with pytest.raises(CheckpointError):
        decode_state(encode_state(STATE._replace(law=STATE.law._replace(clean_count=2**32 - 1))))
    for changes in ({"sequence": 2**63 - 1}, {"seen_s": 1e13}):
        with pytest.raises(CheckpointError):
            decode_state(encode_state(STATE._replace(**changes)))
    assert decode_state(forged(requests_ew=1e9, failures_ew=1e9)).baseline.requests_ew == 1e9


@pytest.mark.parametrize(
    "changes",
    [
        {"max_attempts": 65_540},
        {"max_attempts": 0},
        {"budget_ratio": 3.5},
        {"throttle_base_ms": 0},
        {"probe_ratio": 0.0},
        {"close_after": 101},
    ],
    ids=str,
)
def test_a_state_whose_parameters_no_client_would_take_is_refused(changes: dict[str, float]) -> None:
    """Found by fuzzing: a late window decides nothing, so what was stored was applied as it stood (C4)."""
    law = STATE.law._replace(applied=STATE.law.applied._replace(**changes))
    with pytest.raises(CheckpointError, match=next(iter(changes))):
        decode_state(encode_state(STATE._replace(law=law)))


def test_a_changed_byte_without_the_checksum_is_refused() -> None:
    """Accidents are told from a state by CRC-32."""
    data = bytearray(encode_state(STATE))
    data[7 + _LAW.size - 1] ^= 1  # whether retries are useless
    with pytest.raises(CheckpointError, match="checksum"):
        decode_state(bytes(data))
    data[3:7] = struct.pack("<I", zlib.crc32(bytes(data[7:])))
    decode_state(bytes(data))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_requests", 1),
        ("open_floor", 1e-9),
        ("retry_floor", 10**400),
        ("dwell_s", -1.0),
        ("act_within_s", "x"),
    ],
)
def test_a_compiled_policy_outside_its_ranges_is_refused(field: str, value: object) -> None:
    """Whoever can write the bundle or the table must not lower the evidence that opens a circuit."""
    fields = json.loads(compile_set(load_preset("two-loop")))
    fields["default"][field] = value
    with pytest.raises(PolicyError, match=field):
        load_compiled(json.dumps(fields).encode(), where="p.json")


@pytest.mark.parametrize(
    "data", [b'{"compiled": 1, "default": {"z_act": NaN}, "targets": {}}', b"[" * 100_000]
)
def test_a_compiled_policy_of_no_numbers_is_refused(data: bytes) -> None:
    """NaN is in no range, and nesting ends in a named error."""
    with pytest.raises(PolicyError):
        load_compiled(data, where="p.json")


@pytest.mark.parametrize("canaries", ["x", 7, ["a"], [["a", "b"]]])
def test_a_compiled_policy_s_canaries_are_an_object(canaries: object) -> None:
    """Found by fuzzing: dict() of what stood there failed in its own ways."""
    fields = {"compiled": 1, "default": {}, "targets": {}, "canaries": canaries}
    with pytest.raises(PolicyError, match="canaries"):
        load_compiled(json.dumps(fields).encode(), where="p.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"made_at_s": "1e999"},
        {"policy_changes": [{"target": "a", "kind": "x", "changes": {}}]},
        {"base": [1]},
    ],
)
def test_a_plan_with_a_fitting_digest_is_checked_all_the_same(changes: dict[str, object]) -> None:
    """The digest is no secret: it tells accidents, not attackers."""
    body: dict[str, object] = {
        "kind": KIND,
        "schema": PLAN_SCHEMA,
        "made_at_s": 1.0,
        "base": {"policy_number": 0, "policy_hash": "", "content": "", "revision": 0},
        "policy": json.loads(compile_set(load_preset("fixed"))),
        "document": {"schema": 1, "revision": 1, "generated_at": "", "policy_hash": "", "targets": {}},
        "policy_changes": [],
        "document_changes": [],
        "edited": [],
        "restricted": [],
    }
    decode_plan(json.dumps({**body, "digest": _digest(body)}).encode(), where="plan.json")
    body.update(changes)
    with pytest.raises(PlanError):
        decode_plan(json.dumps({**body, "digest": _digest(body)}).encode(), where="plan.json")


@pytest.mark.parametrize("data", [b'{"kind": "flyball-plan", "schema": 1, "x": NaN}', b"[" * 100_000])
def test_a_plan_of_no_json_is_refused(data: bytes) -> None:
    """Found by fuzzing: the digest of NaN was a ValueError of its own."""
    with pytest.raises(PlanError, match="is not JSON"):
        decode_plan(data, where="plan.json")


def test_numbers_beyond_floats_are_no_record() -> None:
    """Found by fuzzing: JSON has integers of any length, floats have not."""
    huge = "1" + "0" * 400
    assert (
        decode_fleet(f'{{"open_targets": [], "tightened": [], "frozen_until_s": {huge}}}'.encode())
        == FleetState()
    )
    assert read_version({"version": {"N": "9" * 5_000}}) is None
    store = MemoryCheckpoints()
    for at_s in (huge, '"nan"'):
        pointer = (
            f'{{"schema": 1, "hash": "", "before": "", "name": "", "by": "", "why": "", "at_s": {at_s}}}'
        )
        store.items[POINTER_KEY] = Checkpoint(1, pointer.encode(), "w")
        with pytest.raises(PolicyError, match="cannot be read"):
            read_pointer(store)


def test_an_experiment_without_a_possible_end_is_refused() -> None:
    """Found by fuzzing: an end of 400 digits was an OverflowError at the first use of the function."""
    text = '{"until": 1' + "0" * 400 + ', "faults": [{"target": "a", "error": "ValueError"}]}'
    with pytest.raises(SettingsError, match="until"):
        turn_on(text, Runtime(clock=SystemClock()))


def test_messages_are_printable_and_of_bounded_length() -> None:
    """They go to terminals and logs, and repeat what stands in files."""
    assert printable("a\x1b[31mb\u202ec\nd") == "a\\x1b[31mb\\u202ec\nd"
    long = printable("place: " + "x" * 100_000 + " remedy")
    assert len(long) <= 4_000
    assert long.startswith("place: ")
    assert long.endswith(" remedy")
    (rejected,) = read_delivery({"\x1b[2J": 1}, Expected(now_s=0.0)).items[0].rejections
    assert rejected.sentence().isprintable()


# --- secrets --------------------------------------------------------------------------------

CANARY = "canary-7f3a-secret"


def test_arguments_results_and_errors_of_a_guarded_call_stay_out_of_the_metrics() -> None:
    """What functions are called with is not ours to write down (T9)."""
    lines: list[str] = []
    events: list[object] = []
    shared = Runtime(write=lines.append, hooks=events.append)
    flyball_target = flyball.target("payments", idempotent=True, within=shared)

    @flyball_target.guard
    def charge(card: str) -> str:
        if card.endswith("!"):
            raise ConnectionError(f"refused for {card}")
        return card

    shared.sleep = lambda wait_s: None
    assert charge(CANARY) == CANARY
    with pytest.raises(ConnectionError):
        charge(CANARY + "!")
    shared.flush()
    assert lines
    assert CANARY not in "".join(lines)


class _Elsewhere(BaseHTTPRequestHandler):
    """The first path redirects to another port; all remember what they were sent."""

    other = ""
    seen: list[tuple[str, str]] = []  # noqa: RUF012 - shared on purpose

    def do_POST(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(302)
        self.send_header("Location", self.other)
        self.end_headers()

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def servers() -> Iterator[tuple[str, str]]:
    """Two servers on two ports: two origins."""
    running = [ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) for _ in range(2)]
    threads = [threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.01}) for s in running]
    for thread in threads:
        thread.start()
    yield tuple(f"http://127.0.0.1:{s.server_port}" for s in running)  # type: ignore[misc]
    for server, thread in zip(running, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_token_does_not_follow_a_redirect(servers: tuple[str, str]) -> None:
    """urllib takes ordinary headers along to whatever host it is sent to."""
    first, second = servers
    _Elsewhere.other, _Elsewhere.seen = f"{second}/other", []
    http_fetch(first, token=CANARY)("/api/v1/query_range", {"query": "up"})
    assert _Elsewhere.seen == [("/api/v1/query_range", f"Bearer {CANARY}"), ("/other", "")]


def test_what_is_hashed_for_a_journal_is_strict_json() -> None:
    """NaN in a record would be text that other readers refuse (O2)."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


@pytest.mark.parametrize(
    "reply",
    [
        b'{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": 7}]}}',
        b'{"status": "success", "data": {"resultType": "matrix", "result": '
        b'[{"metric": {}, "values": [[%s, "1"]]}]}}' % (b"9" * 400),
        b'{"status": "error", "error": "' + b"x" * 70_000 + b'"}',
        b'{"status": "error", "error": "\\u001b[2J"}',
        b"[" * 100_000,
    ],
    ids=["labels", "moment", "long", "escape", "depth"],
)
def test_a_prometheus_reply_of_another_form_is_told_in_short(reply: bytes) -> None:
    """Found by fuzzing: each left with an error of its own, or was repeated whole."""
    assert all_doors()["prometheus"].check(reply).startswith("PortError")
