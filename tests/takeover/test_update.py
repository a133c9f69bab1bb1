"""`--update`: what is new is added in lines of its own, and every line that is there stays, in its order."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import keys
from reconciler.desired.parse import parse_declaration
from reconciler.model import Desired
from reconciler.takeover import update
from reconciler.takeover.propose import propose
from reconciler.takeover.update import only_new, update_declaration
from tests.project.test_examples import EXAMPLES
from tests.support.takeover_worlds import Taken, World, lines_survive, take_over
from tests.support.worlds import entry, uid
from tests.takeover.test_takeover import RANDOM, all_taken, config, worlds

ONE = config({None: {"BILLING": uid(1)}})
MORE = config({None: {"BILLING": uid(1), "LEDGER": uid(2)}, "staging": {"BILLING": uid(1)}})
OTHER = config({None: {"LEDGER": uid(2)}}, path="apps/books/wrangler.jsonc", name="books")
ENTRIES = [entry(1, 1, "billing"), entry(2, 2, "ledger")]
FILES = {"certs/billing.pem": 1, "certs/ledger.pem": 2}

BY_HAND = """\
# what the team has written
version = 1   # of the format
stack = "payments"

# --- certificates, by team ---

[certificates.billing]        # team-payments
certificate = "certs/billing.pem"
private_key = { env = "K" }   # a secret of the pipeline

# --- Workers ---

[workers.checkout]
config = "apps/checkout/wrangler.toml"

[workers.checkout.bindings]
# the money
BILLING = "billing"           # do not touch

