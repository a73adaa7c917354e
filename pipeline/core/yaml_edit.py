"""Values changed in the text of a YAML file, whose comments and layout stay as they are."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pipeline.core.yaml12 import parse_yaml

PLAIN = re.compile(r"[A-Za-z0-9_./~][A-Za-z0-9_./~+-]*")  # what YAML takes as it stands

Scalar = str | int | float | bool | None
Value = Scalar | Sequence[Scalar]


def with_values(text: str, sections: Mapping[str, Mapping[str, Value]]) -> str:
    """Return `text` with other values of some keys of some sections, all else unchanged.

    Args:
        text: a YAML document: a mapping of sections, each a mapping of keys.
        sections: the new values, by section and key; both must be there already.

    Raises:
        ValueError: the text is not YAML, lacks a key, or cannot hold a value.
    """
    expected = parse_yaml(text)
    for section, values in sections.items():
        for key, value in values.items():
            if not _has(expected, section, key):
                raise ValueError(f"there is no {section}.{key}")
            if _same(expected[section][key], value):
                continue
            text = _replaced(text, _member(_member(yaml.compose(text), section), key), value)
            expected[section][key] = value
    if parse_yaml(text) != expected:
        raise ValueError("its layout is too unusual")
    return text


def _has(tree: Any, section: str, key: str) -> bool:
    return isinstance(tree, dict) and isinstance(tree.get(section), dict) and key in tree[section]


def _same(old: Any, new: Value) -> bool:
    """Tell whether two values are alike to DVC too, to which 0, 0.0 and false are three."""
    return json.dumps(old) == json.dumps(new)


def _member(node: yaml.Node | None, key: str) -> yaml.Node:
    """Return the node of a mapping's value."""
    assert isinstance(node, yaml.MappingNode)  # the text was parsed before
    found: yaml.Node = next(value for name, value in node.value if name.value == key)
    return found


def _replaced(text: str, node: yaml.Node, value: Value) -> str:
    """Return `text` with another value where `node` is."""
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(value, list) and len(value) == len(items):  # keeps comments between the items
        for item, one in reversed(list(zip(items, value, strict=True))):
            text = _replaced(text, item, one)
        return text
    # The end of a block is where the next one begins; its last item ends before the comments.
    start, end = node.start_mark.index, (items[-1] if items else node).end_mark.index
    if isinstance(node, yaml.SequenceNode) and node.flow_style:
        end = node.end_mark.index
    space = " " if text[:start].endswith((":", "-")) else ""  # nothing stood there
    return text[:start] + space + _in_yaml(value) + text[end:]


def _in_yaml(value: Value) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, str):
        value.encode()  # a name that is not UTF-8 cannot stand in a YAML file
        # As it stands only where YAML 1.1 and 1.2 both read it as text.
        plain = PLAIN.fullmatch(value) and parse_yaml(value) == yaml.safe_load(value) == value
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_in_yaml, value))}]"
    return json.dumps(value)
