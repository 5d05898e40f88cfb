"""whose a chat is"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chat", sa.Column("owner", sa.String(), nullable=False, server_default=sa.text("''")))
    # In place of the old one: a start changes as many as before.
    op.create_index("chat_by_owner", "chat", ["owner", "pinned", "updated_at", "id"])
    op.drop_index("ix_chat_updated_at", "chat")


def downgrade() -> None:
    op.create_index("ix_chat_updated_at", "chat", ["updated_at"])
    op.drop_index("chat_by_owner", "chat")
    op.drop_column("chat", "owner")
