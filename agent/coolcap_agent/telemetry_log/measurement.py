"""What a measurement of the log is: its tags, and its fields with unit and kind."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a field behaves over time."""

    GAUGE = "gauge"
    """A value at an instant."""
    COUNTER = "counter"
    """Only rises; starts anew when the controller or the meter does."""
    STATE = "state"
    """A code or a yes (1) or no (0)."""
    TEXT = "text"
    """A sentence for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a measurement."""

    name: str
    unit: str
    kind: Kind
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement: a table of the database."""

    name: str
    tags: tuple[str, ...]
    fields: tuple[Field, ...]
    meaning: str

    @property
    def field_names(self) -> tuple[str, ...]:
        """Return the names of the fields, in order."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> Field:
        """Return a field by name; raises KeyError with the names there are."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field {name!r}, only {', '.join(self.field_names)}")
