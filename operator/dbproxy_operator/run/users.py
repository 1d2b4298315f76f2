"""Which proxies use which Secrets and ConfigMaps, as the last events said: it chooses whom to wake,
and decides nothing.

The handlers of DBProxies and target groups teach it; the informers ask it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from dbproxy_operator.observe.world import Key, Ref

Source = tuple[str, str, str]


@dataclass
class Users:
    """`Source`: kind, namespace and name of the object that refers."""

    _refers: dict[Source, tuple[Key, frozenset[Ref]]] = field(default_factory=dict)
    _used: dict[tuple[str, Ref], set[Source]] = field(default_factory=dict)

    def learn(self, source: Source, proxy: str | None, refs: Iterable[Ref]) -> None:
        self.forget(source)
        if proxy is None:
            return
        found = frozenset(refs)
        self._refers[source] = (Key(source[1], proxy), found)
        for ref in found:
            self._used.setdefault((source[1], ref), set()).add(source)

    def forget(self, source: Source) -> None:
        _, former = self._refers.pop(source, (None, frozenset()))
        for ref in former:
            users = self._used[source[1], ref]
            users.discard(source)
            if not users:
                del self._used[source[1], ref]

    def of(self, namespace: str, ref: Ref) -> set[Key]:
        return {self._refers[source][0] for source in self._used.get((namespace, ref), ())}
