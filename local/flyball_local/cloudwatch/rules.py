"""Rules of composite alarms: AND, OR, NOT and parentheses over other alarms' states.

ALARM(x), OK(x) and INSUFFICIENT_DATA(x) name an alarm by name or ARN, quoted or
not; TRUE and FALSE stand alone. AND binds tighter than OR, NOT tightest.
AT_LEAST is refused: this emulator lacks it. Knows no alarm, only their names.

Source: Amazon CloudWatch User Guide, "Creating a composite alarm"; botocore
service model "cloudwatch", PutCompositeAlarm, AlarmRule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from flyball_local.cloudwatch.errors import CloudWatchError
from flyball_local.cloudwatch.judgement import AlarmState

# Deep enough for people; far below what the interpreter's stack bears.
DEPTH_MAX = 50
CHILDREN_MAX = 100

StateOf = Callable[[str], AlarmState]
_Test = Callable[[StateOf], bool]
_TOKEN = re.compile(r'\s*(?:(\()|(\))|"([^"]+)"|([^\s()"]+))')


class Rule(NamedTuple):
    """A parsed rule. `children` are alarm names in order of first mention; `holds` needs their states."""

    children: tuple[str, ...]
    holds: _Test


def alarm_name(name_or_arn: str) -> str:
    """Return the name an alarm is referred to by, from a name or an ARN.

    >>> alarm_name("arn:aws:cloudwatch:us-east-1:111122223333:alarm:a:b")
    'a:b'
    """
    if name_or_arn.startswith("arn:") and ":alarm:" in name_or_arn:
        return name_or_arn.split(":alarm:", 1)[1]
    return name_or_arn


def parse_rule(text: str) -> Rule:
    """Return the parsed rule; raises CloudWatchError (ValidationError) for anything else.

    >>> rule = parse_rule("ALARM(a) AND NOT OK(b) OR FALSE")
    >>> rule.children
    ('a', 'b')
    >>> rule.holds({"a": AlarmState.ALARM, "b": AlarmState.ALARM}.__getitem__)
    True
    """
    parser = _Parser(text)
    test = parser.either(0)
    if parser.at < len(parser.tokens):
        raise parser.wrong()
    if len(parser.children) > CHILDREN_MAX:
        raise parser.error(f"names {len(parser.children)} alarms; at most {CHILDREN_MAX} are allowed")
    return Rule(tuple(parser.children), test)


def _always(value: bool) -> _Test:
    return lambda _state: value


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._split()
        self.at = 0
        self.children: dict[str, None] = {}

    def _split(self) -> list[str]:
        found: list[str] = []
        at, end = 0, len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None:
                raise self.error(f"cannot be read from {self.text[at : at + 20]!r} on")
            found.append(match[0].strip())
            at = match.end()
        return found

    def error(self, what: str) -> CloudWatchError:
        return CloudWatchError("ValidationError", f"AlarmRule {self.text[:200]!r} {what}")

    def wrong(self) -> CloudWatchError:
        if self.at >= len(self.tokens):
            return self.error("ends too early")
        return self.error(f"has an unexpected {self.tokens[self.at]!r}; it may hold ALARM(), OK(), "
                          "INSUFFICIENT_DATA(), TRUE, FALSE, AND, OR, NOT and parentheses")  # fmt: skip

    def take(self, word: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at].upper() == word:
            self.at += 1
            return True
        return False

    def either(self, depth: int) -> _Test:
        if depth > DEPTH_MAX:
            raise self.error(f"is nested deeper than {DEPTH_MAX} levels")
        tests = [self.both(depth)]
        while self.take("OR"):
            tests.append(self.both(depth))
        return tests[0] if len(tests) == 1 else lambda state: any(t(state) for t in tests)

    def both(self, depth: int) -> _Test:
        tests = [self.one(depth)]
        while self.take("AND"):
            tests.append(self.one(depth))
        return tests[0] if len(tests) == 1 else lambda state: all(t(state) for t in tests)

    def one(self, depth: int) -> _Test:
        negated = False
        while self.take("NOT"):
            negated = not negated
        test = self.atom(depth)
        return (lambda state: not test(state)) if negated else test

    def atom(self, depth: int) -> _Test:
        if self.take("("):
            test = self.either(depth + 1)
            if not self.take(")"):
                raise self.wrong()
            return test
        for word, value in (("TRUE", True), ("FALSE", False)):
            if self.take(word):
                return _always(value)
        for wanted in AlarmState:
            if self.take(wanted.value):
                return self.reference(wanted)
        raise self.wrong()

    def reference(self, wanted: AlarmState) -> _Test:
        if not self.take("("):
            raise self.wrong()
        if self.at >= len(self.tokens) or self.tokens[self.at] in ("(", ")"):
            raise self.wrong()
        name = alarm_name(self.tokens[self.at].strip('"'))
        self.at += 1
        if not self.take(")"):
            raise self.wrong()
        self.children[name] = None
        return lambda state: state(name) is wanted
