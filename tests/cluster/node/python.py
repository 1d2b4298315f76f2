"""The Python side of every build: the virtual environment, the wheel, and what images hold of it.

The environment and the compiled engine live in the cache, keyed by what they are made from; the
checkout only gets a link to the engine, which git ignores.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import zipfile
from pathlib import Path

from . import inputs, paths
from .console import Command, StepError, note, run, step

REQUIREMENTS = paths.CHECKOUT / "requirements"
PROXY = paths.CHECKOUT / "proxy"
OPERATOR = paths.CHECKOUT / "operator"
ENGINE = "_core.abi3.so"
# The images' Python is Debian 12's; wheels up to its C library's version fit.
IMAGE_PYTHON = "3.11"
IMAGE_GLIBC = ("2_36", "2_34", "2_31", "2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")


def venv() -> None:
    """Makes the environment for tests and lint, unless its locks and Python are unchanged."""
    wanted = inputs.digest([REQUIREMENTS / "dev.txt"], sys.version, sys.executable)
    stamp = paths.VENV / "made-from"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    with step("Making the Python environment"):
        if paths.VENV.exists():
            shutil.rmtree(paths.VENV)
        run([sys.executable, "-m", "venv", paths.VENV])
        lock = REQUIREMENTS / "dev.txt"
        run([program("pip"), "install", "--quiet", "--require-hashes", "--requirement", lock])
        stamp.write_text(wanted)


def program(name: str) -> Path:
    return paths.VENV / "bin" / name


def claim_target() -> None:
    """Makes Cargo build this checkout's code where another checkout's was built last.

    All share one target directory, so that a fresh clone finds the dependencies built. Cargo judges
    by time, and would take the other's newer artifacts for those of an older file here.
    """
    owner = paths.TARGET / "checkout"
    if owner.exists() and owner.read_text() == str(paths.CHECKOUT):
        return
    for source in (PROXY / "rust").rglob("*.rs"):
        os.utime(source)
    paths.TARGET.mkdir(parents=True, exist_ok=True)
    owner.write_text(str(paths.CHECKOUT))


def wheel() -> Path:
    """The wheel of agent and engine for the sources as they are now."""
    claim_target()
    sources = [PROXY / "pyproject.toml", PROXY / "dbproxy", PROXY / "rust"]
    folder = paths.CORE / inputs.digest(sources, run(["rustc", "--version"]))
    if not folder.exists():
        with step("Building the proxy's wheel (Rust, release)"):
            unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
            command: Command = [program("maturin"), "build", "--release", "--locked", "--quiet"]
            environment = {"CARGO_TARGET_DIR": str(paths.TARGET), "PYO3_PYTHON": sys.executable}
            run([*command, "--out", unfinished], cwd=PROXY, env=environment)
            unfinished.rename(folder)
        forget_older(folder)
    found = sorted(folder.glob("*.whl"))
    if len(found) != 1:
        raise StepError(f"{folder} should hold one wheel; remove the folder and try again")
    return found[0]


def forget_older(current: Path) -> None:
    others = [path for path in current.parent.iterdir() if path != current]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-3]:
        shutil.rmtree(path)


def core() -> None:
    """Makes `import dbproxy` from the checkout find the engine that was built outside of it."""
    built = wheel()
    engine = built.parent / ENGINE
    if not engine.exists():
        with zipfile.ZipFile(built) as archive:
            engine.write_bytes(archive.read(f"dbproxy/{ENGINE}"))
    link = PROXY / "dbproxy" / ENGINE
    if not link.is_symlink() or link.resolve() != engine:
        link.unlink(missing_ok=True)
        link.symlink_to(engine)
        note(f"engine: {built.parent.name}")


def dependencies(name: str) -> Path:
    """The locked packages of one program, as a folder for its image."""
    lock = REQUIREMENTS / f"{name}.txt"
    folder = paths.IMAGES / f"{name}-dependencies-{inputs.digest([lock], platform.machine())}"
    if not folder.exists():
        with step(f"Collecting the {name} image's Python packages"):
            unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
            fitting: list[str] = []
            for glibc in IMAGE_GLIBC:
                fitting += ["--platform", f"manylinux_{glibc}_{platform.machine()}"]
            command: Command = [program("pip"), "install", "--quiet", "--require-hashes"]
            command += ["--no-compile", "--python-version", IMAGE_PYTHON, *fitting]
            command += ["--only-binary=:all:", "--target", unfinished, "--requirement", lock]
            run(command)
            unfinished.rename(folder)
    return folder


def unpack_program(name: str, folder: Path) -> None:
    if name == "operator":
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(OPERATOR / "dbproxy_operator", folder / "dbproxy_operator", ignore=ignored)
        return
    with zipfile.ZipFile(wheel()) as archive:
        archive.extractall(folder)


def program_sources(name: str) -> list[Path]:
    return [OPERATOR / "dbproxy_operator"] if name == "operator" else [wheel()]
