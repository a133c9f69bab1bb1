"""Acts that write files end as a pull request that is found again by its branch, and the checkout stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from reconciler.model.key_places import FileSink
from tests.runs.ci.test_renew import CA, TreeSink
from tests.support.cli import Result
from tests.support.estates import ACCOUNTS, FLEET, Estate, make_estate
from tests.support.forges import TOKEN, FakeRepository, GitHub
from tests.support.gitlab import GitLab
from tests.support.renewing import CaIssuer, Gate

NOW = datetime.now(UTC).replace(microsecond=0)
BRANCH = f"mtlsctl/apply/{ACCOUNTS[0][:8]}/s1"
RENEWAL = f"mtlsctl/renew/{ACCOUNTS[0][:8]}/s1/billing"
STATE = ".mtlsctl/fleet.json"


class Forged(Estate):
    """An estate with a repository on a forge."""

    forge: FakeRepository

    def rotates(self, act: str = "rotate", *, forge: bool = True) -> None:
        """What fleet.toml allows."""
        text = FLEET.replace('act = "retire"', f'act = "{act}"')
        if forge:
            is_gitlab = isinstance(self.forge, GitLab)
            named, path = ('gitlab = "acme/team/shop"', "/api/v4") if is_gitlab else ('github = "acme/shop"', "")
            text += f'\n[forge]\n{named}\ntoken = {{ env = "FORGE_TOKEN" }}\nurl = "{self.forge.url}{path}"\n'
        self.write("fleet.toml", text)

    def commit(self) -> None:
        """Commit what is there, and give the forge the same commit."""
        self.git("add", ".")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        names, commit = self.git("ls-files").splitlines(), self.git("rev-parse", "HEAD")
        self.forge.commit(commit, {name: (self.folder / name).read_bytes() for name in names})
        self.forge.branches["main"] = commit

    def pass_(self) -> Result:
        """A pass over the first stack."""
        done = self.run("fleet", "run", "--all", "--only", "s1", "--format", "json")
        written = (path for path in self.folder.rglob("*") if path.is_file())
        assert not any(TOKEN.encode() in path.read_bytes() for path in written)
        assert TOKEN not in done.out + done.err
        return done

    def status(self) -> str:
        """What git says of the checkout."""
        return self.git("status", "--porcelain", "--untracked-files=all")


@pytest.fixture(params=[GitHub, GitLab])
def estate(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Forged]:
    """One stack in each account; the first has a renewed certificate in its checkout, and the old one is bound."""
    forge: FakeRepository = request.param()
    with forge.running(), make_estate(tmp_path / "checkout", stacks=3) as made:
        made.__class__ = Forged
        assert isinstance(made, Forged)
        made.forge = forge
        made.environ["FORGE_TOKEN"] = TOKEN
        made.write(".gitignore", ".mtlsctl\n")
        made.apply("one/s1", 0)
        made.put("one/s1", 1, 501)
        made.rotates()
        made.commit()
        yield made


def test_a_rotation_is_uploaded_and_its_binding_proposed(estate: Forged) -> None:
    """The checkout is as before: the change is in the pull request alone."""
    before = estate.read("one/s1/wrangler.toml")
    result = estate.pass_()
    (one,) = result.json["stacks"]
    assert (result.code, estate.entries(0)) == (2, 2)
    assert one["note"].endswith("proposed: https://forge.example/acme/shop/30")
    (pull,) = estate.forge.pulls
    assert (pull["head"], pull["base"], pull["title"]) == (BRANCH, "main", "Use the renewed certificates of s1")
    proposed = estate.forge.files_of(BRANCH)["one/s1/wrangler.toml"].decode()
    assert (proposed != before, estate.read("one/s1/wrangler.toml")) == (True, before)
    assert estate.status() == ""


def test_the_next_pass_finds_its_pull_request_and_opens_no_other(estate: Forged) -> None:
    """Nothing is uploaded or committed twice."""
    estate.pass_()
    commits = len(estate.forge.commits)
    result = estate.pass_()
    assert result.json["stacks"][0]["note"].endswith("shop/30")
    assert (len(estate.forge.pulls), len(estate.forge.commits), estate.entries(0)) == (1, commits, 2)


def test_what_was_proposed_before_takes_no_place_from_others(estate: Forged) -> None:
    """Else 20 pull requests that no one merges would stop the fleet."""
    estate.pass_()
    estate.outdate("two/s2", 1, 2)
    estate.run("fleet", "run", "--all", "--only", "s2")
    estate.put("two/s2", 2, 602)
    estate.apply("two/s2", 1)
    estate.write("fleet.toml", estate.read("fleet.toml").replace('act = "rotate"', 'act = "rotate"\nmax_acts = 1'))
    result = estate.run("fleet", "run", "--all", "--format", "json")
    assert [one.get("note", "")[:7] for one in result.json["stacks"]] == ["allowed", "allowed", "nothing"]
    assert (len(estate.forge.pulls), estate.entries(1)) == (1, 1)


def test_another_change_goes_into_the_open_pull_request(estate: Forged) -> None:
    """As when the certificate was renewed again before it was merged."""
    estate.pass_()
    first = estate.forge.files_of(BRANCH)["one/s1/wrangler.toml"]
    estate.put("one/s1", 1, 601)
    estate.commit()
    estate.pass_()
    assert (len(estate.forge.pulls), estate.entries(0)) == (1, 3)
    assert estate.forge.files_of(BRANCH)["one/s1/wrangler.toml"] != first


def test_once_it_is_merged_and_checked_out_the_old_certificate_is_deleted(estate: Forged) -> None:
    """Upload, bind, then retire, over three passes; before that a merge that is not checked out is named."""
    estate.pass_()
    estate.forge.pulls[0]["state"] = "merged"
    result = estate.pass_()
    assert "but this checkout does not have it yet" in result.out
    assert (len(estate.forge.pulls), estate.entries(0)) == (1, 2)
    estate.write("one/s1/wrangler.toml", estate.forge.files_of(BRANCH)["one/s1/wrangler.toml"])
    estate.commit()
    assert (estate.pass_().code, estate.entries(0)) == (0, 1)
    assert len(estate.forge.pulls) == 1


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("open", "waits for the merge of https://forge.example/acme/shop/30"),
        ("closed", "https://forge.example/acme/shop/30 was closed without a merge"),
        ("merged", "https://forge.example/acme/shop/30 was merged, but this checkout does not have it yet"),
    ],
)
def test_a_stack_is_not_ok_before_its_pull_request_is_merged_and_checked_out(
    estate: Forged, state: str, said: str
) -> None:
    """By the pass, the plan, the status and the metrics of that moment."""
    estate.pass_()
    estate.forge.pulls[0]["state"] = state
    done, shown = estate.pass_(), estate.run("fleet", "status", "--only", "s1")
    assert (done.code, estate.run("fleet", "plan", "--only", "s1").code, shown.code) == (2, 2, 2)
    assert said in " ".join(shown.out.split())
    assert shown.out.splitlines()[1].split()[0] == "changes"
    metrics = estate.run("fleet", "status", "--only", "s1", "--format", "prometheus").out
    assert 'fleet_stack_changes{stack="s1",account="shop",action="rebind"} 1' in metrics


def test_what_was_closed_without_a_merge_is_not_proposed_again(estate: Forged) -> None:
    """Until its branch is deleted."""
    estate.pass_()
    estate.forge.pulls[0]["state"] = "closed"
    result = estate.pass_()
    assert "was closed without a merge" in result.out
    assert len(estate.forge.pulls) == 1
    del estate.forge.branches[BRANCH]
    estate.pass_()
    assert len(estate.forge.pulls) == 2


def test_what_is_proposed_again_is_opened_by_the_next_pass_if_one_ends_in_between(estate: Forged) -> None:
    """Its branch has a commit that no pull request has."""
    estate.pass_()
    estate.forge.pulls[0]["state"] = "closed"
    del estate.forge.branches[BRANCH]
    estate.forge.fail(estate.forge.opens, 403)
    assert (estate.pass_().code, len(estate.forge.pulls)) == (1, 1)
    assert (estate.pass_().code, len(estate.forge.pulls)) == (2, 2)


def test_without_a_forge_nothing_that_writes_files_is_done(estate: Forged) -> None:
    """It is reported by all commands, and pending; what was superseded already is deleted all the same."""
    estate.rotates(forge=False)
    result = estate.pass_()
    assert (result.code, estate.entries(0)) == (2, 1)
    assert "Changing" not in result.err
    assert estate.status().splitlines() == ["M fleet.toml"]
    for words in (("run", "--all"), ("run", "--all", "--dry-run"), ("plan",), ("status",)):
        shown = estate.run("fleet", *words, "--only", "s1")
        assert (shown.code, "fleet.toml has no `[forge]`" in " ".join(shown.out.split())) == (2, True), shown.out


def test_a_renewal_without_a_forge_is_pending(due: Forged) -> None:
    """As what else would write files."""
    Path(due.environ["MTLSCTL_KEY_DIRS"]).mkdir()
    due.apply("one/s1", 0)
    due.commit()
    due.rotates(forge=False)
    for words in (("run", "--all"), ("run", "--all", "--dry-run"), ("plan",), ("status",)):
        shown = due.run("fleet", *words, "--only", "s1")
        assert (shown.code, "fleet.toml has no `[forge]`" in " ".join(shown.out.split())) == (2, True), shown.out


def test_rotate_leaves_what_is_new_to_a_person_and_all_does_it(estate: Forged) -> None:
    """A new certificate was never uploaded, so nothing is replaced."""
    estate.write("one/s1/certs/new.pem", estate.read("two/s2/certs/billing.pem"))
    estate.environ["NEW_KEY"] = estate.environ["KEY_2"]
    new = '\n[certificates.new]\ncertificate = "certs/new.pem"\nprivate_key = { env = "NEW_KEY" }\n'
    estate.write("one/s1/mtls.toml", estate.read("one/s1/mtls.toml") + new)
    estate.commit()
    estate.pass_()
    assert estate.entries(0) == 2
    estate.rotates("all")
    estate.pass_()
    assert estate.entries(0) == 3


def test_a_forge_that_refuses_fails_the_stack_and_the_next_pass_goes_on(estate: Forged) -> None:
    """What was uploaded is found again."""
    estate.forge.fail(estate.forge.opens, 500)
    estate.forge.fail(estate.forge.opens, 500)
    estate.forge.fail(estate.forge.opens, 500)
    result = estate.pass_()
    assert (result.code, estate.entries(0), estate.status()) == (5, 2, "")
    report = result.json["stacks"][0]["report"]
    assert [one["change"]["action"] for one in report["done"]] == ["upload"]
    assert [one["change"]["action"] for one in report["failed"]] == ["rebind"]
    estate.forge.failures.clear()
    assert (estate.pass_().code, estate.entries(0), len(estate.forge.pulls)) == (2, 2, 1)


@pytest.mark.parametrize(
    ("what", "said"),
    [("token", "it answered with 401"), ("branch", "has no branch main"), ("commit", "is not on the forge")],
)
def test_nothing_is_uploaded_that_can_not_be_proposed(estate: Forged, what: str, said: str) -> None:
    """A token or a repository that is wrong, and a commit that was not pushed."""
    if what == "token":
        estate.environ["FORGE_TOKEN"] = "another"
    elif what == "branch":
        del estate.forge.branches["main"]
    else:
        estate.git("commit", "-q", "--allow-empty", "-m", "y")
    result = estate.run("fleet", "run", "--all", "--only", "s1")
    assert (result.code, estate.entries(0), said in " ".join((result.out + result.err).split())) == (1, 1, True), (
        result.out
    )


@pytest.mark.parametrize("name", ["mtls.toml", "wrangler.toml", "certs/billing.pem"])
def test_a_stack_whose_files_are_not_committed_is_not_changed(estate: Forged, name: str) -> None:
    """Its pull request would lack them, and the next checkout would go back. Other files do not matter."""
    estate.write("other.txt", "x")
    path = f"one/s1/{name}"
    estate.write(path, estate.read(path) + "\n")
    result = estate.run("fleet", "run", "--all", "--only", "s1")
    assert (result.code, estate.entries(0), estate.forge.pulls) == (1, 1, [])
    text = " ".join((result.out + result.err).split())
    assert f"{path} differs from the commit" in text
    assert "commit and push it, or undo it" in text
    estate.commit()
    estate.pass_()
    assert (estate.entries(0), len(estate.forge.pulls)) == (2, 1)


def test_after_a_proposal_the_next_steps_are_its_merge_and_then_deploys(estate: Forged) -> None:
    """The checkout has nothing to commit, and still the old ID. In the pull request, paths are from its root."""
    estate.write("one/s1/mtls.toml", estate.read("one/s1/mtls.toml").replace("deployed = false", ""))
    estate.commit()
    result = estate.run("fleet", "run", "--all", "--only", "s1")
    said = " ".join(result.out.split())
    assert "1 certificate uploaded, 1 binding proposed" in said
    assert "After the merge, update the checkout and deploy this Worker: wrangler deploy" in said
    assert "Next: merge https://forge.example/acme/shop/30" in said
    body = estate.forge.pulls[0]["body"]
    assert "wrangler deploy --config one/s1/wrangler.toml" in body
    assert all("`mtlsctl plan -f one/s1/mtls.toml` shows why" in one for one in (body, said))
    assert "git add" not in body + said
    assert "Next: mtlsctl" not in body + said


def test_a_forge_token_that_is_missing_is_an_alarm_and_stops_no_look(estate: Forged) -> None:
    """The alarm is at its place."""
    del estate.environ["FORGE_TOKEN"]
    result = estate.pass_()
    assert result.code == 5
    assert "the variable FORGE_TOKEN is not set" in result.err
    assert "`[forge]` can't be used; correct its error" in result.json["stacks"][1]["note"]
    assert estate.entries(0) == 1


# --- renewals -------------------------------------------------------------------------------------------------------

RENEW = """
[issuers.internal]
kind = "vault-pki"
role = "billing"

