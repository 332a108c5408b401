"""Wrong inputs that look right: mutations of values, texts and bytes, drawn from one random source.

Most random bytes die in the first check of a parser. So what is mutated here are
real payloads, as trees (JSON), as lines (YAML, CSV) or as bytes, and texts that hold
JSON are opened and mutated inside. Every function takes the random source; the same
source gives the same input. Nothing here knows a parser.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

# What breaks parsers: limits, other types, other words for numbers, text that other layers interpret.
NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    1,
    2**31,
    2**53,
    2**63,
    2**64,
    10**30,
    10**400,
    -(10**400),
    10**4_000,
    0.0,
    -0.0,
    0.5,
    1e308,
    -1e308,
    5e-324,
    1e-9,
    float("nan"),
    float("inf"),
    float("-inf"),
)
TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\x00",
    "\ud800",
    "\u202e",
    "\r\n",
    "\x1b[31m",
    "é",
    "𝟙𝟚",
    "١٢",
    "nan",
    "Infinity",
    "1_000",
    "0x10",
    "1e999",
    "-",
    "null",
    "*",
    "..",
    "../../x",
    "a/b",
    "<script>",
    "=1+1",
    "{}",
    "[]",
    "[" * 200,
    '{"a":' * 40,
    "9" * 5_000,
    "x" * 300,
    "x" * 70_000,
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-11-23T12:00:00.000+0000",
    "2026-11-23T12:00:00",
    "open",
    "OPEN",
    "ALARM",
    "OK",
    "__class__",
    "{0}",
    "%s",
)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": None}, {"a": {"b": {}}}, [[[[[]]]]])
TOKENS: tuple[bytes, ...] = (
    b"\x00",
    b"\xff",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\n",
    b"\r",
    b"\r\n",
    b"\t",
    b'"',
    b"\\",
    b"\\u",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"null",
    b"true",
    b"9" * 40,
    b"9" * 4_400,
    b"[" * 60,
    b'{"a":' * 60,
    b"\x1f\x8b\x08\x00",
    b"\xe2\x80\xa8",
)


def draw_value(rng: Random) -> Any:
    """Return a hostile value of any type."""
    return rng.choice(rng.choice((NUMBERS, TEXTS, OTHERS)))


def one_of(rng: Random, pool: Sequence[Any]) -> Any:
    """Return one of the inputs, those of the corpus, which stand first, more often than those learned."""
    return pool[int(len(pool) * rng.random() * (rng.random() if rng.random() < 0.5 else 1.0))]


def mutate_tree(rng: Random, tree: Any, other: Any = None, words: tuple[str, ...] = ()) -> Any:
    """Return the tree with one place replaced, removed, doubled, renamed or damaged; the old one stays.

    Args:
        rng: Random source.
        tree: JSON value.
        other: Another one, from which parts may be taken.
        words: Keys worth trying.
    """
    if isinstance(tree, dict) and tree and rng.random() < 0.93:
        key = rng.choice(list(tree))
        if rng.random() < 0.75:
            return {**tree, key: mutate_tree(rng, tree[key], other, words)}
        return _mutate_keys(rng, tree, key, other, words)
    if isinstance(tree, list) and tree and rng.random() < 0.93:
        at = rng.randrange(len(tree))
        if rng.random() < 0.75:
            return [*tree[:at], mutate_tree(rng, tree[at], other, words), *tree[at + 1 :]]
        kind = rng.randrange(3)
        if kind == 0:
            return tree[:at] + tree[at + 1 :]
        if kind == 1:
            return [*tree, tree[at]]
        return [*tree[:at], draw_value(rng), *tree[at:]]
    return _mutate_leaf(rng, tree, other)


def _mutate_keys(rng: Random, tree: dict[str, Any], key: str, other: Any, words: tuple[str, ...]) -> Any:
    kind = rng.randrange(4)
    if kind == 0:
        return {k: v for k, v in tree.items() if k != key}
    name = rng.choice(words) if words and rng.random() < 0.7 else rng.choice(TEXTS[:40])
    if kind == 1:
        return {(name if k == key else k): v for k, v in tree.items()}
    if kind == 2:
        return {**tree, name: draw_value(rng)}
    if isinstance(other, dict) and other:
        taken = rng.choice(list(other))
        return {**tree, taken: other[taken]}
    return {**tree, name: tree[key]}


def _mutate_leaf(rng: Random, leaf: Any, other: Any) -> Any:
    chance = rng.random()
    if isinstance(leaf, str):
        if leaf[:1] in ("{", "[") and chance < 0.6:  # JSON inside of JSON
            try:
                return json.dumps(mutate_tree(rng, json.loads(leaf), other))
            except (ValueError, RecursionError):
                return leaf[: len(leaf) // 2]
        if chance < 0.5:
            return mutate_text(rng, leaf)
    elif (
        isinstance(leaf, int | float) and not isinstance(leaf, bool) and chance < 0.5 and -1e15 < leaf < 1e15
    ):
        return rng.choice((leaf + 1, leaf - 1, -leaf, leaf * 1000, leaf * 0.001, float(leaf), str(leaf)))
    if chance > 0.95 and other is not None:
        return other
    return draw_value(rng)


def mutate_text(rng: Random, text: str) -> str:
    """Return the text with a piece cut out, doubled or put in."""
    at = rng.randrange(len(text) + 1)
    until = min(len(text), at + rng.choice((0, 1, 1, 2, 8)))
    return (
        text[:at]
        + rng.choice(("", text[at:until] * 2, rng.choice(TEXTS), chr(rng.randrange(1, 128))))
        + text[until:]
    )


def mutate_bytes(rng: Random, data: bytes, other: bytes = b"", tokens: tuple[bytes, ...] = TOKENS) -> bytes:
    """Return the bytes with one to four pieces flipped, cut, doubled, moved or put in."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        size = len(data)
        at = rng.randrange(size + 1)
        kind = rng.randrange(8)
        if kind == 0 and at < size:
            data = data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :]
        elif kind == 1 and at < size:
            data = data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :]
        elif kind == 2:
            data = data[:at]
        elif kind == 3:
            data = data[:at] + data[at + rng.choice((1, 2, 4, 16, 64)) :]
        elif kind == 4:
            piece = data[at : at + rng.choice((1, 4, 16, 64))]
            data = data[:at] + piece * rng.choice((2, 2, 3, 16)) + data[at + len(piece) :]
        elif kind == 5 and other:
            cut = rng.randrange(len(other) + 1)
            data = data[:at] + other[cut : cut + rng.choice((4, 16, 64, len(other)))] + data[at:]
        else:
            data = data[:at] + rng.choice(tokens) + data[at + rng.choice((0, 0, 1, 4)) :]
    return data


def mutate_lines(rng: Random, data: bytes, other: bytes, tokens: tuple[bytes, ...], marks: bytes) -> bytes:
    """Return the text with a line or a word of it changed; `marks` separate words."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        kind = rng.randrange(7)
        if kind == 0:
            lines[at : at + 1] = []
        elif kind == 1:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif kind == 2 and other:
            lines.insert(at, rng.choice(other.split(b"\n")))
        elif kind == 3:
            lines[at] = b" " * rng.choice((1, 2, 4)) + lines[at]
        else:
            mark = marks[rng.randrange(len(marks)) :][:1]
            words = lines[at].split(mark)
            words[rng.randrange(len(words))] = rng.choice(tokens)
            lines[at] = mark.join(words)
        lines = lines or [b""]
    return b"\n".join(lines)
