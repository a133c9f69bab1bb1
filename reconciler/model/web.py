"""What can go wrong with a call to a server other than Cloudflare's."""

from __future__ import annotations

from enum import StrEnum

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError


class Refusal(StrEnum):
    """Why a server did not do what it was asked.

    `denied`: the token may not, as on the pull request of a fork. `missing`: what was named does not exist (any more).
    `invalid`: such as a text that is too long. `unknown`: no answer that is one, or an error of the server: a write may
    have been made. `unreached`: no connection, so nothing was sent. `other`: anything else, such as a rate limit;
    nothing was written.
    """

    DENIED = "denied"
    MISSING = "missing"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    UNREACHED = "unreached"
    OTHER = "other"


class WebError(ReconcilerError):
    """A server could not be read or written. What is shown has nothing of the token or of the answer.

    `status`: of the answer, 0 if there was none. `body`: the answer of a refused call, for the edge that knows its
    form.
    """

    def __init__(
        self,
        message: str,
        *,
        code: Code,
        refusal: Refusal = Refusal.OTHER,
        hint: str | None = None,
        status: int = 0,
        body: bytes = b"",
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.refusal, self.status, self.body = refusal, status, body
