"""The states of a server, and what may be asked of it in which. The texts are those of the original.

This file knows neither threads nor configurations. `TABLE` is total: every state has an entry for every
verb.

    STOPPED ── configure ──> RUNNING ── reduce ──> REDUCING
                               ^──── reduced ─────────┘

From the last two `shutdown` leads to STOPPING, and `ended` leads to STOPPED from everywhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum, auto
from types import MappingProxyType
from typing import Final


class ServerState(Enum):
    """Where a server stands."""

    STOPPED = auto()
    """There is no configuration, or what served it has come to its end."""
    RUNNING = auto()
    """It is configured: it serves, or is about to."""
    REDUCING = auto()
    """Fewer threads were asked for, and some are not gone yet."""
    STOPPING = auto()
    """A shutdown is under way."""


class ServerVerb(Enum):
    """What is asked of a server, or has come of it."""

    CONFIGURE = auto()
    """The first configuration, or another one."""
    SHUTDOWN = auto()
    FORCE_DECREASE = auto()
    """The threads that are to go are to go now."""
    REDUCE = auto()
    """The server has begun to end threads."""
    REDUCED = auto()
    """They are gone."""
    ENDED = auto()
    """Everything is down."""


_S, _V = ServerState, ServerVerb
_NOT_LAUNCHED = "Server is not launched"
_STOPPING = "shutdown is in progress"

TABLE: Final[Mapping[tuple[ServerState, ServerVerb], ServerState | str]] = MappingProxyType(
    {
        (_S.STOPPED, _V.CONFIGURE): _S.RUNNING,
        (_S.STOPPED, _V.SHUTDOWN): _NOT_LAUNCHED,
        (_S.STOPPED, _V.FORCE_DECREASE): "Not configured, nothing to terminate",
        (_S.STOPPED, _V.REDUCE): _NOT_LAUNCHED,
        (_S.STOPPED, _V.REDUCED): _S.STOPPED,
        (_S.STOPPED, _V.ENDED): _S.STOPPED,
        (_S.RUNNING, _V.CONFIGURE): _S.RUNNING,
        (_S.RUNNING, _V.SHUTDOWN): _S.STOPPING,
        (_S.RUNNING, _V.FORCE_DECREASE): _S.RUNNING,
        (_S.RUNNING, _V.REDUCE): _S.REDUCING,
        (_S.RUNNING, _V.REDUCED): _S.RUNNING,
        (_S.RUNNING, _V.ENDED): _S.STOPPED,
        (_S.REDUCING, _V.CONFIGURE): "Unable to reconfigure until threads will shut down",
        (_S.REDUCING, _V.SHUTDOWN): _S.STOPPING,
        (_S.REDUCING, _V.FORCE_DECREASE): _S.REDUCING,
        (_S.REDUCING, _V.REDUCE): _S.REDUCING,
        (_S.REDUCING, _V.REDUCED): _S.RUNNING,
        (_S.REDUCING, _V.ENDED): _S.STOPPED,
        (_S.STOPPING, _V.CONFIGURE): _STOPPING,
        (_S.STOPPING, _V.SHUTDOWN): _STOPPING,
        (_S.STOPPING, _V.FORCE_DECREASE): "Shutdown is in progress",
        (_S.STOPPING, _V.REDUCE): _STOPPING,
        # The threads that were going are gone before the others.
        (_S.STOPPING, _V.REDUCED): _S.STOPPING,
        (_S.STOPPING, _V.ENDED): _S.STOPPED,
    }
)
"""(state, verb) to the next state, or to the text of the error that the verb is."""


class Lifecycle:
    """Where the server of one application stands.

    Attributes:
        state: the state.
        lock: held while it changes; a driver with several threads puts a real one here.
    """

    def __init__(self) -> None:
        self.lock: AbstractContextManager[object] = nullcontext()
        self.state = ServerState.STOPPED
        self._configuring = False

    def do(self, verb: ServerVerb) -> None:
        """Go where the verb leads.

        Raises:
            RuntimeError: the state forbids it, and stays.
        """
        with self.lock:
            self.state = self._target(verb)

    def begin_configuring(self) -> None:
        """Begin a call of `cfg`; `end_configuring` must follow.

        Raises:
            RuntimeError: the state forbids it, or another one is being carried out.
        """
        self._target(ServerVerb.CONFIGURE)
        if self._configuring:
            raise RuntimeError("Reconfiguration is already in progress")
        self._configuring = True

    def end_configuring(self, *, done: bool) -> None:
        """End a call of `cfg`; if it has failed, the state stays."""
        self._configuring = False
        if done and self.state is ServerState.STOPPED:
            self.do(ServerVerb.CONFIGURE)

    @contextmanager
    def configuring(self) -> Iterator[None]:
        """Enclose a call of `cfg`, from its first check to its end; it has failed if it raises.

        Raises:
            RuntimeError: see `begin_configuring`.
        """
        self.begin_configuring()
        done = False
        try:
            yield
            done = True
        finally:
            self.end_configuring(done=done)

    def _target(self, verb: ServerVerb) -> ServerState:
        target = TABLE[self.state, verb]
        if isinstance(target, str):
            raise RuntimeError(target)
        return target
