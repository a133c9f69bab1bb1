"""The reference page of findings, `docs/reference/findings.md`, made from the table of codes by `make docs`."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.codes import Code
from reconciler.findings.exits import ExitCode

_HEAD = """\
# Findings

<!-- Generated from reconciler/findings/codes.py by `make docs`: edit that file, not this one. -->

Every code that mtlsctl prints, what it means, and how to fix it. Only errors change the exit code. The finding itself
says where, and often has the lines to write. `mtlsctl explain CODE` prints the same. Back to the [index](../index.md).
"""
_SECTIONS: dict[Code, tuple[str, str]] = {
    Code.TOO_LARGE: ("mtls.toml", ""),
    Code.FILE_MISSING: ("Files", ""),
    Code.CERTIFICATE_EMPTY: ("Certificate files", ""),
    Code.KEY_MISSING: ("Private keys", ""),
    Code.CERTIFICATE_EXPIRED: (
        "Certificates",
        (
            "Checked by `mtlsctl validate`, and before an upload. Of an uploaded certificate, only the dates and the"
            " rules of `[policy.certificates]` are checked."
        ),
    ),
    Code.ORIGIN_CA_WITHOUT_ROOT: ("Proofs at origins", ""),
    Code.WRANGLER_SYNTAX: ("wrangler files", ""),
    Code.NOT_STORED: ("Uploaded certificates", ""),
    Code.STORE: ("Cloudflare's API and the local store", ""),
    Code.NOT_LIVE: ("Deploys", ""),
    Code.FILE_EXISTS: (
        "mtlsctl init",
        "`mtlsctl init` also reports what `mtlsctl plan` and `mtlsctl drift --unused` report.",
    ),
    Code.ENTRY_MISSING: (
        "mtlsctl drift --unused",
        (
            "`mtlsctl drift` also reports [`undeclared-binding`](#undeclared-binding) and"
            f" [`{Code.NEWER_ENTRY}`](#{Code.NEWER_ENTRY})."
        ),
    ),
    Code.USAGE: ("Commands and runs", ""),
    Code.DEV_UNSERVED: ("mtlsctl dev", "See also the [limits](../how-to/dev.md#limits) of `mtlsctl dev`."),
    Code.MTLSCTL: ("mtlsctl doctor", "A check that passes is an info."),
}
"""The first code of each section, with its heading and introduction; the codes come in the order of the table."""


def findings_page() -> str:
    """The whole page; each code has a heading, and so an anchor."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for title, _ in _SECTIONS.values():
        yield f"- [{title}](#{_anchor(title)})"
    for code in Code:
        if code in _SECTIONS:
            title, introduction = _SECTIONS[code]
            yield f"\n## {title}\n"
            if introduction:
                yield f"{introduction}\n"
        else:
            yield ""
        yield f"### `{code}`\n"
        yield f"{_severities(code)}. {code.meaning}\n"
        yield f"**Fix:** {code.cure}"
    yield ""


def _severities(code: Code) -> str:
    """`Error (exit 3) or warning`."""
    words = [str(severity) for severity in code.severities]
    if code.exit_code is not ExitCode.OK:
        words[0] += f" (exit {code.exit_code})"
    *others, last = words
    return (f"{', '.join(others)} or {last}" if others else last).capitalize()


def _anchor(title: str) -> str:
    """The anchor that renderers give a heading: lower case, dashes for spaces, no other punctuation."""
    kept = (sign for sign in title.lower() if sign.isalnum() or sign in "- _")
    return "".join(kept).replace(" ", "-")
