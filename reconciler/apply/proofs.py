"""Proofs at origins before uploads, bindings and retires. A step without its proof is not made; the others continue.

Before an upload or a binding, an inconclusive proof stops it: the old certificate is still in use. Before a
retire, it keeps the old entry and is not a failure; only an origin that refuses the current certificate is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.apply.keys import open_key
from reconciler.apply.run import Run
from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import ReconcilerError
from reconciler.model import (
    BindingChange,
    CertificateName,
    Change,
    Condition,
    EntryId,
    Gate,
    Phase,
    Retire,
    Upload,
    Verify,
)
from reconciler.model.concurrency import run_all
from reconciler.plan.gates import guards, needs_proof
from reconciler.plan.outcome import Step, StepStatus
from reconciler.plan.retire import keep
from reconciler.proof.ports import ClientIdentity, EdgeProver
from reconciler.proof.proofs import Proof, edge_problem, proof_problem, proof_warnings
from reconciler.proof.verdicts import ProofStatus

SIDE_BY_SIDE = 8
"""The number of concurrent proofs; each key is held for that long."""


def prove_before_uploads(run: Run) -> None:
    """Make the proofs before uploads, and start no upload without its proof."""
    _prove_all(run, Gate.UPLOAD)
    uploads = [(index, change) for index, change in run.of(Phase.UPLOAD) if isinstance(change, Upload)]
    for index, upload in uploads if Phase.UPLOAD in run.phases else ():
        why = _not_proved(run, upload)
        if why is not None:
            run.steps[index] = Step(upload, StepStatus.NOT_STARTED, note=f"no proof: {why}")


def prove_before_bindings(run: Run) -> None:
    """Make the proofs of uploaded certificates from Cloudflare's edge, one at a time in this thread, where Ctrl-C lets
    each delete its Worker. Bind nothing without its proof."""
    edge: EdgeProver | None = None
    for index, verify in run.of(Phase.VERIFY):
        if not isinstance(verify, Verify) or verify.before is not Gate.BIND:
            continue
        entry = _uploaded(run, verify)
        if entry is None:
            run.steps[index] = Step(verify, StepStatus.NOT_STARTED, note="it is not uploaded")
        elif run.start(index):
            try:
                edge = edge or run.world.edge()
                run.end(index, _prove_at_edge(run, edge, verify, entry))
            except ReconcilerError as error:
                run.end(index, run.failure(index, error))
    changes = [(index, change) for index, change in run.of(Phase.BIND) if isinstance(change, BindingChange)]
    for index, change in changes if Phase.BIND in run.phases else ():
        why = _not_proved(run, change)
        if why is not None:
            run.steps[index] = Step(change, StepStatus.NOT_STARTED, note=f"no proof: {why}")


def _uploaded(run: Run, verify: Verify) -> EntryId | None:
    """What its bindings would get. Returns once it is valid, if that is in this run."""
    bindings = [one for one in run.plan.changes if isinstance(one, BindingChange) and guards(verify, one)]
    entry = next((one.after for one in bindings if one.after is not None), run.uploaded.get(verify.digest))
    begins = max((one.not_before for one in bindings if one.not_before is not None), default=None)
    if entry is not None and begins is not None:
        run.world.wait_until(begins)
    return entry


def _prove_at_edge(run: Run, edge: EdgeProver, verify: Verify, entry: EntryId) -> Step:
    origin = run.desired.declaration.certificates[verify.certificate].verify
    if origin is None:
        return _open(verify, "mtls.toml has no `verify` for it")
    result = edge.prove(verify.certificate, origin, entry)
    run.findings.extend(result.findings)
    problem = edge_problem(verify.certificate, origin.url, result, _where(run, verify))
    return _ended(verify, result.standing, problem, f"{result.verdict} (from Cloudflare)")


def prove_before_retires(run: Run) -> None:
    """Make the proofs of current certificates, and keep the old entries of those without a proof."""
    _prove_all(run, Gate.RETIRE)
    retires = [(index, change) for index, change in run.of(Phase.RETIRE) if isinstance(change, Retire)]
    for index, retire in retires if Phase.RETIRE in run.phases else ():
        why = _not_proved(run, retire)
        if why is not None and run.start(index):
            detail = f"there is no proof for the current certificate of {retire.certificate!r}: {why}"
            waiting = keep(retire, Condition.UNPROVED, detail)
            run.end(index, Step(retire, StepStatus.WAITING, entry=retire.entry.id, waiting=waiting))


def _prove_all(run: Run, gate: Gate) -> None:
    """All proofs of a gate, several at once. This thread opens the keys and writes the journal."""
    ready: list[tuple[int, Verify]] = []
    for index, change in run.of(Phase.VERIFY):
        if isinstance(change, Verify) and change.before is gate:
            if any(_has_failed(run, place) for place, other in enumerate(run.plan.changes) if guards(change, other)):
                run.steps[index] = Step(change, StepStatus.NOT_STARTED, note="its key can't be used")
            else:
                ready.append((index, change))
    for begin in range(0, len(ready), SIDE_BY_SIDE):
        _prove_some(run, ready[begin : begin + SIDE_BY_SIDE])


def _prove_some(run: Run, proofs: Sequence[tuple[int, Verify]]) -> None:
    begun = [(index, verify, _pair(run, verify)) for index, verify in proofs if run.start(index)]
    made = run_all(lambda item: _probe(run, item[1], item[2]), begun, SIDE_BY_SIDE)
    for (index, verify, _), result in zip(begun, made, strict=True):
        match result:
            case Step():
                run.end(index, result)
            case ReconcilerError():
                run.end(index, run.failure(index, result))
            case Proof():
                run.end(index, _step(run, verify, result))


def _has_failed(run: Run, index: int) -> bool:
    step = run.steps.get(index)
    return step is not None and step.status is StepStatus.FAILED


def _not_proved(run: Run, change: Change) -> str | None:
    """Why a change that needs proofs can't be made, None if it can. A proof that is missing from the plan counts as
    missing."""
    needed = needs_proof(run.desired, change)
    if not needed:
        return None
    proofs = [
        (other, run.steps.get(index))
        for index, other in enumerate(run.plan.changes)
        if isinstance(other, Verify) and guards(other, change)
    ]
    for name in sorted(needed):
        found = next((item for item in proofs if item[0].certificate == name), None)
        if found is None:
            return f"the plan has no proof for {name!r}"
        proof, step = found
        if step is None or step.status is not StepStatus.DONE:
            return f"{proof.origin}: {(step.note if step else None) or 'the proof could not be made'}"
    return None


def _pair(run: Run, verify: Verify) -> ClientIdentity | Step | ReconcilerError:
    """The identity for the origin. Without a key, a proof before an upload fails; before a retire the old entry is
    kept."""
    try:
        key = open_key(run, _sharing(run, verify))
    except ReconcilerError as error:
        return error if verify.before is Gate.UPLOAD else _open(verify, f"its key is not available: {error.message}")
    if key is None:
        return _open(verify, "mtls.toml has no `private_key` for it")
    run.findings.extend(key.findings)
    return ClientIdentity(run.desired.bundles[verify.certificate], key)


def _probe(run: Run, verify: Verify, pair: ClientIdentity | Step | ReconcilerError) -> Proof | Step | ReconcilerError:
    """The proof, made in another thread."""
    origin = run.desired.declaration.certificates[verify.certificate].verify
    if not isinstance(pair, ClientIdentity) or origin is None:
        return pair if not isinstance(pair, ClientIdentity) else _open(verify, "mtls.toml has no `verify` for it")
    try:
        return run.world.prover.prove(origin, pair)
    except ReconcilerError as error:
        return error


def _sharing(run: Run, verify: Verify) -> list[CertificateName]:
    """The certificate, and those with the same content, any of which may have the key."""
    bundles = run.desired.bundles
    others = [name for name, bundle in bundles.items() if bundle.digest == verify.digest]
    return sorted(others, key=lambda name: name != verify.certificate)


def _open(verify: Verify, note: str) -> Step:
    return Step(verify, StepStatus.UNPROVED, note=note, blocked=verify.before is not Gate.RETIRE)


def _step(run: Run, verify: Verify, proof: Proof) -> Step:
    where = _where(run, verify)
    run.findings.extend(proof_warnings(verify.certificate, proof, run.desired.bundles[verify.certificate], where))
    return _ended(verify, proof.standing, proof_problem(verify.certificate, proof, where), proof.note)


def _where(run: Run, verify: Verify) -> Pointer:
    return Pointer(run.desired.declaration.path, ("certificates", verify.certificate, "verify"))


def _ended(verify: Verify, standing: ProofStatus, problem: Diagnostic | None, note: str) -> Step:
    if problem is None:
        return Step(verify, StepStatus.DONE, note=note)
    if standing is ProofStatus.REFUTED:
        return Step(verify, StepStatus.FAILED, problem=problem, note=note)
    stops = verify.before is not Gate.RETIRE
    told = problem if stops else replace(problem, severity=Severity.WARNING)
    return Step(verify, StepStatus.UNPROVED, problem=told, note=note, blocked=stops)
