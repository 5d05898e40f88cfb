"""What a model may write, in a real browser: on the page and at /embed, growing and finished.

What needs no browser is in `texts.test.mjs`, with the same pipeline.
"""

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, import_turns
from tests.e2e.embed import Open, the_embed, the_page

pytestmark = pytest.mark.anyio

# A browser in which one text cannot be drawn.
UNSHOWABLE = """
const split = String.prototype.split;
String.prototype.split = function (...given) {
  if (this.includes("Unshowable") && window.broken !== false) throw new Error("An exception in a component");
  return split.apply(this, given);
};
"""


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_an_exception_in_one_message_leaves_the_others_and_its_text(page: Page, app: App, opened: Open) -> None:
    await page.add_init_script(UNSHOWABLE)
    chat = await opened(page, app)
    await chat.ask(text="A **first** answer.")
    await chat.ended()
    await chat.ask(text="Before.\n\n```\nUnshowable\n```\n\n**After**.")
    await chat.ended()
    problem = page.get_by_role("group", name="Display problem")
    await expect(problem).to_contain_text("could not be shown")
    await expect(problem.locator(".plain")).to_have_text("Before.\n\n```\nUnshowable\n```\n\n**After**.")
    await expect(page.locator("[data-streamdown=strong]")).to_have_text(["first"])
    if isinstance(chat, ChatPage):
        await page.get_by_role("button", name="Copy message").last.click()
        await expect(page.get_by_text("Copied", exact=True)).to_be_attached()
        await chat.box.press("Control+v")
        await expect(chat.box).to_have_value("Before.\n\n```\nUnshowable\n```\n\n**After**.")
    await page.evaluate("window.broken = false")
    await problem.get_by_role("button", name="Show again").click()
    await expect(page.locator("[data-streamdown=strong]")).to_have_text(["first", "After"])
    await expect(page.get_by_role("group", name="Display problem")).to_have_count(0)
    await chat.ask(text="A third one.")
    await expect(await chat.ended()).to_contain_text("A third one.")


MATRIX = r"\[ A = \begin{pmatrix} " + " & ".join(f"a_{{{n}}} + b_{{{n}}}" for n in range(30)) + r" \end{pmatrix} \]"
WIDE_TABLE = "| " + " | ".join(f"Stock number {n}" for n in range(12)) + " |\n" + "|---" * 12 + "|\n"
WIDE_TABLE += "| " + " | ".join("internationalization" for _ in range(12)) + " |"
ALL_KINDS = rf"""# Promise<void> and `code`

Write <your-name> and Map<String, List<Integer>>; H<sub>2</sub>O. \[sic\] costs $5 and $10, echo $$; 3~5天 and ~~two~~.

The area is $\pi r^2$, and \(\ce{{H2O}}\) is water. A rule: $\rule{{5000em}}{{1em}}$ ends.

\[ E = mc^2 \]

$$
\begin{{aligned}}
a &= b \\
- c
\end{{aligned}}
$$

\begin{{align}}
x &= 1
\end{{align}}

{MATRIX}

{WIDE_TABLE}

- [ ] to do
- [x] done

**「全角」**のあと。见https://example.com/a。更多

``` mermaid
graph LR; A[Begin]-->B[A longer text]-->C[Another]-->D[And another one]-->E[The end of all of it]-->F[After]
```

~~~ MATH
y = \sqrt{{2}}
~~~

A note[^1].

[^1]: The note of its own.
"""

