"""Which wrangler file is meant: wrangler's search, files that would be taken instead, redirects, code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.wrangler.read import read_wrangler
from tests.support.cli import MTLS, WRANGLER, Project, make_project

JSONC = """\
{
  // the Worker
  "name": "checkout",
  "mtls_certificates": [{ "binding": "BILLING", "certificate_id": "" }],
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose git root is the folder, its Worker in a folder of its own."""
    project = make_project(tmp_path, MTLS.replace('"wrangler.toml"', '"workers/checkout"'))
    (tmp_path / "wrangler.toml").unlink()
    (tmp_path / ".git").mkdir()
    project.write("workers/checkout/wrangler.toml", WRANGLER)
    return project


def changed(project: Project) -> list[str]:
    """The files that a plan would change."""
    return sorted({change["config"] for change in project.run("plan", "--format", "json").json["changes"][1:]})


def codes(project: Project) -> list[str]:
    """What a plan has to say."""
    found = project.run("plan", "--format", "json").json["diagnostics"]
    return [problem["code"] for problem in found if problem["code"] != "chain-incomplete"]


def test_a_folder_means_the_file_that_wrangler_finds_there(project: Project) -> None:
    """Found, planned, written."""
    assert changed(project) == ["workers/checkout/wrangler.toml"]
    assert project.run("apply", "--yes").code == 0
    assert "10ca1000-" in project.read("workers/checkout/wrangler.toml")


def test_in_one_folder_json_comes_before_jsonc_before_toml(project: Project) -> None:
    """As wrangler searches."""
    project.write("workers/checkout/wrangler.jsonc", JSONC)
    assert changed(project) == ["workers/checkout/wrangler.jsonc"]
    project.write("workers/checkout/wrangler.json", JSONC)
    assert changed(project) == ["workers/checkout/wrangler.json"]


def test_a_wrangler_json_in_a_folder_above_comes_before_a_toml_here(project: Project) -> None:
    """wrangler searches each name all the way up before the next name."""
    project.write("wrangler.json", JSONC)
    assert changed(project) == ["wrangler.json"]


def test_the_search_ends_at_the_git_root(project: Project) -> None:
    """What lies above is another project's."""
    nested = Project(project.folder / "nested", project.environ)
    nested.write("mtls.toml", project.read("mtls.toml"))
    nested.write("certs/billing.pem", project.read("certs/billing.pem"))
    nested.write("workers/checkout/src/index.js", "")
    (nested.folder / ".git").mkdir()
    project.write("wrangler.toml", WRANGLER)
    result = nested.run("plan")
    assert result.code == 5
    assert "wrangler finds no configuration in workers/checkout or above" in result.out
    assert "mtls.toml:9:" in result.out


def test_a_file_that_wrangler_would_take_instead_is_a_finding(project: Project) -> None:
    """The named file is edited all the same."""
    project.write("mtls.toml", MTLS.replace('"wrangler.toml"', '"workers/checkout/wrangler.toml"'))
    assert codes(project) == []
    project.write("wrangler.jsonc", JSONC)
    assert codes(project) == ["config-shadowed"]
    assert "wrangler uses wrangler.jsonc instead" in project.run("plan").out
    assert changed(project) == ["workers/checkout/wrangler.toml"]


def test_a_file_of_another_name_is_shadowed_by_nothing(project: Project) -> None:
    """It is only ever used with `-c`."""
    project.write("mtls.toml", MTLS.replace('"wrangler.toml"', '"workers/checkout/wrangler.live.toml"'))
    project.write("workers/checkout/wrangler.live.toml", WRANGLER)
    project.write("wrangler.json", JSONC)
    assert codes(project) == []


def test_a_configuration_in_code_is_said_to_be_out_of_reach(project: Project) -> None:
    """Not ignored."""
    project.write("workers/checkout/cloudflare.config.ts", "export default {}")
    assert codes(project) == ["config-in-code"]


def redirect(project: Project, target: str, text: str) -> None:
    """What a build tool leaves."""
    project.write("workers/checkout/.wrangler/deploy/config.json", json.dumps({"configPath": f"../../{target}"}))
    project.write(f"workers/checkout/{target}", text)


def test_a_redirect_edits_the_users_file_and_asks_for_a_rebuild(project: Project) -> None:
    """Until the build has the id."""
    redirect(project, "dist/wrangler.json", '{"name": "checkout"}')
    assert codes(project) == ["rebuild-needed"]
    assert project.run("apply", "--yes").code == 0
    assert project.read("workers/checkout/dist/wrangler.json") == '{"name": "checkout"}'
    assert codes(project) == ["rebuild-needed"]
    file = read_wrangler("x.toml", (project.folder / "workers/checkout/wrangler.toml").read_bytes())
    (found,) = file.environments[None].bindings
    built = {"mtls_certificates": [{"binding": found.binding, "certificate_id": found.certificate_id}]}
    redirect(project, "dist/wrangler.json", json.dumps(built))
    assert codes(project) == []


def test_a_file_that_a_build_made_is_refused(project: Project) -> None:
    """The next build would overwrite it."""
    redirect(project, "dist/wrangler.json", JSONC)
    project.write("mtls.toml", MTLS.replace('"wrangler.toml"', '"workers/checkout/dist/wrangler.json"'))
    result = project.run("plan")
    assert result.code == 5
    assert "config-generated" in result.out
    assert "name the file that the build reads" in result.out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"configPath": 1}', "[" * 9000, '{"configPath": "../../nope.json"}'])
