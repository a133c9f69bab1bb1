"""Taking over what is there: what is declared, by what name, what stays a comment; and never a change."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import keys
from reconciler.desired.parse import parse_declaration
from reconciler.desired.rules import accepts, check_binding_name, check_environment_name, name_rule
from reconciler.findings.codes import Severity
from reconciler.model import Action, ById, Entry, EntryId, Policy, StoreKind, StoreSettings, WranglerFile
from reconciler.takeover.adoption import Adoption
from reconciler.takeover.names import NAME_LENGTH, STACK_LENGTH, Names, default_stack, fit_name
from reconciler.takeover.propose import propose
from reconciler.takeover.proposed import FoundCertificate, Proposal
from reconciler.takeover.write import EXAMPLE, EXPORTED, HEAD, POLICY, write_declaration
from reconciler.views.json.takeover import init_document
from reconciler.views.table import Display
from reconciler.views.text.adoption import show_adoption
from tests.support.pki import make_ca
from tests.support.takeover_worlds import Tables, Taken, World, in_account, take_over
from tests.support.worlds import REAL_ID, STACK, entry, file, uid

UNKNOWN = "10ca1000-dead-4bad-9bad-f0f1f2f3f4f5"
APP = "apps/checkout/wrangler.toml"


def config(tables: Tables, *, path: str = APP, name: str | None = "checkout") -> WranglerFile:
    """A wrangler file."""
    return replace(file(tables, path=path), worker_name=name)


def take(entries: list[Entry], tables: Tables, files: dict[str, int] | None = None, **more: object) -> Taken:
    """One Worker, taken over."""
    return take_over(World(entries, [config(tables)], files or {}, **more))  # type: ignore[arg-type]


def unchanged(taken: Taken) -> bool:
    """Whether its plan is empty and has no error."""
    return taken.plan.changes == () and taken.errors == []


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("billing", "billing"),
        ("Billing (prod) 2025", "billing-prod-2025"),
        ("Zürich_Bank.pem", "zurich-bank-pem"),
        ("--a--", "a"),
        ("x" * 60, "x" * 48),
        ("a" * 47 + "-b", "a" * 47),
        ("日本", ""),
        ("", ""),
    ],
)
def test_a_name_is_made_fit(text: str, name: str) -> None:
    """As near to it as mtls.toml takes names."""
    assert fit_name(text) == name


@given(st.text(max_size=70))
def test_whatever_is_made_fit_is_taken_by_mtls_toml(text: str) -> None:
    """A stack and a certificate."""
    assert accepts(name_rule("stack name", STACK_LENGTH), default_stack(text))
    assert fit_name(text) == "" or accepts(name_rule("certificate name", NAME_LENGTH), fit_name(text))


def test_a_name_is_given_once() -> None:
    """With a number, which fits in."""
    names = Names(["billing"])
    assert [names.give("Billing", fallback="x") for _ in range(3)] == ["billing-2", "billing-3", "billing-4"]
    assert [names.give("", "!", fallback="x"), names.give(fallback="x")] == ["x", "x-2"]
    assert [names.give("y" * 48, fallback="x"), names.give("y" * 48, fallback="x")] == ["y" * 48, "y" * 46 + "-2"]


# --- certificates ---------------------------------------------------------------------------------------------------


def test_an_entry_in_use_is_matched_to_a_file_by_content_and_handed_over() -> None:
    """Whatever file and entry are called; no key, no upload, no change."""
    taken = take([entry(1, 1, "Billing 2025")], {None: {"BILLING": uid(1)}}, {"certs/anything.pem": 1})
    assert taken.values["certificates"] == {
        "billing-2025": {"certificate": "certs/anything.pem", "supersedes": [uid(1)]}
    }
    assert taken.values["workers"]["checkout"]["bindings"] == {"BILLING": "billing-2025"}
    assert unchanged(taken)
    assert [adopted.entry.id for adopted in taken.plan.adopted] == [uid(1)]
    assert '# private_key = { env = "BILLING_2025_KEY" }' in taken.text


def test_a_key_file_beside_the_certificate_is_a_comment() -> None:
    """It is needed when the certificate is renewed."""
    world = World(
        [entry(1, 1, "billing")], [config({None: {"B": uid(1)}})], {"c/b.pem": 1}, keys={"c/b.pem": "c/b.key"}
    )
    assert '# private_key = "c/b.key"' in take_over(world).text


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("Billing", "certs/x.pem", "billing"),
        ("", "certs/x.pem", "x"),
        ("日本", "certs/日本.pem", "client-1"),
        ("@ledger", "certs/x.pem", "ledger"),
    ],
    ids=["the entry's name", "without one the file's", "without that the subject's", "our own mark"],
)
def test_a_certificate_is_named_by_its_entry_its_file_or_its_subject(name: str, path: str, expected: str) -> None:
    """The first of which anything is left."""
    assert list(take([entry(1, 1, name)], {None: {"B": uid(1)}}, {path: 1}).values["certificates"]) == [expected]


def test_what_our_own_mark_is_on_needs_no_handing_over() -> None:
    """`--same-stack`: the file was lost, and is made again."""
    taken = take([entry(1, 1, "@billing")], {None: {"B": uid(1)}}, {"c.pem": 1})
    assert taken.values["certificates"] == {"billing": {"certificate": "c.pem"}}
    assert unchanged(taken)


def test_of_two_entries_with_one_name_the_later_has_it_as_it_is() -> None:
    """Both are in use: uploaded twice by hand, and bound here and there. That is said."""
    entries = [entry(1, 1, "billing", age=60), entry(2, 2, "billing", age=1)]
    taken = take(entries, {None: {"OLD": uid(1), "NEW": uid(2)}}, {"old.pem": 1, "new.pem": 2})
    certificates = taken.values["certificates"]
    assert {name: one["certificate"] for name, one in certificates.items()} == {
        "billing": "new.pem",
        "billing-2": "old.pem",
    }
    assert taken.codes() == ["name-twice"]
    assert unchanged(taken)


def test_an_entry_without_a_file_is_bound_by_its_id() -> None:
    """And is not managed here, as the line says."""
    taken = take([entry(1, 1, "billing")], {None: {"BILLING": uid(1)}})
    assert "certificates" not in taken.values
    assert taken.values["workers"]["checkout"]["bindings"] == {"BILLING": {"id": uid(1)}}
    assert f'BILLING = {{ id = "{uid(1)}" }} # not managed here\n' in taken.text
    assert unchanged(taken)


def test_an_entry_of_another_stack_is_bound_by_its_id_though_its_file_is_there() -> None:
    """That stack rotates it."""
    taken = take([entry(1, 1, "@billing", stack="other")], {None: {"B": uid(1)}}, {"c.pem": 1})
    assert taken.values["workers"]["checkout"]["bindings"] == {"B": {"id": uid(1)}}
    assert "# billing, managed by the stack 'other'" in taken.text
    assert unchanged(taken)


def test_of_several_entries_with_one_content_one_is_the_certificate() -> None:
    """The others stay bound by their ids, so that nothing changes."""
    entries = [entry(1, 1, "one", age=9), entry(2, 1, "two", age=60), entry(3, 1, "three")]
    taken = take(entries, {None: {"A": uid(1), "B": uid(2)}, "staging": {"C": uid(1)}}, {"c.pem": 1})
    worker = taken.values["workers"]["checkout"]
    assert worker["bindings"] == {"A": {"id": uid(1)}, "B": "two"}
    assert f'A = {{ id = "{uid(1)}" }} # uploaded twice; bind it by name to renew it\n' in taken.text
    assert worker["env"]["staging"]["bindings"] == {"C": {"id": uid(1)}}
    assert unchanged(taken)


def test_of_several_files_with_one_content_the_one_with_the_shortest_path_is_taken() -> None:
    """A copy in a backup folder is no surprise."""
    taken = take([entry(1, 1, "x")], {None: {"A": uid(1)}}, {"backup/2025/c.pem": 1, "certs/c.pem": 1})
    assert taken.values["certificates"]["x"]["certificate"] == "certs/c.pem"


def test_a_file_that_git_ignores_is_not_declared() -> None:
    """Another checkout would not have it. It is said."""
    taken = take([entry(1, 1, "x")], {None: {"A": uid(1)}}, {"c.pem": 1}, ignored=frozenset({"c.pem"}))
    assert taken.values["workers"]["checkout"]["bindings"] == {"A": {"id": uid(1)}}
    assert taken.codes() == ["ignored-by-git"]


def test_a_file_with_another_chain_is_named_and_not_suggested() -> None:
    """To the store it may be the same certificate."""
    chained = make_ca("Root").issue_ca("Between").issue("chained")
    leaf = replace(entry(1, 1, "x"), certificates=chained.certificate_pem.decode())
    scene = World([leaf], [config({None: {"A": uid(1)}})]).scene()
    scene = replace(scene, certificates=(FoundCertificate("c.pem", chained.bundle),))
    proposal, findings = propose(scene)
    assert [finding.code for finding in findings] == ["chain-differs"]
    assert (proposal.certificates, proposal.suggestions) == ((), ())
    assert proposal.workers[0].environments[0].bindings[0].target == ById(uid(1))


def test_a_ca_of_which_the_file_is_there_is_declared_as_one() -> None:
    """Others than Workers use it; one without a file is left alone."""
    entries = [entry(1, 1, "partner", ca=True), entry(2, 2, "other", ca=True)]
    taken = take(entries, {None: {"A": uid(3)}}, {"ca.pem": 1})
    assert taken.values["certificates"] == {"partner": {"certificate": "ca.pem", "ca": True, "supersedes": [uid(1)]}}
    assert unchanged(taken)


def test_files_that_no_entry_in_use_has_are_suggested_as_comments() -> None:
    """Stored and not bound, or not stored; nothing of it is declared."""
    taken = take([entry(1, 1, "legacy")], {None: {"A": "TODO"}}, {"old.pem": 1, "new.pem": 2})
    assert "certificates" not in taken.values
    assert '# [certificates.legacy]\n# certificate = "old.pem"' in taken.text
    assert '# [certificates.new]\n# certificate = "new.pem"' in taken.text


def test_a_suggestion_without_its_signs_is_a_declaration() -> None:
    """Whoever takes the # away has what was meant."""
    taken = take([], {None: {"NEW": "TODO"}}, {"new.pem": 2}, keys={"new.pem": "new.key"})
    start = taken.text.index("# [certificates.new]")
    text = taken.text[:start] + re.sub(r"(?m)^# (?=[a-zA-Z\[])", "", taken.text[start:]).replace(
        "Workers.", "# Workers."
    )
    values = taken.edited(text).values
    assert values["certificates"]["new"] == {"certificate": "new.pem", "private_key": "new.key"}
    assert values["workers"]["checkout"]["bindings"] == {"NEW": "new"}


