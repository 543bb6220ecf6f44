"""Finding the application that a command line names."""

import importlib
import importlib.util
import inspect
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Final, cast

from httpng_core import Application, ConfigError, Lifecycle, ListenAddress, as_application
from httpng_driver.serving.endpoints import Preparation

# A virtual environment, or a clone of the project, may lie beside the user's files.
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

_FIRST: Final = ("interface",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be served, and how.

    Attributes:
        name: `module:name`, `path.py:name`, `path.lua`, or a directory; `None` for sites alone.
        settings: settings that win over the application's own.
        listen: where to listen, which wins over what a script says; its `cfg` opens it.
        lua: the Lua runtime, `None` for the default.
        app_dir: where modules are looked for; `None`: in the current folder.
        factory: whether the name is that of a function without arguments that returns the application.
        sites: sites whose handlers are directories, or named as `name` is.
        opens: whether a script's `cfg` is to open what it names; else it is only checked.
    """

    name: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    listen: Sequence[ListenAddress] | None = None
    lua: str | None = None
    app_dir: str | None = None
    factory: bool = False
    sites: Sequence[object] | None = None
    opens: bool = True


def load(wanted: Wanted) -> Application:
    """Return the application that is wanted.

    Raises:
        ConfigError: one line that says what is wrong with it, and where.
    """
    name = wanted.name
    if name is not None and name.endswith(".lua"):
        return _load_lua(name, wanted)
    if wanted.lua is not None:
        raise ConfigError(f"{name}: --lua is for an application in Lua")
    folder = Path(wanted.app_dir or ".").resolve()
    if not folder.is_dir():
        raise ConfigError(f"--app-dir {wanted.app_dir}: there is no such folder")
    sys.path.insert(0, str(folder))
    sites = None if wanted.sites is None else [_site(site, folder) for site in wanted.sites]
    if name is not None and Path(name).is_dir():
        if wanted.factory:
            raise ConfigError(f"{name}: --factory is for a function, and this is a directory")
        root = {"path": "/", "handler": name, "index": "index.html"}
        return Application(sites=[*(sites or []), root]).with_settings(**wanted.settings)
    if name is None:
        return Application(sites=sites).with_settings(**wanted.settings)
    if sites:
        # So what is wrong with them is told before, and not of the application.
        Application(sites=sites)
    app = _find(name, folder)
    app = _made(app, name, Path(name).parent) if wanted.factory else app
    return _as_application(app, name, wanted.settings, sites)


def _find(name: str, folder: Path) -> object:
    """Return what `module:name` or `path.py:name` names."""
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        forms = "path.lua, path.py:name, package.module:name or a directory"
        raise ConfigError(f"{name}: name the application as {forms}")
    module = _from_file(place) if place.endswith(".py") else _from_package(place, folder)
    return _attribute(module, place, attribute)


def _site(site: object, folder: Path) -> object:
    """Return a site with its handler in place of the handler's name; what isn't one is left as it is."""
    handler = site.get("handler") if isinstance(site, Mapping) else None
    if not isinstance(handler, str) or ":" not in handler or Path(handler).is_dir():
        return site
    return {**cast(Mapping[str, object], site), "handler": _find(handler, folder)}


def _load_lua(path: str, wanted: Wanted) -> Application:
    if wanted.factory:
        raise ConfigError(f"{path}: --factory is for a function in Python")
    if wanted.sites is not None:
        raise ConfigError(f"{path}: a script names its sites itself, in its cfg")
    try:
        from httpng_lua import LuaApplication
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: Lua needs the package httpng-lua: pip install httpng-lua") from error
    prepared: list[Preparation] = []

    def prepare(lifecycle: Lifecycle) -> Preparation:
        prepared.append(Preparation(lifecycle, opens=wanted.opens))
        return prepared[-1]

    try:
        return LuaApplication(
            path,
            clock=time.monotonic,
            wall_clock=time.time,
            lua=wanted.lua,
            overrides={**wanted.settings, "listen": wanted.listen},
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
    loaded = sys.modules.get(file.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file.resolve()):
        return loaded
    spec = importlib.util.spec_from_file_location(file.stem, file.resolve())
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


def _as_application(
    app: object, name: str, settings: Mapping[str, object], sites: Sequence[object] | None
) -> Application:
    try:
        first: dict[str, object] = {} if sites is None else {"sites": sites}
        if not isinstance(app, Application):
            # What functions are has to be known before they are looked at.
            first.update((key, settings[key]) for key in _FIRST if key in settings)
        application = as_application(app, None, first)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{name}: {error}") from error
    # In place: the module may reconfigure the application that it holds.
    application.override(**settings)
    return application
