"""What an answer may take: asked for before a turn begins, and told while it grows."""

from typing import Protocol


class Allowance(Protocol):
    """Of one turn. Both raise a ChatError where no more is allowed; the answer then ends with it."""

    def begin(self, turn_id: str) -> None: ...

    def wrote(self, chars: int, model: str | None) -> None:
        """The answer has grown by so many characters; `model` wrote them, as far as that is known."""
        ...
