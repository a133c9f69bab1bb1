"""Verifies declared certificates level by level: the files, wrangler's dry run, the origin, and real Workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from typing import TypeVar

from reconciler.findings.diagnostics import Pointer
from reconciler.findings.errors import ReconcilerError, UsageError
from reconciler.findings.suggest import suggest
from reconciler.findings.values import dataclass
from reconciler.model import (
    ByCertificate,
    CertificateName,
    DeclaredCertificate,
    Desired,
    EntryId,
    EnvironmentName,
    Origin,
)
from reconciler.model.concurrency import run_all
from reconciler.model.ports import PrivateKey
from reconciler.model.progress import counted
from reconciler.plan.assess import judge
from reconciler.plan.plan import match_names
from reconciler.proof.levels import (
    OFFLINE,
    RUNS_PROJECT,
    UNASKED,
    CertificateProof,
    Level,
    LevelResult,
    Skip,
    Verification,
    not_allowed,
    skip,
)
from reconciler.proof.ports import ClientIdentity
from reconciler.proof.proofs import proof_warnings, proxied_warning
from reconciler.proof.reach import OriginCall, Reached
from reconciler.proof.runtime import judge_reach
from reconciler.proof.verdicts import ProofStatus, Verdict
from reconciler.runs.configs import deployed_path
from reconciler.runs.handshake import OpenedKey, Proving, load_roots, open_key
from reconciler.runs.look import Checkout, look, observe
from reconciler.runs.operator import is_on
from reconciler.runs.project import Project
from reconciler.runs.verify.edge import Edge, open_edge
from reconciler.runs.verify.offline import check_files, check_wrangler, places_of
from reconciler.runtime.find import MissingProgram
from reconciler.workerd.form import read_certificate_ids
from reconciler.x509.certificates import Bundle
from reconciler.x509.chains import window_of

_T = TypeVar("_T")
_R = TypeVar("_R")

SIDE_BY_SIDE = 4
"""The number of concurrent certificates, and of wrangler runs: each is a Node process that bundles a Worker."""


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """The options of the command. Without `levels`, all of `UNASKED`; with `offline`, only those that send nothing.

    With `offline`, the store is not read, either. Levels of `RUNS_PROJECT` are run if they are in `levels`, with
    `run_project`, or if `may_run` says yes, which is asked at most once, and only if it makes a difference.
    """

    names: tuple[str, ...] = ()
    levels: frozenset[Level] | None = None
    offline: bool = False
    run_project: bool = False
    may_run: Callable[[], bool] = lambda: False


RUN_VARIABLE = "MTLSCTL_RUN_PROJECT"
"""With 1, the operator allows what `run_project` allows."""


def verify(project: Project, request: VerifyRequest, log: Callable[[str], None]) -> Verification:
    """All requested levels of all requested certificates. Sends requests to their declared origins."""
    checkout = look(project)
    chosen = _choose(checkout.desired, request.names)
    run = _VerifyRun(project, checkout, request, log)
    edge = open_edge(project, checkout.desired.declaration, log) if run.has(Level.EDGE) else None
    run.prepare(chosen)
    proofs = tuple(run.count("Verifying", run.prove, chosen))
    if edge is not None:  # in this thread, where Ctrl-C lets it delete its Worker
        proofs = tuple(run.count("Calling from the edge", partial(run.with_edge, edge), proofs, at_once=1))
    return Verification(
        stack=checkout.desired.declaration.stack,
        made=project.clock.now(),
        demanded=request.levels or frozenset(),
        certificates=proofs,
        diagnostics=(*checkout.warnings, *(checkout.noticed if run.has(Level.WRANGLER) else ())),
    )


def _choose(desired: Desired, patterns: tuple[str, ...]) -> list[CertificateName]:
    """The certificates that match the names or globs; without any, all client certificates."""
    certificates = desired.declaration.certificates
    if not patterns:
        return [name for name, declared in certificates.items() if not declared.ca]
    chosen: dict[CertificateName, None] = {}
    for pattern, names in match_names(desired, patterns).items():
        if not names:
            raise UsageError(f"{pattern!r} matches no declared certificate", hint=suggest(pattern, certificates))
        leaves = [name for name in names if not certificates[name].ca]
        if not leaves:
            raise UsageError(f"{names[0]!r} is a CA, which a Worker can't use", hint="name a client certificate")
        chosen |= dict.fromkeys(leaves)
    return list(chosen)


@dataclass(slots=True)
class _VerifyRun:
    """What the certificates of a run share."""

    project: Project
    checkout: Checkout
    request: VerifyRequest
    log: Callable[[str], None]
    built: dict[tuple[str, EnvironmentName], dict[str, str] | ReconcilerError | None] = field(default_factory=dict)
    entries: Mapping[CertificateName, EntryId] | None = None
    allowed: bool = False

    @property
    def desired(self) -> Desired:
        """The declared certificates."""
        return self.checkout.desired

    def has(self, level: Level) -> bool:
        """True if a level was requested."""
        return level in (self.request.levels or (OFFLINE if self.request.offline else UNASKED))

    def runs(self, level: Level) -> bool:
        """True if a level was requested, and may run programs of the checkout if it needs them."""
        return self.has(level) and (level not in RUNS_PROJECT or self.allowed)

    def prepare(self, chosen: Sequence[CertificateName]) -> None:
        """Build what wrangler would deploy from every file that binds one of these, each once."""
        self.allowed = bool(self.request.levels) or self._may_run(chosen)
        if not self.has(Level.WRANGLER) and not self.has(Level.EDGE):
            return
        names = frozenset(chosen)
        broken = (self.desired.declaration.workers[label] for label in self.checkout.broken)
        if self.has(Level.WRANGLER) and any(names & worker.certificates for worker in broken):
            self.checkout.demand_configs()
        if not self.request.offline:
            self.entries = self._stored()
        if not self.runs(Level.WRANGLER):
            return
        places = dict.fromkeys(
            (deployed_path(file, environment), environment)
            for name in chosen
            for _, file, environment, _ in places_of(name, self.desired.declaration, self.checkout.configs)
        )
        made = self.count("Building Workers", self._dry_run, list(places))
        self.built.update(zip(places, made, strict=True))

    def _may_run(self, chosen: Iterable[CertificateName]) -> bool:
        """Whether the operator lets this run start programs of the checkout; a person is asked last."""
        request, declaration = self.request, self.desired.declaration
        if request.run_project or is_on(self.project.environ, RUN_VARIABLE):
            return True
        certificates = [declaration.certificates[name] for name in chosen]
        to_call = self.has(Level.RUNTIME) and any(certificate.verify for certificate in certificates)
        bound = (places_of(one.name, declaration, self.checkout.configs) for one in certificates)
        return (to_call or any(any(places) for places in bound)) and request.may_run()

    def count(
        self, what: str, effect: Callable[[_T], _R], items: Sequence[_T], at_once: int = SIDE_BY_SIDE
    ) -> list[_R]:
        """The results of `effect` for each item, several at once; with 1, in this thread."""
        with self.project.progress.counting(what, len(items)) as done:
            return run_all(counted(effect, done), items, at_once)

    def _dry_run(self, place: tuple[str, EnvironmentName]) -> dict[str, str] | ReconcilerError | None:
        try:
            form = self.project.provers.dry_run(*place, lambda line: self.log(f"wrangler: {line}"))
            return None if form is None else read_certificate_ids(form)
        except ReconcilerError as error:
            return error

    def _stored(self) -> Mapping[CertificateName, EntryId] | None:
        """The entries of the declared certificates; None if the store can't be read."""
        try:
            reader = self.project.stores.open_reader(self.desired.declaration.store)
            actual = observe(self.checkout, reader)
            assessment = judge(self.desired, actual, self.project.clock.now())
        except ReconcilerError as error:
            self.log(f"the uploaded certificates could not be read: {error.message}")
            return None
        return {row.name: row.entry.id for row in assessment.certificates if row.entry is not None}

    def prove(self, name: CertificateName) -> CertificateProof:
        """All levels of one certificate."""
        declared, bundle = self.desired.declaration.certificates[name], self.desired.bundles.get(name)
        self.log(f"verifying {name}")
        if bundle is None:
            return CertificateProof(name, None, None, declared.verify, tuple(self._without_certificate(name)))
        one = _One(self, declared, bundle)
        levels = tuple(one.level(level) for level in Level if self.has(level) and level is not Level.EDGE)
        ends = window_of(bundle, now=self.project.clock.now(), ca=declared.ca).ends
        return CertificateProof(name, bundle.fingerprint, ends, declared.verify, levels)

    def with_edge(self, edge: Edge, proof: CertificateProof) -> CertificateProof:
        """The same proof with the level `edge`."""
        if proof.fingerprint is None:
            return proof
        return replace(proof, levels=(*proof.levels, self._at_edge(edge, proof)))

    def _at_edge(self, edge: Edge, proof: CertificateProof) -> LevelResult:
        if proof.origin is None:
            return skip(Level.EDGE, Skip.NOT_DECLARED, "mtls.toml has no `verify` for it")
        if self.entries is None:
            why, cure = "the uploaded certificates could not be read", "run `mtlsctl plan` to see why"
            return LevelResult(Level.EDGE, ProofStatus.INCONCLUSIVE, str(Reached.INCONCLUSIVE), why, cure)
        entry = self.entries.get(proof.certificate)
        if entry is None:
            hint = "run `mtlsctl apply --phase upload` first"
            return skip(Level.EDGE, Skip.NOT_STORED, "it is not uploaded yet, so Cloudflare can't use it", hint)
        return edge.prove(proof.certificate, proof.origin, entry)

    def _without_certificate(self, name: CertificateName) -> Iterable[LevelResult]:
        findings = tuple(problem for problem in self.checkout.blocked if problem.certificate == name)
        for level in Level:
            if level is Level.FILES:
                yield LevelResult(level, ProofStatus.REFUTED, "faulty", findings[0].message, findings[0].hint, findings)
            elif self.has(level):
                yield skip(level, Skip.NO_CERTIFICATE, "its certificate file could not be read")


