"""The drivers of examples/ pass what core ships to test drivers."""

import importlib.util
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from httpng_core import Application
from httpng_core.testing.conformance import DriverConformance

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
BOUND = 20.0


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Example(DriverConformance):
    """A driver with `serve(application, listener, stop)`, run in a thread."""

    name: ClassVar[str]

    @pytest.fixture
    def serve(self) -> Iterator[Callable[..., int]]:
        stop, threads = threading.Event(), list[threading.Thread]()
        listeners = list[socket.socket]()
        module = example(self.name)

        def start(handler: Any, **settings: Any) -> int:
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            listeners.append(listener)
            arguments = (Application(handler, **settings), listener, stop.is_set)
            threads.append(threading.Thread(target=module.serve, args=arguments))
            threads[-1].start()
            return int(listener.getsockname()[1])

        yield start
        stop.set()
        for thread in threads:
            thread.join(BOUND)
        for listener in listeners:
            listener.close()
        assert not any(thread.is_alive() for thread in threads), "the driver stops"


class TestThreads(Example):
    name = "embed_threads"


class TestSelectors(Example):
    name = "embed_selectors"
