"""Programs of others are let loose on each loop that httpng serves on."""

from tests.driver.conftest import anyio_backend, carrier, net, pair, serving

__all__ = ["anyio_backend", "carrier", "net", "pair", "serving"]
