"""The command line: `flyball COMMAND`. Importing this package loads click and nothing else."""

from __future__ import annotations

from flyball_analytics.cli.group import FlyballGroup

HELP = """Tune retries, budgets and circuits from fleet metrics.

Results go to stdout, progress and errors to stderr. Commands that only read say
so. Exit codes: 0 ok, 1 check failed, 2 usage or invalid file, 3 changes pending,
4 inconclusive (not enough data), 5 backend error.

\b
example: flyball replay payments.csv
"""

cli = FlyballGroup(
    name="flyball",
    help=HELP,
    commands_lazy={
        "explain": (
            "flyball_analytics.cli.explain:explain",
            "Say what a reason or exit code means and what to do.",
        ),
        "redrive": (
            "flyball_analytics.cli.redrive:redrive_command",
            "Submit dead letters again, slowly, and only where circuits are closed.",
        ),
        "replay": (
            "flyball_analytics.cli.replay:replay",
            "Run the controller over recorded metrics, exactly as it would have run live.",
        ),
        "simulate": (
            "flyball_analytics.cli.simulate:simulate",
            "Run a scenario in a closed loop, beside reference algorithms.",
        ),
        "test": (
            "flyball_analytics.cli.test:test",
            "Check the expectations in scenario files.",
        ),
        "validate": (
            "flyball_analytics.cli.validate:validate",
            "Check a policy file and show what it sets.",
        ),
    },
)


def main() -> None:
    """Run the command line; the console script `flyball` calls this."""
    cli(prog_name="flyball")
