"""One observed connection: handshake, a pause for the origin to object, a request, the head of the answer.

Only the head of an answer is read, and nginx's error page about a client certificate.
"""

from __future__ import annotations

import contextlib
import re
import select
import ssl
import time
from dataclasses import replace

from reconciler.findings.values import dataclass
from reconciler.probe.address import Endpoint, NotReached, OriginAddress, connect, reason_of
from reconciler.probe.watch import Watch
from reconciler.proof.observations import End, Moment, NginxPage, Observation, Shown

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
class OriginAnswer:
    """The part of an answer that was read. `body` is the part of the body that arrived."""

    status: int
    cf_ray: bool
    body: bytes = b""

    @property
    def page(self) -> NginxPage | None:
        """nginx's error page about the certificate. It can be configured to have another text and status."""
        said = self.body.lower()
        return next((page for words, page in _PAGES if self.status in range(400, 500) and words in said), None)


def read_answer(data: bytes) -> OriginAnswer | None:
    """The answer at the start of `data`, None while its head is incomplete; ValueError if it is not HTTP.

    Interim answers (100 to 199) are skipped.
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
            return OriginAnswer(number, re.search(rb"(?i)\ncf-ray:", head) is not None, data)


_ALERT_IN_REASON = re.compile(r"ALERT_([A-Z_]+)$")
_JUDGES_AFTERWARDS = "TLSv1.3"
_MIN_PAUSE_S = 0.1
_PAUSE_ROUNDS = 3
_PAGE_STATUS = range(400, 500)
_PIECE = 16_384


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds: to resolve a name and to connect, for the handshake, and for the answer."""

    connect_s: float = 5
    handshake_s: float = 5
    answer_s: float = 8
    body_s: float = 1


@dataclass(slots=True)
class Exchange:
    """One connection and its observation."""

    shown: Shown
    address: OriginAddress
    context: ssl.SSLContext
    watch: Watch
    timeouts: Timeouts

    def run(self, endpoint: Endpoint, request: bytes) -> Observation:
        """The observation of a connection; every outcome is one."""
        try:
            connection, took_s = connect(endpoint, self.timeouts.connect_s)
        except NotReached as error:
            return self._seen(End.UNREACHABLE, str(error), Moment.BEFORE)
        connection.settimeout(self.timeouts.handshake_s)
        with contextlib.closing(
            self.context.wrap_socket(connection, server_hostname=self.address.host, do_handshake_on_connect=False)
        ) as tls:
            try:
                tls.do_handshake()
            except OSError as error:
                return self._broken(error, Moment.DURING)
            self.watch.handshake_done = True
            version = tls.version()
            pause_s = max(_MIN_PAUSE_S, _PAUSE_ROUNDS * took_s) if version == _JUDGES_AFTERWARDS else 0
            return replace(self._ask(tls, request, pause_s), tls_version=version)

    def _ask(self, tls: ssl.SSLSocket, request: bytes, pause_s: float) -> Observation:
        try:
            data = self._listen(tls, pause_s)
            self._send(tls, request)
            answer = self._read(tls, data)
        except OSError as error:
            return self._broken(error, Moment.AFTER)
        except ValueError as error:
            return self._seen(End.NO_HTTP, str(error), Moment.AFTER)
        return self._seen(End.ANSWERED, "", Moment.AFTER, answer)

    def _listen(self, tls: ssl.SSLSocket, pause_s: float) -> bytes:
        """Wait for an objection of the origin: a request sent to a connection that the origin has closed loses its
        alert.

        A session ticket means that the origin accepts the certificate.
        """
        end = time.monotonic() + pause_s
        tls.setblocking(False)
        while not self.watch.ticket and (left := end - time.monotonic()) > 0:
            if not tls.pending() and not select.select([tls], [], [], left)[0]:
                break
            try:
                if data := tls.recv(_PIECE):
                    return data
            except ssl.SSLWantReadError:
                continue
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "closed right after the handshake")
        return b""

    def _send(self, tls: ssl.SSLSocket, request: bytes) -> None:
        tls.settimeout(self.timeouts.answer_s)
        try:
            tls.sendall(request)
        except OSError:
            tls.recv(_PIECE)  # what the origin sent before it closed may still be readable
            raise

    def _read(self, tls: ssl.SSLSocket, data: bytes) -> OriginAnswer:
        end = time.monotonic() + self.timeouts.answer_s
        while (answer := read_answer(data)) is None:
            if len(data) > MAX_HEAD:
                raise ValueError("the headers do not end")
            piece = self._receive(tls, end)
            if not piece:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "closed before an answer came")
            data += piece
        if answer.status in _PAGE_STATUS:
            return OriginAnswer(answer.status, answer.cf_ray, self._read_body(tls, answer.body))
        return answer

    def _read_body(self, tls: ssl.SSLSocket, body: bytes) -> bytes:
        """The part of the body that arrives in a short time; it is only searched for nginx's texts."""
        end = time.monotonic() + self.timeouts.body_s
        with contextlib.suppress(OSError):
            while len(body) < MAX_BODY and (piece := self._receive(tls, end)):
                body += piece
        return body[:MAX_BODY]

    def _receive(self, tls: ssl.SSLSocket, end: float) -> bytes:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        tls.settimeout(left)
        return tls.recv(_PIECE)

    def _broken(self, error: OSError, moment: Moment) -> Observation:
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._seen(End.UNTRUSTED, error.verify_message, moment)
        alert = self.watch.alert or (None if self.watch.observable else _alert_of(error))
        if alert is not None:
            return self._seen(End.ALERT, alert, moment, alert=alert)
        if isinstance(error, TimeoutError):
            return self._seen(End.SILENT, "timed out", moment)
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError):
            return self._seen(End.CLOSED, "closed by the origin", moment)
        if isinstance(error, ssl.SSLError):
            return self._seen(End.NO_TLS, _words(error), moment)
        return self._seen(End.CLOSED, reason_of(error), moment)

    def _seen(
        self,
        end: End,
        detail: str,
        moment: Moment,
        answer: OriginAnswer | None = None,
        *,
        alert: str | None = None,
    ) -> Observation:
        watch = self.watch
        return Observation(
            shown=self.shown,
            end=end,
            detail=detail,
            moment=moment,
            observable=watch.observable,
            request=watch.request,
            asked_late=watch.asked_late,
            sent=watch.sent,
            presented=watch.presented,
            alert=alert,
            status=answer.status if answer else None,
            page=answer.page if answer else None,
            cf_ray=answer.cf_ray if answer else False,
        )


def _alert_of(error: Exception) -> str | None:
    """The alert's name from the library's reason, `TLSV1_ALERT_UNKNOWN_CA`, if messages can't be observed."""
    found = _ALERT_IN_REASON.search(getattr(error, "reason", None) or "")
    return found[1].lower() if found else None


def _words(error: ssl.SSLError) -> str:
    """The library's reason in words."""
    return (error.reason or "the TLS library gave no reason").replace("_", " ").lower()
