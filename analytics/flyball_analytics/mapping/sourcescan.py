"""Finds calls of boto3, requests and httpx in Python source by its syntax tree, with time-outs and retries.

Nothing is imported or run. What an expression does not show as a constant is not
guessed: it is told as unclear. Libraries' defaults are those of their own
documentation: requests waits for ever; httpx 5 s; botocore reads for 60 s and makes
5 attempts, 10 for DynamoDB (legacy mode).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from flyball_analytics.integrations import NONE, UNLIMITED
from flyball_analytics.mapping.names import names_of
from flyball_analytics.mapping.retriers import layers_of

HTTPX_TIMEOUT_S = 5.0
BOTO_READ_S = 60.0
BOTO_ATTEMPTS, DYNAMODB_ATTEMPTS = 5, 10
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "request", "stream")
SAFE = ("get", "put", "delete", "head", "options")  # idempotent by RFC 9110, section 9.2.2
KINDS = {
    "dynamodb": "database",
    "rds-data": "database",
    "sqs": "queue",
    "sns": "queue",
    "kinesis": "queue",
    "events": "queue",
    "s3": "storage",
    "lambda": "function",
}
FILE_BYTES_MAX = 2_000_000
SKIPPED = ("node_modules", "site-packages", "__pycache__")

TimeoutS = float | Literal["none"] | None


class Seen(NamedTuple):
    """One call. `timeout_s` and `layers` None: not shown by the source; `unclear`: what, in words."""

    target: str
    kind: str
    where: str  # file:line
    timeout_s: TimeoutS
    layers: dict[str, int | Literal["unlimited"]] | None
    idempotent: bool | None
    unclear: tuple[str, ...]


class Scan(NamedTuple):
    """What was found, and which files could not be read, with the reason."""

    calls: tuple[Seen, ...]
    files: int
    skipped: tuple[str, ...]


def scan_source(root: Path) -> Scan:
    """Return every call in the Python files of a folder, or of one file, in the order of names.

    Raises:
        OSError: `root` cannot be read.
    """
    if not root.exists():
        raise FileNotFoundError(2, "no such file or folder", str(root))
    paths = (
        [root] if root.is_file() else sorted(p for p in root.rglob("*.py") if _wanted(p.relative_to(root)))
    )
    calls: list[Seen] = []
    skipped = []
    for path in paths:
        if path.stat().st_size > FILE_BYTES_MAX:
            skipped.append(f"{path}: more than {FILE_BYTES_MAX} bytes")
            continue
        try:
            calls += scan_text(path.read_bytes(), where=str(path))
        except (SyntaxError, ValueError, RecursionError) as error:
            skipped.append(f"{path}: is not Python of this version: {error}")
    return Scan(tuple(calls), len(paths) - len(skipped), tuple(skipped))


def _wanted(path: Path) -> bool:
    return not any(part.startswith(".") or part in SKIPPED for part in path.parts)


def scan_text(source: bytes | str, *, where: str) -> list[Seen]:
    """Return every call in one module.

    Raises:
        SyntaxError: It is not Python.
        ValueError: It holds null bytes.

    >>> found = scan_text("import requests\\nrequests.get('https://a.example/x')", where="m.py")
    >>> found[0].target, found[0].timeout_s
    ('a.example', 'none')
    """
    tree = ast.parse(source)
    return _Finder(tree, where).found()


class _Finder:
    """Walks one module, with the names it gives to libraries, constants and sessions."""

    def __init__(self, tree: ast.Module, where: str) -> None:
        self._tree = tree
        self._where = where
        self._names = names_of(tree)

    def found(self) -> list[Seen]:
        seen = []
        for node, around in _calls(self._tree, ()):
            path = self._names.path_of(node.func)
            call = self._http(node, path, around) or self._boto(node, path)
            if call is not None:
                seen.append(call)
        return seen

    def _at(self, node: ast.Call) -> str:
        return f"{self._where}:{node.lineno}"

    def _http(self, node: ast.Call, path: str, around: tuple[ast.AST, ...]) -> Seen | None:
        """Return a call of requests or httpx, or of a session of theirs."""
        library, _, method = path.partition(".")
        owner, session = None, False
        if library not in ("requests", "httpx") and isinstance(node.func, ast.Attribute):
            owner = self._names.session_of(node.func.value)
            library, method, session = (owner.library if owner else ""), node.func.attr, True
        if library not in ("requests", "httpx") or method not in METHODS:
            return None
        position = 1 if method in ("request", "stream") else 0
        url = _argument(node, "url", position)
        verb = _constant(node.args[0]) if position and node.args else method
        unclear = []
        target = self._target(url)
        if target is None:
            target = f"unknown-{Path(self._where).stem}-{node.lineno}".replace("__", "")
            unclear.append("its URL is not a constant")
        given = _argument(node, "timeout", None)
        if given is None and owner is not None:
            given = owner.timeout
        timeout = self._timeout(given, default=NONE if library == "requests" else HTTPX_TIMEOUT_S)
        if timeout is None:
            unclear.append("its time-out is not a constant")
        layers = layers_of(around, self._names)
        if session and self._names.has_adapter:
            layers = None
            unclear.append("an HTTPAdapter or transport may retry")
        elif layers is None:
            unclear.append("its retries are not constants")
        safe = True if str(verb).lower() in SAFE else None
        return Seen(target, "api", self._at(node), timeout, layers, safe, tuple(unclear))

    def _boto(self, node: ast.Call, path: str) -> Seen | None:
        """Return a client or resource of boto3: the service is the target."""
        if path not in ("boto3.client", "boto3.resource") and not self._names.is_session_client(node.func):
            return None
        service = _constant(_argument(node, "service_name", 0))
        unclear = ["AWS_MAX_ATTEMPTS and ~/.aws/config can change its attempts"]
        if not isinstance(service, str):
            service = f"unknown-aws-{node.lineno}"
            unclear.append("its service is not a constant")
        attempts = DYNAMODB_ATTEMPTS if service == "dynamodb" else BOTO_ATTEMPTS
        timeout: TimeoutS = BOTO_READ_S
        layers: dict[str, int | Literal["unlimited"]] | None = {"botocore": attempts}
        config = self._names.call_behind(_argument(node, "config", None))
        if _argument(node, "config", None) is not None and config is None:
            timeout, layers = None, None
            unclear.append("its config is not made in this module")
        elif config is not None:
            timeout = self._timeout(_argument(config, "read_timeout", None), default=BOTO_READ_S)
            layers = _boto_layers(_argument(config, "retries", None), attempts)
        kind = KINDS.get(service, "api")
        return Seen(service, kind, self._at(node), timeout, layers, None, tuple(unclear))

    def _target(self, url: ast.expr | None) -> str | None:
        """Return the host of a constant URL, else the name of the variable that holds it."""
        text, name = self._names.text_of(url)
        if text is not None:
            host = urlsplit(text).hostname or ""
            return host if host and "{" not in host else None
        return name

    def _timeout(self, value: ast.expr | None, *, default: TimeoutS) -> TimeoutS:
        """Return the seconds of a time-out argument; a pair (connect, read) is added up."""
        if value is None:
            return default
        value = self._names.behind(value)
        if isinstance(value, ast.Constant) and value.value is None:
            return NONE
        if isinstance(value, ast.Tuple):
            parts = [_constant(self._names.behind(part)) for part in value.elts]
            numbers = [p for p in parts if isinstance(p, int | float) and not isinstance(p, bool)]
            return float(sum(numbers)) if numbers and len(numbers) == len(parts) else None
        if isinstance(value, ast.Call) and self._names.path_of(value.func) == "httpx.Timeout" and value.args:
            return self._timeout(value.args[0], default=default)
        number = _constant(value)
        good = isinstance(number, int | float) and not isinstance(number, bool) and number > 0
        return float(number) if good and isinstance(number, int | float) else None


def _boto_layers(retries: ast.expr | None, default: int) -> dict[str, int | Literal["unlimited"]] | None:
    """Return the attempts that a botocore Config sets; None: they are not constants."""
    if retries is None:
        return {"botocore": default}
    if not isinstance(retries, ast.Dict):
        return None
    plain = {
        _constant(key): _constant(value) for key, value in zip(retries.keys, retries.values, strict=True)
    }
    total, more = plain.get("total_max_attempts"), plain.get("max_attempts")
    if isinstance(total, int) and total >= 1:
        return {"botocore": total}
    if isinstance(more, int) and more >= 0:
        return {"botocore": more + 1}  # max_attempts counts retries (botocore.config.Config)
    standard = plain.get("mode") in ("standard", "adaptive")
    return (
        {"botocore": 3 if standard else default}
        if {"total_max_attempts", "max_attempts"}.isdisjoint(plain)
        else None
    )


def _calls(node: ast.AST, around: tuple[ast.AST, ...]) -> Iterator[tuple[ast.Call, tuple[ast.AST, ...]]]:
    """Yield every call with the functions, loops and blocks around it, in the order of the text."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.For | ast.AsyncFor | ast.With):
        around = (*around, node)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, around
        yield from _calls(child, around)


def _argument(node: ast.Call, name: str, position: int | None) -> ast.expr | None:
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    if position is not None and len(node.args) > position:
        return node.args[position]
    return None


def _constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


__all__ = ["UNLIMITED", "Scan", "Seen", "scan_source", "scan_text"]
