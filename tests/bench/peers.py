"""Tessera beside PyTorch in one run, workload by workload and round by round: a drift of the machine hits both.

    python3 tests/bench/peers.py build/bench [--rounds N] [--only NAME] [--budget SECONDS] [--threads 1,2]
                                             [--results FILE] [--markdown]

Prints medians over rounds. Every measurement runs in a process of its own; PyTorch's are forked from a server that has
loaded it already, one server per number of threads, because BLAS reads that number when it is loaded. --results appends
the raw lines to FILE and prints what all of FILE says (--rounds 0: what it says already).
"""
import argparse, collections, datetime, math, os, platform, statistics, subprocess, sys, time

LAYOUTS = {"C2": 2, "P": 2, "T1": 2, "T2": 2}  # families where channels-last is a choice of PyTorch's
ONE_STEP = """import torch
net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
x, y = torch.tensor([[0., 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([[0.], [1], [1], [0]])
torch.nn.functional.binary_cross_entropy_with_logits(net(x), y).backward()
optimizer.step()"""


def family(name):
    return name.split("-")[0]


# ---- measuring: raw lines "workload, peer, threads, seconds, value" ------------------------------------------------

class Torch:
    def __init__(self, threads):
        hints = ("OMP_PROC_BIND", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
        environment = {k: v for k, v in os.environ.items() if k not in hints}
        environment.update({k + "_NUM_THREADS": str(threads) for k in ("OMP", "OPENBLAS", "MKL")})
        program = os.path.join(os.path.dirname(__file__), "peers_torch.py")
        self.process = subprocess.Popen([sys.executable, program, str(threads)], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.version = self.process.stdout.readline().strip()
        if not self.version:
            sys.exit(f"peers.py: {sys.executable} has no PyTorch")

    def measure(self, name, layout, budget, numbers):
        print(name, layout, budget, *numbers, file=self.process.stdin, flush=True)
        return [float(v) for v in self.process.stdout.readline().split()]


def output(command):
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE)
    return done.stdout.splitlines() if done.returncode == 0 else sys.exit(f"peers.py: {command[0]} failed")


def measure(options, name, numbers, threads, server):
    for precision in ("high", "highest") if family(name) not in ("P", "start") else ("high",):
        yield from output([options.bench, "--tsv", "--only", name, "--threads", threads, "--precision", precision,
                           "--budget", options.budget])
    if name == "start-up":
        begin = time.perf_counter()
        output([sys.executable, "-c", ONE_STEP])
        yield f"{name}\ttorch\t{threads}\t{time.perf_counter() - begin:.6g}\t0"
        return
    for layout in ("default", "channels-last")[:LAYOUTS.get(family(name), 1)]:
        answer = server.measure(name, layout, options.budget, numbers)
        seconds, megabytes = answer or sys.exit(f"peers.py: PyTorch died of {name}")
        yield f"{name}\ttorch-{layout}\t{threads}\t{seconds:.6g}\t0"
        yield f"{name}.MB\ttorch-{layout}\t{threads}\t{seconds:.6g}\t{megabytes:.4g}"


def cpu():
    try:
        lines = [line for line in open("/proc/cpuinfo") if line.startswith("model name")]
        return lines[0].split(":")[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def measure_all(options):
    workloads = [line.split() for line in output([options.bench, "--list", "--only", options.only])]
    servers = {int(t): Torch(int(t)) for t in options.threads.split(",")}
    version = next(iter(servers.values())).version
    yield f"# {datetime.date.today()}, {cpu()}, {os.cpu_count()} cores, PyTorch {version}"
    for _ in range(options.rounds):
        for name, *numbers in workloads:
            for threads, server in servers.items():
                if name != "start-up" or threads == 1:
                    yield from measure(options, name, numbers, threads, server)
                    print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


# ---- telling -------------------------------------------------------------------------------------------------------

def read(lines):
    """{(workload, peer, threads): (median seconds, median value)}"""
    found = collections.defaultdict(list)
    for line in lines:
        fields = line.rstrip("\n").split("\t")
        if len(fields) == 5:
            found[fields[0], fields[1], int(fields[2])].append((float(fields[3]), float(fields[4])))
    return {key: tuple(map(statistics.median, zip(*values))) for key, values in found.items()}


def best_torch(results, name, threads):
    """Whichever layout is faster: (seconds, peer)."""
    peers = [k for k in results if k[0] == name and k[2] == threads and k[1].startswith("torch")]
    return min(((results[k][0], k[1]) for k in peers), default=(math.nan, ""))


def row(results, name, threads):
    """Milliseconds, per cent of the limit, PyTorch's milliseconds, how many times faster at high and at highest."""
    seconds, gflops = results.get((name, "tessera-high", threads), (math.nan, 0))
    highest = results.get((name, "tessera-highest", threads), (math.nan, 0))[0]
    rate = results.get((name + ".GB/s", "tessera-high", threads), (0, 0))[1]
    limit = results.get(("calib-triad" if rate else "calib-fma", "machine", threads), (0, 0))[1]
    torch = best_torch(results, name, threads)[0]
    share = 100 * (rate or gflops) / limit if limit and (rate or gflops) and name[0] != "O" else math.nan
    return 1e3 * seconds, share, 1e3 * torch, torch / seconds, torch / highest


def text(value):
    return "" if math.isnan(value) else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def print_table(head, rows, markdown):
    widths = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]
    for n, cells in enumerate([head] + rows):
        cells = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells))
        if n == 0 and markdown:
            print("|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|")