def test_a_redirect_that_leads_nowhere_stops_nothing(project: Project, text: str) -> None:
    """It is a build tool's file; at most a rebuild is asked for."""
    project.write("workers/checkout/.wrangler/deploy/config.json", text)
    assert set(codes(project)) <= {"rebuild-needed"}


OUTSIDE = [
    pytest.param('{"configPath": "../../../../../elsewhere/wrangler.json"}', id="its target is outside"),
    pytest.param('{"configPath": "/etc/wrangler.json"}', id="its target is absolute"),
    pytest.param('{"configPath": "../../../../.git/wrangler.json"}', id="its target belongs to git"),
    pytest.param('{"configPath": "../../out.json"}', id="its target is a link out"),
    pytest.param(" " * 10_001, id="too large"),
]


@pytest.mark.parametrize("text", OUTSIDE)
def test_a_redirect_that_is_not_followed_is_a_warning(project: Project, text: str) -> None:
    """wrangler follows it, so what it deploys was not checked."""
    (project.folder / "workers/checkout/out.json").symlink_to("../../../elsewhere.json")
    project.write("workers/checkout/.wrangler/deploy/config.json", text)
    assert codes(project) == ["redirect-outside"]
    result = project.run("plan")
    assert result.code == 0
    assert "workers/checkout/.wrangler/deploy/config.json" in result.out
    assert "`wrangler deploy -c wrangler.toml`" in result.out


def test_a_redirect_that_is_a_link_out_of_the_project_is_a_warning(project: Project) -> None:
    """Its content is not read."""
    (project.folder / "workers/checkout/.wrangler/deploy").mkdir(parents=True)
    (project.folder.parent / "there.json").write_text('{"configPath": "x.json"}')
    (project.folder / "workers/checkout/.wrangler/deploy/config.json").symlink_to("../../../../../there.json")
    assert codes(project) == ["redirect-outside"]


def test_one_file_by_two_paths_can_not_declare_an_environment_twice(project: Project) -> None:
    """Through a folder, through a link: one file."""
    (project.folder / "alias").symlink_to("workers/checkout")
    again = '\n[workers.again]\nconfig = "alias/wrangler.toml"\n[workers.again.bindings]\nBILLING = "billing"\n'
    project.write("mtls.toml", project.read("mtls.toml") + again)
    result = project.run("plan")
    assert result.code == 5
    assert "environment-declared-twice" in result.out
    assert "~" not in result.out  # neither of the two is written


