"""The writer as status tells it, and the floor below which no pod may obey: pure.

`intent` asks it once in each pass, the verdicts tell what it found. The rules by which a pod obeys
an election are the agent's (docs/failover.md has them as a table); a contract test holds the
reasons of both together.

- The *floor* is the newest epoch that was read in the election, here, and the writer that it named.
  Its record is the composed ConfigMap, which no pod can write; it follows the election's own object
  as the epoch rises, and another object only once every pod that is heard obeys that one.
- `status.writer` mirrors the floor for people, with what the pods say of it; nothing reads it back
  (but for `since` where there is no election).
- The writer is known if every Ready pod that is heard has it open: with an election the one that it
  names, at its epoch. Else the reason names the pods.
- An epoch is acknowledged if every pod that runs, Ready or not, has no connection to an earlier
  writer left. One that could not make sure of that is named.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dbproxy_operator.decide.served import UNREAD
from dbproxy_operator.desired.config import Served
from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.reports import AcknowledgedReport, Report, WriterReport
from dbproxy_operator.observe.world import Object, status, uid
from dbproxy_operator.spec import DBProxyTargetGroupSpec

# The agent has the same limit: exact in every number format on the way of an epoch.
EPOCH_DIGITS = 15
# Of a target.
LONGEST_NAME = 63
MOST_NAMED = 3
MOST_UNCONFIRMED = 16
# Why no writer is known: what is so, and what to do about it.
REASONS: Mapping[str, tuple[str, str]] = {
    "NoReport": ("no proxy pod has reported a writer yet", ""),
    "NotConfirmed": ("waiting until SQL confirms the writer", ""),
    "NotObeyed": (
        "the election is not obeyed",
        "if it stays so, see whether the pods reach the API server",
    ),
    "PodsDisagree": (
        "the pods don't agree on the writer",
        "see which targets each of them reaches, or let writerElection decide",
    ),
    "NoWriter": ("no target answers as writer", "check that a primary runs and can be reached"),
    "MultipleWriters": (
        "several targets answer as writer",
        "stop the one that must not be, or let writerElection decide",
    ),
    "ElectionNotFound": (
        "the election ConfigMap is missing",
        "create the ConfigMap that writerElection names",
    ),
    "ElectionInvalid": (
        "the election ConfigMap is malformed",
        f"give it `writer`, a target's name, and `epoch`, of at most {EPOCH_DIGITS} digits, "
        "both in one change",
    ),
    "UnknownWriter": (
        "the election names a writer that is not among the targets",
        "add it to spec.targets, or elect another",
    ),
    "EpochFell": ("the election's epoch is lower than before", "raise it"),
    "WriterDisagrees": (
        "the elected writer denies in SQL that it is one",
        "promote it, or elect another",
    ),
    "MonitorRefused": (
        "the monitor may not log in to the elected writer",
        "let its user in the database have the password of {monitor}",
    ),
    "Unconfirmed": (
        "the writer was not confirmed within confirmationTimeout",
        "see that its monitor can log in with {monitor}, and that the pods reach the API server",
    ),
}
WAITING = ("NoReport", "NotConfirmed")


@dataclass(frozen=True)
class WriterState:
    """What status says of the writer (`record`), what the pods must not fall below (`floor`), and
    whether the writer is known."""

    record: Object | None
    floor: Object | None
    known: bool
    reason: str
    message: str

    @property
    def undecided(self) -> bool:
        """The election can't be read: nobody can tell, and what is known of the writer stays."""
        return self.reason == UNREAD


@dataclass(frozen=True)
class Heard:
    """Reports of the pods that are Ready, and of all that run: None of those that are silent."""

    ready: Sequence[Report]
    running: Mapping[str, Report | None]


@dataclass(frozen=True)
class _Elected:
    writer: str
    uid: str
    epoch: int


def former_floor(before: Served, group: Object) -> Object | None:
    """The record, if it is this group's."""
    told = before.settings.get("targetGroup")
    if not isinstance(told, dict) or told.get("uid") != uid(group):
        return None
    floor = told.get("writerFloor")
    if not isinstance(floor, dict):
        return None
    epoch, words = floor.get("epoch"), [floor.get(key) for key in ("target", "uid", "since")]
    if not isinstance(epoch, int) or not 0 <= epoch < 10**EPOCH_DIGITS:
        return None
    if not all(isinstance(word, str) for word in words):
        return None
    return dict(zip(("target", "uid", "since"), words, strict=True)) | {"epoch": epoch}


