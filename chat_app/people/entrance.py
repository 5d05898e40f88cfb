"""To sign in and out, and to take an invitation."""

import math
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from chat_app import logs
from chat_app.api.problems import error_response
from chat_app.errors import ChatError, NotFound, NotSignedIn, TooManyRequests
from chat_app.people import cookies, passwords
from chat_app.people.accounts import MAX_NAME_CHARS, PersonRow
from chat_app.people.addresses import our_origin, own_address
from chat_app.people.forms import Forms, StaleForm
from chat_app.people.html import button, field, form, frame, heading, hidden, link, note, problem
from chat_app.people.invitations import no_invitation
from chat_app.people.people import People, get_people
from chat_app.people.trouble import sentence

if TYPE_CHECKING:
    from chat_app.people.provider import Provider

CHALLENGE = 'Bearer realm="Rill"'
SIGNED_OUT = "signed_out"
BY_SCRIPT = "x-requested-with"
"""A page of another origin cannot send this header unasked, and who asks is refused."""


async def login_page(request: Request) -> Response:
    address = own_address(request.query_params.get("next"))
    if request.scope["known"]:
        return RedirectResponse(address, 303)
    people, forms = get_people(), Forms(get_people(), request)
    if people.provider:
        return forms.page(_login_there(people.provider, request, address))
    return forms.page(_login(forms, address))


async def sign_in(request: Request) -> Response:
    people, forms = get_people(), Forms(get_people(), request)
    address = "/"
    name = ""
    try:
        if people.settings.auth != "password":
            raise NotFound("Nobody signs in with a password here.")
        given = await forms.read()
        address, name = own_address(given.get("next")), given.get("name", "")
        client = people.peers.network(request.scope)
        person = await people.by_password(name, given.get("password", ""), client)
    except (StaleForm, NotSignedIn, TooManyRequests, NotFound) as error:
        return forms.page(_login(forms, address, name, error.message), error.status, **_headers(error))
    return await signed_in(request, person, address)


async def signed_in(request: Request, person: PersonRow, address: str) -> Response:
    """A session of its own, whatever this browser had before."""
    people = get_people()
    before = request.cookies.get(cookies.session_name(people, request.scope))
    token = await people.begin(person.id, before)
    logs.event("signed in", person=person.id, address=people.peers.address(request.scope))
    response = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    cookies.set_session(response, people, request.scope, token)
    return response


async def logout_page(request: Request) -> Response:
    """For who follows a link: a link alone signs nobody out."""
    if not request.scope["known"]:
        return RedirectResponse("/login", 303)
    known = request.scope["known"]
    forms = Forms(get_people(), request, known.by.session)
    body = heading(f"Signed in as {known.caller.name}") + form("/logout", forms.token, button("Sign out"))
    return forms.page(frame("Sign out", body))


async def sign_out(request: Request) -> Response:
    people, known = get_people(), request.scope["known"]
    if known and known.by.session:
        if BY_SCRIPT not in request.headers:
            try:
                await Forms(people, request, known.by.session).read()
            except StaleForm as error:
                return error_response(error.as_dict())
        await people.sign_out(known.by.session)
    response = RedirectResponse(after_sign_out(people), 303)
    cookies.clear_session(response, people, request.scope)
    return response


def after_sign_out(people: People) -> str:
    """Where somebody is led who has signed out."""
    return f"/login?said={SIGNED_OUT}" if people.provider else "/login"


async def invitation_page(request: Request) -> Response:
    people, forms = get_people(), Forms(get_people(), request)
    token = request.path_params["token"]
    if not await _counts(people, token):
        return forms.page(_no_invitation(), 404)
    return forms.page(_invitation(forms, token))


async def take_invitation(request: Request) -> Response:
    people, forms = get_people(), Forms(get_people(), request)
    token, name = request.path_params["token"], ""
    try:
        given = await forms.read()
        name = given.get("name", "")
        if not await _counts(people, token):
            raise no_invitation()
        hashed = await passwords.hash_aside(given.get("password", ""))
        person = await people.invitations.take(token, name, hashed)
    except NotFound:
        return forms.page(_no_invitation(), 404)
    except ChatError as error:
        return forms.page(_invitation(forms, token, name, error.message), error.status, **_headers(error))
    return await signed_in(request, person, "/")


async def _counts(people: People, invitation: str) -> bool:
    """Where others say who comes in, no account has a password."""
    return people.settings.auth == "password" and await people.invitations.counts(invitation)


def _login_there(provider: "Provider", request: Request, address: str) -> str:
    """Links, not forms: browsers let a form lead to no other site (`form-action`)."""
    said = request.query_params.get("said")
    parts = [heading("Sign in"), problem(sentence(said, provider.host))]
    if said == SIGNED_OUT:
        parts.append(note("You are signed out here."))
    start = f"/login/start?next={quote(address, safe='/')}"
    parts.append(link(f"Sign in with {provider.host}", start, "button"))
    leave = provider.sign_out_address(our_origin(request) + "/login") if said == SIGNED_OUT else None
    if leave:
        parts.append(f'<p class="below">{link(f"Sign out of {provider.host} too", leave)}</p>')
    return frame("Sign in", "".join(parts))


def _login(forms: Forms, address: str, name: str = "", wrong: str = "") -> str:
    fields = [
        problem(wrong),
        hidden("next", address),
        field("Name", "name", value=name[:MAX_NAME_CHARS], complete="username", more="required autofocus"),
        field("Password", "password", kind="password", complete="current-password", more="required"),
        button("Sign in"),
    ]
    return frame("Sign in", heading("Sign in") + form("/login", forms.token, "".join(fields)))


def _invitation(forms: Forms, token: str, name: str = "", wrong: str = "") -> str:
    fields = [
        problem(wrong),
        field("Name", "name", value=name[:MAX_NAME_CHARS], complete="username", more="required autofocus"),
        field("Password", "password", kind="password", complete="new-password", more=PASSWORD),
        f'<p class="hint">At least {passwords.SHORTEST} characters.</p>',
        button("Make an account"),
    ]
    body = heading("You are invited") + form(f"/invite/{quote(token)}", forms.token, "".join(fields))
    return frame("Invitation", body)


PASSWORD = f'required minlength="{passwords.SHORTEST}" maxlength="{passwords.LONGEST}"'


def _no_invitation() -> str:
    sign_in = '<p><a href="/login">Sign in</a></p>'
    return frame("Invitation", heading("This invitation does not count") + problem(no_invitation().message) + sign_in)


def _headers(error: ChatError) -> dict[str, str]:
    if isinstance(error, NotSignedIn):
        return {"WWW-Authenticate": CHALLENGE}
    return {"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else {}


ROUTES = [
    Route("/login", login_page, methods=["GET"]),
    Route("/login", sign_in, methods=["POST"]),
    Route("/logout", logout_page, methods=["GET"]),
    Route("/logout", sign_out, methods=["POST"]),
    Route("/invite/{token}", invitation_page, methods=["GET"]),
    Route("/invite/{token}", take_invitation, methods=["POST"]),
]
