"""What the names of one Python module stand for: libraries, constants, environment variables, sessions.

Only assignments of one name to one value anywhere in the module count; a name
that is assigned twice stands for nothing, for the order of execution is not known.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

SESSIONS = {"requests.Session": "requests", "requests.session": "requests"}
SESSIONS |= {"httpx.Client": "httpx", "httpx.AsyncClient": "httpx"}
BOTO_SESSIONS = ("boto3.Session", "boto3.session.Session")
ADAPTERS = ("HTTPAdapter", "HTTPTransport", "AsyncHTTPTransport")
DEPTH_MAX = 8  # names that stand for names


class Session(NamedTuple):
    """A session of an HTTP library; `timeout`: what it was made with."""

    library: str
    timeout: ast.expr | None


class Names:
    """The names of one module."""

    def __init__(self, imports: dict[str, str], values: dict[str, ast.expr], *, has_adapter: bool) -> None:
        self._imports = imports
        self._values = values
        self.has_adapter = has_adapter

    def path_of(self, node: ast.expr) -> str:
        """Return the dotted path that an expression names, aliases resolved; "" if it is none."""
        if isinstance(node, ast.Attribute):
            base = self.path_of(node.value)
            return f"{base}.{node.attr}" if base else ""
        return self._imports.get(node.id, "") if isinstance(node, ast.Name) else ""

    def behind(self, node: ast.expr) -> ast.expr:
        """Return the value that a name stands for, or the expression itself."""
        for _ in range(DEPTH_MAX):
            if not (isinstance(node, ast.Name) and node.id in self._values):
                break
            node = self._values[node.id]
        return node

    def call_behind(self, node: ast.expr | None) -> ast.Call | None:
        """Return the call whose result a name holds."""
        value = self.behind(node) if node is not None else None
        return value if isinstance(value, ast.Call) else None

    def session_of(self, node: ast.expr) -> Session | None:
        """Return the HTTP session that an expression holds."""
        call = self._made(node)
        library = SESSIONS.get(self.path_of(call.func)) if call is not None else None
        if call is None or library is None:
            return None
        timeout = next((k.value for k in call.keywords if k.arg == "timeout"), None)
        return Session(library, timeout)

    def is_session_client(self, function: ast.expr) -> bool:
        """Return whether an expression is `client` or `resource` of a boto3 session."""
        if not (isinstance(function, ast.Attribute) and function.attr in ("client", "resource")):
            return False
        call = self._made(function.value)
        return call is not None and self.path_of(call.func) in BOTO_SESSIONS

    def _made(self, node: ast.expr) -> ast.Call | None:
        if isinstance(node, ast.Attribute):  # self.http, kept under its attribute's name
            node = self._values.get(f".{node.attr}", node)
        return self.call_behind(node)

    def text_of(self, node: ast.expr | None) -> tuple[str | None, str | None]:
        """Return the constant text at the beginning of an expression, or the name that holds it.

        A name of an environment variable or constant is written as targets are: PAYMENTS_URL
        is `payments`.
        """
        if node is None:
            return None, None
        if isinstance(node, ast.JoinedStr) and node.values:
            first = node.values[0]
            if isinstance(first, ast.FormattedValue):
                return self.text_of(first.value)
            return self.text_of(first)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.text_of(node.left)
        value = self.behind(node)
        if value is not node and not isinstance(value, ast.Name):
            text, name = self.text_of(value)
            if text is not None or name is not None:
                return text, name
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value, None
        variable = self._variable(value)
        if variable:
            return None, _target_name(variable)
        if isinstance(node, ast.Name) and node.id.isupper():
            return None, _target_name(node.id)
        return None, None

    def _variable(self, node: ast.expr) -> str:
        """Return the name of the environment variable that an expression reads, "" if none."""
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and self.path_of(node.value) == "os.environ":
            key = node.slice
        elif isinstance(node, ast.Call) and self.path_of(node.func) in ("os.getenv", "os.environ.get"):
            key = node.args[0] if node.args else None
        return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""


def _target_name(variable: str) -> str | None:
    """Return how a target is called after a variable.

    >>> _target_name("PAYMENTS_API_URL")
    'payments-api'
    """
    word = variable.lower().strip("_")
    for ending in ("_base_url", "_url", "_uri", "_endpoint", "_host"):
        word = word.removesuffix(ending)
    return word.replace("_", "-") or None


def names_of(tree: ast.Module) -> Names:
    """Return what the names of a module stand for."""
    imports: dict[str, str] = {}
    values: dict[str, ast.expr] = {}
    twice: set[str] = set()
    adapter = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                imports[item.asname or item.name.partition(".")[0]] = (
                    item.name if item.asname else item.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports |= {item.asname or item.name: f"{node.module}.{item.name}" for item in node.names}
            adapter = adapter or any(item.name in ADAPTERS for item in node.names)
        elif isinstance(node, ast.Attribute):
            adapter = adapter or node.attr in ADAPTERS
        for name, value in _assigned(node):
            if name in values:
                twice.add(name)
            values[name] = value
    return Names(imports, {n: v for n, v in values.items() if n not in twice}, has_adapter=adapter)


def _assigned(node: ast.AST) -> list[tuple[str, ast.expr]]:
    """Return the names that a statement gives a value; attributes with a dot before them."""
    if isinstance(node, ast.With | ast.AsyncWith):
        pairs = [(item.optional_vars, item.context_expr) for item in node.items]
    elif isinstance(node, ast.Assign):
        pairs = [(target, node.value) for target in node.targets]
    elif isinstance(node, ast.AnnAssign):
        pairs = [(node.target, node.value)] if node.value is not None else []
    else:
        return []
    found = []
    for target, value in pairs:
        if isinstance(target, ast.Name) and value is not None:
            found.append((target.id, value))
        elif isinstance(target, ast.Attribute) and value is not None:
            found.append((f".{target.attr}", value))
    return found
