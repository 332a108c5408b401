"""What a target may be called: one rule (`records.TARGET_NAME_PATTERN`), and what to say of a breach.

A name is a metric dimension, a key in DynamoDB and in the document, a word on a
command line, a group of a queue, a part of an alarm's description and of a URL.
So: letters, digits and . _ : @ / # + - of ASCII, 1 to 128 of them, the first a
letter or digit. "*" is no name: it means the whole fleet. Loaded when a name is
wrong, or by those who are in no hurry.
"""

from __future__ import annotations

from flyball.document import shown
from flyball.records import TARGET_NAME_MAX, is_target_name

__all__ = ["BOUND", "is_target_name", "name_problem"]

BOUND = f"1 to {TARGET_NAME_MAX} of letters, digits and . _ : @ / # + -, the first a letter or digit"


def name_problem(name: object) -> str:
    """Return what is wrong with a name and where, for the end of an error's sentence; "" if nothing is.

    >>> name_problem("payments api")
    "'payments api' must be 1 to 128 of letters, digits and . _ : @ / # + -, the first a letter or digit; \
character 9 is ' '"
    """
    if is_target_name(name):
        return ""
    sentence = f"{shown(name)} must be {BOUND}"
    if not isinstance(name, str):
        return f"{sentence}; it is no text"
    for place, character in enumerate(name, 1):
        if not is_target_name(f"a{character}"):
            return f"{sentence}; character {place} is {character!r}"
        if place == 1 and not character.isalnum():
            return f"{sentence}; it begins with {character!r}"
    return f"{sentence}; it has {len(name)}"
