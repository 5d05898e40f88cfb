"""`python -m chat_app user …` and `key …`: accounts and keys from the terminal, also while the server runs."""

import argparse
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from chat_app.config import Settings
from chat_app.errors import CannotStart, ChatError, NotFound, shown
from chat_app.people import passwords
from chat_app.people.accounts import Accounts, checked_name, subject_of
from chat_app.people.invitations import LASTS, Invitations
from chat_app.people.keys import Keys
from chat_app.people.sessions import Sessions
from chat_app.store.store import Store

Command = Callable[[Store, argparse.Namespace], Awaitable[None]]
DAY = "%Y-%m-%d"


async def run_command(settings: Settings, arguments: argparse.Namespace) -> None:
    """Raises CannotStart, with a sentence."""
    command = COMMANDS[arguments.command, arguments.action]
    if arguments.action in ("add", "invite") and arguments.command == "user":
        arguments.url = getattr(arguments, "url", None) or settings.url
    arguments.issuer = settings.oidc_issuer
    async with _opened(settings) as store:
        try:
            await command(store, arguments)
        except ChatError as error:
            raise CannotStart(error.message) from None


async def add_user(store: Store, given: argparse.Namespace) -> None:
    accounts = Accounts(store.database)
    name = checked_name(given.name)
    if await accounts.named(name):
        raise NotFound(f"There is somebody called {shown(name)!r} already. Choose another name.")
    password = None if given.no_password else passwords.hashed(read_password())
    first = not await accounts.have_administrator()
    person = await accounts.add(name, password, admin=first or given.admin)
    print(f"{person.name} has an account." + (" It is an administrator's." if person.admin else ""))
    if first:
        await adopt(store, person.id)


async def list_users(store: Store, _given: argparse.Namespace) -> None:
    for person in await Accounts(store.database).every():
        print(f"{person.name}\t{'administrator' if person.admin else ''}\tsince {person.created_at:{DAY}}")


async def remove_user(store: Store, given: argparse.Namespace) -> None:
    accounts = Accounts(store.database)
    person = await accounts.known(given.name)
    await accounts.remove(person.id)
    await store.database.forget()
    print(f"The account of {person.name} is removed, with its chats.")


async def set_password(store: Store, given: argparse.Namespace) -> None:
    accounts = Accounts(store.database)
    person = await accounts.known(given.name)
    await accounts.set_password(person.id, passwords.hashed(read_password()))
    await Sessions(store.database).end_all(person.id)
    print(f"{person.name} has another password, and is signed out everywhere.")


async def make_admin(store: Store, given: argparse.Namespace) -> None:
    accounts = Accounts(store.database)
    person = await accounts.known(given.name)
    first = not await accounts.have_administrator()
    await accounts.set_admin(person.id, True)
    print(f"{person.name} is an administrator.")
    if first:
        await adopt(store, person.id)


async def link_user(store: Store, given: argparse.Namespace) -> None:
    if not given.issuer:
        raise CannotStart("Nobody says where they sign in. Set OIDC_ISSUER first.")
    accounts = Accounts(store.database)
    person = await accounts.known(given.name)
    await accounts.link(person.id, subject_of(given.issuer, given.sub))
    print(f"{person.name} signs in at {given.issuer} as {shown(given.sub)!r}.")


async def adopt(store: Store, person_id: str) -> None:
    """The first administrator gets the chats from before there were accounts."""
    if number := await store.adopt(person_id):
        print(f"The chats from before there were accounts are theirs: {number}.")


async def invite(store: Store, given: argparse.Namespace) -> None:
    token = await Invitations(store.database).make()
    print(f"{given.url.rstrip('/')}/invite/{token}")
    print(f"Send this link to one person. It counts once, and for {LASTS.days} days.", file=sys.stderr)


async def add_key(store: Store, given: argparse.Namespace) -> None:
    person = await Accounts(store.database).known(given.user)
    key = await Keys(store.database).make(person.id, given.name, given.scope)
    print(key.secret)
    print("This is the key. It is shown only now.", file=sys.stderr)


async def list_keys(store: Store, _given: argparse.Namespace) -> None:
    for key in await Keys(store.database).every():
        used = f"last used {key.used_at:{DAY} %H:%M} UTC" if key.used_at else "never used"
        print(f"{key.id}\t{key.person}\t{key.scope}\t{key.name}\t{used}")


async def revoke_key(store: Store, given: argparse.Namespace) -> None:
    if not await Keys(store.database).revoke(given.id):
        raise NotFound(f"There is no key {shown(given.id)!r}. `python -m chat_app key list` shows which there are.")
    print("The key is revoked.")


COMMANDS: dict[tuple[str, str], Command] = {
    ("user", "add"): add_user,
    ("user", "list"): list_users,
    ("user", "remove"): remove_user,
    ("user", "password"): set_password,
    ("user", "admin"): make_admin,
    ("user", "link"): link_user,
    ("user", "invite"): invite,
    ("key", "add"): add_key,
    ("key", "list"): list_keys,
    ("key", "revoke"): revoke_key,
}


def read_password() -> str:
    """From standard input: a line of it, or twice without an echo at a terminal. Raises CannotStart."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise CannotStart("These are two different passwords. Nothing was changed.")
    return password


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Store]:
    store = Store(settings.database_url, pool_size=1, limit_s=settings.database_timeout)
    try:
        await store.database.open()
        yield store
    finally:
        await store.close()
