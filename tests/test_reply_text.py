"""The string that the page gets of a reply, written by Python and read by the page's own JavaScript."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chat_app.config import ROOT
from chat_app.models import JournalRow
from chat_app.parts import REASONING, RECAST, TEXT, Part, folded
from chat_app.turns.log import Delta, Ended, Event, Status, Whole
from chat_app.turns.turn import numbered
from chat_app.ui.reply_text import ReplyText, layout

READ = """
import { laidOut, partsOf, writtenText } from "./reply_text.js";
let input = "";
for await (const chunk of process.stdin) input += chunk;
const read = ({ windows, layout, text, thoughts }) => {
  let raw = "";
  let parts = [];
  for (const window of windows) parts = partsOf((raw += window), parts, 10_000);
  return { parts, written: writtenText(raw), cut: partsOf(raw.slice(0, -1)), stored: laidOut(layout, text, thoughts) };
};
console.log(JSON.stringify(JSON.parse(input).map(read)));
"""
WORDS = ["Hello ", "wörld", " 👋", "\n\n", "```", '{"type":"reasoning"}', "|", "\u2028"]
END = Ended(10**6, Status.complete, "stop")
Read = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    shutil.copy(ROOT / "chat_app" / "ui" / "reply_text.js", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "read.js").write_text(READ)

    def run(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        node = Path(sys.executable).with_name("node")
        command = [str(node), str(tmp_path / "read.js")]
        done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        results: list[dict[str, Any]] = json.loads(done.stdout)
        return results

    return run


def a_reply(dice: random.Random) -> tuple[list[Event], list[Part]]:
    """The events of some reply, and what the journal makes of them."""
    events: list[Event] = []
    rows: list[JournalRow] = []
    seq = 0
    for _ in range(dice.randrange(1, 12)):
        kind = dice.choice([TEXT, REASONING, REASONING, "step", RECAST])
        text = "".join(dice.choices(WORDS, k=dice.randrange(1, 4)))
        seq += 1 if kind == "step" else len(text)
        if kind == "step":
            data = {"title": text}
            events.append(Whole(seq, kind, data))
            rows.append(JournalRow(turn_id="", seq=seq, part=0, kind=kind, text=json.dumps(data)))
            continue
        grown = TEXT if kind == RECAST else kind
        ms = None if grown == TEXT else dice.randrange(5000)
        events.append(Delta(seq, text, grown, ms=ms) if kind != RECAST else Delta(seq, text, TEXT, recast=0, ms=7))
        rows.append(JournalRow(turn_id="", seq=seq, part=0, kind=grown, text=text))
        if kind == RECAST:
            rows.append(JournalRow(turn_id="", seq=seq, part=0, kind=RECAST, text="0"))
    return events, folded(rows)


def cut(dice: random.Random, events: list[Event]) -> Iterator[list[Event]]:
    """Into batches, as a reader gets them."""
    places = sorted({0, len(events), *(dice.randrange(len(events)) for _ in range(3))})
    return (events[begin:end] for begin, end in pairwise(places))


def windows(batches: Iterator[list[Event]]) -> list[str]:
    reply = ReplyText()
    return [reply.added(batch) for batch in batches]


def text_of(parts: list[Part], kind: str) -> str:
    return "".join(part.text for part in parts if part.kind == kind)


def case(events: Iterator[list[Event]], parts: list[Part]) -> dict[str, Any]:
    given = {"layout": layout(parts), "text": text_of(parts, TEXT), "thoughts": text_of(parts, REASONING)}
    return given | {"windows": windows(events)}


def bare(parts: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(part["type"], part["text"] if "text" in part else part[part["type"]]) for part in parts]


def test_the_page_reads_the_parts_that_the_journal_has_however_they_come(
    read: Read, figure: Callable[[object], None]
) -> None:
    seed = random.randrange(2**32)
    figure(f"replies for the page: seed {seed}")
    dice = random.Random(seed)
    replies = [a_reply(dice) for _ in range(500)]
    live = [case(cut(dice, [*events, END]), parts) for events, parts in replies]
    late = [case(iter([[*numbered(parts), END]]), parts) for _, parts in replies]
    for (_, parts), one, other in zip(replies, read(live), read(late), strict=True):
        expected = [(part.kind, part.data if part.data is not None else part.text) for part in parts]
        assert bare(one["parts"]) == bare(other["parts"]) == bare(one["stored"]) == expected
        # What is shown where the parts cannot be read.
        assert other["written"] == text_of(parts, TEXT)


def test_a_reply_of_text_alone_is_its_text(read: Read) -> None:
    events: list[Event] = [Delta(3, "Hel"), Delta(5, "lo")]
    assert windows(iter([events, [END]])) == ["Hello", ""]
    assert layout([Part(TEXT, "Hello")]) == layout([]) == ""


def test_who_comes_late_knows_since_when_it_thinks_and_how_long_it_did(read: Read) -> None:
    thinking: list[Event] = [Delta(2, "hm", REASONING, ms=0), Delta(4, "so", REASONING, ms=4_000)]
    answering: list[Event] = [*thinking, Delta(6, "Hi")]
    early = windows(iter([thinking[:1], thinking[1:], [Delta(6, "Hi")]]))
    first, second, third = read(
        [
            {"windows": some, "layout": "", "text": ""}
            for some in (windows(iter([thinking])), windows(iter([answering])), early)
        ]
    )
    # The page's clock says 10,000.
    assert first["parts"] == [{"type": REASONING, "text": "hmso", "since": 6_000}]
    assert second["parts"][0]["ms"] == pytest.approx(4_000, abs=50)
    assert third["parts"][0]["ms"] == pytest.approx(4_000, abs=50)
    assert "since" not in second["parts"][0]


def test_a_recast_reply_thinks_on_until_its_text_begins_and_keeps_its_head(read: Read) -> None:
    reply = ReplyText("Hé 👋")
    batches: list[list[Event]] = [
        [Delta(4, "Hé 👋"), Delta(6, "hm")],
        [Delta(8, "so", recast=4, ms=900)],
        [Delta(10, "Hi")],
    ]
    (done,) = read([{"windows": [reply.added(batch) for batch in batches], "layout": "", "text": ""}])
    assert bare(done["parts"]) == [(TEXT, "Hé 👋"), (REASONING, "hmso"), (TEXT, "Hi")]
    assert done["parts"][1]["ms"] == pytest.approx(900, abs=50)


def test_thoughts_that_are_not_at_hand_have_no_text(read: Read) -> None:
    parts = [Part(REASONING, "hm", ms=1200), Part(TEXT, "Hi"), Part(REASONING, "so")]
    (done,) = read([{"windows": [], "layout": layout(parts), "text": "Hi"}])
    assert done["stored"] == [{"type": REASONING, "ms": 1200}, {"type": TEXT, "text": "Hi"}, {"type": REASONING}]
