"""Values changed in the text of a TOML file, which keeps its comments, its order and whatever else is in it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import tomli_w

from jptycho.errors import ConfigError
from jptycho.settings import Table

HEADER = re.compile(r"^\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(#.*)?$")


def read_text(path: Path) -> str:
    """The text of a file, its line ends as they are.

    Args:
        path: of the file.

    Returns:
        the text.
    """
    return path.read_bytes().decode("utf-8")


def write_text(path: Path, text: str) -> None:
    """Write a text, its line ends as they are.

    Args:
        path: of the file.
        text: of it.
    """
    path.write_bytes(text.encode("utf-8"))


def line_end(text: str) -> str:
    r"""How most lines of a text end.

    Args:
        text: of a file.

    Returns:
        ``"\n"`` or ``"\r\n"``.

    Example:
        >>> line_end("a\r\nb\r\nc\n") == "\r\n", line_end("") == "\n"
        (True, True)
    """
    return "\r\n" if 2 * text.count("\r\n") > text.count("\n") else "\n"


def with_values(text: str, table: str, values: Table, comments: Mapping[str, str] | None = None) -> str:
    """The text of a TOML file with some values of a table replaced or added.

    Args:
        text: of the file.
        table: whose values change; added at the end where there is none.
        values: by their keys.
        comments: behind them, in place of those that are there.

    Returns:
        the new text; every line that holds none of these keys is as it was.

    Raises:
        ConfigError: the table is written in a way that cannot be changed line by line.

    Example:
        >>> print(with_values("[data]  # mine\\nstep = 1.0  # Å, sure\\n", "data", {"step": 2.0, "energy": 3e5}))
        [data]  # mine
        step = 2.0  # Å, sure
        energy = 300000.0
        <BLANKLINE>
    """
    end = _before_break(text)
    before, body, after = _split(text + end, table, end)
    for name, value in values.items():
        body = _with_value(body, name, f"{name} = {_literal(value)}", (comments or {}).get(name), end)
    found = "\n".join([*before, *body, *after]).removesuffix("\r")
    _check(text, found, table, values)
    return found


def with_remarks(text: str, table: str, start: str, remarks: Sequence[str]) -> str:
    """The text of a TOML file with comments right below the header of a table, in place of those that begin alike.

    Args:
        text: of the file.
        table: below whose header they stand.
        start: of each of them, behind the sign.
        remarks: what follows.

    Returns:
        the new text.

    Example:
        >>> print(with_remarks("[data]\\n# unsure: a\\nstep = 1", "data", "unsure", ["b"]))
        [data]
        # unsure: b
        step = 1
    """
    end = _before_break(text)
    before, body, after = _split(text + end, table, end)
    gone = {number for number in _starts(body) if body[number].startswith(f"# {start}: ")}
    kept = [line for number, line in enumerate(body) if number not in gone]
    added = (f"# {start}: {remark}{end}" for remark in remarks)
    found = "\n".join([*before, *added, *kept, *after]).removesuffix("\r")
    _check(text, found, table, {})
    return found


def _before_break(text: str) -> str:
    """What stands before a line's break in a text, and so at the end of a line that is added."""
    return line_end(text)[:-1]


def _split(text: str, table: str, end: str) -> tuple[list[str], list[str], list[str]]:
    """The lines up to the header of a table, which is added at the end where there is none; of the table; and below."""
    lines = text.split("\n")
    headers = list(_headers(lines))
    start = next((n for n, name in headers if name == table and not lines[n].lstrip().startswith("[[")), None)
    if start is None:
        while lines and not lines[-1].strip():
            lines.pop()
        return [*lines, end, f"[{table}]{end}"], [], [""]
    stop = next((n for n, _ in headers if n > start), len(lines))
    return lines[: start + 1], lines[start + 1 : stop], lines[stop:]


def _headers(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Numbers of the lines that begin a table, and its name."""
    for number in _starts(lines):
        if found := HEADER.match(lines[number]):
            yield number, found[1]


def _starts(lines: list[str]) -> Iterator[int]:
    """Numbers of the lines that do not go on with a value."""
    number = 0
    while number < len(lines):
        yield number
        if "=" in lines[number] and not lines[number].lstrip().startswith(("#", "[")):
            number = _last_line(lines, number)
        number += 1


def with_paths(text: str, source: Path, target: Path) -> str:
    """The text of a configuration whose paths begin at another folder, and lead where they led.

    Args:
        text: of the configuration.
        source: where it is read from.
        target: where it will be written.

    Returns:
        the new text; that of the output stays as it is, beside the configuration.
    """
    from jptycho.config.run import PATHS  # noqa: PLC0415

    before, after = source.resolve().parent, target.resolve().parent
    if before == after:
        return text
    values = tomllib.loads(text)
    for table, key, _ in PATHS:
        said = values.get(table, {}).get(key)
        if isinstance(said, str) and table != "output":
            text = with_values(text, table, {key: os.path.relpath(before / said, after)})
    return text


def _literal(value: object) -> str:
    """A value in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_literal(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return tomli_w.dumps({"x": value}).strip().split(" = ", 1)[1]


def _with_value(body: list[str], name: str, assigned: str, comment: str | None, end: str) -> list[str]:
    """The lines of a table with one value replaced, or added behind the last."""
    assigned += f"  # {comment}" if comment else ""
    for first in _starts(body):
        line = body[first]
        if re.match(rf"""^\s*(["']?){re.escape(name)}\1\s*=""", line):
            last = _last_line(body, first)
            kept = "" if comment else _comment(body[first : last + 1])
            return [*body[:first], assigned + kept + end, *body[last + 1 :]]
    # Comments at the end belong to the table that follows.
    last = max((n for n, line in enumerate(body) if line.strip() and not line.lstrip().startswith("#")), default=-1)
    return [*body[: last + 1], assigned + end, *body[last + 1 :]]


def _last_line(body: list[str], first: int) -> int:
    """The line on which a value ends."""
    for last in range(first, len(body)):
        if _parses("\n".join(body[first : last + 1])):
            return last
    return first


def _comment(lines: list[str]) -> str:
    """What follows a value on its last line."""
    whole = "\n".join(lines).removesuffix("\r")
    for place, letter in enumerate(whole):
        if letter == "#" and _parses(whole[:place]):
            return "  " + whole[place:]
    return ""


def _parses(text: str) -> bool:
    try:
        tomllib.loads(text.removesuffix("\r"))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _check(before: str, after: str, table: str, values: Table) -> None:
    """Refuse a change that is not the one that was meant, such as of a table in one line."""
    wanted = tomllib.loads(before)
    try:
        inner = wanted
        for part in table.split("."):
            inner = inner.setdefault(part, {})
        inner.update(tomllib.loads(tomli_w.dumps(values)))
        right = tomllib.loads(after) == wanted
    except (tomllib.TOMLDecodeError, AttributeError):
        right = False
    if not right:
        lines = "; ".join(f"{name} = {_literal(value)}" for name, value in values.items())
        raise ConfigError(
            f"[{table}]: cannot be changed line by line. Write it as a table of its own, and add: {lines}"
        )
