"""The pages of their own, outside Reflex's: to sign in and out, to take an invitation, and one's account."""

from starlette.routing import Router

from chat_app.people import account, entrance, files

PAGES = {"login", "logout", "invite", "account"}
"""First parts of their addresses."""


ROUTES = [*files.ROUTES, *entrance.ROUTES, *account.ROUTES]


def router() -> Router:
    return Router(ROUTES)
