"""The words that are not used in what a user reads, and where they still are.

`python -m tests.support.words` makes the list of what is still to do shorter; it never makes it longer.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.support.paths import REPOSITORY
from tests.support.reference import PART
from tests.support.source import sources

TO_DO = REPOSITORY / "tests/project/words_to_do.txt"
"""What is still to do: a line `PATH: WORD: COUNT` for each word of each file."""

COMMAND = "python -m tests.support.words"


@dataclass(frozen=True)
class Word:
    """A word that is not used, and what is written instead; `fine_in` has the rooms where it means something else."""

    name: str
    pattern: str
    say: str
    fine_in: tuple[str, ...] = ()

    def count(self, text: str) -> int:
        """How often it is in a text."""
        return len(re.findall(self.pattern, text, re.IGNORECASE))


HANDSHAKES = ("reconciler/proof/", "reconciler/probe/", "reconciler/runs/verify/", "reconciler/views/text/verify.py")
"""A client of TLS does present a certificate."""

WORDS = (
    Word("entry", r"\bentr(?:y|ies)\b", "uploaded certificate"),
    Word("presents", r"\bpresents\b|\bpresent(?:ed|ing)\b|\b(?:may|can|still|to) present\b", "uses", HANDSHAKES),
    Word("serving", r"\bwhat serves\b|\bserving (?:worker )?versions?\b", "live version"),
    Word("at hand", r"\bat hand\b", "available"),
    Word("mends", r"\bmend(?:s|ed|ing)?\b", "fixes"),
    Word("anew", r"\banew\b", "again"),
    Word("shall", r"\bshall\b", "must, or should"),
    Word("stands", r"\bstands?\b|\bstood\b", "is"),
    Word("is told", r"\b(?:is|are|was|were|be|been) (?:said|told)\b|\btells? of\b", "is reported, or shows"),
    Word("whoever", r"\bwhoever\b|\bnobody\b", "you, no one, or the name of the person"),
    Word("lies", r"\blies? (?:below|beside|outside)\b|\boutside of\b", "is in, or is outside"),
    Word("beside", r"\bbeside\b", "next to, or in addition to"),
    Word("ours", r"\b(?:of|not|is|are) ours\b", "managed by this stack, or not managed here"),
    Word("foreign", r"\bforeign\b", "not managed here"),
    Word("in place", r"\bin place\b(?! of)", "up to date"),
    Word("left mtls.toml", r"\b(?:left|leaves?) (?:`?mtls\.toml|this file)", "was removed from mtls.toml"),
    Word(
        "goes",
        r"\bgoes\b(?! (?:to|on|back|beyond|by|through|into|with)\b)|\b(?:is|are|was|were) gone\b",
        "is deleted, or was deleted",
    ),
    Word("is none", r"\b(?:it|there|they) (?:is|are) none\b", "missing, not found, or not a valid X"),
    Word("can't be told", r"\bcan(?:'t|not| not) be told\b", "unknown"),
    Word("doubt", r"\bdoubts?\b", "could not be checked"),
    Word("the store", r"\bthe store\b|\bembedded store\b", "Cloudflare (account ID), or the local store"),
    Word("looks at", r"\blook(?:s|ed|ing)? at\b|\ba look\b", "checks, or reads"),
    Word("way forward", r"\bway (?:forward|back)\b", "roll forward, or roll back"),
    Word("lest", r"\blest\b|\bbe it\b", "a sentence without it"),
    Word("for (because)", r", for (?:it|they|there|nothing|nobody|what)\b", "because"),
)

TWO_WORDS = r"[^\W\d_]\s+\S*[^\W\d_]"
SQL = r"\s*(?:CREATE|SELECT|INSERT|UPDATE|DELETE|PRAGMA)\b"

FOR_CODE = ("docs/architecture.md",)
"""Pages for those who read the code, with the words of the code."""
GENERATED = ("docs/reference/findings.md",)
"""Made from literals that are read where they are written."""

Counts = dict[tuple[str, str], int]
"""How often, by path and name of the word."""


def words_in_use() -> Counts:
    """Every word that is in use."""
    return found_in(read_texts())


def read_texts() -> dict[str, str]:
    """What a user reads, by path: the literals of the package and of the demos, the pages and the schemas."""
    return {**_literals_of_the_package(), **_demos(), **_pages(), **_schemas()}


def found_in(texts: Mapping[str, str]) -> Counts:
    """Every word that is in a text, by its path."""
    counts = {
        (path, word.name): word.count(text)
        for path, text in texts.items()
        for word in WORDS
        if not path.startswith(word.fine_in)
    }
    return {place: count for place, count in counts.items() if count}


def to_do() -> Counts:
    """The list of what is still to do, as it is checked in."""
    lines = (line.rsplit(": ", 2) for line in TO_DO.read_text().splitlines())
    return {(path, word): int(count) for path, word, count in lines}


def problems(used: Counts, allowed: Counts) -> list[str]:
    """A sentence for each place where a word is used more or less often than the list allows."""
    say = {word.name: word.say for word in WORDS}
    found = []
    for path, word in sorted({*used, *allowed}):
        now, before = used.get((path, word), 0), allowed.get((path, word), 0)
        if now > before:
            found.append(f"{path}: `{word}` is there {now} times, {before} allowed: write {say[word]!r} instead")
        elif not now:
            found.append(f"{path}: `{word}` is no longer used: remove it from the list ({COMMAND})")
        elif now < before:
            found.append(f"{path}: `{word}` is there {now} times, no longer {before}: shorten the list ({COMMAND})")
    return found


def read_literals(tree: ast.Module) -> str:
    """The literals of a file that a user can read, one a line: what has two words or more, and the help of commands.

    Docstrings, patterns, SQL, keys and what is compared are for the code. The values in an f-string are shown as {}.
    """
    inside = list(ast.walk(tree))
    ignored = set(_for_the_code(inside))
    texts = (_text(node) for node in inside if id(node) not in ignored)
    prose = (text for text in texts if text and re.search(TWO_WORDS, text) and not re.match(SQL, text))
    return "\n".join(" ".join(text.split()) for text in prose)


def read_page(text: str) -> str:
    """The prose of a page: no code, no comments, no targets of links, and nothing that is generated from literals."""
    text = PART.sub("", text)
    text = re.sub(r"(?ms)^ *```.*?^ *```$|<!--.*?-->", "", text)
    text = re.sub(r"`[^`]*`", "`", text)
    return " ".join(re.sub(r"\]\([^)]*\)", "]", text).split())


def read_schema(schema: object) -> str:
    """The descriptions in a JSON Schema, without what is in backticks. Titles are the names in the code."""
    match schema:
        case dict():
            texts = [one for key, one in schema.items() if key == "description" and isinstance(one, str)]
            return " ".join((read_page("\n".join(texts)), *map(read_schema, schema.values())))
        case list():
            return " ".join(map(read_schema, schema))
        case _:
            return ""


def _schemas() -> dict[str, str]:
    paths = sorted((REPOSITORY / "schemas").glob("*.json"))
    return {path.relative_to(REPOSITORY).as_posix(): read_schema(json.loads(path.read_text())) for path in paths}


def _demos() -> dict[str, str]:
    paths = sorted((*REPOSITORY.glob("examples/**/*.py"), REPOSITORY / "tests/fleet_demo.py"))
    return {path.relative_to(REPOSITORY).as_posix(): read_literals(ast.parse(path.read_text())) for path in paths}


def _literals_of_the_package() -> dict[str, str]:
    return {source.path.relative_to(REPOSITORY).as_posix(): read_literals(source.tree) for source in sources()}


def _pages() -> dict[str, str]:
    paths = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("examples/**/*.md")]
    pages = {path.relative_to(REPOSITORY).as_posix(): read_page(path.read_text()) for path in sorted(paths)}
    return {path: text for path, text in pages.items() if path not in (*FOR_CODE, *GENERATED)}


def _text(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
        case _:
            return None


def _for_the_code(inside: Sequence[ast.AST]) -> Iterator[int]:
    """The literals that no user reads, by the id of their node."""
    help_texts = {id(node.body[0]) for node in inside if isinstance(node, ast.FunctionDef) and _is_command(node)}
    for node in inside:
        match node:
            case ast.Expr(value=literal) if id(node) not in help_texts:
                yield id(literal)
            case ast.JoinedStr(values=parts):
                yield from map(id, parts)
            case ast.Dict(keys=keys):
                yield from map(id, keys)
            case ast.Compare(left=left, comparators=others):
                yield from map(id, (left, *others))
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re")), args=arguments):
                yield from (id(inner) for argument in arguments for inner in ast.walk(argument))


def _is_command(function: ast.FunctionDef) -> bool:
    decorators = [ast.unparse(decorator).partition("(")[0] for decorator in function.decorator_list]
    return any(name.rpartition(".")[2] in {"command", "callback"} for name in decorators)


def _main() -> int:
    """0 where the list says no less than what is in use; it is then written again, as short as it can be."""
    used, allowed = words_in_use(), to_do()
    more = Counter(used) - Counter(allowed)
    if more:
        here = {place: used[place] for place in more}
        sys.stderr.write("\n".join(problems(here, {place: allowed.get(place, 0) for place in more})) + "\n")
        return 1
    TO_DO.write_text(written(used))
    return 0


def written(counts: Counts) -> str:
    """The list as it is written, in the order of paths and words."""
    return "".join(f"{path}: {word}: {count}\n" for (path, word), count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(_main())
