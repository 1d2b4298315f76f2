"""What tells the engine families apart, for the operator: each difference has its home here.

The CRDs say the same in CEL where they can. A target group doesn't know its proxy's family, so what
depends on it there is said here alone.
"""

from dataclasses import dataclass
from typing import Literal

EngineFamily = Literal["POSTGRESQL", "MYSQL"]
# As RDS names them: the product, and what it calls its way to log in. RDS has none for MariaDB's
# own, whose name on the wire is client_ed25519.
PasswordAuthType = Literal[
    "POSTGRES_SCRAM_SHA_256",
    "POSTGRES_MD5",
    "MYSQL_CACHING_SHA2_PASSWORD",
    "MYSQL_NATIVE_PASSWORD",
    "MARIADB_CLIENT_ED25519",
]


@dataclass(frozen=True)
class Family:
    """`products` as people call them, `protocol` as IANA does; `auth_types`: how clients may prove
    a password, the default first; `one_database`: that is all that a connection serves."""

    name: EngineFamily
    products: str
    protocol: str
    port: int
    auth_types: tuple[PasswordAuthType, ...]
    longest_user: int
    counts: Literal["bytes", "characters"]
    one_database: bool

    def auth_type(self, chosen: object) -> PasswordAuthType:
        """That one, if it is of the family; else the default."""
        return next((one for one in self.auth_types if one == chosen), self.auth_types[0])

    def takes_user(self, name: str) -> bool:
        """Whether there is a server of the family that can have a user of that name."""
        return len(name.encode() if self.counts == "bytes" else name) <= self.longest_user


FAMILIES: dict[EngineFamily, Family] = {
    "POSTGRESQL": Family(
        name="POSTGRESQL",
        products="PostgreSQL",
        protocol="postgresql",
        port=5432,
        auth_types=("POSTGRES_SCRAM_SHA_256", "POSTGRES_MD5"),
        # NAMEDATALEN less one: it would cut off the rest.
        longest_user=63,
        counts="bytes",
        one_database=True,
    ),
    "MYSQL": Family(
        name="MYSQL",
        products="MySQL or MariaDB",
        protocol="mysql",
        port=3306,
        auth_types=(
            "MYSQL_CACHING_SHA2_PASSWORD",
            "MYSQL_NATIVE_PASSWORD",
            "MARIADB_CLIENT_ED25519",
        ),
        # MariaDB's; MySQL has 32, and says so itself at the log-in.
        longest_user=128,
        counts="characters",
        one_database=False,
    ),
}
