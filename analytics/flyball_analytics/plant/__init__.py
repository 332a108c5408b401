"""The plant: a closed-loop model of targets and their callers, with the real client code in the loop.

What a policy does to a target cannot be read off recorded attempts: retries feed
back into the load that causes them. So the plant generates first attempts and
lets the client decide the rest against a queue that keeps serving abandoned
work (docs/theory/control.md). Standard library and `flyball` only.

    draws       named random streams, Poisson and binomial counts
    traffic     when requests arrive
    faults      what goes wrong, and when
    downstream  servers and queue
    world       one service, request by request
    quiet       healthy minutes, counted
    day         both together, over days
    ledger      what became of every request, and how good that was
"""

from flyball_analytics.plant.day import ServiceDay
from flyball_analytics.plant.faults import Fault, FaultKind
from flyball_analytics.plant.ledger import Ledger, Window
from flyball_analytics.plant.quiet import QuietService
from flyball_analytics.plant.traffic import Traffic
from flyball_analytics.plant.world import Environment, Service, World

__all__ = [
    "Environment",
    "Fault",
    "FaultKind",
    "Ledger",
    "QuietService",
    "Service",
    "ServiceDay",
    "Traffic",
    "Window",
    "World",
]
