"""What a developer adds from outside: REPLIES, HOOKS and PAGES each name a function as `package.module:function`.

Modules are looked for as Python does, and in the folder of the app too. `python -m chat_app.extend` tries all three and
says in one sentence what is wrong; the start does so in a process of its own, so that a heavy module is kept only once.
"""

import functools
import importlib
import importlib.util
import inspect
import operator
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat_app import logs
from chat_app.agent import reply_of
from chat_app.config import ROOT, Settings, load_settings
from chat_app.errors import SettingsError
from chat_app.reply import MAX_NAME_CHARS, Reply

CONTEXT = "context"
"""The name of the argument that gets a `Context`."""
PACKAGE = Path(__file__).parent
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
"""Folders of what is Python's, or installed."""


@dataclass(frozen=True)
class Agent:
    """REPLIES' function: the reply seam on it, which gets only the options that it takes, the `name` to show, the names
    of the `models` that a person may choose from, and whether it asks for a `context`."""

    reply: Reply
    name: str
    models: tuple[str, ...] = ()
    with_context: bool = False


def reply_source(path: str) -> Agent:
    """REPLIES, as the setting names it.

    Raises:
        SettingsError: it cannot be found, or is no function of the messages.
    """
    function = _load("REPLIES", path)
    with_context = CONTEXT in _named(function)
    takes = _options(path, function, with_context)
    name = getattr(function, "model_name", None) or getattr(function, "__name__", path.partition(":")[2])
    models = _models(path, function)
    if models and not with_context and takes is not None and "model" not in takes:
        raise _unfit("REPLIES", path, "it has models, but no argument `model` that says which one was chosen")
    whole = reply_of(function)

    @functools.wraps(whole)
    def reply(messages: Any, **options: Any) -> Any:
        if models and options.get("model") not in models:
            # Chosen when the list was another one.
            options.pop("model", None)
        return whole(messages, **{name: value for name, value in options.items() if takes is None or name in takes})

    return Agent(reply, str(name), models, with_context)


def setup_of(path: str) -> Callable[[Any], None]:
    """HOOKS: the function that is called once with the service. Raises SettingsError."""
    return _plain("HOOKS", path, "the service")


def page_adder(path: str) -> Callable[[Any], None]:
    """PAGES: the function that is called with the `rx.App` while the page is put together. Raises SettingsError."""
    return _plain("PAGES", path, "the app")


def check(settings: Settings) -> None:
    """Try all that the settings name. Raises SettingsError."""
    if settings.replies:
        reply_source(settings.replies)
    if settings.hooks:
        setup_of(settings.hooks)
    if settings.pages:
        page_adder(settings.pages)


def module_file(path: str) -> Path | None:
    """The source file of the named module, not imported for it (its packages are); None where there is none."""
    _make_importable()
    try:
        spec = importlib.util.find_spec(path.partition(":")[0])
    except ImportError:
        return None
    return Path(spec.origin) if spec and spec.origin and Path(spec.origin).is_file() else None


def _plain(variable: str, path: str, argument: str) -> Callable[[Any], None]:
    function: Callable[[Any], None] = _load(variable, path)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise _unfit(variable, path, "it is called, not awaited; write `def`, not `async def`")
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        raise _unfit(variable, path, f"it must take one argument, {argument}") from None
    return function


def _options(path: str, function: Callable[..., Any], with_context: bool) -> set[str] | None:
    """The names of the options that a reply source takes; None: any."""
    try:
        inspect.signature(function).bind([], **({CONTEXT: None} if with_context else {}))
    except TypeError:
        reason = "it must be callable with the messages alone, or with a context too: `reply(messages, context)`"
        raise _unfit("REPLIES", path, reason) from None
    return option_names(function)


def _named(function: Callable[..., Any]) -> set[str]:
    """The arguments that a function names, beside its first one."""
    others = list(inspect.signature(function).parameters.values())[1:]
    return {one.name for one in others if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}


def _models(path: str, function: Callable[..., Any]) -> tuple[str, ...]:
    """What its attribute `models` lists."""
    models = getattr(function, "models", None) or ()
    if not isinstance(models, list | tuple) or not all(_is_name(name) for name in models):
        raise _unfit("REPLIES", path, f"its models are a list of names, each of 1 to {MAX_NAME_CHARS} characters")
    return tuple(dict.fromkeys(models))


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isprintable() and name == name.strip() and 0 < len(name) <= MAX_NAME_CHARS


def option_names(function: Callable[..., Any]) -> set[str] | None:
    """The names of the options that a reply source takes beside the messages; None: any."""
    if any(one.kind is one.VAR_KEYWORD for one in inspect.signature(function).parameters.values()):
        return None
    return _named(function)


def _load(variable: str, path: str) -> Any:
    _make_importable()
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        reason = f"{module_name} cannot be imported ({type(error).__name__}: {_message(error)}{place_of(error)})"
        raise _unfit(variable, path, reason) from error
    finally:
        logs.enable()
    try:
        function = operator.attrgetter(name)(module)
    except AttributeError:
        raise _unfit(variable, path, f"{module_name} has no {name}") from None
    if not callable(function):
        raise _unfit(variable, path, "it is no function")
    return function


@contextmanager
def own_code(variable: str, path: str | None) -> Iterator[None]:
    """Within the block the named function is called. Raises SettingsError: it fails."""
    try:
        yield
    except SettingsError:
        raise
    except (Exception, SystemExit) as error:
        raise _unfit(
            variable, path or "", f"it fails with {type(error).__name__}: {_message(error)}{place_of(error)}"
        ) from error


def _message(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def place_of(error: BaseException) -> str:
    """` at file:line`: where the developer's own code went wrong, not the library that it called; empty if nowhere."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(("<", str(PACKAGE), *LIBRARIES))]
    return f" at {own[-1].filename}:{own[-1].lineno}" if own else ""


def _make_importable() -> None:
    for folder in (str(ROOT), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.append(folder)


def _unfit(variable: str, path: str, reason: str) -> SettingsError:
    return SettingsError(f"The setting {variable}={path} cannot be used: {reason}.")


if __name__ == "__main__":
    try:
        check(load_settings())
    except SettingsError as problem:
        sys.exit(str(problem))
