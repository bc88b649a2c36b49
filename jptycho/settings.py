"""Strict tables of settings: unknown keys are refused, each key has a unit, and TOML goes both ways."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from jptycho.errors import ConfigError, FormatError, nearest_name


def _pair(value: Any) -> Any:
    """One number stands for both axes."""
    return (value, value) if isinstance(value, int | float) else value


Pair = Annotated[tuple[float, float], BeforeValidator(_pair)]
Positive = Annotated[float, Field(gt=0)]
PositivePair = Annotated[tuple[Positive, Positive], BeforeValidator(_pair)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=0.5)]


S = TypeVar("S", bound="Section")
NOTHING: Mapping[str, str] = MappingProxyType({})


class Section(BaseModel):
    """A table of the TOML file: unknown keys are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: of the file.

    Returns:
        its tables.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise FormatError(f"configuration: cannot read {str(path)!r} ({error.strerror}). Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration: {str(path)!r} is not TOML: {error}.") from None


def parse(model: type[S], values: dict[str, Any], renamed: Mapping[str, str] = NOTHING) -> S:
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
    if problem["type"] == "value_error":
        return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['ctx']['error']}"
    where = [str(part) for part in problem["loc"] if not str(part).startswith("function-")]
    path = ".".join(part for part in where if not part.startswith(("float", "int", "literal[", "constrained-")))
    if problem["type"] == "extra_forbidden":
        section = model
        for part in where[:-1]:
            annotation = section.model_fields[part].annotation
            section = annotation if isinstance(annotation, type) else section
        if path in renamed:
            return f"{path}: renamed to {renamed[path]}. Use that name."
        return f"{path}: unknown key.{nearest_name(where[-1], section.model_fields)}"
    if problem["type"] == "missing":
        return f"{path}: missing; expected {_describe(model, where)}. Add it to the configuration."
    expected = problem["msg"].replace("Input should be", "expected")
    return f"{path}: {expected}, found {problem['input']!r}. It means: {_describe(model, where)}."


def _describe(model: type[Section], where: list[str]) -> str:
    field = None
    for part in where:
        if part not in model.model_fields:
            break
        field = model.model_fields[part]
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            model = field.annotation
    return (field.description if field else None) or (model.__doc__ or "").strip()


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
        elif value is None:
            plain.append(f"# {name} =  # {field.description}")
        else:
            line = tomli_w.dumps({name: list(value) if isinstance(value, tuple) else value}).strip()
            plain.append(f"{_one_line(line, name, value)}  # {field.description}")
    return "\n".join([*plain, *tables]) + ("\n" if plain else "")


def _one_line(line: str, name: str, value: Any) -> str:
    """tomli_w spreads arrays and tables over lines; a comment needs one."""
    if isinstance(value, tuple):
        return f"{name} = [{', '.join(repr(v) for v in value)}]"
    if isinstance(value, dict):
        return f"{name} = {{ {', '.join(f'{k} = {v!r}' for k, v in value.items())} }}" if value else f"{name} = {{}}"
    return line
