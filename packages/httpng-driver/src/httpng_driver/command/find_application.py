"""Finding the application that a command line names."""

import importlib
import importlib.util
import inspect
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from httpng_core import Application, ConfigError, Lifecycle, ListenAddress, as_application
from httpng_driver.serving.endpoints import Preparation

# A virtual environment, or a clone of ours, may lie beside the user's files.
_NOT_THE_USERS: Final = frozenset(
    {
        "site-packages",
        "dist-packages",
        "httpng",
        "httpng_core",
        "httpng_driver",
        "httpng_asyncio",
        "httpng_trio",
    }
)


def load(
    name: str,
    settings: Mapping[str, object],
    lua: str | None = None,
    listen: Sequence[ListenAddress] | None = None,
    *,
    app_dir: str | None = None,
    factory: bool = False,
) -> Application:
    """Return the application named `path.lua`, `path.py:name`, `package.module:name`, or a directory's files.

    Args:
        name: as on the command line.
        settings: settings that win over the application's own.
        lua: the Lua runtime, `None` for the default.
        listen: where to listen, which wins over what a script says; its `cfg` opens it.
        app_dir: where modules are looked for; `None`: in the current folder.
        factory: whether the name is that of a function without arguments that returns the application.

    Raises:
        ConfigError: one line that says what is wrong with it, and where.
    """
    if name.endswith(".lua"):
        if factory:
            raise ConfigError(f"{name}: --factory is for a function in Python")
        return _load_lua(name, {**settings, "listen": listen}, lua)
    if lua is not None:
        raise ConfigError(f"{name}: --lua is for an application in Lua")
    if Path(name).is_dir():
        if factory:
            raise ConfigError(f"{name}: --factory is for a function, and this is a directory")
        site = {"path": "/", "handler": name, "index": "index.html"}
        return Application(sites=[site]).with_settings(**settings)
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        forms = "path.lua, path.py:name, package.module:name or a directory"
        raise ConfigError(f"{name}: name the application as {forms}")
    folder = Path(app_dir or ".").resolve()
    if not folder.is_dir():
        raise ConfigError(f"--app-dir {app_dir}: there is no such folder")
    sys.path.insert(0, str(folder))
    module = _from_file(place) if place.endswith(".py") else _from_package(place, folder)
    app = _attribute(module, place, attribute)
    return _as_application(_made(app, name, Path(place).parent) if factory else app, name, settings)


def _load_lua(path: str, settings: Mapping[str, object], lua: str | None) -> Application:
    try:
        from httpng_lua import LuaApplication
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: Lua needs the package httpng-lua: pip install httpng-lua") from error
    prepared: list[Preparation] = []

    def prepare(lifecycle: Lifecycle) -> Preparation:
        prepared.append(Preparation(lifecycle))
        return prepared[-1]

    try:
        return LuaApplication(
            path,
            clock=time.monotonic,
            wall_clock=time.time,
            lua=lua,
            overrides=settings,
            control=prepare,
        )
    except BaseException:
        for preparation in prepared:
            preparation.close()
        raise


def _from_file(path: str) -> ModuleType:
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As if the file were run: its neighbours can be imported, and it by them.
    sys.path.insert(0, str(file.parent.resolve()))
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(_told(path, file.parent, error)) from error
    return module


def _from_package(name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(f"{name}: no such module") from error
        raise ConfigError(_told(name, folder, error)) from error


def _made(factory: object, name: str, folder: Path) -> object:
    """Return what a factory makes."""
    if not callable(factory) or inspect.iscoroutinefunction(factory):
        raise ConfigError(f"{name}: --factory needs a plain function without arguments")
    try:
        return factory()
    except Exception as error:
        raise ConfigError(_told(name, folder, error)) from error


def _told(where: str, folder: Path, error: Exception) -> str:
    """Return what went wrong in the user's files, those in `folder`, in one line."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: syntax error: {error.msg}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename
    ]
    # Rather where a library was called than where that raises: ours does so for every wrong setting.
    named = [frame for frame in frames[1:] if _is_in(folder, frame.filename)] or frames[1:]
    place = f"{named[-1].filename}:{named[-1].lineno}" if named else where
    return f"{place}: {type(error).__name__}: {error}".splitlines()[0]


def _is_in(folder: Path, filename: str) -> bool:
    path = Path(filename).resolve()
    return path.is_relative_to(folder.resolve()) and _NOT_THE_USERS.isdisjoint(path.parts)


def _attribute(module: ModuleType, place: str, attribute: str) -> object:
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{place}: it has no handler {attribute!r}")
        found = getattr(found, part)
    return found


def _as_application(app: object, name: str, settings: Mapping[str, object]) -> Application:
    try:
        application = as_application(app, None, {})
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{name}: {error}") from error
    # In place: the module may reconfigure the application that it holds.
    application.override(**settings)
    return application
