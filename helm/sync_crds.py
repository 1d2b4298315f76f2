"""Copy the custom resources from crds/ into the chart, wrapped in the chart's conditions.

`make sync-crds` calls it; `make lint` calls it with --check, which changes nothing and fails if a
copy is out of step.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "crds"
COPIES = HERE / "dbproxy" / "templates" / "crds"

ANNOTATIONS = """\
  labels:
    {{- include "dbproxy.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def wrap(source: Path) -> str:
    """The chart's template of one custom resource."""
    text = source.read_text(encoding="utf-8")
    if "{{" in text:
        raise SystemExit(f"{source.name}: holds '{{{{', which Helm would take for a template")
    head, name, rest = text.partition(f"\n  name: {source.stem}.dbproxy.dev\n")
    if not name:
        raise SystemExit(f"{source.name}: has no line 'name: {source.stem}.dbproxy.dev'")
    return (
        f"{{{{- /* A copy of crds/{source.name}, made by helm/sync_crds.py: edit that one. */}}}}\n"
        "{{- if .Values.crds.enabled }}\n"
        f"{head}{name}{ANNOTATIONS}{rest}"
        "{{- end }}\n"
    )


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: sync_crds.py [--check]", file=sys.stderr)
        return 2
    wanted = {path.name: wrap(path) for path in sorted(SOURCE.glob("*.yaml"))}
    present = {path.name: path.read_text(encoding="utf-8") for path in COPIES.glob("*.yaml")}
    stale = sorted(
        name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)
    )
    if arguments and stale:
        print(f"out of step with crds/: {', '.join(stale)}; run `make sync-crds`", file=sys.stderr)
        return 1
    COPIES.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in wanted:
            (COPIES / name).write_text(wanted[name], encoding="utf-8")
        else:
            (COPIES / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