# --- bindings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "remark", "guess"),
    [
        ("TODO", "was the placeholder 'TODO'", '"NAME"'),
        ("", "was the placeholder ''", '"NAME"'),
        (UNKNOWN, f"was {UNKNOWN}, which the local store did not have", '"NAME"'),
        (
            uid(1).replace("0000-4000", "0000-4009"),
            f"was {uid(1).replace('0000-4000', '0000-4009')}, which",
            '"billing"',
        ),
        (uid(2).upper(), f"was {uid(2).upper()}, which", f'{{ id = "{uid(2)}" }}'),
        (uid(3), f"was {uid(3)}, a CA, which a Worker can't use", '"NAME"'),
        (REAL_ID, f"was {REAL_ID}, an ID from a Cloudflare account", '"NAME"'),
    ],
    ids=["placeholder", "empty", "unknown", "slip of the pen", "capitals", "CA", "other store"],
)
def test_what_can_not_be_declared_is_a_comment_with_its_reason_and_what_may_be_meant(
    text: str, remark: str, guess: str
) -> None:
    """And the environment's other bindings are declared."""
    entries = [entry(1, 1, "billing"), entry(2, 9, "ledger"), entry(3, 3, "ca", ca=True)]
    taken = take(entries, {None: {"GOOD": uid(1), "ALSO": uid(2), "BAD": text}}, {"b.pem": 1})
    assert set(taken.values["workers"]["checkout"]["bindings"]) == {"GOOD", "ALSO"}
    (line,) = [line for line in taken.text.splitlines() if "BAD" in line]
    assert line.startswith(f"# BAD = {guess} # {remark}")
    assert unchanged(taken)


