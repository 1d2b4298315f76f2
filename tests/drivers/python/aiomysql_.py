"""aiomysql with its pool."""

import asyncio

import aiomysql
from mysql_asyncio import work

asyncio.run(
    work(
        f"aiomysql {aiomysql.__version__}",
        aiomysql,
        aiomysql.ProgrammingError,
        aiomysql.SSCursor,
    )
)