# --- the end ---
"""


def edited(text: str, world: World) -> Taken:
    """A file that a person wrote, in a world."""
    return Taken(world, text, propose(world.scene())[0], ())


def updated(text: str, *configs: object) -> Taken:
    """The same after `--update`, with these wrangler files."""
    world = World(ENTRIES, configs, FILES)  # type: ignore[arg-type]
    return edited(text, world).updated(world)


def test_what_is_new_is_added_where_it_belongs_and_every_comment_stays() -> None:
    """A certificate behind the certificates, a binding below its table, an environment and a Worker behind theirs."""
    done = updated(BY_HAND, MORE, OTHER)
    assert lines_survive(BY_HAND, done.text)
    assert done.codes() == []
    assert done.changes == []
    assert done.errors == []
    assert done.text == BY_HAND.replace(
        'private_key = { env = "K" }   # a secret of the pipeline\n',
        'private_key = { env = "K" }   # a secret of the pipeline\n'
        "\n[certificates.ledger]\n"
        'certificate = "certs/ledger.pem"\n'
        '# private_key = { env = "LEDGER_KEY" }\n'
        f"supersedes = [\"{uid(2)}\"] # 'ledger', CN=client-2, ends 2027-10-24\n",
    ).replace(
        'BILLING = "billing"           # do not touch\n',
        'BILLING = "billing"           # do not touch\n'
        'LEDGER = "ledger"\n'
        "\n[workers.checkout.env.staging.bindings]\n"
        'BILLING = "billing"\n'
        "\n[workers.books]\n"
        'config = "apps/books/wrangler.jsonc"\n'
        "\n[workers.books.bindings]\n"
        'LEDGER = "ledger"\n',
    )


def test_nothing_new_leaves_every_byte() -> None:
    """And so does a second time."""
    assert updated(BY_HAND, ONE).text == BY_HAND
    done = updated(BY_HAND, MORE, OTHER)
    assert updated(done.text, MORE, OTHER).text == done.text


def test_a_binding_that_somebody_added_by_hand_is_declared_instead_of_being_unbound() -> None:
    """A plan before would have taken it out again."""
    world = World([entry(1, 1, "@billing")], [config({None: {"BILLING": uid(1), "TOO": uid(1)}})], FILES)
    before = edited(BY_HAND, world)
    assert [str(change.action) for change in before.plan.changes] == ["unbind"]
    assert before.updated(world).plan.changes == ()


LAYOUTS = {
    "windows line ends": BY_HAND.replace("\n", "\r\n"),
    "no newline at the end": BY_HAND.rstrip("\n").removesuffix("# --- the end ---").rstrip("\n"),
    "a comment without newline at the end": BY_HAND.rstrip("\n"),
    "a byte order mark": "\ufeff" + BY_HAND,
    "Workers before certificates": BY_HAND[: BY_HAND.index("# --- certificates")]
    + BY_HAND[BY_HAND.index("# --- Workers") : BY_HAND.index("# --- the end")]
    + BY_HAND[BY_HAND.index("# --- certificates") : BY_HAND.index("# --- Workers")],
    "indented": "".join(f"  {line}" if line.strip() else line for line in BY_HAND.splitlines(keepends=True)),
    "no Workers": BY_HAND[: BY_HAND.index("# --- Workers")],
    "no certificates": 'version = 1\nstack = "payments"\n',
    "an empty table": BY_HAND.replace('BILLING = "billing"           # do not touch\n', ""),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_keeps_its_lines_and_its_habits(layout: str) -> None:
    """Line ends, a mark, indentation, tables in another order: it means both, and no line is lost."""
    text = LAYOUTS[layout]
    done = updated(text, MORE, OTHER)
    assert lines_survive(text, done.text)
    assert ("\r\n" in text) == ("\r\n" in done.text)
    assert ("\r\n" in text) == ("\n" not in done.text.replace("\r\n", ""))
    assert done.text.startswith("\ufeff") == text.startswith("\ufeff")
    declaration, _ = parse_declaration(done.text.encode(), "mtls.toml", keys.KINDS)
    assert set(declaration.certificates) == {"billing", "ledger"}
    assert {
        (label, environment, binding.binding)
        for label, worker in declaration.workers.items()
        for environment, bindings in worker.environments.items()
        for binding in bindings
    } == {
        ("checkout", None, "BILLING"),
        ("checkout", None, "LEDGER"),
        ("checkout", "staging", "BILLING"),
        ("books", None, "LEDGER"),
    }


def test_a_file_that_came_later_is_declared_and_the_line_that_binds_its_id_is_kept() -> None:
    """The plan of the new file reports that line."""
    text = BY_HAND.replace('BILLING = "billing" ', f'BILLING = {{ id = "{uid(2)}", remote = true }} ')
    world = World(ENTRIES, [config({None: {"BILLING": uid(2)}})], FILES)
    done = edited(text, world).updated(world)
    assert lines_survive(text, done.text)
    assert done.values["certificates"]["ledger"]["supersedes"] == [uid(2)]
    again = done.updated(world)
    assert (again.text, again.codes()) == (done.text, [])


def test_two_uploads_with_one_name_are_told_apart_until_both_are_declared() -> None:
    """By common name, end and binding, and with the name that each got."""
    world = World(
        [entry(1, 1, "ledger", age=9), entry(2, 2, "ledger", age=3)],
        [config({None: {"LEDGER": uid(1)}, "staging": {"LEDGER": uid(2)}})],
        FILES,
    )
    taken = take_over(world)
    (found,) = taken.findings
    path = world.configs[0].path
    assert found.message == (
        "2 uploaded certificates have the name 'ledger': "
        f"{uid(1)} (CN=client-1, ends 2027-10-24, bound by LEDGER in {path} (top level), declared as 'ledger-2'), "
        f"{uid(2)} (CN=client-2, ends 2027-10-24, bound by LEDGER in {path} (staging), declared as 'ledger')"
    )
    assert taken.updated(world).codes() == []


BRACES = [
    ('[workers.checkout]\nconfig = "apps/checkout/wrangler.toml"\nbindings = { BILLING = "billing" }\n', 1),
    ('[workers.checkout]\nconfig = "apps/checkout/wrangler.toml"\nbindings.BILLING = "billing"\n', 1),
    ('[workers]\ncheckout = { config = "apps/checkout/wrangler.toml", bindings = { BILLING = "billing" } }\n', 2),
    (
        """\
