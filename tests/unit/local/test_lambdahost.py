"""The Lambda host: real bootstrap, real processes, Lambda's own words for what goes wrong.

Fidelity: emulator around AWS's own runtime interface client.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flyball_local.functions import ThrottledError
from flyball_local.lambdahost import FunctionSettings, LambdaHost, LambdaHostError
from flyball_local.lambdahost import host as host_module
from unit.local.processes import eventually, state


def test_an_answer_comes_back_and_the_process_is_kept_warm(hosts: Any):
    """The second invocation finds the first one's process: module state and caches live on."""
    host = hosts("echo")
    first, second = host.invoke({"n": 1}), host.invoke({"n": 2})
    assert (first.payload["event"], first.error, first.cold) == ({"n": 1}, None, True)
    assert (second.payload["event"], second.error, second.cold) == ({"n": 2}, None, False)
    assert first.payload["pid"] == second.payload["pid"] == host.pids()[0]
    assert first.request_id != second.request_id
    assert second.duration_s < 1.0


def test_the_context_is_the_functions_own(hosts: Any):
    """Handlers log and decide by it; the deadline must be real."""
    got = hosts("describe", name="payments", memory_mb=256, timeout_s=9.0).invoke({})
    assert got.payload["name"] == "payments"
    assert got.payload["version"] == "$LATEST"
    assert got.payload["arn"] == "arn:aws:lambda:eu-west-1:000000000000:function:payments"
    assert got.payload["memory"] == "256"
    assert got.payload["request"] == got.request_id
    assert 8_000 < got.payload["left"] <= 9_000


def test_nothing_of_the_parents_environment_leaks(hosts: Any, monkeypatch: pytest.MonkeyPatch):
    """A hostile or merely personal environment must not reach a handler (credentials, proxies, paths)."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "HTTPS_PROXY", "HOME", "SECRET"):
        monkeypatch.setenv(name, "hostile")
    monkeypatch.setenv("PYTHONPATH", "/hostile")
    host = hosts("describe", variables={"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1", "TABLE": "t"})
    variables = host.invoke({}).payload["variables"]
    assert "hostile" not in " ".join(variables.values())
    assert variables["AWS_ENDPOINT_URL_DYNAMODB"] == "http://127.0.0.1:1"
    assert variables["TABLE"] == "t"
    assert variables["AWS_ACCESS_KEY_ID"] == "AKIAIOSFODNN7EXAMPLE"
    assert variables["AWS_CONFIG_FILE"] == os.devnull
    assert variables["AWS_REGION"] == "eu-west-1"


def test_source_roots_come_before_the_task_root(hosts: Any, root: Path, tmp_path_factory: Any):
    """The repository's packages are importable in the process without being installed."""
    other = tmp_path_factory.mktemp("roots")
    path = hosts("describe", python_path=(other,)).invoke({}).payload["path"]
    assert path.index(str(other)) < max(i for i, p in enumerate(path) if p == str(root))


def test_what_the_handler_writes_is_heard_line_by_line(hosts: Any):
    """Metrics in embedded format leave a function on standard output and nowhere else."""
    heard: list[str] = []
    got = hosts("describe", on_log=heard.append).invoke({})
    assert '{"_aws": "metric"}' in got.logs
    assert "to stderr" in got.logs
    assert heard == list(got.logs)


def test_output_and_answers_larger_than_a_pipe_do_not_block(hosts: Any):
    """A pipe holds 64 KiB; a handler that logs more must not hang on a reader that waits for it."""
    got = hosts("big").invoke(200_000)
    assert got.payload == "y" * 200_000
    assert "x" * 300_000 in got.logs


def test_an_exception_becomes_lambdas_error_record_and_the_process_lives_on(hosts: Any):
    """Type, message and trace as the service reports them; the environment stays warm."""
    host = hosts("fail")
    got = host.invoke({})
    assert got.error == "Unhandled"
    assert got.payload["errorType"] == "LookupError"
    assert got.payload["errorMessage"] == "no such thing"
    assert got.payload["requestId"] == got.request_id
    assert "raise LookupError" in "".join(got.payload["stackTrace"])
    assert host.invoke({}).cold is False


@pytest.mark.parametrize(("how", "words"), [("now", "exit status 3"), ("killed", "signal: SIGKILL")])
def test_a_process_that_dies_is_reported_and_replaced(hosts: Any, how: str, words: str):
    """A crash is one failed invocation, not the end of the function."""
    host = hosts("die")
    assert host.invoke("no").payload == "alive"
    got = host.invoke(how)
    assert got.error == "Unhandled"
    assert got.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {got.request_id} Error: Runtime exited with error: {words}",
    }
    after = host.invoke("no")
    assert (after.payload, after.cold) == ("alive", True)


def test_a_process_that_dies_while_idle_is_replaced_unseen(hosts: Any):
    """Lambda reclaims idle environments at will; the next invocation is merely cold."""
    host = hosts("echo")
    pid = host.invoke(1).payload["pid"]
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not host.pids())
    got = host.invoke(2)
    assert (got.cold, got.error) == (True, None)


