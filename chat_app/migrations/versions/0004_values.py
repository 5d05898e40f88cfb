"""what agents keep for a chat, and what came with a question beside its text"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chat_values",
        sa.Column("chat_id", sa.String(), sa.ForeignKey("chat.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("data", sa.JSON(), nullable=False),
    )
    op.create_table(
        "request",
        sa.Column("message_id", sa.String(), sa.ForeignKey("message.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("given", sa.JSON(), nullable=True),
        sa.Column("digest", sa.String(), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("request")
    op.drop_table("chat_values")
