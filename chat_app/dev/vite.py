"""Vite, which turns what Reflex has written into a page, file by file, when it is asked for one. For this machine only:
the server passes on what it says."""

import os
import signal
import socket
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Self

from chat_app import built
from chat_app.building import reflex_environment
from chat_app.errors import CannotStart

CONFIG = """\
import reflex from "./vite.config.js";

// Ends with the loop.
process.stdin.on("end", () => process.exit()).resume();

export default (environment) => {
  const config = reflex(environment);
  return {
    ...config,
    server: {
      ...config.server,
      host: "127.0.0.1",
      port: Number(process.env.PORT),
      strictPort: true,
      // The page is loaded anew when it has changed: see serving.py.
      ws: false,
      warmup: { clientFiles: ["./app/entry.client.js", "./app/root.jsx", "./app/routes/*.jsx"] },
    },
  };
};
"""


class Vite:
    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            # The `node` of an environment is a Python program that starts the real one.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()

    def keep_running(self) -> None:
        """Raises CannotStart."""
        if self._process and self._process.poll() is None:
            return
        (built.WEB / "development.vite.mjs").write_text(CONFIG)
        program = built.WEB / "node_modules" / "@react-router" / "dev" / "bin.cjs"
        command = ["node", str(program), "dev", "--config", "development.vite.mjs", "--logLevel", "error"]
        environment = reflex_environment() | {"PORT": str(self._port), "NODE_OPTIONS": "--conditions=development"}
        try:
            self._process = subprocess.Popen(
                command, cwd=built.WEB, env=environment, stdin=subprocess.PIPE, start_new_session=True
            )
        except OSError as problem:
            raise CannotStart(f"Vite could not be started: {problem}.") from problem
