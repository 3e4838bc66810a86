#!/usr/bin/env bash
# A training step of sync_sgd over `ring` beside PyTorch's DistributedDataParallel over Gloo (Debian's python3-torch):
# two processes with one thread each on this machine, the CNN and an MLP of 10 M parameters, batches of 10 and 64.
# The programs take turns, REPEATS (3) times; medians. Bars:
#   samples/s at least 1.6 times DDP's at B = 10; at B = 64 1.2 (CNN) and 1.3 (MLP)
#   at least 0.85 (CNN) and 0.7 (MLP) of two of our own processes that never communicate
#   over an emulated wire on which a gradient takes as long as a step's computation, a step of at most 1.25 times that,
#   with the default algorithm.sync_sgd.factors or with `shorter`, meant for slow networks
# Ends with 77 where mpirun or Python's torch is missing, with 1 where a bar is missed.
#   experiments/bench/ddp.sh [OUT.json]
set -euo pipefail
cd "$(dirname "$0")/../.."
gossamer=${GOSSAMER:-build/release/gossamer}
python=${PYTHON:-/usr/bin/python3}
skip() {
  echo "ddp.sh: $*" >&2
  exit 77
}
command -v mpirun >/dev/null || skip "no mpirun here; scripts/install_deps.sh installs it"
"$python" -c 'import torch.distributed as d; assert d.is_available() and hasattr(d, "ProcessGroupGloo")' 2>/dev/null ||
  skip "$python has no torch with Gloo; scripts/install_deps.sh --tests installs python3-torch"
exec "$python" - "$gossamer" "${REPEATS:-3}" "${1:-}" <<'PY'
import json, os, statistics, subprocess, sys, tempfile

gossamer, repeats, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
cases = [("cnn", 10), ("cnn", 64), ("mlp", 10), ("mlp", 64)]
ddp_bars = {("cnn", 10): 1.6, ("mlp", 10): 1.6, ("cnn", 64): 1.2, ("mlp", 64): 1.3}
alone_bars = {"cnn": 0.85, "mlp": 0.7}
wired_bar = 1.25
environment = dict(os.environ, OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def ours():
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run(["mpirun", "-n", "2", gossamer, "bench", "ddp", "--json", file.name], check=True,
                       stdout=subprocess.DEVNULL, env=environment)
        return json.load(open(file.name))


def theirs():
    words = [sys.executable, "experiments/bench/ddp_reference.py"] + [f"{model}:{batch}" for model, batch in cases]
    text = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return [json.loads(line) for line in text.splitlines()]


samples = {case: {} for case in cases}
for _ in range(repeats):
    for row in ours() + theirs():
        assert row.get("same", True), "the ranks' weights differ"
        for key, value in row.items():
            samples[row["model"], row["batch_size"]].setdefault(key, []).append(value)

rows, missed = [], False
print(f"{'model':6} {'B':>3} {'ours ms':>8} {'DDP ms':>8} {'speed-up':>16} {'of alone':>16} {'wired':>16}")
for case in cases:
    model, batch = case
    row = {key: statistics.median(values) if isinstance(values[0], float) else values[0]
           for key, values in samples[case].items()}
    assert len(set(samples[case]["parameters"])) == 1, "not the same model"
    row["ddp_ratio"] = row["ddp_step_ms"] / row["step_ms"]
    row["alone_ratio"] = row["alone_ms"] / row["step_ms"]
    for wired in ("wired", "wired_shorter"):
        row[f"{wired}_ratio"] = row[f"{wired}_step_ms"] / max(row["wire_ms"], row["alone_ms"])
    best = min(row["wired_ratio"], row["wired_shorter_ratio"])
    verdicts = [(row["ddp_ratio"], ddp_bars[case], row["ddp_ratio"] >= ddp_bars[case]),
                (row["alone_ratio"], alone_bars[model], row["alone_ratio"] >= alone_bars[model]),
                (best, wired_bar, best <= wired_bar)]
    cells = [f"{ratio:5.2f} ({bar}) {'ok' if good else 'MISSED':6}" for ratio, bar, good in verdicts]
    print(f"{model:6} {batch:3} {row['step_ms']:8.2f} {row['ddp_step_ms']:8.2f} " + " ".join(cells) +
          f"  default {row['wired_ratio']:.2f}, shorter {row['wired_shorter_ratio']:.2f}")
    missed = missed or not all(good for _, _, good in verdicts)
    rows.append({"benchmark": "ddp", "repeats": repeats} | row)
if out:
    with open(out, "w") as file:
        file.write(json.dumps(rows, indent=2) + "\n")
sys.exit(1 if missed else 0)
PY
