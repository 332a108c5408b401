"""What handlers ask for on the embedded account, said in the names of a real one."""

from __future__ import annotations

from aws.account import Account
from flyball.outcome import Counters
from flyball.telemetry import emf_lines
from flyball_local.embedded import EmbeddedAws
from flyball_local.template import Stack
from integration.infra_world import expanded

TARGET = "payments"


def asked_by_handlers(account: Account) -> set[tuple[str, str, str]]:
    """Return (function, action, resource) of every call of an incident, an alarm and an override.

    The embedded stack has the real one's account, region and prefix; the ids that
    AppConfig gave are exchanged for those of the real stack's outputs.
    """
    with EmbeddedAws(seed=5, account=account.account, region=account.region) as aws:
        stack = Stack(aws, expanded(), {"Targets": TARGET, "Prefix": account.prefix}, name=account.stack)
        for minute in range(10):
            aws.clock.advance(30.0)
            counters = Counters()
            counters.requests, counters.timeouts = 600, 590 if 2 <= minute < 6 else 0
            for line in emf_lines(counters, target=TARGET, function="", now_s=aws.clock.now_s()):
                aws.cloudwatch.ingest_emf(line)
            aws.clock.advance(30.0)
        override = stack.function(stack.place.arn("lambda", f"function:{account.prefix}-override"))
        override.invoke({"action": "open", "target": TARGET, "by": "n", "why": "w", "for_s": 60})
        ids = zip(
            stack.outputs["AppConfigIds"].split("/"), account.outputs["AppConfigIds"].split("/"), strict=True
        )
        names = dict(ids)
        return {
            (grant.function, grant.action, _named(grant.resource, names))
            for grant in stack.ledger.asked
            if grant.granted and not grant.action.startswith("logs:")
        }


def _named(resource: str, names: dict[str, str]) -> str:
    return "/".join(names.get(part, part) for part in resource.split("/"))
