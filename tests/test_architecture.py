"""Imports point one way, as DESIGN.md says; files stay small and named after what they hold."""

from __future__ import annotations

import ast
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
# From the top down: a part may import those of lower rank only, and of its own rank nothing but itself.
RANKS = (
    ("__main__",),
    ("cli",),
    ("engine_cli",),
    ("bench",),  # measures against the demo's cameras and broker
    ("demo",),
    ("fleet",),  # runs apps in processes of their own, and speaks for them
    ("service",),
    ("app",),
    ("roster",),
    ("pool",),
    ("vitals", "listener", "detector", "live", "watchdog"),
    ("sources", "inference", "analytics", "sinks", "web"),
    ("gpu",),
    ("telemetry",),
    ("config",),
    ("core",),
    ("",),  # the package itself: its version
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


@pytest.mark.parametrize(
    ("part", "may_import"), [("bench", {"bench", "cli"}), ("demo", {"bench", "demo", "cli"})]
)
def test_the_daemon_itself_needs_neither_demo_nor_bench(part: str, may_import: set[str]) -> None:
    importers = {
        part_of(module) for module in MODULES if part in {part_of(target) for target in own_imports(module)}
    }
    assert importers <= may_import


def test_gpu_libraries_are_imported_in_gpu_alone() -> None:
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if part_of(module) != "gpu"
        for name in sorted(imports_of(module))
        if name.split(".")[0] in GPU_LIBRARIES
    ]
    assert wrong == []


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_command_itself_imports_nothing_heavy(command: str) -> None:
    """`framelane check` answers at once: what a command needs is imported when it runs."""
    top = [node for node in tree_of("cli").body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in top if isinstance(node, ast.ImportFrom)}
    heavy = ("av", "cv2", "numpy", "onnxruntime", "framelane.app", "framelane.service", "framelane.inference")
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
