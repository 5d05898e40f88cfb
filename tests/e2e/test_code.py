"""Code in an answer: shown as it comes, coloured a moment later, and each line once."""

import asyncio
import re

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.test_rendering import Calls

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

FENCES = """\
```python
def f(x):

    return x
```

1. In a list:

   ```sh
   echo hi
   ```

> ```js
> const a = 1;
> ```

~~~
no language
~~~

````md
```
a fence within
```
````

```math
x^2
```
"""


async def test_every_kind_of_fence_is_a_block_of_code(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(text=FENCES)
    answer = await chat.ended()
    blocks = answer.locator("[data-streamdown=code-block]")
    await expect(blocks.locator("code")).to_have_text(
        [
            re.compile(r"^def f\(x\):\s+return x$"),
            "echo hi",
            "const a = 1;",
            "no language",
            re.compile("```\\s*a fence"),
        ],
        use_inner_text=True,
    )
    await expect(blocks.locator("[data-streamdown=code-block-header]")).to_have_text(["python", "sh", "js", "", "md"])
    await expect(answer.locator(".katex-display")).to_have_count(1)


async def test_brackets_in_code_are_no_formula(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    regex = 'find(r"\\(a\\)\\[b\\]")'
    await chat.ask(text=f"Where \\(x\\) is:\n\n```python\n{regex}\n```\n\nor `\\(a\\)`, and \\[y\\]\n")
    answer = await chat.ended()
    await expect(answer.locator(".katex")).to_have_count(2)
    await expect(answer.locator("pre code")).to_have_text(regex)
    await expect(answer.locator("[data-streamdown=inline-code]")).to_have_text("\\(a\\)")


async def test_code_is_copied_as_it_was_written(context: BrowserContext, page: Page, app: App) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    chat = await ChatPage(page, app).open()
    await chat.ask(text=FENCES)
    answer = await chat.ended()
    await answer.get_by_role("button", name="Copy code").first.click()
    await expect(answer.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    assert await page.evaluate("navigator.clipboard.readText()") == "def f(x):\n\n    return x\n"


@pytest.mark.new_profile
async def test_code_is_shown_before_its_colours_are_there(page: Page, app: App) -> None:
    arrived = asyncio.Event()

    async def hold(route: Route) -> None:
        await arrived.wait()
        await route.continue_()

    await page.route(re.compile("/assets/python-"), hold)
    chat = await ChatPage(page, app).open()
    await chat.ask(text="```python\none = 1\ntwo = 2\n", interval_ms=20)
    answer = await chat.ended()
    assert await answer.locator("code").inner_text() == "one = 1\ntwo = 2"
    await expect(answer.locator("code span[style]")).to_have_count(0)
    arrived.set()
    await expect(answer.locator("code span[style]")).not_to_have_count(0)
    assert await answer.locator("code").inner_text() == "one = 1\ntwo = 2"


@pytest.mark.new_profile
async def test_a_finished_line_is_not_coloured_again_while_code_grows(page: Page, app: App) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
    chat = await ChatPage(page, app).open()
    calls = await Calls.watch(page)
    lines = [f"value_{n} = {n} + other" for n in range(300)]
    await chat.ask(text="```python\n" + "\n".join(lines) + "\n```\n", interval_ms=1)
    answer = await chat.ended()
    await expect(answer.locator("code > span:last-child span[style]")).not_to_have_count(0)
    read = await calls.of_method("tokenizeLine2")
    # For two themes: each line once, and at each update the one that grows and what ends the one before.
    assert len(lines) <= read <= 2 * (len(lines) + 2 * len(frames))
