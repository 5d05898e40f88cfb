"""Imports run one way, so that the core can be used and tested without the page. Read from the source, and tried."""

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from graphlib import TopologicalSorter

import pytest

from chat_app.config import ROOT
from chat_app.store.library import Library
from chat_app.store.store import Store

LAYERS = [
    ["folders", "lockfile"],
    [
        "address",
        "alarm",
        "errors",
        "finish",
        "names",
        "origins",
        "peers",
        "periods",
        "usage",
        "watchdog",
        "client",
    ],
    ["backoff", "caller", "claims", "connections", "logs", "models", "proxy", "rates"],
    ["parts", "shutdown"],
    ["kinds"],
    ["config", "reply", "server", "prices"],
    ["store", "agent", "brand"],
    ["insights"],
    ["measures", "bills"],
    ["turns"],
    ["trash", "spending"],
    ["limits"],
    ["queue"],
    ["own_chats"],
    ["metrics", "traces"],
    ["replies", "extend", "readiness", "built", "weights", "context", "hooks"],
    ["answer", "titles"],
    ["service"],
    ["api", "ui"],
    ["people"],
    ["own_pages", "scaffold", "building"],
    ["dev"],
    ["chat_app", "__main__"],
]
"""Each part imports only from the layers above it here, and from itself."""
PACKAGE = ROOT / "chat_app"
FOLDERS = {"api", "dev", "people", "replies", "store", "turns", "ui"}


def part(module: str) -> str:
    """`chat_app.api.stream` → `api`."""
    return module.split(".")[1] if "." in module else ""


@cache
def imports() -> dict[str, set[str]]:
    """What each module of the app imports, wherever in its text: absolute names of modules and of what is in them."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" in path.parts:
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        names = found.setdefault(module, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                # By relative names only the client's modules, whose package has another name elsewhere.
                assert node.level == (part(module) == "client" and node.level == 1), module
                of = ".".join(filter(None, ["chat_app.client" if node.level else "", node.module]))
                names.update(f"{of}.{alias.name}" for alias in node.names)
    return found


def imported_by(module_or_part: str) -> set[str]:
    """All that a module, or every module of a folder, imports."""
    inside = f"chat_app.{module_or_part}"
    return {
        name
        for module, names in imports().items()
        if module == inside or module.startswith(f"{inside}.")
        for name in names
    }


def parts_imported_by(module_or_part: str) -> set[str]:
    own = {name for name in imported_by(module_or_part) if name.startswith("chat_app.")}
    return {part(name) for name in own} - {module_or_part}


def test_every_part_has_its_layer() -> None:
    parts = {part(module) for module in imports()} - {""}
    assert parts == {name for layer in LAYERS for name in layer}


def test_the_package_itself_imports_nothing() -> None:
    """Or `import chat_app.turns.registry` would load it all."""
    assert imports()["chat_app"] == imports()["chat_app.replies"] == set()


@pytest.mark.parametrize("name", [name for layer in LAYERS for name in layer])
def test_imports_run_one_way(name: str) -> None:
    depth = next(i for i, layer in enumerate(LAYERS) if name in layer)
    allowed = {other for layer in LAYERS[:depth] for other in layer}
    assert parts_imported_by(name) <= allowed


def test_no_module_imports_itself_through_others() -> None:
    modules = imports()
    graph = {
        module: {name if name in modules else name.rpartition(".")[0] for name in names} & modules.keys()
        for module, names in modules.items()
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("errors", set()),
        ("models", {"names", "usage"}),
        (
            "config",
            {"address", "backoff", "claims", "errors", "folders", "names", "origins", "periods", "proxy", "rates"},
        ),
        ("store", {"config", "errors", "folders", "kinds", "lockfile", "logs", "models", "names", "parts"}),
    ],
)
def test_the_leaves_import_next_to_nothing(name: str, expected: set[str]) -> None:
    assert parts_imported_by(name) <= expected


def test_the_core_does_not_know_where_text_comes_from() -> None:
    assert parts_imported_by("turns") == {"alarm", "caller", "errors", "logs", "models", "parts", "reply", "store"}


@pytest.mark.parametrize("name", ["errors", "config", "models", "store", "turns", "replies", "service", "api"])
def test_only_the_page_knows_reflex(name: str) -> None:
    assert not {imported for imported in imported_by(name) if imported.split(".")[0] == "reflex"}


def test_the_api_never_imports_the_page() -> None:
    assert "ui" not in parts_imported_by("api")


def test_the_page_reaches_text_and_tables_through_the_service_only() -> None:
    assert not {"store", "replies", "api", "config"} & parts_imported_by("ui")


def test_the_api_knows_of_the_database_what_its_bodies_are_made_of_and_no_more() -> None:
    known = {name.rpartition(".")[0] for name in imported_by("api") if name.startswith("chat_app.store.")}
    assert known <= {f"chat_app.store.{module}" for module in ("chatfile", "chatfiles.reading", "search")}


BEHIND = {"store", "database", "archive", "shared", "bills"}
"""What the service keeps to itself: the doors read and change chats by `of`, for the one who asks."""
FOR_ALL = {"answering", "closing", "hooks", "on_start"}
"""What of `service.turns` is about no single turn."""
WHO_ASKS = {"api/own.py", "ui/own.py"}
"""Where a door's caller is found out; no other module of a door names one."""


