"""How often open pages are told of changes."""

import pytest

from chat_app.ui.changes import pause_s


@pytest.mark.parametrize(("pages", "seconds"), [(0, 0.1), (1, 0.1), (20, 0.1), (40, 0.2), (100, 0.5), (300, 1.5)])
def test_with_many_pages_the_list_comes_less_often(pages: int, seconds: float) -> None:
    """Its frames a second stay the same: what is left is for answers."""
    assert pause_s(pages) == pytest.approx(seconds)
