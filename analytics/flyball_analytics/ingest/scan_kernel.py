"""Reads metric-stream lines by template, at the speed of a memory comparison; numba can compile it.

A line of one series differs from the next only in its numbers. So the first line of
each form is read with the JSON parser, which also tells what its numbers mean
(scan.py); a later line with the same bytes between its numbers has the same meaning,
whatever the order of keys, blanks or escapes. That is exact by construction: no JSON
is parsed here except numbers, and what matches no template goes to the parser.

Numbers: a mantissa up to 2^53 times or over a power of ten up to 10^22 has one
rounding, hence the correct one (W. D. Clinger, "How to read floating point numbers
accurately", PLDI 1990). Longer mantissas are noted for the caller to convert.

Every buffer ends with a line end: it stops all loops, so none checks bounds. Runs
uncompiled too, with the same result. Knows nothing of targets. All in one file,
because numba's cache looks for changes in the file of the outermost function only.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from flyball_analytics.ingest.jit import compiled, jitable

QUOTE, COLON, MINUS, PLUS, POINT, NEWLINE, ZERO, NINE = 34, 58, 45, 43, 46, 10, 48, 57
SPACE, TAB, RETURN, SMALL_E, LARGE_E = 32, 9, 13, 101, 69

NUMBER_BYTES_MAX = 40
MANTISSA_MAX = 1 << 53  # every whole number up to here is a float
MANTISSA_DIGITS_MAX = 18  # more do not fit 63 bits
MANTISSA_BITS = (1 << 62) - 1  # keeps a mantissa that is too long inside 64 bits, compiled or not
EXPONENT_MAX = 22
EXPONENT_ODD = 250  # up to here nothing of NUMBER_BYTES_MAX is infinite
POWERS = np.array([float(10**k) for k in range(EXPONENT_MAX + 1)])  # exact as floats

START, SUM, P50, P99 = range(4)  # columns of the values
VALUES = 4
IGNORED, LAST = -1, -2  # what follows a piece besides a column: a number of no interest; the line end

DONE, ODD, CROWDED = 0, 1, 2  # status: all read; a line for the parser; no room for more fixes
# Templates with one prefix are tried in turn; a line that matches none of so many is odd.
TRIES_MAX = 64
PREFIX_BYTES_MAX = 65_536  # 2^16 bytes below 2^8 times weights below 2^40 stay inside 64 bits
HASH_BITS = (1 << 32) - 1


class Templates(NamedTuple):
    """The forms of lines known so far. Arrays that the caller owns and grows."""

    arena: Any  # bytes between the numbers of all templates
    pieces: Any  # offset in the arena, size, column of the number that follows, (p, 3)
    first: Any  # per template: its first piece
    series: Any  # per template
    hashes: Any  # per template: of the bytes before its first number
    after: Any  # per template: the one that followed it last time, -1 = none yet
    slots: Any  # hash table: template or -1; a power of two long
    skip: Any  # one number: no template has its first number before this offset
    weights: Any  # `key_weights()`


class Lines(NamedTuple):
    """The points of one buffer; arrays with room for all of them."""

    series: Any  # (n,)
    values: Any  # start in ms, sum, p50, p99, (n, VALUES); NaN where absent
    fixes: Any  # numbers to convert from text: row, column, begin, end, (m, 4)


class Cursor(NamedTuple):
    """Where a scan stands; one array of six numbers, changed in place."""

    at: int = 0  # position of the next line
    line: int = 1  # lines per cursor: its number in the buffer, from 0
    row: int = 2
    fixes: int = 3
    previous: int = 4  # template of the line before
    begin: int = 5  # where an odd line begins


AT, LINE, ROW, FIXES, PREVIOUS, BEGIN = Cursor()


@cache
def key_weights() -> Any:
    """Return the fixed odd weights of the prefix hash, one per byte."""
    rng = np.random.Generator(np.random.PCG64(20260105))
    return rng.integers(0, 1 << 39, PREFIX_BYTES_MAX, dtype=np.uint64) << np.uint64(1) | np.uint64(1)


@jitable
def byte(buf: Any, at: int) -> int:
    """Return the byte at a position >= 0; the unsigned index spares the test for negative ones."""
    return int(buf[np.uintp(at)])


@jitable
def digits_from(buf: Any, at: int, mantissa: int) -> Any:
    """Return (end, mantissa) after the digits at `at`; the mantissa is wrong if they are too many."""
    digit = byte(buf, at) - ZERO
    while 0 <= digit <= 9:
        mantissa = (mantissa * 10 + digit) & MANTISSA_BITS
        at += 1
        digit = byte(buf, at) - ZERO
    return at, mantissa


@jitable
def exponent_from(buf: Any, at: int) -> Any:
    """Return (end, exponent) of what follows an `e`; end -1 if it is no exponent."""
    down = byte(buf, at) == MINUS
    if down or byte(buf, at) == PLUS:
        at += 1
    first, shift = at, 0
    while ZERO <= byte(buf, at) <= NINE:
        if shift < 10_000:
            shift = shift * 10 + (int(byte(buf, at)) - ZERO)
        at += 1
    return (at if at > first else -1), (-shift if down else shift)


@jitable
def number_at(buf: Any, at: int) -> Any:
    """Return (end, value, exact) of the JSON number at `at`; end -1 if it is none, or an odd one.

    `exact` False: the value must be converted from its text.
    """
    begin = at
    negative = byte(buf, at) == MINUS
    if negative:
        at += 1
    first = at
    at, mantissa = digits_from(buf, at, 0)
    if at == first or (byte(buf, first) == ZERO and at > first + 1):
        return -1, 0.0, False
    digits, exponent, whole = at - first, 0, True
    if byte(buf, at) == POINT:
        point = at + 1
        at, mantissa = digits_from(buf, point, mantissa)
        if at == point:
            return -1, 0.0, False
        digits, exponent, whole = digits + at - point, point - at, False
    if byte(buf, at) == SMALL_E or byte(buf, at) == LARGE_E:
        at, shift = exponent_from(buf, at + 1)
        if at < 0:
            return -1, 0.0, False
        exponent, whole = exponent + shift, False
    if at - begin > NUMBER_BYTES_MAX or abs(exponent) > EXPONENT_ODD or (negative and whole and not mantissa):
        return -1, 0.0, False  # no measurement, perhaps infinite; and a whole -0 is 0 in JSON
    if digits > MANTISSA_DIGITS_MAX or mantissa > MANTISSA_MAX or abs(exponent) > EXPONENT_MAX:
        return at, 0.0, False
    value = float(mantissa)
    value = value / POWERS[-exponent] if exponent < 0 else value * POWERS[exponent]
    return at, (-value if negative else value), True


@jitable
def same_bytes(left: Any, at: int, right: Any, offset: int, size: int) -> bool:
    """Return whether `size` bytes of two arrays are equal; no early exit, so that it is vectorised."""
    different = np.uint8(0)
    for k in range(size):
        different |= left[np.uintp(at + k)] ^ right[np.uintp(offset + k)]
    return bool(different == 0)


@jitable
def match(
    buf: Any, at: int, arena: Any, pieces: Any, piece: int, values: Any, fixes: Any, row: int, fixed: int
) -> Any:
    """Read the line at `at` by a template; return (position of its end or -1, fixes noted)."""
    for k in range(VALUES):
        values[row, k] = np.nan
    while True:
        offset, size, column = pieces[piece, 0], pieces[piece, 1], pieces[piece, 2]
        if at + size > len(buf) or not same_bytes(buf, at, arena, offset, size):
            return -1, fixed
        at += size
        if column == LAST:
            return at, fixed
        begin = at
        at, value, exact = number_at(buf, at)
        if at < 0:
            return -1, fixed
        if column >= 0:
            values[row, column] = value
            if not exact:
                fixes[fixed, 0], fixes[fixed, 1] = row, column
                fixes[fixed, 2], fixes[fixed, 3] = begin, at
                fixed += 1
        piece += 1


@jitable
def prefix_end(buf: Any, at: int) -> int:
    """Return where the first number of a member begins at or after `at`, -1 if there is none in the line."""
    while byte(buf, at) != NEWLINE:
        if byte(buf, at) == COLON and byte(buf, at - 1) == QUOTE:
            at += 1
            while byte(buf, at) == SPACE:
                at += 1
            if byte(buf, at) == MINUS or ZERO <= byte(buf, at) <= NINE:
                return at
        else:
            at += 1
    return -1


@jitable
def finished_hash(mixed: Any) -> Any:
    """Return the hash that follows from the weighted sum: its upper bits are folded into the lower."""
    return np.int64((mixed ^ (mixed >> np.uint64(29))) & np.uint64(HASH_BITS))


@jitable
def hash_of(buf: Any, at: int, size: int, weights: Any) -> Any:
    """Return the hash of `size` bytes: the sum of each byte times a fixed odd weight, upper half mixed in."""
    mixed = np.uint64(0)
    for k in range(size):
        mixed += np.uint64(buf[np.uintp(at + k)]) * weights[np.uintp(k)]
    return finished_hash(mixed)


@jitable
def prefix_hash(buf: Any, at: int, skip: int, weights: Any) -> Any:
    """Return the hash of what stands before the first number of the line at `at`, -1 if it has none.

    A line shorter than `skip` makes this look into the next one; then no template
    matches, as none holds a line end before its last byte.
    """
    begin = prefix_end(buf, at + skip) if 0 < skip < len(buf) - at else -1
    if begin < 0 or begin - at > PREFIX_BYTES_MAX:
        return -1
    return hash_of(buf, at, begin - at, weights)


@jitable
def line_end(buf: Any, at: int) -> Any:
    """Return (position after the line at `at`, whether it is blank)."""
    while byte(buf, at) == SPACE or byte(buf, at) == TAB or byte(buf, at) == RETURN:
        at += 1
    blank = byte(buf, at) == NEWLINE
    while byte(buf, at) != NEWLINE:
        at += 1
    return at + 1, blank


def scan_lines(buf: Any, cursor: Any, lines: Lines, templates: Templates) -> int:
    """Read lines until the buffer ends or a line matches no template; return the status.

    Args:
        buf: Bytes that end with a line end.
        cursor: Where to begin, see Cursor; changed. After ODD it stands behind the odd line.
        lines: Where points go.
        templates: The known forms.
    """
    # One by one: passing the records to the callees would copy all of them for every line.
    series, values, fixes = lines.series, lines.values, lines.fixes
    arena, pieces, first, hashes = templates.arena, templates.pieces, templates.first, templates.hashes
    after, slots, weights, skip = templates.after, templates.slots, templates.weights, templates.skip[0]
    at, row, fixed, previous = cursor[AT], cursor[ROW], cursor[FIXES], cursor[PREVIOUS]
    line, begin, status = cursor[LINE], at, DONE
    while at < len(buf) and status == DONE:
        begin = at
        if fixed + VALUES > len(fixes):
            status = CROWDED
            continue
        template = after[previous] if previous >= 0 else -1
        end, noted, slot, mixed = -1, fixed, -1, -1
        for _ in range(TRIES_MAX):
            if template >= 0 and (slot < 0 or hashes[template] == mixed):
                end, noted = match(buf, at, arena, pieces, first[template], values, fixes, row, fixed)
                if end >= 0:
                    break
            if slot < 0:
                mixed = prefix_hash(buf, at, skip, weights)
                slot = mixed & (len(slots) - 1)
            else:
                slot = (slot + 1) & (len(slots) - 1)
            template = slots[slot] if mixed >= 0 else -1
            if template < 0:
                break
        line += 1
        if end < 0:
            at, blank = line_end(buf, at)
            status = DONE if blank else ODD
            continue
        if previous >= 0:
            after[previous] = template
        series[row] = templates.series[template]
        previous, fixed, at, row = template, noted, end, row + 1
    cursor[AT], cursor[LINE], cursor[ROW], cursor[FIXES] = at, line, row, fixed
    cursor[PREVIOUS], cursor[BEGIN] = previous, begin
    return status


scan_lines_fast = compiled(scan_lines)
