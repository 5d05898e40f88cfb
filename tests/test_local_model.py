"""The embedded model, for real: the bundled weights, real child processes, real signals."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from openai import AsyncOpenAI, BadRequestError

from chat_app.config import ROOT
from chat_app.errors import ModelMissing
from chat_app.replies import local_model
from chat_app.replies.local_model import LocalModel
from chat_app.replies.local_server import alias

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

APP = """
import asyncio
from chat_app.replies.local_model import LocalModel

async def main():
    model = LocalModel(None)
    await model.start()
    print(await model.base_url(), model.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def running(path: Path | None) -> AsyncIterator[LocalModel]:
    model = LocalModel(path)
    await model.start()
    try:
        yield model
    finally:
        await model.close()


@contextmanager
def app() -> Iterator[subprocess.Popen[str]]:
    """A process that uses the model, as a worker of the app does."""
    process = subprocess.Popen([sys.executable, "-c", APP], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def child_of(model: LocalModel) -> int:
    assert model.pid
    return model.pid


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that nobody has reaped yet has ended all the same.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def cpu_seconds(pid: int) -> str:
    return subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True).stdout


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result if isinstance(result, bool) else await result:
            return
        await asyncio.sleep(0.05)
    pytest.fail("waited in vain")


async def answer(url: str, question: str = "Why is the sky blue?") -> str:
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="local", messages=[{"role": "user", "content": question}], stream=True, max_tokens=24
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def test_it_streams_an_answer_with_usage_and_names_its_model() -> None:
    async with running(None) as model, AsyncOpenAI(base_url=await model.base_url(), api_key="none") as client:
        stream = await client.chat.completions.create(
            model="local",
            messages=[{"role": "user", "content": "Why is the sky blue?"}],
            stream=True,
            stream_options={"include_usage": True},
            max_tokens=24,
        )
        chunks = [chunk async for chunk in stream]
        deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
        assert len([delta for delta in deltas if delta]) > 10
        assert "<|im" not in "".join(delta or "" for delta in deltas)
        usage = chunks[-1].usage
        assert usage and usage.prompt_tokens < 60 and 10 < usage.completion_tokens <= 24
        assert [entry.id async for entry in await client.models.list()] == ["SmolLM2-135M-Instruct"]
        assert model.name == "SmolLM2 135M"


async def test_a_prompt_over_the_context_is_refused_at_once() -> None:
    async with running(None) as model:
        with pytest.raises(BadRequestError) as refusal:
            await answer(await model.base_url(), "word " * (model.context_tokens + 1))
    assert refusal.value.type == "exceed_context_size_error"


async def test_an_answer_that_is_closed_is_not_written_on() -> None:
    async with running(None) as model, AsyncOpenAI(base_url=await model.base_url(), api_key="none") as client:
        stream = await client.chat.completions.create(
            model="local",
            messages=[{"role": "user", "content": "Tell me a story."}],
            stream=True,
            max_tokens=4000,
            extra_body={"ignore_eos": True},
        )
        await anext(stream)
        await stream.close()
        pid = child_of(model)

        async def idle() -> bool:
            before = cpu_seconds(pid)
            await asyncio.sleep(2)
            return cpu_seconds(pid) == before

        await until(idle)  # all 4000 tokens would take longer than this waits


async def test_a_killed_child_is_replaced_and_answers_again() -> None:
    async with running(None) as model:
        await model.base_url()
        first = child_of(model)
        os.kill(first, signal.SIGKILL)
        await until(lambda: not alive(first))
        assert await answer(await model.base_url())
        assert child_of(model) != first


async def test_close_ends_the_child() -> None:
    async with running(None) as model:
        await model.base_url()
        pid = child_of(model)
    assert not alive(pid)


async def test_close_while_the_model_loads() -> None:
    async with running(None) as model:
        await until(lambda: bool(model.pid))
        pid = child_of(model)
    assert not alive(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
async def test_the_child_does_not_outlive_the_app(number: signal.Signals) -> None:
    with app() as process:
        url, child = first_line(process).split()
        assert url.startswith("http://127.0.0.1:")
        pid = int(child)
        assert alive(pid)
        process.send_signal(number)
        await until(lambda: not alive(pid), seconds=5)


async def test_missing_bundled_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "_bundled_weights", lambda: None)
    async with running(None) as model:
        with pytest.raises(ModelMissing) as error:
            await model.base_url()
    assert str(error.value) == (
        "The embedded model's weights are not installed. "
        "Run `make model`, or set OPENAI_API_KEY or OPENAI_BASE_URL to use another model."
    )


async def test_a_missing_file_is_named_and_served_once_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "absent.gguf"
    async with running(path) as model:
        assert model.name == "absent"
        with pytest.raises(ModelMissing, match=f"no model at LOCAL_MODEL_PATH={path}"):
            await model.base_url()
        weights = local_model._bundled_weights()
        assert weights
        path.symlink_to(weights)

        async def served() -> bool:
            try:
                return bool(await answer(await model.base_url()))
            except ModelMissing:
                return False

        await until(served)


async def test_a_corrupt_file_is_named_without_a_hang(tmp_path: Path) -> None:
    path = tmp_path / "corrupt.gguf"
    path.write_bytes(b"GGUF but not really" * 100)
    async with running(path) as model, asyncio.timeout(20):
        # Not only to the first who asks.
        for _ in range(2):
            with pytest.raises(ModelMissing, match=f"LOCAL_MODEL_PATH={path} does not load"):
                await model.base_url()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"),
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Llama-3.2-1B-Instruct"),
        ("phi-3-mini.IQ2_XS.gguf", "phi-3-mini"),
        ("tiny.gguf", "tiny"),
    ],
)
def test_the_alias_leaves_out_the_quantisation(file: str, name: str) -> None:
    assert alias(Path("/models") / file) == name
