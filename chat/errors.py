"""Why a command cannot be done; the socket and the pages turn these into a frame or a status."""

from __future__ import annotations


class NotYours(LookupError):
    """Raised when an id does not exist, or belongs to somebody else: the two look the same."""


class Refused(Exception):
    """Raised when a command makes no sense now; `code` is for the page, `text` for the person, in their language."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
