"""PyTorch DistributedDataParallel over Gloo as a user would write it: milliseconds a step on the slowest of two
processes with one thread each. Prints one JSON line for each model and batch size given, as MODEL:BATCH.
    /usr/bin/python3 experiments/bench/ddp_reference.py cnn:10 mlp:64 ..."""
import json
import os
import sys
import tempfile
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

RANKS, EXAMPLES, SECONDS, REPEATS = 2, 640, 0.5, 5


def model_of(name):
    if name == "cnn":
        return nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                             nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                             nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10))
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(),
                         nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10))


def measure(name, batch):
    """Seconds of a step: the median over repeats of the slowest rank's mean."""
    torch.manual_seed(1)
    model = nn.parallel.DistributedDataParallel(model_of(name))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss_of = nn.CrossEntropyLoss()
    features, labels = torch.rand(EXAMPLES, 1, 28, 28), torch.randint(10, (EXAMPLES,))
    batches = list(zip(features.split(batch), labels.split(batch)))

    def run(steps):
        dist.barrier()
        start = time.perf_counter()
        for i in range(steps):
            x, y = batches[i % len(batches)]
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(x), y).backward()
            optimizer.step()
        seconds = torch.tensor([(time.perf_counter() - start) / steps])
        dist.all_reduce(seconds, op=dist.ReduceOp.MAX)
        return seconds.item()

    run(3)
    steps = max(5, min(200, int(SECONDS / run(5))))
    times = sorted(run(steps) for _ in range(REPEATS))
    return times[REPEATS // 2], sum(p.numel() for p in model.parameters())


def work(rank, cases, meeting):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=RANKS)
    for case in cases:
        name, batch = case.split(":")
        seconds, parameters = measure(name, int(batch))
        if rank == 0:
            print(json.dumps({"model": name, "batch_size": int(batch), "parameters": parameters,
                              "ddp_step_ms": seconds * 1e3,
                              "ddp_samples_per_s": RANKS * int(batch) / seconds}), flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, (sys.argv[1:], os.path.join(folder, "meeting")), nprocs=RANKS)
