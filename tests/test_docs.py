"""The API explained: an OpenAPI that is complete and true, and `/docs`, whose examples run as they stand."""

import html
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat_app.api import bodies, create_api
from chat_app.api.reference.page import page
from chat_app.config import ROOT
from chat_app.errors import http_status
from chat_app.store.chatfile import ChatFile
from tests.forked import Api
from tests.sse_client import streaming

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:3000"
NODE = Path(sys.executable).parent / "node"
TAKES = {
    ("post", "/stream/"): bodies.Ask,
    ("post", "/messages/"): bodies.Ask,
    ("post", "/chats/"): bodies.NewChat,
    ("patch", "/chats/{chat_id}"): bodies.ChatChange,
    ("post", "/chats/{chat_id}/queue"): bodies.Question,
    ("patch", "/chats/{chat_id}/queue/{question_id}"): bodies.Question,
    ("post", "/messages/{message_id}/rating"): bodies.Feedback,
    ("post", "/chats/import"): ChatFile,
    ("post", "/measures/"): bodies.Measure,
    ("post", "/measures/survey"): bodies.Survey,
}
VOID = {"meta", "link", "br", "hr"}

api = create_api()
SPEC: dict[str, Any] = api.openapi()
OPERATIONS = [(method, path) for path, methods in SPEC["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("docs")
    with Api(folder, replies="tests.examples.rules:reply", max_message_chars="1000") as running:
        yield running


def operation(method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = SPEC["paths"][path][method]
    return found


def everything(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a JSON value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from everything(one)


# OpenAPI


def test_every_route_is_explained_and_nothing_else() -> None:
    for method, path in OPERATIONS:
        described = operation(method, path)
        # FastAPI makes "Stop Turn" of a function's name.
        assert described["summary"][1:].islower()
        assert all(one["description"] != "Successful Response" for one in described["responses"].values())
    assert {"/stream/", "/stream/{turn_id}", "/messages/", "/chats/", "/search/"} <= SPEC["paths"].keys()


def test_it_hangs_together() -> None:
    assert SPEC["openapi"].startswith("3.1")
    assert json.loads(json.dumps(SPEC)) == SPEC
    references = {one["$ref"] for one in everything(SPEC) if "$ref" in one}
    assert references == {f"#/components/schemas/{name}" for name in SPEC["components"]["schemas"]}
    ids = Counter(operation(*one)["operationId"] for one in OPERATIONS)
    assert set(ids.values()) == {1}
    for method, path in OPERATIONS:
        parameters = operation(method, path).get("parameters", [])
        assert set(re.findall(r"{(\w+)}", path)) == {one["name"] for one in parameters if one["in"] == "path"}
        assert len({(one["in"], one["name"].lower()) for one in parameters}) == len(parameters)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_route_has_its_statuses_with_the_error_body(method: str, path: str) -> None:
    responses = operation(method, path)["responses"]
    expected = {"403", "500"}
    if "requestBody" in operation(method, path):
        expected |= {"413", "422"}
    if "{" in path or path.startswith("/stream/"):
        expected |= {"404"}
    if (method, path) in {("post", "/stream/"), ("post", "/messages/")}:
        expected |= {"404", "409", "503"}
    if (method, path) == ("post", "/messages/"):
        expected |= {"502", "504"}
    assert expected <= responses.keys()
    for status, response in responses.items():
        assert response["description"]
        if int(status) < 400:
            continue
        content = response["content"]["application/json"]
        assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
        for code, example in content["examples"].items():
            error = example["value"]["error"]
            assert (error["code"], http_status(code)) == (code, int(status))
            assert error["message"].endswith(".")
    if "503" in responses:
        assert "Retry-After" in responses["503"]["headers"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_route_has_examples_that_are_what_it_takes_and_gives(method: str, path: str) -> None:
    described = operation(method, path)
    status = min(described["responses"])
    content = described["responses"][status].get("content", {})
    assert content or status == "204"
    for media in content.values():
        name = media["schema"].get("$ref", "").rpartition("/")[2]
        if model := getattr(bodies, name, None):
            model.model_validate_json(json.dumps(media["example"]))
        assert media.get("example") or media["examples"]
    if body := described.get("requestBody"):
        TAKES[method, path].model_validate_json(json.dumps(body["content"]["application/json"]["example"]))
    for one in described.get("parameters", []):
        if one["in"] == "path" or one["required"]:
            assert one["examples"]
        else:
            # The viewer would send it unasked.
            assert not {"example", "examples"} & one.keys()


def test_a_client_may_leave_out_what_has_a_default() -> None:
    """A generated client takes a key with a default for one that must be there."""
    for model in TAKES.values():
        taken = SPEC["components"]["schemas"][model.__name__]
        assert not [name for name, field in taken["properties"].items() if "default" in field]
        required = {name for name, field in model.model_fields.items() if field.is_required()}
        assert set(taken.get("required", [])) == required
    assert SPEC["components"]["schemas"]["Ask"]["required"] == ["content"]


def test_a_link_leads_to_an_operation_and_its_parameter() -> None:
    by_id = {operation(*one)["operationId"]: operation(*one) for one in OPERATIONS}
    links = [link for one in everything(SPEC) for link in one.get("links", {}).values()]
    assert links
    for link in links:
        known = {one["name"] for one in by_id[link["operationId"]]["parameters"]}
        assert link["parameters"].keys() <= known


@pytest.mark.slow
async def test_what_comes_is_what_is_written(running: Api) -> None:
    """One success and the failures that a client can cause, against the served OpenAPI."""
    async with running.client() as client:
        assert (await client.get("/openapi.json")).json() == SPEC
        sent = await client.post("/messages/", json={"content": "hello"})
        ids = {"chat_id": sent.json()["chat_id"], "turn_id": sent.json()["id"], "message_id": sent.json()["id"]}
        await check(client, "post", "/messages/", ids, json={"content": "hello"})
        large = await client.post("/messages/", content=b"x" * 100_000)
        foreign = await client.get("/chats/", headers={"Origin": "https://example.org"})
        assert (large.status_code, foreign.status_code) == (413, 403)
        unknown = dict.fromkeys(ids, "unknown")
        for method, path in sorted(OPERATIONS, key=lambda one: one[0] == "delete"):
            example = operation(method, path).get("requestBody", {}).get("content", {}).get("application/json", {})
            query = {"chat_id": ids["chat_id"], "q": "hello"} if "{" not in path else {}
            body = {"json": with_ids(example["example"], ids)} if example else {}
            if "{question_id}" in path:
                # Nothing waits here; `test_queue_door` changes what does.
                known = ids | {"question_id": "unknown"}
                assert (await check(client, method, path, known, params=query, **body)).status_code == 404
                continue
            response = await check(client, method, path, ids, params=query, **body)
            assert response.is_success, f"{method} {path}: {response.text}"
            if "{" in path:
                assert (await check(client, method, path, unknown, params=query, **body)).status_code == 404
            if example:
                assert (await check(client, method, path, ids, content=b"{")).status_code == 422


def with_ids(example: Any, ids: dict[str, str]) -> Any:
    """An example about an answer, about one that there is."""
    return example | {"turn_id": ids["turn_id"]} if "turn_id" in example else example


async def check(client: httpx.AsyncClient, method: str, path: str, ids: dict[str, str], **request: Any) -> Any:
    response = await client.request(method, path.format(**ids), **request)
    described = operation(method, path)["responses"]
    assert str(response.status_code) in described, f"{method} {path}: {response.status_code}"
    one = described[str(response.status_code)]
    media = response.headers.get("content-type", "").partition(";")[0]
    assert media in one["content"] if response.content else not media
    if response.is_success:
        assert all(name in response.headers for name in one.get("headers", {}))
    else:
        error = response.json()["error"]
        told = one["content"]["application/json"]["examples"][error["code"]]["value"]["error"]
        # What is wrong with the input is another thing each time.
        assert response.status_code == 422 or error == told
    return response


# /docs


class Reader(HTMLParser):
    """What the page fetches and links to, and whether its tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        for name in ("src", "srcset", "data", "action", "poster"):
            self.fetched += [found[name] or ""] if name in found else []
        if "href" in found:
            (self.fetched if tag == "link" else self.links).append(found["href"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        # A paragraph or a list item may be left open in HTML; here none is.
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing_from_elsewhere() -> None:
    text = page(URL)
    read = Reader(text)
    assert read.open == []
    assert set(read.fetched) == {"/chat.css", "/favicon.svg", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"}
    assert not re.search(r"@import|url\(|\bimport\(", text)
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert {link for link in read.links if not link.startswith("#")} == {"/", "/openapi.json"}
    assert "{{" not in text


def test_its_table_names_every_route() -> None:
    """In short, for readers of the file; the viewer has them in full."""
    table = html.unescape(page(URL).partition('id="routes"')[2].partition("</table>")[0])
    named = set(re.findall(r"(?:(\w+) )?(/[\w{}/]+)", table.replace("{id}", "{}")))
    for method, path in OPERATIONS:
        path = re.sub(r"{.*?}", "{}", path).replace("/stream/{}", "/stream/{turn_id}")
        assert (method.upper(), path) in named or ("", path) in named, path


def test_an_address_is_text_and_no_markup() -> None:
    assert "<b>x" not in page("http://<b>x")


async def test_it_is_served(running: Api) -> None:
    async with running.client() as client:
        for path in ("/docs", "/docs/"):
            response = await client.get(path)
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/html; charset=utf-8"
            assert f"curl -N {running.url}/stream/" in response.text
            assert (await client.head(path)).status_code == 200
        for name, kind in (("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "javascript")):
            assert kind in (await client.get(f"/docs/{name}")).headers["content-type"]
        for name in ("redoc.standalone.js", "..%2f__init__.py", "page.html"):
            assert (await client.get(f"/docs/{name}")).status_code == 404


@pytest.mark.parametrize(
    ("name", "command"),
    [("python", [sys.executable, "-c"]), ("javascript", [str(NODE), "--input-type=module", "-e"])],
)
async def test_the_examples_run_as_they_stand(running: Api, name: str, command: list[str]) -> None:
    if not Path(command[0]).exists():
        pytest.skip(f"{command[0]} is not there")
    text = running.http.get("/docs").text
    section = text.partition(f'id="{name}"')[2]
    (code,) = re.findall(r'<pre tabindex="0"><code[^>]*>(.*?)</code></pre>', section.partition("<h3")[0], re.DOTALL)
    run = subprocess.run([*command, html.unescape(code)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("Hello! Give me a temperature, such as 20 C.\n", "")


async def test_the_stream_is_as_it_is_told(running: Api) -> None:
    async with running.client() as client:
        async with streaming(client, "POST", "/stream/", json={"content": "hello"}) as stream:
            frames = await stream.rest()
        assert frames[-1].data == "[DONE]"
        assert json.loads(frames[-2].data)["finish_reason"] == "stop"
        number = len("Hello! ")
        async with streaming(client, "GET", f"/stream/{stream.turn_id}?after={number}") as again:
            assert json.loads((await again.next()).data)["delta"].startswith("Give")
