"""An installation as operators reach it: its tables, its AppConfig profile, the policy in force.

The names come from the same FLYBALL_* variables that the controller reads, from a
prefix (as `infra/template.yaml` makes names from it), or from the stack's output
`AppConfigIds`. boto3 is imported when something is first asked.

Knows where things are, nothing of what is decided about them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from flyball_controller.aws.settings import AppConfigIds, Settings
from flyball_controller.core.errors import PolicyError
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PRESETS, PolicySet, load_preset
from flyball_controller.policy_store import Pointer, read_pointer, read_policy
from flyball_controller.ports import PortError

if TYPE_CHECKING:
    from flyball.contract import Document
    from flyball_controller.aws.clients import Clients
    from flyball_controller.aws.dynamodb import DynamoCheckpoints, DynamoCircuits, DynamoHolds
    from flyball_controller.aws.journal import DynamoJournal
    from flyball_controller.aws.operator_publisher import Live, OperatorPublisher
    from flyball_controller.core.state import State

PREFIX = "flyball"
# The client's and the handlers': an operator's shell may hold them, and they mean nothing here.
OTHERS = (
    "FLYBALL_OFF",
    "FLYBALL_AGENT",
    "FLYBALL_APPCONFIG",
    "FLYBALL_DOCUMENT",
    "FLYBALL_FAULTS",
    "FLYBALL_ACCOUNTS",
    "FLYBALL_ALARM_TARGETS",
    "FLYBALL_FUNCTION_TARGETS",
    "FLYBALL_POWERTOOLS_CIRCUITS",
    "FLYBALL_POWERTOOLS_TABLE",
    "FLYBALL_REGIONS",
)
TABLES = {
    "circuits_table": "FLYBALL_CIRCUITS_TABLE",
    "state_table": "FLYBALL_STATE_TABLE",
    "journal_table": "FLYBALL_JOURNAL_TABLE",
    "holds_table": "FLYBALL_HOLDS_TABLE",
}


class AddressError(ValueError):
    """An installation that cannot be found by what was given; the user's to mend."""


class InForce(NamedTuple):
    """The policy that controllers obey. `policies` None: it is their own, and not known here."""

    pointer: Pointer
    policies: PolicySet | None


