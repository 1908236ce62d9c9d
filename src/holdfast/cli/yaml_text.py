"""YAML as Vault's command line prints it. A module of its own: only `-format=yaml` pays for loading PyYAML."""
from __future__ import annotations

from collections.abc import Mapping

import yaml

from holdfast.cli.json_text import Json, Number


class _Dumper(yaml.SafeDumper):
    """Strings that would read as something else stand in double quotes, those with line breaks as a block."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    tag: str = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    style = "|" if "\n" in text else None if tag == "tag:yaml.org,2002:str" else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def encode(value: Json) -> str:
    """One YAML document, keys sorted, without a line break at its end."""
    text = yaml.dump(_native(value), Dumper=_Dumper, sort_keys=True, default_flow_style=False, allow_unicode=True, width=1 << 30)
    text = text.removesuffix("...\n")
    return text.strip()


def _native(value: Json) -> object:
    match value:
        case Number(text=text):
            return float(text) if any(c in text for c in ".eE") else int(text)
        case Mapping():
            return {key: _native(item) for key, item in value.items()}
        case None | bool() | int() | str():
            return value
        case _:
            return [_native(item) for item in value]
