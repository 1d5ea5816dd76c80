"""Whether a folder holds only files that can be read without running anything: JSON and safetensors."""

from __future__ import annotations

import json
from pathlib import Path

from recgym.conformance import require

_RULE = "nothing is pickled"
_ADVICE = "Write settings as JSON and weights as safetensors; reading a pickle runs whatever is in it."


def check_saved_files(folder: Path) -> None:
    """Refuse anything but complete .json and .safetensors files, and files of these names that hold something else."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    require(bool(files), "saving", f"save wrote no file into {folder.name!r}", "Write at least the settings.")
    for path in files:
        readable = {".json": _is_json, ".safetensors": _is_safetensors}.get(path.suffix)
        found = _what_it_is(path)
        require(
            readable is not None and readable(path), _RULE, f"{path.relative_to(folder)} is {found}", _ADVICE
        )  # fmt: skip


def _what_it_is(path: Path) -> str:
    head = path.read_bytes()[:8]
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "a pickle"
    if head[:4] == b"PK\x03\x04":
        return "a zip archive (torch.save and Stable-Baselines3 put pickles into them)"
    return f"a file of {path.stat().st_size} bytes that is neither JSON nor safetensors"


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _is_safetensors(path: Path) -> bool:
    """A length of 8 bytes, a JSON header of that length, and then exactly the bytes that the header speaks of."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        ends = [part["data_offsets"][1] for name, part in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return len(content) == 8 + length + max(ends, default=0)