class Installation:
    """One installation's adapters, each made when first used.

    Args:
        settings: Names of tables, targets, policy; `appconfig` None = look it up by the prefix.
        prefix: Begins the names of what the template made.
        clients: Of the region.
    """

    def __init__(self, settings: Settings, *, prefix: str, clients: Clients) -> None:
        self.settings = settings
        self.prefix = prefix
        self.clients = clients

    @cached_property
    def checkpoints(self) -> DynamoCheckpoints:
        """The states', and the policy's, store."""
        from flyball_controller.aws.dynamodb import DynamoCheckpoints

        return DynamoCheckpoints(self.clients.dynamodb, table=self.settings.state_table)

    @cached_property
    def circuits(self) -> DynamoCircuits:
        """The published circuits."""
        from flyball_controller.aws.dynamodb import DynamoCircuits

        return DynamoCircuits(self.clients.dynamodb, table=self.settings.circuits_table)

    @cached_property
    def holds(self) -> DynamoHolds:
        """Operators' overrides."""
        from flyball_controller.aws.dynamodb import DynamoHolds

        return DynamoHolds(self.clients.dynamodb, table=self.settings.holds_table)

    @cached_property
    def journal(self) -> DynamoJournal:
        """The decisions."""
        from flyball_controller.aws.journal import DynamoJournal

        return DynamoJournal(
            self.clients.dynamodb, table=self.settings.journal_table, keep_days=self.settings.journal_days
        )

    @cached_property
    def publisher(self) -> OperatorPublisher | None:
        """The document's publisher, None if the installation has no AppConfig profile.

        Raises:
            PortError: AppConfig could not be asked.
        """
        from flyball_controller.aws.appconfig_setup import find_config
        from flyball_controller.aws.operator_publisher import OperatorPublisher

        ids = self.settings.appconfig
        if ids is None:
            try:
                found = find_config(
                    self.clients.appconfig,  # type: ignore[arg-type]  # one client, another Protocol's view of it
                    application=self.prefix,
                    strategy=f"{self.prefix}-at-once",
                )
            except PortError as error:
                raise PortError(
                    f"{error}; if you may not list AppConfig's applications, give --appconfig with the "
                    "stack's output AppConfigIds",
                    backend=error.backend,
                    retryable=error.retryable,
                ) from error
            if found is None:
                return None
            ids = found
        return OperatorPublisher(self.clients.appconfig, **ids._asdict(), checkpoints=self.checkpoints)

    def seen(self, *, now_s: float) -> tuple[Live | None, str]:
        """Return what stands in AppConfig, or None and why it could not be read.

        For commands that must work while AppConfig does not.
        """
        try:
            publisher = self.publisher
            return (publisher.live(now_s=now_s) if publisher is not None else None), ""
        except PortError as error:
            return None, str(error)

    def states(self, names: Sequence[str]) -> dict[str, State]:
        """Return the stored state of each target that has a readable one.

        Raises:
            PortError: The store failed.
        """
        from flyball_controller.codec import decode_state
        from flyball_controller.core.errors import CheckpointError

        states = {}
        for name, stored in self.checkpoints.load(names).items() if names else ():
            try:
                if stored.version:
                    states[name] = decode_state(stored.data)
            except CheckpointError:
                continue  # the controller resets it at its next round
        return states

    def in_force(self, document: Document | None) -> InForce:
        """Return the policy that controllers obey, as far as it can be known from here.

        A policy that was applied is in the store. Without one it is each controller's
        own: the one of these settings or a shipped one, if the document was made under
        it, or if there is no document yet.

        Raises:
            PortError: The store failed.
            PolicyError: What stands in the store cannot be read.
        """
        pointer = read_pointer(self.checkpoints)
        if pointer.hash:
            return InForce(pointer, read_policy(self.checkpoints, pointer.hash))
        wanted = document.policy_hash if document is not None else ""
        for name in dict.fromkeys((self.settings.policy, *PRESETS)):
            try:
                candidate = load_preset(name) if name in PRESETS else load_policy(name)
            except PolicyError:
                continue  # a path that exists only inside the function's bundle
            if candidate.hash == (wanted or candidate.hash):  # without a document the settings' word counts
                return InForce(pointer, candidate)
        return InForce(pointer, None)


def open_installation(
    environ: Mapping[str, str],
    *,
    prefix: str = PREFIX,
    appconfig: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
    clients: Clients | None = None,
) -> Installation:
    """Return the installation that the options and the environment name; makes no call.

    Args:
        environ: E.g. os.environ: FLYBALL_* as the controller reads them.
        prefix: Begins the names of tables that the environment does not give.
        appconfig: application/environment/profile/strategy, as in the stack's output.
        region: AWS region; None: the environment's, else boto3's own configuration.
        endpoint_url: Where all services are instead of at AWS.
        clients: An embedding's own; then region and endpoint_url mean nothing.

    Raises:
        SettingsError: A variable cannot be obeyed.
        AddressError: `appconfig` is not four ids.
    """
    from flyball_controller.aws.clients import Clients

    settings = Settings.from_env(environ, also=OTHERS)
    for field, variable in TABLES.items():
        if variable not in environ:
            settings = _named(settings, field, f"{prefix}-{field.removesuffix('_table')}")
    if appconfig is not None:
        ids = tuple(part.strip() for part in appconfig.split("/"))
        if len(ids) != len(AppConfigIds._fields) or not all(ids):
            raise AddressError(
                f"--appconfig {appconfig!r} must be APPLICATION/ENVIRONMENT/PROFILE/STRATEGY, as the stack's "
                "output AppConfigIds has it"
            )
        settings = settings._replace(appconfig=AppConfigIds(*ids))
    if clients is None:
        clients = Clients(region=region or settings.region, endpoint_url=endpoint_url)
    return Installation(settings, prefix=prefix, clients=clients)


def _named(settings: Settings, field: str, table: str) -> Settings:
    changes: dict[str, Any] = {field: table}
    return settings._replace(**changes)
