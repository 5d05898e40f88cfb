"""Serves, and serves anew whenever a source was saved."""

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from chat_app import built, logs
from chat_app.building import build_page, kept_lock, set_up_workshop
from chat_app.config import Settings, load_settings
from chat_app.connections import listener
from chat_app.dev.failure import Failure
from chat_app.dev.process import Process
from chat_app.dev.serving import load_anew, serve
from chat_app.dev.sources import Sources, imported
from chat_app.dev.vite import Vite
from chat_app.errors import SettingsError

HERE = Path(__file__).parent
LOOK_S = 0.4
"""Between two looks at the sources."""
GRACE_S = 1.0
"""So long may running answers take to end before a restart: whoever has just saved a file waits for it."""
AGAIN = "RILL_AGAIN"
"""In the environment of a loop that has taken its own place: the page to begin with is built."""


def develop(settings: Settings) -> None:
    """Until Ctrl+C. Raises CannotStart: the port is taken, or the page cannot be built at all."""
    if not os.environ.pop(AGAIN, None):
        # What `/embed` and Vite need: a build of the app's own page, once.
        build_page(with_packages=True)
        built.copy_for_development()
    set_up_workshop()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with listener(settings.host, settings.port) as listening, Vite() as vite, kept_lock():
        # What connects while no server runs waits for the next.
        listening.listen(1024)
        Loop(settings, listening, vite).run()
    # The loop itself was saved, or is to be at another address.
    os.environ[AGAIN] = "1"
    os.execv(sys.executable, [sys.executable, "-m", "chat_app", "dev"])


class Loop:
    def __init__(self, settings: Settings, listening: socket.socket, vite: Vite) -> None:
        self.settings = settings
        self.listening = listening
        self.vite = vite
        self.sources = Sources()
        self.server: Process | None = None
        self.failure: Failure | None = None
        self.anew = False
        """Whether a server has to load the app's own modules again."""

    def run(self) -> None:
        """Until the loop's own files change, or the address of the server."""
        own = set(map(Path, imported()))
        try:
            self._start(same_page=False)
            while True:
                time.sleep(LOOK_S)
                if changed := self.sources.changed():
                    logs.note(f"{', '.join(sorted(path.name for path in changed)[:3])} changed. Starting again …")
                    same_page = self.failure is None and changed <= self.sources.beside_pages
                    self._end()
                    if any(HERE in path.parents for path in changed) or self._has_moved():
                        return
                    # What this process has loaded would stay as it is in all that it forks.
                    self.anew |= bool(changed & own)
                    self._start(same_page=same_page)
                elif self.server and not self.server.runs():
                    self._show_failure(self.server)
                elif self.sources.begun:
                    # Not before Reflex has written what it reads.
                    self.vite.keep_running()
        finally:
            self._end()

    def _has_moved(self) -> bool:
        before = self.settings
        with suppress(SettingsError):
            # Where they are wrong, the server says so.
            self.settings = load_settings()
        return (self.settings.host, self.settings.port) != (before.host, before.port)

    def _start(self, *, same_page: bool) -> None:
        self.sources.begun = False
        grace = min(GRACE_S, self.settings.shutdown_grace)

        def run() -> None:
            start = load_anew().serve if self.anew else serve
            start(self.listening, self.vite.url, grace, same_page=same_page)

        self.server = Process(run, grace)

    def _show_failure(self, server: Process) -> None:
        self.server = None
        self.failure = Failure(self.listening, server.said(), self.settings)
        logs.note("Correct it and save: the app then starts again by itself.")

    def _end(self) -> None:
        if self.failure:
            self.failure.close()
        if self.server:
            self.server.end()
        self.server = self.failure = None
