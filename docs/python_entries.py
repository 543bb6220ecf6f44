"""Entries of the reference from docstrings and signatures: read as source, so that types stand as written."""

import ast
import importlib.util
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from docs.docstrings import WIDTH, attributes, filled, prose

DOORS = (
    "httpng", "httpng_asyncio", "httpng_trio", "httpng_core", "httpng_lua", "httpng_core.testing",
    "httpng_driver", "httpng.feeds", "httpng.feeds.redis", "httpng.feeds.nats",
)  # fmt: skip
"""The modules whose names are public; a bare name is looked for in this order."""


Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = Function | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Definition:
    """Where a name is defined.

    Attributes:
        module: the dotted name of the module.
        name: the name there.
        node: the statement.
        doc: its docstring.
    """

    module: str
    name: str
    node: Named
    doc: str


@cache
def tree_of(module: str) -> ast.Module:
    """Return the syntax tree of a module of ours.

    Raises:
        LookupError: it isn't ours; such a one may have no source.
    """
    if not module.startswith("httpng"):
        raise LookupError(f"{module} is not ours")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return ast.parse(Path(spec.origin).read_text())


def public_names(door: str) -> list[str]:
    """Return what a module offers, its version apart."""
    for node in tree_of(door).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [name for name in ast.literal_eval(node.value) if name != "__version__"]
    raise LookupError(f"{door} has no __all__")


@cache
def define(module: str, name: str) -> Definition:
    """Return the definition of a name, followed through imports.

    Raises:
        LookupError: there is none, or it has no docstring.
    """
    body = tree_of(module).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return define(str(node.module), alias.name)
        elif isinstance(node, Named) and name in _names(node):
            doc = _doc(node, following)
            if not doc:
                raise LookupError(f"{module}.{name} has no docstring")
            return Definition(module, name, node, doc)
    raise LookupError(f"{module} has no {name}")


def find(item: str) -> Definition:
    """Return the definition of a public name: `SendResult`, or `httpng_core.Feed`."""
    door, _, name = item.rpartition(".")
    for each in (door,) if door else DOORS:
        if name in public_names(each):
            return define(each, name)
    raise LookupError(f"{item} is not public")


def entry(item: str) -> str:
    """Return the entry of a public name; `Feed(publish, close)` has these members alone, `Feed()` none."""
    title, limited, chosen = item.rstrip(")").partition("(")
    definition = find(title)
    node, name = definition.node, definition.name
    lines = [f"### `{title}`", "", f"*{', '.join(_doors_of(definition))}*", ""]
    if isinstance(node, ast.ClassDef):
        members = methods(definition)
        lines += _class(
            definition, {each: members[each] for each in chosen.split(", ") if each} if limited else members
        )
    elif isinstance(node, Function):
        lines += [*_code(_signature(node, name)), *prose(definition.doc)]
    else:
        lines += [*_code(ast.unparse(node)), *prose(definition.doc)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _names(node: Named) -> list[str]:
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets]
    return [ast.unparse(node.target)] if isinstance(node, ast.AnnAssign) else [node.name]


def _doc(node: Named, following: ast.stmt | None) -> str:
    if isinstance(node, Function | ast.ClassDef):
        return ast.get_docstring(node) or ""
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
        return textwrap.dedent(str(following.value.value)).strip()
    return ""


def _doors_of(definition: Definition) -> list[str]:
    """From which modules it can be imported."""
    name = definition.name
    return [door for door in DOORS if name in public_names(door) and define(door, name) == definition]


def _code(text: str) -> list[str]:
    # In the quotes of our sources.
    return ["```python", text if '"' in text else text.replace("'", '"'), "```", ""]


def _class(definition: Definition, members: dict[str, Function]) -> list[str]:
    node = definition.node
    assert isinstance(node, ast.ClassDef)
    init = next((each for each in node.body if isinstance(each, Function) and each.name == "__init__"), None)
    fields = _fields(node)
    types = {name: kind for name, (kind, _) in fields.items()} | (_set_in(init) if init else {})
    told = attributes(definition.doc)
    lines = [*_code(_constructor(node, init, fields)), *prose(definition.doc, types)]
    lines += [_property(each) for name, each in members.items() if _is_property(each) and name not in told]
    lines += _told_values(node)
    lines += ["", *(prose(ast.get_docstring(init) or "") if init else [])]
    for name, each in members.items():
        if not _is_property(each):
            lines += [
                f"#### `{definition.name}.{name}`",
                "",
                *_code(_signature(each, name)),
                *prose(_told(each)),
            ]
    return lines