SHOWN = r"""
([answer]) => ({
  text: answer.innerText,
  formulas: answer.querySelectorAll(".katex").length,
  display: answer.querySelectorAll(".katex-display").length,
  errors: answer.querySelectorAll(".katex-error, .tex").length,
  struck: [...answer.querySelectorAll("del")].map((one) => one.innerText),
  bold: [...answer.querySelectorAll("[data-streamdown=strong]")].map((one) => one.innerText),
  links: [...answer.querySelectorAll("a[target]")].map((one) => one.getAttribute("href")),
  bullets: [...answer.querySelectorAll(".task-list-item")].map((one) => getComputedStyle(one).listStyleType),
  unreachable: [...answer.querySelectorAll(".formula, [data-streamdown=mermaid], table")]
    .map((one) => one.closest(".formula, [data-streamdown=mermaid], :has(> table)"))
    .filter((box) => box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === "auto")
    .filter((box) => !box.matches("[tabindex='0'], [tabindex='0'] *"))
    .map((box) => box.className || box.tagName),
  scrolling: [...answer.querySelectorAll(".formula, [data-streamdown=mermaid], :has(> table)")]
    .filter((box) => box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === "auto").length,
  outside: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  words: [...answer.querySelectorAll("td")].map((one) => one.getClientRects()[0].height),
})
"""
DIAGRAM = "[data-streamdown=mermaid] svg[aria-roledescription]"


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_all_kinds_of_text(page: Page, app: App, opened: Open) -> None:
    await page.set_viewport_size({"width": 390, "height": 900})
    chat = await opened(page, app)
    await chat.ask(text=ALL_KINDS)
    answer = await chat.ended()
    await answer.locator("[data-streamdown=mermaid]").scroll_into_view_if_needed()
    await expect(answer.locator(DIAGRAM)).to_be_visible()
    await expect(answer.locator(".katex")).to_have_count(8)
    shown = await answer.locator(".prose").evaluate_all(SHOWN)
    for text in (
        "Promise<void>",
        "<your-name>",
        "Map<String, List<Integer>>",
        "[sic] costs $5 and $10, echo $$",
        "3~5天",
    ):
        assert text in shown["text"]
    assert (shown["display"], shown["errors"]) == (5, 0)
    assert shown["struck"] == ["two"]
    assert shown["bold"] == ["「全角」"]
    assert shown["links"] == ["https://example.com/a"]
    assert shown["bullets"] == ["none", "none"]
    assert shown["outside"] == 0
    # The rule, the matrix, the table and the diagram scroll, each in its own box, by keyboard too.
    assert shown["scrolling"] >= 4
    assert shown["unreachable"] == []
    # No word of the table was broken: each cell has one line.
    assert len(set(shown["words"])) == 1 and shown["words"][0] < 60


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_diagram_has_the_colours_of_the_page_and_can_be_read(page: Page, app: App, opened: Open) -> None:
    await page.set_viewport_size({"width": 390, "height": 900})
    chat = await opened(page, app)
    await chat.ask(
        text="```mermaid\ngraph LR; A[Begin]-->B[A longer text]-->C[Another]-->D[And another]-->E[The end]\n```"
    )
    await chat.ended()
    for dark in (False, True):
        await page.evaluate("(dark) => document.documentElement.classList.toggle('dark', dark)", dark)
        await page.wait_for_function(
            """() => {
              const label = document.querySelector("[data-streamdown=mermaid] .nodeLabel");
              return label && getComputedStyle(label).color === getComputedStyle(document.body).color;
            }"""
        )
    label = page.locator("[data-streamdown=mermaid] .nodeLabel").first
    assert await label.evaluate("(one) => one.getBoundingClientRect().height") >= 14


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_footnote_is_that_of_its_own_message_in_this_tab(page: Page, app: App, opened: Open) -> None:
    chat = await opened(page, app)
    for word in ("first", "second"):
        await chat.ask(text=f"A claim[^1]. <span id=root>x</span>\n\n{'A line.' * 20}\n\n[^1]: The {word} note.")
        await chat.ended()
    address = page.url
    opened_tabs: list[Page] = []
    page.on("popup", lambda tab: opened_tabs.append(tab))
    ids = await page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    for at, word in enumerate(("first", "second")):
        await chat.answers.nth(at).locator("sup a").click()
        assert await page.evaluate("document.activeElement.innerText") == f"The {word} note. ↩"
    assert page.url == address
    assert opened_tabs == []


COPIED = """() => {
  getSelection().selectAllChildren(document.querySelector(".prose"));
  const data = new DataTransfer();
  document.querySelector(".prose").dispatchEvent(new ClipboardEvent("copy", { clipboardData: data, bubbles: true }));
  return data.getData("text/plain");
}"""


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_formula_that_is_copied_by_hand_gives_its_tex_once(page: Page, app: App, opened: Open) -> None:
    chat = await opened(page, app)
    await chat.ask(text=r"The area \(\pi r^2\) is:" + "\n\n" + r"\[ E = mc^2 \]")
    await expect((await chat.ended()).locator(".katex")).to_have_count(2)
    copied = await page.evaluate(COPIED)
    assert copied.count(r"\pi r^2") == 1
    assert copied.count("E = mc^2") == 1
    assert "π" not in copied


GROWING = [
    ("Write <your-na", "Write <your-na"),
    ("Promise<vo", "Promise<vo"),
    ("A **bold and", "A bold and"),
    ("See [a link](https://exam", "See a link"),
    ("Costs $5 and `code", "Costs $5 and code"),
    ("H<sub>2</su", "H2"),
    ("- [ ] to do\n- [x] don", "to do don"),
    ("```\n\\[x\\]", "\\[x\\]"),
]


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_growing_text_shows_no_half_marks_and_loses_nothing(page: Page, app: App, opened: Open) -> None:
    chat = await opened(page, app)
    for text, shown in GROWING:
        await chat.ask(pieces=[text], stall_after=1)
        await expect(chat.answers.last.locator(".prose.growing")).to_have_text(shown, use_inner_text=True)
        await chat.stop.click()
        await chat.ended()


HEAVY = [
    "> " * 3000,
    "- " * 2000,
    "*a " * 5000,
    r"\[" * 40_000,
    "[" * 20_000,
    "<b>" * 10_000,
    "`" * 3000 + " `a" * 3000,
]


async def test_no_stored_answer_breaks_the_page(page: Page, app: App) -> None:
    chat_id = import_turns(app, [(f"Number {n}", text) for n, text in enumerate(HEAVY)], "Heavy")
    chat = await ChatPage(page, app).open(f"/c/{chat_id}")
    await expect(chat.answers).to_have_count(len(HEAVY))
    await expect(page.get_by_role("group", name="Display problem")).to_have_count(0)
    await chat.ask(text="A **last** one.")
    await expect((await chat.ended()).locator("[data-streamdown=strong]")).to_have_text("last")
