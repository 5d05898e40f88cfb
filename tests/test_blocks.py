"""What pages of one's own are built from, `rill.pages`: asked and followed in the app, and the theme's colours."""

import re
from pathlib import Path

import pytest

from chat_app.config import ROOT, Settings
from chat_app.errors import ChatError
from chat_app.service import serving
from rill.pages import TOKENS, follow, start, token
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio


def settings(folder: Path, provider: Provider) -> Settings:
    model = {"openai_base_url": provider.base_url, "openai_model": "bench"}
    return Settings(database_url=f"sqlite:///{folder / 'chat.db'}", chat_titles=False, **model)


async def test_a_turn_is_started_and_followed_to_its_end(tmp_path: Path, provider: Provider) -> None:
    async with serving(settings(tmp_path, provider)) as service:
        turn = await start(script(reasoning=["Hm."], pieces=["One ", "two ", "three"], hold=[2], interval_ms=0))
        pieces = follow(turn)
        seen = ""
        while seen != "One two ":
            seen += await anext(pieces)
        provider.go()
        assert "".join([piece async for piece in pieces]) == "three"
        assert (await turn.end()).status == "complete"
        # A late reader gets it at once, and a chat goes on.
        assert [piece async for piece in follow(turn)] == ["One two three"]
        again = await start(script(text="Yes."), turn.chat_id, metadata={"from": "a page"})
        assert (again.chat_id, "".join([piece async for piece in follow(again)])) == (turn.chat_id, "Yes.")
        with pytest.raises(ChatError):
            await start("")
        assert service.turns


async def test_what_followed_a_failed_answer_has_its_text(tmp_path: Path, provider: Provider) -> None:
    async with serving(settings(tmp_path, provider)):
        turn = await start(script(tokens=5, error_after=2, interval_ms=0))
        assert "".join([piece async for piece in follow(turn)]) == "tok0 tok1 "
        assert (await turn.end()).status == "failed"


def test_a_token_is_a_colour_of_the_page() -> None:
    css = (ROOT / "assets" / "chat.css").read_text()
    for theme in (":root", ".dark"):
        rules = css[css.index(f"\n{theme} {{") :].partition("}")[0]
        assert set(TOKENS) <= set(re.findall(r"--([\w-]+):", rules))
    assert token("primary") == "var(--primary)"
    with pytest.raises(ValueError, match="no colour 'pink'; it has background, "):
        token("pink")