def _told_values(node: ast.ClassDef) -> list[str]:
    """Return the members of an enumeration that have a docstring below them."""
    values = []
    for each, following in pairwise(node.body):
        if isinstance(each, ast.Assign) and (doc := _doc(each, following)):
            values.append(filled(f"* `{_names(each)[0]}`: {' '.join(doc.split())}", "  "))
    return values


def _property(node: Function) -> str:
    returns = f" (`{ast.unparse(node.returns)}`)" if node.returns else ""
    return filled(f"* `{node.name}`{returns}: {' '.join(_told(node).split())}", "  ")


def _constructor(node: ast.ClassDef, init: Function | None, fields: dict[str, tuple[str, str]]) -> str:
    if init is not None:
        return "class " + _signature(init, node.name)
    decorators = " ".join(map(ast.unparse, node.decorator_list))
    if not decorators.startswith("dataclass"):
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    parts = [f"{name}: {kind}{default}" for name, (kind, default) in fields.items()]
    return "class " + _call(node.name, ["*", *parts] if "kw_only=True" in decorators else parts, "")


def _fields(node: ast.ClassDef) -> dict[str, tuple[str, str]]:
    """Return the annotated names of a class: types and defaults; a default that is made shows as dots."""
    found = {}
    for each in node.body:
        if isinstance(each, ast.AnnAssign):
            default = "..." if isinstance(each.value, ast.Call) else ast.unparse(each.value or ast.Tuple([]))
            found[ast.unparse(each.target)] = (
                ast.unparse(each.annotation),
                f" = {default}" if each.value else "",
            )
    return found


def _set_in(init: Function) -> dict[str, str]:
    """Return the types of the attributes that a constructor annotates."""
    annotated = (each for each in ast.walk(init) if isinstance(each, ast.AnnAssign))
    return {
        ast.unparse(each.target).removeprefix("self."): ast.unparse(each.annotation) for each in annotated
    }


def methods(definition: Definition) -> dict[str, Function]:
    """Return the public methods and properties of a class by name, those of its bases too."""
    node = definition.node
    found: dict[str, Function] = {}
    assert isinstance(node, ast.ClassDef)
    for base in map(ast.unparse, node.bases):
        try:
            found |= methods(define(definition.module, base))
        except LookupError:
            continue  # It isn't ours.
    for each in node.body:
        if isinstance(each, Function) and not each.name.startswith("_") and not _is_setter(each):
            found[each.name] = each
    return found


def _is_setter(node: Function) -> bool:
    return any(ast.unparse(one).endswith(".setter") for one in node.decorator_list)


def _is_property(node: Function) -> bool:
    return any(ast.unparse(one) == "property" for one in node.decorator_list)


def _told(node: Function) -> str:
    doc = ast.get_docstring(node)
    if not doc:
        raise LookupError(f"{node.name} has no docstring")
    return doc


def _signature(node: Function, name: str) -> str:
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + [ast.unparse(each) for each in given.defaults]
    parts = [
        _argument(*each) for each in zip(plain, defaults, strict=True) if each[0].arg not in ("self", "cls")
    ]
    if given.vararg:
        parts.append("*" + _argument(given.vararg, None))
    elif given.kwonlyargs:
        parts.append("*")
    for keyword, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        parts.append(_argument(keyword, ast.unparse(default) if default else None))
    if given.kwarg:
        parts.append("**" + _argument(given.kwarg, None))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    keyword_of = "async def " if isinstance(node, ast.AsyncFunctionDef) else "def "
    return _call(name if node.name == "__init__" else keyword_of + name, parts, returns)


def _argument(given: ast.arg, default: str | None) -> str:
    # What a module imports under a name with a hyphen below is known without.
    kind = re.sub(r"\b_(?=[A-Z])", "", ast.unparse(given.annotation)) if given.annotation else ""
    annotated = f"{given.arg}: {kind}" if kind else given.arg
    return annotated if default is None else f"{annotated} = {default}"


def _call(name: str, parts: list[str], returns: str) -> str:
    line = f"{name}({', '.join(parts)}){returns}"
    if len(line) <= WIDTH - 10:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"
