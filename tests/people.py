"""People with accounts, for tests: made in an app's database, and signed in as a browser does it."""

import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape

import httpx

from chat_app.caller import Scope
from chat_app.people import passwords
from chat_app.people.accounts import Accounts
from chat_app.people.invitations import Invitations
from chat_app.people.keys import Keys
from chat_app.store.store import Store
from tests.app import CLIENT, App

PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="token" value="(\w+)"')
_far = itertools.count(1)
HTML = {"Accept": "text/html,*/*;q=0.8"}


@asynccontextmanager
async def opened(app: App) -> AsyncIterator[Store]:
    """The database of an app that runs, as a command opens it."""
    store = Store(app.environment()["DATABASE_URL"])
    await store.database.open()
    try:
        yield store
    finally:
        await store.close()


async def add_person(app: App, name: str, password: str = PASSWORD, *, admin: bool = False) -> str:
    """Returns the id."""
    async with opened(app) as store:
        return str((await Accounts(store.database).add(name, passwords.hashed(password), admin=admin)).id)


async def add_key(app: App, person_id: str, scope: Scope = Scope.chat) -> str:
    async with opened(app) as store:
        return (await Keys(store.database).make(person_id, "for a test", scope)).secret


async def invitation(app: App) -> str:
    async with opened(app) as store:
        return await Invitations(store.database).make()


def browser(app: App, **headers: str) -> httpx.AsyncClient:
    """A client that keeps cookies and says what browsers say, behind a proxy on this machine that says it is far away:
    so many tries come from no one address. Redirects are not followed."""
    number = next(_far)
    far = {"X-Forwarded-For": f"10.0.{number >> 8}.{number & 255}"}
    return httpx.AsyncClient(base_url=app.url, headers=HTML | far | headers, **CLIENT)


def token_in(page: httpx.Response) -> str:
    """Of the first form in a page."""
    found = TOKEN.search(page.text)
    assert found, page.text
    return unescape(found[1])


async def sign_in(client: httpx.AsyncClient, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    """By the page's form; what it answers."""
    page = await client.get("/login")
    return await client.post("/login", data={"token": token_in(page), "name": name, "password": password} | more)


@asynccontextmanager
async def signed_in(app: App, name: str, password: str = PASSWORD) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(app) as client:
        response = await sign_in(client, name, password)
        assert response.status_code == 303, response.text
        yield client


async def submit(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """A form of the account page."""
    page = await client.get("/account")
    return await client.post(path, data={"token": token_in(page)} | fields)


def session_cookie(client: httpx.AsyncClient) -> str:
    """As a header has it."""
    [name] = [cookie for cookie in client.cookies if not cookie.endswith("-form")]
    return f"{name}={client.cookies[name]}"
