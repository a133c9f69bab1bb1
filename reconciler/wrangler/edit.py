"""Changes one binding of a wrangler file, and nothing else.

The format module proposes splices; this module applies and proves them. A parser that does not know the splices reads
the new bytes again, and the result must have exactly the wanted values. An addition can only insert, a replacement can
only change the one string, a removal can only delete. An edit that can't be proved is refused, with lines to paste.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from reconciler.findings.diagnostics import Pointer
from reconciler.findings.errors import EditRefused, InputError
from reconciler.findings.escape import printable, to_paste
from reconciler.model import FoundBinding
from reconciler.model.words import environment_path
from reconciler.syntax.text import split_bom
from reconciler.wrangler.formats import Format, format_of, load
from reconciler.wrangler.read import environment_table, read_values
from reconciler.wrangler.splices import (
    KEY,
    Edit,
    RemoveBinding,
    SetBinding,
    SetRemote,
    Splice,
    apply_splices,
)

__all__ = ["Edit", "RemoveBinding", "SetBinding", "edit_wrangler"]

Values = dict[str, object]

_LITERALS = ("true", "false")


def edit_wrangler(path: str, data: bytes, edits: Sequence[Edit]) -> bytes:
    """The file after all edits, in their order; the same object if there is nothing to change.

    Adding a binding and removing it again restores the original bytes. EditRefused if an environment is missing from
    the file, or if an edit can't be proved to leave everything else unchanged. InputError for a file that
    `read_wrangler` refuses.
    """
    layout = format_of(path)
    for edit in edits:
        data = _edit(layout, path, data, edit)
        if isinstance(edit, SetBinding) and edit.remote is not None:
            data = _edit(layout, path, data, SetRemote(edit.environment, edit.binding, edit.remote))
    return data


def _edit(layout: Format, path: str, data: bytes, edit: Edit) -> bytes:
    values = load(path, data)
    environment = read_values(path, values).environments.get(edit.environment)
    if environment is None:
        raise _no_environment(path, edit)
    found = environment.find(edit.binding)
    if _is_done(found, edit):
        return data
    bom, text = split_bom(data.decode())
    try:
        splices = _splices(layout, text, edit, found)
        new = (bom + apply_splices(text, splices)).encode()
        proved = _is_minimal(layout, text, splices, edit, found) and _has_wanted_values(path, new, values, edit)
    except (ValueError, InputError) as error:
        raise _refused(layout, path, edit) from error
    if not proved:
        raise _refused(layout, path, edit)
    return new


def _is_done(found: FoundBinding | None, edit: Edit) -> bool:
    match edit:
        case SetBinding():
            return found is not None and found.certificate_id == edit.certificate_id
        case SetRemote():
            return found is None or found.remote is edit.remote
        case RemoveBinding():
            return found is None


def _splices(layout: Format, text: str, edit: Edit, found: FoundBinding | None) -> Sequence[Splice]:
    if isinstance(edit, RemoveBinding):
        return layout.remove(text, edit.environment, found.index) if found is not None else ()
    if isinstance(edit, SetRemote):
        return layout.set_remote(text, edit.environment, found.index, edit.remote) if found is not None else ()
    if found is None:
        return layout.add(text, edit.environment, edit.binding, edit.certificate_id)
    return layout.replace(text, edit.environment, found.index, edit.certificate_id)


def _is_minimal(layout: Format, text: str, splices: Sequence[Splice], edit: Edit, found: FoundBinding | None) -> bool:
    """Whether the splices are only of the kind that the edit allows."""
    if isinstance(edit, RemoveBinding):
        # The header of the element can shrink to that of the environment, which would be lost without it.
        return all(len(splice.text) < splice.end - splice.start for splice in splices)
    if isinstance(edit, SetRemote):
        return all(splice.start == splice.end or text[splice.start : splice.end] in _LITERALS for splice in splices)
    if found is None:
        return all(splice.start == splice.end for splice in splices)
    literals = [layout.string_value(text[splice.start : splice.end]) for splice in splices]
    return literals == [found.certificate_id]


def _has_wanted_values(path: str, new: bytes, before: Values, edit: Edit) -> bool:
    """Whether the new bytes have the old values with the edit, and no other change."""
    after = load(path, new)
    wanted = copy.deepcopy(before)
    table = environment_table(wanted, edit.environment)
    if table is None:
        return False
    table[KEY] = _edited(table.get(KEY), edit)
    made = environment_table(after, edit.environment)
    if made is not None and not table[KEY]:
        made.setdefault(KEY, [])
    return _same(after, wanted)


def _edited(value: object, edit: Edit) -> list[object]:
    entries: list[object] = value if isinstance(value, list) else []
    same = [isinstance(entry, dict) and entry.get("binding") == edit.binding for entry in entries]
    if isinstance(edit, RemoveBinding):
        return [entry for entry, removed in zip(entries, same, strict=True) if not removed]
    for entry, wanted in zip(entries, same, strict=True):
        if wanted and isinstance(entry, dict):
            entry |= {"remote": edit.remote} if isinstance(edit, SetRemote) else {"certificate_id": edit.certificate_id}
    if isinstance(edit, SetRemote):
        return entries
    return entries if any(same) else [*entries, {"binding": edit.binding, "certificate_id": edit.certificate_id}]


def _same(left: object, right: object) -> bool:
    """Whether values and types are equal, at every level: 1 is not true, and NaN equals itself."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and (left == right or repr(left) == repr(right))


def _no_environment(path: str, edit: Edit) -> EditRefused:
    return EditRefused(
        f"{path} has no environment {edit.environment}",
        hint="add the environment to the file first, or remove it from mtls.toml: mtlsctl never creates environments",
        where=Pointer(path, ("env",)),
    )


def _refused(layout: Format, path: str, edit: Edit) -> EditRefused:
    where = Pointer(path, (*environment_path(edit.environment), KEY))
    place = "the top level" if edit.environment is None else f"the environment {edit.environment}"
    match edit:
        case SetBinding():
            lines = layout.snippet(edit.environment, edit.binding, edit.certificate_id).splitlines()
            names = (edit.environment, edit.binding, edit.certificate_id)
            hint = to_paste("edit the file by hand so that it contains", lines, names=names)
        case SetRemote():
            hint = f"set `remote` of {printable(edit.binding)} to {str(edit.remote).lower()} by hand"
        case RemoveBinding():
            hint = f"remove {printable(edit.binding)} from {KEY} by hand"
    message = f"the binding {edit.binding} in {place} can't be changed without changing something else"
    return EditRefused(message, hint=hint, where=where)