def test_the_account_of_the_environment_is_compared_with_each_declared_one(project: Project) -> None:
    """The file beats the variable, so an environment of another account can't take these ids."""
    mtls = project.read("mtls.toml") + '[store]\nkind = "cloudflare"\n'
    project.write("mtls.toml", mtls)
    project.write("workers/checkout/wrangler.toml", f'account_id = "{"f" * 32}"\n' + WRANGLER)
    project.environ["CLOUDFLARE_ACCOUNT_ID"] = "0" * 32
    result = project.run("plan", "--offline")
    assert result.code == 1
    assert "account-differs" in result.out


def test_previews_and_pages_are_read_from_every_format() -> None:
    """The same facts, whatever the format."""
    text = (
        b'{"previews": {"mtls_certificates": [{"binding": "A", "certificate_id": "1"}]}, "pages_build_output_dir": "x"}'
    )
    toml = b'pages_build_output_dir = "x"\n[[previews.mtls_certificates]]\nbinding = "A"\ncertificate_id = "1"\n'
    for path, data in (("wrangler.jsonc", text), ("wrangler.toml", toml)):
        file = read_wrangler(path, data)
        assert file.pages
        assert [found.certificate_id for found in file.previews or ()] == ["1"]


@pytest.mark.parametrize("suffix", [".example", ".dist", ".j2"])
def test_where_only_the_template_of_a_wrangler_file_is_here_it_is_named(project: Project, suffix: str) -> None:
    """A checkout in which nobody made the file yet. By its name, and in a folder."""
    folder = project.folder / "workers/checkout"
    (folder / "wrangler.toml").rename(folder / f"wrangler.toml{suffix}")
    named = MTLS.replace('"wrangler.toml"', '"workers/checkout/wrangler.toml"')
    for mtls in (project.read("mtls.toml"), named):
        project.write("mtls.toml", mtls)
        result = project.run("plan")
        assert result.code == 5
        assert f"fix  make it from its template first: workers/checkout/wrangler.toml{suffix}" in result.out


def test_a_template_can_not_be_declared(project: Project) -> None:
    """What is made from it can."""
    project.write("mtls.toml", MTLS.replace('"wrangler.toml"', '"workers/checkout/wrangler.toml.j2"'))
    result = project.run("plan")
    assert result.code == 1
    assert "this is a template: name the file that is made from it (`wrangler.toml`)" in result.err


def test_init_names_a_template_of_which_the_file_is_missing(project: Project) -> None:
    """An example next to its file is nothing to say."""
    (project.folder / "mtls.toml").unlink()
    project.write("workers/checkout/wrangler.toml.example", WRANGLER)
    project.write("workers/other/wrangler.jsonc.j2", JSONC)
    result = project.run("init", "--from", ".", "--store", "local", "--stack", "x", "--format", "json")
    found = [one["message"] for one in result.json["findings"] if one["code"] == "left-out"]
    assert found == ["workers/other/wrangler.jsonc.j2 is left out: it is a template"]


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "||||||| 1234abc", "=======", ">>>>>>> branch"])
@pytest.mark.parametrize("path", ["mtls.toml", "workers/checkout/wrangler.toml", "workers/checkout/wrangler.jsonc"])
def test_a_merge_conflict_is_named_with_its_line(project: Project, path: str, mark: str) -> None:
    """In every file that is parsed; also if only one mark is left, and with Windows line ends."""
    if path.endswith("jsonc"):
        project.write(path, JSONC)
    for end in ("\n", "\r\n"):
        text = project.read(path).replace("\r\n", "\n").replace(f"{mark}\n", "")
        first, rest = text.split("\n", 1)
        project.write(path, f"{first}\n{mark}\n{rest}".replace("\n", end))
        result = project.run("validate")
        assert result.code == 1
        said = result.out + result.err
        assert "the file contains git merge conflict markers" in said
        assert f"at   {path}:2:1" in said


