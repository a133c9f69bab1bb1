"""The findings about a bad mtls.toml: all at once, each at its place, and never a secret."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from reconciler.desired import parse_declaration
from reconciler.desired.rules import is_satisfied
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import MAX_FINDINGS, Diagnostic, Place, Pointer
from reconciler.findings.errors import InputError
from reconciler.version import __version__
from tests.support.desired_files import BAD, CERTIFICATE, HEAD, KINDS, WORKER, BadFile, problems, warnings_of
from tests.support.locating import resolve
from tests.support.source import Source, sources


def place(problem: Diagnostic, text: str) -> Place:
    """The line and column that are shown."""
    assert problem.where is not None
    return resolve(problem.where, text.encode()) if isinstance(problem.where, Pointer) else problem.where


def codes(data: str | bytes) -> list[str]:
    """The codes alone, in order."""
    return [problem.code for problem in problems(data)]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_file_has_its_finding(bad: BadFile) -> None:
    """One error, or a warning about a file that is accepted, with its code, place, message and hint."""
    severity = Severity.WARNING if bad.is_warning else Severity.ERROR
    found = warnings_of(bad.text) if bad.is_warning else problems(bad.text)
    (problem,) = (one for one in found if one.severity is severity)
    assert (problem.code, problem.message, problem.hint) == (bad.code, bad.message, bad.hint)
    assert str(place(problem, bad.text)) == f"mtls.toml:{bad.at}"


def test_every_problem_is_reported_at_once_in_file_order() -> None:
    """A bad table hides no finding about the others, and the findings are in the order of the file."""
    text = (
        HEAD + '[policy]\ngrace = "soon"\n'
        '[certificates.a]\ncertificate = "/a.pem"\nowner = ""\n'
        '[certificates.b]\ncertificate = "b.pem"\nca = true\nprivate_key = { envy = "K" }\nverify = 1\n'
        '[workers.site]\nconfig = "wrangler.ts"\nexclusive = "no"\n'
        '[workers.site.bindings]\nA = "a"\nB = "b"\nC = "c"\n"1" = "a"\n'
    )
    found = problems(text)
    assert [problem.code for problem in found] == [
        "bad-duration",
        "bad-path",
        "bad-text",
        "bad-key-source",
        "not-for-ca",
        "wrong-type",
        "not-for-ca",
        "bad-path",
        "wrong-type",
        "ca-bound",
        "unknown-certificate",
        "bad-binding-name",
    ]
    lines = [place(problem, text).line for problem in found]
    assert lines == sorted(lines, key=lambda line: line or 0)


@pytest.mark.parametrize(
    "certificate", ['[certificates.billing]\nowner = "x"\n', "[certificates]\nbilling = 1\n"], ids=["keys", "type"]
)
def test_a_bad_certificate_is_not_an_unknown_one(certificate: str) -> None:
    """A binding that refers to a badly declared certificate is not a second problem."""
    assert "unknown-certificate" not in codes(HEAD + certificate + WORKER + '[workers.site.bindings]\nA = "billing"\n')


def test_bindings_are_not_checked_if_certificates_is_not_a_table() -> None:
    """The references can't be checked then."""
    text = HEAD + "certificates = 1\n" + WORKER + '[workers.site.bindings]\nA = "billing"\n'
    assert codes(text) == ["wrong-type"]


def test_warnings_are_reported_with_the_errors() -> None:
    """An account ID without its store is a warning next to the errors that stop the run."""
    text = HEAD + '[store]\naccount_id = "023e105f4ecef8ad9ca31a8372d0c353"\nlimit = 0\n'
    assert codes(text) == ["account-id-unused", "out-of-range"]


def test_a_finding_names_its_certificate() -> None:
    """Reports group findings by certificate."""
    (problem,) = problems(HEAD + CERTIFICATE + "ca = 1\n")
    assert problem.certificate == "billing"


TOKEN = "Zq3xW0vK7-uT1rB_nM5yH8cJ2dF6gS4aLpE9oXiQ"  # the shape of one, not one
PREFIXED = "cfut_" + "a1b2c3d4e5" * 4
KEY_LINE = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2"


