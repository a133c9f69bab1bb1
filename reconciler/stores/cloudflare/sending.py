"""What an upload sends, and whether what came back is the same."""

from __future__ import annotations

import json

from reconciler.findings.codes import Code
from reconciler.model import Entry
from reconciler.model.errors import AlreadyStored, StoreError, StoreRefused
from reconciler.model.ports import NewEntry
from reconciler.stores.cloudflare.client import Call
from reconciler.stores.cloudflare.errors import Operation
from reconciler.x509.certificates import Bundle, parse_stored
from reconciler.x509.pem import find_blocks


def upload_call(path: str, new: NewEntry) -> Call:
    """The call for an upload. Without a name or a key the field is absent, not null, as wrangler sends it."""
    body: dict[str, str | bool] = {"ca": new.ca, "certificates": new.certificates}
    if new.name:
        body["name"] = new.name
    key = None
    if new.key is not None:
        key = body["private_key"] = _key_text(new)
    return Call(Operation.UPLOAD, "POST", path, body=json.dumps(body).encode(), secret=key)


def _key_text(new: NewEntry) -> str:
    try:
        return new.key.pem.decode("ascii") if new.key is not None else ""
    except UnicodeDecodeError:
        # The error itself would quote the key.
        raise StoreRefused("private_key is no PEM", number=0, hint="a private key in PEM is plain ASCII") from None


def accept(new: NewEntry) -> Bundle:
    """The certificates of an upload. A key in the wrong field must not leave the machine."""
    blocks = find_blocks(new.certificates)
    only_certificates = bool(blocks) and all(block.is_certificate and block.fault is None for block in blocks)
    bundle = parse_stored(new.certificates) if only_certificates else None
    if bundle is None:
        hint = "send certificates in PEM and nothing else; the key goes apart"
        raise StoreRefused("Unable to parse certificate", number=0, hint=hint)
    if new.key is None and not new.ca:
        hint = "a certificate that a Worker presents is uploaded with its key"
        raise StoreRefused("private_key is missing", number=0, hint=hint)
    return bundle


def demand_as_sent(new: NewEntry, bundle: Bundle, entry: Entry) -> Entry:
    """The entry of an upload's reply, which must have the content, name and kind that were sent."""
    got = entry.bundle
    compared = {
        "content": got is not None and got.digest == bundle.digest,
        "name": entry.name == new.name,
        "ca flag": entry.ca is new.ca,
    }
    differs = [what for what, same in compared.items() if not same]
    if differs:
        raise StoreError(
            f"Cloudflare stored {new.name!r} as {entry.id}, but with another {' and '.join(differs)} than was sent",
            hint="nothing was bound to it; look at that entry, and delete it where it is of no use",
            code=Code.UPLOAD_DIFFERS,
        )
    return entry


def demand_same(new: NewEntry, found: Entry) -> Entry:
    """The entry that an upload without an answer made; AlreadyStored where somebody else's has the content."""
    if (found.name, found.ca) != (new.name, new.ca):
        hint = "the store takes the same certificates once, under whatever name; plan again to adopt that entry"
        raise AlreadyStored(f"the account holds this certificate already, as {found.id}", number=1471, hint=hint)
    return found
