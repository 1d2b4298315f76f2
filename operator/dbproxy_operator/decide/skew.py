"""In which format the pods get their configuration: pods of several images, and an operator that is
newer or older than they are, must understand each other.

Every pod reports the newest format that it reads. Written is the newest that the operator knows and
every pod reads that says so; while one says nothing yet, none that is newer than what is served. If
there is none, all that is served stays, and status names the pods.
"""

from collections.abc import Collection, Mapping

from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.reports import Report

Said = Mapping[str, Report | None]


def common_format(known: Collection[int], former: int, pods: Said) -> int | None:
    """`former`: the format of what is served, 0 if nothing is; `pods`: all that live."""
    said = [_reads(report) for report in pods.values()]
    limit = min((one for one in said if one), default=max(known))
    fitting = [one for one in known if one <= limit]
    if 0 in said and former in fitting:
        fitting = [one for one in fitting if one <= former]
    return max(fitting, default=None)


def too_old(known: Collection[int], pods: Said) -> Problem:
    """Why there is no common format."""
    oldest = min(known)
    behind = sorted(pod for pod, report in pods.items() if 0 < _reads(report) < oldest)
    return Problem(
        "FormatUnsupported",
        f"this operator writes the configuration of pods in format {oldest} and newer, which these "
        "pods don't read, so that nothing new reaches them: replace them by the annotation "
        "dbproxy.dev/upgrade or by another spec.image, or install the operator of their release",
        contradiction=True,
        waits_for=tuple(behind),
    )


def _reads(report: Report | None) -> int:
    return report.format_version if report is not None else 0
