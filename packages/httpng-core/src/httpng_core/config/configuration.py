"""What a server is told to do, and the rules by which it is: for the first time, and while it runs.

They are written here once, for Python and for Lua. The order of the checks is that of the original, since it
tells which of several mistakes is named.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from httpng_core.config.address import ListenAddress
from httpng_core.config.listen import parse_listen
from httpng_core.config.settings import (
    LuaRuntime,
    Settings,
    check_before_handlers,
    parse_settings,
    parse_uvloop,
    refuse_asgi_keys,
    refuse_lua_keys,
    unchangeable,
)
from httpng_core.config.sites import Site, parse_new_sites, parse_sites
from httpng_core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that one call of `cfg`, or one `Application`, has said, checked.

    Attributes:
        sites: who has which paths; none while every request is to get 404.
        settings: the settings.
        listen: where to listen.
        uvloop: whether to be run on uvloop; `None`: as whoever runs it likes.
    """

    sites: Sequence[Site]
    settings: Settings
    listen: Sequence[ListenAddress]
    uvloop: bool | None = None

    @property
    def directories(self) -> list[str]:
        """The directories that are served, by their absolute names."""
        return [site.directory for site in self.sites if site.directory is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What handlers are written in, as far as configurations differ by it.

    Attributes:
        name: "Python" or "Lua".
        listen: where to listen if nothing is said.
        is_function: whether a handler is a function.
        runtime: the Lua that runs; `None` in Python.
    """

    name: str
    listen: tuple[ListenAddress, ...]
    is_function: Callable[[object], bool]
    runtime: LuaRuntime | None = None


def first_configuration(cfg: Mapping[str, object], language: Language) -> Configuration:
    """Check the configuration of a server that doesn't run.

    Args:
        cfg: values by key, `handler`, `sites` and `listen` among them; None stands for the default.
        language: what the handlers are written in.

    Raises:
        ConfigError: with the texts of the original where it has one.
    """
    listen = parse_listen(cfg.get("listen"), default=language.listen)
    _refuse_uvloop(cfg, language)
    _refuse_keys_of_others(cfg, language)
    check_before_handlers(cfg)
    sites = parse_sites(cfg.get("sites"), cfg.get("handler"), language.is_function)
    settings = parse_settings(cfg, lua_handler=language.runtime is not None)
    # It could be chosen when the script began; this is the cfg after a shutdown.
    _check_runtime(cfg, language)
    return Configuration(
        sites=sites, settings=settings, listen=listen, uvloop=parse_uvloop(cfg.get("uvloop"))
    )


def reconfiguration(running: Configuration, cfg: Mapping[str, object], language: Language) -> Configuration:
    """Check a configuration that is to take the place of the one that is `running`.

    What `cfg` doesn't name returns to its default, sites are gone; what can't be changed stays. There a
    value has to be the one that it is, and None, when it is given, stands for the default.

    Raises:
        ConfigError: with the texts of the original where it has one.
    """
    _refuse_uvloop(cfg, language)
    _refuse_keys_of_others(cfg, language)
    check_before_handlers(cfg, running.settings)
    sites = parse_new_sites(
        cfg.get("sites"), cfg.get("handler"), running.sites, language.name, language.is_function
    )
    settings = parse_settings(cfg, running=running.settings)
    _check_runtime(cfg, language)
    if cfg.get("uvloop") not in (None, running.uvloop):
        raise unchangeable("uvloop")
    if "listen" in cfg:
        raise unchangeable("listen")
    return replace(running, sites=sites, settings=settings)


def _refuse_uvloop(cfg: Mapping[str, object], language: Language) -> None:
    if language.runtime is not None and cfg.get("uvloop") is not None:
        raise ConfigError("uvloop is not a parameter of cfg: it is an option of the command line")


def _refuse_keys_of_others(cfg: Mapping[str, object], language: Language) -> None:
    if language.runtime is None:
        refuse_lua_keys(cfg)
    else:
        refuse_asgi_keys(cfg)


def _check_runtime(cfg: Mapping[str, object], language: Language) -> None:
    if cfg.get("lua") not in (None, language.runtime):
        raise unchangeable("lua")
