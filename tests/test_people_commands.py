"""`python -m chat_app user …` and `key …`, as an operator runs them; and the starts that AUTH decides on."""

import io
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest

from chat_app.__main__ import parser
from chat_app.config import ROOT, load_settings
from chat_app.errors import CannotStart
from chat_app.people.commands import run_command
from tests.app import App
from tests.forked import Api, ForkedApp, starter
from tests.people import PASSWORD, browser, opened, sign_in
from tests.test_documents import blocks, shell

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def run(app: App, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "chat_app", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=app.environment(), input=given, capture_output=True, text=True, timeout=60
    )


async def done(app: App, *arguments: str, given: str = "") -> str:
    """What the command prints, in this process: to load the program for each takes seconds. Raises CannotStart."""
    settings = load_settings(app.environment())
    with patch("sys.stdin", io.StringIO(given)), redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()):
        await run_command(settings, parser().parse_args(arguments))
    return out.getvalue()


def curls() -> list[str]:
    """The lines of the document that use a key."""
    return [line for code in blocks("docs/deploying.md", "sh") for line in code.splitlines() if "curl" in line]


async def test_an_account_from_the_first_command_on(tmp_path: Path) -> None:
    """Its password is a line of standard input; the first one is an administrator's; the server runs meanwhile."""
    with Api(tmp_path, auth="password", replies="tests.examples.rules:reply") as api:
        assert "nobody has an account yet; make one: python -m chat_app user add NAME" in api.logged()
        ran = run(api, "user", "add", "Ada", given=f"{PASSWORD}\n")
        assert (ran.returncode, ran.stdout) == (0, "Ada has an account. It is an administrator's.\n")
        async with browser(api) as client:
            assert (await sign_in(client, "ada")).status_code == 303
            key = (await done(api, "key", "add", "ADA", "--scope", "read")).strip()
            assert (await client.get("/chats/", headers={"Authorization": f"Bearer {key}"})).status_code == 200
            of_key = (await done(api, "key", "list")).split("\t")
            assert of_key[1:4] == ["Ada", "read", "Key"]
            assert await done(api, "key", "revoke", of_key[0]) == "The key is revoked.\n"
            assert await done(api, "user", "add", "Ben", given=f"{PASSWORD}\n") == "Ben has an account.\n"
            key = (await done(api, "key", "add", "Ben")).strip()
            headers = {"Authorization": f"Bearer {key}"}
            for content in ("10 C", "20 C"):
                assert (await client.post("/messages/", json={"content": content}, headers=headers)).status_code == 200
            lines = [line.replace("https://chat.example.org", api.url).replace("rill_…", key) for line in curls()]
            listed, frames = map(shell, lines)
            assert (len(json.loads(listed)["chats"]), frames.count("data:")) == (2, 6)
            removed = await done(api, "user", "remove", "ben")
            assert removed == "The account of Ben is removed, with its chats.\n"
            with sqlite3.connect(tmp_path / "chat.db") as connection:
                tables = ("chat", "message", "api_key")
                assert [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables] == [
                    (0,)
                ] * 3
            connection.close()
            link = (await done(api, "user", "invite", "--url", api.url)).strip()
            assert (await client.get(link)).status_code == 200


@pytest.mark.everyday
async def test_what_cannot_be_done_is_a_sentence(tmp_path: Path) -> None:
    app = App(tmp_path)
    async with opened(app) as store:
        await store.create_chat("Before")
    added = await done(app, "user", "add", "ada", "--no-password")
    assert added == (
        "ada has an account. It is an administrator's.\nThe chats from before there were accounts are theirs: 1.\n"
    )
    for arguments, given, sentence in [
        (("user", "add", "ADA"), PASSWORD, "There is somebody called 'ADA' already. Choose another name."),
        (
            ("user", "add", "ben"),
            "short\n",
            "A password has at least 8 characters, and at most 1,000. Choose another.",
        ),
        (("user", "remove", "carl"), "", "There is nobody called 'carl'."),
        (("key", "add", "carl"), "", "There is nobody called 'carl'."),
        (("user", "link", "ada", "1"), "", "Nobody says where they sign in. Set OIDC_ISSUER first."),
    ]:
        with pytest.raises(CannotStart) as caught:
            await done(app, *arguments, given=given)
        assert str(caught.value).startswith(sentence)
    there = App(tmp_path, oidc_issuer="https://sso.example.org/")
    linked = await done(there, "user", "link", "ada", "a-1")
    assert linked == "ada signs in at https://sso.example.org as 'a-1'.\n"
    await done(there, "user", "add", "ben", "--no-password")
    with pytest.raises(CannotStart, match="'ada' signs in there as this one already"):
        await done(there, "user", "link", "ben", "a-1")


def test_no_start_lets_others_in_by_chance(tmp_path: Path) -> None:
    said = tmp_path / "said"
    process = starter().start("app", App(tmp_path, host="0.0.0.0").environment(), said)
    assert process.wait(60) == 1
    assert said.read_text() == (
        "With HOST=0.0.0.0 others can reach this server: set AUTH=password so that people sign in, or AUTH=none to let "
        "everybody see all chats.\n"
    )


def test_auth_none_is_said_out_loud(page_built: None, tmp_path: Path) -> None:
    with ForkedApp(tmp_path, auth="none", host="0.0.0.0", replies="tests.examples.rules:reply") as app:
        assert app.http.get("/chats/").status_code == 200
        assert "WARNING" in app.logged() and "AUTH=none: whoever reaches this server" in app.logged()


def test_without_accounts_nothing_of_them_is_loaded() -> None:
    code = "import sys, chat_app.chat_app, chat_app.__main__; print(*sys.modules)"
    environ = os.environ | {"AUTH": "", "HOST": "", "ALLOWED_HOSTS": "", "CORS_ALLOWED_ORIGINS": ""}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    loaded = ran.stdout.split()
    assert "chat_app.api" in loaded
    assert not [name for name in loaded if name.split(".")[0] == "argon2" or name.startswith("chat_app.people.p")]
