"""Strict tables of settings: unknown keys are refused, each key has a unit, and TOML goes both ways."""

from __future__ import annotations

import reprlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo

from jptycho.errors import ConfigError, FormatError, nearest_name

__all__ = [
    "AUTO",
    "Count",
    "CountOrNone",
    "Field",
    "NotNegative",
    "Pair",
    "Positive",
    "PositivePair",
    "Section",
    "Share",
    "Table",
    "field_validator",
    "load_toml",
    "parse",
    "to_toml",
]

Table = dict[str, Any]
"""Names and values of any kind, as a file has them."""


def _pair(value: Any) -> Any:
    """One number stands for both axes."""
    return (value, value) if isinstance(value, int | float) else value


Pair = Annotated[tuple[float, float], BeforeValidator(_pair)]
Positive = Annotated[float, Field(gt=0)]
PositivePair = Annotated[tuple[Positive, Positive], BeforeValidator(_pair)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=0.5)]


AUTO: Literal["auto"] = "auto"
"""What a run chooses by itself from the scan."""
S = TypeVar("S", bound="Section")
NOTHING: Mapping[str, str] = MappingProxyType({})


class Section(BaseModel):
    """A table of the TOML file: unknown keys are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def load_toml(path: Path) -> Table:
    """Read a TOML file.

    Args:
        path: of the file.

    Returns:
        its tables.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"configuration: cannot read {str(path)!r} ({error.strerror}). Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration: {str(path)!r} is not TOML: {error}.") from None


def parse(model: type[S], values: Table, renamed: Mapping[str, str] = NOTHING) -> S:
    """Check values against a section.

    Args:
        model: the section's class.
        values: tables and keys.
        renamed: what earlier keys and tables, with the names of their tables, are called now.

    Returns:
        an instance.

    Raises:
        ConfigError: the first thing that is wrong: key, what was expected, what was found, what to do.

    Example:
        >>> class Scan(Section):
        ...     dose: Positive = 500.0
        >>> parse(Scan, {"dsoe": 100})
        Traceback (most recent call last):
        jptycho.errors.ConfigError: dsoe: unknown key. Did you mean 'dose'?
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(model, error.errors()[0], renamed)) from None


def _explain(model: type[Section], problem: Any, renamed: Mapping[str, str]) -> str:
    # Tables of a list are counted from one.
    where = [part + 1 if isinstance(part, int) else part for part in problem["loc"]]
    where = [str(part) for part in where if not str(part).startswith("function-")]
    path = ".".join(part for part in where if not part.startswith(("float", "int", "literal[", "constrained-")))
    if problem["type"] == "value_error":
        return f"{path}: {problem['ctx']['error']}"
    if problem["type"] == "extra_forbidden":
        section, _ = _found(model, where[:-1])
        if path in renamed:
            return f"{path}: renamed to {renamed[path]}. Use that name."
        return f"{path}: unknown key.{nearest_name(where[-1], section.model_fields)}"
    section, field = _found(model, where)
    meaning = (field.description if field else None) or (section.__doc__ or "").strip()
    if problem["type"] == "missing":
        return f"{path}: missing; expected {meaning}. Add it to the configuration."
    expected = problem["msg"].replace("Input should be", "expected")
    return f"{path}: {expected}, found {reprlib.repr(problem['input'])}. It means: {meaning}."


def _found(model: type[Section], where: list[str]) -> tuple[type[Section], FieldInfo | None]:
    """The innermost section on a path, and the last field on it that is known."""
    field = None
    for part in where:
        if part in model.model_fields:
            field = model.model_fields[part]
            inside = (field.annotation, *get_args(field.annotation))
            model = next((one for one in inside if isinstance(one, type) and issubclass(one, Section)), model)
    return model, field


def to_toml(config: Section, table: str = "") -> str:
    """The complete effective configuration as TOML, each key with its meaning and unit as a comment.

    Args:
        config: any section.
        table: that it is, with a dot at its end; none for the whole configuration.

    Returns:
        text that :func:`parse` reads back to equal settings.

    Example:
        >>> class Scan(Section):
        ...     step: Positive = Field(1.5, description="Å")
        >>> to_toml(Scan())
        'step = 1.5  # Å\\n'
    """
    plain, tables = [], []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Section):
            tables.append(f"\n[{table}{name}]\n{to_toml(value, f'{table}{name}.')}")
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            tables += [f"\n[[{table}{name}]]\n{to_toml(one, f'{table}{name}.')}" for one in value]
        elif value is None:
            plain.append(f"# {name} =  # {field.description}")
        else:
            plain.append(f"{name} = {_inline(value)}  # {field.description}")
    return "\n".join([*plain, *tables]) + ("\n" if plain else "")


def _inline(value: Any) -> str:
    """A value on one line, over which tomli_w spreads arrays and tables: what follows is a comment."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_inline(one) for one in value)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(name)} = {_inline(one)}" for name, one in value.items())
        return f"{{ {pairs} }}" if value else "{}"
    return tomli_w.dumps({"value": value}).strip().removeprefix("value = ")


def _key(name: str) -> str:
    """A key as TOML writes it, quoted where it must be."""
    return tomli_w.dumps({name: 0}).strip().removesuffix(" = 0")