def test_a_placeholder_is_guessed_by_the_name_of_its_binding() -> None:
    """`MY_CERT` and `my-cert`."""
    entries = [entry(1, 1, "my cert"), entry(2, 2, "Other")]
    tables: Tables = {None: {"A": uid(1), "B": uid(2), "MY_CERT": "TODO", "OTHER": "TODO"}}
    taken = take(entries, tables, {"c.pem": 1})
    assert '# MY_CERT = "my-cert" # was the placeholder' in taken.text
    assert f'# OTHER = {{ id = "{uid(2)}" }} # was the placeholder' in taken.text


def test_an_environment_of_which_nothing_can_be_declared_stays_a_comment() -> None:
    """Declared empty it would say that it needs none."""
    taken = take([entry(1, 1, "x")], {None: {"A": uid(1)}, "my env": {"A": "TODO"}}, {"c.pem": 1})
    assert "env" not in taken.values["workers"]["checkout"]
    assert '# [workers.checkout.env."my env".bindings]\n# A = "NAME" # was the placeholder' in taken.text


def test_a_forgotten_environment_is_pointed_out_with_the_lines_of_the_top_level() -> None:
    """wrangler would deploy it without any certificate; so the plan warns until somebody decides."""
    taken = take([entry(1, 1, "x")], {None: {"A": uid(1)}, "staging": {}}, {"c.pem": 1})
    assert (
        "# wrangler does not inherit bindings. Declare those that staging needs, or the empty table.\n"
        '# [workers.checkout.env.staging.bindings]\n# A = "x"\n'
    ) in taken.text
    assert [problem.code for problem in taken.plan.diagnostics if "environment" in problem.code] == [
        "undeclared-environment"
    ]
    assert unchanged(taken)


