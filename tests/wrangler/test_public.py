"""Odd shapes of public wrangler files that wrangler accepts: each is read, edited and restored."""

from __future__ import annotations

import pytest

from reconciler.findings.errors import EditRefused
from reconciler.wrangler.edit import RemoveBinding, SetBinding, edit_wrangler
from reconciler.wrangler.read import read_wrangler

TOML_SHAPES = {
    "variables written into env": 'name = "w"\n\n[env]\nMODE = "live"\nDEBUG = false\n',
    "variables next to an environment": 'name = "w"\n\n[env]\nMODE = "live"\n\n[env.staging]\nname = "s"\n',
    "a dotted variable of env": 'env.MODE = "live"\nname = "w"\n',
    "an environment as an array of tables": 'name = "w"\n\n[[env.live]]\nname = "l"\n',
    "top level keys after the environments": '[env.live]\nname = "l"\n\n[[kv_namespaces]]\nbinding = "K"\nid = "1"\n',
    "one environment in the middle": '[vars]\nA = "1"\n\n[[env.live.queues]]\nq = 1\n\n[[services]]\nbinding = "S"\n',
    "an environment named again in its own table": "[env.live]\nenv.live.routes = [\n  { pattern = 'a/*' },\n]\n",
    "headers without a blank line between": '[build]\nwatch_dir = "x"\n[build.upload]\n[env.live]\nname = "l"\n',
    "all indented and without a last newline": '  name = "w"\n\n  [vars]\n  A = "1"\n\n  [env.live]\n  name = "l"',
    "the next example commented out at the end": 'name = "w"\n\n[vars]\nA = "1"\n\n# [[services]]\n# binding = "S"\n',
    "comments inside an array": 'kv_namespaces = [\n  # { binding = "A" },\n  { binding = "B" }\n]\n[env.live]\n',
}

JSON_SHAPES = {
    "variables written into env": '{\n  "name": "w",\n  "env": {\n    "MODE": "live"\n  }\n}\n',
    "variables next to an environment": '{"name": "w", "env": {"MODE": "live", "staging": {"name": "s"}}}',
    "no environments, explicitly": '{\n  "name": "w",\n  "env": null\n}\n',
    "patterns that look like comments": '{\n  "assets": { "run_worker_first": ["//*", "/*//*"] },\n  "env": {},\n}\n',
    "members commented out at the end": '{\n  "name": "w"\n  // "vars": {\n  // \t"A": "1"\n  // }\n}\n',
    "a comment after all environments": '{\n  "env": {\n    "live": {\n      "name": "l"\n    }\n  }\n  // to do\n}',
    "empty lines left over": '{\n  "name": "w",\n\n  \n   "routes": [\n    { "p": 1 },\n    ]\n  \n}\n\n\n',
}

SHAPES = [
    *(pytest.param("wrangler.toml", text, id=f"toml: {name}") for name, text in TOML_SHAPES.items()),
    *(pytest.param("wrangler.jsonc", text, id=f"jsonc: {name}") for name, text in JSON_SHAPES.items()),
]


@pytest.mark.parametrize(("path", "text"), SHAPES)
def test_a_binding_is_added_and_removed_without_a_trace(path: str, text: str) -> None:
    """At the top level and in every environment, with both kinds of line endings."""
    for data in (text.encode(), text.replace("\n", "\r\n").encode()):
        for environment in read_wrangler(path, data).environments:
            wanted = SetBinding(environment, "CERT", "id-1")
            written = edit_wrangler(path, data, [wanted])
            found = read_wrangler(path, written).environments[environment].find("CERT")
            assert found is not None
            assert found.certificate_id == "id-1"
            assert edit_wrangler(path, written, [wanted]) is written
            assert edit_wrangler(path, written, [RemoveBinding(environment, "CERT")]) == data


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("wrangler.toml", '[env]\nMODE = "live"\n[env.staging]\n'),
        ("wrangler.toml", "[[env.MODE]]\n[env.staging]\n"),
        ("wrangler.json", '{"env": {"MODE": "live", "staging": {}, "none": null}}'),
    ],
)
def test_a_value_that_is_not_a_table_is_not_an_environment(path: str, text: str) -> None:
    """wrangler ignores it unless it is selected; here it is not listed as an environment, and can't be edited."""
    data = text.encode()
    assert list(read_wrangler(path, data).environments) == [None, "staging"]
    with pytest.raises(EditRefused, match="has no environment MODE"):
        edit_wrangler(path, data, [SetBinding("MODE", "CERT", "id-1")])
