"""The embedded model's own process: `python -m chat_app.replies.local_server <gguf path> <n_ctx> <threads>`.

Serves one GGUF model over an OpenAI-compatible API on a free loopback port, prints one line `{"base_url": …}` to
stdout when it is ready, and lives until its stdin ends. Who starts it, and when again, is local_model's business.
"""

import json
import os
import re
import select
import sys
import threading
from pathlib import Path
from typing import Any

SLOTS = 4
"""Answers written at the same time, each with the whole context; one more waits for its turn."""


def alias(path: Path) -> str:
    """The file's name without its quantisation: `SmolLM2-135M-Instruct.Q4_1.gguf` is `SmolLM2-135M-Instruct`."""
    return re.sub(r"[.-](I?Q\d\w*|B?F16|F32)$", "", path.stem, flags=re.IGNORECASE)


def parameters(path: Path, n_ctx: int, threads: int) -> Any:
    """xllamacpp's `CommonParams`; `n_ctx` is in tokens, for each answer."""
    import xllamacpp as xlc  # slow to load: the watch on the parent comes first

    params = xlc.CommonParams()
    params.model.path = str(path)
    params.model_alias = {alias(path)}
    params.n_parallel = SLOTS
    # A separate cache for each slot: with a shared one, long chats together can overflow it and all of them fail.
    params.n_ctx = n_ctx * SLOTS
    # The default of 8 GiB for caching the prompts of chats that are not in a slot is more than a laptop has to spare.
    params.cache_ram_mib = 128
    # Others' answers, and a stop, wait for a batch to end: 1 s at 128 tokens, 14 s at the default of 2048.
    params.n_batch = params.n_ubatch = 128
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = threads
        cpu.poll = 0
    _answers(params)
    _closed_to_others(params)
    return params


def _answers(params: Any) -> None:
    """What a request gets that does not say otherwise; a `max_tokens` above `n_predict` is honoured."""
    params.n_predict = 1024
    # The model card of SmolLM2 recommends these two.
    params.sampling.temp = 0.2
    params.sampling.top_p = 0.9
    # At 1.0 and 1.05 some of its answers repeat themselves without end.
    params.sampling.penalty_repeat = 1.1


def _closed_to_others(params: Any) -> None:
    """By default any web page could read the answers (CORS `*`), and /slots shows everybody's prompts."""
    params.cors_origins = ""
    params.cors_origins_explicit = True
    params.cors_credentials = False
    params.endpoint_slots = False
    params.ui = False
    params.verbosity = 1


def exit_with_parent(parent: int) -> None:
    """End this process when stdin ends or the parent is another one.

    The second is for a parent that was forked: its copy keeps our stdin open after the parent's death.
    """
    while os.getppid() == parent:
        if select.select([0], [], [], 1.0)[0] and not os.read(0, 4096):
            break
    os._exit(0)


def main(path: Path, n_ctx: int, threads: int) -> None:
    watch = threading.Thread(target=exit_with_parent, args=(os.getppid(),), daemon=True)
    watch.start()
    # Only our one line may reach stdout, whatever the native code prints.
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import xllamacpp as xlc

    try:
        server = xlc.Server(parameters(path, n_ctx, threads))
    except RuntimeError as error:
        sys.exit(f"{path} could not be loaded: {error}")
    print(json.dumps({"base_url": f"{server.listening_address}/v1"}), file=stdout, flush=True)
    watch.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
