"""The node's first images are valid archives: the digest that the config names is the layer's."""

import hashlib
import json
import tarfile
from pathlib import Path

from tests.cluster.node import archive


def test_writes_an_image_with_the_program_as_its_only_file(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF and so on")
    file = tmp_path / "pause.tar"

    archive.write(file, "localhost/pause:1", program)

    with tarfile.open(file) as image:
        contents = {member.name: image.extractfile(member) for member in image}
        read = {name: stream.read() for name, stream in contents.items() if stream}
    config = json.loads(read["config.json"])
    assert json.loads(read["manifest.json"])[0]["RepoTags"] == ["localhost/pause:1"]
    assert config["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(read['layer.tar']).hexdigest()}"
    ]
    (tmp_path / "layer.tar").write_bytes(read["layer.tar"])
    with tarfile.open(tmp_path / "layer.tar") as layer:
        assert [(member.name, member.mode) for member in layer] == [("pause", 0o755)]
