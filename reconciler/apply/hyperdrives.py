"""Hyperdrive configurations: each is updated by one call with all its changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.apply.run import Run, expired_meanwhile
from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model import HyperdriveAddress, HyperdriveConfig, Update
from reconciler.model.errors import StoreClosed, StoreError, StoreStopped


def update_hyperdrive(run: Run, at: HyperdriveAddress, changes: Sequence[tuple[Update, str]]) -> str | None:
    """A note on how it went. `changes`: those of one configuration, each with its new value. ReconcilerError if it
    does not use the new values now, or may not."""
    fields = {one.at.field: (one, value) for one, value in changes if isinstance(one.at, HyperdriveAddress)}
    store = run.world.store
    before = store.hyperdrive(at.config)
    if before is None or any(before.get(field) != one.before for field, (one, _) in fields.items()):
        raise _changed(f"the Hyperdrive configuration {at.label} was changed during this run, so it is not updated")
    late = next((one for one, _ in changes if run.is_late(one)), None)
    if late is not None:
        raise expired_meanwhile(f"{late.at.text} was not changed")
    mtls = {**before.mtls, **{field.key: value for field, (_, value) in fields.items()}}
    try:
        after = store.update_hyperdrive(before, mtls)
    except (StoreClosed, StoreStopped):
        raise
    except StoreError as error:
        _demand_made(run, at.config, mtls, error)
        return f"the update ended with an error ({error.code}), but the configuration has the new values"
    if not _has(after, mtls) and not _has(store.hyperdrive(at.config), mtls):
        raise _changed(f"the Hyperdrive configuration {at.label} is not as it should be after its update")
    return None


def _demand_made(run: Run, config: str, mtls: Mapping[str, object], error: StoreError) -> None:
    """Raise the error of an update unless the configuration is as it should be all the same."""
    try:
        found = run.world.store.hyperdrive(config)
    except StoreError:
        raise error from None
    if not _has(found, mtls):
        raise error


def _has(config: HyperdriveConfig | None, mtls: Mapping[str, object]) -> bool:
    """Whether a configuration has these values; what else Cloudflare adds does not count."""
    return config is not None and all(config.mtls.get(key) == value for key, value in mtls.items())


def _changed(message: str) -> ReconcilerError:
    hint = "run `mtlsctl plan` to see what it uses now"
    return ReconcilerError(message, hint=hint, code=Code.HYPERDRIVE_CHANGED)
