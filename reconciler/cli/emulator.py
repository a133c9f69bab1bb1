"""`emulator`: Cloudflare's API on this machine, to rehearse with."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import AllowHostOption
from reconciler.cli.session import Session, command
from reconciler.cli.terminal import say, until_stopped
from reconciler.emulator.faults import read_faults
from reconciler.emulator.settings import Limiter, RateLimit
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, new_state
from reconciler.emulator.tokens import Token
from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError, ReconcilerError, UsageError
from reconciler.system.clock import SystemClock

try:
    import reconciler.emulator.server as server
except ModuleNotFoundError as error:  # the extra is not installed; its help can be read without it
    if error.name is None or error.name.partition(".")[0] not in ("uvicorn", "h11"):
        raise
    _MISSING: ModuleNotFoundError | None = error
else:
    _MISSING = None

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TOKEN = "EMULATOR_TOKEN"  # noqa: S105 - the name of a variable

PortOption = Annotated[
    int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Listen on this port; 0 takes a free one.")
]
HostOption = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="Listen on this address; other machines may reach it.")
]
AccountOption = Annotated[
    str | None, typer.Option("--account", metavar="ID", help="Use this account ID (32 hexadecimal digits).")
]
LatencyOption = Annotated[
    float, typer.Option("--latency", metavar="MS", min=0, help="Delay each reply by MS milliseconds.")
]
RateLimitOption = Annotated[
    str,
    typer.Option(
        "--rate-limit", metavar="N/Ws", help='Allow N requests in W seconds, then block for as long; or "off".'
    ),
]
ListLagOption = Annotated[
    float, typer.Option("--list-lag", metavar="S", min=0, help="List an upload only after S seconds.")
]
BindingLagOption = Annotated[
    float, typer.Option("--binding-lag", metavar="S", min=0, help="Let Workers bind an upload only after S seconds.")
]
InUseLagOption = Annotated[
    float, typer.Option("--in-use-lag", metavar="S", min=0, help="Keep a certificate in use for S more seconds.")
]
LeafLimitOption = Annotated[
    int, typer.Option("--leaf-limit", metavar="N", min=0, help="Allow N leaf certificates in the account.")
]
FaultsOption = Annotated[
    str | None,
    typer.Option("--faults", metavar="FILE|seed:N", help="Inject faults from a JSON file, or at random by a seed."),
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", metavar="FOLDER", help="Keep everything in FOLDER (default: in memory).")
]


@command(example="mtlsctl emulator --list-lag 5 --faults seed:7")
def emulator(
    session: Session,
    port: PortOption = 8787,
    host: HostOption = "127.0.0.1",
    allow_host: AllowHostOption = None,
    account: AccountOption = None,
    latency: LatencyOption = 0.0,
    rate_limit: RateLimitOption = "1200/300s",
    list_lag: ListLagOption = 0.0,
    binding_lag: BindingLagOption = 0.0,
    in_use_lag: InUseLagOption = 0.0,
    leaf_limit: LeafLimitOption = 1000,
    faults: FaultsOption = None,
    store: StoreOption = None,
) -> None:
    """Run an emulator of Cloudflare's API on this machine.

    Emulates certificates and Workers until Ctrl-C, without an account and without risk. mtlsctl, wrangler and
    Cloudflare's SDKs work with it. Accepts any token, or only the one in EMULATOR_TOKEN if that is set. While it runs,
    programs on this machine can set lags, limits, faults and tokens under /_emulator/.
    """
    if _MISSING is not None:
        hint = "install mtlsctl again with it, in its checkout: pipx install --force '.[emulator]'"
        raise ReconcilerError(
            "the emulator needs uvicorn, which is not installed", hint=hint, code=Code.EXTRA
        ) from _MISSING
    state = _state(account, store)
    settings = {"latency_s": latency / 1000, "list_lag_s": list_lag, "binding_lag_s": binding_lag}
    state.settings.change({**settings, "in_use_lag_s": in_use_lag, "leaf_limit": leaf_limit})
    state.limiter = _limiter(rate_limit)
    if faults is not None:
        _schedule(state, faults)
    with server.listen(host, port) as listening, until_stopped():
        _greet(session, server.base_url(listening), next(iter(state.accounts)), host)
        server.serve(
            state,
            listening,
            hosts=allow_host or (),
            on_reply=lambda request, reply: session.log(f"{request.method} {request.path} {reply.status}"),
        )


def _greet(session: Session, url: str, account: str, host: str) -> None:
    known = bool(os.environ.get(_TOKEN))
    token = f'"${_TOKEN}"' if known else "anything"
    session.emit(
        f"export CLOUDFLARE_API_BASE_URL={url}\n"
        f"export CLOUDFLARE_ACCOUNT_ID={account}\n"
        f"export CLOUDFLARE_API_TOKEN={token}\n"
    )
    if host not in _LOOPBACK:
        who = "who knows the token" if known else "at all"
        say(f"WARNING: listening on {host}, so anyone {who} who reaches this machine can use the emulator", err=True)
        say("  fix  do not upload real private keys to it; without --host it listens on 127.0.0.1 only", err=True)
    say("The emulator is running. Press Ctrl-C to stop it.", err=True)


def _state(account: str | None, store: Path | None) -> EmulatorState:
    account = account or os.environ.get("CLOUDFLARE_ACCOUNT_ID") or ACCOUNT_ID
    if not re.fullmatch(r"[0-9a-f]{32}", account):
        raise UsageError(f"{account!r} is not a valid account ID", hint="use 32 hexadecimal digits in lower case")
    state = new_state(SystemClock(), account_id=account, folder=store)
    token = os.environ.get(_TOKEN)
    if token:
        state.access.given[token] = Token()
    return state


def _limiter(text: str) -> Limiter:
    if text == "off":
        return Limiter(None)
    found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,5})s?", text)
    if found is None:
        raise UsageError(
            f"--rate-limit {text!r} is not a valid limit", hint='write 120/6s for 120 requests in 6 seconds, or "off"'
        )
    window_s = float(found[2])
    return Limiter(RateLimit(int(found[1]), window_s, window_s))


def _schedule(state: EmulatorState, text: str) -> None:
    found = re.fullmatch(r"seed:(\d{1,18})", text)
    if found:
        state.faults.seed(int(found[1]))
        return
    try:
        state.faults.add(*read_faults(json.loads(Path(text).read_bytes())))
    except OSError as error:
        raise FileError(f"can't read {text!r}: {error.strerror}", hint="name a JSON file, or write seed:N") from error
    except ValueError as error:
        hint = 'write a list such as [{"kind": "lost-reply", "method": "POST", "path": "/mtls_certificates"}]'
        raise UsageError(f"{text}: {error}", hint=hint) from error
