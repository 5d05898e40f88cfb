"""The pages of their own, outside Reflex's: to sign in and out, to take an invitation, and one's account."""

from starlette.routing import Router

from chat_app.config import Settings
from chat_app.people import account, entrance, files, visit

PAGES = {"login", "logout", "invite", "account", "embed"}
"""First parts of their addresses."""


ROUTES = [*files.ROUTES, *entrance.ROUTES, *account.ROUTES, *visit.ROUTES]


def router(settings: Settings) -> Router:
    if settings.auth != "oidc":
        return Router(ROUTES)
    # What it needs takes long to load.
    from chat_app.people import there

    return Router([*ROUTES, *there.ROUTES])
