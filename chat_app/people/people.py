"""Who somebody is by what they show, and what ends when that counts no longer."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Transaction

from chat_app import logs
from chat_app.caller import Caller, Kind, Scope
from chat_app.claims import has_one, names_of
from chat_app.config import Settings
from chat_app.errors import InvalidRequest, NotSignedIn
from chat_app.peers import Peers
from chat_app.people import passwords
from chat_app.people.accounts import Accounts, PersonRow, key_of, live_people, subject_of
from chat_app.people.connections import Connections, Credential
from chat_app.people.invitations import Invitations
from chat_app.people.keys import SCOPES, Keys, live_keys
from chat_app.people.secret import load_secret
from chat_app.people.sessions import Sessions, live_sessions
from chat_app.people.throttle import Throttle
from chat_app.people.tokens import digest
from chat_app.people.trouble import SignInFailed, Trouble
from chat_app.people.visitors import Visitors
from chat_app.service import get_service
from chat_app.store.database import Database

if TYPE_CHECKING:
    from chat_app.people.provider import Provider

logger = logging.getLogger(__name__)

CACHED_S = 3.0
"""So long nobody is looked up again: a page asks for several things at once."""
MOST_CACHED = 10_000
LOOK_S = 5.0
"""How often it is seen whether who has something open may still: another process may have ended a session."""
USED_S = 60.0
"""How often the last use of a key is written."""
WRONG = "The name or the password is not right. Try again."


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody, and what showed it."""

    caller: Caller
    by: Credential


