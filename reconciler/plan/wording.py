"""What a change waits for, in words: what must be true, and why it is not, from a verdict's facts.

`findings/` has the words of errors and warnings; this is the other half: waiting is neither.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model import Condition

REQUIREMENTS: Mapping[Condition, str] = {
    Condition.NOT_VALID_YET: "the new certificate has begun",
    Condition.VALIDITY_UNKNOWN: "the dates of the new certificate are known",
    Condition.PRUNE_OFF: "it is superseded, or orphaned with `prune = true`",
    Condition.SUCCESSOR_MISSING: "its successor is stored",
    Condition.SUCCESSOR_NOT_VALID: "its successor is valid, or it has ended itself",
    Condition.CONTENT_UNKNOWN: "every declared certificate file can be read",
    Condition.DECLARED_BY_ID: "no binding in mtls.toml names it by id",
    Condition.BINDINGS_PENDING: "every declared binding of its certificate names the current entry",
    Condition.BOUND_IN_FILE: "no declared wrangler file has its id",
    Condition.GRACE: "its grace is over",
    Condition.LISTING_UNSTABLE: "the store's list held still while it was read",
    Condition.NAMED_IN_FILE: "no other file of this tree that may configure a Worker has its id",
    Condition.UNCHECKED: "every wrangler file of this tree could be looked at",
    Condition.PRESENTED_LIVE: "no live version of a Worker uses it",
    Condition.ROLLBACK_REACH: "no version that a rollback could bring back uses it (`rollback_versions`)",
    Condition.USED_ELSEWHERE: "no Hyperdrive configuration, hostname or other service uses it",
    Condition.LIVE_UNCHECKED: "everything that may present it could be looked at",
    Condition.NOT_DEPLOYED: "every declared Worker that binds its certificate is found live",
    Condition.UNPROVED: "its successor is proved at its origin, as `verify_before` says (at `mtlsctl apply`)",
    Condition.MAX_DELETES: "no more are retired in one run than `max_deletes` allows",
}
"""What must be true before a change is made, by the condition that it else waits for."""

_WAITS: Mapping[Condition, Mapping[str, str]] = {
    Condition.NOT_VALID_YET: {
        "": "the new certificate is not valid yet, so the one in use stays",
        "soon": "the new certificate becomes valid within 5 minutes; `mtlsctl apply` waits for it",
        "live": "the certificate in its wrangler file is not valid yet, so the live version stays",
        "proof": "the new certificate is not valid yet, so it can't be tested at its origin before the upload",
    },
    Condition.VALIDITY_UNKNOWN: {"": "the dates of the new certificate are unknown, and the one in use is valid"},
    Condition.PRUNE_OFF: {
        "": "its certificate was removed from mtls.toml; `prune = true` in `[policy]` would retire it"
    },
    Condition.SUCCESSOR_MISSING: {"": "kept until its successor is uploaded, then for a grace period of {grace}"},
    Condition.SUCCESSOR_NOT_VALID: {
        "later": "its successor {successor} is not valid yet",
        "": "its successor {successor} is not valid",
    },
    Condition.CONTENT_UNKNOWN: {"": "the certificate file of {names} could not be read, and might declare it"},
    Condition.DECLARED_BY_ID: {"": "a binding in mtls.toml names it by id"},
    Condition.BINDINGS_PENDING: {"": "some declared binding does not name its successor yet"},
    Condition.BOUND_IN_FILE: {"": "a wrangler file had its id when this run began"},
    Condition.GRACE: {
        "": "its grace is not over",
        "no-time": "the store does not say when it was uploaded, so its grace can't be counted",
    },
    Condition.LISTING_UNSTABLE: {"": "the store's list moved while it was read"},
    Condition.NAMED_IN_FILE: {"": "its id is in {files}"},
    Condition.UNCHECKED: {
        "": "the tree was not looked through",
        "one": "{file} could not be looked at, and might name it",
        "several": "{file} and {more} more could not be looked at, and might name it",
    },
    Condition.PRESENTED_LIVE: {
        "": "it is used by version {version} of {script} ({share} % of the traffic){others}",
        "dated": (
            "it is used by version {version} of {script} ({share} % of the traffic, deployed on {deployed}){others}"
        ),
    },
    Condition.ROLLBACK_REACH: {
        "": "it is used by version {version} of {script}, which a rollback could bring back{others}",
        "dated": (
            "it is used by version {version} of {script} (deployed on {deployed}), which a rollback could bring back"
            "{others}"
        ),
        "latest": "it is used by the newest version of {script}, which is not deployed yet{others}",
    },
    Condition.USED_ELSEWHERE: {"": "it is used by {users}"},
    Condition.LIVE_UNCHECKED: {
        "": "what live Workers present was not looked at",
        "one": "whether anything uses it is not known: {subject} could not be looked at: {reason}",
        "several": (
            "whether anything uses it is not known: {subject} could not be looked at (and {more} more): {reason}"
        ),
        "part": "not everything that may present it was looked at",
    },
    Condition.NOT_DEPLOYED: {
        "": "{script}, the Worker of {site}, is not found in the account (`deployed = false` if none is live)",
        "no-name": "{site} gives its Worker no name, so it can't be looked for",
    },
    Condition.MAX_DELETES: {"": "a run retires at most {allowed}; allow more with `--allow-deletes N`"},
    Condition.NOT_IN_PLAN: {"": "it was waiting when the plan was saved"},
}


def wait_text(condition: Condition, facts: Mapping[str, str]) -> str:
    """Why an entry is kept. `facts`: `case` picks one of several sentences, the others are named in it."""
    return _WAITS[condition][facts.get("case", "")].format_map(facts)
