"""Every code that mtlsctl can print: its severities, its meaning, and how to fix it.

A new finding is one row of `Code` and the line that raises it. The reference page is made from this table, and
`mtlsctl explain CODE` prints a row of it. Every command imports this module, so it must stay cheap.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from reconciler.findings.exits import ExitCode


class Severity(StrEnum):
    """The severity of a finding; only errors change the exit code."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


_E = (Severity.ERROR,)
_W = (Severity.WARNING,)
_I = (Severity.INFO,)
_EW = (*_E, *_W)
_EI = (*_E, *_I)
_WI = (*_W, *_I)
_EWI = (*_E, *_W, *_I)


class Code(StrEnum):
    """A stable name of a kind of finding, for JSON and for people.

    `severities`: those that its findings can have. `exit_code`: that of a run with an error of it; OK if it is never an
    error. `meaning` and `cure`: one sentence each.
    """

    severities: tuple[Severity, ...]
    meaning: str
    cure: str
    exit_code: ExitCode

    def __new__(
        cls,
        value: str,
        severities: tuple[Severity, ...],
        meaning: str,
        cure: str,
        exit_code: ExitCode = ExitCode.FAILED,
    ) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.severities, member.meaning, member.cure = severities, meaning, cure
        member.exit_code = exit_code if Severity.ERROR in severities else ExitCode.OK
        return member

    # fmt: off

    # --- mtls.toml --------------------------------------------------------------------------------------------------

    TOO_LARGE = ("too-large", _E,
        "mtls.toml is larger than 1 MB.",
        "Split the stack into several mtls.toml files, each with a `stack` of its own.")
    TOO_DEEP = ("too-deep", _E,
        "mtls.toml has a key of more than 32 parts, values nested more than 32 deep, or more than 30,000 values.",
        "Write it flatter, or split the stack.")
    NOT_UTF8 = ("not-utf8", _E,
        "mtls.toml is not UTF-8 text.",
        "Save it as UTF-8.")
    TOML_SYNTAX = ("toml-syntax", _E,
        "mtls.toml is not valid TOML; only the first syntax error is reported.",
        "Correct the reported line, then run again.")
    TOO_MANY_FINDINGS = ("too-many-findings", _EW,
        "A file has more findings than are shown; the rest are only counted.",
        "Fix the findings that are shown, then run again.")
    UNSUPPORTED_VERSION = ("unsupported-version", _E,
        "`version` names a format that this mtlsctl does not know.",
        "Update mtlsctl, or write `version = 1`.")
    REQUIRED_VERSION = ("required-version", _E,
        "`required_version` of mtls.toml does not allow this version of mtlsctl.",
        "Install a version of mtlsctl that it allows, or change `required_version`.")
    BAD_REQUIRED_VERSION = ("bad-required-version", _E,
        "`required_version` is not a version specifier (PEP 440).",
        'Write a specifier such as `">=0.1,<1"`.')
    SECRET_IN_FILE = ("secret-in-file", _E,
        "mtls.toml or fleet.toml has a key or a value with the shape of an API token or of a line of a private key.",
        "Remove it and revoke the token, or replace the key; if it is neither, choose a shorter name.")
    PRIVATE_KEY_IN_FILE = ("private-key-in-file", _E,
        "mtls.toml or fleet.toml contains a private key, where only the place of a key is allowed.",
        "Name a file or an environment variable instead; if the file was ever shared, replace the key.")
    UNKNOWN_KEY = ("unknown-key", _E,
        "A key is not part of the format.",
        "Remove the key, or use the one that the hint suggests.")
    MISSING_KEY = ("missing-key", _E,
        "A required key is missing.",
        "Add the key.")
    WRONG_TYPE = ("wrong-type", _E,
        "A value has another TOML type than its key accepts.",
        "Write a value of the type that the message names.")
    BAD_NAME = ("bad-name", _E,
        "The name of a stack, certificate, Worker or environment is not valid.",
        "Use a name of the form that the hint describes.")
    BAD_TEXT = ("bad-text", _E,
        "A text is empty, too long, or contains characters that can't be shown.",
        "Shorten the text, or remove those characters.")
    BAD_DURATION = ("bad-duration", _E,
        "A value is not a valid duration.",
        'Write a duration such as `"7d"` or `"1d12h"`.')
    BAD_FREEZE = ("bad-freeze", _E,
        "The start and the end of a `[[policy.freeze]]` are no time that could be judged.",
        "Write both as dates or both as weekdays, with or without a time, the start first.")
    UNKNOWN_ZONE = ("unknown-zone", _E,
        "The time zone of a `[[policy.freeze]]` is unknown, or this machine has no rules of time zones.",
        "Write a name of the IANA database, such as `Europe/Berlin`, or install `tzdata`.")
    OUT_OF_RANGE = ("out-of-range", _E,
        "A number, duration or share is outside its limits.",
        "Use a value within the limits that the message names.")
    UNKNOWN_VALUE = ("unknown-value", _E,
        "A value is not one of those that its key accepts.",
        "Use one of the values that the message lists.")
    BAD_ACCOUNT_ID = ("bad-account-id", _E,
        "`account_id` is not a valid Cloudflare account ID; it is not shown, because it may be a token.",
        "Write the 32 hexadecimal digits from the address of the account's dashboard, in lower case.")
    BAD_PATH = ("bad-path", _E,
        "A path is absolute, contains `\\`, leads into `.git`, or names an unsupported kind of file.",
        "Write a path with `/`, relative to the folder of mtls.toml.")
    BAD_URL = ("bad-url", _E,
        "A value is not an `https://` URL, or the URL contains a user name or password.",
        "Write an `https://` URL without user name and password.")
    BAD_BINDING_NAME = ("bad-binding-name", _E,
        "The name of a binding is not a valid JavaScript identifier.",
        "Use a name such as `MY_CERT`, which code can write as `env.MY_CERT`.")
    BAD_ENTRY_ID = ("bad-entry-id", _E,
        "The ID of an uploaded certificate is not a UUID with dashes.",
        "Copy the ID again; `wrangler mtls-certificate list` shows the IDs of an account.")
    BAD_VALUE = ("bad-value", _E,
        "A value is not valid for its key source or its binding.",
        "Correct the value as the message says.")
    BAD_KEY_SOURCE = ("bad-key-source", _E,
        "`private_key` names no known key source, or several.",
        'Write a path, `{ file = "FILE" }` or `{ env = "NAME" }`.')
    DUPLICATE_VALUE = ("duplicate-value", _E,
        "A list contains the same value twice.",
        "Remove one of the two.")
    FORMER_STACK_IS_STACK = ("former-stack-is-stack", _E,
        "`former_stacks` contains the current name of the stack.",
        "Remove the name from the list.")
    SUPERSEDES_DECLARED = ("supersedes-declared", _E,
        "A certificate supersedes itself or another declared certificate by name.",
        "Remove the name from `supersedes`; to name an uploaded certificate of that name, write its ID.")
    SUPERSEDED_TWICE = ("superseded-twice", _E,
        "Two certificates supersede the same uploaded certificate.",
        "Keep it in the `supersedes` of one of them.")
    NOT_FOR_CA = ("not-for-ca", _E,
        "A certificate with `ca = true` has `private_key`, `verify` or `verify_before`, which a CA can't have.",
        "Remove that key, or `ca`.")
    VERIFY_MISSING = ("verify-missing", _E,
        "`verify_before` asks for a proof of a certificate that has no `verify`.",
        "Add `verify` with the URL of the origin, or set `verify_before = []`.")
    UNKNOWN_CERTIFICATE = ("unknown-certificate", _E,
        "A binding refers to a certificate that is not declared.",
        "Declare the certificate, correct the name, or delete the binding if the certificate was removed on purpose.")
    UNKNOWN_ISSUER = ("unknown-issuer", _E,
        "The `renew` of a certificate names an issuer that is not declared.",
        "Declare the issuer in `[issuers.NAME]`, or correct the name.")
    ISSUER_UNUSED = ("issuer-unused", _W,
        "An issuer is declared, but no certificate names it in its `renew`.",
        "Name it in the `renew` of a certificate, or remove it.")
    RENEWED_FILE_SHARED = ("renewed-file-shared", _E,
        "Two certificates have the same file, and one of them renews it: the key of the other would not fit any more.",
        "Give each of them a file of its own; or declare one certificate, and bind that everywhere.")
    CA_BOUND = ("ca-bound", _E,
        "A binding, or the `certificate` of a Hyperdrive configuration, refers to a certificate with `ca = true`.",
        "Use a client certificate.")
    ENVIRONMENT_DECLARED_TWICE = ("environment-declared-twice", _E,
        "The same environment of the same wrangler file is declared under two labels.",
        "Put the bindings of both into one table.")
    HYPERDRIVE_EMPTY = ("hyperdrive-empty", _E,
        "A `[hyperdrive.NAME]` declares nothing that its configuration should use.",
        "Add `certificate`, `ca` or `sslmode`, or remove the table.")
    HYPERDRIVE_DECLARED_TWICE = ("hyperdrive-declared-twice", _EW,
        "Two `[hyperdrive.NAME]` tables, here or (as a warning: probably) of two stacks, are about one configuration.",
        "Put both into one table, of one stack.")
    HYPERDRIVE_NEEDS_CA = ("hyperdrive-needs-ca", _E,
        "The `ca` of a `[hyperdrive.NAME]` is a client certificate.",
        "Use a certificate with `ca = true`.")
    HOSTNAMES_EMPTY = ("hostnames-empty", _E,
        'A `[hostnames."ZONE"]` has no CA, or a CA in it has no hostname.',
        "Add one, or remove the table or the line.")
    HOSTNAMES_NEED_CA = ("hostnames-need-ca", _E,
        'A `[hostnames."ZONE"]` lists hostnames for a client certificate.',
        "Name a certificate with `ca = true`.")
    HOSTNAME_OUTSIDE = ("hostname-outside", _E,
        'A `[hostnames."ZONE"]` lists a hostname of another zone.',
        "Move it to the table of its zone.")
    HOSTNAMES_DECLARED_TWICE = ("hostnames-declared-twice", _E,
        "Two tables, two CAs with the same content, or two stacks are about the hostnames of one CA in one zone.",
        "Put them into one list of one stack.")
    ACCOUNT_ID_UNUSED = ("account-id-unused", _W,
        "`account_id` is set, but this kind of store has no accounts.",
        'Remove `account_id`, or set `kind = "cloudflare"`.')

    # --- files ------------------------------------------------------------------------------------------------------

    FILE_MISSING = ("file-missing", _E,
        "A file does not exist.",
        "Check the path.")
    FILE_OUTSIDE = ("file-outside", _E,
        "A path leaves the tree of the project, by `..` or a link.",
        "Keep the file in the tree; for a private key, list its folder in `MTLSCTL_KEY_DIRS`.")
    FILE_IN_GIT = ("file-in-git", _E,
        "A path leads into `.git`.",
        "Keep the file in the working tree.")
    FILE_NOT_REGULAR = ("file-not-regular", _E,
        "A path leads to a folder, a pipe, a device, or a link that must not be followed.",
        "Name a regular file.")
    FOLDER_WRITABLE = ("folder-writable", _E,
        "Other users of this machine can write `.mtlsctl`, so its store, its journal and its lock may be from them.",
        "Check the files in it, then run the `chmod` command of the hint.")
    FILE_TOO_LARGE = ("file-too-large", _E,
        "A file is larger than such a file may be.",
        "Check that it is the right file.")
    FILE_UNREADABLE = ("file-unreadable", _E,
        "The operating system refuses to read a file.",
        "Let this user read the file and enter its folders.")
    FILE_UNWRITABLE = ("file-unwritable", _E,
        "A file can't be written.",
        "Let this user write the file and its folder, or free some disk space.")
    FILE_CHANGED = ("file-changed", _E,
        "Another program changed a file during this run.",
        "Run the same command again.")
    FILE = ("file", _E,
        "A file of mtlsctl's own, such as one in `.mtlsctl`, can't be used or locked.",
        "Follow the hint, then run again.")
    FILE_READ_ONLY = ("file-read-only", _W,
        "A wrangler file can't be written, so `mtlsctl apply` will fail to change it.",
        "Run `chmod u+w` on the file.")
    FOLDER_READ_ONLY = ("folder-read-only", _W,
        "A folder can't be written, so `mtlsctl apply` will fail to replace a file in it.",
        "Let this user write the folder.")

    # --- certificate files ------------------------------------------------------------------------------------------

    CERTIFICATE_EMPTY = ("certificate-empty", _E,
        "The certificate file is empty.",
        "Put the PEM text of the certificate into it: the leaf first, then its intermediates.")
    CERTIFICATE_NOT_PEM = ("certificate-not-pem", _E,
        "The certificate file is not PEM, but DER, PKCS#7, PKCS#12, a Git LFS pointer or the like.",
        "Get the certificate as PEM; the hint shows how.")
    CERTIFICATE_IS_PRIVATE_KEY = ("certificate-is-private-key", _E,
        "The certificate file contains a private key instead of a certificate.",
        "Check whether `certificate` and `private_key` are swapped.")
    CERTIFICATE_HAS_PRIVATE_KEY = ("certificate-has-private-key", _E,
        "The certificate file, which is public, also contains a private key.",
        "Remove the key from the file; if the file was ever shared, replace the key.")
    CERTIFICATE_WRONG_BLOCK = ("certificate-wrong-block", _E,
        "The certificate file contains a PEM block that is not a certificate.",
        "Leave only certificates in the file.")
    CERTIFICATE_GARBLED = ("certificate-garbled", _E,
        "A certificate in the file is damaged.",
        "Copy the certificate again from where it was issued.")
    CERTIFICATE_TRUNCATED = ("certificate-truncated", _E,
        "The BEGIN or END line of a certificate is missing.",
        "Copy the whole certificate again, with both lines.")
    CERTIFICATE_TOO_LARGE = ("certificate-too-large", _E,
        "One certificate in the file is larger than 36 kB.",
        "Check that it is the right file.")
    CHAIN_TOO_LARGE = ("chain-too-large", _E,
        "The certificate file is larger than 95 kB.",
        "Leave only the leaf and its intermediates in the file.")
    CHAIN_TOO_LONG = ("chain-too-long", _E,
        "The certificate file contains more than 10 certificates.",
        "Leave only the leaf and its intermediates in the file.")

    # --- private keys -----------------------------------------------------------------------------------------------

    KEY_MISSING = ("key-missing", _E,
        "A certificate must be uploaded, but mtls.toml has no `private_key` for it.",
        "Add `private_key` to the certificate.")
    KEY_UNAVAILABLE = ("key-unavailable", _EW,
        "A private key could not be read or kept: it is missing or empty, or its command may not run, or failed.",
        "Make the key available to this run.")
    KEY_NOT_CHECKED = ("key-not-checked", _I,
        "The private key is not available, so `mtlsctl validate` did not check that it belongs to its certificate.",
        "No action needed; to check it, run the command where the key is available.")
    KEY_NOT_AT_HAND = ("key-not-at-hand", _I,
        "The private key is not available, so `mtlsctl doctor` did not check its file.",
        "No action needed; to check it, run the command where the key is available.")
    KEY_MISMATCH = ("key-mismatch", _E,
        "The private key does not belong to the certificate.",
        ("Use the key that the certificate was requested with; a renewal usually replaces both files. A certificate"
         " that is uploaded already needs no key: after a revert, leave it out."))
    KEY_OF_OTHER_CERTIFICATE = ("key-of-other-certificate", _E,
        "The private key belongs to another certificate of the file than the first.",
        "Put the certificate of the key first.")
    KEY_IS_CERTIFICATE = ("key-is-certificate", _E,
        "`private_key` leads to a certificate instead of a private key.",
        "Check whether `certificate` and `private_key` are swapped.")
    KEY_IS_REQUEST = ("key-is-request", _E,
        "`private_key` leads to a certificate signing request instead of a private key.",
        "Name the private key that the request was made with.")
    KEY_IS_PUBLIC = ("key-is-public", _E,
        "`private_key` leads to a public key instead of a private key.",
        "Name the private key.")
    KEY_SEVERAL = ("key-several", _E,
        "The private key's file or variable contains several private keys.",
        "Keep only the key of the leaf.")
    KEY_EMPTY = ("key-empty", _E,
        "The private key is empty.",
        "Put the PEM text of the key there.")
    KEY_NOT_PEM = ("key-not-pem", _E,
        "The private key is not PEM, but DER, PKCS#12, OpenSSH's format or the like.",
        "Get the key as PEM; the hint shows how.")
    KEY_ENCRYPTED = ("key-encrypted", _E,
        "The private key is encrypted, and mtls.toml does not say where its passphrase is.",
        "Add `passphrase = { env = \"NAME\" }` to the table of `private_key`.")
    KEY_PASSPHRASE = ("key-passphrase", _E,
        "The private key could not be decrypted: its passphrase is wrong, or the key is damaged.",
        "Check the passphrase, and from where mtls.toml takes it.")
    KEY_FILE_DAMAGED = ("key-file-damaged", _E,
        "A file of sops or age is not encrypted, is damaged, or was changed by something else since it was encrypted.",
        "Restore the file from the history of git, or encrypt the key again.")
    KEY_GARBLED = ("key-garbled", _E,
        "The private key is damaged.",
        "Copy the whole key again from where it was made.")
    KEY_TRUNCATED = ("key-truncated", _E,
        "The BEGIN or END line of the private key is missing.",
        "Copy the whole key again, with both lines.")
    KEY_TOO_LARGE = ("key-too-large", _E,
        "The private key's file or variable is larger than 13 kB.",
        "Keep one key in it and nothing else.")
    KEY_READABLE = ("key-readable", _W,
        "The file of a private key can be read by its group or by everyone.",
        "Run `chmod 600` on the file.")
    KEY_TRACKING_UNKNOWN = ("key-tracking-unknown", _EWI,
        "Git is missing, refuses the checkout, or has no repository here, so a private key in git would go unnoticed.",
        "Run the command of the hint, then check again.", ExitCode.BLOCKED)
    KEY_IN_GIT = ("key-in-git", _E,
        "Git tracks a private key.",
        "Run `git rm --cached` on the file. Its history keeps the key: have the certificate reissued with a new one.")

    # --- certificates -----------------------------------------------------------------------------------------------

    CERTIFICATE_EXPIRED = ("certificate-expired", _EW,
        "The certificate has expired: it is not uploaded, and no binding moves to it. If it is in use: a warning.",
        "Renew the certificate.")
    INTERMEDIATE_EXPIRED = ("intermediate-expired", _EW,
        "An intermediate of the certificate has expired.",
        "Replace the intermediate with the CA's current one.")
    CERTIFICATE_NOT_YET_VALID = ("certificate-not-yet-valid", _W,
        "The certificate is not valid yet.",
        "Run `mtlsctl apply` when it is valid: a renewed certificate is bound then. Or correct this machine's clock.")
    INTERMEDIATE_NOT_YET_VALID = ("intermediate-not-yet-valid", _W,
        "An intermediate of the certificate is not valid yet.",
        "Wait until it is valid, or correct the clock of this machine.")
    DATES_ODD = ("dates-odd", _W,
        "A certificate begins before 1970, which some origins refuse.",
        "Have the certificate reissued with a later begin.")
    DATES_REVERSED = ("dates-reversed", _EW,
        "A certificate ends before it begins, so it is never valid.",
        "Have the certificate reissued.")
    BOUND_EXPIRED = ("bound-expired", _W,
        "A binding uses a certificate that has expired, so calls through it fail.",
        "Replace the certificate file with a valid certificate, run `mtlsctl apply`, and deploy the Worker.")
    BOUND_BEFORE_VALID = ("bound-before-valid", _W,
        "A binding uses, or moves to, a certificate that is not valid yet; the one before is not valid either.",
        "If calls must work earlier, get a certificate that is valid now.")
    VALIDITY_UNKNOWN = ("validity-unknown", _W,
        "The dates of the certificate that a binding moves to are unknown.",
        "Check in the Cloudflare dashboard when the certificate is valid.")
    VALIDITY_GAP = ("validity-gap", _W,
        "The certificate in use expires before its successor becomes valid.",
        "Get a certificate that covers the gap, and replace the file before the first date.")
    RENEWAL_DUE = ("renewal-due", _W,
        "The certificate is due for renewal.",
        "Get a renewed certificate, replace the file, and run `mtlsctl apply`.")
    INTERMEDIATE_ENDS_FIRST = ("intermediate-ends-first", _W,
        "An intermediate expires before the leaf that depends on it.",
        "Plan the renewal by the earlier date, or get a newer intermediate.")
    RENEWAL_ENDS_EARLIER = ("renewal-ends-earlier", _W,
        "A renewed certificate expires earlier than the uploaded one that it replaces.",
        "Check that the file is the certificate that you meant; nothing to do if it is meant to be shorter.")
    RENEW_BEFORE_TOO_LONG = ("renew-before-too-long", _W,
        "`renew_before` is at least as long as the certificate is valid, so the default is used instead.",
        'Shorten `renew_before`, or write a share such as `"33%"`.')
    CHAIN_ORDER = ("chain-order", _EW,
        "The certificates are not in order: the leaf first, then each before its issuer.",
        "Reorder the file; if only the uploaded copy is out of order, upload a renewed certificate.")
    CHAIN_BROKEN = ("chain-broken", _EW,
        "The second certificate of the file is not the issuer of the first.",
        "Put the issuer directly after the leaf.")
    CHAIN_SIGNATURE = ("chain-signature", _EW,
        "A certificate was not signed by the key of the issuer in the file, although the names match.",
        "Find the intermediate that was in use when the certificate was issued.")
    CHAIN_INCOMPLETE = ("chain-incomplete", _W,
        "The issuer of the certificate is not in the file.",
        "Add the intermediates, unless the origin knows the issuer.")
    CHAIN_HAS_ROOT = ("chain-has-root", _W,
        "The file contains the root, which origins ignore.",
        "Remove the root from the file.")
    CHAIN_UNRELATED = ("chain-unrelated", _W,
        "The file contains a certificate that is not part of the leaf's chain.",
        "Remove that certificate from the file.")
    CHAIN_SECOND_PATH = ("chain-second-path", _I,
        "The file contains a second path: two certificates with the same name and key, issued by different CAs.",
        "First put the one whose root the origin trusts; origins that use OpenSSL try only the first.")
    CHAIN_KEY_ID = ("chain-key-id", _EW,
        "The authorityKeyIdentifier of a certificate does not match its issuer in the file, which OpenSSL refuses.",
        "Use the intermediate that the CA delivered with the certificate.")
    SELF_SIGNATURE = ("self-signature", _EW,
        "The signature of a self-signed certificate is wrong.",
        "Copy the certificate again from its source, or create it again.")
    NAME_CONSTRAINTS = ("name-constraints", _EW,
        "A CA of the chain has name constraints that forbid a name below it, or that some origins do not support.",
        "Ask the CA for a certificate with names that it may issue for, or for another intermediate.")
    PATH_LENGTH = ("path-length", _EW,
        "A CA of the chain has more CAs below it than its pathLenConstraint allows.",
        "Ask the CA for a chain that its own rules allow.")
    CHAIN_DUPLICATE = ("chain-duplicate", _W,
        "The file contains the same certificate twice.",
        "Remove one of the two.")
    CHAIN_NAME_ENCODING = ("chain-name-encoding", _W,
        "A certificate encodes the name of its issuer in other bytes than the issuer does, which some origins refuse.",
        "Have the certificate reissued.")
    LEAF_IS_CA = ("leaf-is-ca", _EW,
        "The file contains a CA where a client certificate is needed.",
        "Name the file of the client certificate, or declare the CA with `ca = true`.")
    CA_IS_LEAF = ("ca-is-leaf", _E,
        "A certificate is declared with `ca = true`, but it is not a CA.",
        "Name the file of the CA, or remove `ca`.")
    INTERMEDIATE_NOT_CA = ("intermediate-not-ca", _EW,
        "An intermediate is not a CA, or its keyUsage does not allow it to sign certificates.",
        "Get the right intermediate from the CA.")
    USAGE_WITHOUT_CLIENT_AUTH = ("usage-without-client-auth", _EW,
        "The extendedKeyUsage of a certificate does not include clientAuth.",
        "Have the certificate reissued with extendedKeyUsage clientAuth.")
    USAGE_WITHOUT_DIGITAL_SIGNATURE = ("usage-without-digital-signature", _EW,
        "The keyUsage of the certificate does not include digitalSignature.",
        "Have the certificate reissued with keyUsage digitalSignature.")
    EXTENSION_UNREADABLE = ("extension-unreadable", _EW,
        "An extension of a certificate is damaged or appears twice.",
        "Have the certificate reissued.")
    EXTENSION_CRITICAL = ("extension-critical", _EW,
        "A certificate has a critical extension that some or all origins do not support, so they refuse it.",
        "Have the certificate reissued with the extension not marked critical, or without it.")
    KEY_ENCODING = ("key-encoding", _EW,
        "An EC key has explicit parameters instead of a named curve, or is compressed; some or all origins refuse it.",
        "Make a new EC P-256 key with a named curve, and have the certificate reissued for it.")
    KEY_TYPE_REFUSED = ("key-type-refused", _EW,
        "A key has a type or size that Cloudflare and origins refuse.",
        "Make a new EC P-256 or RSA 2048 key, and have the certificate reissued for it.")
    KEY_TYPE_RARE = ("key-type-rare", _W,
        "A key has a type that some origins refuse.",
        "Prefer EC P-256 or RSA 2048.")
    WEAK_SIGNATURE = ("weak-signature", _EW,
        "A certificate is signed with SHA-1 or MD5.",
        "Have the certificate reissued with SHA-256.")
    SIGNATURE_UNKNOWN = ("signature-unknown", _W,
        "A certificate is signed with an algorithm that can't be checked here.",
        "Make sure that the origin supports this algorithm.")
    SIGNATURE_RARE = ("signature-rare", _W,
        "A certificate is signed with an algorithm that some origins do not accept.",
        "Have the certificate reissued, signed by RSA or ECDSA with SHA-256, SHA-384 or SHA-512.")
    CA_SIGNATURE_ALGORITHM = ("ca-signature-algorithm", _E,
        "A CA is signed with an algorithm that Cloudflare refuses for CAs.",
        "Use a CA that is signed with RSA (PKCS#1) or ECDSA.")
    SERIAL_ODD = ("serial-odd", _W,
        "A serial number breaks RFC 5280: it is zero or negative.",
        "Have the certificate reissued.")
    VERSION_ODD = ("version-odd", _W,
        "A certificate has X.509 version 1.",
        "Have the certificate reissued with version 3.")
    LIBRARY_WARNING = ("library-warning", _W,
        "The X.509 library warns about a certificate; later versions may refuse it.",
        "Have the certificate reissued.")
    SAME_LEAF = ("same-leaf", _W,
        "A certificate with the same leaf but another chain is uploaded already, so the upload may be refused.",
        "Use the chain that is uploaded, or a renewed certificate.")
    SAME_CONTENT = ("same-content", _E,
        "The same certificate is declared both with and without `ca = true`.",
        "Make the declarations agree.")
    FORECAST_QUOTA = ("forecast-quota", _W,
        "A renewal within the forecast will exceed the quota of the account.",
        "Spread the renewals, shorten `grace`, or have Cloudflare raise the quota.")
    FORECAST_CUT = ("forecast-cut", _W,
        "The forecast ends early, because there are too many renewals before its last day.",
        "Use fewer days with `--days`.")

    POLICY_LIFETIME = ("policy-lifetime", _EW,
        "The certificate is valid for longer than `max_lifetime` in `[policy.certificates]` allows.",
        "Get a certificate that is valid for a shorter time, or change the rule.", ExitCode.BLOCKED)
    POLICY_KEY_TYPE = ("policy-key-type", _EW,
        "The key of the certificate is none of `keys` in `[policy.certificates]`.",
        "Create a key of an allowed type, and get a certificate for it; or change the rule.", ExitCode.BLOCKED)
    POLICY_ISSUER = ("policy-issuer", _EW,
        "The issuer of the certificate is none of `issuers` in `[policy.certificates]`.",
        "Get the certificate from an allowed CA, or change the rule.", ExitCode.BLOCKED)
    POLICY_EXTENSION = ("policy-extension", _EW,
        ("The certificate lacks what `extensions` or `extended_key_usage` in `[policy.certificates]` demand, or it"
         " can't be read."),
        "Ask the CA to reissue the certificate with it, or change the rule.", ExitCode.BLOCKED)
    POLICY_KEY_REUSE = ("policy-key-reuse", _EW,
        "Another certificate has the same key, and `[policy.certificates]` has `key_reuse = false`.",
        "Create a new key, and get a certificate for it; or change the rule.", ExitCode.BLOCKED)
    POLICY_NAME = ("policy-name", _EW,
        "The name of the certificate, or its common name, matches none of the globs in `[policy.certificates]`.",
        "Rename it, or get a certificate with another common name; or change the rule.", ExitCode.BLOCKED)

    # --- proofs at origins ------------------------------------------------------------------------------------------

    ORIGIN_CA_WITHOUT_ROOT = ("origin-ca-without-root", _E,
        "The file of `ca` in `verify` contains no self-signed certificate.",
        "Name a file with the root of the origin's own certificate.")
    CHAIN_NOT_TRUSTED = ("chain-not-trusted", _E,
        "The chain does not lead to a CA of `client_ca`.",
        "Add the missing intermediates, or use a certificate of one of those CAs.")
    CLIENT_CA_EXPIRED = ("client-ca-expired", _E,
        "A CA of `client_ca` that the chain depends on is not valid now.",
        "Replace that CA with its successor.")
    CLIENT_CA_WITHOUT_ROOT = ("client-ca-without-root", _W,
        "`client_ca` contains only an intermediate of the chain, and many origins require the root.",
        "Add the root to the file.")
    VERIFY_REFUTED = ("verify-refuted", _E,
        "The origin refuses the certificate, so the step that depends on the proof was not taken.",
        "Follow the hint of the verdict.")
    VERIFY_INCONCLUSIVE = ("verify-inconclusive", _EW,
        "The certificate could not be proved at the origin, so the step that depends on the proof was not taken.",
        "Follow the hint of the verdict.", ExitCode.BLOCKED)
    VERIFY_WEAK = ("verify-weak", _W,
        "The origin accepts the certificate, but it would accept others, too.",
        "Configure the origin to require and verify client certificates.")
    ORIGIN_PROXIED = ("origin-proxied", _W,
        "The origin answers through Cloudflare's proxy, where a deployed Worker with an mTLS binding gets error 520.",
        "Call the origin by a name that is not proxied.")
    ISSUER_NOT_NAMED = ("issuer-not-named", _W,
        "The origin does not name an issuer of the chain among the CAs that it trusts.",
        "No action needed if the proof passed, but some clients then send no certificate.")
    EDGE_WORKER_LEFT = ("edge-worker-left", _W,
        "A throw-away Worker of `verify --level edge` could not be deleted. No one can use it without its secret.",
        "Delete it with `wrangler delete --name NAME`; a run after an hour deletes it, too.")

    # --- wrangler files ---------------------------------------------------------------------------------------------

    WRANGLER_SYNTAX = ("wrangler-syntax", _E,
        "A wrangler file is not valid TOML or JSON, is too large or too deep, or is not UTF-8.",
        "Correct the reported line.")
    WRANGLER_FORMAT = ("wrangler-format", _E,
        "`config` names a file that does not end in `.toml`, `.json` or `.jsonc`.",
        "Name the wrangler file.")
    WRANGLER_ENVIRONMENT = ("wrangler-environment", _E,
        "`env` in a wrangler file is not a table.",
        "Write `env` as wrangler reads it.")
    WRANGLER_BINDINGS = ("wrangler-bindings", _E,
        "`mtls_certificates` in a wrangler file is not a list of tables.",
        "Write `mtls_certificates` as wrangler reads it.")
    WRANGLER_BINDING_NAME = ("wrangler-binding-name", _E,
        "An item of `mtls_certificates` has no `binding`.",
        "Add `binding` with the name of the binding.")
    WRANGLER_NO_ID = ("wrangler-no-id", _E,
        "A wrangler file has a private key, a token, or a far too long text, in the place of a name or an ID.",
        "Write the name or the ID there; if it was a private key or a token, replace it.")
    WRANGLER_CERTIFICATE_ID = ("wrangler-certificate-id", _E,
        "An item of `mtls_certificates` has no `certificate_id`.",
        'Add `certificate_id = ""`; `mtlsctl apply` writes the ID.')
    WRANGLER_DUPLICATE_BINDING = ("wrangler-duplicate-binding", _E,
        "A binding appears twice in one environment.",
        "Remove one of the two.")
    CONFIG_SHADOWED = ("config-shadowed", _W,
        "Without `-c`, wrangler would use another configuration than the declared file.",
        "Deploy with `wrangler deploy -c FILE`, or name the other file in `config`.")
    CONFIG_IN_CODE = ("config-in-code", _W,
        "A configuration in code is next to the wrangler file, and mtlsctl can't edit it.",
        "If wrangler uses it, write the IDs into it by hand: `mtlsctl output NAME` prints them.")
    CONFIGS_TOO_LARGE = ("configs-too-large", _E,
        "The wrangler files of one run have more than 8 MB, or more than 100,000 values, together.",
        "Split mtls.toml into several, each with a `stack` of its own; run `init` with `--from` for a smaller folder.")
    CONFIG_GENERATED = ("config-generated", _E,
        "`config` names a file that a build generates and would overwrite.",
        "Name the file that the build reads.")
    REDIRECT_OUTSIDE = ("redirect-outside", _W,
        "A redirect makes wrangler deploy a file outside the project, or can't be read: mtlsctl can't check that file.",
        "Build again inside the project, remove the redirect, or deploy with `wrangler deploy -c FILE`.")
    REBUILD_NEEDED = ("rebuild-needed", _W,
        "Wrangler deploys a file that a build generated, and it does not have these IDs.",
        "Build again after `mtlsctl apply`, before you deploy.")
    EDIT_REFUSED = ("edit-refused", _E,
        "A wrangler file can't be changed without touching lines that mtlsctl does not manage.",
        "Paste the lines of the hint by hand.")
    UNKNOWN_ENVIRONMENT = ("unknown-environment", _E,
        "A declared environment does not exist in the wrangler file.",
        "Add the environment to the wrangler file, or correct the name.")
    UNDECLARED_ENVIRONMENT = ("undeclared-environment", _W,
        "The wrangler file has an environment for which mtls.toml declares nothing.",
        "Paste the lines of the hint into mtls.toml.")
    UNDECLARED_BINDING = ("undeclared-binding", _W,
        "A binding uses a certificate of this stack, but is not declared; it is left as it is.",
        "Declare the binding, or remove it from the wrangler file.")
    BINDING_NAME_TAKEN = ("binding-name-taken", _E,
        "The name of a declared binding is used by a binding of another kind.",
        "Choose another name.")
    BINDING_TO_CA = ("binding-to-ca", _E,
        "A binding declares the ID of a CA, which a Worker can't use.",
        "Declare the ID of a client certificate.")
    UNKNOWN_ENTRY = ("unknown-entry", _E,
        "A binding declares an ID that is not found among the uploaded certificates.",
        "Look up the current ID where that certificate is managed.")
    ID_OF_OTHER_STACK = ("id-of-other-stack", _W,
        "A binding gets a certificate of another stack by its ID, so the Worker acts under the identity of others.",
        "If this stack was renamed, add that name to `former_stacks`; else ask its owners whether a Worker may use it.")
    IDS_NOT_ASKED = ("ids-not-asked", _W,
        "Too many IDs of bindings are not in the list of uploaded certificates; the rest was not looked up.",
        "Check that the account is the right one, and correct the IDs.")
    ACCOUNT_ID_DECLARED = ("account-id-declared", _E,
        "A binding declares an ID from a Cloudflare account, but this project's certificate store has no accounts.",
        'Set `kind = "cloudflare"` in `[store]`, or declare an ID of that store.', ExitCode.BLOCKED)
    ACCOUNT_ID_IN_FILE = ("account-id-in-file", _E,
        "A wrangler file has an ID from a Cloudflare account, but the project's store has none; it is not changed.",
        'Set `kind = "cloudflare"` in `[store]`, or replace that ID with a placeholder.', ExitCode.BLOCKED)
    ACCOUNT_DIFFERS = ("account-differs", _E,
        "The `account_id` of a wrangler file is not the account of this project.",
        "Declare that environment in an mtls.toml of its own, with its account in `[store]`.")
    PAGES_ENVIRONMENT = ("pages-environment", _E,
        "A declared environment of a Pages project is neither `preview` nor `production`.",
        "Declare `preview`, `production` or the top level.")
    PREVIEWS_UNMANAGED = ("previews-unmanaged", _WI,
        "The wrangler file has `previews`, whose bindings mtlsctl does not change.",
        "Write the IDs there by hand: `mtlsctl output NAME` prints them.")

    # --- the uploaded certificates ----------------------------------------------------------------------------------

    NOT_STORED = ("not-stored", _E,
        "The certificate is not uploaded yet, so it has no ID.",
        "Run `mtlsctl apply`.")
    PREVIOUS_ENTRY_GONE = ("previous-entry-gone", _W,
        "The declared certificate is older than the uploaded one and was deleted, as after a revert.",
        "If its key leaked, never upload it again. Else make the old key available for one run, or roll forward.")
    NEWER_ENTRY = ("newer-entry", _W,
        "A newer certificate was uploaded under this name; it is kept.",
        "Pull first. After a revert this is expected: the newer one is kept so that you can roll forward.")
    BY_ID_OUTDATED = ("by-id-outdated", _W,
        "A binding names an uploaded certificate by its ID, and a newer one was uploaded under the same name.",
        "Change the ID in mtls.toml, once the stack that manages the certificate uses the newer one.")
    BY_ID_DECLARED = ("by-id-declared", _W,
        "mtls.toml declares a certificate, but a binding names it by its ID, so a renewal does not change the binding.",
        "Bind the certificate by its name, as the hint shows.")
    BY_ID_DUE = ("by-id-due", _W,
        "An uploaded certificate that a binding names by its ID is due for renewal, or has expired.",
        "Have it renewed where it is managed, then change the ID in mtls.toml.")
    ENTRY_OF_OTHER_STACK = ("entry-of-other-stack", _E,
        "Another stack uploaded this certificate.",
        "If the stack was renamed, add its former name to `former_stacks`; else bind it by ID (not possible for a CA).")
    ENTRY_MANAGED = ("entry-managed", _E,
        "Cloudflare Gateway or Access manages this certificate, so it can't be bound.",
        "Declare another certificate.")
    ENTRY_CA_DIFFERS = ("entry-ca-differs", _E,
        "The certificate is uploaded as a CA and declared as a client certificate, or the other way round.",
        "Make `ca` agree, or delete the uploaded certificate and run again.")
    LEAF_DIFFERS = ("leaf-differs", _E,
        "The same certificates are uploaded or declared with another one first, which a Worker would use instead.",
        "Put the leaf first in the file; if it is there, get a renewed certificate, or delete that upload.")
    SUPERSEDES_AMBIGUOUS = ("supersedes-ambiguous", _E,
        "A name in `supersedes` matches several uploaded certificates.",
        "Write the ID of the one that is meant.")
    SUPERSEDES_NOTHING = ("supersedes-nothing", _WI,
        "An item of `supersedes` matches no uploaded certificate: it is misspelled, or was deleted already.",
        "Correct the item, or remove it.")
    SUPERSEDES_REFUSED = ("supersedes-refused", _W,
        "An item of `supersedes` names a certificate of another stack or of another kind; it is left as it is.",
        "Remove the item.")
    QUOTA = ("quota", _E,
        "The account has no room for another certificate of this kind.",
        "Delete certificates that nothing uses, or raise `limit` if Cloudflare raised the quota of the account.",
        ExitCode.BLOCKED)
    QUOTA_REACHED = ("quota-reached", _E,
        "An upload was refused, because the account holds as many certificates of this kind as it may.",
        "Delete certificates that nothing uses, or ask Cloudflare for a higher quota.")
    ALREADY_STORED = ("already-stored", _E,
        "This certificate is uploaded already.",
        "Run `mtlsctl plan` again; it uses the uploaded certificate.")
    ENTRY_NOT_FOUND = ("entry-not-found", _E,
        "An uploaded certificate does not exist any more.",
        "Run `mtlsctl plan` again.")
    ENTRY_IN_USE = ("entry-in-use", _E,
        "A certificate can't be deleted, because something still uses it.",
        "Deploy every Worker whose live version uses it; hostnames and Hyperdrive may use it, too.")
    USE_UNKNOWN = ("use-unknown", _E,
        "It could not be checked whether something uses a certificate, so it is kept.",
        "Fix what the message names, then run again.")

    # --- guard rails ------------------------------------------------------------------------------------------------

    POLICY_WEAK = ("policy-weak", _W,
        "Something is to be removed, now or later, and settings in mtls.toml protect it less than the defaults do.",
        ("Check that the removal and these settings are both meant; limit them with `MTLSCTL_MAX_DELETES` and"
         " `MTLSCTL_MIN_GRACE`."))
    GUARD_WEAKENED = ("guard-weakened", _W,
        "A setting that protects certificates is weaker than at the revision of `plan --base`.",
        "Check that this is meant, and that the same change does not remove what the setting protected.")
    GUARDS_NOT_COMPARED = ("guards-not-compared", _W,
        "`plan --base` could not read mtls.toml of that revision, so no setting was compared.",
        "Follow the hint; until then compare the settings by hand.")
    NOTHING_DECLARED = ("nothing-declared", _EW,
        ("mtls.toml declares nothing, but uploaded certificates have the mark of this stack; as an error, some would be"
         " deleted or unbound now."),
        ("Restore mtls.toml if it was emptied by mistake, or choose another `stack`; if all of it is meant, run with"
         " `--allow-empty`."), ExitCode.BLOCKED)
    PROTECT = ("protect", _EW,
        "Uploads that would be deleted now are kept, because `protect` or `MTLSCTL_PROTECT` has their name.",
        "Check that they are no longer needed; then run with `--override-protect NAME`, which must be exact.",
        ExitCode.BLOCKED)
    FREEZE = ("freeze", _EW,
        "A `[[policy.freeze]]` holds, so nothing is uploaded, bound, deployed or deleted.",
        "Wait for its end; if a change can't wait, run with `--override-freeze REASON`.", ExitCode.BLOCKED)
    DESPITE_FREEZE = ("despite-freeze", _W,
        "Changes are made during a freeze: for a certificate that ends soon, or because of `--override-freeze`.",
        "Check that they are meant to be made now.")
    STACK_SHARED = ("stack-shared", _W,
        "Another repository seems to upload certificates under the name of this stack, or of a former one.",
        "Let each repository have a `stack` of its own; ignore it if you removed these certificates from mtls.toml.")
    BAD_CRON = ("bad-cron", _E,
        "The `cron` of a `deny` in fleet.toml is not a cron expression.",
        'Write five fields: minute, hour, day of month, month, day of week, such as `"0 16 * * FRI"`.')
    UNKNOWN_CREDENTIAL = ("unknown-credential", _E,
        "A `[[stacks]]` of fleet.toml names a credential that is not there.",
        "Add `[credentials.NAME]`, or correct the name.")
    FLEET_ACCOUNT = ("fleet-account", _E,
        "The account of an mtls.toml is missing, or the credential of its `[[stacks]]` may not be used for it.",
        "Write `account_id` in `[store]`, and list that account in `[credentials.NAME]` of fleet.toml.")
    FLEET_FILES = ("fleet-files", _E,
        "A path or glob of fleet.toml matches no file or can't be searched, or two `[[stacks]]` have the same file.",
        "Correct the glob, let this user read its folders, or use `exclude`.")
    FLEET_STACK_MISSING = ("fleet-stack-missing", _E,
        "A stack that was part of the fleet was not found. Nothing is done for it, and nothing is deleted.",
        "Restore its mtls.toml; if it left for good, add its name to `retired` of its `[[stacks]]`.")
    FLEET_STACK_RETIRED = ("fleet-stack-retired", _W,
        "A stack is in `retired` of its `[[stacks]]`, but its mtls.toml is there.",
        "Delete the file, or remove the name from `retired`.")
    FLEET_SHRUNK = ("fleet-shrunk", _E,
        "Fewer than half of the known stacks of a fleet were found, so nothing was changed anywhere.",
        "Check the checkout and the globs of fleet.toml; add the names of stacks that left to `retired`.",
        ExitCode.BLOCKED)
    FLEET_NOT_DONE = ("fleet-not-done", _W,
        ("A fleet may do something, but it would write files that it can't propose, write a key into the repository, or"
         " start a command of mtls.toml, so it is not done."),
        "Add `[forge]` to fleet.toml, or do it in a checkout or a pipeline, and commit the files.")
    FLEET_UNCOMMITTED = ("fleet-uncommitted", _E,
        "A file of a stack differs from the commit that is checked out, so a pull request would not have it.",
        "Commit and push the file, or undo its change; the next pass goes on.")
    FLEET_STATE = ("fleet-state", _E,
        "The file of `--state` is not what this version of mtlsctl remembers of this fleet.",
        "Name another file. If you delete it, all stacks are checked again, but no missing one is noticed.")
    STACK_TWICE = ("stack-twice", _E,
        "Two mtls.toml of one run have the same `stack` in one account, so each would delete what the other uploads.",
        "Give each mtls.toml a `stack` of its own; leave out a copy, such as one in a build folder, with `--file`.")
    FORMER_STACK_LEFT = ("former-stack-left", _WI,
        ("Uploads of a former stack are for certificates that mtls.toml does not declare, so no stack manages them; as"
         " an info, it has no uploads any more."),
        ("Declare them again, or delete those that `mtlsctl drift --unused` lists; ignore it if another repository"
         " uses that stack. If it has no uploads, remove it from `former_stacks`."))
    TOO_MANY_UNBINDS = ("too-many-unbinds", _E,
        "One run would remove more bindings than `max_unbinds` allows; it removes only that many.",
        "Check mtls.toml; if they are all meant to be removed, run with `--allow-unbinds N`.", ExitCode.BLOCKED)
    VARIABLE_INVALID = ("variable-invalid", _E,
        "An environment variable that allows or limits something has a value that mtlsctl can't read.",
        "Correct the variable, or unset it.")

    # --- pipelines --------------------------------------------------------------------------------------------------

    FORGE = ("forge", _EWI,
        ("GitHub or GitLab could not be read or written, so a comment, an issue or a pull request may be missing; as"
         " an info, the token may not, as on a pull request from a fork."),
        "Give the job's token the permission that the message names, or run the job again.")

    ISSUER = ("issuer", _E,
        "An issuer refused a certificate request, could not be asked, or is not set up for this run.",
        "Do what the message says; then run `mtlsctl renew` again, which goes on with the same key.")
    ISSUED_TWICE = ("issued-twice", _W,
        ("The issuer issued a certificate for an earlier renewal, or may have, and the certificate file does not have"
         " it: a run did not end, or the file was reverted or replaced."),
        ("Look it up at the issuer by its public key, and revoke it if you don't want it. After a revert, run `mtlsctl"
         " renew NAME --new-key`, so that no key is used again."))
    RENEWAL_DIFFERS = ("renewal-differs", _E,
        "An issuer answered with another subject, other names or an older certificate than was asked for.",
        "Correct the issuer's template or role; or declare what it makes in `renew`, if that is right.")
    RENEWAL_USAGES = ("renewal-usages", _W,
        "An issuer answered with other extended key usages than the request has.",
        "Correct the issuer's template or role, if an origin needs them.")
    NOTHING_TO_ASK = ("nothing-to-ask", _E,
        "It is unknown what `mtlsctl renew` should ask the issuer for.",
        "Declare `subject`, `names` or `key` in the certificate's `renew`.")
    KEYS_LEFT = ("keys-left", _W,
        "A renewal is done, but a private key that nothing needs any more could not be removed.",
        "No action needed: the next renewal removes it; if it leaked, remove it by hand.")

    # --- the local store and Cloudflare's API -----------------------------------------------------------------------

    STORE = ("store", _EI,
        "Two answers of Cloudflare or a local store contradict each other; as an info, the local store was checked.",
        "Run `mtlsctl plan` again; no action is needed for an info.")
    STORE_REFUSED = ("store-refused", _E,
        "Cloudflare or a local store refused a request.",
        "Fix what the message names.")
    STORE_UNKNOWN_ERROR = ("store-unknown-error", _E,
        "Cloudflare answered with an error that mtlsctl does not know, so nothing more was changed.",
        "Look up the number in Cloudflare's documentation, then run again.")
    STORE_STOPPED = ("store-stopped", _E,
        "A change was skipped, because an earlier error from Cloudflare stopped this run.",
        "Fix the earlier error, then run again.")
    STORE_PERMISSION = ("store-permission", _EW,
        "The API token lacks a permission.",
        "Give the token the permission that the hint names.")
    STORE_ACCOUNT = ("store-account", _EW,
        "Cloudflare knows no such account for this API token.",
        "Check `account_id` and the accounts that the token covers.")
    STORE_UNREACHABLE = ("store-unreachable", _EW,
        "Cloudflare did not answer.",
        "Check the network, then run again.")
    STORE_REPLY = ("store-reply", _EW,
        "The answer was not the JSON of Cloudflare's API.",
        "Check what is between this machine and Cloudflare, such as a proxy.")
    STORE_CONNECTION = ("store-connection", _EW,
        "The CA bundle or the proxy of the environment can't be used; the message names the variable.",
        "Correct that variable, or unset it.")
    STORE_TIMEOUT = ("store-timeout", _EW,
        "The run took longer than it may.",
        "Run the same command again to continue.")
    STORE_CLOSED = ("store-closed", _EW,
        "The run was interrupted before this request.",
        "Run the same command again to continue.")
    RATE_LIMITED = ("rate-limited", _EW,
        "Cloudflare's rate limit requires a longer wait than this run may take.",
        "Run again later, or allow a longer wait with `--max-wait`.")
    DATABASE = ("database", _E,
        "The PostgreSQL database that processes share is out of reach or can't be used.",
        "Check that it runs, and the variable with its address. Without it no request is sent to Cloudflare.")
    DATABASE_OLD = ("database-old", _E,
        "The tables of mtlsctl in the PostgreSQL database are missing, or of another version.",
        "Run `mtlsctl fleet database upgrade` with the newest mtlsctl that uses the database.")
    LISTING_SHORT = ("listing-short", _E,
        "Cloudflare lists fewer certificates than it counts, and mtlsctl does not act on a partial list.",
        "Run again; report it to Cloudflare support if it persists.")
    LISTING_ENDLESS = ("listing-endless", _E,
        "Cloudflare's list claims more pages than an account can have.",
        "Check what is between this machine and Cloudflare, such as a proxy.")
    UPLOAD_DIFFERS = ("upload-differs", _E,
        "Cloudflare stored something else than was sent; nothing was bound to it.",
        "Check the uploaded certificate, and delete it if you do not need it.")
    UPLOAD_GONE = ("upload-gone", _W,
        "A certificate that this run uploaded was deleted meanwhile.",
        "Run `mtlsctl apply` to upload it again.")
    UPLOAD_LISTED_OTHERWISE = ("upload-listed-otherwise", _W,
        "A certificate that this run uploaded is listed differently than Cloudflare's reply said.",
        "Check the uploaded certificate, and run `mtlsctl plan`.")
    CONTENT_TWICE = ("content-twice", _W,
        "A certificate that this run uploaded was uploaded a second time by another run.",
        "Delete the one that nothing uses.")
    UPLOADS_UNSEEN = ("uploads-unseen", _W,
        "The uploads were made, but the list could not be read afterwards to confirm them.",
        "Run `mtlsctl plan`, which reads the list.")
    LIST_LAGS = ("list-lags", _I,
        "Uploaded certificates are not in Cloudflare's list yet.",
        "No action needed; the list catches up.")
    ACCOUNT_MISSING = ("account-missing", _EW,
        "The account is not set.",
        "Set `account_id` in `[store]`, or `CLOUDFLARE_ACCOUNT_ID`.")
    ACCOUNT_MALFORMED = ("account-malformed", _EW,
        "The account ID of a variable or of a wrangler file is not valid; it is not shown, because it may be a token.",
        "Use the 32 hexadecimal digits from the address of the account's dashboard, in lower case.")
    BASE_URL = ("base-url", _EW,
        "`CLOUDFLARE_API_BASE_URL` can't be used, lacks `/client/v4`, or would send the token unencrypted.",
        "Use an `https://` URL, or unset the variable.")
    COMPLIANCE_REGION = ("compliance-region", _EW,
        "`CLOUDFLARE_COMPLIANCE_REGION` is not a known region.",
        "Set it to `public` or `fedramp_high`, or unset it.")
    CLOCK_WRONG = ("clock-wrong", _W,
        "The clock of this machine differs from Cloudflare's by more than five minutes.",
        "Set the clock of this machine. Until then no old certificate is deleted.")
    STORE_LOCKED = ("store-locked", _E,
        "Another process uses a local store, such as `.mtlsctl/store.db`.",
        "Run again when that process is done.")
    STORE_FULL = ("store-full", _E,
        "The disk of a local store is full.",
        "Free some disk space, then run again.")
    STORE_IO = ("store-io", _E,
        "The disk of a local store reports an error.",
        "Check the disk, and that this user may read and write the file that the message names.")
    STORE_READ_ONLY = ("store-read-only", _E,
        "A local store can't be written.",
        "Let this user write the file that the message names, and its folder.")
    STORE_UNREADABLE = ("store-unreadable", _EW,
        "A local store can't be opened.",
        "Let this user read the file that the message names, and its folder.")
    STORE_DAMAGED = ("store-damaged", _E,
        "A local store is damaged, or was not written by mtlsctl.",
        "Restore the named file from a copy, or move it away: the next apply then uploads everything again.")
    STORE_NEWER = ("store-newer", _E,
        "A newer mtlsctl wrote a local store.",
        "Update mtlsctl on this machine.")

    # --- deploys ----------------------------------------------------------------------------------------------------

    NOT_LIVE = ("not-live", _W,
        "A Worker that should be deployed has no live version yet.",
        "Deploy it once by hand, or set `deployed = false`.")
    LIVE_UNREAD = ("live-unread", _E,
        "The live version of a Worker was requested and can't be read, so it was not checked and is not deployed.",
        "Fix what the message names; the token needs `Workers Scripts Read`.")
    GRADUAL_DEPLOYMENT = ("gradual-deployment", _E,
        "A gradual deployment is in progress, and a deploy would end it.",
        "Finish it with `wrangler versions deploy`, or use `--over-split`.", ExitCode.BLOCKED)
    ROLLBACK_LOST = ("rollback-lost", _W,
        "With `retire --ignore-rollback`, a certificate is deleted that an earlier version of a Worker uses.",
        "Do not roll back to the versions in the message; deploy their code again instead.")
    BUILD_NEEDED = ("build-needed", _E,
        "The generated file that wrangler would deploy has other IDs, or is of another Worker.",
        "Build again, then run `mtlsctl apply` again.")
    DEPLOY_AMBIGUOUS = ("deploy-ambiguous", _E,
        "Two declared environments are the same Worker, so each deploy would undo the other.",
        "Give each environment a name of its own.")
    DEPLOY_BLOCKED = ("deploy-blocked", _E,
        "A Worker can't be deployed, because a binding of its wrangler file still has a placeholder.",
        "Fix the error about that binding first.")
    DEPLOY_NOT_ALLOWED = ("deploy-not-allowed", _W,
        "mtls.toml asks to deploy a Worker, which runs its build with your token, and you have not allowed that.",
        "Run with `--deploy`, or set `MTLSCTL_DEPLOY=1` where you trust the repository.")
    DEPLOY_UNSUPPORTED = ("deploy-unsupported", _E,
        "A Pages project, or a Worker without a name, can't be deployed by mtlsctl.",
        "Deploy it by hand.")
    DEPLOY = ("deploy", _E,
        "Wrangler failed, or the live version afterwards is not what was deployed.",
        "Read what wrangler printed, then run again.")
    WORKER_NOT_FOUND = ("worker-not-found", _E,
        "The account has no such Worker, version or Pages project.",
        "Check the name in the wrangler file, and its account.")
    HYPERDRIVE_NOT_FOUND = ("hyperdrive-not-found", _E,
        "The account has no Hyperdrive configuration with this ID or name.",
        "Run `wrangler hyperdrive list`, and correct `config`.")
    HYPERDRIVE_AMBIGUOUS = ("hyperdrive-ambiguous", _E,
        "Several Hyperdrive configurations have this name.",
        "Write the ID instead of the name.")
    HYPERDRIVE_UNREAD = ("hyperdrive-unread", _EW,
        "The Hyperdrive configurations could not be read, so they are not updated, and `init` declares none.",
        "Fix what the message names; the token needs `Hyperdrive Read`.")
    HYPERDRIVE_CHANGED = ("hyperdrive-changed", _E,
        "A Hyperdrive configuration was changed during this run, or is not as it should be after an update.",
        "Run `mtlsctl plan` to see what it uses now.")
    ZONE_NOT_FOUND = ("zone-not-found", _E,
        'The account has no zone, or several, with the name in `[hostnames."ZONE"]`, or the token can\'t see it.',
        "Write the ID of the zone instead of the name, or give the token `Zone Read`.")
    HOSTNAMES_UNREAD = ("hostnames-unread", _EW,
        "The hostnames of a zone could not be read, so they are not updated, and `init` declares none.",
        "Fix what the message names; the token needs `SSL and Certificates Read` for the zone.")
    HOSTNAMES_CHANGED = ("hostnames-changed", _E,
        "The hostnames that trust a CA were changed during this run, or are not as they should be after an update.",
        "Compare both lists in the message, then run `mtlsctl plan`.")
    HOSTNAMES_FOREIGN = ("hostnames-foreign", _I,
        "Hostnames that mtls.toml does not declare trust a declared CA. They stay.",
        "Declare them, if this stack should manage them.")
    PROGRAM_MISSING = ("program-missing", _E,
        "Wrangler or workerd was not found, or can't be run.",
        "Check the PATH, or run `npm install wrangler` in the Worker's folder, or follow the hint.")
    RUNTIME = ("runtime", _E,
        "A program that mtlsctl started failed, or was not ready in time.",
        "Fix what the message names, then run again.")
    GIT_MIRROR = ("git-mirror", _E,
        "A git repository with stacks of the fleet could not be read.",
        "Follow the hint. The stacks of other repositories go on.")

    # --- mtlsctl init -----------------------------------------------------------------------------------------------

    FILE_EXISTS = ("file-exists", _E,
        "The file exists already, and is never overwritten.",
        "Add what is new with `mtlsctl init --update`, or move the file away.")
    FILE_ABOVE = ("file-above", _W,
        "A parent folder has an mtls.toml, too; commands in this folder use the new one from now on.",
        "If you want one, delete the new file and run `mtlsctl init --update` in the parent folder.")
    STACK_TAKEN = ("stack-taken", _E,
        "Uploaded certificates are marked with this stack's name already.",
        "Choose another `--stack`, or add `--same-stack` if it is the same stack.", ExitCode.BLOCKED)
    LEFT_OUT = ("left-out", _W,
        "A wrangler file, folder, environment or certificate in use was not taken over, for the reason in the message.",
        "Follow the hint, then run `mtlsctl init --update`.")
    IGNORED_BY_GIT = ("ignored-by-git", _WI,
        "Git ignores a certificate, which can't be declared, or a wrangler file, whose IDs then are in no commit.",
        "Run `git add -f` on the file; for generated wrangler files, declare what they are generated from.")
    CHAIN_DIFFERS = ("chain-differs", _W,
        "A file has the leaf of an uploaded certificate in use, but another chain, so it is bound by its ID.",
        "Bind it by name after the next renewal, or put the uploaded chain into the file.")
    BINDING_UNDECLARABLE = ("binding-undeclarable", _W,
        "The name of a binding is not a JavaScript identifier, so mtls.toml can't declare it.",
        "Rename the binding in the wrangler file and in the code.")
    ENVIRONMENT_LACKS = ("environment-lacks", _I,
        "An environment does not have all bindings of the top level.",
        "Declare them for the environment, if its code needs them.")
    NAME_TWICE = ("name-twice", _W,
        "Several uploaded certificates have the same name.",
        "If the later one is the renewal of the earlier, change the bindings of the earlier one in mtls.toml to it.")
    UPDATE_BY_HAND = ("update-by-hand", _W,
        "Something new can't be added to mtls.toml without changing an existing line.",
        "Write the lines of the hint by hand.")

    # --- mtlsctl drift --unused -------------------------------------------------------------------------------------

    ENTRY_MISSING = ("entry-missing", _W,
        "An undeclared binding has an ID that no uploaded certificate has, or that is not a valid ID.",
        "Declare the binding as the hint says, or remove it.")
    WORKER_UNDECLARED = ("worker-undeclared", _W,
        "A wrangler file has bindings, and mtls.toml does not declare it.",
        "Run `mtlsctl init --update`, which adds it.")
    ID_OF_OTHER_STORE = ("id-of-other-store", _W,
        "A binding has an ID from a Cloudflare account, but this project's certificate store has no accounts.",
        'Set `kind = "cloudflare"` in `[store]`.')
    PLACEHOLDER_LEFT = ("placeholder-left", _W,
        "An undeclared binding has a placeholder instead of an ID.",
        "Declare the binding as the hint says, or remove it.")
    ENTRY_IS_CA = ("entry-is-ca", _W,
        "A binding has the ID of a CA, which a Worker can't use.",
        "Bind a client certificate.")
    ENTRY_EXPIRED = ("entry-expired", _W,
        "A binding that mtls.toml does not declare uses an uploaded certificate that has expired.",
        "Declare the binding with a valid certificate, or remove it.")
    KEY_SHARED = ("key-shared", _W,
        "Several certificates use the same private key.",
        "Have them reissued, each with a key of its own.")
    ENTRY_FOREIGN = ("entry-foreign", _I,
        "A binding uses an uploaded certificate that is not managed here.",
        "To renew it here, run `mtlsctl init --update --certificates certs`; else no action is needed.")
    ENTRY_UNREFERENCED = ("entry-unreferenced", _I,
        "No declared Worker uses an uploaded certificate.",
        "Follow the hint: declare what uses it, let a certificate supersede it, or delete it.")

    # --- commands and runs ------------------------------------------------------------------------------------------

    USAGE = ("usage", _E,
        "The command line is wrong, or names something that does not exist.",
        "Follow the hint, or see `mtlsctl COMMAND --help`.", ExitCode.USAGE)
    DECLINED = ("declined", _E,
        "The question was answered with no; nothing was changed.",
        "No action needed.")
    BLOCKED = ("blocked", _E,
        "`mtlsctl retire` can't delete the certificate yet.",
        "Run `mtlsctl explain NAME --live`. The usual order: apply, deploy, retire (docs/how-to/leaked-key.md).",
        ExitCode.BLOCKED)
    LOCKED = ("locked", _E,
        "Another run holds the lock of this checkout, or this run lost it, because `.mtlsctl/lock` was deleted.",
        "Wait for that run, for example with `--lock-timeout 5m`. Never delete that file.", ExitCode.LOCKED)
    STALE_PLAN = ("stale-plan", _E,
        "The saved plan, or its digest, does not match what is found now; nothing was changed.",
        "Make a new plan, and have it approved.", ExitCode.STALE_PLAN)
    PLAN_FILE = ("plan-file", _E,
        "The file is not a saved plan that this version can read.",
        "Name a file that `mtlsctl plan --out` wrote.")
    PLAN_FOR_LOOKING = ("plan-for-looking", _E,
        "The saved plan was made with `--offline` or `--at`, or by `replay`, so it can't be applied.",
        "Make a plan with `mtlsctl plan`, without these options.")
    RECORDING_FILE = ("recording-file", _E,
        "A recording can't be made, or the file is not one that this version can read.",
        "Name a file that `mtlsctl plan --record-inputs` wrote, and replay it with the version that wrote it.")
    UNKNOWN_FINDING = ("unknown-finding", _EWI,
        "The saved plan has a finding that this version of mtlsctl does not know.",
        "Update mtlsctl, or make a new plan.")
    OUT_REFUSED = ("out-refused", _E,
        ("`--out` or `--record` names a certificate, a private key, a configuration file or a store; or, in a checkout,"
         " a symbolic link or a file that git tracks, which a pull request may have prepared. `--record` replaces only"
         " an earlier record."),
        "Name another file for the report, in a pipeline one outside the checkout.")
    OUTPUT = ("output", _E,
        "The output could not be written, as on a full disk; completed steps are kept.",
        "Free some disk space; `mtlsctl history` shows what was done.")
    JOURNAL_INCOMPLETE = ("journal-incomplete", _W,
        "Lines of the journal could not be written; the run itself is not affected.",
        "Fix what the message names before the next run.")
    ADDRESS = ("address", _E,
        "`mtlsctl emulator` or `mtlsctl dev` can't listen on this address.",
        "Choose another `--port`, or 0 for a free one.")
    EXTRA = ("extra", _E,
        "A part of mtlsctl that is installed separately is missing.",
        "Run `pipx install --force '.[age,aws,calendar,emulator,fleet,html,socks,sops,step]'` in its checkout.")
    OUT_OF_MEMORY = ("out-of-memory", _E,
        "This machine has not enough memory for the run.",
        "Give it more memory, or split the stack. Completed steps are kept, and the next run continues.")
    BUG = ("bug", _E,
        "Something unexpected happened in mtlsctl.",
        "Report it with the file that the message names; the file contains no secrets.")

    # --- mtlsctl dev ------------------------------------------------------------------------------------------------

    DEV_UNSERVED = ("dev-unserved", _EW,
        "A binding can't be served on this machine.",
        "Declare its certificate and key, or run the Worker without it by `--without-unserved`.")
    DEV_BUNDLE = ("dev-bundle", _E,
        "Wrangler could not build the Worker, or built something that can't be run here.",
        "Fix what wrangler reports in the hint.")
    DEV_NOT_STARTED = ("dev-not-started", _E,
        "Workerd refused the Worker.",
        "Fix what workerd reports in the hint.")
    DEV_ENDED = ("dev-ended", _E,
        "Workerd ended by itself.",
        "Read what it printed last, then run again.")
    DEV_PAGES = ("dev-pages", _E,
        "The wrangler file is of a Pages project, which `mtlsctl dev` can't run.",
        "Put the calls into a Worker to try them here.")
    DEV_DATE_CAPPED = ("dev-date-capped", _W,
        "The Worker's compatibility date is newer than this workerd; the Worker runs with the newest date it knows.",
        "Update wrangler, which brings workerd.")
    DEV_ASSETS = ("dev-assets", _W,
        "The static assets of the Worker are not served; every request goes to the Worker.",
        "No action needed.")
    DEV_SECRETS = ("dev-secrets", _W,
        "A `.dev.vars` file is next to the wrangler file, and is not read.",
        "Put what the Worker needs into `vars` of an environment.")

    # --- mtlsctl guard ----------------------------------------------------------------------------------------------

    GUARD_MISSING = ("guard-missing", _E,
        "`mtlsctl guard` stopped a deploy: the wrangler file lacks a binding that mtls.toml declares.",
        "Run `mtlsctl apply`, or pull the commit with the IDs that it wrote, then deploy.", ExitCode.BLOCKED)
    GUARD_PLACEHOLDER = ("guard-placeholder", _E,
        "`mtlsctl guard` stopped a deploy: a binding has a placeholder instead of an ID.",
        "Run `mtlsctl apply`, or pull the commit with the IDs that it wrote, then deploy.", ExitCode.BLOCKED)
    GUARD_UNKNOWN = ("guard-unknown", _E,
        "`mtlsctl guard` stopped a deploy: a binding has an ID that the account does not have.",
        "Update the branch; if it is up to date, run `mtlsctl apply`, or correct the ID.", ExitCode.BLOCKED)
    GUARD_EXPIRED = ("guard-expired", _E,
        "`mtlsctl guard` stopped a deploy: a binding uses a certificate that has expired.",
        "Update the branch; if it is up to date, renew the certificate and run `mtlsctl apply`.", ExitCode.BLOCKED)
    GUARD_NOT_YET_VALID = ("guard-not-yet-valid", _E,
        "`mtlsctl guard` stopped a deploy: a binding uses a certificate that is not valid yet.",
        "Deploy once it is valid, or bind a certificate that is valid now.", ExitCode.BLOCKED)
    GUARD_OLDER = ("guard-older", _E,
        "`mtlsctl guard` stopped a deploy: a newer certificate was uploaded than the one that a binding uses.",
        "Update the branch. After a revert, allow it with `--accept-newer ID`.", ExitCode.BLOCKED)
    GUARD_DIFFERS = ("guard-differs", _E,
        "`mtlsctl guard` stopped a deploy: a binding uses another certificate than mtls.toml declares.",
        "Run `mtlsctl apply`, or pull the commit with the IDs that it wrote, then deploy.", ExitCode.BLOCKED)
    GUARD_BUILD = ("guard-build", _E,
        "`mtlsctl guard` stopped a deploy: wrangler would deploy a generated file with other IDs than its source.",
        "Build again, then deploy.", ExitCode.BLOCKED)
    GUARD_NOT_CHECKED = ("guard-not-checked", _E,
        "`mtlsctl guard` could not check what would be deployed, so it stopped the deploy.",
        "Follow the hint, or set `MTLSCTL_SKIP_GUARD` to the reason why it must be deployed all the same.",
        ExitCode.BLOCKED)
    GUARD_BEHIND = ("guard-behind", _I,
        "A renewed certificate is not uploaded yet; the deploy uses the one before, which is valid.",
        "Run `mtlsctl apply`, and deploy again.")
    GUARD_SKIPPED = ("guard-skipped", _W,
        "`MTLSCTL_SKIP_GUARD` is set, so `mtlsctl guard` checked nothing.",
        "Unset it once the deploy is done.")

    # --- mtlsctl doctor ---------------------------------------------------------------------------------------------

    MTLSCTL = ("mtlsctl", _I,
        "The versions of mtlsctl and Python.",
        "No action needed.")
    PYTHON_OLD = ("python-old", _E,
        "Python is older than 3.11.",
        "Run mtlsctl with Python 3.11 or newer.")
    PYTHON_UNREADABLE = ("python-unreadable", _W,
        "The version of Python could not be checked.",
        "Check the permissions on what the message names.")
    PACKAGES = ("packages", _I,
        "The versions of the packages that mtlsctl needs.",
        "No action needed, unless there is a hint.")
    PACKAGE_MISSING = ("package-missing", _E,
        "A package that mtlsctl needs is missing.",
        "Install mtlsctl again.")
    PACKAGES_UNREADABLE = ("packages-unreadable", _W,
        "The packages could not be checked.",
        "Check the permissions on what the message names.")
    TOKEN = ("token", _I,
        "The API token is set, or nothing needs it.",
        "No action needed.")
    TOKEN_MISSING = ("token-missing", _EW,
        "`CLOUDFLARE_API_TOKEN`, or the variable or file of a token in fleet.toml, is not set or has no token.",
        "Create an API token, and pass it to this run in that place.")
    TOKEN_OLD_NAME = ("token-old-name", _EW,
        "Only `CF_API_TOKEN` is set, which mtlsctl does not read.",
        "Set `CLOUDFLARE_API_TOKEN` instead.")
    TOKEN_EMPTY = ("token-empty", _EW,
        "`CLOUDFLARE_API_TOKEN` is set, but empty.",
        "Check whether CI withholds the secret here, as from forks.")
    TOKEN_WHITE_SPACE = ("token-white-space", _EW,
        "The API token contains white space.",
        "Set it again without spaces and line ends.")
    TOKEN_MALFORMED = ("token-malformed", _EW,
        "The API token contains characters that no token has.",
        "Set it again without quotes.")
    TOKEN_IS_KEY = ("token-is-key", _EW,
        "The place of the API token has a global API key instead of a token.",
        "Create an API token.")
    TOKEN_UNKNOWN = ("token-unknown", _EW,
        "Cloudflare does not know the API token.",
        "Check that the token is complete and has not expired, then set it again.")
    TOKEN_INACTIVE = ("token-inactive", _EW,
        "Cloudflare reports that the API token is disabled or has expired.",
        "Create a new token.")
    TOKEN_LACKS = ("token-lacks", _EW,
        "The API token lacks a permission that some command needs.",
        "Give the token the permission that the hint names.")
    TOKEN_RIGHTS = ("token-rights", _I,
        "Whether the API token has a permission, and which commands need it.",
        "No action needed, unless there is a hint.")
    TOKEN_UNREADABLE = ("token-unreadable", _W,
        "The API token could not be checked.",
        "Check the permissions on what the message names.")
    GLOBAL_KEY = ("global-key", _W,
        "A global API key is set, which wrangler prefers to the token.",
        "Unset it, so that mtlsctl and wrangler use the same token.")
    GLOBAL_KEY_UNREADABLE = ("global-key-unreadable", _W,
        "The variables of a global API key could not be checked.",
        "Check the permissions on what the message names.")
    KEY_FOLDERS = ("key-folders", _I,
        "All folders of `MTLSCTL_KEY_DIRS` exist.",
        "No action needed.")
    KEY_FOLDER_RELATIVE = ("key-folder-relative", _W,
        "`MTLSCTL_KEY_DIRS` lists a relative path, which is ignored.",
        "Write the absolute path.")
    KEY_FOLDER_MISSING = ("key-folder-missing", _W,
        "`MTLSCTL_KEY_DIRS` lists a path that is not a directory.",
        "Create the directory, or remove it from the variable.")
    KEY_FOLDERS_UNREADABLE = ("key-folders-unreadable", _W,
        "The folders of `MTLSCTL_KEY_DIRS` could not be checked.",
        "Check the permissions on what the message names.")
    DESIRED_STATE = ("desired-state", _I,
        "The mtls.toml that is used; without one, only the machine was checked.",
        "No action needed, unless there is a hint.")
    DESIRED_STATE_UNREADABLE = ("desired-state-unreadable", _W,
        "The place of mtls.toml could not be checked.",
        "Check the permissions on what the message names.")
    WRITABLE = ("writable", _I,
        "The folder of mtls.toml and the wrangler files can be written.",
        "No action needed.")
    WRITABLE_UNREADABLE = ("writable-unreadable", _W,
        "Whether the files can be written could not be checked.",
        "Check the permissions on what the message names.")
    PERMISSIONS = ("permissions", _I,
        "Other users of this machine can't read `.mtlsctl`, or it does not exist yet.",
        "No action needed.")
    OPEN_TO_OTHERS = ("open-to-others", _W,
        "Other users of this machine can read `.mtlsctl` or a file in it.",
        "Run the `chmod` command of the hint.")
    PERMISSIONS_UNREADABLE = ("permissions-unreadable", _W,
        "The permissions of `.mtlsctl` could not be checked.",
        "Check the permissions on what the message names.")
    GIT = ("git", _I,
        "Git ignores `.mtlsctl`.",
        "No action needed.")
    STORE_IN_GIT = ("store-in-git", _W,
        "Git tracks the local store of this checkout.",
        "Run `git rm --cached .mtlsctl/store.db`.")
    FOLDER_NOT_IGNORED = ("folder-not-ignored", _W,
        "Git does not ignore `.mtlsctl`.",
        "Run the command of the hint, which writes a `.gitignore` there.")
    GIT_UNREADABLE = ("git-unreadable", _EW,
        "What git tracks and ignores could not be checked.",
        "Follow the hint: install git, or let it accept the checkout of another owner.")
    KEYS = ("keys", _I,
        "Only this user can read the private key files, and git does not track them.",
        "No action needed.")
    KEYS_UNREADABLE = ("keys-unreadable", _W,
        "The private key files could not be checked.",
        "Check the permissions on what the message names.")
    LEFTOVERS = ("leftovers", _I,
        "No killed run left temporary files next to the wrangler files.",
        "No action needed.")
    LEFTOVER = ("leftover", _W,
        "A killed run left a temporary file.",
        "Delete the file; the next `mtlsctl apply` does so, too.")
    LEFTOVERS_UNREADABLE = ("leftovers-unreadable", _W,
        "The folders of the wrangler files could not be checked for temporary files.",
        "Check the permissions on what the message names.")
    ACCOUNT = ("account", _I,
        "Cloudflare knows the API token, and the token is active; with a hint, the account was not checked.",
        "No action needed, unless there is a hint.")
    ACCOUNT_UNREADABLE = ("account-unreadable", _W,
        "The account could not be checked.",
        "Check the permissions on what the message names.")
    CHECK_FAILED = ("check-failed", _E,
        "A check of `mtlsctl doctor` met something unexpected.",
        "Report it as a bug of mtlsctl.")

    # fmt: on


_BY_TEXT: dict[str, Code] = {code: code for code in Code}


def find_code(text: str) -> Code | None:
    """The code with this text, or None."""
    return _BY_TEXT.get(text)
