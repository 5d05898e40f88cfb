"""All tables that the models describe; tests may have tables of their own beside them."""

from sqlalchemy import MetaData
from sqlmodel import SQLModel

from chat_app import models


def tables_of_models() -> MetaData:
    tables = MetaData()
    for model in vars(models).values():
        if isinstance(model, type) and issubclass(model, SQLModel) and hasattr(model, "__table__"):
            model.__table__.to_metadata(tables)
    return tables
