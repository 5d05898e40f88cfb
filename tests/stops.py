"""`python -m tests.stops URL`: on one page somebody asks and presses Stop, again and again until stdin ends. It prints
after how many milliseconds each answer had ended on the page, as a JSON list.

A process of its own: nobody's page waits for what comes to the pages of a crowd.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.page_client import TRANSCRIPT, PageClient
from tests.provider_client import ROOT, script


async def ms_to_stop(page: PageClient) -> float:
    """How long an answer without an end goes on after Stop."""
    windows = page.windows
    await page.ask(script(tokens=-1, interval_ms=20))
    await page.until(lambda: page.path != "/" and page.loaded and page.windows > windows + 3)
    pressed = time.monotonic()
    await page.stop()
    await page.until(lambda: not page.value(TRANSCRIPT, "running"))
    return (time.monotonic() - pressed) * 1000


async def measure(url: str) -> list[float]:
    over = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    page = PageClient(url)
    await page.load()
    await page.until(lambda: page.loaded)
    stops: list[float] = []
    while not stops or not over.done():
        stops.append(await ms_to_stop(page))
    await page.leave()
    return stops


@asynccontextmanager
async def stopping(url: str) -> AsyncIterator[list[float]]:
    """Somebody stops answers within the block; the list is filled at its end."""
    stops: list[float] = []
    command = [sys.executable, "-m", "tests.stops", url]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield stops
        printed, _ = await process.communicate(b"")
        stops += json.loads(printed)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(sys.argv[1]))))
