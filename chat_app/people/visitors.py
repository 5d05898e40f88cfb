"""Visitors of `/embed`: who has no account here, and sees own chats even so. Each shows a token that the server has
signed; nothing of it is stored.

Who it is, the token says: a browser, which got a number of its own, or a user of the page that the chat stands in, whom
that page has named and signed for (EMBED_SECRET).
"""

import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from dataclasses import dataclass

from chat_app.caller import Caller, Kind
from chat_app.config import Settings
from chat_app.errors import NotSignedIn
from chat_app.models import ADDRESS
from chat_app.names import clean_name
from chat_app.people.tokens import new_token, same, signed
from chat_app.rates import Counter, rates

PREFIX = "visitor_"
BROWSER, USER = "visitor:", "user:"
"""What an owner begins with, so that it is no person's."""
ADDRESS_CHARS = 32
"""Of what stands for an address in what is stored."""
BROWSER_S = 90 * 86_400
"""So long a browser is known after its last visit."""
USER_S = 12 * 3_600
RENEWED_S = 86_400
"""Later than that after it was made, a browser's token is made anew."""
NEW = rates("20/minute, 200/hour")
"""Browsers from one address that were not here before: a school is behind one, and so is whoever wants other limits."""
MAX_USER_CHARS = 200
TOO_OLD = "This visit has lasted too long, or the server does not know it. Load the page again."


@dataclass(frozen=True, slots=True)
class Visit:
    """Until `ends`, in seconds since 1970, whoever shows the token is the one of these chats."""

    owner: str
    ends: int
    token: str


class Visitors:
    """`browsers`, `users`: whether these are let in."""

    def __init__(self, settings: Settings, secret: bytes) -> None:
        self.browsers = settings.visitors
        embed_secret = settings.embed_secret.get_secret_value() if settings.embed_secret else ""
        self.users = bool(embed_secret)
        self._embed_secret = embed_secret.encode()
        self._secret = secret
        self._counter = Counter("new visitors from one address", NEW)

    async def browser(self, address: str, token: str = "") -> Visit:
        """A visit of the browser that shows this token, of a new one without, or where it counts no longer.

        Raises:
            NotSignedIn: browsers are not let in.
            TooManyRequests: so many new ones came from this address.
        """
        if not self.browsers:
            raise NotSignedIn("Visitors are not let in here without being named by the page around the chat.")
        known = self._read(token)
        if known and known.owner.startswith(BROWSER):
            fresh = known.ends - time.time() > BROWSER_S - RENEWED_S
            return known if fresh else self._visit(known.owner, BROWSER_S)
        await self._counter.one_more(address)
        return self._visit(BROWSER + new_token(), BROWSER_S)

    def user(self, name: str, expires: str, signature: str) -> Visit:
        """A visit of whom the page around the chat names. Raises NotSignedIn."""
        if not self.users:
            raise NotSignedIn("The page around this chat names who you are, and EMBED_SECRET is not set here.")
        right = user_signature(self._embed_secret, name, expires)
        if not same(signature.lower(), right) or not expires.isdecimal():
            raise NotSignedIn("The page around this chat did not sign who you are as EMBED_SECRET wants it.")
        if int(expires[:15]) <= time.time():
            raise NotSignedIn("The page around this chat is too old to say who you are. Load it again.")
        if not name or clean_name(name) != name or len(name) > MAX_USER_CHARS:
            raise NotSignedIn(
                f"The page around this chat has to name you by 1 to {MAX_USER_CHARS} characters that can be seen."
            )
        return self._visit(USER + name, USER_S)

    def caller(self, token: str, address: str) -> Caller:
        """Who shows it, from this address. Raises NotSignedIn."""
        visit = self._read(token)
        if visit is None:
            raise NotSignedIn(TOO_OLD)
        if visit.owner.startswith(USER):
            return Caller(visit.owner, "", Kind.visitor)
        # A browser may throw its token away and be another one.
        shares = ADDRESS + signed(self._secret, "address", address)[:ADDRESS_CHARS]
        return Caller(visit.owner, "", Kind.visitor, shares=shares)

    def _visit(self, owner: str, lasts_s: int) -> Visit:
        ends = round(time.time()) + lasts_s
        name = urlsafe_b64encode(owner.encode()).decode().rstrip("=")
        return Visit(owner, ends, f"{PREFIX}{name}.{ends}.{self._signature(owner, ends)}")

    def _read(self, token: str) -> Visit | None:
        """None: it is not ours, too old, or of such as are not let in any more."""
        name, _, rest = token.removeprefix(PREFIX).partition(".")
        ends, _, signature = rest.partition(".")
        try:
            owner = urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        except (Error, ValueError):
            return None
        if not ends.isdecimal() or len(ends) > 15 or not same(signature, self._signature(owner, int(ends))):
            return None
        let_in = self.browsers if owner.startswith(BROWSER) else self.users
        return Visit(owner, int(ends), token) if let_in and int(ends) > time.time() else None

    def _signature(self, owner: str, ends: int) -> str:
        # Another EMBED_SECRET ends the visits of all users that were signed for with the one before.
        by = self._embed_secret.hex() if owner.startswith(USER) else ""
        return signed(self._secret, f"visit {by}", f"{ends} {owner}")


def user_signature(secret: bytes, name: str, expires: str) -> str:
    """As the page around the chat makes it, for a user until `expires`, in seconds since 1970."""
    return hmac.new(secret, f"{expires}.{name}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
