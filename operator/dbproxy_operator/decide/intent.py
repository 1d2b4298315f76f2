"""Everything that should exist for one DBProxy, from what was resolved: pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from dbproxy_operator.decide import budget, configuration, fold, listeners, served
from dbproxy_operator.decide import writer as writers
from dbproxy_operator.decide.budget import Growth, Sizes
from dbproxy_operator.decide.configuration import Configuration, Defaults, Wanted, soonest
from dbproxy_operator.decide.listeners import Listeners
from dbproxy_operator.decide.resolve import Resolved
from dbproxy_operator.decide.writer import WriterState
from dbproxy_operator.desired import config, pdb, rbac
from dbproxy_operator.desired import deployment as deployments
from dbproxy_operator.desired import service as services
from dbproxy_operator.desired.config import Served
from dbproxy_operator.desired.deployment import PodTemplate
from dbproxy_operator.observe import names, reports
from dbproxy_operator.observe.ownership import own_child
from dbproxy_operator.observe.reports import Report
from dbproxy_operator.observe.world import (
    Object,
    Observed,
    Ref,
    is_alive,
    is_pod_of,
    is_ready,
    is_running,
    name,
    timestamp,
)
from dbproxy_operator.spec import DBProxySpec


@dataclass(frozen=True)
class Fleet:
    """The pods as they are, and what they say."""

    ready: tuple[str, ...]
    alive: tuple[Object, ...]
    reports: Mapping[str, Report]

    @property
    def heard(self) -> list[Report]:
        """Reports of Ready pods: the only ones that count for what status says."""
        return [self.reports[pod] for pod in self.ready if pod in self.reports]

    def unheard(self, listener: int) -> list[str]:
        """Ready pods that have not opened that port."""
        return [
            pod
            for pod in self.ready
            if pod not in self.reports or listener not in self.reports[pod].listeners
        ]


@dataclass(frozen=True)
class Intent:
    """`configuration`: what the pods are to have; `reporting`: whether it tells them a target
    group, without which older ones have nowhere to report."""

    desired: tuple[Object, ...]
    needs: Mapping[Ref, frozenset[Ref]]
    template: PodTemplate
    growth: Growth
    listeners: Listeners
    writer: WriterState | None
    wake_at: float | None
    configuration: Configuration
    reporting: bool


def fleet(observed: Observed) -> Fleet:
    ours = (pod for pod in observed.pods if is_pod_of(pod, observed.key.name))
    alive = tuple(pod for pod in ours if is_alive(pod))
    pods = [name(pod) for pod in alive]
    heard = reports.read(observed.groups[0], pods) if observed.groups else {}
    ready = tuple(sorted(name(pod) for pod in alive if is_ready(pod)))
    return Fleet(ready, alive, heard)


def intend(
    observed: Observed,
    resolved: Resolved,
    pods: Fleet,
    before: Served,
    defaults: Defaults,
    now: float,
) -> Intent:
    """For a proxy whose spec could be parsed."""
    key, proxy, spec = observed.key, resolved.proxy, resolved.spec
    if proxy is None or spec is None:
        raise ValueError("there is nothing to intend without a proxy")
    deployment = own_child(observed, "Deployment", key.name)
    template = deployments.pod_template(key, proxy, spec, defaults.pods, deployment)
    ports = _listeners(observed, resolved, before, now)
    writer = _writer(observed, resolved, pods, before, now)
    told_group = _target_group(resolved, writer)
    growth = _growth(spec.replicas, told_group, pods, before, deployment, now)
    settings = config.settings(
        proxy,
        spec,
        ports.all,
        told_group,
        report_to=resolved.group.obj if resolved.group else None,
        budget_divisor=growth.divisor,
        drain_timeout=min([spec.drain_timeout, *_drain_limits(template, pods)]),
    )
    said = {name(pod): pods.reports.get(name(pod)) for pod in pods.alive}
    wanted = Wanted(settings, ports, said)
    made = configuration.configure(observed, resolved, before, wanted, defaults, now)
    desired = [
        rbac.service_account(key, proxy),
        rbac.role(key, proxy, *_role_names(resolved)),
        rbac.role_binding(key, proxy),
        *made.objects,
        services.service(key, proxy, spec, spec.service, names.DEFAULT_LISTENER_PORT),
        services.peers(key, proxy),
        pdb.pod_disruption_budget(key, proxy),
        *(
            [deployments.deployment(key, proxy, spec, template, growth.replicas)]
            if made.revision
            else []
        ),
        *_endpoint_services(observed, resolved, pods, ports, spec),
    ]
    overdue = budget.next_overdue(pods.alive, now)
    return Intent(
        desired=tuple(desired),
        needs=_needs(key.name),
        template=template,
        growth=growth,
        listeners=ports,
        writer=writer,
        wake_at=soonest(ports.wake_at, made.wake_at, overdue),
        configuration=made,
        reporting=told_group is not None,
    )


def _growth(
    wanted: int,
    told_group: Object | None,
    pods: Fleet,
    before: Served,
    deployment: Object | None,
    now: float,
) -> Growth:
    """`told_group`: as the pods are told it, since by that they divide."""
    current = int(deployment["spec"].get("replicas", 1)) if deployment else None
    former = config.former_divisor(before)
    if told_group is None:
        return budget.growth(wanted, current, Sizes(), (), former)
    targets = [target["name"] for target in told_group["targets"]]
    percent = told_group["connectionPoolConfig"]["maxConnectionsPercent"]
    sizes = Sizes(fold.usable_connections(targets, list(pods.reports.values())), percent)
    found = budget.holders(pods.alive, pods.reports, former, now)
    return budget.growth(wanted, current, sizes, found, former)


def _listeners(observed: Observed, resolved: Resolved, before: Served, now: float) -> Listeners:
    former = config.former_listeners(before)
    roles = {listener.name: listener.role for listener in former}
    wanted: list[tuple[Object, str]] = []
    for endpoint in resolved.endpoints:
        if endpoint.spec is None and name(endpoint.obj) in roles:
            wanted.append((endpoint.obj, roles[name(endpoint.obj)]))
        elif endpoint.spec is not None and endpoint.problem is None:
            wanted.append((endpoint.obj, endpoint.spec.target_role))
    # A Service that is not shown may well be there.
    there = observed.services | {child for kind, child in observed.unread if kind == "Service"}
    if ("Service", "") in observed.unread:
        there |= roles.keys()
    return listeners.allocate(observed.key.name, wanted, former, there, now)


def _target_group(resolved: Resolved, writer: WriterState | None) -> Object | None:
    group = resolved.group
    if group is None or group.spec is None or group.source is None:
        return None
    return config.target_group(group.source, group.spec, writer.floor if writer else None)


def _endpoint_services(
    observed: Observed, resolved: Resolved, pods: Fleet, ports: Listeners, spec: DBProxySpec
) -> list[Object]:
    """A new Service only once every Ready pod listens; one that is there stays."""
    found: list[Object] = []
    for endpoint in resolved.endpoints:
        port = ports.ports.get(name(endpoint.obj))
        if endpoint.spec is None or port is None:
            continue
        ref = ("Service", name(endpoint.obj))
        there = ref in observed.children or ref in observed.unread
        if there or (pods.ready and not pods.unheard(port)):
            found.append(
                services.service(observed.key, endpoint.obj, spec, endpoint.spec.service, port)
            )
    return found


def _writer(
    observed: Observed, resolved: Resolved, pods: Fleet, before: Served, now: float
) -> WriterState | None:
    group = resolved.group
    if group is None or group.spec is None:
        return None
    running = {name(pod): pods.reports.get(name(pod)) for pod in pods.alive if is_running(pod)}
    floor = writers.former_floor(before, group.obj)
    heard = writers.Heard(pods.heard, running)
    followed = ("ConfigMap", group.election or "")
    election = served.unread(observed, followed) or observed.election
    return writers.judge(group.obj, group.spec, heard, election, floor, timestamp(now))


def _drain_limits(template: PodTemplate, pods: Fleet) -> list[int]:
    """What pods can keep: their grace period is in the template, which settings never change."""
    graces = [template.grace_seconds]
    graces += [int(pod["spec"].get("terminationGracePeriodSeconds") or 30) for pod in pods.alive]
    return [deployments.drain_seconds(grace) for grace in graces]


def _role_names(resolved: Resolved) -> tuple[str | None, str | None]:
    """The group that pods report to, and the election that they follow."""
    group = resolved.group
    return (name(group.obj), group.election) if group else (None, None)


def _needs(proxy: str) -> dict[Ref, frozenset[Ref]]:
    """What must be in place, and ours, before the next is written: all of it, at any remove."""
    account, own_config = names.account_name(proxy), names.config_name(proxy)
    secret, config_map = ("Secret", own_config), ("ConfigMap", own_config)
    rights = {("ServiceAccount", account), ("Role", account), ("RoleBinding", account)}
    authority = ("Secret", names.ca_key_name(proxy))
    return {
        # What a CA signed that is not kept would be good for nothing.
        ("ConfigMap", names.ca_name(proxy)): frozenset({authority}),
        secret: frozenset({authority}),
        config_map: frozenset({authority, secret}),
        ("Deployment", proxy): frozenset({authority, secret, config_map, *rights}),
    }
