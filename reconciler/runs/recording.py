"""Makes the recording of a plan. What documents need is imported only for pseudonyms, so that `plan` starts fast."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa

from reconciler.findings.diagnostics import Pointer, Resolve
from reconciler.plan.inputs import Recording
from reconciler.runs.plan import Planned

_EXPONENT = 65537


def record(planned: Planned, place: Resolve, *, pseudonyms: bool) -> Recording:
    """What a plan was made from, with the places of its findings. `pseudonyms`: instead of all names, and without
    places; ReconcilerError if that can't be done."""
    if pseudonyms:
        from reconciler.records.pseudonyms import with_pseudonyms

        return Recording(with_pseudonyms(planned.inputs, make_rsa), pseudonyms=True)
    found = (one.where for one in (*planned.plan.assessment.findings, *planned.plan.diagnostics))
    places = {one: there for one in found if isinstance(one, Pointer) and (there := place(one)) is not None}
    return Recording(planned.inputs, places)


def make_rsa(bits: int) -> rsa.RSAPrivateKey:
    """A key that is thrown away."""
    return rsa.generate_private_key(_EXPONENT, bits)
