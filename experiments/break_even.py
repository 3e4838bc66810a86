"""The table of break_even.sh, from its runs: rounds, seconds a round and their product of each method and rate.

Without `check` it prints the whole runs that confirm the table, a name and its rounds a line; with it, it writes
break_even.csv, prints the table and ends with 1 where a bar is missed.
"""
import csv
import json
import os
import statistics
import sys

out, down, rates, seeds, passes, names, choices = sys.argv[1:8]
check = sys.argv[8:] == ["check"]
rates, seeds, names = rates.split(), seeds.split(), names.split()
passes = dict(zip(rates, passes.split()))
choices = {own: f"{ours}/{down}" for own, ours in (pair.split("=") for pair in choices.split())}
BARS = {"10": 5, "100": 2}
CONFIRMED, OF_BEST = 0.15, 0.10


def file_of(name):
    return name.replace("/", "-")


def summary(path):
    end = json.load(open(f"{out}/{path}/summary.json"))
    if end["stopped_by"] == "signal":
        sys.exit(f"FAILED: {out}/{path} was interrupted; remove it and run again")
    return end


def times(path):
    return [json.loads(line)["time_s"] for line in open(f"{out}/{path}/metrics.jsonl")]


def rounds_of(name, seed):
    end = summary(f"rounds/{seed}/{file_of(name)}")
    return end["rounds"] if end["stopped_by"] == "target_accuracy" else None


def mean_rounds(name):
    counts = [rounds_of(name, seed) for seed in seeds]
    return None if None in counts else sum(counts) / len(counts)


def seconds_of(paths):
    """The median over the rounds of all runs; the first of each waits for everybody to come."""
    lengths = []
    for path in paths:
        ends = times(path)
        lengths += [after - before for before, after in zip(ends, ends[1:])]
    return statistics.median(lengths)


def beside_whole_run(name):
    return [f"whole/{file_of(name)}.{when}" for when in ("before", "after")]


def seconds_a_round(rate, name):
    runs = [f"{rate}/{nth}/{file_of(name)}" for nth in range(1, int(passes[rate]) + 1)]
    if rate == "100":
        runs += [run for run in beside_whole_run(name) if os.path.exists(f"{out}/{run}/summary.json")]
    return seconds_of(runs)


rounds = {name: mean_rounds(name) for name in names}
seconds = {(rate, name): seconds_a_round(rate, name) for rate in rates for name in names}
to_target = {(rate, name): rounds[name] * seconds[rate, name] for rate, name in seconds if rounds[name]}
faults = []
if not rounds.get("none"):
    sys.exit("FAILED: none does not come to 97%")


def best_at(rate, among):
    return min((name for name in among if (rate, name) in to_target), key=lambda name: to_target[rate, name])


served = [name for name in names if not name.startswith("ring-")]
whole = ["none", best_at("100", served)] if "100" in rates else []
if not check:
    for name in whole:
        print(name, rounds_of(name, seeds[0]))
    sys.exit()
# The runs beside them may have changed which method is the best by a hair.
whole = [name for name in served if os.path.exists(f"{out}/whole/{file_of(name)}/summary.json")]

with open(f"{out}/break_even.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["mbit_s", "method", "rounds", "s_a_round", "s_to_97", "times_faster_than_none",
                    "times_faster_than_ring_none"])
    for rate in rates:
        print(f"{rate} Mbit/s")
        for name in names:
            if (rate, name) not in to_target:
                table.writerow([rate, name, "", f"{seconds[rate, name]:.4f}", "", "", ""])
                print(f"  {name:18} never 97%")
                continue
            took = to_target[rate, name]
            faster = to_target[rate, "none"] / took
            ring = to_target[rate, "ring-none"] / took if name.startswith("ring-") and "ring-none" in names else None
            table.writerow([rate, name, f"{rounds[name]:.1f}", f"{seconds[rate, name]:.4f}", f"{took:.2f}",
                            f"{faster:.2f}", f"{ring:.2f}" if ring else ""])
            print(f"  {name:18} {rounds[name]:6.1f} rounds x {seconds[rate, name]:7.4f} s = {took:7.2f} s, "
                  f"{faster:5.2f} times as fast as none" + (f", {ring:.2f} of ring-none" if ring else ""))
        best = best_at(rate, served)
        faster = to_target[rate, "none"] / to_target[rate, best]
        print(f"  best with a server: {best}, {faster:.2f} times as fast as none")
        if faster < BARS.get(rate, 0):
            faults.append(f"{rate} Mbit/s: {best} is {faster:.2f} times as fast as none; {BARS[rate]} is expected")
        picked = choices[summary(f"{rate}/auto")["compression"]]
        known = [name for name in choices.values() if (rate, name) in to_target]
        if picked not in known:
            faults.append(f"{rate} Mbit/s: auto has chosen {picked}, which is not in the table")
            continue
        over = to_target[rate, picked] / to_target[rate, best_at(rate, known)] - 1
        print(f"  auto chooses {picked}: {100 * over:.1f}% above the best of its choices, {best_at(rate, known)}")
        if over > OF_BEST:
            faults.append(f"{rate} Mbit/s: auto has chosen {picked}, {100 * over:.0f}% slower than the best")

for name in whole:
    end, ends = summary(f"whole/{file_of(name)}"), times(f"whole/{file_of(name)}")
    took = (ends[-1] - ends[0]) * len(ends) / (len(ends) - 1)
    off = took / to_target["100", name] - 1
    at_that_time = len(ends) * seconds_of(beside_whole_run(name))
    print(f"whole run of {name} at 100 Mbit/s: {took:.2f} s, {100 * off:+.1f}% of the table's, "
          f"{100 * (took / at_that_time - 1):+.1f}% of what the short runs before and after it say; accuracy "
          f"{end['final_test_accuracy']:.4f}")
    if abs(off) > CONFIRMED or end["final_test_accuracy"] < 0.97:
        faults.append(f"the whole run of {name} does not confirm the table")
for fault in faults:
    print("FAILED:", fault)
sys.exit(1 if faults else 0)
