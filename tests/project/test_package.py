"""The sdist and the wheel work in an environment that has nothing but what they say they need."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reconciler.version import __version__
from tests.support.cli import MTLS, make_project
from tests.support.paths import REPOSITORY

pytestmark = pytest.mark.xdist_group("package")  # its builds are made once
NAME = f"mtlsctl-{__version__}"


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that succeeds."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, kind: str, into: Path) -> Path:
    """One distribution of a source tree, by the build backend, with what is installed: nothing is downloaded."""
    run(sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", into, cwd=source)
    (built,) = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(REPOSITORY, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheels(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of this tree, and the one that pip makes of the sdist."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    return {
        "wheel": build(REPOSITORY, "wheel", tmp_path_factory.mktemp("wheel")),
        "sdist": build(unpacked / NAME, "wheel", tmp_path_factory.mktemp("from_sdist")),
    }


def needed(name: str) -> Iterator[str]:
    """A distribution and everything that it says it needs, extras left out."""
    yield canonicalize_name(name)
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from needed(requirement.name)


def requirements_of(wheel: Path) -> list[Requirement]:
    """What a wheel says it needs, extras left out."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{NAME}.dist-info/METADATA").decode()
    found = [Requirement(line.removeprefix("Requires-Dist: ")) for line in text.splitlines() if "Requires-Dist" in line]
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


def make_environment(wheel: Path, folder: Path) -> Path:
    """The bin folder of an environment that has the wheel and, as links, the distributions that it says it needs."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    python = folder / "bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=folder.parent)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    for name in {one for requirement in requirements_of(wheel) for one in needed(requirement.name)}:
        distribution = metadata.distribution(name)
        for top in {path.parts[0] for path in distribution.files or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder / "bin"


@pytest.fixture(scope="module")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of such an environment, without any extra."""
    return make_environment(wheels["sdist"], tmp_path_factory.mktemp("installed") / "empty")


def test_what_is_installed_runs_the_quickstart(installed: Path, tmp_path: Path) -> None:
    """Version, plan, apply, and nothing left to do, as the release workflow tries it."""
    printed = run(REPOSITORY / ".ci/try_installed", installed, cwd=tmp_path)
    assert printed.startswith(f"mtlsctl {__version__}\n")
    assert "1 upload, 1 config change" in printed
    assert "No changes. 1 certificate up to date" in printed


EXTRAS = {
    "age": '{ age = "key.age" }',
    "aws": '{ aws = "billing", region = "eu-central-1" }',
    "sops": '{ sops = "key.json", extract = ["data"] }',
}
"""Those that a key source needs, with one."""


def test_each_missing_extra_is_one_clear_line(installed: Path, tmp_path: Path) -> None:
    """Where only mtlsctl is installed: which is missing, at the certificate that needs it, and how to install it."""
    tables = (
        f'[certificates.{extra}]\ncertificate = "certs/{extra}.pem"\nprivate_key = {source}\n'
        for extra, source in EXTRAS.items()
    )
    project = make_project(tmp_path / "project", "\n".join((MTLS, *tables)))
    project.write("key.age", "age-encryption.org/v1\n")
    project.write("key.json", '{"sops": {"age": [{"enc": "x"}], "mac": "x"}}')
    for number, extra in enumerate(EXTRAS, start=2):
        project.certificate(extra, number)
    environ = {"PATH": os.defpath, "HOME": str(tmp_path), "BILLING_KEY": project.environ["BILLING_KEY"]}
    command = [str(installed / "mtlsctl"), "apply", "--yes"]
    done = subprocess.run(command, cwd=project.folder, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (5, False)
    assert done.stdout.count("error[extra]") == len(EXTRAS)
    assert [extra for extra in EXTRAS if f"pipx install --force '.[{extra}]'" not in done.stdout] == []


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_tree(wheels: dict[str, Path]) -> None:
    """To the byte, so that what is tried of one holds for the other."""
    assert wheels["wheel"].read_bytes() == wheels["sdist"].read_bytes()


def pins(path: str) -> dict[str, str]:
    """The version of each package in a lock file; each has hashes, and nothing says from where it comes."""
    text = (REPOSITORY / path).read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=[a-z])", text)
    assert all("--hash=sha256:" in entry for entry in entries)
    return {found[1]: found[2] for entry in entries if (found := re.match(r"([a-z0-9-]+)(?:\[.*\])?==(\S+)", entry))}


