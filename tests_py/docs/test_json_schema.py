"""The page on JSON Schema says what is refused and which formats assert; it is right."""

from __future__ import annotations

import re
from pathlib import Path

import clew
import pytest
from clew import _core

PAGE = Path(__file__).resolve().parents[2] / "docs/json-schema.md"
# Every format of the standard, with a text that is none of them.
FORMATS = [
    "date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname", "ipv4",
    "ipv6", "iri", "iri-reference", "json-pointer", "regex", "relative-json-pointer", "time",
    "uri", "uri-reference", "uri-template", "uuid",
]  # fmt: skip
NONE_OF_THEM = "\\ {("


def section(title: str) -> str:
    return PAGE.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]


def refused_keywords() -> list[str]:
    return re.findall(r"^\| `([$\w]+)` \|", section("What is refused"), re.MULTILINE)


def test_the_page_names_keywords() -> None:
    assert len(refused_keywords()) == 5


@pytest.mark.parametrize("keyword", refused_keywords())
def test_a_refused_keyword_is_refused_at_registration(keyword: str) -> None:
    with pytest.raises(clew.Unsupported) as caught:
        _core.check_schema({"properties": {"a": {keyword: {}}}})
    assert caught.value.context["keyword"] == keyword
    with clew.Runtime() as rt, pytest.raises(clew.ClewError) as refused:
        rt.register_contract(
            {"id": "a.b", "version": "1.0.0", "inputs": {"type": "object", keyword: {}}},
            lambda: None,
        )
    assert keyword in str(refused.value)


def test_just_the_formats_of_the_page_assert() -> None:
    said = section("Formats").partition("These formats assert: ")[2].partition(". ")[0]
    asserts = []
    with clew.Runtime() as rt:
        for number, name in enumerate(FORMATS):
            text = {"type": "string", "format": name}
            rt.register_contract(
                {"id": f"a.f{number}", "version": "1.0.0", "inputs": {"properties": {"a": text}}},
                lambda a: a,
            )
            try:
                rt.execute(f"a.f{number}", {"a": NONE_OF_THEM})
            except clew.InvalidInput:
                asserts.append(name)
    assert asserts == re.findall(r"`([\w-]+)`", said)
