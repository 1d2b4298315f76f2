"""Builds the images and puts them into the cluster; each only when what it is made from changed.

With Docker and kind, Docker builds. Without, mmdebstrap makes the base and buildah the rest, and
containerd imports the archives; the Dockerfiles are the same ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import containerd, inputs, kind, mysql, packages, paths, python
from .console import Command, StepError, run, step

FILES = paths.CHECKOUT / "images"
PROGRAMS = ("operator", "proxy")
ALL = ("postgres", "mysql", *PROGRAMS)
PREFIX = "localhost/dbproxy"
# Where this machine gets Debian from: the newer form of the file, or the older.
SOURCES_LISTS = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
NOT_NEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
MMDEBSTRAP = ["mmdebstrap", "--variant=minbase", "--include=python3", "--quiet"]
MMDEBSTRAP += [f"--dpkgopt=path-exclude={pattern}" for pattern in NOT_NEEDED]


def make(wanted: list[str]) -> None:
    docker = packages.docker_with_kind()
    if not docker:
        python.venv()
    for name in wanted or ALL:
        if docker:
            with_docker(name)
        else:
            into_local_node(name)


def identity(name: str) -> str:
    """Tells one build of an image from another, though both have the tag `dev`."""
    image = f"{PREFIX}-{name}:dev"
    if packages.docker_with_kind():
        return run(["docker", "image", "inspect", "--format", "{{.Id}}", image]).strip()
    return containerd.images()[image]


def into_local_node(name: str) -> None:
    image, base = f"{PREFIX}-{name}", base_key()
    sources = [FILES / name]
    if name in PROGRAMS:
        sources += python.program_sources(name)
        sources += [python.REQUIREMENTS / f"{name}.txt"]
    if name == "mysql":
        sources.append(mysql.LOCK)
    key = inputs.digest(sources, base)
    present = containerd.images()
    if f"{image}:{key}" not in present:
        archive = paths.IMAGES / f"{name}-{key}.tar"
        if not archive.exists():
            with step(f"Building the {name} image"):
                build(name, f"{image}:{key}", archive, base)
        with step(f"Importing the {name} image ({archive.stat().st_size >> 20} MB)"):
            containerd.import_archive(archive)
        forget_older(name, key, present)
    if present.get(f"{image}:dev") != containerd.images()[f"{image}:{key}"]:
        containerd.tag(f"{image}:{key}", f"{image}:dev")


def forget_older(name: str, key: str, present: dict[str, str]) -> None:
    for archive in paths.IMAGES.glob(f"{name}-*.tar"):
        if archive.name != f"{name}-{key}.tar":
            archive.unlink()
    for other in present:
        if other.startswith(f"{PREFIX}-{name}:") and not other.endswith((":dev", f":{key}")):
            containerd.remove_image(other)


def buildah(*words: str | Path) -> str:
    driver = "overlay" if containerd.snapshotter() == "overlayfs" else "vfs"
    storage: Command = ["--root", paths.CACHE / "buildah", "--runroot", "/run/dbproxy-buildah"]
    return run(["buildah", *storage, "--storage-driver", driver, *words])


def base_key() -> str:
    return inputs.digest([sources_list()], *MMDEBSTRAP)


def sources_list() -> Path:
    for path in map(Path, SOURCES_LISTS):
        if path.exists():
            return path
    raise StepError(f"no list of Debian's sources: neither of {' '.join(SOURCES_LISTS)} is there")


def base_image(key: str) -> str:
    name = f"{PREFIX}-base:{key}"
    known = buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
    if name not in known:
        with step("Making the base image (Debian 12 with Python)"):
            root = paths.IMAGES / "base.tar"
            run([*MMDEBSTRAP, "bookworm", root, sources_list()])
            container = buildah("from", "scratch").strip()
            buildah("add", "--quiet", container, root, "/")
            buildah("commit", "--quiet", container, name)
            buildah("rm", container)
            root.unlink()
    return name


def build(name: str, image: str, archive: Path, base: str) -> None:
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    base_name = base_image(base)
    context = context_of(name)
    command = ["build", "--quiet", "--layers", "--pull-never", "--network", "host"]
    command += ["--isolation", "chroot", "--build-arg", f"BASE={base_name}", "--tag", image]
    buildah(*command, context)
    buildah("push", "--quiet", image, f"docker-archive:{archive}:{image}")
    shutil.rmtree(context)


def context_of(name: str) -> Path:
    """A folder with the image's Dockerfile, and the Python packages that it copies."""
    context = paths.IMAGES / f"{name}-context"
    if context.exists():
        shutil.rmtree(context)
    shutil.copytree(FILES / name, context)
    if name in PROGRAMS:
        shutil.copytree(python.dependencies(name), context / "dependencies")
        python.unpack_program(name, context / "program")
    if name == "mysql":
        add_mysql(context)
    return context


def add_mysql(context: Path) -> None:
    """MySQL's server, which Debian has not."""
    mysql.ensure_server()
    shutil.copytree(mysql.MYSQL, context / "mysql", symlinks=True, dirs_exist_ok=True)


def with_docker(name: str) -> None:
    base, image = f"{PREFIX}-base:dev", f"{PREFIX}-{name}:dev"
    with step(f"Building and loading the {name} image with Docker"):
        run(["docker", "build", "--quiet", "--tag", base, FILES / "base"])
        context = FILES / name
        if name in PROGRAMS:
            site = paths.IMAGES / "site"
            dockerfile = FILES / "site" / "Dockerfile"
            output = f"type=local,dest={site}"
            run(["docker", "build", "--file", dockerfile, "--output", output, paths.CHECKOUT])
            context = paths.IMAGES / f"{name}-context"
            shutil.copytree(site / name, context, dirs_exist_ok=True)
            shutil.copy(FILES / name / "Dockerfile", context)
        elif name == "mysql":
            context = context_of(name)
        run(["docker", "build", "--quiet", "--build-arg", f"BASE={base}", "--tag", image, context])
        run(["kind", "load", "docker-image", "--name", kind.NAME, image])
