"""What a model thinks aloud in the text of its answer, `<think>…</think>`, told apart as it comes. Pure: no I/O.

Only at the start of an answer: in code, or after other text, a tag is text. Many chat templates write the opening tag
into the prompt, so that the answer holds only the closing one. By then, what came before it has been shown as text: a
piece with `recast` says that it was reasoning.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from chat_app.reply import Piece

PAIRS = {
    "<think>": "</think>",  # DeepSeek, Qwen, GLM, MiniMax, Nemotron, Phi
    "<thinking>": "</thinking>",  # Nova, Claude when it is told to
    "<thought>": "</thought>",  # Gemini's OpenAI door, EXAONE
    "<thoughts>": "</thoughts>",
    "<reason>": "</reason>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",  # Seed-OSS
    "[think]": "[/think]",  # Magistral
    "◁think▷": "◁/think▷",  # Kimi
    "<|begin_of_thought|>": "<|end_of_thought|>",  # OpenThinker
    "<|start_thinking|>": "<|end_thinking|>",  # Command A
    "<|channel>thought": "<channel|>",  # Gemma
    "<|channel|>analysis<|message|>": "<|end|>",  # gpt-oss
    "<|start|>assistant<|channel|>analysis<|message|>": "<|end|>",
}
"""Opening tags, in lower case, and what closes each."""
# Before the answer itself, where a server leaves them in.
MARKS = (
    "<|start|>assistant<|channel|>final<|message|>",
    "<|channel|>final<|message|>",
    "<|start_response|>",
    "<|begin_of_solution|>",
)
# Those that mean nothing else: only with one of them may the opening tag have been in the prompt.
CLOSINGS = tuple(closing for closing in PAIRS.values() if "think" in closing or "thought" in closing)
SKIPPED = (*dict.fromkeys(PAIRS.values()), *MARKS)
STARTS = (*PAIRS, *SKIPPED)
LONGEST = max(map(len, STARTS))
FIRST = re.compile(r"[<\[◁]")
# Looked at only where one may begin: that there are many costs nothing elsewhere.
TAG = re.compile(
    f"(?={FIRST.pattern})(?:{'|'.join(map(re.escape, sorted({*PAIRS, *CLOSINGS}, key=len, reverse=True)))})",
    re.IGNORECASE,
)
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
# White space that begins an answer is held back no further.
MAX_SPACE = 1_000
# How far into an answer a lone closing tag is looked for, and how many are looked at: thoughts are long, not endless.
MAX_THOUGHTS = 500_000
MAX_TAGS = 50
BREAK = "\n\n"
"""Stands for a lone closing tag: a reader who has the thoughts as text sees where they end."""


class Thoughts:
    """Of one answer: its pieces in, pieces with reasoning and text apart out. What may be the start of a tag waits."""

    def __init__(self) -> None:
        self._read = self._begin
        self._held = ""
        self._closing = ""
        self._thought = False
        self._space: list[str] = []
        # What was shown as text while it may still turn out to be reasoning.
        self._seen: io.StringIO | None = io.StringIO()
        self._tags = 0
        self._out: list[Piece] = []

    def split(self, piece: Piece) -> Sequence[Piece]:
        if piece.reasoning:
            # The server tells thoughts apart itself.
            self._seen = None
        if not piece.text or (not self._held and self._is_plain(piece.text)):
            return (piece,)
        if piece.reasoning:
            self._out.append(Piece(reasoning=piece.reasoning))
        self._held += piece.text
        last = self._taken() or [Piece()]
        # What else it says, such as how the answer ended, comes with its last part.
        return [*last[:-1], replace(piece, text=last[-1].text, reasoning=last[-1].reasoning, recast=last[-1].recast)]

    def rest(self) -> Sequence[Piece]:
        """What is still held back, once the answer has ended."""
        held, self._held = self._held, ""
        if held and self._read == self._think:
            self._think_aloud(held)
        elif held and not (self._thought and held.isspace()):
            self._out.append(Piece(held))
        return self._given()

    def _taken(self) -> list[Piece]:
        while self._held and self._read():
            pass
        return self._given()

    def _given(self) -> list[Piece]:
        given, self._out = self._out, []
        return given

    def _is_plain(self, text: str) -> bool:
        """Whether a piece is text and no tag can be in it; nearly all are."""
        if self._read != self._speak:
            return False
        if self._seen is None:
            return True
        if FIRST.search(text) and (TAG.search(text) or _tail(text, STARTS)):
            return False
        self._see(text)
        return True

    # Each reads what is held and returns whether there is more to do with it.

    def _begin(self) -> bool:
        bare = self._held.lstrip("\ufeff \t\r\n")
        if self._thought:
            self._held = bare
        if opening := _starting(bare, PAIRS):
            self._closing, self._held, self._read = PAIRS[opening], bare[len(opening) :], self._open
        elif skipped := _starting(bare, SKIPPED):
            self._thought, self._held = True, bare[len(skipped) :]
        elif len(self._held) > MAX_SPACE or (bare and not _is_beginning(bare, STARTS)):
            self._read = self._speak
        else:
            return False
        return True

    def _open(self) -> bool:
        self._held = self._held.lstrip()
        self._read = self._think if self._held else self._open
        return bool(self._held)

    def _think(self) -> bool:
        found = re.search(re.escape(self._closing), self._held, re.IGNORECASE)
        if not found:
            end = len(self._held) - _tail(self._held, (self._closing,))
            self._think_aloud(self._held[:end])
            self._held = self._held[end:]
            return False
        self._think_aloud(self._held[: found.start()])
        self._space = [BREAK]
        self._held = self._held[found.end() :]
        self._thought, self._seen, self._read = True, None, self._begin
        return True

    def _speak(self) -> bool:
        found = TAG.search(self._held) if self._seen is not None else None
        if found:
            return self._judge(found[0], found.start())
        kept = _tail(self._held, STARTS) if self._seen is not None else 0
        self._say(len(self._held) - kept)
        return False

    def _judge(self, tag: str, at: int) -> bool:
        """Of a tag after other text: say what is before it, and take it for the end of thoughts or for text."""
        self._say(at)
        before = self._seen.getvalue() if self._seen else None
        self._tags += 1
        if before is None or _is_code(before):
            self._say(len(tag))
        elif tag.lower() in CLOSINGS and _ends_thoughts(before):
            self._out.append(Piece(BREAK, recast=True))
            self._held = self._held[len(tag) :]
            self._thought, self._seen, self._read = True, None, self._begin
        else:
            # An opening one: what closes it is text as well.
            self._seen = None if tag.lower() in PAIRS else self._seen
            self._say(len(tag))
        if self._tags == MAX_TAGS:
            self._seen = None
        return True

    def _say(self, length: int) -> None:
        text, self._held = self._held[:length], self._held[length:]
        if text:
            self._see(text)
            self._out.append(Piece(text))

    def _see(self, text: str) -> None:
        if self._seen is not None:
            self._seen.write(text)
            if self._seen.tell() > MAX_THOUGHTS:
                self._seen = None

    def _think_aloud(self, text: str) -> None:
        """The white space at the end of thoughts is none of them."""
        kept = text.rstrip()
        if kept:
            self._out.append(Piece(reasoning="".join([*self._space, kept])))
            self._space = []
        self._space.append(text[len(kept) :])


def spoken(text: str) -> str:
    """A whole answer without what it thinks aloud."""
    thoughts = Thoughts()
    said = ""
    for piece in (*thoughts.split(Piece(text)), *thoughts.rest()):
        said = "" if piece.recast else said + piece.text
    return said


def _starting(text: str, tags: Sequence[str] | dict[str, str]) -> str | None:
    return next((tag for tag in tags if text[: len(tag)].lower() == tag), None)


@cache
def _beginnings(tags: tuple[str, ...]) -> frozenset[str]:
    return frozenset(tag[:length] for tag in tags for length in range(1, len(tag) + 1))


def _is_beginning(text: str, tags: tuple[str, ...]) -> bool:
    """Whether more text could make one of the tags of it."""
    return text.lower() in _beginnings(tags)


def _tail(text: str, tags: tuple[str, ...]) -> int:
    """How many characters at the end may be the beginning of a tag."""
    start = max(len(text) - LONGEST + 1, 0)
    for found in FIRST.finditer(text, start):
        if _is_beginning(text[found.start() :], tags):
            return len(text) - found.start()
    return 0


def _ends_thoughts(before: str) -> bool:
    """Whether a closing tag there ends something: it begins a line, or stands right after a word or a sentence."""
    line = before[before.rfind("\n") + 1 :]
    words = line.rstrip()
    if words == line:
        return not words or words[-1] not in "\"'`“‘«(<[{/="
    return not words or words[-1] in ".!?…。！？:"


def _is_code(before: str) -> bool:
    """Whether what comes after that text is in a block or a span of code."""
    fence = ""
    *lines, last = before.split("\n")
    for line in lines:
        mark = FENCE.match(line)
        if mark and not fence:
            fence = mark[1] if mark[1][0] == "~" or "`" not in mark[2] else ""
        elif mark and mark[1].startswith(fence) and not mark[2].strip():
            fence = ""
    return bool(fence) or last.startswith(("    ", "\t")) or _is_span(last)


def _is_span(line: str) -> bool:
    opened = 0
    for run in re.findall("`+", line):
        opened = 0 if opened == len(run) else opened or len(run)
    return bool(opened)
