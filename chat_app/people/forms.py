"""What a browser sends with a form of ours: read, and known to be of ours."""

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from chat_app.errors import ForeignRequest, InvalidRequest
from chat_app.people import cookies
from chat_app.people.people import People
from chat_app.people.tokens import new_token, same, signed

MOST_FIELDS = 20
STALE = "This form is too old, or the browser keeps no cookies. Send it again."


class StaleForm(ForeignRequest):
    """A form without the token that it was given, so maybe of another page."""

    def __init__(self) -> None:
        super().__init__(STALE)


class Forms:
    """Of one request. Each form has a token that is tied to the session, before there is one to a cookie of its own."""

    def __init__(self, people: People, request: Request, session: str = "") -> None:
        self._people = people
        self._request = request
        self._session = session
        cookie = request.cookies.get(cookies.form_name(people, request.scope))
        self._cookie = cookie if cookie and cookies.is_token(cookie) else ""
        self._new = "" if self._cookie or session else new_token()

    @property
    def token(self) -> str:
        if self._session:
            return signed(self._people.secret, "form of a session", self._session)
        return signed(self._people.secret, "form", self._cookie or self._new)

    async def read(self) -> dict[str, str]:
        """The fields. Raises InvalidRequest, StaleForm."""
        body = await self._request.body()
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
        except ValueError:
            raise InvalidRequest("This is no form of this page. Open it again.") from None
        fields = dict(pairs)
        if self._new or not same(fields.get("token", ""), self.token):
            raise StaleForm
        return fields

    def page(self, html: str, status: int = 200, **headers: str) -> Response:
        """A page with forms; nobody keeps a copy of it."""
        response = HTMLResponse(html, status, {"Cache-Control": "no-store", **headers})
        if self._new:
            cookies.set_form(response, self._people, self._request.scope, self._new)
        return response
