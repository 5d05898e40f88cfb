"""how many messages come before each one"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FILL = """
WITH RECURSIVE placed(id, depth) AS (
    SELECT id, 0 FROM message WHERE parent_id IS NULL
    UNION ALL
    SELECT message.id, placed.depth + 1 FROM message JOIN placed ON message.parent_id = placed.id
)
UPDATE message SET depth = placed.depth FROM placed WHERE placed.id = message.id
"""


def upgrade() -> None:
    op.add_column("message", sa.Column("depth", sa.Integer(), nullable=False, server_default="0"))
    op.execute(FILL)


def downgrade() -> None:
    op.drop_column("message", "depth")
