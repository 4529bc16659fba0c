"""The tables of a ledger, and how version 1 (comet_magic 0.1) is read and brought to version 2.

Money is in micro-USD and moments are seconds since 1970, in every table of both versions.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .layout import FIRST_MOMENT, LAST_MOMENT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

VERSION = 2

_CALLS = """CREATE TABLE calls (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    vendor TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT,            -- NULL if prompts are not kept
    prompt_sha256 TEXT NOT NULL,
    request TEXT NOT NULL,  -- JSON object, without the prompt
    asked TEXT,             -- JSON object: the options as a person gave them, NULL if nothing was adapted
    copies TEXT NOT NULL,   -- JSON list of the copy index of each picture asked for
    parents TEXT,           -- JSON list: the keys of the calls whose pictures went in, NULL for none
    inputs TEXT,            -- JSON list of {role, sha256, mime}: files inputs/<ab>/<sha256>.<ext>, NULL for none
    state TEXT NOT NULL,    -- claimed, received, done, rejected, unknown or cancelled
    owner TEXT NOT NULL,    -- the token of the process that makes it
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    session TEXT NOT NULL,
    day TEXT NOT NULL,      -- of the local calendar
    created REAL NOT NULL,
    timeout REAL,           -- seconds for which its answer is awaited, NULL if unknown
    received REAL,
    ended REAL,
    seconds REAL,           -- from its claim to its end, by a clock that does not jump
    attempts INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER,       -- micro-USD, NULL if the price is unknown
    cost INTEGER,           -- micro-USD, NULL if it is unknown
    request_id TEXT,
    status INTEGER,
    usage TEXT,             -- JSON object
    error TEXT,             -- the name of the error's class
    code TEXT,
    message TEXT
)"""
_PICTURES = """CREATE TABLE pictures (
    key TEXT NOT NULL,
    copy INTEGER NOT NULL,
    call INTEGER NOT NULL REFERENCES calls (number),
    position INTEGER NOT NULL,
    url TEXT,               -- with its query only until the picture is here
    path TEXT,              -- NULL until the picture is here; '' if nothing is kept on disk
    mime TEXT,
    width INTEGER,
    height INTEGER,
    size INTEGER,           -- bytes
    sha256 TEXT,
    revised_prompt TEXT,
    unpasted TEXT,          -- unpasted/<ab>/<sha256>.<ext>: the bytes that came, if the picture is pasted
    starred REAL,           -- when, NULL if it is not
    PRIMARY KEY (key, copy)
) WITHOUT ROWID"""
_MONEY = """CREATE TABLE money (        -- micro-USD; always the sum over calls
    vendor TEXT NOT NULL,
    day TEXT NOT NULL,
    session TEXT NOT NULL,
    spent INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    uncertain INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (vendor, day, session)
) WITHOUT ROWID"""
_DECISIONS = """CREATE TABLE decisions (    -- of curation; the one with the highest number counts for a copy
    key TEXT NOT NULL,
    copy INTEGER NOT NULL,
    number INTEGER NOT NULL,    -- decisions made together share one, and are taken back together
    decision TEXT NOT NULL,     -- keep or reject
    reason TEXT,
    made REAL NOT NULL,
    PRIMARY KEY (key, copy, number)
) WITHOUT ROWID"""
_STAMP = """CREATE TABLE stamp (        -- one row, with another value after every change
    one INTEGER PRIMARY KEY,
    value INTEGER NOT NULL
)"""
_OPEN = "CREATE INDEX calls_open ON calls (state) WHERE state IN ('claimed', 'received', 'unknown')"
_OF_CALL = "CREATE INDEX pictures_call ON pictures (call, position)"
# which of them a picture that goes in may be: only those that are here and have as many bytes
_OF_SIZE = "CREATE INDEX pictures_size ON pictures (size) WHERE size IS NOT NULL"

# Views belong to a connection, never to the file: a view in a file could be a stranger's.
_SLOTS = """CREATE TEMP VIEW slots AS    -- every copy with its call; free: it may be given to a new call
SELECT p.*, c.id, c.state, c.owner, c.request_id, c.error, c.code, c.message,
    p.path IS NULL AND p.url IS NULL AND c.state NOT IN ('claimed', 'received', 'unknown') AS free
FROM pictures p JOIN calls c ON c.number = p.call
WHERE typeof(p.copy) = 'integer' AND typeof(p.position) = 'integer' AND (p.url IS NULL OR typeof(p.url) = 'text')"""
_KEPT = """CREATE TEMP VIEW kept AS     -- every picture that is here, with its share of the call's cost
SELECT p.*, c.id, c.request_id,
    c.cost / (SELECT COUNT(*) FROM pictures s WHERE s.call = p.call AND s.path IS NOT NULL) AS cost
