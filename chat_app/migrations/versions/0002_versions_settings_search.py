"""versions, settings and trash of a chat, ratings, full-text search"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# SQLite. The index holds words only and reads the text through a view, so nothing is stored twice. Its row ids come
# from a table of their own: those of `message` are not declared, and VACUUM may change them. Letters without case (CJK,
# but also Arabic, Thai, …) separate words: most of their scripts have no word breaks, so they are searched with LIKE.
SQLITE = [
    "CREATE TABLE IF NOT EXISTS {table}_fts_id (id INTEGER PRIMARY KEY, {table}_id VARCHAR NOT NULL UNIQUE)",
    """CREATE VIEW IF NOT EXISTS {table}_fts_text AS
        SELECT ids.id, source.{column} FROM {table}_fts_id AS ids
        JOIN {table} AS source ON source.id = ids.{table}_id""",
    """CREATE VIRTUAL TABLE IF NOT EXISTS {table}_fts USING fts5(
        {column}, content='{table}_fts_text', content_rowid='id',
        tokenize="unicode61 remove_diacritics 2 categories 'Lu Ll Lt N* Co'"
    )""",
    "INSERT INTO {table}_fts_id ({table}_id) SELECT id FROM {table} AS new WHERE {ready_new} ORDER BY id",
    "INSERT INTO {table}_fts ({table}_fts) VALUES ('rebuild')",
    "CREATE TRIGGER {table}_fts_insert AFTER INSERT ON {table} WHEN {ready_new} BEGIN {add} END",
    """CREATE TRIGGER {table}_fts_before_update BEFORE UPDATE OF {watched} ON {table} WHEN {ready_old}
        BEGIN {remove} END""",
    "CREATE TRIGGER {table}_fts_after_update AFTER UPDATE OF {watched} ON {table} WHEN {ready_new} BEGIN {add} END",
    "CREATE TRIGGER {table}_fts_delete AFTER DELETE ON {table} WHEN {ready_old} BEGIN {remove} END",
]
ADD = """
    INSERT INTO {table}_fts_id ({table}_id) VALUES (new.id);
    INSERT INTO {table}_fts (rowid, {column})
        SELECT id, new.{column} FROM {table}_fts_id WHERE {table}_id = new.id;
"""
REMOVE = """
    INSERT INTO {table}_fts ({table}_fts, rowid, {column})
        SELECT 'delete', id, old.{column} FROM {table}_fts_id WHERE {table}_id = old.id;
    DELETE FROM {table}_fts_id WHERE {table}_id = old.id;
"""

# PostgreSQL. The same words: without accents, split at everything but digits and the letters of scripts with case. Only
# the first 200,000 characters: the words of a tsvector take at most a megabyte, and more is an error, which would keep
# an answer from being saved.
POSTGRESQL = [
    r"""CREATE FUNCTION search_words(body text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT to_tsvector('pg_catalog.simple', regexp_replace(
            regexp_replace(normalize(left(body, 200000), NFD), '[\u0300-\u036f]', '', 'g'),
            '[^0-9A-Za-z\u00c0-\u024f\u0370-\u058f\u1e00-\u1fff]+', ' ', 'g'
        ))
    $$""",
    "CREATE INDEX message_words ON message USING gin (search_words(content)) WHERE status <> 'streaming'",
    "CREATE INDEX chat_words ON chat USING gin (search_words(title))",
]


def upgrade() -> None:
    for column in (
        sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("named", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("leaf_id", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("system_prompt", sa.String(), nullable=True),
        sa.Column("temperature", sa.Float(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(), nullable=True),
    ):
        _add_column("chat", column)
    _add_column("message", sa.Column("rating", sa.Integer(), nullable=False, server_default=sa.text("0")))
    _add_column("message", sa.Column("remark", sa.String(), nullable=False, server_default=sa.text("''")))
    if op.get_bind().dialect.name == "sqlite":
        # A growing answer is indexed once, at its end: its checkpoints cost nothing.
        _index_in_sqlite("message", "content", "content, status", "{row}.status <> 'streaming'")
        _index_in_sqlite("chat", "title", "title", "true")
    else:
        for statement in POSTGRESQL:
            op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in ("message", "chat"):
            for trigger in ("insert", "before_update", "after_update", "delete"):
                op.execute(f"DROP TRIGGER {table}_fts_{trigger}")
            op.execute(f"DROP TABLE {table}_fts")
            op.execute(f"DROP VIEW {table}_fts_text")
            op.execute(f"DROP TABLE {table}_fts_id")
    else:
        op.execute("DROP INDEX message_words")
        op.execute("DROP INDEX chat_words")
        op.execute("DROP FUNCTION search_words")
    for name in ("rating", "remark"):
        op.drop_column("message", name)
    for name in ("pinned", "named", "leaf_id", "model", "system_prompt", "temperature", "deleted_at"):
        op.drop_column("chat", name)


def _add_column(table: str, column: sa.Column) -> None:
    if column.name not in [known["name"] for known in sa.inspect(op.get_bind()).get_columns(table)]:
        op.add_column(table, column)


def _index_in_sqlite(table: str, column: str, watched: str, ready: str) -> None:
    names = {"table": table, "column": column, "watched": watched}
    names |= {"ready_new": ready.format(row="new"), "ready_old": ready.format(row="old")}
    names |= {"add": ADD.format(**names), "remove": REMOVE.format(**names)}
    for statement in SQLITE:
        op.execute(statement.format(**names))
