"""The tests of turns once more, on a real PostgreSQL. They wait more than they compute."""

import pytest

from chat_app.turns.memory import MemoryBackplane
from tests import test_final_write, test_turns
from tests.postgres import on_postgres

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

globals().update(on_postgres(test_turns, test_final_write))


@pytest.fixture
def make_backplane() -> test_turns.MakeBackplane:
    """The plain one alone: what is tried here is the database."""
    return MemoryBackplane
