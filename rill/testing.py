"""For the tests of an extension: a model that does what the question says.

with Provider() as provider:
    settings = Settings(openai_base_url=provider.base_url, openai_model="bench", …)
    … ask script(text="Hello"), script(tokens=100, interval_ms=20) or script(status=429)
"""

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from chat_app.folders import FILES, INSTALLED

__all__ = ["Provider", "script"]

PROGRAM = FILES / "provider.py" if INSTALLED else FILES / "tests" / "provider.py"


def script(**keys: Any) -> str:
    """The user's message that makes it do `keys`, such as `text`, `tokens`, `interval_ms`, `reasoning`, `status`."""
    return "SCRIPT " + json.dumps(keys)


class Provider:
    """An OpenAI-compatible server in its own process, for as long as the `with` block lasts.

    `base_url` ends in `/v1`, as `OPENAI_BASE_URL` does. It serves one model, "bench", and accepts any key.
    """

    base_url: str

    def __init__(self, port: int = 0) -> None:
        self._port = port

    def __enter__(self) -> Self:
        command = [sys.executable, "-P", str(PROGRAM), "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._end()
            raise RuntimeError(f"The scripted model did not start; its error is above. Try it: {' '.join(command)}")
        self.base_url = json.loads(line)["base_url"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _end(self) -> None:
        """Closing its stdin ends it; the kill is for the case that it hangs."""
        process = self._process
        assert process.stdin and process.stdout
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
