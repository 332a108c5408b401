"""boto3 sessions that know nothing of the machine they run on: no AWS variable, no AWS file, no look-up.

An emulator must never reach a real account because somebody exported
AWS_PROFILE, and a hostile AWS_CONFIG_FILE must not change a simulation. botocore
looks in many places; this session answers each from constants instead:

* configuration variables: their built-in defaults (an empty environment);
* config, credentials and model files: those of the package, no user's;
* credentials: the documentation's example keys, given explicitly;
* endpoint variables, plugins, user-agent and trace variables: not consulted.

A test replaces os.environ with one that records its readers, so a new botocore
that looks somewhere else is noticed.
"""

from __future__ import annotations

from typing import Any, cast

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    ConfigChainFactory,
    ConfigValueStore,
)
from botocore.handlers import add_recursion_detection_header
from botocore.loaders import Loader
from botocore.useragent import UserAgentString

# The keys AWS documentation uses as examples: valid in form, known to open nothing.
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - an example, not a secret
# Short, because nothing answers late in process; no SDK retries, because the SDK sleeps real seconds.
DEFAULT_CONFIG = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"total_max_attempts": 1},
    proxies={},  # a proxy of the machine is none of an emulator's business
)

# Shared by all sessions: parsing botocore's endpoint and service files takes 0.3 s, and nobody changes them.
# Built-in files only, for a user may have put models of his own into ~/.aws/models.
_MODELS = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)


def isolated_session(region: str) -> boto3.Session:
    """Return a boto3 session with example credentials that reads neither environment nor files.

    >>> isolated_session("eu-west-1").get_credentials().access_key
    'AKIAIOSFODNN7EXAMPLE'
    """
    return boto3.Session(
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=region,
        botocore_session=_IsolatedSession(),
    )


class _IsolatedSession(botocore.session.Session):
    """botocore's session with each of its looks outside answered from constants."""

    def __init__(self) -> None:
        super().__init__()
        self.register_component("data_loader", _MODELS)
        self.unregister("before-call", cast(Any, add_recursion_detection_header))

    @property
    def full_config(self) -> dict[str, Any]:
        return {"profiles": {}}

    def get_auth_token(self, **_: object) -> Any:
        return None

    def user_agent(self) -> str:
        return f"{self.user_agent_name}/{self.user_agent_version}"

    def _register_config_store(self) -> None:
        chains = ConfigChainFactory(session=self, environ={})
        self.register_component(
            "config_store",
            ConfigValueStore(
                mapping={
                    name: chains.create_config_chain(
                        instance_name=name,
                        env_var_names=variable,
                        config_property_names=config,
                        default=default,
                        conversion_func=conversion,
                    )
                    for name, (config, variable, default, conversion) in (
                        BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
                    )
                }
            ),
        )

    def _register_user_agent_creator(self) -> None:
        self.register_component(
            "user_agent_creator", UserAgentString("local", "0", "local", "3", "CPython", "", None)
        )

    def _add_configured_endpoint_provider(self, *_: object, **__: object) -> None:
        """Keep AWS_ENDPOINT_URL_* and its file twin out."""

    def _register_client_plugins(self, client: object) -> None:
        """Keep plugins named in the environment out."""
