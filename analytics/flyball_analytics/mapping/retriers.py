"""Which retrying decorators stand around a call, and how many attempts they make.

tenacity's `retry` without `stop` and backoff's without `max_tries` never give up
(their documentation); stamina makes ten attempts. Values that are no constants are
not guessed: the answer is None.
"""

from __future__ import annotations

import ast
from typing import Literal

from flyball_analytics.integrations import UNLIMITED
from flyball_analytics.mapping.names import Names

STAMINA_ATTEMPTS = 10
Attempts = int | Literal["unlimited"]


def layers_of(around: tuple[ast.AST, ...], names: Names) -> dict[str, Attempts] | None:
    """Return attempts by retrying library around a call, {} if there is none; None: not constants."""
    layers: dict[str, Attempts] = {}
    for node in around:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            library, _, what = names.path_of(call.func if call else decorator).rpartition(".")
            attempts = _attempts(library, what, call, names)
            if attempts == 0:
                continue
            if attempts is None:
                return None
            layers[library] = attempts
    return layers


def _attempts(library: str, what: str, call: ast.Call | None, names: Names) -> Attempts | None:
    """Return the attempts of one decorator; 0: it retries nothing; None: not a constant."""
    given = {keyword.arg: keyword.value for keyword in call.keywords} if call is not None else {}
    if library == "tenacity" and what == "retry":
        stop = names.behind(given["stop"]) if "stop" in given else None
        if stop is None:
            return UNLIMITED
        if (
            isinstance(stop, ast.Call)
            and names.path_of(stop.func) == "tenacity.stop_after_attempt"
            and stop.args
        ):
            return _whole(names.behind(stop.args[0]))
        return None
    if library == "stamina" and what == "retry":
        return _whole(names.behind(given["attempts"])) if "attempts" in given else STAMINA_ATTEMPTS
    if library == "backoff" and what in ("on_exception", "on_predicate"):
        if "max_tries" in given:
            return _whole(names.behind(given["max_tries"]))
        return None if "max_time" in given else UNLIMITED
    return 0


def _whole(node: ast.expr) -> int | None:
    good = isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value >= 1
    return (
        int(node.value) if good and isinstance(node, ast.Constant) and isinstance(node.value, int) else None
    )
