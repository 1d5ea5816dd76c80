"""`recgym fit`, `recgym fidelity` and `recgym simulate`: from logs to simulated users, and back to logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.markup import escape

from recgym.errors import BadData, WrongSetting
from recgym_experiments.agent_settings import parse_overrides
from recgym_experiments.flags import parsed, peek, settings_of
from recgym_experiments.progress import CellProgress
from recgym_experiments.screen import screen

DEFAULT = "default"
"""What `recgym fidelity` calls the embedded users."""


@dataclass(frozen=True)
class SimulateSettings:
    """Which policy meets how many simulated users, and where the log goes."""

    world: str = "recgym/ShortVideo-v0"
    """World to play in, see `recgym worlds`."""
    users: str | None = None
    """Folder written by `recgym fit`, or name of a registered user model, instead of the world's own users."""
    agent: str = "logging"
    """Agent that chooses, see `recgym agents`; one that has to learn first needs --checkpoint."""
    checkpoint: Path | None = None
    """Folder of a trained agent, such as runs/demo/agents/ppo/seed_0/agent; takes the place of --agent."""
    overrides: Annotated[
        tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="set", metavar="AGENT.SETTING=VALUE")
    ] = ()
    """Settings of the agent, such as logging.epsilon=0.5."""
    sessions: int = 1000
    """Episodes to play, one for each user seed."""
    seed: int = 0
    """User seeds are seed, seed + 1, ...; the same seeds, the same people with the same luck."""
    observations: bool = False
    """Keep what the policy saw, which most learners need; makes the file several times larger."""
    out: Path = Path("log.parquet")
    """Parquet file to write; read it with recgym.InteractionLog.load."""

    def __post_init__(self) -> None:
        if self.sessions < 1:
            raise WrongSetting(f"sessions is {self.sessions}; at least 1 is needed.")


def simulate(words: Sequence[str]) -> None:
    """Let a policy play and write the log."""
    settings = parsed(SimulateSettings, words, "simulate")
    from recgym.rollout import rollout
    from recgym_envs.worlds import make_simulator

    console = screen()
    simulator = make_simulator(settings.world, users=settings.users)
    agent = _playing_agent(settings, simulator)
    with CellProgress(console) as progress:
        progress.begin(f"{settings.sessions:,} sessions", settings.sessions)
        seed = settings.seed + np.arange(settings.sessions)
        log = rollout(agent.policy, simulator, seed, observations=settings.observations, progress=progress.move)
    log.save(settings.out)
    console.print(
        f"{settings.out}: {len(log):,} exposures of {log.n_users:,} users, "
        f"{float(log.array('watch_time_s').sum()) / settings.sessions:.1f} s watched per session.",
        highlight=False,
    )


def fit(words: Sequence[str]) -> None:
    """Fit users to a log read by one of the loaders; every setting of the loader is a flag."""
    from recgym.loaders import LOADERS

    if not words or words[0] in ("-h", "--help"):
        _list_loaders()
        return
    name = words[0]
    settings = parsed(_fit_settings(name), words[1:], f"fit {name}")
    from recgym.users.fitted import save_fitted
    from recgym.users.fitting import fit as fit_users

    console = screen()
    dataset = LOADERS.get(name)(_folder(settings.folder), settings.loader)
    _print_notes(console, dataset.notes)
    with CellProgress(console) as progress:
        world = fit_users(dataset, settings.fit, progress.stage)
    _print_notes(console, [note for note in world.notes if note not in dataset.notes])
    save_fitted(world, settings.out)
    console.print(
        f"{settings.out}: {world.users.n_users:,} users and {len(world.catalog):,} items, fitted to "
        f"{len(dataset.log):,} exposures. Play on them: --users {settings.out}",
        highlight=False,
    )


def fidelity(words: Sequence[str]) -> None:
    """Compare the default users with the published tables, or fitted ones with a log; table, JSON and HTML."""
    loader = peek(words, "--loader", "kuairand")
    settings = parsed(_fidelity_settings(loader), words, "fidelity")
    from recgym_experiments.fidelity_page import write_page

    console = screen()
    with CellProgress(console) as progress:
        report = _fidelity_report(settings, loader, progress)
    report.save(settings.out / "fidelity.json")
    write_page(report, settings.out / "fidelity.html")
    console.print(report.table())
    _print_notes(console, report.notes)
    console.print(
        f"All lines: {settings.out / 'fidelity.json'}   Report: {settings.out / 'fidelity.html'}", highlight=False
    )


