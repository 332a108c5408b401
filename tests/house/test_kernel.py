"""The kernel's rules as tests: whatever is compiled for replays uses only what compiles to equal bits.

numba and CPython agree on + - * / sqrt, comparisons, int() and integer // % & >> below
2^53. They part at powers, sum(), round(x, n), transcendental functions and min/max of NaN;
keyword-only parameters, enums and None do not compile at all.
"""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest

from flyball_analytics.fastreplay_jit import KERNEL
from flyball_controller.core import kernel, kernel_bounds

FUNCTIONS = [(module, name) for module, names in KERNEL.items() for name in names]
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.RShift)
UNARY = (ast.USub, ast.Not)
COMPARED = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
BUILTINS = {"int", "len", "range", "sqrt"}
METHODS = {"sort"}
RECORDS = {"Lane", "LevelNow", "Pooled", "Trips"}  # named tuples of numbers: numba knows them
INTERPRETED = {"lower_median"}  # called where nothing is compiled: it sorts a list
NODES = (
    ast.FunctionDef, ast.arguments, ast.arg, ast.Expr, ast.Return, ast.Assign, ast.AnnAssign, ast.AugAssign,
    ast.For, ast.While, ast.If, ast.IfExp, ast.Break, ast.BoolOp, ast.And, ast.Or, ast.BinOp, ast.UnaryOp,
    ast.Compare, ast.Call, ast.keyword, ast.Constant, ast.Attribute, ast.Subscript, ast.Name, ast.Tuple,
    ast.ListComp, ast.comprehension, ast.Load, ast.Store, *ARITHMETIC, *UNARY, *COMPARED,
)  # fmt: skip


def breaches_in(source: str) -> list[str]:
    """Return what a function does that the two executions might not do alike."""
    tree = ast.parse(textwrap.dedent(source)).body[0]
    assert isinstance(tree, ast.FunctionDef)
    known = BUILTINS | RECORDS | {name for _, name in FUNCTIONS} | INTERPRETED
    found = []
    if tree.args.kwonlyargs or tree.args.vararg or tree.args.kwarg or tree.args.posonlyargs:
        found.append("parameters that the compiler cannot bind")
    ignored = {id(n) for a in (*tree.args.args,) if a.annotation for n in ast.walk(a.annotation)}
    ignored |= {id(n) for n in ast.walk(tree.returns)} if tree.returns else set()
    typed = [n for n in ast.walk(tree) if isinstance(n, ast.AnnAssign)]
    ignored |= {id(n) for one in typed for n in ast.walk(one.annotation)}
    for node in ast.walk(tree):
        if id(node) in ignored:
            continue
        if not isinstance(node, NODES):
            found.append(type(node).__name__)
        elif isinstance(node, ast.Constant) and (
            node.value is None or isinstance(node.value, bytes | complex)
        ):
            if node is not tree.body[0]:
                found.append(f"constant {node.value!r}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in known:
            found.append(f"{node.func.id}()")
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr not in METHODS
        ):
            found.append(f".{node.func.attr}()")
    return found


@pytest.mark.parametrize(("module", "name"), FUNCTIONS, ids=lambda p: getattr(p, "__name__", p))
def test_what_is_compiled_uses_only_what_compiles_to_equal_bits(module, name):
    """One power or one sum() and a replay differs from production in the last bit."""
    assert breaches_in(inspect.getsource(getattr(module, name))) == []


@pytest.mark.parametrize("module", [kernel, kernel_bounds], ids=lambda m: m.__name__)
def test_every_function_of_the_kernel_keeps_the_rules(module):
    """Also those that only the interpreter calls: the next one to be compiled may call them."""
    functions = inspect.getmembers(module, inspect.isfunction)
    assert functions
    for name, function in functions:
        if function.__module__ == module.__name__:
            assert breaches_in(inspect.getsource(function)) == [], name


@pytest.mark.parametrize(
    "planted",
    [
        "x ** 2", "sum([x])", "round(x, 2)", "min(x, 1.0)", "abs(x)", "x if x is None else 1", "None",
        "x.mean()",
        "exp(x)", "x << 2", "{x: 1}", "[*x]", "lambda: x", "x @ x", "~x", "f'{x}'", "x in (1, 2)", "(y := x)",
    ],
)  # fmt: skip
def test_the_check_sees_planted_breaches(planted):
    """A check that cannot fail proves nothing."""
    assert breaches_in(f"def f(x):\n    return {planted}\n")


def test_the_check_sees_parameters_that_do_not_compile():
    """numba binds neither keyword-only parameters nor stars."""
    assert breaches_in("def f(x, *, y):\n    return x - y\n")
    assert breaches_in("def f(*x):\n    return 1\n")
