"""What the probe function may ask of a target: the section `probes` of a policy, as plain records.

    probes:
      payments-api: {kind: http, url: "https://payments.internal/health", critical: true}
      ledger: {kind: dynamodb, table: ledger, key: {id: {S: health}}}

A check is the controller's own call to a target. What it finds is evidence for
recovery and never for opening (core/probed.py), so a wrong check can be
useless, not harmful. What is refused here is refused because a policy is data
that travels (files, the policy store): it must not become a way to reach
credentials. Hence no user or password in a URL, and headers that carry secrets
name a variable of the probe function instead of holding the secret.

Knows no socket and no SDK; handlers/checks*.py make the calls. Words: docs/glossary.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from flyball.hints import did_you_mean
from flyball.names import name_problem
from flyball_controller.core.errors import PolicyError

SLOT_S = 30  # checks begin at the full and the half minute; nothing is checked more often
CRITICAL_S = 60  # a critical target is checked this often unless its `every_s` says 30
OTHERS_S = 300
EVERY_S_MAX = 3_600
TIMEOUT_S_MAX = 10.0  # a slot, a time-out and the writing of results must fit into one invocation
TIMEOUT_S = 3.0
PROBES_MAX = 500  # of one policy; with many more, some of a slot would not be reached when many hang
TEXT_MAX = 2_048
METHODS = ("GET", "HEAD", "OPTIONS", "POST")
SECRET = re.compile(r"env:(PROBE_[A-Z0-9_]{1,64})")  # never AWS_*: the function's own credentials are there
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_CALLABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_SHOWN = re.compile(r"[\x21-\x7e]{1,2048}")  # printable, no blanks: what may stand in a request line


class Kind(StrEnum):
    """How a target is asked."""

    HTTP = "http"
    TCP = "tcp"
    LAMBDA = "lambda"
    DYNAMODB = "dynamodb"
    CALL = "call"


class Check(NamedTuple):
    """One target's check. Fields of other kinds keep their defaults."""

    target: str
    kind: Kind
    every_s: int = OTHERS_S
    timeout_s: float = TIMEOUT_S
    evidence: bool = True  # False: metrics only, the law does not see it
    url: str = ""
    method: str = "GET"
    expect_status: tuple[tuple[int, int], ...] = ((200, 299),)  # inclusive ranges
    body_contains: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    host: str = ""
    port: int = 0
    function: str = ""
    payload: str = ""  # JSON; "" = a dry run, which asks for permission and existence only
    table: str = ""
    key: str = ""  # DynamoDB's JSON of a key; "" = DescribeTable
    callable: str = ""  # package.module:function


COMMON = ("kind", "every_s", "critical", "timeout_s", "evidence")
FIELDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.HTTP: ("url", "method", "expect_status", "body_contains", "headers"),
    Kind.TCP: ("host", "port"),
    Kind.LAMBDA: ("function", "payload"),
    Kind.DYNAMODB: ("table", "key"),
    Kind.CALL: ("callable",),
}
NEEDED: Mapping[Kind, tuple[str, ...]] = {
    Kind.HTTP: ("url",),
    Kind.TCP: ("host", "port"),
    Kind.LAMBDA: ("function",),
    Kind.DYNAMODB: ("table",),
    Kind.CALL: ("callable",),
}


def check_from_fields(target: str, fields: object, *, at: Callable[[str], str]) -> Check:
    """Return the check that one entry of the section describes.

    Args:
        target: Its key.
        fields: Its value, as YAML or JSON gave it.
        at: Where a field stands ("file:line"), for errors; "" is the entry itself.

    Raises:
        PolicyError: It cannot be obeyed; `field` is the field's name.

    >>> check_from_fields("db", {"kind": "tcp", "host": "db", "port": 5432}, at=str).every_s
    300
    >>> check_from_fields("db", {"kind": "tcp", "hots": "db"}, at=lambda field: "fleet.yaml:7")
    Traceback (most recent call last):
        ...
    flyball_controller.core.errors.PolicyError: fleet.yaml:7: unknown key 'hots'; did you mean 'host'?
    """
    entry = _Entry(target, fields, at)
    problem = name_problem(target)
    if problem:
        raise entry.wrong("", f"the target {problem}")
    kind = entry.kind()
    every_s = entry.every_s()
    check = Check(
        target,
        kind,
        every_s,
        entry.number("timeout_s", TIMEOUT_S, 0.1, TIMEOUT_S_MAX),
        entry.flag("evidence", default=True),
    )
    if kind is Kind.HTTP:
        return check._replace(
            url=entry.url(),
            method=entry.word("method", "GET", METHODS),
            expect_status=entry.statuses(),
            body_contains=entry.text("body_contains", "", re.compile(r"(?s).{0,2048}"), "text"),
            headers=entry.headers(),
        )
    if kind is Kind.TCP:
        host = entry.text("host", "", _HOST, "a host name or address")
        return check._replace(host=host, port=int(entry.number("port", 0, 1, 65_535, whole=True)))
    if kind is Kind.LAMBDA:
        name = re.compile(r"[A-Za-z0-9_:$-]{1,170}")
        function = entry.text("function", "", name, "a function's name or ARN")
        return check._replace(function=function, payload=entry.json("payload"))
    if kind is Kind.DYNAMODB:
        table = entry.text("table", "", re.compile(r"[A-Za-z0-9_.-]{3,255}"), "a table's name")
        return check._replace(table=table, key=entry.key())
    form = "package.module:function"
    return check._replace(callable=entry.text("callable", "", _CALLABLE, form))


