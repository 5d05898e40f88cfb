"""Processes that open a database and are killed at a step of its migrations; a step is a statement or a commit.

`CutOff` starts this program, which has loaded the store; each order is a line of JSON, `{"url": …, "step": 3}`, done by
a fork that kills itself before that step. The answer says whether it was killed: false when there are fewer steps.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from itertools import count
from types import TracebackType

from sqlalchemy import event

from chat_app.config import ROOT
from chat_app.store.store import Store


class CutOff:
    """`cut_off.open(url, step)` opens the database in another process and kills that."""

    def __enter__(self) -> "CutOff":
        command = [sys.executable, "-m", "tests.cut_off"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    async def open(self, url: str, step: int) -> bool:
        """Whether it was killed."""
        return await asyncio.to_thread(self._order, json.dumps({"url": url, "step": step}))

    def _order(self, line: str) -> bool:
        assert self._process.stdin and self._process.stdout
        print(line, file=self._process.stdin, flush=True)
        killed: bool = json.loads(self._process.stdout.readline())
        return killed


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(killed(**json.loads(line))), flush=True)


def killed(url: str, step: int) -> bool:
    if not (pid := os.fork()):
        try:
            open_until(url, step)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), f"it ended with {code}"
    return code != 0


def open_until(url: str, step: int) -> None:
    store = Store(url)
    steps = count()

    def die_in_time(*_: object) -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "commit"):
        event.listen(store.database.engine.sync_engine, name, die_in_time)
    asyncio.run(store.open())


if __name__ == "__main__":
    main()
