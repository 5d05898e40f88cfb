"""thumbs with a remark have an index: of those without there are many more"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

RATED, REMARKED = sa.text("rating <> 0"), sa.text("remark <> ''")


def upgrade() -> None:
    op.create_index("remarked", "message", ["id"], sqlite_where=REMARKED, postgresql_where=REMARKED)
    op.drop_index("rated", "message")


def downgrade() -> None:
    op.create_index("rated", "message", ["id"], sqlite_where=RATED, postgresql_where=RATED)
    op.drop_index("remarked", "message")