@dataclass(slots=True)
class _One:
    """One certificate. Its key is opened once and not kept longer."""

    run: _VerifyRun
    declared: DeclaredCertificate
    bundle: Bundle
    _opened: OpenedKey | None = field(default=None, init=False, repr=False)

    @property
    def where(self) -> Pointer:
        """The place in mtls.toml that declares the origin."""
        return Pointer(self.run.desired.declaration.path, ("certificates", self.declared.name, "verify"))

    @property
    def opened(self) -> OpenedKey:
        """Its key, or why there is none."""
        if self._opened is None:
            self._opened = open_key(self.run.project, self.declared, self.bundle)
        return self._opened

    def level(self, level: Level) -> LevelResult:
        """The result of one level, but not of `edge`, which needs no key."""
        files = self.run.project.files
        match level:
            case Level.FILES:
                return check_files(self.declared, self.bundle, self.opened, files, self.run.project.clock.now())
            case Level.WRANGLER:
                name = self.declared.name
                return check_wrangler(
                    name, self.run.desired.declaration, self.run.checkout.configs, self.run.built, self.run.entries
                )
            case _:
                return self._with_key(level)

    def _with_key(self, level: Level) -> LevelResult:
        """The result of a level that calls the origin, or why it was skipped."""
        origin, opened = self.declared.verify, self.opened
        if origin is None:
            return skip(level, Skip.NOT_DECLARED, "mtls.toml has no `verify` for it")
        if opened.wrong:
            verdict = Verdict.NOT_SENT if level is Level.ORIGIN else Reached.UNUSABLE
            return LevelResult(level, ProofStatus.REFUTED, verdict, opened.wrong[0].message, opened.wrong[0].hint)
        if opened.key is None:
            return skip(level, Skip.NO_KEY, f"its key is not available: {opened.missing}", opened.hint)
        try:
            roots = load_roots(self.run.project.files, origin)
        except ReconcilerError as error:
            return skip(level, Skip.NO_ORIGIN_CA, error.message, error.hint)
        if level is Level.ORIGIN:
            return self._origin(origin, opened.key)
        return self._runtime(origin, opened.key, roots) if self.run.runs(level) else not_allowed(level)

    def _origin(self, origin: Origin, key: PrivateKey) -> LevelResult:
        proof = Proving(self.run.project.files, self.run.project.provers.prober).prove(
            origin, ClientIdentity(self.bundle, key)
        )
        judged = proof.judgement
        findings = tuple(proof_warnings(self.declared.name, proof, self.bundle, self.where))
        return LevelResult(
            Level.ORIGIN, proof.standing, judged.verdict, judged.why, judged.hint, findings, seen=proof.seen
        )

    def _runtime(self, origin: Origin, key: PrivateKey, roots: Bundle | None) -> LevelResult:
        call = OriginCall(origin.url, self.bundle.pem(), key, () if roots is None else (roots.pem(),))
        try:
            reach = self.run.project.provers.runtime(self._configs()).call(call)
        except MissingProgram as error:
            return skip(Level.RUNTIME, Skip.NO_PROGRAM, error.message, error.hint)
        except ReconcilerError as error:
            return LevelResult(Level.RUNTIME, ProofStatus.INCONCLUSIVE, Reached.INCONCLUSIVE, error.message, error.hint)
        findings = (proxied_warning(self.declared.name, origin.url, self.where),) if reach.proxied else ()
        return replace(judge_reach(reach, origin.expect_status), findings=findings)

    def _configs(self) -> Iterator[str]:
        """The wrangler files, or their folders, of the Workers that bind this certificate."""
        for worker in self.run.desired.declaration.workers.values():
            bindings = (binding for table in worker.environments.values() for binding in table)
            if any(binding.target == ByCertificate(self.declared.name) for binding in bindings):
                yield worker.config