[workers.checkout]
config = "apps/checkout/wrangler.toml"
bindings = { BILLING = "billing" }
env = { staging = {} }
""",
        2,
    ),
]


@pytest.mark.parametrize(("workers", "left"), BRACES, ids=["in braces", "dotted", "all in braces", "env in braces"])
def test_what_can_only_be_added_by_changing_a_line_is_left_to_a_person_with_the_lines(workers: str, left: int) -> None:
    """The rest is added."""
    text = BY_HAND[: BY_HAND.index("[workers")] + workers
    done = updated(text, MORE, OTHER)
    assert lines_survive(text, done.text)
    findings = [finding for finding in done.findings if finding.code == "update-by-hand"]
    assert len(findings) == left
    assert 'LEDGER = "ledger"' in (findings[0].hint or "")
    assert done.errors == []
    assert "ledger" in done.values["certificates"]


def test_what_needs_a_certificate_that_could_not_be_added_is_not_added_either() -> None:
    """The file is never left with a name that means nothing."""
    text = (
        'version = 1\nstack = "payments"\ncertificates = { billing = { certificate = "certs/billing.pem" } }\n'
        + BY_HAND[BY_HAND.index("[workers") :]
    )
    done = updated(text, MORE, OTHER)
    assert [finding.code for finding in done.findings] == ["update-by-hand"] * 3
    assert list(done.values["certificates"]) == ["billing"]
    assert list(done.values["workers"]) == ["checkout"]
    assert done.values["workers"]["checkout"]["env"]["staging"]["bindings"] == {"BILLING": "billing"}


def test_many_additions_are_tried_together_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial reads the whole text, so two hundred new Workers must not take two hundred."""
    tried: list[object] = []
    add = update._add

    def counted(text: str, addition: update.Addition) -> str | None:
        tried.append(addition)
        return add(text, addition)

    monkeypatch.setattr(update, "_add", counted)
    configs = [config({None: {"LEDGER": uid(2)}}, path=f"apps/{number}/wrangler.toml") for number in range(200)]
    done = updated(BY_HAND, ONE, *configs)
    assert len(done.values["workers"]) == 201
    assert len(tried) == 2  # the certificate, and all Workers


def test_what_can_not_be_declared_is_not_added_as_a_comment_again_and_again() -> None:
    """`drift --unused` has it."""
    doubtful = config({None: {"BILLING": uid(1), "LATER": "TODO"}, "staging": {"LATER": "TODO"}})
    assert updated(BY_HAND, doubtful).text == BY_HAND


def test_an_entry_that_is_not_the_current_one_of_its_certificate_is_bound_by_its_id() -> None:
    """So that nothing changes; the certificate of that name is another."""
    world = World(
        [entry(1, 1, "@billing", age=1), entry(3, 3, "@billing", age=60)],
        [config({None: {"BILLING": uid(1), "OLD": uid(3)}})],
        FILES,
    )
    done = edited(BY_HAND, world).updated(world)
    assert done.values["workers"]["checkout"]["bindings"] == {"BILLING": "billing", "OLD": {"id": uid(3)}}
    assert done.changes == []


def test_the_example_of_sixty_workers_keeps_all_its_lines() -> None:
    """Tables with headers, in braces and dotted: what is new beside it is added, and nothing it says is lost."""
    text = (EXAMPLES / "monorepo/mtls.toml").read_text()
    declaration, _ = parse_declaration(text.encode(), "mtls.toml", keys.KINDS)
    world = World(ENTRIES, [OTHER], FILES, stack="harbour")
    proposal, _ = propose(world.scene(Desired(declaration, {})))
    added, by_hand = update_declaration(text, declaration, only_new(proposal))
    assert by_hand == ()
    assert lines_survive(text, added)
    old, new = tomli.loads(text), tomli.loads(added)
    assert new["workers"].pop("books")["bindings"] == {"LEDGER": "ledger-2"}
    assert new["certificates"].pop("ledger-2")["certificate"] == "certs/ledger.pem"
    assert new == old


@RANDOM
@given(worlds(), worlds())
def test_in_random_worlds_an_update_takes_over_what_came_later(first: World, then: World) -> None:
    """Whatever was taken over before: every line stays, all that can be declared is, and the plan stays empty."""
    before = take_over(first)
    paths = {file.path for file in first.configs}
    fresh = [replace(file, path=f"new/{file.path}") for file in then.configs]
    fresh = [file for file in fresh if file.path not in paths]
    later = replace(first, configs=[*first.configs, *fresh])
    done = before.updated(later)
    assert lines_survive(before.text, done.text)
    assert "update-by-hand" not in done.codes()
    assert done.changes == []
    assert done.errors == []
    assert all_taken(done)
    assert done.updated(later).text == done.text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.data())
def test_bindings_that_were_taken_out_are_added_again(world: World, data: st.DataObject) -> None:
    """Any line of a bindings table, or none."""
    taken = take_over(world)
    lines = taken.text.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if ".bindings]" in line and not line.startswith("#")]
    bound = [number + 1 for number in starts if number + 1 < len(lines) and " = " in lines[number + 1]]
    gone = data.draw(st.sets(st.sampled_from(bound))) if bound else set()
    text = "".join(line for number, line in enumerate(lines) if number not in gone or line.startswith("#"))
    again = taken.edited(text).updated(world)
    assert lines_survive(text, again.text)
    assert again.changes == []
    assert all_taken(again)
