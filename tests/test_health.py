"""`/healthz` and `/readyz`, and what is not there: a status that monitors, crawlers and browsers understand."""

import asyncio
from pathlib import Path

import pytest

from tests.app import App, free_port
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import streaming

pytestmark = pytest.mark.anyio

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def state(app: App) -> tuple[int, dict[str, str]]:
    response = app.http.get("/readyz")
    return response.status_code, response.json()


def test_a_server_that_is_well(app: App) -> None:
    assert app.http.get("/healthz").json() == {"status": "ok"}
    assert state(app) == (200, {"status": "ok", "database": "ok", "model": "ok", "server": "ok"})
    assert app.http.head("/healthz").status_code == app.http.head("/readyz").status_code == 200


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with Api(tmp_path, openai_base_url=f"http://127.0.0.1:{free_port()}/v1", openai_model="m") as api:
        code, body = state(api)
        assert (code, body["status"], body["database"], body["server"]) == (503, "unavailable", "ok", "ok")
        assert "Check OPENAI_BASE_URL" in body["model"]
        assert api.http.get("/healthz").status_code == 200


async def test_a_server_that_is_about_to_end(tmp_path: Path, provider: Provider) -> None:
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "shutdown_grace": "30"}
    with Api(tmp_path, **settings) as api:
        async with (
            api.client() as client,
            streaming(client, "POST", "/stream/", json={"content": script(tokens=4, hold=[2])}) as stream,
        ):
            await stream.until(lambda frame: "tok1" in frame.data)
            stopping = asyncio.create_task(asyncio.to_thread(api.stop))
            while "server stopping" not in api.logged():
                await asyncio.sleep(0.01)
            response = await client.get("/readyz")
            assert (response.status_code, response.json()["database"]) == (503, "ok")
            assert "restart" in response.json()["server"]
            assert (await client.get("/healthz")).status_code == 200
            provider.go()
            await stream.rest()
        assert await stopping == 0


@pytest.mark.parametrize("path", ["/nonsense", "/nonsense/deeper", "/c", "/c/", "/c/a/b", "/404", "/%F0%9F%98%80"])
def test_an_address_without_a_page_is_404_and_a_page_for_people(path: str, app: App) -> None:
    response = app.http.get(path, headers=PAGE)
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    response = app.http.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/.env", "/.git/config", "/_upload", "/_upload/x", "/assets/gone-1a2b.js", "/missing.css", "/favicon.ico",
        "/robots.txt", "/wp-login.php", "/index.html", "/404.html", "/__spa-fallback.html", "/..%2f..%2f.env",
        "/c/../.env", f"/{'x' * 300}.js",
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_is_404_and_no_page(path: str, app: App) -> None:
    response = app.http.request("GET", path, headers=PAGE)
    assert response.status_code == 404
    assert "<html" not in response.text


@pytest.mark.parametrize("path", ["/_upload", "/nonsense", "/.env"])
def test_nothing_can_be_sent_there_either(path: str, app: App) -> None:
    assert app.http.post(path, content=b"x").status_code == 404


def test_what_is_there_is_found(app: App) -> None:
    page = app.http.get("/", headers=PAGE)
    script_of_page = (
        page.text.partition('src="/assets/')[2].partition('"')[0]
        or page.text.partition('"/assets/')[2].partition('"')[0]
    )
    paths = ["/", "/?q=1", "/c/0199", "/c/0199/", "/embed", "/embed/", "/docs", "/chat.css", "/favicon.svg", "/ping"]
    for path in [*paths, f"/assets/{script_of_page}", "/use-stream.js"]:
        assert app.http.get(path, headers=PAGE, follow_redirects=True).status_code == 200, path
    assert app.http.head("/").status_code == 200
