"""The pages of docs/methods are those that the script makes today."""


def test_pages_are_up_to_date():
    from document_methods import DOCS, pages

    made = pages()
    assert {path.name for path in DOCS.glob("*.md")} == set(made)
    for name, text in made.items():
        assert (DOCS / name).read_text() == text, f"run scripts/document_methods.py: {name} is out of date"
