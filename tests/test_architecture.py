"""The shape of the package: imports run downwards, and nothing of the world's truth reaches training."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from savi.types import Clip

SOURCE = Path(__file__).parent.parent / "src"

LAYERS = (
    ("errors",),
    ("conversations", "files", "cache"),
    ("types",),
    ("inference",),
    ("distributed",),
    ("video", "prompts", "objective"),
    ("world",),
    ("models", "critique", "evaluation"),
    ("data", "record", "methods"),
    ("alignment",),
    ("training",),
    ("report", "runs", "check", "view"),
    ("cli",),
)
"""Lowest first. A part may import from the layers below it and from itself, never from a neighbour."""

WORLD_DOORS = {
    "savi.data.sources": {"savi.world.clips", "savi.world.benchmark"},
    "evaluation": {"savi.world.benchmark"},
    "models": {"savi.world"},
}
"""What of `savi.world` others may import: rendered files, held-out items, the folder of the base."""

TRUTH_DOOR = ("savi.critique.truth", "savi.world.oracle")
"""The one module that may ask for the truth of a training clip, the ceiling's critic; and the one it may ask."""

MAX_LINES = 250

MOST_IGNORED = 10
"""Lines of the package that the type checker is told to ignore."""

TYPED = {"types", "inference", "models", "critique", "evaluation"}
"""Parts whose signatures don't say Any."""


@dataclass(frozen=True)
class Import:
    """One import statement's target. name: what is taken from the module, "" for the module itself."""

    module: str
    name: str
    types_only: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.glob("savi/**/*.py"))}


def imports_of(source: str, package: str) -> list[Import]:
    """Every import of a module, those inside functions too. package: what a relative import starts from."""
    tree = ast.parse(source)
    guarded = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and ast.unparse(guard.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in guard.body
        for node in ast.walk(statement)
    }
    return list(_imports(tree, guarded, package))


def _imports(tree: ast.AST, guarded: set[int], package: str) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, "", id(node) in guarded) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inside = f"{source}.{alias.name}"
                if inside in MODULES:
                    yield Import(inside, "", id(node) in guarded)
                else:
                    yield Import(source, alias.name, id(node) in guarded)


def untyped(source: str) -> list[str]:
    """Functions and fields whose annotations say Any. `*args`, `**kwargs` and JSON objects, dict[str, Any], may."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            annotations = [node.returns, *(argument.annotation for argument in arguments)]
        elif isinstance(node, ast.ClassDef):
            annotations = [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
        else:
            continue
        written = " ".join(ast.unparse(annotation) for annotation in annotations if annotation)
        if re.search(r"\bAny\b", written.replace("dict[str, Any]", "")):
            found.append(node.name)
    return found


def package_of(name: str, path: Path) -> str:
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


IMPORTS = {name: imports_of(path.read_text(), package_of(name, path)) for name, path in MODULES.items()}


def part(module: str) -> str:
    """The part of savi that a module belongs to: "critique" for savi.critique.store."""
    return [*module.split("."), ""][1]


def upward(imports: dict[str, list[Import]]) -> list[str]:
    """The imports that don't run downwards."""
    rank = {name: level for level, names in enumerate(LAYERS) for name in names}
    rank[""] = len(LAYERS)  # the door of the package is above its parts, and none of them imports it
    return [
        f"{module} imports {target.module}"
        for module, targets in imports.items()
        for target in targets
        if target.module.split(".")[0] == "savi"
        and part(target.module) != part(module)
        and rank.get(part(target.module), len(LAYERS)) >= rank.get(part(module), -1)
    ]