def test_a_line_like_a_merge_mark_in_a_valid_file_is_text(project: Project) -> None:
    """In a string or comment that the parser accepts."""
    path = "workers/checkout/wrangler.toml"
    project.write(path, project.read(path) + '[vars]\nTITLE = """\nMenu\n=======\n"""\n')
    assert project.run("validate").code == 0


def many(project: Project, count: int, text: str, suffix: str = "toml") -> None:
    """Further Workers, each with a wrangler file of its own of this text."""
    mtls = project.read("mtls.toml")
    for number in range(count):
        project.write(f"w{number}/wrangler.{suffix}", text)
        mtls += f'\n[workers.w{number}]\nconfig = "w{number}/wrangler.{suffix}"\n'
    project.write("mtls.toml", mtls)


LARGE = f'name = "w"\n# {"x" * 250_000}\n'


@pytest.mark.parametrize("command", ["plan", "validate", "apply --yes"])
def test_all_wrangler_files_of_a_run_have_one_budget(project: Project, command: str) -> None:
    """Over 8 MB together the run ends with one error, at the Worker whose file was too much."""
    many(project, 33, LARGE)
    result = project.run(*command.split())
    assert result.code == 1
    said = result.out + result.err
    assert said.count("error[configs-too-large]") == 1
    assert "mtls.toml:" in said
    assert "a `stack` of its own" in said
    assert "10ca1000-" not in project.read("workers/checkout/wrangler.toml")


def test_within_the_budget_every_wrangler_file_is_read(project: Project) -> None:
    """The one that fills it, too; and a file that several Workers share counts once."""
    many(project, 31, LARGE)
    shared = "".join(f'\n[workers.s{number}]\nconfig = "w0/wrangler.toml"\n' for number in range(9))
    project.write("mtls.toml", project.read("mtls.toml") + shared)
    assert project.run("plan").code == 0


def test_the_values_of_all_wrangler_files_are_counted(project: Project) -> None:
    """Small files can have many, and each costs more than its bytes."""
    many(project, 2, json.dumps({"name": "w", "vars": {"A": [1] * 60_000}}), "json")
    result = project.run("plan")
    assert result.code == 1
    assert "error[configs-too-large]" in result.err
    assert "w1" in project.read("mtls.toml").splitlines()[int(result.err.partition("mtls.toml:")[2].split(":")[0]) - 1]


def test_init_has_the_same_budget(project: Project) -> None:
    """It reads every wrangler file of the folder; a smaller folder can be adopted."""
    many(project, 33, LARGE)
    project.folder.joinpath("mtls.toml").unlink()
    result = project.run("init", "--from", ".", "--stack", "x", "--store", "local")
    assert result.code == 1
    assert "error[configs-too-large]" in result.err
    assert project.run("init", "--from", "workers", "--stack", "x", "--store", "local").code == 0


SECRETS = ["Zq3xW0vK7-uT1rB_nM5yH8cJ2dF6gS4aLpE9oXiQ", "cfut_" + "a1b2c3d4e5" * 4]  # of that shape, none of them one


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "text",
    [
        '[[mtls_certificates]]\nbinding = "X"\ncertificate_id = "S"\n',
        '[[mtls_certificates]]\nbinding = "S"\ncertificate_id = ""\n',
        '[env."S".vars]\nA = 1\n',
    ],
)
def test_a_token_in_the_place_of_an_id_or_a_name_is_never_shown(project: Project, text: str, secret: str) -> None:
    """By its shape; the file is refused, because such an ID or name is a mistake."""
    project.write("workers/checkout/wrangler.toml", WRANGLER + text.replace("S", secret))
    for command in ("plan", "status", "validate"):
        for shown in ((), ("--format", "json")):
            result = project.run(command, *shown)
            assert secret not in result.out + result.err
            assert "wrangler-no-id" in result.out + result.err
