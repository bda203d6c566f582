"""Imports point one way, between folders and sub-folders; files stay small and named after what they hold."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "daemon" / "framelane"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    .removesuffix(".__init__")
    .removesuffix("__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# From the top down: a folder may import those of lower rank only, and of its own rank nothing but itself.
RANKS = (
    ("__main__",),
    ("cli",),
    # The demo shows the daemon, and the bench commands measure it.
    ("demo", "measure"),
    # What exists once per daemon: status, HTTP, Home Assistant, service.
    ("node",),
    # Worker processes, each with a pipeline of its own.
    ("fleet",),
    # Changes of the configuration while the daemon runs; and the streams and models of one process.
    ("control", "pipeline"),
    # Snapshots and clips of events.
    ("footage",),
    # What people see of the streams.
    ("live",),
    ("sources", "inference", "analytics", "sinks", "events", "web"),
    # Model files, heads and engines.
    ("models",),
    ("gpu",),
    ("messages",),
    ("media", "telemetry"),
    # SQLite files that outlive kills and full disks.
    ("storage",),
    ("config",),
    ("core",),
    # The package itself: its version.
    ("",),
)
RANK_OF = {part: rank for rank, parts in enumerate(RANKS) for part in parts}
GPU_LIBRARIES = {"tensorrt", "pycuda", "cuda", "cupy", "torch", "pynvml"}
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
MOST_LINES = 400
MOST_BROAD_EXCEPTS = 3


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports_of(module: str) -> frozenset[str]:
    """Full names of what a module imports, wherever in it: functions and TYPE_CHECKING count."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                raise AssertionError(f"{module}: a relative import; name the module in full")
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return frozenset(found)


def own_imports(module: str) -> set[str]:
    """Modules of the package that a module imports, without the package's name."""
    targets = set()
    for name in imports_of(module):
        if name.split(".")[0] == "framelane":
            inner = name.partition(".")[2]
            targets.add(inner if inner in MODULES else inner.rpartition(".")[0])
    return targets - {module}


def part_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def test_every_part_has_a_rank() -> None:
    assert {part_of(module) for module in MODULES} <= RANK_OF.keys()


def test_imports_point_down() -> None:
    wrong = [
        f"{module} imports {target}"
        for module in MODULES
        for target in sorted(own_imports(module))
        if part_of(target) != part_of(module) and RANK_OF[part_of(target)] <= RANK_OF[part_of(module)]
    ]
    assert wrong == []


def test_modules_form_no_cycle() -> None:
    """Cycles inside a part, that is: between parts the ranks leave none."""
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " > ".join((*path, module))
        if module not in done:
            for target in sorted(own_imports(module)):
                if target in MODULES and target:
                    visit(target, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def folder_of(module: str) -> str:
    """The folder that a module lies in, as a dotted path; a package's __init__ lies in its own folder."""
    is_package = MODULES[module].name == "__init__.py"
    return module if is_package else module.rpartition(".")[0]


def test_folders_form_no_cycle() -> None:
    """Sub-folders included: a folder and those below it count as different ones."""
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        targets = {folder_of(target) for target in own_imports(module) if target in MODULES}
        graph.setdefault(folder_of(module), set()).update(targets - {folder_of(module), ""})
    done: set[str] = set()

    def visit(folder: str, path: tuple[str, ...]) -> None:
        assert folder not in path, " > ".join((*path, folder))
        if folder not in done:
            for target in sorted(graph.get(folder, ())):
                visit(target, (*path, folder))
            done.add(folder)

    for folder in graph:
        visit(folder, ())


def test_the_daemon_itself_needs_neither_demo_nor_benchmarks() -> None:
    importers = {
        part_of(module)
        for module in MODULES
        if {"demo", "measure"} & {part_of(target) for target in own_imports(module)}
    }
    assert importers <= {"cli", "demo", "measure"}


def test_gpu_libraries_are_imported_in_gpu_alone() -> None:
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if part_of(module) != "gpu"
        for name in sorted(imports_of(module))
        if name.split(".")[0] in GPU_LIBRARIES
    ]
    assert wrong == []


def test_client_of_buckets_is_imported_in_its_own_module_alone() -> None:
    """It is an extra, and takes memory."""
    importers = {
        module for module in MODULES for name in imports_of(module) if name.split(".")[0] == "botocore"
    }
    assert importers == {"footage.s3"}


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_command_itself_imports_nothing_heavy(command: str) -> None:
    """`framelane check` answers at once: what a command needs is imported when it runs."""
    modules = ("cli", "cli.shared", f"cli.{command}")
    top = [
        node
        for each in modules
        for node in tree_of(each).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in top if isinstance(node, ast.ImportFrom)}
    heavy = (
        "av",
        "cv2",
        "numpy",
        "onnxruntime",
        "framelane.inference",
        "framelane.node",
        "framelane.pipeline",
    )
    assert [name for name in sorted(names) if name.startswith(heavy)] == []


@pytest.mark.parametrize("module", MODULES)
def test_module_says_its_duty_and_is_short(module: str) -> None:
    assert ast.get_docstring(tree_of(module)), "no docstring"
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    assert MODULES[module].stem not in BANNED_NAMES


def test_broad_excepts_are_few() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node)
    ]
    assert len(found) <= MOST_BROAD_EXCEPTS, found


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})
        for kind in kinds
    )


@pytest.mark.parametrize("module", MODULES)
def test_module_has_no_open_ends(module: str) -> None:
    """No print, and nothing raised by logging: `log.exception` belongs to the worker."""
    calls = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    printed = [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
    assert printed == []


DOCS = PACKAGE.parents[1] / "docs"


def test_journey_names_files_that_exist_and_its_path_has_at_most_25() -> None:
    text = (DOCS / "journey-of-a-frame.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_0-9]+\.py)`", text)) - {"tests/test_architecture.py"}
    assert sorted(name for name in named if not (PACKAGE / name).is_file()) == []
    numbers = [int(number) for number in re.findall(r"`[a-z_/]+\.py`,? \(?(\d+)\)?", text)]
    assert numbers == sorted(numbers)
    assert numbers[-1] <= 25


def test_documents_use_no_private_words() -> None:
    banned = re.compile(r"\b(anew|for ever|who asks|so many|of which)\b")
    pages = [
        *DOCS.rglob("*.md"),
        PACKAGE.parents[1] / "README.md",
        *PACKAGE.rglob("*.py"),
        *PACKAGE.rglob("*.json"),
    ]
    found = [page.name for page in pages if banned.search(page.read_text(encoding="utf-8"))]
    assert found == []