def check_to_fields(check: Check) -> dict[str, object]:
    """Return the fields from which `check_from_fields` makes the same check: the compiled form."""
    fields: dict[str, object] = {"kind": check.kind.value, "every_s": check.every_s}
    plain = check._asdict()
    blank = Check(check.target, check.kind)
    for name in ("timeout_s", "evidence", *FIELDS[check.kind]):
        if plain[name] != getattr(blank, name):
            fields[name] = plain[name]
    for name in ("payload", "key"):
        if name in fields:
            fields[name] = json.loads(str(fields[name]))
    if "expect_status" in fields:
        fields["expect_status"] = [f"{low}-{high}" for low, high in check.expect_status]
    if "headers" in fields:
        fields["headers"] = dict(check.headers)
    return fields


def checks_from_section(section: object, *, at: Callable[[str, str], str]) -> dict[str, Check]:
    """Return the checks of a whole section by target; None is none.

    Args:
        section: What stands under `probes`.
        at: Where (target, field) stands; ("", "") is the section.

    Raises:
        PolicyError: As `check_from_fields`; or too many.
    """
    if section is None:
        return {}
    if not isinstance(section, Mapping) or len(section) > PROBES_MAX:
        raise PolicyError(
            f"{at('', '')}: probes must map at most {PROBES_MAX} targets to checks", field="probes"
        )
    checks = {}
    for target, fields in section.items():
        name = str(target)

        def place(field: str, name: str = name) -> str:
            return at(name, field)

        checks[name] = check_from_fields(name, fields, at=place)
    return checks