def test_an_environment_with_some_of_the_bindings_is_noted() -> None:
    """wrangler notes it, too; maybe it is meant."""
    taken = take([entry(1, 1, "x")], {None: {"A": uid(1), "B": uid(1)}, "staging": {"A": uid(1)}}, {"c.pem": 1})
    assert taken.codes() == ["environment-lacks"]
    assert taken.findings[0].message == f"{APP} (staging) lacks some bindings of the top level: B"


def test_a_binding_whose_name_can_not_be_declared_is_left_alone_for_good() -> None:
    """`exclusive = false`, else it would be unbound as one that is no longer declared."""
    taken = take([entry(1, 1, "@x")], {None: {"A": uid(1), "MY-CERT": uid(1)}}, {"c.pem": 1})
    assert taken.values["workers"]["checkout"]["exclusive"] is False
    assert taken.codes() == ["binding-undeclarable"]
    assert unchanged(taken)


def test_a_ca_that_somebody_bound_by_mistake_is_not_unbound() -> None:
    """Though it is declared as a CA and handed over: it is said, and left to a person."""
    entries = [entry(1, 1, "partner", ca=True), entry(2, 2, "@x")]
    taken = take(entries, {None: {"A": uid(2), "B": uid(1)}}, {"ca.pem": 1, "x.pem": 2})
    assert taken.values["workers"]["checkout"]["exclusive"] is False
    assert unchanged(taken)


def test_an_environment_of_another_account_is_left_out() -> None:
    """Its ids mean nothing here."""
    found = config({None: {"A": REAL_ID}, "other": {"A": REAL_ID}})
    other = replace(found.environments["other"], account_id="b" * 32)
    there = replace(found, environments={**found.environments, "other": other})
    known = replace(entry(1, 1, "x"), id=EntryId(REAL_ID))
    taken = take_over(World([known], [there], {"c.pem": 1}, store=in_account()))
    assert taken.values["workers"]["checkout"] == {"config": APP, "bindings": {"A": "x"}}
    assert taken.codes() == ["left-out"]
    assert unchanged(taken)


