"""What takes long the first time is done at the start: the first to ask waits for nothing that the second does not."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chat_app.config import ROOT, Settings
from chat_app.service import Service, serving
from tests.provider_client import Provider, script


@pytest.mark.slow
def test_the_first_turn_loads_no_code_and_compiles_no_statement(provider: Provider, tmp_path: Path) -> None:
    """In a process of its own, that has loaded nothing yet."""
    command = [sys.executable, "-m", "tests.test_warm", str(tmp_path), provider.base_url]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    added = json.loads(run.stdout.splitlines()[-1])
    # Python's own loads some of its codecs when they are used.
    assert [name for name in added["modules"] if not name.startswith("encodings.")] == []
    assert added["statements"] == []


async def added_by_turns(folder: str, provider_url: str) -> dict[str, Any]:
    given = {"database_url": f"sqlite:///{folder}/chat.db", "openai_base_url": provider_url, "openai_model": "bench"}
    async with serving(Settings.model_validate(given | {"chat_titles": False})) as service:
        modules, statements = set(sys.modules), of_turns(service)
        first = await service.turns.start(script(tokens=3))
        await first.end()
        second = await service.turns.start(script(tokens=3, pieces=["<think>x</think>", "y"]), first.chat_id)
        await second.end()
        # All of it was taken back.
        assert [chat.id for chat in await service.store.chats()] == [first.chat_id]
        new = sorted(set(sys.modules) - modules)
        return {"modules": new, "statements": sorted(of_turns(service) - statements)}


def of_turns(service: Service) -> set[str]:
    """Those of turns that SQLAlchemy has put together so far, and not those of what is measured beside them."""
    sqlite = service.store.database._sqlite
    assert sqlite and sqlite._engine._compiled_cache is not None
    compiled = {str(statement) for statement in sqlite._engine._compiled_cache.values()}
    return {text for text in compiled if re.match(r"(INSERT INTO|UPDATE|DELETE FROM) (chat|message|journal)\b", text)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(added_by_turns(*sys.argv[1:]))))