class _Entry:
    """Reads one entry field by field; every refusal says where, what came, what is allowed."""

    def __init__(self, target: str, fields: object, at: Callable[[str], str]) -> None:
        self._at = at
        if not isinstance(fields, Mapping):
            raise self.wrong("", f"probes.{target} must be a mapping that begins with 'kind: http'")
        self._fields = {str(key): value for key, value in fields.items()}

    def wrong(self, field: str, text: str, value: object = None) -> PolicyError:
        return PolicyError(f"{self._at(field)}: {text}", field=field or "probes", value=value)

    def refuse(self, field: str, value: object, bound: str) -> PolicyError:
        shown = repr(value)[:80] if field != "headers" else "a header"  # a secret may stand there by mistake
        return self.wrong(field, f"{field}={shown} must be {bound}", value)

    def kind(self) -> Kind:
        value = self._fields.get("kind")
        kinds = [kind.value for kind in Kind]
        if value not in kinds:
            raise self.refuse("kind", value, f"one of {', '.join(kinds)}")
        kind = Kind(str(value))
        known = (*COMMON, *FIELDS[kind])
        for key in self._fields:
            if key not in known:
                hint = did_you_mean(key, known, listing=f"kind {kind} knows")
                raise self.wrong(key, f"unknown key {key!r}{hint}")
        for key in NEEDED[kind]:
            if key not in self._fields:
                raise self.wrong("", f"a check of kind {kind} needs {key!r}")
        return kind

    def every_s(self) -> int:
        critical = self.flag("critical", default=False)
        default = CRITICAL_S if critical else OTHERS_S
        every_s = int(self.number("every_s", default, SLOT_S, EVERY_S_MAX, whole=True))
        if every_s != SLOT_S and every_s % 60:
            raise self.refuse("every_s", every_s, f"{SLOT_S} or whole minutes (a multiple of 60)")
        if critical and every_s > CRITICAL_S:
            raise self.refuse("every_s", every_s, f"{SLOT_S} or {CRITICAL_S} for a critical target")
        return every_s

    def flag(self, field: str, *, default: bool) -> bool:
        value = self._fields.get(field, default)
        if not isinstance(value, bool):
            raise self.refuse(field, value, "true or false")
        return value

    def number(self, field: str, default: float, low: float, high: float, *, whole: bool = False) -> float:
        value = self._fields.get(field, default)
        good = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        # Compared as it is: NaN is in no range, and float() fails on an integer of 400 digits.
        if not good or not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            raise self.refuse(field, value, f"{kind} from {low:g} to {high:g}")
        return float(value)

    def text(self, field: str, default: str, pattern: re.Pattern[str], bound: str) -> str:
        value = self._fields.get(field, default)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.refuse(field, value, bound)
        return value

    def word(self, field: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self._fields.get(field, default)
        if value not in allowed:
            raise self.refuse(field, value, f"one of {', '.join(allowed)}")
        return str(value)

    def url(self) -> str:
        url = self.text("url", "", _SHOWN, "a URL of at most 2048 printable characters without blanks")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise self.wrong("url", f"url cannot be read: {error}") from error
        if parts.scheme not in ("http", "https") or not host or port == 0 or parts.fragment:
            raise self.refuse("url", url.partition("?")[0], "http://HOST/... or https://HOST/...")
        if parts.username is not None or parts.password is not None:
            raise self.wrong(
                "url",
                "url holds a user or password, which would be stored with the policy; "
                "send a header with a value of the form env:PROBE_NAME instead",
            )
        return url

    def statuses(self) -> tuple[tuple[int, int], ...]:
        value = self._fields.get("expect_status", ["200-299"])
        entries = value if isinstance(value, list) else [value]
        ranges = []
        for entry in entries:
            match = re.fullmatch(r"([1-5]\d\d)(?:-([1-5]\d\d))?", str(entry), re.ASCII)
            low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if low > high or isinstance(entry, bool):
                raise self.refuse("expect_status", value, "status codes or ranges, e.g. [200, 300-399]")
            ranges.append((low, high))
        if not 0 < len(ranges) <= 20:
            raise self.refuse("expect_status", value, "1 to 20 status codes or ranges")
        return tuple(ranges)

    def headers(self) -> tuple[tuple[str, str], ...]:
        value = self._fields.get("headers", {})
        if not isinstance(value, Mapping) or len(value) > 20:
            raise self.refuse("headers", value, "at most 20 names with values")
        found = []
        for name, content in sorted((str(name), content) for name, content in value.items()):
            plain = isinstance(content, str) and len(content) <= TEXT_MAX and content.isprintable()
            if not _HEADER.fullmatch(name) or not plain or not str(content).isascii():
                raise self.wrong(
                    "headers", f"header {name[:64]!r} must be a name with a printable ASCII value"
                )
            if name.lower() in ("host", "content-length", "transfer-encoding", "connection"):
                raise self.wrong("headers", f"header {name!r} is set by the probe itself; leave it out")
            secret = SECRET.fullmatch(str(content))
            if str(content).startswith("env:") and not secret:
                raise self.wrong("headers", f"header {name!r}: a variable must be named env:PROBE_...")
            if name.lower() in ("authorization", "proxy-authorization", "cookie", "x-api-key") and not secret:
                raise self.wrong(
                    "headers",
                    f"header {name!r} carries a secret, and a policy is stored and shown: set a variable "
                    "of the probe function and write env:PROBE_NAME",
                )
            if secret and str(self._fields.get("url", "")).lower().startswith("http:"):
                raise self.wrong("headers", f"header {name!r} would send a secret unencrypted; use https")
            found.append((name, str(content)))
        return tuple(found)

    def json(self, field: str) -> str:
        if field not in self._fields:
            return ""
        try:
            text = json.dumps(self._fields[field], sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise self.wrong(field, f"{field} cannot be written as JSON: {error}") from error
        if len(text) > TEXT_MAX:
            raise self.wrong(field, f"{field} has {len(text)} characters of JSON; at most {TEXT_MAX}")
        return text

    def key(self) -> str:
        value = self._fields.get("key")
        if value is None:
            return ""
        typed = isinstance(value, Mapping) and all(
            isinstance(v, Mapping)
            and len(v) == 1
            and set(v) <= {"S", "N"}
            and isinstance(next(iter(v.values())), str)
            for v in value.values()
        )
        if not isinstance(value, Mapping) or not typed or not 1 <= len(value) <= 2:
            raise self.refuse("key", value, "a key in DynamoDB's form, e.g. {id: {S: health}}")
        return self.json("key")
