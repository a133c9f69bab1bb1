"""An explanation as text: for each thing of this name what would happen, then why, in a person's words."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.model import User
from reconciler.plan.inventory import Role
from reconciler.plan.retire import Judged
from reconciler.plan.wording import REQUIREMENTS
from reconciler.reports.explain import Explanation, NameKind, explain_command
from reconciler.reports.explain_bindings import BindingStory
from reconciler.reports.explain_certificates import CertificateStory
from reconciler.reports.explain_entries import EntryStory
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings
from reconciler.views.text.plan import SIGNS, not_checked_lines
from reconciler.views.text.status import hint_text, kept_since_text, place_text, time_text
from reconciler.views.text.style import Style

_SHORT = 12
_MOST_USERS = 10
_ROW = "      {:<11} {}"
_CONDITION = "      {:<13}  {}"
_SUBJECTS = {
    NameKind.CERTIFICATE: "a declared certificate",
    NameKind.BINDING: "a binding",
    NameKind.WORKER: "a declared Worker",
    NameKind.ENTRY: "an entry's id",
}
_ROLES = {
    Role.CURRENT: "current",
    Role.SUPERSEDED: "superseded",
    Role.ORPHANED: "orphaned",
    Role.NEWER: "newer than the current one",
    Role.DUPLICATE: "not chosen",
    Role.UNDECIDED: "ours, for a certificate whose file is bad",
    Role.OTHER_STACK: "of another stack",
    Role.FOREIGN: "not ours",
    Role.UNKNOWN: "not in the store",
}


def show_explanation(explanation: Explanation, display: Display) -> str:
    """An explanation with the findings that concern it."""
    findings = show_findings(explanation.diagnostics, display)
    return render_explanation(explanation, display.style, findings=findings)


def render_explanation(explanation: Explanation, style: Style, *, findings: str = "") -> str:
    """The whole explanation. `findings`: those that concern it, as `render_findings` shows them."""
    return "\n".join(_lines(explanation, style, findings)) + "\n"


def _lines(explanation: Explanation, style: Style, findings: str) -> Iterator[str]:
    subjects = " and ".join(_SUBJECTS[subject] for subject in explanation.subjects)
    yield style.bold(f"{printable(explanation.name)} is {subjects}")
    sections = (
        ("certificates:", [_certificate_lines(story, style) for story in explanation.certificates]),
        ("bindings:", [_binding_lines(story, style) for story in explanation.bindings]),
        ("entries:", [_entry_lines(story, style) for story in explanation.entries]),
    )
    for head, stories in sections:
        if stories:
            yield ""
            yield style.bold(head)
            for lines in stories:
                yield from lines
    if findings:
        yield ""
        yield style.bold("findings:")
        yield findings
    if explanation.not_checked:
        yield ""
        yield from not_checked_lines(explanation.not_checked, explain_command(explanation.name), style)


def _certificate_lines(story: CertificateStory, style: Style) -> Iterator[str]:
    sign = SIGNS[story.action] if story.action else "=" if story.entry else "!"
    yield _head(sign, story.name, story.what, style)
    yield f"      because {printable(story.why)}"
    yield _ROW.format("file", printable(story.path))
    if story.digest and story.fingerprint:
        yield _ROW.format("content", f"{story.digest[:_SHORT]} (its content digest)")
        yield _ROW.format("fingerprint", story.fingerprint)
    if story.due:
        yield _ROW.format("ends", f"{time_text(story.due.not_after)}, due from {story.due.renew_from:%Y-%m-%d}")
    if story.owner:
        yield _ROW.format("owner", printable(story.owner))
    if story.entry:
        whose = "ours by its mark" if story.ours else "adopted, under another name than ours"
        yield _ROW.format("entry", f"{printable(story.entry.id)}, {whose}")
        yield _ROW.format("its name", printable(story.entry.name) or "none")
    if story.shared_with:
        yield _ROW.format("shared with", ", ".join(map(printable, story.shared_with)))
    if story.origin:
        before = f", before each {' and '.join(story.proved_before)}" if story.proved_before else ", when asked for"
        yield _ROW.format("proved", f"at {printable(story.origin)}{before}")
    yield from _user_lines(story.users)
    needed = "needed" if story.key_needed else "not needed"
    yield _ROW.format("key", f"{needed}: {printable(story.key_why)}")


def _binding_lines(story: BindingStory, style: Style) -> Iterator[str]:
    nothing = "=" if story.found is not None and story.found == story.wanted else "."
    sign = SIGNS[story.action] if story.action else "!" if story.problems else nothing
    yield _head(sign, place_text(story.at.binding, story.at.config, story.at.environment), story.what, style)
    yield f"      because {printable(story.why)}"


def _entry_lines(story: EntryStory, style: Style) -> Iterator[str]:
    name = f" ({printable(story.entry.name) or 'no name'})" if story.entry else ""
    whose = f", of {story.certificate}" if story.certificate else ""
    yield _head(".", f"{printable(story.id)}{name}", f"{_ROLES[story.role]}{whose}; {story.what}", style)
    yield f"      because {printable(story.why)}"
    if story.since is not None:
        yield f"      {kept_since_text(story.since)}"
    if story.not_after is not None:
        due = f", due from {story.renew_from:%Y-%m-%d}" if story.renew_from is not None else ""
        yield _ROW.format("ends", f"{time_text(story.not_after)}{due}")
    if story.stack is not None:
        yield _ROW.format("stack", printable(story.stack))
    if story.newer is not None:
        yield _ROW.format("newer", f"{printable(story.newer)}, uploaded later under the same name")
    yield from _user_lines(story.users)
    if story.conditions:
        yield "      it is retired once all of these hold:"
        for judged in story.conditions:
            yield _condition_line(judged, style)


def _user_lines(users: tuple[User, ...]) -> Iterator[str]:
    for user in users[:_MOST_USERS]:
        yield _ROW.format("used by", printable(user.text))
    if len(users) > _MOST_USERS:
        yield _ROW.format("", f"and {len(users) - _MOST_USERS} more; see --format json")


def _condition_line(judged: Judged, style: Style) -> str:
    requirement = REQUIREMENTS[judged.condition]
    if judged.holds:
        return _CONDITION.format("holds", requirement)
    if judged.holds is None:
        return style.dim(_CONDITION.format("not looked at", f"{requirement} (the others come first)"))
    until = f", until {time_text(judged.until)}" if judged.until else ""
    because = f"because {printable(judged.detail or 'of a doubt')}{until}"
    lines = (because, hint_text(judged.hint))
    reasons = (_CONDITION.format("", line) for line in lines if line is not None)
    return "\n".join((style.warn(_CONDITION.format("does not hold", requirement)), *reasons))


def _head(sign: str, subject: str, what: str, style: Style) -> str:
    paint = {"+": style.good, "=": style.good, "~": style.change, "-": style.bad, "!": style.warn}.get(sign, style.bold)
    return f"{paint(f'  {sign} {printable(subject)}')}: {printable(what)}"
