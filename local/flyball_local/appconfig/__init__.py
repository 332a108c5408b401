"""An embedded AWS AppConfig: control plane, data plane and Agent on a virtual clock.

Start at `AppConfigService`. What it does is AWS's documented or recorded
behaviour; what had to be assumed is listed in the docstrings of deployments.py,
data.py, agent.py and rollout.py.
"""

from flyball_local.appconfig.agent import Agent, AgentServer
from flyball_local.appconfig.deployments import Timing
from flyball_local.appconfig.errors import LostReplyError, NotEmulatedError, ServiceError
from flyball_local.appconfig.records import Limits
from flyball_local.appconfig.service import AppConfigService, Serving, Usage
from flyball_local.appconfig.weather import FaultKind

__all__ = [
    "Agent",
    "AgentServer",
    "AppConfigService",
    "FaultKind",
    "Limits",
    "LostReplyError",
    "NotEmulatedError",
    "ServiceError",
    "Serving",
    "Timing",
    "Usage",
]
