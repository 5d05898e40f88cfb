"""What may follow `python -m chat_app user` and `key`. What they do is in `commands`, which takes long to load."""

import argparse

from chat_app.caller import Scope


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Those of accounts and keys, beside the app's own."""
    user = commands.add_parser("user", help="accounts: who may sign in").add_subparsers(
        dest="action", metavar="action", required=True
    )
    add = user.add_parser("add", help="make an account; the password is read from standard input")
    add.add_argument("--admin", action="store_true", help="an administrator's, as the first one is anyway")
    add.add_argument("--no-password", action="store_true", help="for AUTH=proxy, and AUTH=oidc with `user link`")
    user.add_parser("list", help="who there is")
    remove = user.add_parser("remove", help="remove an account, with its keys and its chats")
    password = user.add_parser("password", help="set another password, and sign out everywhere")
    admin = user.add_parser("admin", help="make somebody an administrator")
    link = user.add_parser("link", help="let somebody with an account sign in at the provider of AUTH=oidc")
    for parser in (add, remove, password, admin, link):
        parser.add_argument("name")
    link.add_argument("sub", help="what the provider calls them: the claim `sub`")
    invite = user.add_parser("invite", help="print a link with which one person makes an account")
    invite.add_argument("--url", help="the address that people reach the server by")
    key = commands.add_parser("key", help="API keys, for programs").add_subparsers(
        dest="action", metavar="action", required=True
    )
    make = key.add_parser("add", help="print a new key of somebody's")
    make.add_argument("user", help="whose key it is")
    make.add_argument("--scope", choices=[*Scope], default=Scope.chat, type=Scope, help="what it may do (chat)")
    make.add_argument("--name", default="Key", help="what it is for")
    key.add_parser("list", help="all keys")
    revoke = key.add_parser("revoke", help="make a key worthless")
    revoke.add_argument("id", help="as `key list` shows it")
