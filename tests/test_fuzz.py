"""Nothing that a client sends is a fault of the server's, or goes unanswered: bytes over sockets, from a fixed seed.

`python -m tests.fuzz` does the same for as long as one likes.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat_app.api import create_api
from tests import odd
from tests.forked import Api
from tests.fuzz import fuzz

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SEED = 20_260_131
COUNT = 1_500


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with Api(tmp_path, replies="tests.at_once:reply", max_message_chars="20000") as api:
        yield api
        assert "Traceback" not in api.logged(), api.logged()


def test_every_route_gets_its_share() -> None:
    routes = {(method.lower(), re.sub(r"{.*?}", "{}", path)) for method, path, _ in odd.ROUTES}
    paths = create_api().openapi()["paths"]
    assert {(method, re.sub(r"{.*?}", "{}", path)) for path, methods in paths.items() for method in methods} <= routes


async def test_nothing_that_is_sent_is_a_fault_or_goes_unanswered(api: Api, figure: Callable[[object], None]) -> None:
    figure(f"fuzz: seed {SEED}")
    report = await fuzz(api.url, SEED, iter(range(COUNT)))
    figure(f"fuzz: {report.statuses.total()} requests, {report.sockets} sockets, {dict(report.statuses)}")
    assert report.faults == []
    assert report.statuses.total() + report.sockets == COUNT
    # They got as far as that, and were not all refused at the door.
    assert {200, 201, 403, 404, 405, 413, 422} <= report.statuses.keys()
    assert api.http.get("/chats/").is_success
