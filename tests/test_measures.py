"""`/measures/`: a report is kept once, a forged one never, and the figures are those that SQL gives."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from chat_app.measures import PER_MINUTE, Pace
from chat_app.store import hours
from tests.app import App
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import streaming

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def app(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("measures")
    with Api(folder, openai_base_url=provider.base_url, openai_model="bench", model_prices="bench=1/2") as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with app.client() as client:
        yield client


async def answer(client: httpx.AsyncClient, **keys: Any) -> dict[str, Any]:
    reply: dict[str, Any] = (await client.post("/messages/", json={"content": script(**keys)})).json()
    return reply


def report(turn_id: str, **values: Any) -> dict[str, Any]:
    return {"turn_id": turn_id, "session": "somebody", "door": "client"} | values


async def test_a_report_is_kept_and_counts_once(client: httpx.AsyncClient) -> None:
    before = (await client.get("/measures/?days=2")).json()
    turn_id = (await answer(client, tokens=3))["id"]
    for first_ms in (180, 9_000):
        sent = await client.post("/measures/", json=report(turn_id, own_ms=3, first_ms=first_ms, lag_ms=12, gap_ms=40))
        assert (sent.status_code, sent.content) == (204, b"")
    # As a beacon comes, and from another browser: that one's counts too, and changes nothing of the first's.
    text = {"Content-Type": "text/plain;charset=UTF-8"}
    other = report(turn_id, session="another", whole=True, reason="buffered")
    assert (await client.post("/measures/", content=json.dumps(other), headers=text)).status_code == 204
    after = (await client.get("/measures/?days=2")).json()
    assert after["first"]["count"] == before["first"]["count"] + 1
    assert after["first"]["p99"] <= 180
    assert after["fallbacks"].get("buffered", 0) == before["fallbacks"].get("buffered", 0) + 1
    assert after["answers"] == before["answers"] + 1


FORGED: list[dict[str, Any]] = [
    {"turn_id": "nobody's"},
    {"turn_id": "a\0b"},
    {"turn_id": "x" * 65},
    {"turn_id": 7},
    {"session": ""},
    {"session": "s" * 201},
    {"session": None},
    {"door": "window"},
    {"first_ms": -1},
    {"first_ms": 10**12},
    {"first_ms": 1.5},
    {"first_ms": "180"},
    {"first_ms": True},
    {"lag_ms": 3_600_000},
    {"gap_ms": 3_600_000},
    {"own_ms": 200, "first_ms": 100},
    {"first_ms": 100, "lag_ms": 20_000},
    {"resumed": 10**6},
    {"whole": True},
    {"reason": "buffered"},
    {"whole": True, "reason": "because"},
    {"content": "a text"},
    {"person": "somebody else"},
    {"at": "2020-01-01T00:00:00Z"},
]


async def test_a_forged_or_huge_report_is_refused_and_changes_nothing(client: httpx.AsyncClient) -> None:
    reply = await answer(client, tokens=1)
    question = (await client.get("/messages/", params={"chat_id": reply["chat_id"]})).json()["messages"][0]["id"]
    good = report(reply["id"])
    before = (await client.get("/measures/?days=2")).json()
    bodies = [json.dumps(good | forged) for forged in [*FORGED, {"turn_id": question}]]
    bodies += ["", "[]", "null", "{", '{"turn_id": NaN}', json.dumps(good | {"session": "s" * 100_000}), "[" * 5_000]
    for body in bodies:
        refused = await client.post("/measures/", content=body)
        assert refused.status_code == 422, body[:200]
        assert refused.json()["error"]["message"].endswith(".")
    after = (await client.get("/measures/?days=2")).json()
    assert after | {"until": 0} == before | {"until": 0}


async def test_pages_of_other_origins_may_not_report(client: httpx.AsyncClient) -> None:
    turn_id = (await answer(client, tokens=1))["id"]
    sent = await client.post("/measures/", json=report(turn_id), headers={"Origin": "https://example.org"})
    assert sent.status_code == 403


def test_too_many_in_a_minute_wait() -> None:
    pace = Pace(3)
    for key in ["a"] * 3 + ["b"] * 3:
        pace.take(key)
    for key in "ab":
        with pytest.raises(Exception, match="Wait") as refused:
            pace.take(key)
        assert 0 < refused.value.retry_after <= 60


@pytest.mark.slow
async def test_a_flood_is_refused_and_the_answers_are_not(provider: Provider, tmp_path: Any) -> None:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as app:
        async with app.client() as client:
            turn_id = (await answer(client, tokens=1))["id"]
            sent = [
                (await client.post("/measures/", json=report(turn_id, session=str(n)))) for n in range(PER_MINUTE + 5)
            ]
            assert [one.status_code for one in sent] == [204] * PER_MINUTE + [429] * 5
            assert 0 < int(sent[-1].headers["Retry-After"]) <= 60
            assert (await answer(client, tokens=1))["status"] == "complete"


async def test_one_setting_turns_it_off(provider: Provider, tmp_path: Any) -> None:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench", measures="false") as app:
        async with app.client() as client:
            turn_id = (await answer(client, tokens=1))["id"]
            sent = await client.post("/measures/", json=report(turn_id))
            assert (sent.status_code, sent.json()["error"]["code"]) == (404, "measures_off")
            survey = await client.post("/measures/survey", json={"session": "s", "feel": 5})
            assert survey.status_code == 404
            async with streaming(client, "POST", "/stream/?include=timing", json={"content": "hi"}) as stream:
                assert "timing" not in {event.event for event in await stream.rest()}


async def test_the_first_delta_is_told_how_long_it_was_here(client: httpx.AsyncClient) -> None:
    content = {"content": script(tokens=5, first_ms=200, interval_ms=20)}
    async with streaming(client, "POST", "/stream/?include=timing&ids=1", json=content) as stream:
        events = await stream.rest()
    (timing,) = (n for n, event in enumerate(events) if event.event == "timing")
    assert [event.event for event in events[:timing]] == ["message"]
    told = json.loads(events[timing].data)["timing"]
    assert json.loads(events[timing].data) == {"role": "assistant", "delta": "", "timing": told}
    # The server knows of its own part alone: the model's 200 ms are not in it.
    assert 0 <= told["held_ms"] < 150
    assert 0 <= told["started_ms"] < 2_000
    # No number: a client that resumes after it would begin anew.
    assert events[timing].id == events[timing - 1].id
    turn_id = events[0].id.rpartition(":")[0]
    async with streaming(client, "GET", f"/stream/{turn_id}?include=timing") as stream:
        assert "timing" not in {event.event for event in await stream.rest()}


async def test_the_survey_keeps_the_first_answer(client: httpx.AsyncClient) -> None:
    turn_id = (await answer(client, tokens=1))["id"]
    await client.post("/measures/", json=report(turn_id, session="asked", first_ms=250))
    for feel in (5, 1):
        survey = {"session": "asked", "feel": feel, "remark": " At once. "}
        assert (await client.post("/measures/survey", json=survey)).status_code == 204
    for bad in ({"feel": 6}, {"feel": 0}, {"feel": "5"}, {"remark": "x" * 2_001}, {"text": "x"}):
        assert (await client.post("/measures/survey", json={"session": "b", "feel": 3} | bad)).status_code == 422
    (felt,) = (await client.get("/measures/?days=2")).json()["survey"]
    assert (felt["feel"], felt["remark"], felt["group"], felt["first_ms"]) == (5, "At once.", "streaming", 250)


async def test_ends_tokens_cost_and_thumbs_are_counted(client: httpx.AsyncClient) -> None:
    before = (await client.get("/measures/?days=7")).json()
    good = await answer(client, tokens=4)
    await answer(client, status=500)
    await client.post(f"/messages/{good['id']}/rating", json={"rating": 1, "remark": "Quick."})
    after = (await client.get("/measures/?days=7")).json()
    assert (after["up"], after["down"]) == (before["up"] + 1, before["down"])
    assert after["remarks"][0]["remark"] == "Quick."
    assert after["answers"] == before["answers"] + 2
    today = [
        sum(period[status] for period in figures["series"])
        for figures in (before, after)
        for status in ("complete", "failed")
    ]
    assert today[2:] == [today[0] + 1, today[1] + 1]
    assert after["errors"]["provider_error"] == before["errors"].get("provider_error", 0) + 1
    bench = next(use for use in after["models"] if use["model"] == "bench")
    used = good["usage"]
    was = next((use for use in before["models"] if use["model"] == "bench"), {"cost": 0, "completion_tokens": 0})
    assert bench["completion_tokens"] == was["completion_tokens"] + used["completion_tokens"]
    cost = (used["prompt_tokens"] * 1 + used["completion_tokens"] * 2) / 1_000_000
    assert bench["cost"] == pytest.approx(was["cost"] + cost)
    # Taken back, it does not count any more, nor does what a deleted chat's people said.
    await client.post(f"/messages/{good['id']}/rating", json={"rating": 0})
    assert (await client.get("/measures/?days=7")).json()["up"] == before["up"]
    assert len(after["series"]) == 7


@pytest.mark.parametrize("days", ["0", "32", "x", "-1", "1.5"])
async def test_odd_numbers_of_days_are_refused(client: httpx.AsyncClient, days: str) -> None:
    assert (await client.get("/measures/", params={"days": days})).status_code == 422


@pytest.mark.parametrize(
    ("ms", "to"), [(0, 0), (99, 99), (100, 100), (101, 110), (200, 200), (201, 210), (1_001, 1_100)]
)
def test_times_are_rounded_up_to_two_digits(ms: int, to: int) -> None:
    assert hours.rounded(ms) == to
    assert hours.rounded(10**9) == 1_000_000
