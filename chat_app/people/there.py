"""To sign in at an OpenID Connect provider: the way there, and the way back."""

import logging
import time
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from chat_app import logs
from chat_app.errors import ChatError, TooManyRequests, shown
from chat_app.people import cookies, flow
from chat_app.people.addresses import our_origin, own_address
from chat_app.people.entrance import signed_in
from chat_app.people.people import People, get_people
from chat_app.people.provider import Provider
from chat_app.people.tokens import new_token
from chat_app.people.trouble import SignInFailed, Trouble

CALLBACK = "/login/callback"
REFUSED = {"access_denied", "login_required", "consent_required", "interaction_required"}


async def start(request: Request) -> Response:
    """Lead a browser to the provider."""
    people, provider = _there()
    address = own_address(request.query_params.get("next"))
    if request.scope["known"]:
        return _to(address)
    kept = request.cookies.get(cookies.flow_name(people, request.scope))
    # Another tab may be under way: its sign-in counts as well.
    browser = kept if kept and cookies.is_token(kept) else new_token()
    begun = flow.begin(people.secret, browser, address, time.time())
    response = _to(provider.address(our_origin(request) + CALLBACK, begun.state, begun.nonce, begun.verifier))
    cookies.set_flow(response, people, request.scope, browser)
    return response


async def come_back(request: Request) -> Response:
    """With a code of the provider's, or without."""
    people, provider = _there()
    query, begun = request.query_params, _begun(people, request)
    try:
        if error := query.get("error"):
            raise SignInFailed(Trouble.refused if error in REFUSED else Trouble.failed, f"the provider says {error}")
        if begun is None:
            raise SignInFailed(Trouble.stale, "the state is not of this browser, or too old")
        if not provider.is_from_it(query.get("iss")):
            raise SignInFailed(Trouble.failed, "the answer is of another provider")
        people.count_try(people.peers.network(request.scope))
        back = our_origin(request) + CALLBACK
        claims = await provider.claims(query.get("code", ""), back, begun.nonce, begun.verifier)
        person = await people.by_claims(claims)
    except SignInFailed as failure:
        return _failed(request, people, begun, failure.trouble, str(failure))
    except TooManyRequests as error:
        return _failed(request, people, begun, Trouble.too_often, error.code)
    except ChatError as error:
        return _failed(request, people, begun, Trouble.failed, error.code)
    response = await signed_in(request, person, begun.address)
    # What it was tied to is over: the same answer counts once.
    cookies.clear_flow(response, people, request.scope)
    return response


def _begun(people: People, request: Request) -> flow.Flow | None:
    """What this browser began; None: nothing, or too long ago."""
    browser = request.cookies.get(cookies.flow_name(people, request.scope), "")
    try:
        return flow.resume(people.secret, browser, request.query_params.get("state", ""), time.time())
    except flow.Stale:
        return None


def _failed(request: Request, people: People, begun: flow.Flow | None, trouble: Trouble, why: str) -> Response:
    if request.scope["known"] and trouble is Trouble.stale:
        # Another tab was quicker, or somebody went back to this address.
        return _to("/")
    logs.event("sign-in failed", level=logging.WARNING, address=people.peers.address(request.scope), why=shown(why))
    return _to(f"/login?said={trouble}&next={quote(begun.address if begun else '/', safe='/')}")


def _there() -> tuple[People, Provider]:
    people = get_people()
    assert people.provider
    return people, people.provider


def _to(address: str) -> Response:
    return RedirectResponse(address, 303, {"Cache-Control": "no-store"})


ROUTES = [
    Route("/login/start", start, methods=["GET"]),
    Route(CALLBACK, come_back, methods=["GET"]),
]
