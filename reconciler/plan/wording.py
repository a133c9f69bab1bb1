"""Sentences for what a change waits for: the condition, and why it does not hold yet, from the facts of a verdict.

Waiting is neither an error nor a warning; the sentences of those are in the findings.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model import Condition

REQUIREMENTS: Mapping[Condition, str] = {
    Condition.NOT_VALID_YET: "the new certificate is valid",
    Condition.VALIDITY_UNKNOWN: "the validity dates of the new certificate are known",
    Condition.MAX_UNBINDS: "the run removes no more bindings than `max_unbinds` allows",
    Condition.UPDATE_NOT_REQUESTED: "the run has `--deploy`, or the variable MTLSCTL_DEPLOY is 1",
    Condition.PRUNE_OFF: "mtls.toml has `prune = true`, if it no longer declares its certificate",
    Condition.PRUNE_NOT_REQUESTED: "the run has `--prune`, if mtls.toml no longer declares its certificate",
    Condition.SUCCESSOR_MISSING: "its successor is uploaded",
    Condition.NOT_TAKEN_OVER: "the run has `--take-over STACK`, if a former stack uploaded it",
    Condition.SUCCESSOR_NOT_VALID: "its successor is valid, or it has expired itself",
    Condition.CONTENT_UNKNOWN: "every declared certificate file can be read",
    Condition.DECLARED_BY_ID: "no binding in mtls.toml refers to it by its ID",
    Condition.BINDINGS_PENDING: "every declared binding, Hyperdrive field and hostname has the current ID",
    Condition.BOUND_IN_FILE: "no declared wrangler file has its ID",
    Condition.STILL_TRUSTED: "no hostname of a declared zone trusts it, if it is a CA",
    Condition.GRACE: "its grace period is over",
    Condition.PROTECTED: "`protect` does not have its name, or the run has `--override-protect NAME`",
    Condition.LISTING_UNSTABLE: "the list of uploaded certificates did not change while it was read",
    Condition.CLOCK_SKEW: "the clock of this machine agrees with Cloudflare's",
    Condition.NAMED_IN_FILE: "no other file of this tree that could configure a Worker has its ID",
    Condition.UNCHECKED: "every file of this tree that could configure a Worker could be read",
    Condition.PRESENTED_LIVE: "no live version of a Worker uses it",
    Condition.ROLLBACK_REACH: "no version that a rollback could restore uses it (`rollback_versions`)",
    Condition.USED_ELSEWHERE: "no Hyperdrive configuration, hostname or other service uses it",
    Condition.LIVE_UNCHECKED: "everything that could use it was checked",
    Condition.NOT_DEPLOYED: "every declared Worker that binds its certificate is deployed",
    Condition.UNPROVED: "its successor is proved at its origin, as `verify_before` requires (by `mtlsctl apply`)",
    Condition.EMPTY: "mtls.toml declares a certificate, or the run has `--allow-empty`",
    Condition.MAX_DELETES: "the run deletes no more certificates than `max_deletes` allows",
    Condition.FROZEN: "no freeze holds, or the run has `--override-freeze REASON`",
}
"""What must be true before a change is made, by the condition that it waits for."""

_WAITS: Mapping[Condition, Mapping[str, str]] = {
    Condition.FROZEN: {"": "changes are frozen ({why}); to make them now, run with `--override-freeze REASON`"},
    Condition.EMPTY: {
        "": "mtls.toml declares no certificate; if it was not emptied by mistake, run with `--allow-empty`"
    },
    Condition.NOT_VALID_YET: {
        "": "the new certificate is not valid yet, so the one in use stays",
        "soon": "the new certificate becomes valid within 5 minutes; `mtlsctl apply` waits for it",
        "live": "the certificate in its wrangler file is not valid yet, so the live version stays",
        "proof": "the new certificate is not valid yet, so it can't be tested at its origin before the upload",
    },
    Condition.VALIDITY_UNKNOWN: {
        "": "the validity dates of the new certificate are unknown, so the valid one in use stays"
    },
    Condition.MAX_UNBINDS: {"": "a run removes at most {allowed} bindings; allow more with `--allow-unbinds N`"},
    Condition.UPDATE_NOT_REQUESTED: {
        "": "an update of Hyperdrive or hostnames takes effect at once; to make it, run `mtlsctl apply --deploy`"
    },
    Condition.PRUNE_OFF: {
        "": "its certificate was removed from mtls.toml; to delete it, set `prune = true` in `[policy]` and run"
        " `mtlsctl apply --prune`",
        "ordered": "its certificate was removed from mtls.toml, which does not permit its deletion: set `prune = true`"
        " in `[policy]`, too",
    },
    Condition.PRUNE_NOT_REQUESTED: {
        "": "its certificate was removed from mtls.toml; to delete it, run `mtlsctl apply --prune`",
        "later": "its certificate was removed from mtls.toml; to delete it, run `mtlsctl apply --prune` after {end},"
        " when its grace period is over",
    },
    Condition.NOT_TAKEN_OVER: {
        "": "the stack {stack!r} uploaded it; if no repository uses that stack any more, delete it with"
        " `mtlsctl apply --take-over {stack}`",
        "later": "the stack {stack!r} uploaded it; if no repository uses that stack any more, delete it with"
        " `mtlsctl apply --take-over {stack}` after {end}, when its grace period is over",
    },
    Condition.SUCCESSOR_MISSING: {
        "": "kept until its successor is uploaded and valid, then for a grace period of {grace}",
        "later": "kept until its successor is uploaded, then for a grace period of {grace} from {begins}, its begin",
        "no-grace": "kept until its successor is uploaded and valid",
        "now": "its successor is not uploaded yet",
    },
    Condition.SUCCESSOR_NOT_VALID: {
        "later": "its successor {successor} is not valid yet",
        "coming": "the certificate in its file is not valid yet",
        "": "its successor {successor} is not valid",
    },
    Condition.CONTENT_UNKNOWN: {"": "the certificate file of {names} could not be read, and might contain it"},
    Condition.DECLARED_BY_ID: {"": "mtls.toml binds it by its ID as {binding}{others}"},
    Condition.BINDINGS_PENDING: {
        "": "{bindings} must get the ID of its successor first",
        "trust": "{bindings} must trust its successor first",
        "unread": "{bindings} could not be checked, because its wrangler file could not be read",
    },
    Condition.BOUND_IN_FILE: {
        "": "its ID is still in {file}{others}",
        "removed": "its ID is still in {file}{others}; `mtlsctl apply` removes it there",
    },
    Condition.STILL_TRUSTED: {
        "": "hostnames still trust it: {names}; once no client has a certificate of this old CA, remove them"
        " from its list (how: mtlsctl explain still-trusted)",
        "only": "hostnames still trust it: {names}; these trust only it, not its successor: {only}; declare these in"
        " mtls.toml first; once no client has a certificate of this old CA, remove all of them from its list (how:"
        " mtlsctl explain still-trusted)",
    },
    Condition.GRACE: {
        "": "its grace period is not over",
        "least": "its grace period is not over: {grace}, which the variable MTLSCTL_MIN_GRACE demands",
        "no-time": "the time of its upload is unknown, so the end of its grace period is unknown",
    },
    Condition.PROTECTED: {"": "{by} protects {names}; to delete it all the same, run with {how}"},
    Condition.LISTING_UNSTABLE: {"": "the list of uploaded certificates changed while it was read"},
    Condition.CLOCK_SKEW: {
        "": "the clock of this machine is {by} {way} Cloudflare's",
        "unknown": "the clock of this machine could not be compared with Cloudflare's, which did not tell its time",
    },
    Condition.NAMED_IN_FILE: {"": "its ID is in {files}"},
    Condition.UNCHECKED: {
        "": "the other files of this tree were not searched for its ID",
        "one": "{file} could not be read, and might have its ID",
        "several": "{file} and {more} more could not be read, and might have its ID",
    },
    Condition.PRESENTED_LIVE: {
        "": "it is used by version {version} of {script} ({share} % of the traffic){others}",
        "dated": (
            "it is used by version {version} of {script} ({share} % of the traffic, deployed on {deployed}){others}"
        ),
    },
    Condition.ROLLBACK_REACH: {
        "": "it is used by version {version} of {script}, which a rollback could restore{others}",
        "dated": (
            "it is used by version {version} of {script} (deployed on {deployed}), which a rollback could restore"
            "{others}"
        ),
        "latest": "it is used by the newest version of {script}, which is not deployed yet{others}",
    },
    Condition.USED_ELSEWHERE: {"": "it is used by {users}"},
    Condition.LIVE_UNCHECKED: {
        "": "live Workers were not checked, and might use it",
        "one": "{subject} could not be checked, and might use it: {reason}",
        "several": "{subject} and {more} more could not be checked, and might use it: {reason}",
        "part": "not everything that could use it was checked",
    },
    Condition.NOT_DEPLOYED: {
        "": "{script}, named in {site}, was not found in the account; if it is not deployed, set `deployed = false`",
        "no-name": "{site} has no `name`, so its Worker could not be checked",
    },
    Condition.MAX_DELETES: {
        "": "a run deletes at most {allowed}; allow more with `--allow-deletes N`",
        "share": "a run deletes at most {allowed}, {share} % of the {uploads} uploads of this stack; allow more with"
        " `--allow-deletes N`",
        "ceiling": "a run deletes at most {allowed}, as the variable MTLSCTL_MAX_DELETES says; run again for more",
        "none": "the variable MTLSCTL_MAX_DELETES is 0, so no run deletes anything; raise or unset it",
        "zero": "`max_deletes = 0` in `[policy]` allows no deletion; raise it, or allow some with `--allow-deletes N`",
    },
    Condition.NOT_IN_PLAN: {"": "it was waiting when the plan was saved"},
}


MEANINGS: Mapping[Condition, tuple[str, str]] = {
    Condition.FROZEN: (
        "A `[[policy.freeze]]` holds.",
        "Wait for its end; if the change can't wait, run with `--override-freeze REASON`.",
    ),
    Condition.EMPTY: (
        "mtls.toml declares no certificate, so nothing is deleted or unbound.",
        "Restore mtls.toml if it was emptied by mistake; if not, run with `--allow-empty`.",
    ),
    Condition.NOT_VALID_YET: (
        "The new certificate is not valid yet, so the one in use stays, or it must be proved first and can't be yet.",
        "Wait: the first `mtlsctl apply` after that time continues.",
    ),
    Condition.VALIDITY_UNKNOWN: (
        "The validity dates of the new certificate can't be read, and the one in use is known to be valid.",
        "Check it in the dashboard, or bind another one.",
    ),
    Condition.MAX_UNBINDS: (
        "One run removes at most `max_unbinds` bindings from the wrangler files.",
        "Check that these bindings are meant to be removed; then run with `--allow-unbinds N`.",
    ),
    Condition.UPDATE_NOT_REQUESTED: (
        "An update of Hyperdrive or of hostnames takes effect at once, and the run was not told to make it.",
        "Run `mtlsctl apply --deploy`, or set `MTLSCTL_DEPLOY=1` where every run may do that.",
    ),
    Condition.PRUNE_OFF: (
        "Its certificate was removed from mtls.toml, and `prune` is off.",
        "To delete it, set `prune = true` in `[policy]` and run `mtlsctl apply --prune`; or leave it.",
    ),
    Condition.PRUNE_NOT_REQUESTED: (
        "Its certificate was removed from mtls.toml, and the run was not told to delete it.",
        "To delete it, run `mtlsctl apply --prune`, or set `MTLSCTL_PRUNE=1` where every run may do that; or leave it.",
    ),
    Condition.SUCCESSOR_MISSING: ("The new content is not uploaded yet.", "Run `mtlsctl apply`."),
    Condition.NOT_TAKEN_OVER: (
        "A stack that `former_stacks` lists uploaded it, and another repository might still use that stack.",
        "If none does, run `mtlsctl apply --take-over STACK`; else remove the stack from `former_stacks`.",
    ),
    Condition.CONTENT_UNKNOWN: (
        "A declared certificate file can't be read, and might contain this certificate.",
        "Fix that file.",
    ),
    Condition.DECLARED_BY_ID: (
        "A binding in mtls.toml refers to it with `{ id = ... }`.",
        "Change that binding.",
    ),
    Condition.BINDINGS_PENDING: (
        "A declared binding, Hyperdrive configuration or hostname does not use its successor yet.",
        "Run `mtlsctl apply` (Hyperdrive, hostnames: `--deploy`); if the successor is not valid, wait. Check errors.",
    ),
    Condition.BOUND_IN_FILE: (
        "A declared wrangler file still has its ID.",
        "Run `mtlsctl apply`; if the binding waits for its new certificate, wait, too. Remove undeclared bindings.",
    ),
    Condition.STILL_TRUSTED: (
        (
            "Hostnames of a declared zone trust this old CA. Those that mtls.toml does not declare might trust only it,"
            " not its successor: the plan names them. mtlsctl never removes a hostname."
        ),
        (
            "Declare those that trust only the old CA, and run `mtlsctl apply --deploy`. When all clients have new"
            " certificates, send a PUT to `/zones/ZONE_ID/certificate_authorities/hostname_associations`, with the ID"
            " of the old CA as `mtls_certificate_id`, and the `hostnames` that stay, such as those that trust only it."
        ),
    ),
    Condition.LISTING_UNSTABLE: ("The list of uploaded certificates changed while it was read.", "Run again."),
    Condition.CLOCK_SKEW: (
        "This machine's clock differs from Cloudflare's by more than five minutes, or could not be compared with it.",
        "Set the clock of this machine, then run again. If it is right, check what is between it and Cloudflare.",
    ),
    Condition.SUCCESSOR_NOT_VALID: (
        "Its successor is not valid yet or has expired, and it has not expired itself.",
        "Wait until the successor is valid; if that has expired, replace the certificate file.",
    ),
    Condition.GRACE: (
        "Its grace period is not over. It counts from its upload, or from the upload or the begin of its successor.",
        "Wait; only for a leaked key, run `mtlsctl retire NAME --now`. `MTLSCTL_MIN_GRACE` makes a shorter one longer.",
    ),
    Condition.PROTECTED: (
        "`protect` in `[policy]`, or the variable `MTLSCTL_PROTECT`, has its name.",
        "Check that it is no longer needed; then run with `--override-protect NAME`.",
    ),
    Condition.NAMED_IN_FILE: (
        "Its ID is in another file of the tree that might configure a Worker, even in a comment.",
        "Remove the ID there.",
    ),
    Condition.UNCHECKED: (
        "A folder or file of the tree could not be read, and might have its ID.",
        "Make it readable, or remove it.",
    ),
    Condition.PRESENTED_LIVE: (
        "A live version of a Worker uses it, with any share of the traffic.",
        "Deploy that Worker; finish a gradual deployment.",
    ),
    Condition.ROLLBACK_REACH: (
        "One of the `rollback_versions` deployments before the newest uses it, so a rollback could restore it.",
        (
            "Deploy once more when you are sure, or lower `rollback_versions` in `[policy]`; for a leaked key, run"
            " `mtlsctl retire NAME --now --ignore-rollback`."
        ),
    ),
    Condition.USED_ELSEWHERE: (
        "A Hyperdrive configuration, a hostname (of a CA) or another service that Cloudflare names uses it.",
        "Let that use another certificate.",
    ),
    Condition.LIVE_UNCHECKED: (
        "A Worker, or something else that might use it, could not be read.",
        "Give the token the missing permission; `mtlsctl explain NAME --live` shows the reason.",
    ),
    Condition.NOT_DEPLOYED: (
        "A declared Worker that binds its certificate was not found in the account.",
        "Deploy it, or set `deployed = false`.",
    ),
    Condition.MAX_DELETES: (
        "One run deletes at most `max_deletes` certificates.",
        "Run again, or use `--allow-deletes N`. With `MTLSCTL_MAX_DELETES`, which nothing exceeds, raise or unset it.",
    ),
    Condition.IN_USE: (
        "Just before the deletion, Cloudflare named a service that uses it, or refused the deletion.",
        "Deploy or change what uses it.",
    ),
    Condition.UNPROVED: (
        '`verify_before = "retire"` is set, and the current certificate could not be proved at its origin.',
        "Make its key available to `mtlsctl apply`; test the origin with `mtlsctl verify`.",
    ),
    Condition.CHANGED_MEANWHILE: (
        "It is not what the plan saw, or a plan made now would keep it.",
        "Plan again.",
    ),
    Condition.NOT_IN_PLAN: (
        "It was waiting when the applied plan was saved.",
        "Make a new plan, which deletes it.",
    ),
}
"""Why a change waits, and what to do about it, by condition; for `explain CONDITION`."""


def find_condition(text: str) -> Condition | None:
    """The condition with this name, or None."""
    return Condition(text) if text in set(Condition) else None


def wait_text(condition: Condition, facts: Mapping[str, str]) -> str:
    """Why a change waits. `facts`: `case` selects the sentence, the others are the values in it."""
    return _WAITS[condition][facts.get("case", "")].format_map(facts)
