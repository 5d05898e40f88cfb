"""The page of one's account: keys, password, sessions, and for administrators the people."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from chat_app import logs
from chat_app.caller import Scope
from chat_app.errors import AdministratorsOnly, ChatError, InvalidRequest
from chat_app.people import cookies, passwords
from chat_app.people.accounts import MAX_NAME_CHARS, PersonRow
from chat_app.people.addresses import our_origin
from chat_app.people.entrance import after_sign_out
from chat_app.people.forms import Forms
from chat_app.people.html import button, field, form, frame, heading, note, problem
from chat_app.people.invitations import LASTS
from chat_app.people.people import Known, People, get_people
from chat_app.people.usage import limits_in_words, own_usage, usage
from chat_app.service import get_service

Done = Callable[[People, Known, dict[str, str]], Awaitable[str]]
"""What a form of the page does; returns HTML that says what was done."""
DATE = "%d %b %Y"
SCOPE_NAMES = {Scope.chat: "read and chat", Scope.read: "read only"}


async def show(request: Request) -> Response:
    if not (known := request.scope["known"]):
        return RedirectResponse("/login?next=/account", 303)
    return await _page(request, known)


def act(done: Done) -> Callable[[Request], Awaitable[Response]]:
    """A form's way in: it is this person's, and what comes of it stands above the page."""

    async def acting(request: Request) -> Response:
        if not (known := request.scope["known"]):
            return RedirectResponse("/login?next=/account", 303)
        try:
            fields = await Forms(get_people(), request, _tied_to(known)).read()
            said = await done(get_people(), known, fields | request.path_params)
        except ChatError as error:
            return await _page(request, known, problem(error.message), error.status)
        return await _page(request, known, said)

    return acting


def _tied_to(known: Known) -> str:
    """What a form is tied to: the session, or the person where a proxy signs them in."""
    return known.by.session or f"person {known.by.person_id}"


def for_administrators(done: Done) -> Done:
    async def doing(people: People, known: Known, fields: dict[str, str]) -> str:
        person = await people.accounts.by_id(known.caller.owner)
        if person is None or not person.admin:
            raise AdministratorsOnly
        return await done(people, known, fields)

    return doing


# What the forms do


async def make_key(people: People, known: Known, fields: dict[str, str]) -> str:
    if (scope := fields.get("scope")) not in set(Scope):
        raise InvalidRequest("A key may read, or read and chat. Choose one.")
    key = await people.keys.make(known.caller.owner, fields.get("name", ""), Scope(scope))
    logs.event("API key made", person=known.caller.owner, key=key.id)
    said = "This is the key. It is shown only now; keep it where you keep passwords."
    return f'<div class="note" role="status">{said}<code class="secret">{escape(key.secret)}</code></div>'


async def revoke_key(people: People, known: Known, fields: dict[str, str]) -> str:
    await people.revoke(fields["key_id"], known.caller.owner)
    logs.event("API key revoked", person=known.caller.owner, key=fields["key_id"])
    return note("The key is revoked. What was open with it is closed.")


async def change_password(people: People, known: Known, fields: dict[str, str]) -> str:
    person = await people.accounts.by_id(known.caller.owner)
    if person is None or not await passwords.fits(fields.get("before", ""), person.password):
        raise InvalidRequest("That is not your password. Nothing was changed.")
    await people.accounts.set_password(person.id, await passwords.hash_aside(fields.get("password", "")))
    await people.sign_out_everywhere(person.id, but=known.by.session)
    return note("The password is changed, and you are signed out everywhere else.")


async def leave_everywhere(request: Request) -> Response:
    """Sign out in all browsers, this one too."""
    people, known = get_people(), request.scope["known"]
    if known:
        try:
            await Forms(people, request, _tied_to(known)).read()
        except ChatError as error:
            return await _page(request, known, problem(error.message), error.status)
        await people.sign_out_everywhere(known.caller.owner)
    response = RedirectResponse(after_sign_out(people), 303)
    cookies.clear_session(response, people, request.scope)
    return response


@for_administrators
async def invite(people: People, known: Known, fields: dict[str, str]) -> str:
    link = f"{fields['origin']}/invite/{await people.invitations.make()}"
    said = f"Send this link to one person. It counts once, and for {LASTS.days} days."
    return f'<div class="note" role="status">{said}<code class="secret">{escape(link)}</code></div>'


@for_administrators
async def remove(people: People, known: Known, fields: dict[str, str]) -> str:
    if fields["person_id"] == known.caller.owner:
        raise InvalidRequest("You cannot remove yourself here. Another administrator can, or `user remove NAME`.")
    await people.remove(fields["person_id"])
    logs.event("account removed", person=fields["person_id"], by=known.caller.owner)
    return note("The account is removed, with its chats and keys. Whoever used it is signed out.")


# How it looks


async def _page(request: Request, known: Known, said: str = "", status: int = 200) -> Response:
    people = get_people()
    forms = Forms(people, request, _tied_to(known))
    person = await people.accounts.by_id(known.caller.owner)
    if person is None:
        return RedirectResponse("/login", 303)
    has_password = people.settings.auth == "password"
    parts = [
        f'<header><div>{heading(person.name)}</div><div class="side"><a href="/">To the chats</a>',
        f"{_leave(forms) if known.by.session else ''}</div></header>",
        said,
        await _keys(people, forms, person),
        _password(forms) if has_password else "",
        _everywhere(forms) if known.by.session else "",
        await _usage(people, person),
        await _people(people, forms, person, has_password) if person.admin else "",
    ]
    return forms.page(frame("Account", "\n".join(parts), "account"), status)


def _leave(forms: Forms) -> str:
    return form("/logout", forms.token, button("Sign out", "quiet-button"))


async def _keys(people: People, forms: Forms, person: PersonRow) -> str:
    rows = [
        _row(
            key.name,
            f"{SCOPE_NAMES[Scope(key.scope)]} · made {_day(key.created_at)} · {_used(key.used_at)}",
            form(
                f"/account/keys/{quote(key.id)}/revoke",
                forms.token,
                button("Revoke", "quiet-button", f"Revoke {key.name}"),
            ),
        )
        for key in await people.keys.of(person.id)
    ]
    options = "".join(f'<option value="{scope}">{name}</option>' for scope, name in SCOPE_NAMES.items())
    fields = [
        field("Name of the key", "name", more=f'required maxlength="{MAX_NAME_CHARS}"'),
        f'<label><span>It may</span><select class="field" name="scope">{options}</select></label>',
        button("Make a key"),
    ]
    made = form("/account/keys", forms.token, "".join(fields), "New key").replace("<form", '<form class="line"', 1)
    hint = "Programs send a key as <code>Authorization: Bearer …</code> and see what you see."
    return _section("API keys", f'<p class="hint">{hint}</p>{_list(rows)}{made}')


def _password(forms: Forms) -> str:
    fields = [
        field("Your password", "before", kind="password", complete="current-password", more="required"),
        field(
            "New password",
            "password",
            kind="password",
            complete="new-password",
            more=f'required minlength="{passwords.SHORTEST}"',
        ),
        button("Change the password"),
    ]
    return _section(
        "Password",
        f'<div class="narrow">{form("/account/password", forms.token, "".join(fields), "Password")}</div>',
    )


def _everywhere(forms: Forms) -> str:
    text = '<p class="hint">In all browsers, this one too. What is open there is closed at once; keys stay.</p>'
    leave = form("/account/everywhere", forms.token, f"<div>{button('Sign out everywhere', 'quiet-button')}</div>")
    return _section("Sign out everywhere", text + leave)


async def _usage(people: People, person: PersonRow) -> str:
    took = await own_usage(get_service(), person.id) or "Nothing this month."
    own, _ = limits_in_words(people.settings)
    return _section("Usage", f'<p>{escape(took)}</p><p class="hint">At most {escape(own)}</p>')


async def _people(people: People, forms: Forms, me: PersonRow, invites: bool) -> str:
    used, keys = await usage(get_service()), await people.keys.numbers()
    rows = [
        _row(
            one.name,
            " · ".join(
                filter(
                    None,
                    [
                        "administrator" if one.admin else "",
                        f"since {_day(one.created_at)}",
                        _number_of_keys(keys.get(one.id, 0)),
                        used.of(one.id),
                    ],
                )
            ),
            ""
            if one.id == me.id
            else form(
                f"/account/people/{quote(one.id)}/remove",
                forms.token,
                button("Remove", "quiet-button", f"Remove {one.name}"),
            ),
        )
        for one in await people.accounts.every()
    ]
    invite = form("/account/invitations", forms.token, f"<div>{button('Invite somebody', 'quiet-button')}</div>")
    together = used.of_all or "Nothing this month."
    each, all_ = limits_in_words(people.settings)
    sums = [
        f"All together, with visitors: {together}",
        f"Limits of each person: {each}",
        f"Limit of all together: {all_}",
    ]
    totals = "".join(f'<p class="hint">{escape(one)}</p>' for one in sums)
    return _section("People", _list(rows) + (invite if invites else "")) + _section("Totals and limits", totals)


def _number_of_keys(number: int) -> str:
    return f"{number} API key{'' if number == 1 else 's'}" if number else ""


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inside}</section>"


def _list(rows: list[str]) -> str:
    return f'<ul class="rows">{"".join(rows)}</ul>' if rows else ""


def _row(name: str, told: str, action: str) -> str:
    return f'<li><div><strong>{escape(name)}</strong><span class="hint">{escape(told)}</span></div>{action}</li>'


def _day(moment: datetime) -> str:
    return moment.strftime(DATE)


def _used(moment: datetime | None) -> str:
    return f"last used {moment.strftime(DATE + ', %H:%M')} UTC" if moment else "never used"


def _with_origin(done: Done) -> Callable[[Request], Awaitable[Response]]:
    """For what needs the address that people reach the server by."""

    async def acting(request: Request) -> Response:
        request.path_params["origin"] = our_origin(request)
        return await act(done)(request)

    return acting


ROUTES: list[Any] = [
    Route("/account", show, methods=["GET"]),
    Route("/account/keys", act(make_key), methods=["POST"]),
    Route("/account/keys/{key_id}/revoke", act(revoke_key), methods=["POST"]),
    Route("/account/password", act(change_password), methods=["POST"]),
    Route("/account/everywhere", leave_everywhere, methods=["POST"]),
    Route("/account/invitations", _with_origin(invite), methods=["POST"]),
    Route("/account/people/{person_id}/remove", act(remove), methods=["POST"]),
]