def cycle(imports: dict[str, list[Import]]) -> list[str]:
    """Modules that import each other in a ring, also for types alone; [] if there are none."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return []
        targets = {target.module for target in imports.get(module, [])}
        for target in sorted(targets & imports.keys()):
            if found := visit(target, [*trail, module]):
                return found
        done.add(module)
        return []

    return next((found for module in imports if (found := visit(module, []))), [])


def truth_leaks(imports: dict[str, list[Import]]) -> list[str]:
    """Imports from the world that go past its doors, or take what is private or more than its base folder."""
    return [
        f"{module} imports {target.name or 'all'} of {target.module}"
        for module, targets in imports.items()
        if part(module) != "world"
        for target in targets
        if part(target.module) == "world"
        and (module, target.module) != TRUTH_DOOR
        and (
            target.module not in WORLD_DOORS.get(module, WORLD_DOORS.get(part(module), set()))
            or target.name.startswith("_")
            or (target.module == "savi.world" and target.name != "BASE")
        )
    ]


def test_every_part_has_its_layer() -> None:
    parts = {part(module) for module in MODULES} - {""}
    assert parts <= {name for names in LAYERS for name in names}


def test_imports_run_downwards() -> None:
    assert upward(IMPORTS) == []


def test_no_module_imports_itself_in_a_ring() -> None:
    assert cycle(IMPORTS) == []


def test_lightning_is_imported_by_training_and_the_command_line_alone() -> None:
    importers = {part(m) for m, targets in IMPORTS.items() for t in targets if t.module.split(".")[0] == "lightning"}
    assert importers == {"training", "cli"}


def test_what_takes_seconds_to_import_is_imported_where_it_is_used() -> None:
    """`savi ask` and `savi fit` refuse a mistake before that: peft brings bitsandbytes, and that torch's compiler."""
    slow = {"peft", "bitsandbytes", "accelerate", "wandb", "datasets"}
    importers = {
        name
        for name, path in MODULES.items()
        for statement in ast.parse(path.read_text()).body
        for target in _imports(statement, set(), package_of(name, path))
        if isinstance(statement, ast.Import | ast.ImportFrom) and target.module.split(".")[0] in slow
    }
    assert importers == set()


def test_the_truth_of_the_world_stays_in_it() -> None:
    assert truth_leaks(IMPORTS) == []


def test_the_truth_is_asked_for_only_by_an_experiment_that_says_so() -> None:
    importers = {m for m, targets in IMPORTS.items() for t in targets if t.module == "savi.critique.truth"}
    assert importers == {"savi.methods.critics"}
    experiments = SOURCE.parent / "experiments"
    opened = {
        path.relative_to(experiments).as_posix() for path in experiments.rglob("*.yaml") if "truth" in _yaml(path)
    }
    assert opened == {"paper/critic_truth.yaml"}


def _yaml(path: Path) -> str:
    """A file without its comments."""
    return "\n".join(line.partition("#")[0] for line in path.read_text().splitlines())


def test_the_clip_that_training_sees_has_no_room_for_a_truth() -> None:
    assert [field.name for field in fields(Clip)] == ["id", "path"]


def test_a_benchmark_of_files_is_named_in_its_own_file_and_the_registry_alone() -> None:
    from savi.evaluation.benchmarks.registry import BENCHMARKS

    names = [name for name, benchmark in BENCHMARKS.items() if not benchmark.rendered]
    assert len(names) >= 6
    named = {
        (constant.value, module)
        for module, path in MODULES.items()
        for constant in ast.walk(ast.parse(path.read_text()))
        if isinstance(constant, ast.Constant) and constant.value in names
    }
    assert {module for _, module in named} == {f"savi.evaluation.benchmarks.{name}" for name in names}
    assert all(module.endswith(f".{name}") for name, module in named)


def test_the_package_stands_without_its_tests() -> None:
    offending = [m for m, targets in IMPORTS.items() for t in targets if t.module.split(".")[0] == "tests"]
    assert offending == []


@pytest.mark.parametrize("name", MODULES)
def test_no_module_is_long(name: str) -> None:
    assert len(MODULES[name].read_text().splitlines()) <= MAX_LINES


def test_few_lines_are_hidden_from_the_type_checker() -> None:
    assert len(marks(MODULES.values(), "type: ignore")) <= MOST_IGNORED


def test_every_mark_that_hides_a_line_from_a_tool_says_why() -> None:
    everywhere = [path for folder in ("src", "tests", "tools") for path in (SOURCE.parent / folder).rglob("*.py")]
    ignored, unlinted = (marks(everywhere, mark) for mark in ("type: ignore", "noqa"))
    assert [mark for mark in ignored if not re.search(r"type: ignore\[[\w, -]+\]  # \w", mark)] == []
    assert [mark for mark in unlinted if not re.search(r"noqa: [A-Z]+\d+ \(\w", mark)] == []


