"""how answers came to people, added up by the hour, and what people say of it"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

RATED = sa.text("rating <> 0")


def upgrade() -> None:
    op.create_table(
        "measure",
        sa.Column("turn_id", sa.String(), primary_key=True),
        sa.Column("person", sa.String(), primary_key=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("door", sa.String(), nullable=False),
        sa.Column("streams", sa.Boolean(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("resumed", sa.Integer(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("own_ms", sa.Integer(), nullable=True),
        sa.Column("first_ms", sa.Integer(), nullable=True),
        sa.Column("lag_ms", sa.Integer(), nullable=True),
        sa.Column("gap_ms", sa.Integer(), nullable=True),
    )
    op.create_index("measure_by_person", "measure", ["person"])
    op.create_table(
        "hour",
        sa.Column("start", sa.DateTime(), primary_key=True),
        sa.Column("recipe", sa.String(), nullable=False),
        sa.Column("sums", sa.JSON(), nullable=False),
    )
    op.create_table(
        "survey",
        sa.Column("person", sa.String(), primary_key=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("streams", sa.Boolean(), nullable=False),
        sa.Column("feel", sa.Integer(), nullable=False),
        sa.Column("remark", sa.String(), nullable=False),
    )
    op.create_index("rated", "message", ["id"], sqlite_where=RATED, postgresql_where=RATED)


def downgrade() -> None:
    op.drop_index("rated", "message")
    for table in ("survey", "hour", "measure"):
        op.drop_table(table)