def test_what_is_installed_with_hashes_is_what_was_tested() -> None:
    """`make lock` writes both files; that for users has every requirement of mtlsctl and its extras."""
    users, developers = pins("requirements.lock"), pins("requirements-dev.lock")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    for requirement in map(Requirement, needed):
        assert requirement.specifier.contains(users[canonicalize_name(requirement.name)]), requirement
    assert {name: version for name, version in users.items() if developers.get(name, version) != version} == {}
    assert set(users) - set(developers) == {"socksio"}  # only the extra `socks` needs it


LICENCES = {
    *("MIT", "MIT-0", "MIT License", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC License (ISCL)", "PSF-2.0"),
    "Apache License 2.0",
    "BSD License",  # jinja2, whose text is that of BSD-3-Clause
    "Mozilla Public License 2.0 (MPL 2.0)",  # certifi: a file of certificates, which is used unchanged
}
OF_FLEETS = {"psycopg", "psycopg-binary", "psycopg-pool"}
"""LGPL-3.0: used unchanged, as a library, and installed with the extra `fleet` alone, whose page says so. It asks
nothing of who runs mtlsctl, nor of its licence; who distributes an image with psycopg keeps its licence with it."""
NOT_INSTALLED = {"colorama": "Windows", "socksio": "the extra `socks`"}
"""Packages of the lock that an environment for developers may lack, and what installs them."""


_MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"


def licences(name: str) -> set[str]:
    """What a distribution may be used under, as it says itself; of `A OR B`, both."""
    told = metadata.metadata(name)
    given = [*(told.get_all("License-Expression") or ()), *(told.get_all("License") or ())]
    if not given and _MIT in " ".join((metadata.distribution(name).read_text("licenses/LICENSE") or "").split()):
        given = ["MIT"]  # pyrage has the text alone
    classified = {one.rpartition(" :: ")[2] for one in told.get_all("Classifier") or () if one.startswith("License ::")}
    return {part for one in given for part in one.split(" OR ")} | classified


def test_every_package_that_is_installed_with_mtlsctl_has_a_free_licence() -> None:
    """None that asks something of who uses mtlsctl, or of its own licence; what is otherwise is named."""
    installed = {canonicalize_name(one.metadata["Name"]) for one in metadata.distributions()}
    users = set(pins("requirements.lock"))
    assert users - installed <= set(NOT_INSTALLED)
    others = {name: found for name in users & installed if not (found := licences(name)) & LICENCES}
    assert others == {name: {"LGPL-3.0-only"} for name in OF_FLEETS}


def test_every_package_from_npm_has_a_hash() -> None:
    """Also those of other systems: a version without one could be anything."""
    locked = json.loads((REPOSITORY / "tests/node/package-lock.json").read_text())["packages"]
    assert [path for path, package in locked.items() if path and not package.get("integrity")] == []


def test_the_wheel_has_the_package_and_its_licence_and_nothing_else(wheels: dict[str, Path]) -> None:
    """No tests, examples or local files get into an environment."""
    names = zipfile.ZipFile(wheels["wheel"]).namelist()
    assert {name.split("/")[0] for name in names} == {"reconciler", f"{NAME}.dist-info"}
    assert {"reconciler/py.typed", f"{NAME}.dist-info/licenses/LICENSE"} <= set(names)
    templates = {f"reconciler/views/html/templates/{name}" for name in ("page.html", "blocks.html", "style.css")}
    assert templates <= set(names)


def test_the_sdist_has_what_git_tracks_and_nothing_else(sdist: Path) -> None:
    """No store, certificate or environment of a checkout gets into a release."""
    with tarfile.open(sdist) as archive:
        inside = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert inside - {"PKG-INFO"} == set(tracked.stdout.splitlines())
