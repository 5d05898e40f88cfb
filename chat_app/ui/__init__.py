"""The page, in Reflex: small states beside the components that use them."""

from contextlib import AbstractContextManager, chdir, nullcontext
from pathlib import Path

from reflex.config import get_config

from chat_app.folders import FILES, INSTALLED


def beside_rxconfig() -> AbstractContextManager[None]:
    """Reflex looks for its configuration in the folder that it runs in: at its first use, which is here, and whenever
    an `rx.App` is made. An installed app runs in a folder of who runs it."""
    return chdir(FILES) if INSTALLED and not Path("rxconfig.py").exists() else nullcontext()


if INSTALLED:
    with beside_rxconfig():
        get_config()
