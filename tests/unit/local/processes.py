"""A module of handlers, and what the kernel says of processes, for the tests of the Lambda host."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

HANDLERS = """
import json, os, sys, threading, time

STARTED = os.getpid()
BEATS = []

def beat():
    while True:
        BEATS.append(time.monotonic())
        time.sleep(0.01)

def echo(event, context):
    return {"event": event, "pid": os.getpid()}

def describe(event, context):
    print(json.dumps({"_aws": "metric"}))
    sys.stderr.write("to stderr\\n")
    return {
        "name": context.function_name, "version": context.function_version,
        "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb,
        "request": context.aws_request_id, "left": context.get_remaining_time_in_millis(),
        "variables": dict(os.environ), "path": sys.path,
    }

def fail(event, context):
    raise LookupError("no such thing")

def die(event, context):
    if event == "now":
        os._exit(3)
    if event == "killed":
        os.kill(os.getpid(), 9)
    return "alive"

def hang(event, context):
    time.sleep(event)
    return "woke"

def big(event, context):
    print("x" * 300_000)
    return "y" * event

def beats(event, context):
    if not BEATS:
        threading.Thread(target=beat, daemon=True).start()
        time.sleep(0.05)
    return len(BEATS)

def leave_child(event, context):
    import subprocess
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid
"""


def runs(pid: int) -> bool:
    """Return whether the process exists and is no zombie."""
    try:
        return state(pid) not in "ZX"
    except FileNotFoundError:
        return False


def state(pid: int) -> str:
    """Return the kernel's letter for the process: S sleeping, T stopped, Z zombie."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def eventually(fact: Any) -> bool:
    """Wait up to three seconds for a fact about another process."""
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        if fact():
            return True
        time.sleep(0.01)
    return False
