"""Renders taskdef.json and appspec.yaml: plain text replacement of ``<NAME>``, then the text must still parse.

Standard library only, because CodeBuild runs it as it lies in the source::

    python3 -m orchestrator.documents render --values-json '{"FAMILY": "chatbot"}' taskdef.json appspec.yaml

The HCL of module ``service`` renders the same way, so the first deploy and every release agree.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import BadDocument

PLACEHOLDER = re.compile(r"<([A-Z][A-Z0-9_]*)>")
# CodePipeline's CodeDeployToECS action fills these after us, from imageDetail.json and the registered revision.
LEFT_TO_THE_PIPELINE = frozenset({"IMAGE1_NAME", "IMAGE2_NAME", "IMAGE3_NAME", "IMAGE4_NAME", "TASK_DEFINITION"})


def render(text: str, values: Mapping[str, str], name: str, keep: frozenset[str] = LEFT_TO_THE_PIPELINE) -> str:
    """``text`` with each ``<NAME>`` replaced by ``values["NAME"]``; one that is neither there nor kept is an error.

    One pass, so a value is never searched for placeholders. Into a ``.json`` document a value goes as the inside of a
    JSON string, as HCL's ``jsonencode`` writes it, and the document must be valid JSON afterwards.
    """
    left = [placeholder for placeholder in placeholders(text) if placeholder not in keep | values.keys()]
    if left:
        raise BadDocument(
            f"{name}: no value for {', '.join(f'<{placeholder}>' for placeholder in left)}",
            f"known placeholders: {', '.join(sorted(values)) or 'none'}",
        )
    is_json = name.endswith(".json")
    ready = {key: _escaped(value) for key, value in values.items()} if is_json else values
    rendered = PLACEHOLDER.sub(lambda match: ready.get(match[1], match[0]), text)
    if is_json:
        _check_json(rendered, name)
    return rendered


def json_of(text: str) -> dict[str, Any]:
    """A rendered document as the API takes it."""
    document: dict[str, Any] = json.loads(text)
    return document


def placeholders(text: str) -> list[str]:
    """The names in ``text``, sorted, each once."""
    return sorted(set(PLACEHOLDER.findall(text)))


def _escaped(value: str) -> str:
    inside = json.dumps(value, ensure_ascii=False)[1:-1]
    # A "<NAME>" in a system prompt must not look like a placeholder to CodePipeline, which fills its own after us.
    return inside.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _check_json(rendered: str, name: str) -> None:
    try:
        json.loads(rendered)
    except json.JSONDecodeError as error:
        line = rendered.splitlines()[error.lineno - 1].strip() if rendered.strip() else ""
        raise BadDocument(f"{name} is not valid JSON, line {error.lineno}: {error.msg}: {line}", "mend it") from None


def values_from(text: str) -> dict[str, str]:
    """The ``--values-json`` argument: a flat object; numbers and booleans become text."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadDocument(f"--values-json is not valid JSON: {error.msg}", "give an object of strings") from None
    if not isinstance(values, dict):
        raise BadDocument("--values-json is not an object", "give an object of strings")
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Renders the named files in place (or into ``--output``); exit code 2 names what is wrong."""
    parser = argparse.ArgumentParser(prog="python3 -m orchestrator.documents", description=__doc__.split("\n")[0])
    render_parser = parser.add_subparsers(dest="verb", required=True).add_parser("render", help="fill placeholders")
    render_parser.add_argument("--values-json", required=True, help="a JSON object: placeholder to value")
    render_parser.add_argument("--output", type=Path, help="folder for the results (default: in place)")
    render_parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    try:
        values = values_from(options.values_json)
        for file in options.files:
            rendered = render(_read(file), values, file.name)
            target = options.output / file.name if options.output else file
            target.write_text(rendered, encoding="utf-8")
    except BadDocument as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDocument(f"{file} cannot be read: {error}", "name an existing text file") from None


if __name__ == "__main__":
    sys.exit(main())
