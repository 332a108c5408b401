"""A Lambda host: handlers in the real Python bootstrap, in processes that freeze between invocations."""

from __future__ import annotations

from flyball_local.lambdahost.host import LambdaHost
from flyball_local.lambdahost.records import InvokeResult, LambdaHostError
from flyball_local.lambdahost.variables import FunctionSettings

__all__ = ["FunctionSettings", "InvokeResult", "LambdaHost", "LambdaHostError"]
