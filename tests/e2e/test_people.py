"""People who sign in, in a real browser: two of them at the same time, each in a profile of their own."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests import oidc_provider
from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.conftest import new_profile
from tests.forked import ForkedApp
from tests.people import PASSWORD, add_person
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "auth": "password"}
    with ForkedApp(tmp_path_factory.mktemp("people"), **settings) as app:
        yield app


@pytest.fixture(scope="module")
async def people(app: App, anyio_backend: str) -> None:
    await add_person(app, "Ada", admin=True)
    await add_person(app, "Ben")


async def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


@pytest.fixture
async def second(browser: Browser) -> AsyncIterator[Page]:
    """Another browser's."""
    context = await new_profile(browser)
    yield await context.new_page()
    await context.close()


async def test_somebody_signs_in_asks_and_signs_out(page: Page, app: App, people: None) -> None:
    await page.goto(app.url + "/")
    await expect(page).to_have_url(app.url + "/login?next=/")
    await sign_in(page, "Ada", "wrong horse")
    await expect(page.get_by_role("alert")).to_contain_text("not right")
    await expect(page.get_by_label("Name")).to_have_value("Ada")
    await sign_in(page, "ada")
    await expect(page).to_have_url(app.url + "/")
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=3, interval_ms=0)
    await chat.ended()
    await expect(page.get_by_role("link", name="Account of Ada")).to_be_visible()
    await expect(page.get_by_role("link", name="Insights")).to_be_visible()
    await page.get_by_role("button", name="Sign out", exact=True).click()
    await expect(page).to_have_url(app.url + "/login")
    await page.goto(app.url + "/")
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()


async def test_an_open_page_hears_that_it_is_signed_out(page: Page, second: Page, app: App, people: None) -> None:
    await page.goto(app.url + "/c/somewhere")
    await sign_in(page, "Ben")
    await expect(page.get_by_text("This chat is not here", exact=True)).to_be_visible()
    # Administrators only.
    await expect(page.get_by_role("link", name="Account of Ben")).to_be_visible()
    await expect(page.get_by_role("link", name="Insights")).to_have_count(0)
    await second.goto(app.url + "/account")
    await sign_in(second, "Ben")
    await second.get_by_role("button", name="Sign out everywhere").click()
    await expect(second).to_have_url(app.url + "/login")
    await expect(page).to_have_url(app.url + "/login?next=%2Fc%2Fsomewhere")


async def test_two_people_chat_at_once_and_a_stolen_tab_gives_nothing(
    page: Page, second: Page, app: App, people: None
) -> None:
    """Each sees their own chats only, live, also with the other's token: Reflex knows a tab by nothing else."""
    chats = []
    for one, name in ((page, "Ada"), (second, "Ben")):
        await one.goto(app.url + "/login")
        await sign_in(one, name)
        chats.append(await ChatPage(one, app).open())
    adas, bens = chats
    for chat, name in ((adas, "Ada"), (bens, "Ben")):
        await chat.ask(f"Plums of {name} " + script(pieces=[f"For {name} ", "alone."], hold=[1]))
    for chat, name in ((adas, "Ada"), (bens, "Ben")):
        await expect(chat.answers.last).to_contain_text(f"For {name}")
        await chat.listed(f"Plums of {name}")
    await expect(second.get_by_text("Plums of Ada")).to_have_count(0)
    await expect(page.get_by_text("Plums of Ben")).to_have_count(0)

    address, token = page.url, await page.evaluate("sessionStorage.getItem('token')")
    assert token
    await second.evaluate("(token) => sessionStorage.setItem('token', token)", token)
    await second.goto(address)
    assert await second.evaluate("sessionStorage.getItem('token')") == token
    await expect(second.get_by_text("This chat is not here", exact=True)).to_be_visible()
    await expect(second.get_by_text("For Ada")).to_have_count(0)
    await (await bens.listed("Plums of Ben")).click()
    # And both answers are still live: nothing was taken away.
    for chat, name in ((adas, "Ada"), (bens, "Ben")):
        await chat.stop.click()
        await expect(chat.stop).to_have_count(0)
        await expect(chat.answers.last).to_contain_text(f"For {name}")


async def test_somebody_is_invited_and_makes_a_key(page: Page, second: Page, app: App, people: None) -> None:
    await page.goto(app.url + "/account")
    await sign_in(page, "Ada")
    await page.get_by_role("button", name="Invite somebody").click()
    link = await page.get_by_role("status").locator("code").inner_text()
    await second.goto(link)
    await second.get_by_label("Name").fill("Cleo")
    await second.get_by_label("Password").fill(PASSWORD)
    await second.get_by_role("button", name="Make an account").click()
    await expect(second).to_have_url(app.url + "/")
    await second.goto(app.url + "/account")
    await second.get_by_label("Name of the key").fill("laptop")
    await second.get_by_role("button", name="Make a key").click()
    key = await second.get_by_role("status").locator("code").inner_text()
    reply = app.http.post(
        "/messages/", json={"content": script(tokens=1, interval_ms=0)}, headers={"Authorization": f"Bearer {key}"}
    )
    assert reply.status_code == 200
    await second.get_by_role("button", name="Revoke laptop").click()
    await expect(second.get_by_role("button", name="Revoke laptop")).to_have_count(0)
    assert app.http.get("/chats/", headers={"Authorization": f"Bearer {key}"}).status_code == 401


async def test_it_works_without_javascript(browser: Browser, app: App, people: None) -> None:
    context = await browser.new_context(java_script_enabled=False, color_scheme="dark")
    page = await context.new_page()
    await page.goto(app.url + "/login?next=/account")
    background = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert background == "rgb(25, 25, 24)"
    await sign_in(page, "Ben")
    await expect(page.get_by_role("heading", name="Ben")).to_be_visible()
    await context.close()


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
async def test_somebody_signs_in_at_a_provider(page: Page, page_built: None, tmp_path: Path) -> None:
    """The way there and back in a real browser, which has a mind of its own about cookies, forms and other sites."""
    with oidc_provider.running() as sso:
        sso.person("ada-1", preferred_username="Ada")
        there = {"oidc_issuer": sso.issuer, "oidc_client_id": oidc_provider.CLIENT_ID}
        secret = {"oidc_client_secret": oidc_provider.CLIENT_SECRET}
        with ForkedApp(tmp_path, auth="oidc", replies="tests.examples.rules:reply", **there, **secret) as app:
            await page.goto(app.url + "/c/somewhere")
            await page.get_by_role("link", name="Sign in with localhost").click()
            await page.locator("input[name=sub]").fill("ada-1")
            await page.get_by_role("button", name="Authorize").click()
            await expect(page).to_have_url(app.url + "/c/somewhere")
            await page.goto(app.url + "/")
            await expect(page.get_by_role("link", name="Account of Ada")).to_be_visible()
            await page.get_by_role("button", name="Sign out", exact=True).click()
            await expect(page.get_by_role("status")).to_have_text("You are signed out here.")
            await page.get_by_role("link", name="Sign out of localhost").click()
            await expect(page).to_have_url(re.compile("/oauth2/end_session"))
