"""A configuration as commented TOML, made from the settings' own descriptions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from xanes_live.config import API_KEY_VARIABLE, Config

_WIDTH = 96


def toml(values: Mapping[str, Mapping[str, Any]], notes: Mapping[str, str], head: str) -> str:
    """Return a file with every setting there is: those in `values` set, others as comments.

    Parameters
    ----------
    values
        Settings by section and name.
    notes
        Further words by section, or by 'section.name', put above.
    head
        First lines, without '#'.
    """
    parts = [_comment(head)]
    for name, field in Config.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            parts.append(_section(name, section, values.get(name, {}), notes))
    return "\n".join(parts)


def _section(
    name: str, section: type[BaseModel], values: Mapping[str, Any], notes: Mapping[str, str]
) -> str:
    lines = [_comment(section.__doc__ or ""), f"[{name}]"]
    if name in notes:
        lines.insert(1, _comment(notes[name]))
    for key, field in section.model_fields.items():
        note = notes.get(f"{name}.{key}", "")
        lines += [_comment(f"{field.description or ''} {note}".strip()), _entry(key, field, values)]
    return "\n".join(line for line in lines if line) + "\n"


def _entry(key: str, field: FieldInfo, values: Mapping[str, Any]) -> str:
    if key in values:
        return f"{key} = {literal(values[key])}"
    if "SecretStr" in str(field.annotation):
        return f"# {key}: give it in the environment, {API_KEY_VARIABLE}"
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined:
        return f"# {key} ="
    return f"# {key} = {literal(default)}"


def literal(value: object) -> str:
    """Return `value` as TOML.

    Raises
    ------
    TypeError
        If it is a secret: those do not belong into files.
    """
    if isinstance(value, SecretStr):
        raise TypeError("a secret is not written to a file")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, Mapping):
        pairs = (f"{_string(str(k))} = {literal(v)}" for k, v in value.items())
        inside = ", ".join(pairs)
        return f"{{ {inside} }}" if inside else "{}"
    return _string(str(value))


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but for surrogate pairs; TOML wants one more character escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    lines = [line for block in text.strip().splitlines() for line in (wrap(block, _WIDTH) or [""])]
    return "\n".join(f"# {line}".rstrip() for line in lines)
