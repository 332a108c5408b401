"""IAM as far as one account's templates need it: may this request be made under these statements?

A Deny wins, then an Allow, else the answer is no. Elements that are not
understood are refused when the policy is read: a condition that is silently
ignored would make a test of permissions worthless.

Source: AWS IAM user guide, "Policy evaluation logic" and "Condition operators".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from flyball_local.template.errors import TemplateError

_KEYS = frozenset({"Sid", "Effect", "Action", "Resource", "Principal", "Condition"})
_SET = "ForAllValues:"
_OPERATORS = frozenset(
    {"StringEquals", "StringLike", "ArnEquals", "ArnLike", "Bool", f"{_SET}StringEquals", f"{_SET}StringLike"}
)


class Request(NamedTuple):
    """One action on one resource; `context` holds condition keys, `principal` a service if one asks."""

    action: str
    resource: str
    context: Mapping[str, tuple[str, ...]] = {}
    principal: str = ""


class Statement(NamedTuple):
    """One checked statement, lists spelt out."""

    sid: str
    allow: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def covers(self, request: Request) -> bool:
        """Whether action, resource, principal and conditions all fit."""
        return (
            any(_fits(action, request.action) for action in self.actions)
            and any(_fits(resource, request.resource) for resource in self.resources)
            and (not self.principals or "*" in self.principals or request.principal in self.principals)
            and all(_met(condition, request.context) for condition in self.conditions)
        )


def statements(document: Mapping[str, Any], where: str) -> list[Statement]:
    """Return the statements of a resolved policy document.

    Raises:
        TemplateError: An element or operator that is not understood.
    """
    return [_statement(raw, where) for raw in document["Statement"]]


def allowed(request: Request, policies: Iterable[Statement]) -> bool:
    """Return whether the statements let the request pass.

    >>> read = statements({"Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "a/*"}]}, "doc")
    >>> allowed(Request("s3:GetObject", "a/b"), read), allowed(Request("s3:PutObject", "a/b"), read)
    (True, False)
    """
    covering = [statement for statement in policies if statement.covers(request)]
    return bool(covering) and all(statement.allow for statement in covering)


def _statement(raw: Mapping[str, Any], where: str) -> Statement:
    sid = str(raw.get("Sid", raw.get("Action")))
    unknown = set(raw) - _KEYS
    if unknown:
        raise TemplateError(f"{', '.join(sorted(unknown))} is not emulated", where=f"{where}/{sid}")
    conditions = []
    for operator, tests in raw.get("Condition", {}).items():
        if operator not in _OPERATORS:
            raise TemplateError(f"condition {operator} is not emulated", where=f"{where}/{sid}")
        conditions += [(operator, key, _texts(wanted)) for key, wanted in tests.items()]
    principal = raw.get("Principal", [])
    if isinstance(principal, Mapping):
        principal = [name for names in principal.values() for name in _texts(names)]
    return Statement(
        sid,
        raw["Effect"] == "Allow",
        _texts(raw["Action"]),
        _texts(raw.get("Resource", "*")),
        _texts(principal),
        tuple(conditions),
    )


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _met(condition: tuple[str, str, tuple[str, ...]], context: Mapping[str, tuple[str, ...]]) -> bool:
    operator, key, wanted = condition
    given = context.get(key, ())
    # IAM: ArnEquals and ArnLike are the same.
    like = operator.removeprefix(_SET) in ("StringLike", "ArnLike", "ArnEquals")
    fits = [any(_fits(w, value) if like else w == value for w in wanted) for value in given]
    if operator.startswith(_SET):
        return all(fits)
    return bool(fits) and any(fits)


def _fits(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"([*?])", pattern)
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(part) or re.escape(part) for part in parts), re.DOTALL
    )