FROM pictures p JOIN sound c ON c.number = p.call WHERE p.path IS NOT NULL AND {sound}"""

# A ledger of version 1, seen as one of version 2.
_AS_IF_NEW = (
    """CREATE TEMP VIEW calls AS SELECT *, NULL AS asked, NULL AS parents, NULL AS inputs, NULL AS seconds,
        NULL AS timeout FROM main.calls""",
    "CREATE TEMP VIEW pictures AS SELECT *, NULL AS unpasted, NULL AS starred FROM main.pictures",
    "CREATE TEMP VIEW decisions AS SELECT '' AS key, 0 AS copy, 0 AS number, '' AS decision, '' AS reason WHERE 0",
)
# nothing that was counted is known to hold
_NO_STAMP = "CREATE TEMP VIEW stamp AS SELECT 1 AS one, NULL AS value"


def _fingerprint(statements: Iterable[tuple[str, str, str]]) -> str:
    """The hash of everything that a file defines, by kind, name and statement."""
    return hashlib.sha256(repr(sorted(statements)).encode()).hexdigest()


_TABLES = {"calls": _CALLS, "pictures": _PICTURES, "money": _MONEY, "decisions": _DECISIONS}
_INDEXES = {"calls_open": _OPEN, "pictures_call": _OF_CALL}
_DEFINED = [
    (kind, name, statement)
    for kind, statements in (("table", _TABLES), ("index", _INDEXES))
    for name, statement in statements.items()
]
# What version 2 did not have at first, in the order in which it came; the first write adds it.
_ADDED = [("table", "stamp", _STAMP), ("index", "pictures_size", _OF_SIZE)]
# By version, the fingerprints of what is in the file: a stranger's view, trigger, column or check would be run.
_OURS = {
    0: (_fingerprint(()),),
    1: ("626d994ee0ed024c832842f4571d0ce740477fed24f7d6788a1e16c332e7487a",),
    2: tuple(_fingerprint([*_DEFINED, *_ADDED[:number]]) for number in range(len(_ADDED) + 1)),
}

# --- rows that may be a stranger's

_STATES = "'claimed', 'received', 'done', 'rejected', 'unknown', 'cancelled', 'over_budget'"
_MOST = 1 << 53  # micro-USD, and every other whole number


def _all(check: str, names: str) -> str:
    return " AND ".join(check.format(name=name) for name in names.split())


_WHOLE = f"({{name}} IS NULL OR (typeof({{name}}) = 'integer' AND {{name}} BETWEEN 0 AND {_MOST}))"
_MOMENTS = f"{FIRST_MOMENT} AND {LAST_MOMENT}"
_MOMENT = f"({{name}} IS NULL OR (typeof({{name}}) IN ('integer', 'real') AND {{name}} BETWEEN {_MOMENTS}))"
_TEXT = "typeof({name}) = 'text'"
_NO_TEXT = "({name} IS NULL OR typeof({name}) = 'text')"
_HEX = "length({name}) = {length} AND {name} NOT GLOB '*[^0-9a-f]*'"
_JSON = "({name} IS NULL OR CASE WHEN json_valid({name}) THEN json_type({name}) = '{kind}' ELSE 0 END)"

_IS_COUNTED = f"state IN ({_STATES}) AND {_all(_WHOLE, 'reserved cost')}"
_IS_CALL = " AND ".join(
    (
        _all(_TEXT, "id key vendor model prompt_sha256 request copies owner host session day state"),
        _all(_NO_TEXT, "prompt request_id error code message asked inputs parents usage"),
        _all(_WHOLE, "attempts status pid"),
        _all(_MOMENT, "created received ended seconds timeout"),
        _HEX.format(name="id", length=32),
        _HEX.format(name="key", length=64),
        *(_JSON.format(name=name, kind="object") for name in ("request", "asked", "usage")),
        *(_JSON.format(name=name, kind="array") for name in ("copies", "parents", "inputs")),
    )
)
IS_PICTURE = " AND ".join(
    (
        _all(_TEXT, "p.path p.sha256"),
        "p.mime IN ('image/png', 'image/jpeg', 'image/webp')",
        _all(_NO_TEXT, "p.revised_prompt p.unpasted"),
        _all(_WHOLE, "p.copy p.position p.width p.height p.size"),
        _HEX.format(name="p.sha256", length=64),
    )
)
_SOUND = f"CREATE TEMP VIEW sound AS SELECT * FROM calls WHERE {_IS_CALL}  -- the rows that are made as ours"  # noqa: S608
# What each call counts for: in flight its bound, uncertain its bound, settled its cost or else its bound.
SUMS = """SUM(CASE WHEN state IN ('claimed', 'received', 'unknown') THEN 0
        WHEN state = 'done' THEN COALESCE(cost, reserved, 0) ELSE COALESCE(cost, 0) END) AS spent,
    SUM(CASE WHEN state IN ('claimed', 'received') THEN COALESCE(reserved, 0) ELSE 0 END) AS reserved,
    SUM(CASE WHEN state = 'unknown' THEN COALESCE(reserved, 0) ELSE 0 END) AS uncertain,
    SUM(state IN ('claimed', 'received', 'unknown', 'done', 'rejected')) AS calls,
    SUM(reserved IS NULL AND (state = 'unknown' OR (state = 'done' AND cost IS NULL))) AS unpriced"""
_SUMS = f"SELECT vendor, day, session, {SUMS} FROM calls GROUP BY vendor, day, session"  # noqa: S608 - our own


def ready_to_read(connection: sqlite3.Connection, path: str) -> bool:
    """Prepare a connection for questions: version 1 looks like version 2; False if there are no tables yet.

    The money of its calls is not looked at: `refuse_false_money` does that.

    Raises:
        ConfigurationError: the ledger is newer than this, or not one of ours.
    """
    version = _checked_version(connection, path)
    connection.execute("PRAGMA temp_store = MEMORY")
    if version == 1:
        for statement in _AS_IF_NEW:
            connection.execute(statement)
    if version:
        if not _has(connection, "stamp"):
            connection.execute(_NO_STAMP)
        connection.execute(f"CREATE TEMP VIEW money AS {_SUMS}")
        _make_views(connection)
    return version > 0


def ready_to_write(connection: sqlite3.Connection, path: str) -> None:
    """Prepare a connection for writing: tables are made, or brought to version 2, in one transaction.

    Raises:
        ConfigurationError: the ledger is newer than this, or not one of ours.
    """
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA secure_delete = ON")  # signed addresses are gone when they are deleted
    if _checked_version(connection, path) < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _checked_version(connection, path)  # another process may have been quicker
            if version < VERSION:
                _bring_up(connection, version)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    refuse_false_money(connection, path)
    _complete(connection)
    _make_views(connection)


def _checked_version(connection: sqlite3.Connection, path: str) -> int:
    # In one statement, because another process may be making the tables just now.
    rows = connection.execute(
        "SELECT user_version, type, name, sql FROM pragma_user_version LEFT JOIN sqlite_master"
        " ON (type != 'index' OR name NOT LIKE 'sqlite_autoindex_%') AND name NOT GLOB 'sqlite_stat[0-9]' LIMIT 100"
    ).fetchall()
    version = int(rows[0][0])
    found = _fingerprint((str(kind), str(name), str(sql)) for _, kind, name, sql in rows if kind)
    if version > VERSION:
        raise ConfigurationError(
            f"the archive {path} was written by a newer comet_magic",
            hint="Upgrade with: pip install -U comet-magic; or name another folder for the archive.",
        )
    if found not in _OURS.get(version, ()):
        raise ConfigurationError(f"{path} is not a ledger of comet_magic", hint="Name another folder.")
    return version


def _has(connection: sqlite3.Connection, name: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None


def refuse_false_money(connection: sqlite3.Connection, path: str) -> None:
    """Refuse amounts that are none, such as -1, 1e300 or a text: a limit that counts them would hold nothing.

    Raises:
        ConfigurationError: there are some.
    """
    bad = connection.execute(f"SELECT 1 FROM calls WHERE NOT ({_IS_COUNTED}) LIMIT 1").fetchone()  # noqa: S608 - our own
    if bad:
        raise ConfigurationError(
            f"{path} is not a ledger of comet_magic: it counts money that cannot be",
            hint="Move it away: it is made again from the receipts. Or name another folder.",
        )


def _complete(connection: sqlite3.Connection) -> None:
    """Add what version 2 did not have at first, and make the sums those of the calls.

    The sums and the stamp are believed only from here on.
    """
    kept = "SELECT vendor, day, session, spent, reserved, uncertain, calls, unpriced FROM money"
    connection.execute("BEGIN IMMEDIATE")
    try:
        for _, name, statement in _ADDED:
            if not _has(connection, name):
                connection.execute(statement)
        if set(connection.execute(kept)) != set(connection.execute(_SUMS)):
            connection.execute("DELETE FROM money")
            connection.execute(f"INSERT INTO money {_SUMS}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_views(connection: sqlite3.Connection) -> None:
    connection.execute(_SOUND)
    connection.execute(_SLOTS)
    connection.execute(_KEPT.format(sound=IS_PICTURE))


def _bring_up(connection: sqlite3.Connection, version: int) -> None:
    if version == 1:
        for statement in (
            *("DROP VIEW slots", "DROP VIEW kept"),
            *("DROP INDEX IF EXISTS calls_open", "DROP INDEX IF EXISTS pictures_call"),
            "ALTER TABLE calls RENAME TO former_calls",
            "ALTER TABLE pictures RENAME TO former_pictures",
        ):
            connection.execute(statement)
    else:
        connection.execute(_MONEY)
    for statement in (_CALLS, _PICTURES, _DECISIONS, _OPEN, _OF_CALL):
        connection.execute(statement)
    for table in ("calls", "pictures") if version == 1 else ():
        query = f"SELECT name FROM pragma_table_info('former_{table}') WHERE name != 'run'"  # noqa: S608 - our own names
        columns = ", ".join(name for (name,) in connection.execute(query))
        connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM former_{table}")  # noqa: S608
    # What there was no money for was never sent.
    connection.execute("UPDATE calls SET state = 'cancelled' WHERE state = 'over_budget'")
    for table in ("pictures", "calls"):
        connection.execute(f"DROP TABLE IF EXISTS former_{table}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
