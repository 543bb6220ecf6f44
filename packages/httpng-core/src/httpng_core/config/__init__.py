"""What a server is told: settings, addresses, sites, and the rules of their values."""

from httpng_core.config.address import (
    LUA_DEFAULT_LISTEN,
    PYTHON_DEFAULT_LISTEN,
    CertificateFiles,
    ListenAddress,
    SocketLike,
    TlsFiles,
)
from httpng_core.config.configuration import Configuration, Language, first_configuration, reconfiguration
from httpng_core.config.listen import parse_listen
from httpng_core.config.settings import (
    LUA_KEYS,
    OWN_KEYS,
    LuaRuntime,
    Settings,
    check_before_handlers,
    nearest_key,
    parse_lua_runtime,
    parse_settings,
    refuse_lua_keys,
    unknown_key,
)
from httpng_core.config.sites import NOT_FOUND, Site, SiteTable, parse_sites, path_bytes, resolved

__all__ = [
    "LUA_DEFAULT_LISTEN",
    "LUA_KEYS",
    "NOT_FOUND",
    "OWN_KEYS",
    "PYTHON_DEFAULT_LISTEN",
    "CertificateFiles",
    "Configuration",
    "Language",
    "ListenAddress",
    "LuaRuntime",
    "Settings",
    "Site",
    "SiteTable",
    "SocketLike",
    "TlsFiles",
    "check_before_handlers",
    "first_configuration",
    "nearest_key",
    "parse_listen",
    "parse_lua_runtime",
    "parse_settings",
    "parse_sites",
    "path_bytes",
    "reconfiguration",
    "refuse_lua_keys",
    "resolved",
    "unknown_key",
]
