"""Compile the shipped policy files (YAML) to the JSON that Lambda reads. A test says when to run this."""

from __future__ import annotations

from pathlib import Path

from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_set import PRESETS, compile_set

FOLDER = Path(__file__).resolve().parent.parent / "controller" / "flyball_controller" / "presets"


def main() -> None:
    """Write presets/*.json from presets/*.yaml."""
    for name in PRESETS:
        policies = parse_policy((FOLDER / f"{name}.yaml").read_bytes(), where=f"{name}.yaml")
        (FOLDER / f"{name}.json").write_bytes(compile_set(policies) + b"\n")


if __name__ == "__main__":
    main()