def test_an_environment_that_a_pages_project_can_not_have_is_left_out() -> None:
    """wrangler stops at it."""
    found = replace(config({"preview": {"A": uid(1)}, "staging": {"A": uid(1)}}), pages=True)
    taken = take_over(World([entry(1, 1, "x")], [found], {"c.pem": 1}))
    assert list(taken.values["workers"]["checkout"]["env"]) == ["preview"]
    assert taken.codes() == ["left-out"]
    assert unchanged(taken)


def test_workers_are_labelled_by_their_name_else_by_their_folder() -> None:
    """Each once."""
    tables: Tables = {None: {"A": uid(1)}}
    names = {
        "a/wrangler.toml": "Shop",
        "b/wrangler.toml": "shop",
        "web-app/wrangler.jsonc": None,
        "wrangler.json": None,
    }
    configs = [config(tables, path=path, name=name) for path, name in names.items()]
    taken = take_over(World([entry(1, 1, "x")], configs, {"c.pem": 1}))
    assert {label: one["config"] for label, one in taken.values["workers"].items()} == {
        "shop": "a/wrangler.toml",
        "shop-2": "b/wrangler.toml",
        "web-app": "web-app/wrangler.jsonc",
        "worker": "wrangler.json",
    }
    assert unchanged(taken)


def test_a_path_that_mtls_toml_can_not_have_is_left_out() -> None:
    """It is said, and the rest goes on."""
    configs = [config({None: {"A": uid(1)}}, path="~x/wrangler.toml"), config({None: {"A": uid(1)}})]
    taken = take_over(World([entry(1, 1, "x")], configs, {"c.pem": 1}))
    assert list(taken.values["workers"]) == ["checkout"]
    assert taken.codes() == ["left-out"]


def test_an_id_that_the_list_lacks_and_the_store_knows_is_bound_by_it() -> None:
    """Lists lag; a certificate that is not listed would be uploaded again."""
    late = entry(5, 5, "late")
    taken = take_over(World([], [config({None: {"A": uid(5)}})], {"c.pem": 5}, lagging=[late]))
    assert taken.values["workers"]["checkout"]["bindings"] == {"A": {"id": uid(5)}}
    assert unchanged(taken)


# --- the text -------------------------------------------------------------------------------------------------------


def test_an_empty_proposal_is_a_file_with_an_example() -> None:
    """It means nothing but its stack and its store, and its first line names the schema."""
    taken = take_over(World(stack="shop"))
    assert taken.values == {"version": 1, "stack": "shop", "store": {"kind": "local"}}
    assert taken.text.startswith("#:schema ./schemas/mtls.schema.json\n")
    assert unchanged(taken)


def test_the_example_without_its_signs_is_a_declaration() -> None:
    """What a newcomer copies is right."""
    parsed, _ = parse_declaration(f'version = 1\nstack = "x"\n{EXAMPLE}'.encode(), "mtls.toml", keys.KINDS)
    assert (list(parsed.certificates), list(parsed.workers)) == (["billing"], ["checkout"])


def test_the_policy_in_the_comment_is_the_default_policy() -> None:
    """But for `renew_before`, whose default is no value."""
    parsed, _ = parse_declaration(f'version = 1\nstack = "x"\n{POLICY}'.encode(), "mtls.toml", keys.KINDS)
    assert replace(parsed.policy, renew_before=None) == Policy()


def test_an_account_stands_in_the_file_and_a_raised_limit_too() -> None:
    """The token never does."""
    store = StoreSettings(StoreKind.CLOUDFLARE, "a" * 32, 5000)
    text = write_declaration(Proposal("shop", store), about=EXPORTED)
    parsed, _ = parse_declaration(text.encode(), "mtls.toml", keys.KINDS)
    assert parsed.store == store
    assert "the token: CLOUDFLARE_API_TOKEN, never here" in text


def test_words_that_explain_are_comments_in_whole_lines() -> None:
    """No line is longer than a screen."""
    text = take([entry(1, 1, "x")], {None: {"A": uid(1)}}, {"c.pem": 1}).text
    assert all(f"# {line}\n" in text for line in HEAD.splitlines())
    assert max(map(len, text.splitlines())) <= 120


