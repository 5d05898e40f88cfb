"""chats and messages"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# In this one and the next, what is there already stays: migrations were not transactions once, and databases are about
# in which one was cut off in its middle.


def upgrade() -> None:
    op.create_table(
        "chat",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_chat_updated_at", "chat", ["updated_at"], if_not_exists=True)
    op.create_table(
        "message",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("chat_id", sa.String(), sa.ForeignKey("chat.id", ondelete="CASCADE"), nullable=False),
        sa.Column("parent_id", sa.String(), sa.ForeignKey("message.id", ondelete="CASCADE"), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("reasoning", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("finish_reason", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("usage", sa.JSON(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("first_token_ms", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint("idempotency_key", name="uq_message_idempotency_key"),
        if_not_exists=True,
    )
    op.create_index("ix_message_parent_id", "message", ["parent_id"], if_not_exists=True)
    op.create_index("message_by_chat", "message", ["chat_id", "id"], if_not_exists=True)
    streaming = sa.text("status = 'streaming'")
    op.create_index(
        "one_running_turn",
        "message",
        ["chat_id"],
        unique=True,
        sqlite_where=streaming,
        postgresql_where=streaming,
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("message")
    op.drop_table("chat")