def tell(lines, listed, markdown):
    results = read(lines)
    threads = sorted({k[2] for k in results})
    names = [n for n in listed if any((n, "tessera-high", t) in results for t in threads)]
    print("\n\n".join(sorted({line.strip("# \n") for line in lines if line.startswith("#")})) + "\n")
    for t in threads:
        limits = [(results.get((c, "machine", t)), u) for c, u in (("calib-fma", "GFLOP/s"), ("calib-triad", "GB/s"))]
        print(f"Limits, {t} T: " + ", ".join(f"{v[1]:.0f} {u}" for v, u in limits if v) + "\n")
        one = results.get(("calib-fma", "machine", 1))
        if one and limits[0][0] and limits[0][0][1] < 0.75 * t * one[1]:
            print(f"The machine was busy: what was measured with {t} threads means nothing.\n")
    head, rows, ratios = ["workload"], [], collections.defaultdict(list)
    for t in threads:
        head += [f"{t} T ms", "% limit", "PyTorch ms", "faster", "at highest"]
    for name in names:
        numbers = {t: row(results, name, t) for t in threads}
        rows.append([name] + [text(v) for t in threads for v in numbers[t]])
        for t in threads:
            if not math.isnan(numbers[t][3]):
                ratios[family(name), t].append((numbers[t][3], name))
    print_table(head, rows, markdown)
    print("\nTimes faster than PyTorch, geometric means:\n")
    families = list(dict.fromkeys(family(n) for n in names))
    mean = lambda pairs: math.exp(statistics.mean(math.log(r) for r, _ in pairs)) if pairs else math.nan
    means = [[f] + [text(mean(ratios[f, t])) for t in threads] for f in families]
    print_table(["family"] + [f"{t} T" for t in threads], means, markdown)
    for t in threads:
        slower = sorted(pair for f in families for pair in ratios[f, t] if pair[0] < 1)
        print(f"\nSlower than PyTorch, {t} T: " + (", ".join(f"{n} ({r:.2f})" for r, n in slower) or "none") + ".")
    megabytes = lambda name, peer, t: text(results.get((name + ".MB", peer, t), (0, math.nan))[1])
    peers = lambda name, t: ("tessera-high", best_torch(results, name, t)[1])
    memory = [[n] + [megabytes(n, p, t) for t in threads for p in peers(n, t)] for n in names if n[0] == "T"]
    if memory:
        print("\nPeak memory of the process, MB (of which 130 or more are PyTorch itself):\n")
        print_table(["workload"] + [c for t in threads for c in (f"{t} T", "PyTorch")], memory, markdown)


def main():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--budget", type=float, default=0.1)
    parser.add_argument("--threads", default=f"1,{cores}" if cores > 1 else "1")
    parser.add_argument("--results")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    lines = list(measure_all(options)) if options.rounds else []
    if options.results:
        with open(options.results, "a+") as file:
            file.writelines(line + "\n" for line in lines)
            file.seek(0)
            lines = file.readlines()
    listed = [line.split()[0] for line in output([options.bench, "--list"])]
    tell(lines, listed, options.markdown)


if __name__ == "__main__":
    main()