@pytest.mark.parametrize(
    "secret",
    [
        *("MIGH" + "AgEA" * 30, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY"),
        *(TOKEN, TOKEN.replace("-", "x"), PREFIXED, KEY_LINE),
    ],
)
@pytest.mark.parametrize(
    "before",
    [
        "stack = ",
        "required_version = ",
        "[store]\nkind = ",
        "[store]\naccount_id = ",
        "[policy]\ngrace = ",
        "[certificates.a]\ncertificate = ",
        "[certificates.a]\nprivate_key = ",
        "[certificates.a]\nverify = ",
        "[certificates.a]\nverify.url = ",
        "[certificates.a]\nverify.ca = ",
        "[certificates.a]\nverify_before = ",
        "[certificates.a]\nverify_before = [1, ",
        "[certificates.a]\nsupersedes = [1, ",
        "[certificates.a]\nowner = ",
        "[certificates.a]\nprivate_key.file = ",
        "[certificates.a]\nprivate_key.env = ",
        "[workers.w]\nconfig = ",
        "[workers.w.bindings]\nA = ",
        "",
    ],
)
def test_a_pasted_secret_is_never_shown(before: str, secret: str) -> None:
    """A finding about a value never quotes a key or a token."""
    written = '"' + secret.replace("\n", "\\n") + '"'
    body = before + written + ("]" if "[1," in before else "" if before else " = 1") + "\n"
    for problem in problems("version = 1\n" + body):
        shown = f"{problem.message} {problem.hint}"
        assert not any(line in shown for line in secret.splitlines())


@pytest.mark.parametrize("secret", [TOKEN, TOKEN.replace("-", "x"), PREFIXED, KEY_LINE])
@pytest.mark.parametrize(
    "text",
    [
        '"S" = 1',
        '[policy]\n"S" = "7d"',
        '[certificates."S"]\ncertificate = "a.pem"',
        '[certificates.a]\ncertificate = "a.pem"\n"S" = "x"',
        '[workers."S"]\nconfig = "wrangler.toml"',
        '[workers.w]\nconfig = "wrangler.toml"\n[workers.w.bindings]\n"S" = "billing"',
        '[workers.w]\nconfig = "wrangler.toml"\n[workers.w.env."S".bindings]',
        '[workers.w]\nconfig = "wrangler.toml"\n[workers.w.bindings]\nA = "S"',
        '[workers.w]\nconfig = "certs/S/wrangler.toml"',
        '[certificates.a]\ncertificate = "certs/S.pem"',
        '[certificates.a]\ncertificate = "a.pem"\nprivate_key = { env = "S" }',
        '[certificates.a]\ncertificate = "a.pem"\nprivate_key = "S"',
        '"S" = 1\n"S" = 2',
        "x = S",
    ],
)
def test_a_secret_as_a_key_a_path_or_a_variable_is_never_shown(text: str, secret: str) -> None:
    """By its shape: a name that programs use for a file or a variable would be shown by the next error."""
    found = problems(HEAD + CERTIFICATE + text.replace("S", secret) + "\n")
    assert secret not in " ".join(f"{problem.message} {problem.hint} {problem.certificate}" for problem in found)


@pytest.mark.parametrize(
    "text",
    [
        '[certificates.payments-gateway-production-client-certificate1]\ncertificate = "a.pem"',
        '[certificates.a]\ncertificate = "teams/PaymentsGatewayV2/ProductionClientCertificate2024.pem"',
        '[certificates.a]\ncertificate = "a.pem"\nprivate_key.env = "PAYMENTS_GATEWAY_PRODUCTION_CLIENT_KEY_2024"',
        '[certificates.a]\ncertificate = "a.pem"\nprivate_key = "/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-Key/key"',
        '[certificates.a]\ncertificate = "a.pem"\nsupersedes = ["9d7d1c39-55a1-4a5c-9a5f-0d5b1d0f6f11"]',
        '[certificates.a]\ncertificate = "a.pem"\nverify = "https://a.example/Zq3xW0vK7uT1rBnM5yH8cJ2dF6gS4aLpE9oXiQab"',
    ],
)
def test_a_long_name_that_people_choose_is_no_secret(text: str) -> None:
    """It has words; an ID has letters of one case."""
    parse_declaration((HEAD + text + "\n").encode(), "mtls.toml", KINDS)


@pytest.mark.parametrize("written", ['verify = "U"', 'verify = { url = "U" }'])
def test_a_token_in_a_url_is_never_shown(written: str) -> None:
    """Reports show the URL; a token with a prefix is one wherever it is."""
    token = "cfut_" + "a1b2c3d4e5" * 4
    found = problems(HEAD + CERTIFICATE + written.replace("U", f"https://a.example/health?token={token}") + "\n")
    assert [problem.code for problem in found] == [Code.SECRET_IN_FILE]
    assert token not in f"{found[0].message} {found[0].hint}"


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://a.example/", "//a.example/", "https:///x", "https://", "https://a.example:0/"),
        *("https://a.example:-1/", "https://a.example:x/", "https://a.example/\\r\\nX: y", "https://a.example/\\u0000"),
        *("https://a.example\\n.b.example/", "https://me@a.example/", "https://[::1", "https://a b.example/", ""),
    ],
)
@pytest.mark.parametrize("written", ['verify = "U"', 'verify = { url = "U" }'])
def test_only_a_plain_https_url_is_asked(written: str, url: str) -> None:
    """No other protocol, no user, no second line in what is sent; nothing of it is shown."""
    found = problems(HEAD + CERTIFICATE + written.replace("U", url) + "\n")
    assert [problem.code for problem in found] == [Code.BAD_URL]


def test_verify_on_a_ca_is_an_error() -> None:
    """A CA is not a client certificate, so there is no handshake to prove."""
    assert codes(HEAD + CERTIFICATE + 'ca = true\nverify = "https://a.example/"\n') == ["not-for-ca"]
    assert codes(HEAD + CERTIFICATE + "ca = true\nverify_before = []\n") == ["not-for-ca"]


