"""Programs of others are let loose on each loop that httpng serves on."""

from tests.driver.conftest import anyio_backend, net, pair, serving, transport

__all__ = ["anyio_backend", "net", "pair", "serving", "transport"]
