"""docs/settings.md is what the script makes today, and lists every setting of every command."""

import dataclasses


def test_the_page_is_up_to_date():
    from document_settings import DOCS, page

    assert DOCS.read_text() == page(), "run scripts/document_settings.py: docs/settings.md is out of date"


def test_every_setting_of_every_command_stands_on_the_page():
    from document_settings import CLOSED, COMMANDS, DOCS, groups_of

    text = DOCS.read_text()
    sections = {part.splitlines()[0]: part for part in text.split("\n### ")[1:]}
    for command, conf in COMMANDS.items():
        section = sections[f"tsdistill {command}"]
        for field in dataclasses.fields(conf):
            shown = f"`{field.name}.*`" if field.name in groups_of(conf) else f"| `{field.name}` |"
            assert shown in section, (command, field.name)
    for name, conf in CLOSED.items():
        for field in dataclasses.fields(conf):
            assert field.name == "training" or f"| `{name}.{field.name}` |" in sections[name]
    assert "| 1 or more: steps; below 1: fraction of the length |" in sections["saliency"]