def test_a_newer_version_is_the_only_finding() -> None:
    """The other keys may be valid in the newer format."""
    assert codes("version = 2\nunheard = 1\n") == ["unsupported-version"]


@pytest.mark.parametrize("rest", ["", "unheard = 1\n", "version = 2\n"], ids=["alone", "unknown key", "newer"])
def test_another_required_version_is_the_only_error(rest: str) -> None:
    """The file may be right for the mtlsctl that it requires, so its other keys are not judged."""
    text = 'required_version = ">=99, <100"\n' + rest
    (problem,) = problems(text)
    assert (problem.code, str(place(problem, text))) == (Code.REQUIRED_VERSION, "mtls.toml:1:20")
    assert problem.message == f"this project requires mtlsctl `>=99, <100`, but this is mtlsctl {__version__}"
    assert problem.hint is not None
    assert "pipx install --force" in problem.hint


@pytest.mark.parametrize(
    ("required", "version", "satisfied"),
    [
        (">=0.1,<1", "0.1.0", True),
        (">=0.1,<1", "0.9.12", True),
        (">=0.1,<1", "0.0.9", False),
        (">=0.1,<1", "1.0.0", False),
        ("~=0.1", "0.7.0", True),
        ("~=0.1.2", "0.2.0", False),
        ("==0.1.*", "0.1.7", True),
        ("!=0.1.3", "0.1.3", False),
        (">=0.1", "0.2.0rc1", True),
        (">=0.2", "0.2.0rc1", False),
        ("<1", "1.0.0rc1", False),
        ("==0.1.0", "0.1.0+local.1", True),
    ],
)
def test_a_required_version_is_compared_as_pep_440_orders_versions(
    required: str, version: str, satisfied: bool
) -> None:
    """Pre-releases count as any other version."""
    assert is_satisfied(required, version) is satisfied


@pytest.mark.parametrize(("text", "imported"), [("", "False"), ('required_version = ">=0.1"\n', "True")])
def test_only_a_required_version_costs_its_import(text: str, imported: str) -> None:
    """Every command reads mtls.toml, and few have the key."""
    code = (
        "import sys; from reconciler.desired import parse_declaration\n"
        f"parse_declaration({(HEAD + text).encode()!r}, 'mtls.toml', ())\n"
        "print('packaging' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == imported


@pytest.mark.parametrize(
    ("data", "code", "at"),
    [
        (b'version = 1\n# \xc3\xa9 \xff\nstack = "a"\n', "not-utf8", "2:5"),
        ("version = 1".encode("utf-16"), "not-utf8", "1:1"),
        (b"#" * 1_000_001, "too-large", ""),
        (b"a = " + b"[" * 33, "too-deep", "1:37"),
        (b".".join([b"a"] * 33) + b" = 1", "too-deep", "1:64"),
        (b"version = " + b"1" * 5000, "toml-syntax", "1:11"),
    ],
    ids=["latin-1", "utf-16", "too-large", "too-deep", "too-many-parts", "too-many-digits"],
)
def test_a_file_that_can_not_be_read_is_refused_with_its_place(data: bytes, code: str, at: str) -> None:
    """Limits and encoding are checked before the file is parsed."""
    (problem,) = problems(data)
    assert (problem.code, str(problem.where)) == (code, "mtls.toml" + (f":{at}" if at else ""))


def test_a_plain_path_needs_a_source_for_it() -> None:
    """Without a key source that accepts plain paths, only a table can name a key."""
    with pytest.raises(InputError) as caught:
        parse_declaration((HEAD + CERTIFICATE + 'private_key = "k"\n').encode(), "mtls.toml", KINDS[1:])
    assert caught.value.code == "wrong-type"


def test_a_number_too_large_to_print_is_refused() -> None:
    """Hexadecimal numbers can have any number of digits when parsed, but not when printed."""
    assert codes("version = 1\nstack = 0x" + "f" * 6000 + "\n") == ["wrong-type"]


def test_only_the_first_of_many_findings_are_shown() -> None:
    """The rest is counted, and is still an error."""
    found = problems(HEAD + "".join(f"[k{number}]\n" for number in range(MAX_FINDINGS + 7)))
    assert [problem.message for problem in found[-2:]] == [
        f"unknown key `k{MAX_FINDINGS - 1}` at the top level",
        "7 more findings are not shown",
    ]
    assert (found[-1].code, found[-1].severity) == ("too-many-findings", Severity.ERROR)


def _of_mtls_toml(source: Source) -> Iterator[Code]:
    """The codes of a file, but of what reads fleet.toml, which has a table of its own."""
    return source.codes() if source.path.name != "fleet.py" else iter(())


def test_every_code_of_the_file_is_tested() -> None:
    """Users look codes up in the reference."""
    elsewhere = {Code.REQUIRED_VERSION, Code.NOT_UTF8, Code.TOO_LARGE, Code.TOO_DEEP}
    of_mtls_toml = {code for source in sources("desired") for code in _of_mtls_toml(source)}
    assert {bad.code for bad in BAD} | elsewhere == of_mtls_toml
