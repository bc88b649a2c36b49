"""Keys of the ``[data]`` table as options of a command."""

from __future__ import annotations

import tomllib

from jptycho.data.readers.options import DataSettings
from jptycho.errors import ConfigError, nearest_name
from jptycho.settings import Table

NAMES = tuple(name for name in DataSettings.model_fields if name != "file")


def data_options(arguments: list[str]) -> tuple[str | None, Table]:
    """A file and options such as ``--energy 300e3 --scan-shape 25,25``, from what a command was given besides its own.

    Args:
        arguments: words of the command line; a switch such as ``--transpose`` needs no value.

    Returns:
        the file, None where there is none; keys of ``[data]`` and values.

    Raises:
        ConfigError: no such key, a key without its value, or a second file.

    Example:
        >>> data_options(["--energy", "300e3", "scan.h5", "--scan-shape=4,8", "--counts", "entry/data"])
        ('scan.h5', {'energy': 300000.0, 'scan_shape': [4, 8], 'counts': 'entry/data'})
    """
    file, found = None, {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") and file is None:
            file = word
            continue
        if not word.startswith("--"):
            raise ConfigError(f"{word}: unexpected after {file}. Give one file; options begin with --.")
        option, given, value = word[2:].partition("=")
        name = option.replace("-", "_")
        if name not in NAMES:
            raise ConfigError(f"--{option}: unknown option.{nearest_name(name, NAMES)}")
        if not given and DataSettings.model_fields[name].annotation == bool | None:
            value = rest.pop(0) if rest and rest[0] in ("true", "false") else "true"
        elif not given:
            if not rest:
                raise ConfigError(f"--{option}: has no value; expected {DataSettings.model_fields[name].description}.")
            value = rest.pop(0)
        found[name] = _value(value)
    return file, found


def _value(text: str) -> object:
    """What a word stands for: a number, true or false, numbers between commas; else the word itself."""
    try:
        parsed = tomllib.loads(f"value = [{text}]")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return parsed[0] if len(parsed) == 1 else parsed