def judge(
    group: Object,
    spec: DBProxyTargetGroupSpec,
    heard: Heard,
    election: Object | Problem | None,
    floor: Object | None,
    now: str,
) -> WriterState:
    """`election`: a Problem if it can't be read."""
    if spec.writer_election is None:
        asked = _asked(group, spec, heard, now)
        told = _naming_monitor(Problem(asked.reason, asked.message), spec)
        return replace(asked, message=told.message)
    found = _read(spec, election)
    trouble = found if isinstance(found, Problem) else None
    if isinstance(found, _Elected):
        floor = _raised(floor, found, heard.ready, now)
        trouble = _against_floor(spec, found, floor) or _unlike(found, heard.ready)
    if trouble is not None:
        trouble = _naming_monitor(trouble, spec)
    reason, message = (trouble.reason, trouble.message) if trouble else ("WriterKnown", "")
    if floor is None:
        return WriterState(None, None, False, reason, message)
    if trouble is None:
        message = f"the writer is {floor['target']}"
    record = {**floor, **_acknowledged(floor, heard.running)}
    return WriterState(record, floor, trouble is None, reason, message)


def _naming_monitor(trouble: Problem, spec: DBProxyTargetGroupSpec) -> Problem:
    return replace(trouble, message=trouble.message.replace("{monitor}", _monitor(spec)))


def _monitor(spec: DBProxyTargetGroupSpec) -> str:
    """Whose log-in the probes use."""
    if spec.monitor_secret_ref is not None:
        return f"the Secret {spec.monitor_secret_ref.name} (spec.monitorSecretRef)"
    return "the first Secret of the DBProxy's spec.auth"


def _read(spec: DBProxyTargetGroupSpec, election: Object | Problem | None) -> _Elected | Problem:
    """What the election says; as the agent reads it."""
    if isinstance(election, Problem):
        return election
    if election is None:
        name = spec.writer_election.config_map_ref.name if spec.writer_election else ""
        told = f"the ConfigMap {name}, which writerElection names, is missing: create it"
        return Problem("ElectionNotFound", told)
    data = election.get("data") or {}
    missing = [key for key in ("writer", "epoch") if key not in data]
    if missing:
        return _told("ElectionInvalid", f"the ConfigMap lacks {' and '.join(missing)}")
    text = data["epoch"].strip()
    if not (text.isascii() and text.isdigit() and len(text) <= EPOCH_DIGITS):
        range_ = f"not a whole number from 0 to {'9' * EPOCH_DIGITS}"
        return _told("ElectionInvalid", f"epoch is {data['epoch'][:40]!r}, {range_}")
    writer = data["writer"].strip()
    if len(writer) > LONGEST_NAME:
        return _told("ElectionInvalid", f"writer is longer than {LONGEST_NAME} characters")
    return _Elected(writer, uid(election), int(text))


def _raised(
    floor: Object | None, elected: _Elected, heard: Sequence[Report], now: str
) -> Object | None:
    new = {"target": elected.writer, "uid": elected.uid, "epoch": elected.epoch, "since": now}
    if floor is None:
        return new
    if floor["uid"] == elected.uid:
        return new if elected.epoch > floor["epoch"] else floor
    followed = bool(heard) and all(_obeys(report.writer, elected) for report in heard)
    return new if followed else floor


def _against_floor(
    spec: DBProxyTargetGroupSpec, elected: _Elected, floor: Object | None
) -> Problem | None:
    if floor is not None and floor["uid"] == elected.uid:
        if elected.epoch < floor["epoch"]:
            told = f"the epoch is {elected.epoch}, after {floor['epoch']} was obeyed"
            return _told("EpochFell", told)
        if elected.epoch == floor["epoch"] and elected.writer != floor["target"]:
            told = f"epoch {elected.epoch} named {floor['target']!r} before"
            return Problem("ElectionInvalid", f"{told}, now {elected.writer!r}: raise the epoch")
    if not elected.writer:
        return Problem("NoWriter", "the election says that there is no writer now")
    if elected.writer not in {target.name for target in spec.targets}:
        return _told("UnknownWriter", f"{elected.writer!r}, which the election names, is no target")
    return None


def _unlike(elected: _Elected, heard: Sequence[Report]) -> Problem | None:
    """Why the writer is not known, if some pod does not serve the elected one at its epoch."""
    if not heard:
        return _told("NoReport")
    against: dict[str, list[Report]] = {}
    for report in heard:
        reason = _reason_against(report.writer, elected)
        if reason:
            against.setdefault(reason, []).append(report)
    if not against:
        return None
    # Pods that serve another writer first: nothing is as bad.
    reason = max(against, key=lambda one: (one == "NotObeyed", len(against[one]), one))
    return _names_pods(reason, against[reason], elected)


