"""The command line: `flyball COMMAND`. Importing this package loads click and nothing else."""

from __future__ import annotations

from flyball_analytics.cli.group import FlyballGroup

HELP = """Tune retries, budgets and circuits from fleet metrics.

Results go to stdout, progress and errors to stderr. Commands that only read say
so. Exit codes: 0 ok, 1 check failed, 2 usage or invalid file, 3 changes pending,
4 inconclusive (not enough data), 5 backend error, 130 interrupted.

\b
example: flyball replay payments.csv
"""

cli = FlyballGroup(
    name="flyball",
    help=HELP,
    commands_lazy={
        "apply": (
            "flyball_analytics.cli.apply:apply",
            "Put a plan in force, if what it was made against still stands.",
        ),
        "assess": (
            "flyball_analytics.cli.assess:assess",
            "Judge an integration map: hazards, patterns with reasons, first policy.",
        ),
        "circuit": (
            "flyball_analytics.cli.circuit:circuit",
            "Hold, open, close or release one target, for a time.",
        ),
        "compare": (
            "flyball_analytics.cli.compare:compare_command",
            "Say which policy would have been better over a history, and how sure.",
        ),
        "cost": (
            "flyball_analytics.cli.cost:cost",
            "Say what flyball itself costs in a month, and what it has to save.",
        ),
        "dashboard": (
            "flyball_analytics.cli.dashboard:dashboard",
            "Write a CloudWatch or Grafana dashboard as JSON.",
        ),
        "doctor": (
            "flyball_analytics.cli.doctor:doctor",
            "Check this machine and what it can reach, with remedies.",
        ),
        "explain": (
            "flyball_analytics.cli.explain:explain",
            "Say what a reason, error, exit code or hazard means.",
        ),
        "init": (
            "flyball_analytics.cli.init:init",
            "Write a commented integration map and policy to begin with.",
        ),
        "ingest": (
            "flyball_analytics.cli.ingest:ingest",
            "Read metric history from CloudWatch, streams, Prometheus or CSV.",
        ),
        "kill-switch": (
            "flyball_analytics.cli.kill_switch:kill_switch",
            "Put every client on its compiled-in defaults, for a time.",
        ),
        "map": (
            "flyball_analytics.cli.map:map_command",
            "Draft an integration map from source code and AWS.",
        ),
        "migrate": (
            "flyball_analytics.cli.migrate:migrate",
            "Bring policies and maps of older formats up to date.",
        ),
        "plan": (
            "flyball_analytics.cli.plan:plan",
            "Show what a policy would change in the document and in force.",
        ),
        "redrive": (
            "flyball_analytics.cli.redrive:redrive_command",
            "Submit dead letters again, slowly, and only where circuits are closed.",
        ),
        "replay": (
            "flyball_analytics.cli.replay:replay",
            "Run the controller over recorded metrics, exactly as it would have run live.",
        ),
        "report": (
            "flyball_analytics.cli.report:report",
            "Write one HTML page about a history: verdict, incidents, decisions with why.",
        ),
        "rollback": (
            "flyball_analytics.cli.rollback:rollback",
            "Publish what stood before again, under a higher revision.",
        ),
        "schema": (
            "flyball_analytics.cli.schema:schema",
            "Write the JSON Schema of a policy, a map or the document.",
        ),
        "score": (
            "flyball_analytics.cli.score:score",
            "Score decisions against labelled incidents: delay, misses, false alarms.",
        ),
        "shadow": (
            "flyball_analytics.cli.shadow:shadow",
            "Say what a target in shadow would have been told.",
        ),
        "simulate": (
            "flyball_analytics.cli.simulate:simulate",
            "Run a scenario in a closed loop, beside reference algorithms.",
        ),
        "sweep": (
            "flyball_analytics.cli.sweep:sweep_command",
            "Try many policies over a history, and show those that nobody beats.",
        ),
        "status": (
            "flyball_analytics.cli.status:status",
            "Show what every target is doing now.",
        ),
        "synth": (
            "flyball_analytics.cli.synth:synth",
            "Make a labelled synthetic history of a fleet.",
        ),
        "test": (
            "flyball_analytics.cli.test:test",
            "Check the expectations in scenario files.",
        ),
        "thresholds": (
            "flyball_analytics.cli.thresholds:thresholds",
            "Show what is normal, where rules would have fired, and fixed or adaptive.",
        ),
        "tune": (
            "flyball_analytics.cli.tune:tune_command",
            "Search for better policies over a history, where it pays to look.",
        ),
        "validate": (
            "flyball_analytics.cli.validate:validate",
            "Check a policy and show what it sets; or check a map.",
        ),
        "watch": (
            "flyball_analytics.cli.status:watch",
            "Show what every target is doing, again and again.",
        ),
        "why": (
            "flyball_analytics.cli.why:why_command",
            "Explain one decision, and what would have changed it.",
        ),
    },
)


def main() -> None:
    """Run the command line; the console script `flyball` calls this."""
    cli(prog_name="flyball")
