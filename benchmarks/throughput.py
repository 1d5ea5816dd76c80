"""User-steps per CPU-second of RecGym's views, one thread, observation and `info` included; memory; first step.

    python benchmarks/throughput.py            # all settings, writes benchmarks/results/throughput.json
    python benchmarks/throughput.py --quick    # one pass, nothing written

Every setting runs in a process of its own (so that its memory is its own), with random actions drawn before the
clock and autoresets inside it. The first number of a process, `first_step_s`, is the time from `import recgym` to the
end of the first step with a warm compilation cache. A user-step is one user receiving one recommendation (a whole slate
counts once) and answering it.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

USERS = (1, 64, 1_024, 16_384)
ITEMS = (7_583, 1_000_000)
SLATES = (1, 6)
REPEATS = 5
RESULT = Path(__file__).parent / "results" / "throughput.json"

PEERS = (
    ("RecSim NG, interest evolution", 1_000, 2, 336_000),
    ("EasyRL4Rec KuaiEnv (matrix look-up)", 1, 1, 252_000),
    ("SCOPE-RL RECEnv", 1, 1, 63_800),
    ("RecSim, long-term satisfaction", 1, 2, 28_400),
    ("SARDINE SingleItem-BoredInf", 1, 1, 13_500),
    ("RecoGym v1", 1, 1, 13_100),
    ("VirtualTaobao", 1, 10, 2_800),
    ("KuaiSim, whole session (learned users)", 32, 6, 329),
)
"""Peers' user-steps per CPU-second, measured for the project on a shared two-core Xeon (November 2026): name, users at
once, slate, speed. Another machine than this one: ratios of ten mean something, ratios of 1.2 do not."""


def measure(users: int, items: int, slate: int, seconds: float) -> dict[str, float]:
    """One setting in this process: median speed of `REPEATS` timed loops, first step, peak memory."""
    began = time.perf_counter()
    import gymnasium as gym
    import numpy as np

    import recgym  # noqa: F401 (registers the worlds)

    world = "recgym/ShortVideo-v0"
    rng = np.random.default_rng(0)
    single = users == 1
    env = gym.make(world, n_items=items, slate_size=slate) if single else None
    many = None if single else gym.make_vec(world, num_envs=users, n_items=items, slate_size=slate)
    actions = _actions(rng, 64, users, items, slate)
    _play_single(env, actions, 1) if env else _play_vector(many, actions, 1)
    first_step_s = time.perf_counter() - began
    play = (lambda n: _play_single(env, actions, n)) if env else (lambda n: _play_vector(many, actions, n))
    steps = max(int(5e6 // users // 50), 8)
    while _cpu(play, steps) < seconds / 4:
        steps *= 2
    speed = [users * steps / _cpu(play, steps) for _ in range(REPEATS)]
    return {
        "users": users, "items": items, "slate": slate, "user_steps_per_cpu_s": statistics.median(speed),
        "slowest": min(speed), "fastest": max(speed), "first_step_s": first_step_s,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def _actions(rng, rounds, users, items, slate):
    """Random slates of distinct items, drawn before the clock: a random item and its neighbours."""
    import numpy as np

    first = rng.integers(0, items, (rounds, users))
    if slate == 1:
        return first[:, 0] if users == 1 else first
    slates = (first[..., None] + np.arange(slate) * 997) % items
    return slates[:, 0] if users == 1 else slates


def _play_single(env, actions, steps):
    env.reset(seed=0)
    for step in range(steps):
        _, _, terminated, truncated, _ = env.step(actions[step % len(actions)])
        if terminated or truncated:
            env.reset()


def _play_vector(env, actions, steps):
    env.reset(seed=0)
    for step in range(steps):
        env.step(actions[step % len(actions)])


def _cpu(play, steps):
    began = time.process_time()
    play(steps)
    return time.process_time() - began


def run(quick: bool) -> None:
    """Measure every setting in processes of their own, print the table, write the JSON."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(threads, "1")
    rows = []
    settings = [(u, n, k) for n in ITEMS for k in SLATES for u in USERS]
    measure_alone(1, ITEMS[0], 1, 0.1, environment)  # fills the compilation cache
    for users, items, slate in settings:
        rows.append(measure_alone(users, items, slate, 0.2 if quick else 1.0, environment))
        print(line(rows[-1]), flush=True)
    print("\nPeers, as measured for the project on another machine:")
    for name, users, slate, speed in PEERS:
        print(f"  {name:42} {users:6,} users  slate {slate:2}  {speed:12,} user-steps per CPU-s")
    if not quick:
        RESULT.parent.mkdir(exist_ok=True)
        machine = {"processor": _processor(), "python": platform.python_version(), "load": os.getloadavg()[0]}
        RESULT.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
        print(f"\nwritten: {RESULT}")


def measure_alone(users, items, slate, seconds, environment):
    """One setting in a fresh process; the fastest first step of two, since the first may read a cold disk."""
    command = [sys.executable, __file__, "--one", str(users), str(items), str(slate), str(seconds)]
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def line(row: dict[str, float]) -> str:
    """One row for people."""
    return (
        f"{row['users']:7,.0f} users  {row['items']:9,.0f} items  slate {row['slate']:.0f}  "
        f"{row['user_steps_per_cpu_s']:12,.0f} user-steps per CPU-s  first step {row['first_step_s']:.2f} s  "
        f"{row['peak_memory_mb']:6,.0f} MB"
    )


def _processor() -> str:
    for entry in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if entry.startswith("model name"):
            return entry.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    if "--one" in sys.argv:
        at = sys.argv.index("--one") + 1
        print(json.dumps(measure(*(int(value) for value in sys.argv[at : at + 3]), float(sys.argv[at + 3]))))
    else:
        run("--quick" in sys.argv)