def _fidelity_report(settings: Any, loader: str, progress: CellProgress) -> Any:
    """The report that the flags ask for."""
    from recgym.fidelity import default_fidelity, fitted_fidelity
    from recgym.loaders import LOADERS
    from recgym.users.fitted import load_fitted

    if settings.users == DEFAULT:
        if settings.log is not None:
            raise WrongSetting(
                f"the default users are nobody's in particular and cannot be shown the log {settings.log}; leave out "
                "--log to compare them with the published tables, or fit users to such a log first: recgym fit."
            )
        return default_fidelity()
    if settings.log is None:
        raise WrongSetting(
            f"users fitted to a log are compared with a log: give its folder, --log FOLDER (beside {settings.users})."
        )
    world = load_fitted(_folder(Path(settings.users)))
    dataset = LOADERS.get(loader)(_folder(settings.log), settings.loader_settings)
    return fitted_fidelity(
        world,
        dataset,
        settings.seed,
        settings.replays,
        progress=lambda share: progress.stage("replaying the log", share),
    )


def _playing_agent(settings: SimulateSettings, simulator: Any) -> Any:
    """The agent that plays: fresh if it has nothing to learn, otherwise from its checkpoint."""
    from recgym_agents import AGENTS, agent_settings, make_agent
    from recgym_agents.construction import load_agent

    if settings.checkpoint is not None:
        return load_agent(_folder(settings.checkpoint), simulator)
    if AGENTS.get(settings.agent).learns_from != "nothing":
        raise WrongSetting(
            f"the agent {settings.agent!r} has to learn before it can play: give --checkpoint the folder of a trained "
            f"one, such as runs/demo/agents/{settings.agent}/seed_0/agent, which `recgym compare` writes."
        )
    texts = [text for group in settings.overrides for text in group]
    changed = parse_overrides(texts, {settings.agent: agent_settings(settings.agent)})
    return make_agent(settings.agent, simulator, **changed.get(settings.agent, {}))


def _fit_settings(loader: str) -> type[Any]:
    """Dataclass of the flags of `recgym fit LOADER`."""
    from recgym.users.fitting import FitSettings

    kind: Any = _loader_settings(loader)
    return make_dataclass(
        "FitCommand",
        [
            ("folder", Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="Folder of the data set.")]),
            ("out", Annotated[Path, tyro.conf.arg(help="Folder to write the fitted users and catalogue to.")]),
            ("loader", Annotated[kind, tyro.conf.OmitArgPrefixes], field(default_factory=kind)),
            ("fit", FitSettings, field(default_factory=FitSettings)),
        ],
        frozen=True,
    )


def _fidelity_settings(loader: str) -> type[Any]:
    """Dataclass of the flags of `recgym fidelity`, with those of the loader among them."""
    kind: Any = _loader_settings(loader)
    return make_dataclass(
        "FidelityCommand",
        [
            ("users", Annotated[tyro.conf.Positional[str], tyro.conf.arg(help=(
                "Folder written by `recgym fit`, or \"default\": the embedded users beside the published tables."
            ))], DEFAULT),
            ("log", Annotated[Path | None, tyro.conf.arg(help=(
                "Folder of the log to compare with; best one that the users were not fitted to."))], None),
            ("loader", Annotated[str, tyro.conf.arg(help="Loader that reads the log, see `recgym fit`.")], loader),
            ("out", Annotated[Path, tyro.conf.arg(help="Folder of the results.")], Path("runs/fidelity")),
            ("seed", Annotated[int, tyro.conf.arg(help="Luck of the users and of the bootstrap.")], 0),
            ("replays", Annotated[int, tyro.conf.arg(help="How often the log is shown.")], 5),
            ("loader_settings", Annotated[kind, tyro.conf.OmitArgPrefixes], field(default_factory=kind)),
        ],
        frozen=True,
    )  # fmt: skip


def _loader_settings(name: str) -> type[Any]:
    """The settings dataclass of a loader."""
    from recgym.loaders import LOADERS

    return settings_of(LOADERS.get(name), "loader", name)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise BadData(f"{path}: no such folder.")
    return path


def _list_loaders() -> None:
    """Help of `recgym fit` before a loader is chosen."""
    from recgym.loaders import LOADERS
    from recgym_experiments.command_line import COMMANDS

    console = screen()
    console.print("[bold]Usage:[/bold] recgym fit LOADER FOLDER --out DIR [--flags]    (recgym fit LOADER --help)\n")
    console.print(f"{COMMANDS['fit'].summary}\n\nExample: {escape(COMMANDS['fit'].example)}\n", highlight=False)
    for name in LOADERS.names():
        summary = (import_module(LOADERS.get(name).__module__).__doc__ or "").strip().partition("\n")[0]
        console.print(f"  [cyan]{name}[/cyan]  {escape(summary)}", highlight=False)


def _print_notes(console: Any, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"[dim]- {escape(note)}[/dim]", highlight=False)