HOSTILE = ['a"]\nx = 1 #', "\x1b[2J", "\u202e", "##[error]x", "'''", "\\", "a\r\nstack = 1", "日本", "", "::error::x"]


def comments(text: str) -> list[str]:
    """The comments of a text that are words, not lines that could be declared; without the facts of old uploads."""
    found = (line.partition("# ")[2] for line in text.splitlines() if "# " in line)
    words = (one.partition(" # ")[2] if re.match(r'[\w"]+ = |\[', one) else one for one in found)
    return [one.partition(", CN=")[0] for one in words if one]


def test_no_comment_says_what_a_rotation_makes_untrue() -> None:
    """No date, no count, no id of what is uploaded now: the same world a year later has the same comments.

    An entry's name is at its id, and can't change; what a wrangler file had is told of the past.
    """

    def text(*, age: float, content: int, more: int) -> str:
        entries = [
            entry(1, content, "Billing", age=age),
            entry(2, content + 1, "no file", age=age),
            entry(3, content, "twice", age=age - 1),
            entry(4, content + 2, "@ledger", age=age, stack="other"),
            entry(5, content + 3, "unused", age=age),
        ]
        tables: Tables = {
            None: {
                "A": uid(1),
                "B": uid(2),
                "C": uid(3),
                "D": uid(4),
                "TODO": "<ID>",
                "GONE": UNKNOWN,
                "MY-CERT": uid(1),
            },
            "staging": {},
        }
        bound = {f"MORE_{number}": uid(1) for number in range(more)}
        files = {"b.pem": content, "unused.pem": content + 3, "new.pem": content + 4}
        return take(entries, {**tables, "prod": {"A": uid(1), **bound}}, files).text

    before, after = text(age=400, content=1, more=0), text(age=30, content=11, more=5)
    assert comments(before) == comments(after)
    assert not any(re.search(r"\d{4}-\d\d-\d\d", one) for one in comments(before))
    assert not any(uid(number) in one for one in comments(before) for number in range(1, 6))
    assert "'Billing'" in comments(before)


def test_names_of_others_are_data_in_the_text() -> None:
    """Entries, Workers, environments and bindings, whatever they are called: it means what it should, on one line."""
    for hostile in HOSTILE:
        tables: Tables = {None: {"A": uid(1), hostile or "X": "TODO"}, hostile: {"B": uid(1), "C": hostile}}
        world = World(
            [entry(1, 1, hostile), entry(2, 2, hostile)],
            [config(tables, path="a/wrangler.toml", name=hostile), config({None: {"A": uid(2)}}, name=hostile)],
            {"c.pem": 1},
        )
        taken = take_over(world)
        assert set(taken.values) == {"version", "stack", "store", "certificates", "workers"}
        assert unchanged(taken)
        lines = taken.text.split("\n")
        assert all(line.isprintable() for line in lines)
        assert not any(re.search(r"##\w*\[", line) for line in lines if line.startswith("#"))
        assert not any(line.startswith("::") for line in lines)


# --- random worlds --------------------------------------------------------------------------------------------------

NAMES = ["billing", "Billing!", "ledger", "@billing", "@ledger", "", *HOSTILE[:5]]
BINDINGS = ["BILLING", "LEDGER", "B", "MY-CERT", "名", 'x"y']
ENVIRONMENTS = [None, "staging", "my env", "a.b", 'e"f']
PATHS = ["certs/a.pem", "certs/b.pem", "b.crt", "deep/er/c.pem", "certs/ü ö.pem"]
CONTENTS = [1, 2, 3, 4]