[certificates.billing.renew]
issuer = "internal"
sink = { SINK }
"""


@pytest.fixture
def due(estate: Forged, tmp_path: Path) -> Iterator[Forged]:
    """The certificate of the first stack is due, and renews itself."""
    old = CA.issue("billing", not_before=NOW - timedelta(days=87), not_after=NOW + timedelta(days=3))
    estate.write("one/s1/certs/billing.pem", old.chain_pem)
    estate.environ["KEY_1"] = old.key_pem.decode()
    estate.environ["MTLSCTL_KEY_DIRS"] = str(tmp_path / "keys")
    estate.write(
        "one/s1/mtls.toml", estate.read("one/s1/mtls.toml") + RENEW.replace("SINK", f'file = "{tmp_path}/keys"')
    )
    estate.commit()

    def open_sink(options: FileSink, certificate: str, context: object) -> TreeSink:
        return TreeSink(tmp_path / "keys" / certificate)

    with (
        mock.patch("reconciler.runs.renew.open_sink", open_sink),
        mock.patch("reconciler.issuers.open_issuer", return_value=CaIssuer(Gate(), CA, clock=lambda: NOW)),
    ):
        yield estate


def test_what_is_due_is_renewed_as_a_pull_request(due: Forged) -> None:
    """Once: the next pass finds it. The checkout is as before."""
    for _ in range(2):
        due.pass_()
        renewals = [pull for pull in due.forge.pulls if pull["head"] == RENEWAL]
        assert [pull["title"] for pull in renewals] == ["Renew the certificate billing"]
        assert due.status() == ""
    text = due.run("fleet", "run", "--all", "--only", "s1").out
    assert "1 renewal proposed before" in text.splitlines()[-1]
    assert f"Already open: {due.forge.noun} 30 for billing: https://forge.example" in " ".join(text.split())
    renewed = due.forge.files_of(RENEWAL)["one/s1/certs/billing.pem"].decode()
    assert renewed != due.read("one/s1/certs/billing.pem")


@pytest.mark.parametrize(
    ("state", "said"), [("open", "waits for the merge of https://"), ("closed", "was closed without a merge")]
)
def test_a_certificate_is_due_until_its_renewal_is_merged(due: Forged, state: str, said: str) -> None:
    """By the pass, the plan, the status and the metrics; the state has the pull request."""
    due.pass_()
    next(pull for pull in due.forge.pulls if pull["head"] == RENEWAL)["state"] = state
    done, shown = due.pass_(), due.run("fleet", "status", "--only", "s1")
    assert (done.code, due.run("fleet", "plan", "--only", "s1").code, shown.code) == (2, 2, 2)
    assert said in " ".join(shown.out.split())
    assert "1 renewal" in shown.out.splitlines()[1]
    metrics = due.run("fleet", "status", "--only", "s1", "--format", "prometheus").out
    assert 'fleet_stack_renewals{stack="s1",account="shop"} 1' in metrics


OTHER = """
[certificates.ledger]
certificate = "certs/ledger.pem"

