"""Reads docs/protocol.md as tests do: the fenced blocks and tables that it calls exact.

A fenced block is told by its first line. `struct MODULE` lists structs: a line `Name` or
`Name #tag` and, indented, one line per field with its name, its type and, behind two spaces, words
for people. `enum MODULE.Name` lists every member of an enum as number, name and words.
`tests/vectors/FILE` prints golden vectors: `name = digits`, the digits perhaps on indented lines.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from msgspec import inspect

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "protocol.md"

_FENCED = re.compile(r"^```(?:text)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VECTOR = re.compile(r"^(\S[^=\n]*?) =((?: .*|\n {2}.*)+)", re.MULTILINE)
_AS_TEXT = " (as text)"
_LIMIT = re.compile(r"^\| `([\w.]+)` \| `([\w.]+)` \| ([^|]+) \|", re.MULTILINE)
_LABEL = re.compile(r"^\| `([a-z0-9/ -]+)` \| (?:H|KDF|HMAC|fr)\b", re.MULTILINE)
_UNITS = {
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
    "ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400,
}  # fmt: skip
_INTEGERS = {0xFF: "u8", 0xFFFF: "u16", 0xFFFF_FFFF: "u32", 0x7FFF_FFFF_FFFF_FFFF: "u63"}


@dataclass(frozen=True)
class DescribedStruct:
    """A struct as the document lists it; `heading` is its name and tag, fields are (name, type)."""

    module: str
    heading: str
    fields: tuple[tuple[str, str], ...]

    @property
    def type(self) -> Any:
        """The struct of that name in the code; a leading underscore is no part of the format."""
        name = self.heading.partition(" ")[0]
        module = importlib.import_module(self.module)
        return getattr(module, name, None) or getattr(module, "_" + name)


@dataclass(frozen=True)
class Vector:
    """A golden vector as the document prints it; `data` is the text itself for one `(as text)`."""

    file: str
    name: str
    data: bytes


@dataclass(frozen=True)
class Limit:
    """A limit as the document lists it; the value is in bytes, seconds or a plain number."""

    name: str
    module: str
    value: float

    def in_code(self) -> float:
        """Return the value in the code, times in seconds; `Config.field` means its default."""
        holder: Any = importlib.import_module(self.module)
        *path, name = self.name.split(".")
        for part in path:
            holder = getattr(holder, part)()
        value = getattr(holder, name)
        is_milliseconds = "MS" in name.split("_") and "SIZE" not in name
        return value / 1000 if is_milliseconds else value


def text() -> str:
    """Return the document."""
    return DOCUMENT.read_text()


def blocks(document: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the first line and the others of every fenced block."""
    for match in _FENCED.finditer(document):
        first, *lines = match[1].splitlines()
        yield first, lines


def structs(document: str) -> Iterator[DescribedStruct]:
    """Yield every struct that the document lists."""
    for first, lines in blocks(document):
        if not first.startswith("struct "):
            continue
        module, heading, found = first.removeprefix("struct "), "", []
        for line in [*lines, "end"]:
            if line.startswith("  "):
                name, type_ = re.split(r" {1,}", line.strip(), maxsplit=1)
                found.append((name, re.split(r" {2,}", type_)[0]))
            elif line:
                if heading:
                    yield DescribedStruct(module, heading, tuple(found))
                heading, found = re.split(r" {2,}", line)[0], []


def enums(document: str) -> Iterator[tuple[type[IntEnum], dict[str, int]]]:
    """Yield every enum that the document lists, and its members as listed."""
    for first, lines in blocks(document):
        if first.startswith("enum "):
            module, _, name = first.removeprefix("enum ").rpartition(".")
            members = (line.split()[:2] for line in lines if not line.startswith(" " * 8))
            listed = {member: int(number) for number, member in members}
            yield getattr(importlib.import_module(module), name), listed


def vectors(document: str) -> Iterator[Vector]:
    """Yield every golden vector that the document prints."""
    for first, lines in blocks(document):
        if first.startswith("tests/vectors/"):
            for name, digits in _VECTOR.findall("\n".join(lines)):
                printed = "".join(digits.split())
                is_text = name.endswith(_AS_TEXT)
                data = printed.encode() if is_text else bytes.fromhex(printed)
                yield Vector(first, name.removesuffix(_AS_TEXT), data)


def limits(document: str) -> Iterator[Limit]:
    """Yield every limit that the document lists."""
    for name, module, value in _LIMIT.findall(document):
        yield Limit(name, module, _quantity(value.strip()))


def labels(document: str) -> set[str]:
    """Return the labels of hashes and derivations that the document lists."""
    return set(_LABEL.findall(document))


def heading_of(type_: Any) -> str:
    """Return the heading that the document must give a struct."""
    tag = type_.__struct_config__.tag
    name = type_.__name__.removeprefix("_")
    return name if tag is None else f"{name} #{tag}"


def fields_of(type_: Any) -> tuple[tuple[str, str], ...]:
    """Return the fields that the document must list for a struct, in their order."""
    described = inspect.type_info(type_)
    assert isinstance(described, inspect.StructType)
    assert described.array_like, f"{type_} is not encoded by position"
    return tuple((field.encode_name, type_name(field.type)) for field in described.fields)


def type_name(type_: inspect.Type) -> str:
    """Return how the document writes a type."""
    match type_:
        case inspect.IntType():
            return _integer(type_)
        case inspect.BytesType() | inspect.StrType():
            word = "bin" if isinstance(type_, inspect.BytesType) else "str"
            return (word + " " + _length(type_.min_length, type_.max_length)).strip()
        case inspect.VarTupleType(item, least, most):
            return f"[{type_name(item)}] {_length(least, most)}".strip()
        case inspect.StructType(cls) | inspect.EnumType(cls):
            return str(cls.__name__).removeprefix("_")
        case inspect.UnionType(types):
            return " or ".join(map(type_name, types))
        case inspect.LiteralType(values):
            return " or ".join(map(str, values))
        case inspect.BoolType():
            return "bool"
        case _:
            raise AssertionError(f"no word for {type_}")


def _integer(type_: inspect.IntType) -> str:
    least = type_.ge if type_.ge is not None or type_.gt is None else type_.gt + 1
    most = type_.le if type_.le is not None or type_.lt is None else type_.lt - 1
    if least is None and most is None:
        return "int"
    if least == most:
        return str(least)
    if least == 0 and most in _INTEGERS:
        return _INTEGERS[most]
    return f"{least}..{most}"


def _length(least: int | None, most: int | None) -> str:
    if most is None:
        return ""
    if least == most:
        return str(most)
    return f"{least}..{most}" if least else f"≤ {most}"


def _quantity(value: str) -> float:
    total = 0.0
    for term in value.split(" + "):
        number, _, unit = term.partition(" ")
        total += float(number.replace(",", "")) * _UNITS.get(unit, 1)
    return total
