"""The simulation can fail: each bug that is planted in the tool is caught soon, and by the rule meant for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest

from reconciler.apply import bindings, hyperdrives, retires, uploads
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import KeySourceError
from reconciler.keys.env import EnvironmentKeySource
from reconciler.model import CaList, Condition, EntryId, HyperdriveConfig, Sweep
from reconciler.plan import bindings as judged
from reconciler.plan import handover, hostnames, inventory, plan, retire, updates
from reconciler.plan.assessment import Held, Pending, UpToDate, Verdict, Waits
from reconciler.runs.journal import Journal
from reconciler.wrangler.edit import SetBinding, edit_wrangler
from reconciler.x509 import chains
from reconciler.x509.certificates import Bundle
from reconciler.x509.chains import Window
from reconciler.x509.key_pairs import check_pair
from reconciler.x509.paths import Paths
from tests.simulation.gate import Fault, Mode
from tests.simulation.ports import GatedFiles, GatedStore
from tests.simulation.story import MEDDLERS, Broken, Story

SEEDS = 600
RARE = (19, 26, 36, 47, 50, 55, 134, 526, 985)
"""Stories in which a bug shows that shows in few others: they are played early. They change with the stories."""

Patch = pytest.MonkeyPatch


def skip_the_look_before_binding(patch: Patch) -> None:
    patch.setattr(bindings, "_stale", lambda *_: [])


def delete_skip_grace_of(patch: Patch) -> None:
    def no_grace(times: tuple[datetime, ...], _grace: timedelta) -> datetime:
        return min(times)

    patch.setattr(retire, "grace_end", no_grace)


def count_grace_from_the_upload_alone(patch: Patch) -> None:
    patch.setattr(retire, "grace_end", lambda times, grace: times[0] + grace)


def delete_what_files_name(patch: Patch) -> None:
    skipped = {Condition.BOUND_IN_FILE, Condition.NAMED_IN_FILE, Condition.BINDINGS_PENDING}
    for name in ("WITHOUT_SWEEP", "WITH_SWEEP"):
        patch.setattr(retire, name, tuple(item for item in getattr(retire, name) if item[0] not in skipped))
    patch.setattr(GatedFiles, "sweep", lambda *_: Sweep())


def send_what_changes_alone(patch: Patch) -> None:
    def update(store: GatedStore, before: HyperdriveConfig, mtls: dict[str, object]) -> HyperdriveConfig:
        changed = {key: value for key, value in mtls.items() if before.mtls.get(key) != value}
        return original(store, before, changed)

    original = GatedStore.update_hyperdrive
    patch.setattr(GatedStore, "update_hyperdrive", update)
    patch.setattr(hyperdrives, "_has", lambda *_: True)


def delete_what_hyperdrive_uses(patch: Patch) -> None:
    skipped = {Condition.USED_ELSEWHERE, Condition.BINDINGS_PENDING}
    for name in ("WITHOUT_SWEEP", "WITH_LIVE"):
        patch.setattr(retire, name, tuple(item for item in getattr(retire, name) if item[0] not in skipped))


def never_update(patch: Patch) -> None:
    patch.setattr(updates.UpdateScene, "asked", lambda *_: UpToDate())


def replace_the_list_of_a_ca(patch: Patch) -> None:
    def add(store: GatedStore, before: CaList, names: tuple[str, ...]) -> None:
        original(store, CaList(before.zone, before.ca), names)

    original = GatedStore.add_hostnames
    patch.setattr(GatedStore, "add_hostnames", add)


def delete_what_hostnames_trust(patch: Patch) -> None:
    skipped = {Condition.STILL_TRUSTED, Condition.USED_ELSEWHERE, Condition.BINDINGS_PENDING}
    for name in ("WITHOUT_SWEEP", "WITH_LIVE"):
        patch.setattr(retire, name, tuple(item for item in getattr(retire, name) if item[0] not in skipped))


def find_every_list_complete(patch: Patch) -> None:
    patch.setattr(hostnames, "lacking", lambda *_: ())


def delete_newer_entries(patch: Patch) -> None:
    patch.setattr(inventory, "is_older", lambda *_: True)


def delete_entries_of_others(patch: Patch) -> None:
    patch.setattr(handover, "is_ours", lambda mark, _: mark is not None)


def forget_max_deletes(patch: Patch) -> None:
    patch.setattr(plan, "_over_limit", lambda *_: lambda _: None)


def forget_what_is_protected(patch: Patch) -> None:
    rows = tuple(row for row in retire.WITHOUT_SWEEP if row[0] is not Condition.PROTECTED)
    patch.setattr(retire, "WITHOUT_SWEEP", rows)


def bind_before_the_upload(patch: Patch) -> None:
    original = bindings._as_edit

    def as_edit(*arguments: Any) -> object:
        change = arguments[1]
        soon = SetBinding(change.at.environment, change.at.binding, EntryId("10ca1000-0000-4000-8000-0000000000ff"))
        return original(*arguments) or soon

    patch.setattr(bindings, "_as_edit", as_edit)


def bind_what_another_stack_uploaded(patch: Patch) -> None:
    patch.setattr(uploads, "is_other_stacks", lambda *_: False)


def upload_twice(patch: Patch) -> None:
    original = uploads._upload

    def twice(*arguments: Any) -> object:
        original(*arguments)
        return original(*arguments)

    patch.setattr(uploads, "_upload", twice)


def upload_what_is_stored(patch: Patch) -> None:
    patch.setattr(inventory, "_find_wanted", lambda *_: ({}, {}))


def lose_comments(patch: Patch) -> None:
    def edit(path: str, data: bytes, edits: Any) -> bytes:
        return edit_wrangler(path, data, edits).replace(b"# foreign: the end", b"")

    patch.setattr("reconciler.apply.bindings.edit_wrangler", edit)


def tell_the_key_in_an_error(patch: Patch) -> None:
    original = EnvironmentKeySource.open

    def open_(self: EnvironmentKeySource, reference: Any) -> object:
        key = original(self, reference)
        if len(key.pem) < 200:
            raise KeySourceError(f"this is no key: {key.pem!r}")
        return key

    patch.setattr(EnvironmentKeySource, "open", open_)


def tell_the_key_in_a_finding(patch: Patch) -> None:
    def check(bundle: Any, key: bytes, *, where: Any) -> tuple[Diagnostic, ...]:
        quoted = Diagnostic(Severity.WARNING, Code.LIBRARY_WARNING, f"looked at {key[60:].decode()}", where)
        return (*check_pair(bundle, key, where=where), quoted)

    patch.setattr("reconciler.apply.keys.check_pair", check)


def start_without_telling(patch: Patch) -> None:
    patch.setattr(Journal, "started", lambda *_: None)


def leave_temporary_files(patch: Patch) -> None:
    patch.setattr(GatedFiles, "tidy", lambda *_: None)


def forget_that_others_upload_too(patch: Patch) -> None:
    def find(*_: object) -> None:
        raise KeyError

    patch.setattr(uploads, "_find_content", find)


def never_retire(patch: Patch) -> None:
    patch.setattr(retires, "_retire", lambda *_, **__: (_ for _ in ()).throw(KeySourceError("no")))


def _judge_dates_otherwise(patch: Patch, moves: Callable[[Verdict], bool]) -> None:
    """Bindings with such a verdict are moved all the same."""
    original = judged.BindingJudge._judge_dates

    def judge(*arguments: Any) -> Verdict:
        verdict = original(*arguments)
        return Pending(arguments[-1]) if moves(verdict) else verdict

    patch.setattr(judged.BindingJudge, "_judge_dates", judge)


def bind_what_has_ended(patch: Patch) -> None:
    _judge_dates_otherwise(patch, lambda verdict: isinstance(verdict, Held))


def bind_what_has_not_begun(patch: Patch) -> None:
    _judge_dates_otherwise(patch, lambda verdict: isinstance(verdict, Waits))


def bind_without_waiting_for_the_begin(patch: Patch) -> None:
    patch.setattr("reconciler.runs.apply._wait_until", lambda *_: None)


def bind_by_the_leaf_alone(patch: Patch) -> None:
    def window(bundle: Bundle, **_: Any) -> Window:
        return Window(bundle.not_before, bundle.not_after)

    patch.setattr(judged, "window_of", window)


def wait_a_day_too_long(patch: Patch) -> None:
    def window(bundle: Bundle, **options: Any) -> Window:
        found = chains.window_of(bundle, **options)
        return Window(found.begins + timedelta(days=1) if found.begins else None, found.ends)

    patch.setattr(judged, "window_of", window)


def take_the_first_path_for_the_best(patch: Patch) -> None:
    patch.setattr(Paths, "best", lambda self, _: self._first_in_file())


def delete_before_the_successor_is_valid(patch: Patch) -> None:
    without = tuple(item for item in retire.WITHOUT_SWEEP if item[0] is not Condition.SUCCESSOR_NOT_VALID)
    patch.setattr(retire, "WITHOUT_SWEEP", without)


def count_grace_from_the_uploads_alone(patch: Patch) -> None:
    patch.setattr(retire, "grace_end", lambda times, grace: max(times[:2]) + grace)


def skip_more_than_the_grace(patch: Patch) -> None:
    original = retire._successor_not_valid

    def check(leaving: Any, scene: Any) -> object:
        return None if scene.ask.skip_grace else original(leaving, scene)

    rows = ((condition, check if of is original else of) for condition, of in retire.WITHOUT_SWEEP)
    patch.setattr(retire, "WITHOUT_SWEEP", tuple(rows))


def forget_what_waits_in_the_digest(patch: Patch) -> None:
    patch.setattr(plan, "_OF_TIME", plan._OF_TIME - {Condition.NOT_VALID_YET})


def forget_the_grace_in_the_digest(patch: Patch) -> None:
    patch.setattr(plan, "_OF_TIME", plan._OF_TIME - {Condition.GRACE})


def apply_what_waited_in_a_saved_plan(patch: Patch) -> None:
    patch.setattr("reconciler.runs.plan.approve", lambda found, _: found)


PLANTED: tuple[tuple[Callable[[Patch], None], str], ...] = (
    (skip_the_look_before_binding, "was changed by somebody else meanwhile"),
    (delete_skip_grace_of, "its grace is not over"),
    (count_grace_from_the_upload_alone, "its grace is not over"),
    (delete_what_files_name, "named it"),
    (delete_newer_entries, "it is newer than what is declared"),
    (delete_entries_of_others, "it belongs to somebody else"),
    (forget_max_deletes, "deletes, "),
    (forget_what_is_protected, "it is protected"),
    (bind_before_the_upload, "which the store does not have"),
    (bind_what_another_stack_uploaded, "which can't serve"),
    (upload_twice, "was asked for 2 times"),
    (upload_what_is_stored, "was there already"),
    (lose_comments, "a comment changed"),
    (tell_the_key_in_an_error, "a part of a private key"),
    (tell_the_key_in_a_finding, "a part of a private key"),
    (start_without_telling, "is not told"),
    (leave_temporary_files, "was left behind"),
    (forget_that_others_upload_too, "every_error_is_foreseen"),
    (never_retire, "not finished after"),
)
PLANTED_IN_DATES: tuple[tuple[Callable[[Patch], None], str], ...] = (
    (bind_what_has_ended, "which has ended"),
    (bind_what_has_not_begun, "which has not begun"),
    (bind_without_waiting_for_the_begin, "which has not begun"),
    (bind_by_the_leaf_alone, "which has not begun"),
    (wait_a_day_too_long, "which is not"),
    (take_the_first_path_for_the_best, "is stored 0 times"),
    (delete_before_the_successor_is_valid, "the last valid one of"),
    (count_grace_from_the_uploads_alone, "its grace is not over"),
    (skip_more_than_the_grace, "the last valid one of"),
    (forget_what_waits_in_the_digest, "the digest changed with the time alone"),
    (forget_the_grace_in_the_digest, "the digest changed with the time alone"),
    (apply_what_waited_in_a_saved_plan, "was waiting in the saved plan"),
)


PLANTED_IN_HYPERDRIVE: tuple[tuple[Callable[[Patch], None], str], ...] = (
    (send_what_changes_alone, "something else of the Hyperdrive configuration changed"),
    (delete_what_hyperdrive_uses, "and Hyperdrive uses it"),
    (never_update, "Hyperdrive uses"),
    (replace_the_list_of_a_ca, "hostnames were removed from"),
    (delete_what_hostnames_trust, "and hostnames trust it"),
    (find_every_list_complete, "do not trust root"),
)


def stories() -> Iterator[Callable[[], int]]:
    """Stories alone, in which time passes."""
    yield from (Story(seed).play for seed in (*RARE, *range(SEEDS)))


def plays() -> Iterator[Callable[[], int]]:
    """Stories, some disturbed first runs, then more stories."""
    yield from (Story(seed).play for seed in (*range(10), *RARE))
    for kind, mode, which in product(("store.upload", "key.open", "file.replace"), Mode, range(MEDDLERS)):
        yield partial(Story().play_scenario, "first-run", Fault(1, mode, which, kind))
    for at, which in product(range(1, 13), range(2)):  # a file changes between the plan and its replacement
        yield partial(Story().play_scenario, "first-run", Fault(at, Mode.MEDDLE, which, "file.read"))
    yield from (Story(seed).play for seed in range(10, SEEDS))


@pytest.fixture(autouse=True)
def no_window_is_kept() -> Iterator[None]:
    """What a planted bug makes of a certificate's dates is in nobody's cache, before or after."""
    chains.window_of.cache_clear()
    yield
    chains.window_of.cache_clear()


@pytest.mark.parametrize(("plant", "sentence"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_bug_is_caught(plant: Callable[[Patch], None], sentence: str, monkeypatch: Patch) -> None:
    """It is played on until a promise is broken by it; the sentence says which, and the command how to see it."""
    plant(monkeypatch)
    play_until_caught(plays(), sentence)


@pytest.mark.parametrize(("plant", "sentence"), PLANTED_IN_DATES, ids=[plant.__name__ for plant, _ in PLANTED_IN_DATES])
def test_a_bug_planted_in_what_dates_decide_is_caught(
    plant: Callable[[Patch], None], sentence: str, monkeypatch: Patch
) -> None:
    """The same; here the time matters more than what goes wrong."""
    plant(monkeypatch)
    play_until_caught(stories(), sentence)


@pytest.mark.parametrize(
    ("plant", "sentence"), PLANTED_IN_HYPERDRIVE, ids=[plant.__name__ for plant, _ in PLANTED_IN_HYPERDRIVE]
)
def test_a_bug_planted_in_what_is_updated_at_once_is_caught(
    plant: Callable[[Patch], None], sentence: str, monkeypatch: Patch
) -> None:
    """In stories with a Hyperdrive configuration and hostnames."""
    plant(monkeypatch)
    play_until_caught((Story(seed, where="hyperdrive").play for seed in range(SEEDS)), sentence)


def play_until_caught(played: Iterator[Callable[[], int]], sentence: str) -> None:
    """Play until a promise is broken, and told in this sentence."""
    for play in played:
        told = ""
        try:
            play()
        except Broken as error:
            told = str(error)
        if sentence in told:
            assert "replay: python -m tests.simulation --" in told
            return
    pytest.fail("nobody noticed")
