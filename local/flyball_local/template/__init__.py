"""Runs a CloudFormation template on the embedded AWS: the rules, queues and permissions that are deployed.

A demo that wires its own bus proves the handlers; this proves the template. What
the template says is taken literally: event patterns decide what arrives, queue
policies and function permissions who may send, and every call of a handler is
held to the statements of its role. What has no emulator here is refused by name.
"""

from __future__ import annotations

from flyball_local.template.errors import TemplateError
from flyball_local.template.expand import expand
from flyball_local.template.stack import Stack

__all__ = ["Stack", "TemplateError", "expand"]
