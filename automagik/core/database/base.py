"""What every table shares: naming of constraints, key type and time type."""

from datetime import date, datetime
from inspect import get_annotations
from types import NoneType
from typing import Any, ClassVar, get_args
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem
from uuid_utils.compat import uuid7

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# Instants are timestamptz, documents are JSONB.
_TYPES: dict[Any, Any] = {
    bool: Boolean(),
    int: Integer(),
    float: Float(),
    str: Text(),
    UUID: Uuid(),
    date: Date(),
    datetime: DateTime(timezone=True),
    list[str]: ARRAY(Text()),
    list[Any]: JSONB(none_as_null=True),
    dict[str, Any]: JSONB(none_as_null=True),
}


class Base:
    """A table: each annotation of the class is a column.

    They say ColumnClause, as for a type checker a Column is no attribute of a class. SQLAlchemy's
    mapper is left out, as no row becomes an object of such a class: to import it and to set it up
    takes 100 ms of every command's start, and 8 MB in every process.
    """

    __tablename__: ClassVar[str]
    __table_args__: ClassVar[tuple[SchemaItem, ...]] = ()
    __table__: ClassVar[Table]
    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)

    def __init_subclass__(cls) -> None:
        columns = [_column(cls, *each) for each in get_annotations(cls).items()]
        cls.__table__ = Table(cls.__tablename__, cls.metadata, *columns, *cls.__table_args__)
        for each in columns:
            setattr(cls, each.key, each)

    @classmethod
    def __clause_element__(cls) -> Table:
        """Lets the class stand for its table in statements."""
        return cls.__table__


def column(*items: SchemaItem, **options: Any) -> Any:
    """What there is to say of a column beside its annotation, in the words of Column."""
    return items, options


def new_id() -> UUID:
    """A UUIDv7: they sort by creation."""
    return uuid7()


def _column(row: type[Base], name: str, annotation: Any) -> Column[Any]:
    (said,) = get_args(annotation)
    kinds = get_args(said) if NoneType in get_args(said) else (said,)
    known = {"type_": _TYPES[kinds[0]], "nullable": NoneType in kinds}
    items, options = getattr(row, name, ((), {}))
    return Column(name, *items, **known | options)
