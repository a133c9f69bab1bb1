"""An explanation as text: for each thing of this name what would happen, then why, in a person's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.findings.escape import printable
from reconciler.model import Condition, SiteAddress, User
from reconciler.model.words import names_text
from reconciler.plan.inventory import Role
from reconciler.plan.live import LiveBinding
from reconciler.plan.retire import Judged
from reconciler.plan.wording import REQUIREMENTS
from reconciler.reports.explain import Explanation, NameKind, explain_command
from reconciler.reports.explain_bindings import BindingStory, UpdateStory
from reconciler.reports.explain_certificates import CertificateStory
from reconciler.reports.explain_entries import EntryStory
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings
from reconciler.views.text.layout import labelled, wrapped
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan import live_row_lines, not_checked_lines, without_repeated_reasons
from reconciler.views.text.plan_groups import SIGNS
from reconciler.views.text.status import hint_text, kept_since_text, time_text
from reconciler.views.text.style import Style

_SHORT = 12
_MOST_USERS = 10
_LABEL = 11
_INDENT = "    "
_NOT_YET = len("NOT YET")
_SUBJECTS = {
    NameKind.CERTIFICATE: "a declared certificate",
    NameKind.BINDING: "a binding",
    NameKind.WORKER: "a declared Worker",
    NameKind.HYPERDRIVE: "a declared Hyperdrive configuration",
    NameKind.HOSTNAMES: "a declared zone or hostname",
    NameKind.ENTRY: "the ID of an uploaded certificate",
}
_SAID = frozenset({(Condition.GRACE, ""), (Condition.LISTING_UNSTABLE, "")})
"""Conditions with the case in which their reason only repeats that they do not hold."""
_REMOVED = "a certificate that was removed from mtls.toml"
_ROLES = {
    Role.CURRENT: "current",
    Role.SUPERSEDED: "old",
    Role.ORPHANED: "removed from mtls.toml",
    Role.NEWER: "newer than the current one",
    Role.DUPLICATE: "not chosen",
    Role.UNDECIDED: "managed by this stack; the certificate's file can't be used",
    Role.OTHER_STACK: "of another stack",
    Role.FOREIGN: "not managed here",
    Role.UNKNOWN: "not found",
}


def show_explanation(explanation: Explanation, display: Display) -> str:
    """An explanation with the findings that concern it."""
    findings = show_findings(explanation.diagnostics, display)
    return render_explanation(explanation, display.style, findings=findings, width=display.width)


def render_explanation(explanation: Explanation, style: Style, *, findings: str = "", width: int | None = None) -> str:
    """The whole explanation. `findings`: those that concern it, as `render_findings` shows them."""
    names = ShownNames(width, _ids(explanation), _places(explanation))
    return "\n".join(_Lines(explanation, names, style, width).all(findings)) + "\n"


def _ids(explanation: Explanation) -> Iterator[str | None]:
    for certificate in explanation.certificates:
        yield certificate.entry.id if certificate.entry is not None else None
    for binding in explanation.bindings:
        yield from (binding.found, binding.wanted)
    for story in explanation.updates:
        yield from (story.found, story.wanted) if story.certificate is not None else ()
    for entry in explanation.entries:
        yield from (entry.id, entry.newer)
    for row in explanation.live or ():
        yield from (row.desired, row.file, *(one.id for one in row.live))


def _places(explanation: Explanation) -> Iterator[SiteAddress]:
    yield from (story.at for story in explanation.bindings)


class _Lines:
    """The lines of one explanation."""

    def __init__(self, explanation: Explanation, names: ShownNames, style: Style, width: int | None) -> None:
        self.explanation, self.names, self.style, self.width = explanation, names, style, width

    def all(self, findings: str) -> Iterator[str]:
        told = self.explanation
        is_declared = any(one.name == told.name for one in told.certificates)
        words = _SUBJECTS if is_declared else _SUBJECTS | {NameKind.CERTIFICATE: _REMOVED}
        subjects = " and ".join(words[subject] for subject in told.subjects)
        yield from map(self.style.bold, wrapped(f"{printable(told.name)} is {subjects}", self.width))
        sections = (
            ("Certificates", [self.certificate(story) for story in told.certificates]),
            ("Bindings", [self.binding(story) for story in told.bindings]),
            ("Hyperdrive", [self.update(story) for story in told.updates if not story.hostnames]),
            ("Hostnames", [self.update(story) for story in told.updates if story.hostnames]),
            ("Live Workers", [self.live(row) for row in without_repeated_reasons(told.live or ())]),
            ("Uploaded certificates", [self.entry(story) for story in told.entries]),
        )
        for head, stories in sections:
            if stories:
                yield ""
                yield self.style.bold(head)
                for lines in stories:
                    yield from lines
        if findings:
            yield ""
            yield findings
        if told.not_checked:
            yield ""
            yield from not_checked_lines(told.not_checked, explain_command(told.name), self.style, self.width)

    def certificate(self, story: CertificateStory) -> Iterator[str]:
        yield from self._head(
            SIGNS[story.action] if story.action else "=" if story.entry else "!", story.name, story.what
        )
        yield from self._field("because", printable(story.why))
        yield from self._field("file", printable(story.path))
        if story.in_use:
            yield from self._field("in use", f"an older one, which expires {time_text(story.in_use.not_after)}")
        if story.due:
            begins = f"; valid from {time_text(story.begins)}" if story.in_use and story.begins else ""
            until = f"{time_text(story.due.not_after)}, renew from {story.due.renew_from:%Y-%m-%d}"
            yield from self._field("expires", f"{until}{begins}")
        if story.owner:
            yield from self._field("owner", printable(story.owner))
        if story.entry:
            whose = "managed by this stack" if story.ours else "adopted: uploaded without a mark of this stack"
            yield from self._field("uploaded", f"{self.names.id(story.entry.id)}, {whose}")
            yield from self._field("its name", printable(story.entry.name) or "none")
            told = self.explanation
            is_asked = NameKind.CERTIFICATE in told.subjects and told.name == story.name
            if is_asked and not any(one.certificate == story.name for one in told.entries):
                yield from self._field("", "no other version that this stack manages is uploaded")
        if story.digest and story.fingerprint:
            yield from self._field("content", f"{story.digest[:_SHORT]} (its content digest)")
            yield from self._field("fingerprint", story.fingerprint)
        if story.serial:
            yield from self._field("serial", f"{story.serial} (hexadecimal, as openssl prints it)")
        if story.shared_with:
            yield from self._field("shared with", ", ".join(map(printable, story.shared_with)))
        if story.origin:
            before = f", before each {' and '.join(story.proved_before)}" if story.proved_before else ", when asked for"
            yield from self._field("proved", f"at {printable(story.origin)}{before}")
        yield from self._users(story.users)
        needed = "needed" if story.key_needed else "not needed"
        yield from self._field("key", f"{needed}: {printable(story.key_why)}")

    def binding(self, story: BindingStory) -> Iterator[str]:
        nothing = "=" if story.found is not None and story.found == story.wanted else "."
        sign = SIGNS[story.action] if story.action else "!" if story.problems else nothing
        yield from self._head(sign, self.names.binding(story.at), story.what)
        yield from self._field("because", printable(story.why))
        yield from self._field("file", printable(story.at.config))

    def update(self, story: UpdateStory) -> Iterator[str]:
        is_right = story.found == story.wanted and not story.lacking
        sign = SIGNS[story.action] if story.action else "=" if is_right else "."
        yield from self._head(sign, printable(story.at.short), self.names.text(story.what))
        if story.hostnames:
            yield from self._field("declared", printable(names_text(story.hostnames)))
        yield from self._field("because", self.names.text(story.why))

    def live(self, row: LiveBinding) -> Iterator[str]:
        yield from live_row_lines(row, self.style, self.names, self.width)

    def entry(self, story: EntryStory) -> Iterator[str]:
        whose = f", of {story.certificate}" if story.certificate else ""
        yield from self._head(".", self.names.id(story.id), f"{_ROLES[story.role]}{whose}; {story.what}")
        if story.role is not Role.ORPHANED:
            yield from self._field("because", printable(story.why))
        if story.since is not None:
            yield from self._field("", kept_since_text(story.since))
        if story.entry:
            yield from self._field("its name", printable(story.entry.name) or "none")
        if story.entry and story.entry.subject is not None:
            yield from self._field("subject", printable(story.entry.subject))
        if story.not_after is not None:
            due = f", renew from {story.renew_from:%Y-%m-%d}" if story.renew_from is not None else ""
            yield from self._field("expires", f"{time_text(story.not_after)}{due}")
        if story.stack is not None:
            yield from self._field("stack", printable(story.stack))
        if story.newer is not None:
            yield from self._field("newer", f"{self.names.id(story.newer)}, uploaded later under the same name")
        yield from self._users(story.users)
        if story.entry and not (story.users or self.explanation.bindings or self.explanation.live):
            yield from self._field("used by", "nothing that was read")
        if story.conditions:
            yield from self._conditions(story.conditions)

    def _head(self, sign: str, subject: str, what: str) -> Iterator[str]:
        style = self.style
        paint = {"+": style.good, "=": style.good, "~": style.change, "-": style.bad, "!": style.warn}.get(
            sign, style.bold
        )
        return labelled(sign, f"{printable(subject)}: {printable(what)}", self.width, paint=paint, gap=" ")

    def _field(self, label: str, text: str, *, paint: Callable[[str], str] = str) -> Iterator[str]:
        return labelled(f"{label:<{_LABEL}}", text, self.width, paint=paint, indent=_INDENT, gap=" ")

    def _users(self, users: tuple[User, ...]) -> Iterator[str]:
        for user in users[:_MOST_USERS]:
            yield from self._field("used by", printable(user.text))
        if len(users) > _MOST_USERS:
            yield from self._field("", f"and {len(users) - _MOST_USERS} more; see --format json")

    def _conditions(self, conditions: tuple[Judged, ...]) -> Iterator[str]:
        """The conditions that do not hold, then how many others there are."""
        shown = [one for one in conditions if one.applies]
        failing = [one for one in shown if one.holds is False]
        held, unchecked = (sum(one.holds is holds for one in shown) for holds in (True, None))
        if not failing and not unchecked:
            yield f"{_INDENT}All {held} conditions of its deletion hold."
            return
        yield f"{_INDENT}It is deleted once all of these hold:"
        for judged in failing:
            yield from self._failing(judged)
        hold = "holds" if held == 1 else "hold"
        if unchecked:
            names = ", ".join(one.condition for one in shown if one.holds is None)
            told = self.explanation
            is_unread = told.live is None and bool(told.not_checked)
            live = f" (mtlsctl {explain_command(told.name)} --live)" if is_unread else ""
            order = ", in this order" if unchecked > 1 else ""
            text = f"not checked yet{order}: {names}{live}"
            yield from map(self.style.change, wrapped(text, self.width, first=f"{_INDENT}  "))
        if held:
            number = "one" if held == 1 else f"{held}"
            more = f"the other {number} {hold}"
            yield from map(self.style.dim, wrapped(more, self.width, first=f"{_INDENT}  "))

    def _failing(self, judged: Judged) -> Iterator[str]:
        requirement = f"{REQUIREMENTS[judged.condition]} [{judged.condition}]"
        yield from map(self.style.warn, self._checked("NOT YET", requirement))
        why = None if (judged.condition, judged.facts.get("case", "")) in _SAID else judged.detail
        until = f"until {time_text(judged.until)}" if judged.until else None
        if why is not None or until is not None:
            yield from self._checked("", ", ".join(printable(text) for text in (why, until) if text is not None))
        hint = hint_text(judged.hint)
        yield from self._checked("", hint) if hint is not None else ()

    def _checked(self, label: str, text: str) -> Iterator[str]:
        return wrapped(text, self.width, first=f"{_INDENT}  {label:<{_NOT_YET}}  ")