[certificates.ledger.renew]
issuer = "internal"
sink = { sops = "secrets" }
"""


@pytest.mark.parametrize(
    ("old", "new", "why", "fix"),
    [
        (
            "sink = { file",
            'sink = { sops = "secrets" } # { file',
            "would be files of the repository",
            "ci FORGE renew",
        ),
        (
            'kind = "vault-pki"\nrole = "billing"',
            'kind = "command"\ncommand = ["x"]',
            "a fleet runs none",
            "--allow-com",
        ),
    ],
    ids=["key in the tree", "a command"],
)
def test_a_renewal_that_a_fleet_can_not_make_is_told_before_and_when_it_is_due(
    due: Forged, old: str, new: str, why: str, fix: str
) -> None:
    """By every command, with what to do; no branch is left, and no file that no one commits."""
    due.write("one/s1/mtls.toml", due.read("one/s1/mtls.toml").replace(old, new))
    due.commit()
    for words in (("validate",), ("list",), ("plan", "--only", "s1"), ("run", "--all", "--only", "s1"), ("status",)):
        result = due.run("fleet", *words)
        said = " ".join((result.out + result.err).split())
        assert (words[0], why in said, fix in said) == (words[0], True, True), said
    assert "'billing' is due, and this fleet does not renew it" in " ".join(due.run("fleet", "plan").out.split())
    assert [name for name in due.forge.branches if "renew" in name] == []
    assert due.status() == ""


def test_the_other_certificates_of_its_stack_are_renewed(due: Forged) -> None:
    """What can't be done for one does not stop them."""
    old = CA.issue("ledger", not_before=NOW - timedelta(days=87), not_after=NOW + timedelta(days=3))
    due.write("one/s1/certs/ledger.pem", old.chain_pem)
    due.write("one/s1/mtls.toml", due.read("one/s1/mtls.toml") + OTHER)
    due.commit()
    result = due.pass_()
    assert "'ledger' is due, and this fleet does not renew it" in result.out
    assert [name for name in due.forge.branches if "renew" in name] == [RENEWAL]


def test_stacks_of_one_name_in_two_accounts_keep_their_keys_apart(due: Forged, tmp_path: Path) -> None:
    """With one sink. A renewal removes old keys there, and would remove those of the other."""
    text = due.read("one/s1/mtls.toml").replace(ACCOUNTS[0], ACCOUNTS[1]).replace("KEY_1", "KEY_2")
    due.write("two/s2/mtls.toml", text)
    due.write("two/s2/certs/billing.pem", due.read("one/s1/certs/billing.pem"))
    due.environ["KEY_2"] = due.environ["KEY_1"]
    due.commit()
    due.run("fleet", "run", "--all")
    branches = sorted(name for name in due.forge.branches if "renew" in name)
    assert branches == [RENEWAL, RENEWAL.replace(ACCOUNTS[0][:8], ACCOUNTS[1][:8])]
    folders = sorted(path.name for path in (tmp_path / "keys").iterdir())
    assert folders == sorted(f"{account[:8]}_s1_billing" for account in ACCOUNTS[:2])
