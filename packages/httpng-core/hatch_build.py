"""Builds the hot modules of httpng-core with mypyc, if asked to by `HTTPNG_COMPILE=1`.

Without it, and in an editable install, the package is pure Python. With it the wheel holds the same sources, and
beside them extension modules that take their place; what has no compiler can delete those.
"""

import os
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# A module in this list must keep to what mypyc can do (https://mypyc.readthedocs.io):
#
# * constants of a class are `Final`; others become attributes of its instances;
# * no subclass of int, dict, deque or of a class that isn't compiled, and no compiled class has a subclass that is
#   interpreted: so what users derive from (`BaseIO`, `Feed`, `Application`, exceptions) isn't here;
# * annotations are checked at run time: a bytearray is no bytes, an int no float attribute's value;
# * a class can't be changed at run time, and its instances have no attributes but the declared ones.
COMPILED: Final = [
    "timers",
    "sending/auto_window",
    "sending/body",
    "sending/calls",
    "sending/checks",
    "sending/exchange",
    "sending/host",
    "sending/outgoing",
    "sending/positions",
    "sending/queue",
    "sending/stall",
    "sending/states",
    "sending/waits",
    "wire/endpoint",
    "wire/events",
    "wire/frame",
    "wire/ledger",
    "wire/offer_size",
    "wire/outbound",
    "wire/protocol",
    "wire/scheduler",
    "http/chunks",
    "http/dates",
    "http/request",
    "http/response",
    "http1/body",
    "http1/chunked",
    "http1/framer",
    "http1/grammar",
    "http1/head",
    "http1/parser",
    "http1/protocol",
    "http1/refused",
    "http2/engine/events",
    "http2/engine/flow",
    "http2/engine/frames",
    "http2/engine/hpack_decoder",
    "http2/engine/hpack_encoder",
    "http2/engine/hpack_huffman",
    "http2/engine/hpack_table",
    "http2/engine/intake",
    "http2/engine/limits",
    "http2/engine/peer_settings",
    "http2/engine/requests",
    "http2/engine/sending",
    "http2/engine/session",
    "http2/engine/session_config",
    "http2/engine/stream_states",
    "http2/engine/streams",
    "tls/handshake",
    "tls/outbound",
    "tls/records",
    "connection/__init__",
    "connection/negotiation",
    "app/files",
    "app/handlers",
]

_REQUIRED: Final = ("mypy[mypyc]>=2.4,<3", "setuptools>=70")
_CHECKED_AS: Final = (
    # What is compiled is checked, and nothing else: neither the rest of the package nor what isn't installed here.
    "--config-file=",
    "--follow-imports=silent",
    "--ignore-missing-imports",
    "--cache-dir",
    os.devnull,
)


class CompilingHook(BuildHookInterface[Any]):
    """Adds the extension modules to the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what building needs besides hatchling."""
        return list(_REQUIRED) if _is_wanted(self.target_name) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together."""
        if not _is_wanted(self.target_name) or version == "editable":
            return
        self._built = tempfile.TemporaryDirectory(prefix="httpng-core-")
        for built in _compile(Path(self.root), Path(self._built.name)):
            build_data["force_include"][str(built)] = str(built.relative_to(Path(self._built.name, "lib")))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built, as the wheel has it now."""
        if hasattr(self, "_built"):
            self._built.cleanup()


def _is_wanted(target: str) -> bool:
    return target == "wheel" and os.environ.get("HTTPNG_COMPILE", "0") not in ("", "0")


def _compile(root: Path, place: Path) -> list[Path]:
    """Build extension modules below `place`, and return them."""
    # These are there only where something is compiled.
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    sources = [str(root / "src" / "httpng_core" / f"{name}.py") for name in COMPILED]
    extensions = mypycify(
        [*_CHECKED_AS, *sources],
        target_dir=str(place / "c"),
        opt_level=os.environ.get("HTTPNG_COMPILE_LEVEL", "3"),
        debug_level="0",
    )
    command = build_ext(Distribution({"name": "httpng-core", "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(place / "lib"), str(place / "temp")
    command.ensure_finalized()
    command.run()
    return sorted((place / "lib").rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"))
