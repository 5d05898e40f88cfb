"""Why somebody comes back from a provider without being signed in, and the sentence for it. Pure."""

from enum import StrEnum


class Trouble(StrEnum):
    """As the address of the page to sign in has it."""

    stale = "stale"
    refused = "refused"
    failed = "failed"
    unreachable = "unreachable"
    not_allowed = "not_allowed"
    too_often = "too_often"


SENTENCES = {
    Trouble.stale: "This took too long, or began in another browser. Sign in again.",
    Trouble.refused: "{host} did not sign you in, or you went back. Try again, or ask who runs this chat.",
    Trouble.failed: "{host} gave an answer that cannot be trusted, so you are not signed in. Try again; if that does "
    "not help, ask who runs this chat.",
    Trouble.unreachable: "{host} does not answer. Try again in a while.",
    Trouble.not_allowed: "You have an account at {host}, but this chat is not open to it. Ask who runs this chat.",
    Trouble.too_often: "That was tried too often. Wait a while, then try again.",
}


class SignInFailed(Exception):
    """`why` is for the log."""

    def __init__(self, trouble: Trouble, why: str) -> None:
        super().__init__(why)
        self.trouble = trouble


def sentence(trouble: str | None, host: str) -> str:
    """Of what an address names; nothing for what is no trouble."""
    known = SENTENCES.get(Trouble(trouble)) if trouble in set(Trouble) else None
    return known.format(host=host) if known else ""
