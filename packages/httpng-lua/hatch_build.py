"""Builds the hot modules of a package with mypyc, if asked to by `HTTPNG_COMPILE=1`.

Without it, and in an editable install, the package is pure Python. With it the wheel holds the same
sources, and beside them extension modules that are imported in their place.

pyproject.toml lists the modules, names by folder, and what must be installed for their types to be known.
Each package that is compiled has this same file, as a build from its source distribution has no other.
"""

import os
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# A module that is listed must keep to what mypyc can do (https://mypyc.readthedocs.io):
#
# * constants of a class are `Final`; others become attributes of its instances;
# * no class derives from int, dict, deque or from one that isn't compiled, and nothing that isn't compiled
#   derives from one that is, unless `mypyc_attr` allows it: so what users derive from (`BaseIO`, `Feed`,
#   `Application`, exceptions) isn't here, nor is a Protocol that `isinstance` is asked about;
# * annotations are checked at run time, and code that they make unreachable is left out: what users give is
#   declared as what it may be, not as what it should be;
# * an optional object without `__bool__` is true, whatever its `__len__` says;
# * the type of a tuple with a star in it is written out, else its length may be taken for a constant;
# * a class can't be changed at run time, and its instances have no attributes but the declared ones.

_REQUIRED: Final = ("mypy[mypyc]>=2.4,<3", "setuptools>=70")
_CHECKED_AS: Final = (
    # What is compiled is checked, and nothing else: not the rest of the package, nor what isn't installed.
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
        return [*_REQUIRED, *self.config["requires"]] if _is_wanted(self.target_name) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together."""
        if not _is_wanted(self.target_name) or version == "editable":
            return
        self._built = tempfile.TemporaryDirectory(prefix="httpng-")
        (package,) = Path(self.root, "src").iterdir()
        sources = [
            str(package / folder / f"{name}.py")
            for folder, names in self.config["modules"].items()
            for name in names.split()
        ]
        for built in _compile(sources, Path(self._built.name)):
            build_data["force_include"][str(built)] = str(built.relative_to(Path(self._built.name, "lib")))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built, as the wheel has it now."""
        if hasattr(self, "_built"):
            self._built.cleanup()


def _is_wanted(target: str) -> bool:
    return target == "wheel" and os.environ.get("HTTPNG_COMPILE", "0") not in ("", "0")


def _compile(sources: list[str], place: Path) -> list[Path]:
    """Build extension modules below `place`, and return them."""
    # These are there only where something is compiled.
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    extensions = mypycify(
        [*_CHECKED_AS, *sources],
        target_dir=str(place / "c"),
        opt_level=os.environ.get("HTTPNG_COMPILE_LEVEL", "3"),
        debug_level="0",
    )
    command = build_ext(Distribution({"name": "httpng", "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(place / "lib"), str(place / "temp")
    command.ensure_finalized()
    command.run()
    return sorted((place / "lib").rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"))
