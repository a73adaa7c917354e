"""YAML as DVC understands it: PyYAML with the scalars of YAML 1.2's core schema.

PyYAML follows YAML 1.1, where `1e-3` is text, `no` is false, `012` is ten and `1:30` is ninety.
DVC reads params.yaml as YAML 1.2 (treeverse/dvc#8466); both must see the same values.
"""

import re
from typing import Any

import yaml


class _Yaml12Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2 scalars, which refuses a key written twice."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  (as the base class has it)


# YAML 1.2.2, section 10.3.2 (tag resolution of the core schema), and what DVC's reader takes
# besides: 0b11 and 1_000.
_SCALARS = (
    ("tag:yaml.org,2002:null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    (
        "tag:yaml.org,2002:int",
        r"[-+]?(?:[0-9][0-9_]*|0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+)",
        list("-+0123456789"),
    ),
    (
        "tag:yaml.org,2002:float",
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN)",
        list("-+.0123456789"),
    ),
    ("tag:yaml.org,2002:merge", r"<<", ["<"]),
)
for _tag, _pattern, _first in _SCALARS:
    _Yaml12Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)


def _construct_int(loader: _Yaml12Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    prefixed = text.lstrip("-+").startswith(("0b", "0o", "0x"))
    return int(text.replace("_", ""), 0 if prefixed else 10)


def _construct_float(loader: _Yaml12Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _construct_mapping(loader: _Yaml12Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if isinstance(key, list | dict):
            raise ValueError(f"line {key_node.start_mark.line + 1}: a key must be plain text")
        if key in seen:
            raise ValueError(f"line {key_node.start_mark.line + 1}: {key!r} is written twice")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Yaml12Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Yaml12Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Yaml12Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def parse_yaml(text: str) -> Any:
    """Parse one YAML 1.2 document.

    Raises:
        ValueError: the text is not YAML, or a key is written twice.
    """
    try:
        return yaml.load(text, Loader=_Yaml12Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
