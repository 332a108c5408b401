"""How AWS's names of a dependency become names of targets: the names that a scan of the source gives.

A table of DynamoDB is `dynamodb`: the service fails as one, and the source names
it so. A function is its name, a remote host is the host.
"""

from __future__ import annotations

from flyball.names import is_target_name
from flyball_analytics.mapping.sourcescan import KINDS

FUNCTION_TYPES = ("AWS::Lambda::Function",)
DATABASES = ("rds", "rds-data", "docdb", "neptune", "redshift", "elasticache", "timestream")


def target_of(kind: str, name: str) -> tuple[str, str] | None:
    """Return (target, kind of the map) of a dependency; None: it is none, or its name cannot be a target's.

    Args:
        kind: The type of X-Ray or Application Signals: AWS::DynamoDB::Table, remote, Database::SQL.
        name: Its name there.

    >>> target_of("AWS::DynamoDB::Table", "orders"), target_of("remote", "pay.example")
    (('dynamodb', 'database'), ('pay.example', 'api'))
    >>> target_of("client", "client") is None
    True
    """
    if kind == "client":
        return None
    if kind in FUNCTION_TYPES:
        found, meaning = name, "function"
    elif kind.startswith("AWS::"):
        service = kind.split("::")[1].lower()
        found, meaning = service, "database" if service in DATABASES else KINDS.get(service, "api")
    else:
        found, meaning = name, "database" if kind.lower().startswith("database") else "api"
    return (found, meaning) if is_target_name(found) else None
