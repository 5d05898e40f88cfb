"""Code in an answer: shown as it comes, coloured a moment later, and each line once."""

import asyncio
import re

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.app import App
from tests.e2e.chat import ChatPage, record, recorded
from tests.e2e.embed import Open, the_embed, the_page
from tests.e2e.test_rendering import Calls
from tests.provider_client import Provider

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

WORKER = re.compile("/assets/colour_worker-")
METHOD = re.compile(r"tokenizeLine2\([^()]*\)\{")


async def count_in_worker(page: Page) -> None:
    """`read` in the worker will be how often shiki read a line: with a worker Playwright has no session for `Calls`."""

    async def add_count(route: Route) -> None:
        reply = await route.fetch()
        counting = METHOD.sub(r"\g<0>globalThis.read=(globalThis.read??0)+1;", await reply.text())
        await route.fulfill(response=reply, body=counting)

    await page.route(re.compile("/assets/part-"), add_count)


# What goes to the worker and comes from it; `waiting` is the most questions about one block that wait at a time.
COUNTED = """
window.counted = { answers: 0, rows: 0, waiting: 0, known: new Map() };
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data: { id, rows } }) => {
      counted.answers++;
      counted.rows += rows.length;
      if (counted.known.has(id)) counted.known.set(id, counted.known.get(id) - 1);
    });
  }
  postMessage(message) {
    super.postMessage(message);
    const { id, code } = message;
    if (code === undefined) return counted.known.delete(id);
    counted.known.set(id, (counted.known.get(id) ?? 0) + 1);
    counted.waiting = Math.max(counted.waiting, counted.known.get(id));
  }
};
"""

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
    # It says so for two seconds.
    await record(page, "article output")
    await answer.get_by_role("button", name="Copy code").first.click()
    await page.wait_for_function("recorded['article output'].length")
    assert await recorded(page, "article output") == ["Copied"]
    assert await page.evaluate("navigator.clipboard.readText()") == "def f(x):\n\n    return x\n"


@pytest.mark.new_profile
async def test_code_is_shown_before_its_colours_are_there(page: Page, app: App) -> None:
    arrived = asyncio.Event()

    async def hold(route: Route) -> None:
        await arrived.wait()
        await route.continue_()

    await page.route(WORKER, hold)
    chat = await ChatPage(page, app).open()
    await chat.ask(text="```python\none = 1\ntwo = 2\n", interval_ms=20)
    answer = await chat.ended()
    assert await answer.locator("code").inner_text() == "one = 1\ntwo = 2"
    await expect(answer.locator("code span[style]")).to_have_count(0)
    arrived.set()
    await expect(answer.locator("code span[style]")).not_to_have_count(0)
    assert await answer.locator("code").inner_text() == "one = 1\ntwo = 2"


@pytest.mark.new_profile
@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_worker_colours_code(page: Page, app: App, opened: Open) -> None:
    chat = await opened(page, app)
    assert page.workers == []
    calls = await Calls.watch(page)
    await chat.ask(text="```python\none = 1\n```\n\n```js\nlet two = 2;\n```\n")
    answer = await chat.ended()
    for block in await answer.locator("code").all():
        await expect(block.locator("span[style]")).not_to_have_count(0)
    assert [bool(WORKER.search(worker.url)) for worker in page.workers] == [True]
    assert await calls.of_method("tokenizeLine2") == 0


@pytest.mark.new_profile
@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_without_a_worker_the_page_colours_code(page: Page, app: App, opened: Open) -> None:
    await page.route(WORKER, lambda route: route.abort())
    chat = await opened(page, app)
    await chat.ask(text="```python\none = 1\ntwo = 2\n```\n", interval_ms=20)
    answer = await chat.ended()
    await expect(answer.locator("code > span:last-child span[style]")).not_to_have_count(0)
    assert await answer.locator("code").inner_text() == "one = 1\ntwo = 2"
    # What comes after that is coloured too.
    await chat.ask(text="```js\nlet three = 3;\n```\n")
    await expect((await chat.ended()).locator("code span[style]")).not_to_have_count(0)
    assert page.workers == []


@pytest.mark.new_profile
async def test_a_finished_line_is_not_coloured_again_while_code_grows(page: Page, app: App, provider: Provider) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
    await page.add_init_script(COUNTED)
    await count_in_worker(page)
    chat = await ChatPage(page, app).open()
    # The worker and the language are there from here on.
    await chat.ask(text="```python\nzero = 0\n```\n")
    await expect((await chat.ended()).locator("code span[style]")).not_to_have_count(0)
    await page.workers[0].evaluate("read = 0")
    await page.evaluate("counted.answers = counted.rows = 0")
    frames.clear()
    calls = await Calls.watch(page)
    lines = [f"value_{n} = {n} + other" for n in range(200)]
    # Within a line each time: the fence, five words a line, and two more.
    held = range(20, 200, 20)
    hold = [1 + 5 * line + 2 for line in held]
    await chat.ask(text="```python\n" + "\n".join(lines) + "\n```\n", interval_ms=0, hold=hold)
    for line in held:
        await expect(chat.answers.last.locator("code > span").nth(line).locator("span[style]")).not_to_have_count(0)
        provider.go()
    answer = await chat.ended()
    last = answer.locator("code > span:last-child span[style]")
    await expect(last).not_to_have_count(0)
    read = await page.workers[0].evaluate("read")
    # For two themes: each line once, and at each update the one that grows and what ends the one before.
    assert len(lines) <= read <= 2 * (len(lines) + 2 * len(frames))
    counted = await page.evaluate("counted")
    # The worker sends each row once, and again the one that grew when it answered last.
    assert counted["answers"] >= 10
    assert len(lines) <= counted["rows"] <= len(lines) + counted["answers"]
    # The page draws a line when its row comes or its text grows; a span for each token.
    drawn = await calls.of_function_with("htmlStyle")
    assert len(lines) <= drawn <= await last.count() * (counted["rows"] + len(frames))
    assert counted["waiting"] == 1


@pytest.mark.new_profile
async def test_the_worker_forgets_code_that_is_not_on_the_page(page: Page, app: App) -> None:
    await page.add_init_script(COUNTED)
    chat = await ChatPage(page, app).open()
    await chat.ask(text=FENCES)
    await expect((await chat.ended()).locator("code span[style]")).not_to_have_count(0)
    assert await page.evaluate("counted.known.size") == 5
    await chat.open()
    assert await page.evaluate("counted.known.size") == 0
