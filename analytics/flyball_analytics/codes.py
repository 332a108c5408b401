"""Every error that the command line ends with has a code: what `flyball explain CODE` says of it.

The code stands in brackets behind the message. It is for people who search and
for tools that match; the message has the place, the value, the bound and the remedy.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class ErrorCode(StrEnum):
    """The closed set; a code never changes its meaning."""

    USAGE = "usage"
    INVALID = "invalid"
    FILE = "file"
    FILE_EXISTS = "file-exists"
    NOT_YAML = "not-yaml"
    UNKNOWN_KEY = "unknown-key"
    REPEATED_KEY = "repeated-key"
    MISSING_KEY = "missing-key"
    WRONG_VALUE = "wrong-value"
    WRONG_VERSION = "wrong-version"
    CONTRADICTION = "contradiction"
    BAD_NAME = "bad-name"
    UNKNOWN_NAME = "unknown-name"
    SETTINGS = "settings"
    CHECKPOINT = "checkpoint"
    HISTORY = "history"
    LABELS = "labels"
    MOMENT = "moment"
    SCENARIO = "scenario"
    MISSING_PACKAGE = "missing-package"
    STALE = "stale"
    TOO_DEAR = "too-dear"
    TOO_LARGE = "too-large"
    INCONCLUSIVE = "inconclusive"
    BACKEND = "backend"
    INTERRUPTED = "interrupted"
    DEFECT = "defect"


class About(NamedTuple):
    """What a code means, and what to do."""

    meaning: str
    remedy: str


ABOUT: dict[ErrorCode, About] = {
    ErrorCode.USAGE: About(
        "The command line cannot be understood: an option, an argument or their combination.",
        "Add --help to the command: it shows every option and an example.",
    ),
    ErrorCode.INVALID: About(
        "What was asked for cannot be done as it stands.",
        "The message says why and what to change; nothing was written.",
    ),
    ErrorCode.FILE: About(
        "A file or folder cannot be read or written.",
        "Check the name, that it exists, and its permissions.",
    ),
    ErrorCode.FILE_EXISTS: About(
        "A file that is there would be replaced.", "Choose another name, or give --force."
    ),
    ErrorCode.NOT_YAML: About(
        "A file is no YAML or JSON mapping, or too large to be one of ours.",
        "Correct the line that is named; an editor with the JSON Schema shows it (flyball schema).",
    ),
    ErrorCode.UNKNOWN_KEY: About(
        "A key that nobody knows. It is refused, for what is ignored in silence protects nobody.",
        "Correct its spelling or remove it (flyball schema); flyball migrate takes out what is retired.",
    ),
    ErrorCode.REPEATED_KEY: About(
        "A key stands twice in one mapping; YAML would keep the last and drop the first unseen.",
        "Remove one of them.",
    ),
    ErrorCode.MISSING_KEY: About("A key that has to be there is missing.", "Add it, as the message shows."),
    ErrorCode.WRONG_VALUE: About(
        "A value has the wrong type, lies outside its range, or is none of the words that are allowed.",
        "Take one inside the bounds that the message names.",
    ),
    ErrorCode.WRONG_VERSION: About(
        "The file says that it is of a version that this flyball does not read.",
        "flyball migrate brings an older file up to date; a newer one needs a newer flyball.",
    ),
    ErrorCode.CONTRADICTION: About(
        "Each value is allowed, but not together: the message names the rule between the fields.",
        "Change one of the two fields.",
    ),
    ErrorCode.BAD_NAME: About(
        "A name that cannot be the name of a target or function.",
        "A target's has 1 to 128 of letters, digits and . _ : @ / # + -, the first a letter or digit.",
    ),
    ErrorCode.UNKNOWN_NAME: About(
        "A target, function, preset or other thing of this name does not exist.",
        "Take the name that is suggested, or add what is named.",
    ),
    ErrorCode.SETTINGS: About(
        "A setting of the installation (FLYBALL_*, --prefix, --appconfig) is wrong.",
        "Correct what is named; flyball doctor checks all of them.",
    ),
    ErrorCode.CHECKPOINT: About(
        "Stored state is corrupt, cut short, or of a newer version.",
        "Use the flyball that wrote it, or delete it: the controller starts afresh.",
    ),
    ErrorCode.HISTORY: About(
        "A file or folder cannot be used as a metric history.",
        "Name its columns (--column FIELD=WORD), or read docs/reference/history.md.",
    ),
    ErrorCode.LABELS: About(
        "A file of labelled incidents cannot be used, or has none for a series.",
        "Correct what is named, or leave out --labels.",
    ),
    ErrorCode.MOMENT: About(
        "A point or span of time cannot be read.",
        "Write 2026-01-05T00:00:00Z, epoch seconds, or 90s, 15m, 2h, 7d.",
    ),
    ErrorCode.SCENARIO: About(
        "A scenario or space of policies cannot be used.",
        "Correct the line that is named (docs/reference/scenarios.md).",
    ),
    ErrorCode.MISSING_PACKAGE: About(
        "An optional Python package is not installed.",
        "pip install 'flyball[EXTRA]', with the extra that is named.",
    ),
    ErrorCode.STALE: About(
        "What is in force is no longer what this was planned against, or what a person edited would be lost.",
        "Plan again and read what it shows; the message names what would be undone.",
    ),
    ErrorCode.TOO_DEAR: About(
        "The requests would cost more than the limit that was given; nothing was asked for.",
        "Read fewer targets or days, or a longer period; or raise --max-cost.",
    ),
    ErrorCode.TOO_LARGE: About(
        "The document would be larger than clients accept.",
        "Spread the targets over several profiles (docs/how-to/scale.md).",
    ),
    ErrorCode.INCONCLUSIVE: About(
        "There is too little history or traffic to answer; no answer is better than a guess.",
        "Give more of it: the message says how much.",
    ),
    ErrorCode.BACKEND: About(
        "AWS or another backend refused or failed.",
        "If it says that the call may work later, try again; else check credentials, permissions and limits "
        "(flyball doctor --aws).",
    ),
    ErrorCode.INTERRUPTED: About(
        "The command was stopped by Ctrl-C, or a question was not answered.",
        "Start it again; with a folder for its progress (--out, --resume) it goes on where it was.",
    ),
    ErrorCode.DEFECT: About(
        "A defect in flyball, never your fault.", "Run again with --debug and report what it prints."
    ),
}
