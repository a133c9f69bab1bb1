"""The configuration of workerd: its content, that workerd reads it as intended, and that it is never shown."""

from __future__ import annotations

import http.client
import json
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.ports import PrivateKey
from reconciler.runtime.workerd import NotStarted, listen, newest_date, serving
from reconciler.workerd.config import BindingIdentity, ServedWorker, Variable, literal, write_config
from reconciler.workerd.door import hosts_at
from reconciler.workerd.form import Module, ModuleKind
from tests.support.runtime_programs import workerd
from tests.support.worlds import issued

DATE = "2025-01-01"
NASTY = "".join(map(chr, range(0x250))) + "\u2028\u2029\ufeff\U0001f600 \\n ' \" \\u0041 ?? //"
MAIN = b"export default { fetch(request, env) { return new Response(env.A); } };"


def worker(**changes: object) -> ServedWorker:
    """A Worker with one module."""
    given: dict[str, object] = {"modules": [Module("i.js", ModuleKind.ES, MAIN)], "bindings": []}
    return ServedWorker(**{**given, "compatibility_date": DATE, **changes})  # type: ignore[arg-type]


def ask(served: ServedWorker) -> bytes:
    """The answer of a Worker in the real runtime."""
    with ExitStack() as stack:
        listening = stack.enter_context(listen(0))
        config = write_config(served, hosts_at(listening.getsockname()[1]))
        program = stack.enter_context(serving(workerd(), config, listening, environ={}, on_out=print, on_err=print))
        assert program
        connection = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=30)
        stack.callback(connection.close)
        connection.request("GET", "/")
        return connection.getresponse().read()


def test_workerd_reads_every_character_as_it_was_meant() -> None:
    """In variables, sources, names and JSON."""
    answered = f"JSON.stringify([env.A, env.B, {json.dumps(NASTY)}, `é€😀`])"
    source = f"export default {{ fetch(request, env) {{ return new Response({answered}); }} }};"
    module = Module("é '\"\\.js", ModuleKind.ES, source.encode())
    bindings = [("A", Variable(NASTY)), ("B", Variable({NASTY: [1.5, None, True]}))]
    answer = json.loads(ask(worker(modules=[module], bindings=bindings)))
    assert answer == [NASTY, {NASTY: [1.5, None, True]}, NASTY, "é€😀"]


def test_every_kind_of_module_is_served() -> None:
    """WebAssembly, data, text, JSON and CommonJS next to the main module."""
    main = b"""
      import wasm from "./lib/a.wasm"; import data from "./d.bin"; import text from "t.txt";
      import { value } from "./e.mjs"; import json from "./j.json"; import common from "./c.cjs";
      export default { fetch() {
        const bytes = [...new Uint8Array(data)];
        return Response.json([wasm instanceof WebAssembly.Module, bytes, text, value, json, common]);
      } };"""
    modules = [
        Module("i.js", ModuleKind.ES, main),
        Module("lib/a.wasm", ModuleKind.WASM, b"\0asm\1\0\0\0"),
        Module("d.bin", ModuleKind.DATA, bytes(range(256))),
        Module("t.txt", ModuleKind.TEXT, "é\r\n".encode()),
        Module("e.mjs", ModuleKind.ES, b"export const value = 5;"),
        Module("j.json", ModuleKind.JSON, b'{"a": 1}'),
        Module("c.cjs", ModuleKind.COMMON_JS, b"module.exports = 7;"),
    ]
    assert json.loads(ask(worker(modules=modules))) == [True, list(range(256)), "é\r\n", 5, {"a": 1}, 7]


def test_a_worker_of_the_old_format_has_its_variables_as_globals() -> None:
    """One script, without modules."""
    script = Module("s.js", ModuleKind.COMMON_JS, b'addEventListener("fetch", e => e.respondWith(new Response(A)));')
    assert ask(worker(modules=[script], bindings=[("A", Variable("hello"))], script=True)) == b"hello"


def test_flags_are_passed_on() -> None:
    """Node's modules are available only with a flag."""
    main = b'import { basename } from "node:path"; export default { fetch: () => new Response(basename("/a/b")) };'
    modules = [Module("i.js", ModuleKind.ES, main)]
    assert ask(worker(modules=modules, compatibility_flags=["nodejs_compat"])) == b"b"


def test_what_workerd_refuses_is_said_in_its_own_words() -> None:
    """Its lines are kept for callers that understand them."""
    with pytest.raises(NotStarted, match="workerd refused this Worker") as caught:
        ask(worker(modules=[Module("i.js", ModuleKind.ES, b"export default {")]))
    assert "SyntaxError" in str(caught.value.hint)


def test_a_date_that_is_not_known_yet_keeps_workerd_from_starting() -> None:
    """So dates are limited to the newest that it certainly knows."""
    newest = newest_date(workerd(), {})
    assert newest is not None
    with pytest.raises(NotStarted):
        ask(worker(compatibility_date="2999-01-01"))
    assert ask(worker(compatibility_date=newest, bindings=[("A", Variable("x"))])) == b"x"


@given(st.text())
def test_a_literal_is_one_line_of_no_control_character(text: str) -> None:
    """Whatever it contains ends at its closing quote."""
    written = literal(text)
    assert written[0] == written[-1] == '"'
    assert not any(sign < " " or sign == "\x7f" for sign in written)
    inner = written[1:-1]
    assert '"' not in inner
    assert inner.replace("\\x", "").count("\\") == 0


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_literal_means_its_text(text: str) -> None:
    """Parsed as Cap'n Proto does: `\\xHH` is a byte."""
    inner = literal(text)[1:-1].encode()
    parts = inner.split(b"\\x")
    read = parts[0] + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in parts[1:])
    assert read.decode() == text


def test_a_surrogate_that_stands_alone_does_not_stop_a_run() -> None:
    """JavaScript allows such texts, UTF-8 does not."""
    assert literal("a\ud800b") == '"a?b"'


def test_each_root_is_a_text_of_its_own() -> None:
    """An older workerd reads only the first certificate of a text."""
    roots = tuple(issued(number).certificate_pem.decode() for number in (2, 3, 4))
    pair = issued(1)
    identity = BindingIdentity(pair.chain_pem.decode(), PrivateKey(pair.key_pem), ("".join(roots[:2]), roots[2]))
    written = write_config(worker(bindings=[("A", identity)]), []).text
    assert f"trustedCertificates = [{', '.join(map(literal, roots))}]" in written


def test_a_configuration_never_shows_its_keys() -> None:
    """Neither in a message nor in a traceback."""
    pair = issued(1)
    identity = BindingIdentity(pair.chain_pem.decode(), PrivateKey(pair.key_pem))
    config = write_config(worker(bindings=[("A", identity)]), [])
    secret = pair.key_pem.decode().splitlines()[1]
    assert secret in config.text
    assert secret not in repr(config) + str(config) + repr(identity) + repr(worker(bindings=[("A", identity)]))