def reached_behind(source: str) -> set[str]:
    """What of it a module's text names, in whatever way it comes to the service."""
    nodes = list(ast.walk(ast.parse(source)))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    # As in `getattr(service, "store")` and `attrgetter("store.chats")`.
    calls = [node for node in nodes if isinstance(node, ast.Call) and "attr" in ast.unparse(node.func)]
    words = [str(arg.value) for call in calls for arg in call.args if isinstance(arg, ast.Constant)]
    reached = BEHIND & (attributes | {part for word in words for part in word.split(".")})
    return reached | {name for node in nodes if (name := _chosen(node))} | _turns_of_all(nodes)


def _chosen(node: ast.AST) -> str:
    """A caller, or somebody's chats, that the module chooses by itself."""
    if isinstance(node, ast.ImportFrom) and node.module == "chat_app.caller":
        return next((name.name for name in node.names if name.name in ("LOCAL", "caller_of")), "")
    called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    return called if called == "Caller" or re.search(r"(service(\(\))?|library)\.of$", called) else ""


def _turns_of_all(nodes: Sequence[ast.AST]) -> set[str]:
    """`service.turns`, unless something of `FOR_ALL` is taken of it; `own.turns` are one caller's."""
    outer = [node for node in nodes if isinstance(node, ast.Attribute) and node.attr in FOR_ALL]
    fine = {id(node.value) for node in outer}
    turns = [node for node in nodes if isinstance(node, ast.Attribute) and node.attr == "turns"]
    return {"turns" for node in turns if id(node) not in fine and "own" not in ast.unparse(node.value)}


def test_no_door_reaches_behind_the_service() -> None:
    paths = [path for folder in ("api", "ui", "client") for path in (PACKAGE / folder).rglob("*.py")]
    assert len(paths) > 50
    doors = [path for path in paths if path.relative_to(PACKAGE).as_posix() not in WHO_ASKS]
    assert len(paths) - len(doors) == len(WHO_ASKS)
    assert not {str(path): found for path in doors if (found := reached_behind(path.read_text()))}


@pytest.mark.parametrize(
    "source",
    [
        "turn = await get_service().turns.find(turn_id)",
        "turns = get_service().turns\nawait turns.stop(turn_id)",
        "partial(self.service.turns.regenerate, reply_id)",
        "get_service().shared.bills.of_chat(chat_id)",
        "get_service().of(caller).library.chats()",
        "own.library.of('ann').chats()",
        "from chat_app.caller import LOCAL",
        "from chat_app.caller import Caller\nann = Caller('ann')",
        "page = await get_service().store.path_page(chat_id)",
        "service = get_service()\nawait service.store.chats()",
        "store = get_service().store\nawait store.chats()",
        "self.service.store.existing(ids)",
        "partial(get_service().store.search, query)",
        "async def f(service):\n    return [row async for row in service.store.archive.exported()]",
        "getattr(get_service(), 'store').chats()",
        "operator.attrgetter('store.chats')(service)",
        "own.library.database.write(work)",
    ],
)
def test_that_test_finds_who_does(source: str) -> None:
    assert reached_behind(source)


def test_what_the_doors_read_from_cannot_write() -> None:
    """Nor does it lead to what can."""
    library = Library(Store("sqlite://").database)
    public = {name for name in dir(library) if not name.startswith("_")}
    changing = {name for name in vars(Store) if not name.startswith("_")}
    assert {"chats", "message", "path_page"} <= public
    assert not public & (changing | BEHIND)


def loaded_by(*modules: str) -> set[str]:
    """The modules that Python has loaded after these imports, in a process of its own."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.slow
def test_core_service_and_api_run_without_reflex() -> None:
    loaded = loaded_by("chat_app.turns.registry", "chat_app.service", "chat_app.api", "chat_app.replies.openai_service")
    assert "chat_app.api.stream" in loaded
    assert "reflex" not in loaded


def test_the_core_loads_neither_a_web_framework_nor_a_provider() -> None:
    loaded = loaded_by("chat_app.turns.registry")
    assert "chat_app.store.store" in loaded
    assert not {"fastapi", "starlette", "openai", "xllamacpp", "chat_app.replies", "chat_app.config"} & loaded