@st.composite
def entries_of(draw: st.DrawFn) -> list[Entry]:
    """Any store: some contents twice, marks of this stack and of another, CAs, managed ones."""
    return [
        entry(
            number,
            draw(st.sampled_from(CONTENTS)),
            draw(st.sampled_from(NAMES)),
            age=draw(st.integers(0, 3)) * 20,
            stack=draw(st.sampled_from([STACK, "other"])),
            ca=draw(st.sampled_from([False, False, False, True])),
            type=draw(st.sampled_from(["custom", "custom", "custom", "gateway_managed"])),
        )
        for number in range(1, draw(st.integers(1, 6)))
    ]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any store, any wrangler files, any certificate files."""
    entries = draw(entries_of())
    texts = [*(one.id for one in entries), *(one.id for one in entries), uid(1).upper(), uid(77), "TODO", REAL_ID, ""]
    table = st.dictionaries(st.sampled_from(BINDINGS), st.sampled_from(texts), max_size=4)
    configs = [
        config(
            {None: draw(table), **draw(st.dictionaries(st.sampled_from(ENVIRONMENTS[1:]), table, max_size=2))},
            path=f"apps/{number}/wrangler.{draw(st.sampled_from(['toml', 'json', 'jsonc']))}",
            name=draw(st.sampled_from(["shop", "shop", None, "Shop 2"])),
        )
        for number in range(draw(st.integers(0, 3)))
    ]
    files = draw(st.dictionaries(st.sampled_from(PATHS), st.sampled_from(CONTENTS)))
    ignored = draw(st.frozensets(st.sampled_from(PATHS), max_size=1))
    return World(entries, configs, files, ignored, dict.fromkeys(files, "x.key"))


def all_taken(taken: Taken) -> bool:
    """Whether every binding that could be declared is, and presents just the entry that it presents now."""
    current = {adopted.certificate: adopted.entry.id for adopted in taken.plan.adopted}
    entries = {one.id: one for one in taken.world.entries}
    bound = taken.values.get("workers", {}).values()
    by_config = {worker["config"]: worker for worker in bound}
    for found in taken.world.configs:
        for name, environment in found.environments.items():
            worker = by_config.get(found.path, {})
            table = worker if name is None else worker.get("env", {}).get(name, {})
            for one in environment.bindings:
                known = entries.get(EntryId(one.certificate_id))
                able = accepts(check_binding_name, one.binding) and (
                    name is None or accepts(check_environment_name, name)
                )
                target = table.get("bindings", {}).get(one.binding)
                if known is None or known.ca or not able:
                    if target is not None:
                        return False
                elif (target["id"] if isinstance(target, dict) else current.get(target)) != one.certificate_id:
                    return False
    return True


RANDOM = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@RANDOM
@given(worlds())
def test_taking_over_any_world_changes_nothing_and_leaves_nothing_out(world: World) -> None:
    """The text is taken by the parser, its plan has no change and no error, and every binding is what it was."""
    taken = take_over(world)
    assert taken.changes == []
    assert taken.errors == []
    assert all_taken(taken)
    assert all(finding.severity is not Severity.ERROR for finding in taken.findings)


@RANDOM
@given(worlds())
def test_taking_over_twice_adds_nothing(world: World) -> None:
    """`--update` of what was just written."""
    taken = take_over(world)
    again = taken.updated(world)
    assert again.text == taken.text
    assert "update-by-hand" not in again.codes()


# --- the report -----------------------------------------------------------------------------------------------------


def test_changes_of_the_plan_are_announced() -> None:
    """A stack that is taken up again may have an old entry that is due to go."""
    entries = [entry(1, 1, "@billing", age=60), entry(2, 2, "@billing", age=30)]
    taken = take(entries, {None: {"BILLING": uid(2)}}, {"new.pem": 2})
    assert [str(change.action) for change in taken.plan.changes] == ["retire"]
    done = Adoption("mtls.toml", False, True, STACK, StoreSettings(), ("mtls.toml",), taken.proposal, (), taken.plan)
    text = show_adoption(done, Display())
    assert "`mtlsctl plan` has 1 change: 1 deletion." in text
    assert init_document(done, lambda _: None).pending[Action.RETIRE] == 1


def test_hostile_names_are_text_in_the_report() -> None:
    """Paths and stacks are shown as one line."""
    done = take([entry(1, 1, "x")], {None: {"A": uid(1)}}, {"c.pem": 1})
    report = Adoption("\x1b[2J", False, True, "\u202e", StoreSettings(), ("a\nb",), done.proposal, (), done.plan)
    text = show_adoption(report, Display())
    assert not {"\x1b", "\u202e"} & set(text)
    assert "a\\x0ab" in text
