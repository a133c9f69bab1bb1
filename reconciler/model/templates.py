"""Templates of configuration files, by their names: `wrangler.toml.example`, `wrangler.toml.dist`, `.j2`."""

from __future__ import annotations

_SUFFIXES = (
    *(".example", ".sample", ".dist", ".template", ".tmpl", ".tpl", ".in"),
    *(".j2", ".jinja", ".jinja2", ".erb", ".ejs", ".hbs", ".mustache", ".gotmpl"),
)


def template_of(name: str) -> str | None:
    """The name of the file that is made from a template of this name; None if the name is not that of a template."""
    found = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), None)
    return name[: -len(found)] if found is not None and len(name) > len(found) else None
