"""What went wrong with a write or in our own code, told in the terms of the resource.

What the API server will say again is a contradiction; what it may yet take is a wait. Quotas and
policies are told as such: nobody shall look for the fault in a template that has none.
"""

import re

from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.world import Ref

_WORDS = 1000
_INVALID = (400, 422)
_QUOTA = re.compile(r"exceeded quota|must specify (limits|requests)\.")
_POLICY = re.compile(r"admission webhook .* denied|ValidatingAdmissionPolicy .* denied")
_TERMINATING = re.compile(r"being terminated")
_NO_RIGHT = re.compile(
    r"forbidden: User .* cannot|attempting to grant RBAC permissions|cannot set an ownerRef"
)
_CORRECT = {
    "Deployment": ("InvalidTemplate", "spec.template or spec.image"),
    "Service": ("InvalidService", "spec.service"),
}


def answered(ref: Ref, status: int, words: str, *, lasting: bool) -> Problem:
    """The API server's answer to writing that object."""
    what = f"{ref[0]} {ref[1]}"
    if not lasting:
        code = f" ({status})" if status else ""
        told = f"the API server does not take the {what} now{code}; it is tried again"
        return Problem("ApiError", f"{told}: {words[:_WORDS]}")
    reason, told = _reason(words, f"the {what}") or _refused(ref, status)
    return Problem(reason, f"{told}: {words[:_WORDS]}", contradiction=True, unwatched=True)


def pods_refused(words: str) -> Problem:
    """The Deployment's controller may not create pods, in its words."""
    reason, told = _reason(words, "the pods") or (
        "PodsRefused",
        "pods cannot be created; correct spec.template",
    )
    return Problem(reason, f"{told}: {words[:_WORDS]}", contradiction=True, unwatched=True)


def unanswered(status: int, words: str) -> Problem:
    """The API server failed where no single object is at fault."""
    code = f" ({status})" if status else ""
    return Problem("ApiError", f"the API server fails{code}; it is tried again: {words[:_WORDS]}")


def slow(seconds: float) -> Problem:
    return Problem(
        "ApiError",
        f"the work was not done within {seconds:.0f} s: the API server answers too slowly; "
        "it is tried again",
    )


def bug(error: Exception) -> Problem:
    """Only the kind of the fault: its text may hold what not everybody may read."""
    return Problem(
        "InternalError",
        f"the operator failed on this object by a fault of its own ({type(error).__name__}); it is "
        "tried again: report what the operator's log says of it",
    )


def _reason(words: str, what: str) -> tuple[str, str] | None:
    """What has nothing to do with the object itself."""
    if _QUOTA.search(words):
        return "QuotaExceeded", (
            f"a ResourceQuota of the namespace leaves no room for {what}: raise it or free some"
        )
    if _POLICY.search(words):
        return "PolicyDenied", (
            f"a policy of the cluster denies {what}: satisfy it, or have it changed"
        )
    if _TERMINATING.search(words):
        return "NamespaceTerminating", f"the namespace is being deleted and takes no more of {what}"
    if _NO_RIGHT.search(words):
        return "OperatorForbidden", (
            f"the operator may not write {what}: give it the rights of its chart"
        )
    return None


def _refused(ref: Ref, status: int) -> tuple[str, str]:
    kind, name = ref
    if kind in _CORRECT and status in _INVALID:
        reason, where = _CORRECT[kind]
        return reason, f"the API server refuses the {kind} {name} (correct {where})"
    return "Refused", f"the API server refuses the {kind} {name}"
