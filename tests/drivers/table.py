"""What was seen, as the table that a person reads and docs/drivers.md holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.drivers.catalogue import Driver
from tests.drivers.hello import Hello
from tests.drivers.runs import Outcome, faults

HELLO = ("driver", "plugin", "collation", "capabilities", "when it connects")
HEAD = ("driver", "server", "direct", "proxy", "errors", "pinned at the end", "pins", "verdict")
# Of each failing row: as many errors and pinned statements.
SHOWN = 4


@dataclass(frozen=True)
class Row:
    driver: Driver
    direct: Outcome
    proxied: Outcome
    hello: Hello | None = None

    @property
    def faults(self) -> list[str]:
        return faults(self.driver, self.direct, self.proxied)

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            self.direct.driver or self.driver.name,
            self.driver.timezone,
            f"{self.direct.seconds:.1f} s",
            f"{self.proxied.seconds:.1f} s" if self.proxied.seconds else "-",
            str(len(self.proxied.errors)),
            _reasons(self.proxied.pinned),
            _reasons(self.proxied.pins),
            "; ".join(self.faults) or "shared",
        )

    def hello_cells(self, hello: Hello) -> tuple[str, ...]:
        said = "; ".join(f"`{command.replace('|', chr(92) + '|')}`" for command in hello.commands)
        return (
            self.direct.driver or self.driver.name,
            hello.plugin or "none",
            str(hello.collation),
            hello.capabilities,
            said or "nothing",
        )

    def details(self) -> str:
        """Why it isn't shared, for whoever mends it."""
        lines = [f"{self.driver.name}: {'; '.join(self.faults)}"]
        lines += [f"  direct: {line}" for line in self.direct.errors[:SHOWN]]
        lines += [f"  proxy: {line}" for line in self.proxied.errors[:SHOWN]]
        lines += [f"  pinned by {line}" for line in self.proxied.statements[:SHOWN]]
        if not self.proxied.errors:
            there, here = set(self.direct.results), set(self.proxied.results)
            lines += [f"  only direct: {line}" for line in sorted(there - here)[:SHOWN]]
            lines += [f"  only proxy: {line}" for line in sorted(here - there)[:SHOWN]]
        return "\n".join(lines)


def tables(rows: list[Row]) -> str:
    """What came of it, and where it was heard, what each says when it connects."""
    found = [markdown(HEAD, [row.cells for row in rows])]
    hellos = [row.hello_cells(row.hello) for row in rows if row.hello is not None]
    if hellos:
        found.append(markdown(HELLO, hellos))
    return "\n\n".join(found)


def markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("-" * len(name) for name in head), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def _reasons(found: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(found.items())) or "none"
