"""What tells the engine families apart in the configuration; `settings` checks by it, the planner
names ways to log in by it as the engines do."""

from __future__ import annotations

from typing import Literal

EngineFamily = Literal["POSTGRESQL", "MYSQL"]
PasswordAuthType = Literal[
    "POSTGRES_SCRAM_SHA_256",
    "POSTGRES_MD5",
    "MYSQL_CACHING_SHA2_PASSWORD",
    "MYSQL_NATIVE_PASSWORD",
    "MARIADB_CLIENT_ED25519",
]
Method = Literal[
    "SCRAM_SHA_256", "MD5", "CACHING_SHA2_PASSWORD", "MYSQL_NATIVE_PASSWORD", "CLIENT_ED25519"
]

# Each with what the family's engine calls it; the first is for who chose none.
METHODS: dict[EngineFamily, dict[PasswordAuthType, Method]] = {
    "POSTGRESQL": {
        "POSTGRES_SCRAM_SHA_256": "SCRAM_SHA_256",
        "POSTGRES_MD5": "MD5",
    },
    "MYSQL": {
        "MYSQL_CACHING_SHA2_PASSWORD": "CACHING_SHA2_PASSWORD",
        "MYSQL_NATIVE_PASSWORD": "MYSQL_NATIVE_PASSWORD",
        "MARIADB_CLIENT_ED25519": "CLIENT_ED25519",
    },
}


def method_of(family: EngineFamily, chosen: PasswordAuthType | None) -> Method:
    """KeyError if it is another family's, which no configuration in force has
    (`settings.pair_faults`)."""
    methods = METHODS[family]
    return next(iter(methods.values())) if chosen is None else methods[chosen]


def auth_type_fault(family: EngineFamily, chosen: PasswordAuthType | None) -> str | None:
    """Why that is none of the family's, if so."""
    if chosen is None or chosen in METHODS[family]:
        return None
    return f"is {chosen}, and engineFamily {family} has {', '.join(METHODS[family])}"


def database_limit_fault(family: EngineFamily, limit: int | None) -> str | None:
    """Why there can be no such limit on the connections to one database, if so."""
    if limit is None or family != "MYSQL":
        return None
    return "is not for engineFamily MYSQL, where a connection serves all databases"
