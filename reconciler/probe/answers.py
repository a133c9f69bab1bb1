"""The head of an HTTP answer, and what nginx writes where it does not like a client's certificate."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.proof.observations import NginxPage

MAX_HEAD = 65_536
MAX_BODY = 16_384

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: |\r?\n|$)")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CONTINUES = range(100, 200)
_PAGES = (
    (b"no required ssl certificate was sent", NginxPage.NO_CERTIFICATE),
    (b"the ssl certificate error", NginxPage.CERTIFICATE_ERROR),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as far as it was read. `body` is what came of it."""

    status: int
    cf_ray: bool
    body: bytes = b""

    @property
    def page(self) -> NginxPage | None:
        """What nginx says of the certificate. It can be told to say it otherwise, and with another status."""
        said = self.body.lower()
        return next((page for words, page in _PAGES if self.status in range(400, 500) and words in said), None)


def read_answer(data: bytes) -> Answer | None:
    """The answer that begins `data`, None while its head is not whole; ValueError where it is no HTTP.

    Answers that only announce the real one (100 to 199) are passed over.
    """
    while True:
        status = _STATUS_LINE.match(data)
        if status is None:
            if len(data) > len(b"HTTP/1.1 200") or not b"HTTP/1.".startswith(data[:7]):
                raise ValueError("no status line")
            return None
        end = _END_OF_HEAD.search(data)
        if end is None:
            return None
        head, data = data[: end.start()], data[end.end() :]
        number = int(status[1])
        if number not in _CONTINUES:
            return Answer(number, re.search(rb"(?i)\ncf-ray:", head) is not None, data)