def test_a_handler_that_overruns_its_time_is_killed(hosts: Any):
    """Lambda's words, and an environment that starts anew."""
    host = hosts("hang", timeout_s=0.3)
    assert host.invoke(0).payload == "woke"
    got = host.invoke(30)
    assert got.payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {got.request_id} Error: Task timed out after 0.30 seconds",
    }
    assert got.duration_s < 3.0
    assert host.pids() == {}
    assert host.invoke(0).cold is True


@pytest.mark.parametrize(
    ("source", "handler", "kind", "text"),
    [
        ("import nothing_like_this", "f", "Runtime.ImportModuleError", "nothing_like_this"),
        ("x = 1", "f", "Runtime.HandlerNotFound", "Handler 'f' missing"),
        ("def f(:", "f", "Runtime.UserCodeSyntaxError", "Syntax error"),
        ("raise KeyError('table')", "f", "KeyError", "table"),
        ("import os; os._exit(7)", "f", "Runtime.ExitError", "exit status 7"),
    ],
)
def test_a_function_that_cannot_start_says_why(root: Path, source: str, handler: str, kind: str, text: str):
    """A wrong import is the commonest failure of a deployment; its record names it."""
    (root / "broken.py").write_text(source)
    with LambdaHost(FunctionSettings(f"broken.{handler}", task_root=root)) as host:
        got = host.invoke({})
        assert got.error == "Unhandled"
        assert got.payload["errorType"] == kind
        assert text in got.payload["errorMessage"]
        assert host.pids() == {}


def test_an_init_that_hangs_is_tried_once_more_within_the_invocation(root: Path):
    """Documented: after the init time-out, init is repeated under the function's own time-out."""
    mark = root / "mark"
    (root / "slow.py").write_text(
        "import os, time\n"
        f"first = not os.path.exists({str(mark)!r})\n"
        f"open({str(mark)!r}, 'w').close()\n"
        "time.sleep(30 if first else 0)\n"
        "def f(event, context): return 'second'\n"
    )
    with LambdaHost(FunctionSettings("slow.f", task_root=root, init_timeout_s=0.5)) as host:
        assert host.invoke({}).payload == "second"
    (root / "stuck.py").write_text("import time; time.sleep(30)")
    settings = FunctionSettings("stuck.f", task_root=root, init_timeout_s=0.2, timeout_s=0.2)
    with LambdaHost(settings) as host:
        assert host.invoke({}).payload["errorType"] == "Sandbox.Timedout"


def test_an_environment_is_frozen_between_invocations(hosts: Any):
    """Background threads do not run while nothing is invoked (F19): only what is inside a call happens."""
    host = hosts("beats")
    before = host.invoke({}).payload
    pid = host.pids()[0]
    assert eventually(lambda: state(pid) == "T")
    time.sleep(0.4)
    after = host.invoke({}).payload
    assert after - before < 15, "a thread beating every 10 ms must not have run for 400 ms"
    assert eventually(lambda: state(pid) == "T")


def test_each_environment_is_a_process_of_its_own_and_the_warmest_is_used_first(hosts: Any):
    """E environments are E caches: what one has learned the others have not."""
    host = hosts("echo", environments=2)
    zero, one = host.invoke(1, environment=0), host.invoke(1, environment=1)
    assert zero.payload["pid"] != one.payload["pid"]
    assert [host.invoke(2).environment for _ in range(3)] == [1, 1, 1]
    assert host.invoke(3, environment=0).payload["pid"] == zero.payload["pid"]
    assert host.invoke(4).environment == 0


def test_concurrency_above_the_environments_is_throttled(hosts: Any):
    """Lambda answers 429 and does not queue synchronous calls."""
    host = hosts("hang", environments=2)
    for number in (0, 1):
        host.invoke(0, environment=number)
    threads = [threading.Thread(target=host.invoke, args=(0.5,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: not host._idle)
    with pytest.raises(ThrottledError):
        host.invoke(0)
    for thread in threads:
        thread.join()
    assert host.invoke(0).payload == "woke"
    with pytest.raises(ThrottledError):
        host.invoke(0, environment=7)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (FunctionSettings("nodot"), "handler"),
        (FunctionSettings("a.b", timeout_s=0.0), "timeout_s"),
        (FunctionSettings("a.b", init_timeout_s=-1.0), "init_timeout_s"),
        (FunctionSettings("a.b", variables={"AWS_LAMBDA_RUNTIME_API": "x"}), "AWS_LAMBDA_RUNTIME_API"),
    ],
)
def test_settings_lambda_would_refuse_are_refused(settings: FunctionSettings, field: str):
    """An overridden runtime address would point the process at nothing."""
    with pytest.raises(ValueError, match=field):
        LambdaHost(settings)


def test_a_host_needs_an_environment_and_the_bootstrap(monkeypatch: pytest.MonkeyPatch):
    """The missing extra is named instead of a process that fails to start."""
    with pytest.raises(ValueError, match="environments"):
        LambdaHost(FunctionSettings("a.b"), environments=0)
    monkeypatch.setattr(host_module, "BOOTSTRAP", "no_such_bootstrap")
    with pytest.raises(LambdaHostError, match=r"flyball\[local\]"):
        LambdaHost(FunctionSettings("a.b"))