def _reason_against(writer: WriterReport | None, elected: _Elected) -> str:
    if writer is None:
        return "NotConfirmed"
    said = writer.reason if writer.reason in REASONS else ""
    if not _obeys(writer, elected):
        # Of another object than was obeyed so far, the pod says why not.
        serves = writer.open and writer.uid == elected.uid
        return "NotObeyed" if serves or not said else said
    return said or ("" if writer.open else "NotConfirmed")


def _obeys(writer: WriterReport | None, elected: _Elected) -> bool:
    if writer is None:
        return False
    return (writer.target, writer.uid, writer.epoch) == (
        elected.writer,
        elected.uid,
        elected.epoch,
    )


def _names_pods(reason: str, reports: Sequence[Report], elected: _Elected | None) -> Problem:
    said = next((r.writer.message for r in reports if r.writer and r.writer.message), "")
    first = reports[0].writer
    if reason == "NotObeyed" and elected is not None and first is not None:
        serves = "serves" if first.open else "holds"
        said = (
            f"{serves} {first.target or 'no writer'} with epoch {first.epoch}, although the "
            f"election names {elected.writer} with epoch {elected.epoch}"
        )
    return _told(reason, f"{_pods(report.pod for report in reports)}: {said or REASONS[reason][0]}")


def _pods(names: Iterable[str]) -> str:
    ordered = sorted(names)
    shown = ", ".join(ordered[:MOST_NAMED])
    more = len(ordered) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _told(reason: str, details: str = "") -> Problem:
    what, advice = REASONS[reason]
    return Problem(reason, f"{details or what}: {advice}" if advice else details or what)


# --- without an election ------------------------------------------------------------------------


def _asked(group: Object, spec: DBProxyTargetGroupSpec, heard: Heard, now: str) -> WriterState:
    """What most of the pods have open, and known if all of them have."""
    before = status(group).get("writer")
    kept = before if isinstance(before, dict) else None
    known = {target.name for target in spec.targets}
    opened = [r for r in heard.ready if r.writer and r.writer.open and r.writer.target in known]
    votes = Counter(r.writer.target for r in opened if r.writer is not None)
    if not votes:
        trouble = _most_said(heard.ready)
        return WriterState(kept, None, False, trouble.reason, trouble.message)
    target = max(votes, key=lambda one: (votes[one], one))
    same = kept is not None and kept.get("target") == target and kept.get("since")
    record: Object = {"target": target, "uid": "", "epoch": 0}
    record["since"] = kept["since"] if kept and same else now
    record |= _acknowledged(record, heard.running)
    others = [r for r in heard.ready if r.writer and r.writer.open and r.writer.target != target]
    if others:
        told = f"{_pods(r.pod for r in others)} don't have {target}, as the others do"
        problem = _told("PodsDisagree", told)
        return WriterState(record, None, False, problem.reason, problem.message)
    unlike = [r for r in heard.ready if r.writer is None or not r.writer.open or r.writer.reason]
    if unlike:
        problem = _most_said(unlike)
        return WriterState(record, None, False, problem.reason, problem.message)
    return WriterState(record, None, True, "WriterKnown", f"the writer is {target}")


def _most_said(heard: Sequence[Report]) -> Problem:
    if not heard:
        return _told("NoReport")
    by_reason: dict[str, list[Report]] = {}
    for report in heard:
        said = report.writer.reason if report.writer is not None else ""
        by_reason.setdefault(said if said in REASONS else "NotConfirmed", []).append(report)
    reason = max(by_reason, key=lambda one: (len(by_reason[one]), one))
    return _names_pods(reason, by_reason[reason], None)


# --- acknowledgement ----------------------------------------------------------------------------


def _acknowledged(record: Object, running: Mapping[str, Report | None]) -> Object:
    """What all pods that run have acknowledged, and which of them could not make sure of it."""
    said = {pod: report.acknowledged if report else None for pod, report in running.items()}
    ours = [one for one in said.values() if one is not None and one.uid == record["uid"]]
    unconfirmed = sorted(pod for pod, one in said.items() if one is not None and one.unconfirmed)
    all_said = bool(said) and len(ours) == len(said) and not unconfirmed
    body: Object = {"acknowledged": all_said and _lowest(ours) >= record["epoch"]}
    if all_said and record["uid"]:
        body["acknowledgedEpoch"] = _lowest(ours)
    if unconfirmed:
        body["unconfirmed"] = unconfirmed[:MOST_UNCONFIRMED]
    return body


def _lowest(said: Sequence[AcknowledgedReport]) -> int:
    return min(one.epoch for one in said)
