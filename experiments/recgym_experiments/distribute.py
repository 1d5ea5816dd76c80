"""The cells of a comparison on a Ray cluster: nothing but Ray is shared between the machines, no file system is."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recgym.errors import MissingExtra
from recgym_experiments.cells import Cell, Conditions, read_outcome, run_cell, training_log
from recgym_experiments.progress import CellProgress


def run_on_ray(
    todo: Sequence[Cell], conditions: Conditions, out: Path, address: str | None, progress: CellProgress
) -> None:
    """Run cells on the Ray cluster at `address`, or on one started on this machine; each result is kept as it comes.

    The world, and the log of each training seed, are sent once and shared; every cell takes one core.

    Raises:
        MissingExtra: Ray is not installed.
    """
    ray = _ray()
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        world = ray.put(conditions)
        logs = _shared_logs(ray, todo, conditions, out, progress)
        work = ray.remote(num_cpus=1, max_retries=1)(_run_far_away)
        progress.begin(f"{len(todo)} cells on Ray, {int(ray.cluster_resources().get('CPU', 0))} cores", None)
        waiting = {
            work.remote(cell, world, logs.get(cell.seed) if cell.learns_from == "log" else None): cell for cell in todo
        }
        while waiting:
            ready, _ = ray.wait(list(waiting), num_returns=1)
            cell = waiting.pop(ready[0])
            _unpack(ray.get(ready[0]), cell, out)
            seconds = read_outcome(cell, out).seconds
            progress.done(
                f"{cell.agent}, seed {cell.seed}: done in {seconds['learning'] + seconds['evaluation']:.1f} s"
            )
    finally:
        if started_here:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("--ray needs Ray, which is not installed: pip install 'recgym[scale]'.") from error
    return ray


def _shared_logs(
    ray: Any, todo: Sequence[Cell], conditions: Conditions, out: Path, progress: CellProgress
) -> dict[int, Any]:
    """Training seed -> reference to the bytes of its log, made here."""
    logs: dict[int, Any] = {}
    for seed in sorted({cell.seed for cell in todo if cell.learns_from == "log"}):
        training_log(conditions, seed, out, progress)
        logs[seed] = ray.put((out / "logs" / f"seed_{seed}.parquet").read_bytes())
    return logs


def _run_far_away(cell: Cell, conditions: Conditions, log: bytes | None) -> bytes:
    """Run a cell in a folder of its own, on whichever machine, and send that folder back as a tar file."""
    from rich.console import Console

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if log is not None:
            (folder / "logs").mkdir()
            (folder / "logs" / f"seed_{cell.seed}.parquet").write_bytes(log)
        run_cell(cell, conditions, folder, CellProgress(Console(quiet=True), 1))
        return _packed(cell, folder)


def _packed(cell: Cell, folder: Path) -> bytes:
    """The finished cell and its TensorBoard files as a tar file; the cell comes last."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for part in (cell.events(folder), cell.folder(folder)):
            if part.exists():
                tar.add(part, arcname=part.relative_to(folder))
    return packed.getvalue()


def _unpack(packed: bytes, cell: Cell, out: Path) -> None:
    """Put a cell that came back into its place, whole or not at all."""
    place = cell.folder(out)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".far.", suffix=".partial") as name:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(name, filter="data")
        _move(cell.events(Path(name)), cell.events(out))
        _move(cell.folder(Path(name)), place)


def _move(source: Path, target: Path) -> None:
    import shutil

    if source.exists():
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
