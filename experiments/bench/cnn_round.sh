#!/usr/bin/env bash
# A federated round of the CNN on MNIST (100 clients, 10 a round, E = 1, B = 10, 10,000 test images each round) on two
# cores, beside the same training and evaluation in a plain libtorch loop as a user would write it. Interleaved, medians
# of REPEATS (5). The loop comes in three forms:
#   plain  one process whose operations take two threads, client after client
#   split  two processes of one thread, each with half the clients and half the test images; what they would have to
#          send each other costs them nothing here
#   tuned  the same with the OpenBLAS kernels that our program chooses on AVX-512 machines
# Ends with 77 where MNIST is missing, with 1 where ours is less than 1.15 times as fast as the plain loop.
#   experiments/bench/cnn_round.sh [OUT.json]
set -euo pipefail
cd "$(dirname "$0")/../.."
gossamer=${GOSSAMER:-build/release/gossamer}
reference=$(dirname "$gossamer")/gossamer-bench-reference
exec python3 - "$gossamer" "$reference" "${REPEATS:-5}" "${1:-}" <<'PY'
import json, os, statistics, subprocess, sys, tempfile

gossamer, reference, repeats, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]


def ours():
    """Seconds of the second round: the first one also warms up, as does that of the loops."""
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        keys = {"data.dataset": "mnist", "data.clients": 100, "data.partition": "iid", "model.name": "cnn",
                "cohort.fraction": 0.1, "client.local_epochs": 1, "client.batch_size": 10, "client.lr": 0.1,
                "run.rounds": 2, "run.threads": 2, "run.eval_every": 1, "run.out": run}
        words = [word for key, value in keys.items() for word in ("--" + key, str(value))]
        status = subprocess.run([gossamer, "simulate", "-q"] + words).returncode
        if status != 0:
            sys.exit(77 if status == 4 else status)
        rounds = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
        assert rounds[1]["samples"] == 6000
        return rounds[1]["wall_s"] - rounds[0]["wall_s"]


class Loop:
    def __init__(self, processes, threads, **settings):
        # One thread for BLAS: with libtorch's own two, more of them only get into each other's way.
        environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS=str(threads), **settings)
        words = [reference, "cnn", "10", str(10 // processes), str(10000 // processes), str(threads)]
        self.processes = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                           env=environment) for _ in range(processes)]

    def round(self):
        for process in self.processes:
            process.stdin.write("go 0\n")
            process.stdin.flush()
        return max(float(process.stdout.readline()) for process in self.processes)


ours()  # reads the files into the page cache, and ends here where there are none
loops = {"plain": Loop(1, 2), "split": Loop(2, 1)}
if {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= set(open("/proc/cpuinfo").read().split()):
    loops["tuned"] = Loop(2, 1, OPENBLAS_CORETYPE="SKYLAKEX")
subjects = {"ours": ours} | {name: loop.round for name, loop in loops.items()}
seconds = {name: [] for name in subjects}
for loop in loops.values():
    loop.round()
for _ in range(repeats):
    for name, subject in subjects.items():
        seconds[name].append(subject())
median = {name: statistics.median(values) for name, values in seconds.items()}
for name, values in seconds.items():
    ratio = "" if name == "ours" else f"   {median[name] / median['ours']:.2f} times ours"
    print(f"{name:6} {median[name]:6.2f} s   best {min(values):.2f} s{ratio}")
row = {"benchmark": "cnn_round", "threads": 2, "repeats": repeats, "round_s": median["ours"]}
for name in loops:
    row |= {f"{name}_loop_s": median[name], f"{name}_loop_ratio": median[name] / median["ours"]}
if out:
    with open(out, "w") as file:
        file.write(json.dumps([row], indent=2) + "\n")
sys.exit(0 if row["plain_loop_ratio"] >= 1.15 else 1)
PY
