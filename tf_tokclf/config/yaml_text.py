"""Parsing YAML strictly, and writing YAML that is parsed to the same values."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from tf_tokclf.errors import first_line

Tree = dict[str, Any]

_HALF = re.compile("[\ud800-\udfff]")


def parsed_yaml(text: str) -> Any:
    """The value of a YAML text. Raises YAMLError for every problem.

    Duplicate keys are refused, because YAML would silently ignore the first one. So are single surrogates, which cannot
    be written to a file.
    """
    try:
        if (root := yaml.compose(text, Loader=yaml.SafeLoader)) is not None:
            _check_nodes(root)
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise
    except RecursionError:
        raise yaml.MarkedYAMLError(problem="it is nested too deeply") from None
    # Invalid dates, numbers and similar values raise various exceptions of Python.
    except Exception as error:
        raise yaml.MarkedYAMLError(problem=first_line(error)) from error


def _check_nodes(root: yaml.Node) -> None:
    seen: set[int] = set()
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode) and _HALF.search(node.value):
            raise yaml.MarkedYAMLError(problem="it contains half of a surrogate pair", problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode):
            keys = set[str]()
            for key, value in node.value:
                nodes += (key, value)
                if isinstance(key, yaml.ScalarNode) and key.value in keys:
                    raise yaml.MarkedYAMLError(problem=f"duplicate key {key.value}", problem_mark=key.start_mark)
                keys.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        elif isinstance(node, yaml.SequenceNode):
            nodes.extend(node.value)


def yaml_line(value: Any) -> str:
    """A value as one line of YAML.

    >>> yaml_line(None), yaml_line(5e-05), yaml_line("# "), yaml_line(["O", "B-LOC"]), yaml_line({"a": [1e-5]})
    ('null', '5.0e-05', "'# '", '[O, B-LOC]', '{a: [1.0e-05]}')
    """
    text = yaml.dump(
        value, Dumper=_LineDumper, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf
    )
    return str(text).removesuffix("\n").removesuffix("\n...")


def yaml_text(tree: Tree) -> str:
    """A configuration as YAML text."""
    return str(yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """Quotes text with characters that YAML treats as line ends, and would read as a space or drop."""

    quoted = re.compile("[\x85\u2028\u2029]")

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """The text, quoted if necessary."""
        style = '"' if self.quoted.search(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


class _LineDumper(_Dumper):
    quoted = re.compile("[\n\x85\u2028\u2029]")