def marks(paths: Iterable[Path], mark: str) -> list[str]:
    """The comments of files that have the mark, to the ends of their lines."""
    found = []
    for path in paths:
        comments = [
            token.string
            for token in tokenize.generate_tokens(path.open(encoding="utf-8").readline)
            if token.type == tokenize.COMMENT
        ]
        found += [comment for comment in comments if mark in comment]
    return found


@pytest.mark.parametrize("name", [name for name in MODULES if part(name) in TYPED])
def test_no_signature_between_the_parts_says_any(name: str) -> None:
    assert untyped(MODULES[name].read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(watched: Any) -> int: ...", ["f"]),
        ("def f(*, a: list[Any]): ...", ["f"]),
        ("class C:\n    def g(self) -> Any: ...", ["g"]),
        ("class C:\n    watched: Any", ["C"]),
        ("def f(*args: Any, **kwargs: Any) -> dict[str, Any]:\n    x: Any = 1", []),
    ],
)
def test_the_check_sees_any(source: str, found: list[str]) -> None:
    assert untyped(source) == found


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if path.name == "__init__.py"])
def test_packages_only_say_what_they_offer(name: str) -> None:
    plain = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    statements = [one for one in ast.parse(MODULES[name].read_text()).body if not isinstance(one, plain)]
    # The door of the package imports its parts for types, and otherwise on their first use.
    lazy = ["if TYPE_CHECKING:", "def __getattr__(name: str) -> object:"] if name == "savi" else []
    assert [ast.unparse(one).splitlines()[0] for one in statements] == lazy


def example(**sources: str) -> dict[str, list[Import]]:
    return {
        f"savi.{name.replace('__', '.')}": imports_of(source, f"savi.{name.split('__')[0]}")
        for name, source in sources.items()
    }


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        ("critique__chain", "from savi.models.load import load_base"),
        ("models__load", "import savi.critique.chain"),
        ("evaluation__runner", "from savi.training import module"),
        ("prompts__parsing", "def late():\n    from savi.video import decode"),
        ("critique__chain", "from ..models import load"),
        ("types", "from savi.prompts.templates import Prompts"),
        ("models__load", "from savi.unheard_of import x"),
    ],
)
def test_the_check_sees_imports_that_run_upwards(importer: str, statement: str) -> None:
    assert len(upward(example(**{importer: statement}))) == 1


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        ("training__module", "from savi.evaluation.grading import Grader"),
        ("critique__chain", "from savi.critique.store import ClipResult\nfrom . import filters"),
        ("data__clips", "import json\nfrom savi.types import Clip"),
    ],
)
def test_the_check_lets_imports_downwards_pass(importer: str, statement: str) -> None:
    assert upward(example(**{importer: statement})) == []


def test_the_check_sees_rings_also_those_of_types_alone() -> None:
    there = "from savi.data.b import x"
    back = "from savi.data.a import y"
    typed = f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {back}"
    assert cycle(example(data__a=there, data__b=back)) == ["savi.data.a", "savi.data.b", "savi.data.a"]
    assert cycle(example(data__a=there, data__b=typed)) == ["savi.data.a", "savi.data.b", "savi.data.a"]
    assert cycle(example(data__a=there, data__b="import json")) == []


@pytest.mark.parametrize(
    ("importer", "statement", "leaks"),
    [
        ("training__module", "from savi.world.clips import training_clips", 1),
        ("training__datamodule", "from savi.world.benchmark import held_out", 1),
        ("data__sources", "from savi.world.scenes import Scene", 1),
        ("data__sources", "from savi.world.benchmark import _truth", 1),
        ("models__load", "from savi.world import scenes", 1),
        ("critique__truth", "from savi.world.oracle import true_critique", 0),
        ("critique__truth", "from savi.world.scenes import make_scene", 1),
        ("critique__chain", "from savi.world.oracle import true_critique", 1),
        ("alignment__critics", "from savi.world.oracle import true_critique", 1),
        ("data__sources", "from savi.world.benchmark import held_out", 0),
        ("models__load", "from savi.world import BASE", 0),
        ("world__film", "from savi.world.scenes import Scene", 0),
    ],
)
def test_the_check_sees_what_reaches_past_the_doors_of_the_world(importer: str, statement: str, leaks: int) -> None:
    assert len(truth_leaks(example(**{importer: statement}))) == leaks
