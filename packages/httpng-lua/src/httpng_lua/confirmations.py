"""Confirmations of streams for Lua: one register of tokens for all of a script."""

from collections.abc import Callable
from typing import Any

from httpng_core import Confirmations
from httpng_core.languages import CONFIRMATIONS_HELPER
from httpng_lua.calls import ExchangeCalls
from httpng_lua.handles import ExchangeHandle
from httpng_lua.runtime import text_of
from httpng_lua.steps import DONE, Answer, guarded


class ConfirmationCalls:
    """What a script may do with the streams that have a token."""

    def __init__(self, calls: ExchangeCalls) -> None:
        self._calls = calls
        self._confirmations = Confirmations("/")

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """Return the calls by the names that confirmations.lua uses."""
        return {
            "confirm_event": self._calls.of_exchange(self._event),
            "confirm_token": self._calls.of_exchange(self._token),
            "confirm": guarded(self._confirm),
            "confirm_helper": guarded(_helper),
        }

    def _event(self, handle: ExchangeHandle, path: bytes) -> Answer:
        return DONE, self._confirmations.begin_events(handle.exchange, self._calls.clock, text_of(path))

    def _token(self, handle: ExchangeHandle) -> Answer:
        return DONE, self._confirmations.begin_bytes(handle.exchange, self._calls.clock).encode()

    def _confirm(self, told: bytes) -> Answer:
        status, why = self._confirmations.confirm(told)
        return DONE, status, why.encode()


def _helper() -> Answer:
    return DONE, CONFIRMATIONS_HELPER.encode()
