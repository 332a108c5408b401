"""Record what the core says today over drawn streams: decisions, and verdicts of the value detector.

The streams are those of tests/recorded_streams.py and recorded_bands.py.
Run after a deliberate change of either: python tools/record_decisions.py. It prints
which streams come out otherwise now; say why in CHANGELOG.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))


def decisions() -> dict[str, dict[str, object]]:
    """Return what the step decides over each stream."""
    from recorded_streams import POLICIES, SEEDS, digest_of, recorded

    found: dict[str, dict[str, object]] = {}
    for name in POLICIES:
        for seed in range(SEEDS):
            one = recorded(name, seed)
            found[f"{name}/{seed}"] = {
                "decisions": len(one.decisions),
                "changed": sum(decision.changed for decision in one.decisions),
                "digest": digest_of(one),
            }
    return found


def bands() -> dict[str, dict[str, object]]:
    """Return what the value detector says to each stream."""
    from recorded_bands import KINDS, SEEDS, said

    found: dict[str, dict[str, object]] = {}
    for name in KINDS:
        for seed in range(SEEDS):
            one = said(name, seed)
            firing = sum(verdict.firing for verdict in one.verdicts)
            found[f"{name}/{seed}"] = {"verdicts": len(one.verdicts), "firing": firing, "digest": one.digest}
    return found


def main() -> None:
    """Write both files and say what is new."""
    for file, made in (("recorded_decisions.json", decisions), ("recorded_bands.json", bands)):
        path = TESTS / file
        before = json.loads(path.read_text("utf-8")) if path.exists() else {}
        found = made()
        path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        for name, entry in found.items():
            if before.get(name) != entry:
                print(f"{file}, {name}: {before.get(name, 'new')} -> {entry}")


if __name__ == "__main__":
    main()
