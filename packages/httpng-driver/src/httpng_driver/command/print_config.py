"""`--print-config`: what counts in the end, and who says so. The output is TOML."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from httpng_core import Application, ListenAddress, Settings
from httpng_driver.command.arguments import Given
from httpng_driver.command.config_file import APP, SITES
from httpng_driver.command.options import GROUPS, Option

_SECRET = frozenset({"keyfile_password"})
_PLACES = frozenset(
    {"listen", "host", "port", "uds", "fd", "proxy_protocol", "certfile", "keyfile", "keyfile_password"}
)
_NOT_TOLD = _PLACES | _SECRET | {APP, SITES, "config", "check_config", "print_config"}
_OF_LUA = frozenset({"sandbox", "lua_memory_limit", "handler_time_limit"})
_WIDTH = 44


def config_lines(
    application: Application,
    listen: Sequence[ListenAddress] | None,
    given: Mapping[str, Given],
    options: Sequence[Option],
) -> Iterator[str]:
    """Return the lines: each key with its value and, as a comment, where that comes from."""
    own = "the application" if given.get(APP) else "the sites"
    if (app := given.get(APP)) is not None:
        yield _line(APP, app.value, app.source)
    is_lua = app is not None and str(app.value).endswith(".lua")
    yield from _listen(application, listen, given, own)
    for group in GROUPS:
        for option in options:
            if option.group == group and option.key not in _NOT_TOLD:
                yield from _option(option, application.settings, given.get(option.key), own, is_lua=is_lua)
    for site in application.sites:
        yield "[[sites]]"
        source = given[SITES].source if SITES in given else own
        yield _line("path", site.path, source)
        handler = site.directory or f"{getattr(site.handler, '__qualname__', type(site.handler).__name__)}"
        yield _line("handler", handler, source if site.directory else f"{source}: a handler")
        if site.directory is not None and site.index is not None:
            yield _line("index", site.index, source)


def _listen(
    application: Application, listen: Sequence[ListenAddress] | None, given: Mapping[str, Given], own: str
) -> Iterator[str]:
    if listen is None:
        yield _line("listen", [_place(one) for one in application.listen], own)
        return
    sources = [given[key].source for key in ("listen", "host", "port", "uds", "fd") if key in given]
    places = [one.url if "certfile" in given else _place(one) for one in listen]
    yield _line("listen", places, ", ".join(dict.fromkeys(sources)) or "default")
    for key in ("certfile", "keyfile", "keyfile_password"):
        if key in given:
            yield _line(key, "..." if key in _SECRET else given[key].value, given[key].source)


def _place(address: ListenAddress) -> object:
    """Return what says in a file where to listen."""
    if address.tls is None and address.mode is None and not address.proxy_protocol:
        return address.url
    found: dict[str, object] = {"addr": address.host}
    if address.path is not None or address.is_open:
        found["addr"] = address.authority
    else:
        found["port"] = address.port
    if address.proxy_protocol:
        found["proxy_protocol"] = True
    if address.mode is not None:
        found["mode"] = f"{address.mode:o}"
    if address.tls is not None:
        pairs = [(one.certificate_file, one.certificate_key_file) for one in address.tls.pairs]
        found["tls"] = [{"certificate_file": one, "certificate_key_file": key} for one, key in pairs]
        found["uses_sni"] = address.tls.uses_sni
    return found


def _option(
    option: Option, settings: Settings, given: Given | None, own: str, *, is_lua: bool
) -> Iterator[str]:
    if not option.is_setting:
        if given is not None:
            yield _line(option.key, given.value, given.source)
        return
    if given is None and option.key in _OF_LUA and not is_lua:
        return
    value = getattr(settings, option.key)
    (default,) = (one.default for one in fields(Settings) if one.name == option.key)
    source = given.source if given is not None else own if value != default else "default"
    if option.key == "trusted_proxies" and value is not None:
        value = [str(network) for network in value]
    if option.key == "admin" and value is not None:
        value = value.authority
    if option.key == "headers" and value is not None:
        value = [f"{name}: {text}" for name, text in value]
    yield _line(option.key, value, source)


def _line(key: str, value: object, source: str) -> str:
    text = f"# {key} is not set" if value is None else f"{key} = {_toml(value)}"
    return f"{text.ljust(_WIDTH)}  # {source}"


def _toml(value: object) -> str:
    if isinstance(value, float):
        return "inf" if value == math.inf else f"{value:g}" if value == int(value) else repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_toml(one)}' for key, one in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)
