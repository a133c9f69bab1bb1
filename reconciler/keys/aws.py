"""Private keys in AWS Secrets Manager: `private_key = { aws = "mtls/billing" }`.

The credentials are found as every program of AWS finds them, in the environment of the run; mtls.toml has none. The
library is the extra `aws`, imported when a key is opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Annotated

from pydantic import Field

from reconciler.findings.codes import Code
from reconciler.findings.errors import KeySourceError
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.keys.registration import KeyTable, Registration, SecretSource, missing_extra
from reconciler.model import KeyReference
from reconciler.model.keys import KeySourceKind
from reconciler.model.ports import PrivateKey
from reconciler.x509.pem import MAX_KEY_BYTES

LONGEST_S = 60.0
"""Seconds for one secret: the library's own limits are for each read of a connection, and for each try."""

_ALLOW = "allow secretsmanager:GetSecretValue for this secret, and kms:Decrypt if it is encrypted with a key of yours"
_HINTS = {
    "AccessDeniedException": _ALLOW,
    "DecryptionFailure": _ALLOW,
    "ResourceNotFoundException": "check its name and the region; the name has no `-` and six characters at its end",
    "InvalidRequestException": "the secret may be marked for deletion: aws secretsmanager describe-secret",
    "ExpiredTokenException": "log in to AWS again",
    "UnrecognizedClientException": "check the AWS credentials of this run: aws sts get-caller-identity",
}


class AwsKey(KeyTable):
    """A private key in AWS Secrets Manager."""

    aws: Annotated[
        str,
        Field(
            max_length=2048,
            pattern=r"^[A-Za-z0-9/_+=.@:-]+$",
            description="Name or ARN of a secret of Secrets Manager.",
        ),
    ]
    region: Annotated[
        str | None,
        Field(
            pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$",
            max_length=32,
            description="Its region; by default that of the ARN, else that of the run.",
        ),
    ] = None
    json_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            description="The key of the value, if the secret is a JSON object. Without it, the whole secret is the"
            " private key.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class AwsKeySource(SecretSource):
    """Reads secrets with the credentials of this run."""

    environment: Mapping[str, str] = field(repr=False)

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key in the secret. KeySourceError if the secret can't be read, or has no key there."""
        return PrivateKey(self._value(reference))

    def _value(self, reference: KeyReference) -> bytes:
        name = reference.options["aws"]
        value = _in_time(lambda: self._secret(name, reference.options.get("region")), name)
        if (key := reference.options.get("json_key")) is not None:
            value = _of_json(value, key, name)
        if not value.strip():
            raise KeySourceError(f"the secret {name!r} is empty", code=Code.KEY_EMPTY)
        if len(value) > MAX_KEY_BYTES:
            hint = "keep only the private key in it; of a JSON object, name the key with `json_key`"
            raise KeySourceError(f"the secret {name!r} is too long for a key", hint=hint, code=Code.KEY_TOO_LARGE)
        return value

    def _secret(self, name: str, region: str | None) -> bytes:
        """The whole secret; no text of AWS is in the error, which may quote a token of the request."""
        try:
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
            from botocore.exceptions import ConnectionError as NoConnection
            from botocore.parsers import ResponseParserError
            from botocore.session import Session
        except ModuleNotFoundError as error:
            raise missing_extra("aws", "botocore, which is not installed") from error
        of_arn = name.split(":")[3] if name.startswith("arn:") and name.count(":") > 4 else None
        try:
            session = Session()
            region = region or of_arn or self.environment.get("AWS_REGION") or session.get_config_variable("region")
            if not region:
                hint = 'add `region = "REGION"` to `private_key`, or set AWS_REGION'
                raise KeySourceError(f"the region of the AWS secret {name!r} is not known", hint=hint)
            where = f"the secret {name!r} in {printable(region)}"
            limits = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
            client = session.create_client("secretsmanager", region_name=region, config=limits)
            answer = client.get_secret_value(SecretId=name)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            hint = _HINTS.get(
                code, "see what AWS says: aws secretsmanager get-secret-value --query Name --secret-id NAME"
            )
            raise KeySourceError(f"AWS refused {where}: {printable(code[:80])}", hint=hint) from error
        except (HTTPClientError, NoConnection) as error:
            what = printable(type(error).__name__)
            hint = "check the network and the proxy of this run, and the region"
            raise KeySourceError(f"AWS Secrets Manager could not be reached for {name!r}: {what}", hint=hint) from error
        except BotoCoreError as error:
            what = printable(type(error).__name__)
            hint = "check them with `aws sts get-caller-identity`; in a pipeline, give the job a role"
            raise KeySourceError(
                f"the AWS credentials or settings of this run can't be used: {what}", hint=hint
            ) from error
        except (ResponseParserError, ValueError) as error:  # bytes that are not base64 are a ValueError
            hint = "check AWS_ENDPOINT_URL and the proxy of this run: something else than AWS may have answered"
            raise KeySourceError(f"the answer of AWS for the secret {name!r} can't be read", hint=hint) from error
        text = answer.get("SecretString")
        return text.encode() if isinstance(text, str) else bytes(answer.get("SecretBinary") or b"")


def _of_json(secret: bytes, key: str, name: str) -> bytes:
    """One value of a secret that is a JSON object."""
    try:
        table = json.loads(secret)
    except (ValueError, RecursionError):
        table = None
    value = table.get(key) if isinstance(table, dict) else None
    if not isinstance(value, str):
        what = f"has no text at {key!r}" if isinstance(table, dict) else "is not a JSON object"
        hint = "check `json_key`; without it, the whole secret is the private key"
        raise KeySourceError(f"the secret {name!r} {what}", hint=hint, code=Code.KEY_EMPTY) from None
    return value.encode()


def _in_time(read: Callable[[], bytes], name: str) -> bytes:
    """What `read` returns, or KeySourceError if that takes too long; it is not waited for then."""
    ended: SimpleQueue[bytes | Exception] = SimpleQueue()

    def run() -> None:
        try:
            ended.put(read())
        except Exception as error:  # noqa: BLE001 - raised again below
            ended.put(error)

    Thread(target=run, daemon=True).start()
    try:
        result = ended.get(timeout=LONGEST_S)
    except Empty:
        hint = "check the network and the proxy of this run, and how it gets its AWS credentials"
        raise KeySourceError(f"AWS did not answer for {name!r} within {LONGEST_S:.0f} s", hint=hint) from None
    if isinstance(result, Exception):
        raise result
    return result


SOURCE = Registration(
    KeySourceKind("aws", AwsKey, is_local=False),
    lambda context: AwsKeySource(context.environment),
    secrets=("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
)