class People:
    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.secret = load_secret(settings)
        self.provider = provider_of(settings)
        self.peers = Peers(settings.trusted_proxies)
        self.accounts = Accounts(database)
        self.sessions = Sessions(database)
        self.invitations = Invitations(database)
        self.keys = Keys(database)
        self.visitors = Visitors(settings, self.secret)
        self.open = Connections()
        self._database = database
        self._throttle = Throttle()
        self._cached: dict[str, tuple[float, Known]] = {}
        self._used: dict[str, float] = {}
        self._noting: set[asyncio.Task[None]] = set()

    # Who is it?

    async def by_session(self, token: str) -> Known | None:
        """Whose browser holds this cookie."""
        digested = digest(token)
        if found := self._remembered(digested):
            return found
        person = await self.sessions.person(digested)
        if person is None or not self._signs_in_so(person):
            return None
        return self._remember(digested, known(person, session=digested))

    def _signs_in_so(self, person: PersonRow) -> bool:
        """A session from before AUTH, or the provider, was another one counts no more."""
        if self.provider is None:
            return person.password is not None
        return bool((person.subject or "").startswith(subject_of(self.provider.issuer, "")))

    async def by_key(self, secret: str) -> Known:
        """Whose program sends this key. Raises NotSignedIn."""
        digested = digest(secret)
        found = self._remembered(digested)
        if found is None:
            if (holder := await self.keys.holder(digested)) is None:
                raise NotSignedIn("There is no such API key. It may have been revoked; make a new one.")
            found = self._remember(digested, known(holder, key_id=holder.key_id, scope=Scope(holder.scope)))
        self._note_use(found.by.key_id)
        return found

    def by_visit(self, token: str, address: str) -> Known:
        """Whose browser shows this token at `/embed`. Raises NotSignedIn."""
        caller = self.visitors.caller(token, address)
        return Known(caller, Credential(caller.owner, visit=True))

    async def by_header(self, name: str) -> Known:
        """Whom a proxy names; who is new gets an account. Raises NotSignedIn: nobody can be called so."""
        key = f"proxy {key_of(name)}"
        if found := self._remembered(key):
            return found
        try:
            person = await self.accounts.named(name) or await self._join(name)
        except InvalidRequest as error:
            raise NotSignedIn(error.message) from None
        return self._remember(key, known(person))

    async def _join(self, name: str) -> PersonRow:
        """A new account; of two requests at once, one makes it. Raises InvalidRequest."""
        try:
            person = await self.accounts.add(name)
        except InvalidRequest:
            if (made := await self.accounts.named(name)) is None:
                raise
            return made
        logs.event("account made", person=person.id)
        return person

    async def by_password(self, name: str, password: str, address: str) -> PersonRow:
        """Raises NotSignedIn; TooManyRequests: it was tried too often. Both say the same of names that nobody has."""
        key = digest(key_of(name))
        self._throttle.count(key, address)
        person = await self.accounts.named(name)
        if not await passwords.fits(password, person.password if person else None) or person is None:
            # Not who: people type their password into the wrong field, too.
            logs.event("sign-in failed", level=logging.WARNING, same_as=address, address=address)
            raise NotSignedIn(WRONG)
        self._throttle.forgive(key, address)
        return person

    def count_try(self, address: str) -> None:
        """Of a sign-in at the provider, which costs it and us some requests. Raises TooManyRequests."""
        self._throttle.count_address(address)

    async def by_claims(self, claims: Mapping[str, Any]) -> PersonRow:
        """Whom the provider means; who is new gets an account. Raises SignInFailed: it is open to others only."""
        assert self.provider
        settings = self.settings
        if settings.oidc_allowed and not has_one(claims, settings.oidc_allowed):
            raise SignInFailed(Trouble.not_allowed, "none of OIDC_ALLOWED is true of them")
        admin = has_one(claims, settings.oidc_admin) if settings.oidc_admin else None
        joined = await self.accounts.join(subject_of(self.provider.issuer, claims["sub"]), names_of(claims), admin)
        person = joined.person
        if joined.new:
            logs.event("account made", person=person.id)
        if joined.adopted:
            logs.event("chats from before there were accounts are theirs", person=person.id, chats=joined.adopted)
        if joined.demoted:
            # What is open knows them as an administrator.
            self._end(lambda by: by.person_id == person.id)
        return person

    async def begin(self, person_id: str, before: str | None = None) -> str:
        """A new session; the one that this browser had `before` ends. Returns what the cookie holds."""
        if before:
            await self.sign_out(digest(before))
        return await self.sessions.begin(person_id)

    # What ends

    async def sign_out(self, session: str) -> None:
        """End this session (a hash), and all that is open by it."""
        await self.sessions.end(session)
        self._end(lambda by: by.session == session)

    async def sign_out_everywhere(self, person_id: str, but: str | None = None) -> None:
        """The same for all sessions of a person but one; keys stay."""
        await self.sessions.end_all(person_id, but)
        self._end(lambda by: by.person_id == person_id and not by.key_id and by.session != but)

    async def revoke(self, key_id: str, person_id: str) -> None:
        await self.keys.revoke(key_id, person_id)
        self._end(lambda by: by.key_id == key_id and by.person_id == person_id)

    async def remove(self, person_id: str) -> None:
        """With all that is theirs: sessions, keys, chats, and answers that are being written. Raises InvalidRequest."""
        await self.accounts.remove(person_id)
        self._end(lambda by: by.person_id == person_id)
        await get_service().forget_owner(person_id)

    def _end(self, which: Callable[[Credential], bool]) -> None:
        self._cached = {key: entry for key, entry in self._cached.items() if not which(entry[1].by)}
        self.open.end(which)

    async def watch(self) -> None:
        """End what is open, or being answered, by sessions, keys and people that ended elsewhere, or are too old, for
        ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            # The database says itself that it is away; nobody is put out for it.
            with suppress(Exception):
                await self._look()

    async def _look(self) -> None:
        asking = set(map(Credential, get_service().turns.of_people()))
        if not (open_ := self.open.credentials() | asking):
            return
        if gone := open_ - await self._database.read(partial(alive, open_)):
            self._end(gone.__contains__)
            for one in gone & asking:
                await get_service().forget_owner(one.person_id)

    async def close(self) -> None:
        if self._noting:
            await asyncio.wait(self._noting)

    # What is remembered for a moment

    def _remembered(self, digested: str) -> Known | None:
        entry = self._cached.get(digested)
        return entry[1] if entry and entry[0] > time.monotonic() else None

    def _remember(self, digested: str, found: Known) -> Known:
        if len(self._cached) >= MOST_CACHED:
            self._cached.clear()
        self._cached[digested] = time.monotonic() + CACHED_S, found
        return found

    def _note_use(self, key_id: str) -> None:
        moment = time.monotonic()
        if moment - self._used.get(key_id, -USED_S) < USED_S:
            return
        if len(self._used) >= MOST_CACHED:
            self._used.clear()
        self._used[key_id] = moment
        task = asyncio.create_task(self._write_use(key_id))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _write_use(self, key_id: str) -> None:
        # What it is used for does not wait for that, and does not fail with it.
        with suppress(Exception):
            await self.keys.used(key_id)


def provider_of(settings: Settings) -> "Provider | None":
    """What it needs takes long to load, so only where people sign in there."""
    if settings.auth != "oidc":
        return None
    from chat_app.people.provider import Provider

    return Provider(settings)


def known(person: PersonRow, *, session: str = "", key_id: str = "", scope: Scope = Scope.chat) -> Known:
    """A row of the table `person`, by what was shown."""
    caller = Caller(person.id, person.name, Kind.person, person.admin, SCOPES[scope], key_id)
    return Known(caller, Credential(person.id, session, key_id))


def alive(credentials: set[Credential], transaction: Transaction) -> set[Credential]:
    """Those of them that still count."""
    people = live_people(transaction, {one.person_id for one in credentials})
    sessions = live_sessions(transaction, {one.session for one in credentials if one.session})
    keys = live_keys(transaction, {one.key_id for one in credentials if one.key_id})
    return {
        one
        for one in credentials
        if one.visit
        or (
            one.person_id in people
            and (not one.session or one.session in sessions)
            and (not one.key_id or one.key_id in keys)
        )
    }


_people: People | None = None


@asynccontextmanager
async def knowing(settings: Settings, database: Database) -> AsyncIterator[People]:
    """The people for the time that the app serves. Raises CannotStart."""
    global _people
    people = _people = People(settings, database)
    if people.provider:
        await people.provider.discover()
    watching = asyncio.create_task(people.watch(), name="watch who is signed in")
    if settings.auth == "password" and not await people.accounts.every():
        logs.event("nobody has an account yet; make one: python -m chat_app user add NAME", level=logging.WARNING)
    try:
        yield people
    finally:
        watching.cancel()
        await people.close()
        _people = None


def get_people() -> People:
    assert _people is not None, "the app does not serve"
    return _people
