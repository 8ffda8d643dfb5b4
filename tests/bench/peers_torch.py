"""PyTorch's side of peers.py: a server that measures one workload per line it reads, each in a process of its own.

workload(name, numbers, layout) returns the function to time; the numbers are those of the table in C.
"""
import os, resource, statistics, sys, time
import torch, torch.nn as nn, torch.nn.functional as F

LEAST_CALLS, MOST_CALLS, MOST_SECONDS = 3, 2000, 5.0  # as in bench.c


def channels_last(layout, *tensors):
    if layout != "channels-last":
        return tensors
    return tuple(t.contiguous(memory_format=torch.channels_last) for t in tensors)


def product(name, numbers, layout):
    m, n, k = numbers
    a, b, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
    return lambda: torch.mm(a, b, out=out)


def convolution(name, numbers, layout):
    axes, batch, inputs, outputs, size, kernel, stride, padding = (numbers + [0] * 8)[:8]
    x = torch.randn(batch, inputs, *[size] * axes)
    w = torch.randn(outputs, inputs, *[kernel] * axes) * 0.05
    x, w = channels_last(layout, x, w)
    forward = [F.conv1d, F.conv2d, F.conv3d][axes - 1]
    way = name.rsplit("/")[-1]
    if way == "fwd":
        return lambda: forward(x, w, None, stride, padding)
    g = torch.randn_like(forward(x, w, None, stride, padding))
    which = [way == "bwd_d", way == "bwd_w", False]
    strides, paddings, dilations, none = ([v] * axes for v in (stride, padding, 1, 0))
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(g, x, w, None, strides, paddings, dilations, False, none, 1, which)


def memory(name, numbers, layout):
    aten, op = torch.ops.aten, name[2:]
    if op == "softmaxce-1024x1000/fwd+bwd":
        x, labels = torch.randn(1024, 1000, requires_grad=True), torch.arange(1024) * 7 % 1000
        return differentiate(lambda: F.cross_entropy(x, labels), [x])
    if op == "triplet-4096x128/fwd+bwd":
        e = [torch.randn(4096, 128, requires_grad=True) for _ in range(3)]
        return differentiate(lambda: triplet_loss(*e), e)
    if op in ("sgdmom-4M", "adam-4M"):
        p = torch.randn(4 << 20, requires_grad=True)
        p.grad = torch.randn(4 << 20)
        return (torch.optim.Adam([p], lr=1e-3) if op == "adam-4M" else torch.optim.SGD([p], lr=1e-3, momentum=0.9)).step
    x, g, half = torch.randn(32, 64, 48, 48), torch.randn(32, 64, 48, 48), torch.randn(32, 64, 24, 24)
    x, g, half = channels_last(layout, x, g, half)
    scale, shift, mean, var = torch.ones(64), torch.zeros(64), torch.zeros(64), torch.ones(64)
    y, (_, places) = F.relu(x), F.max_pool2d(x, 2, return_indices=True)
    norm = lambda: torch.native_batch_norm(x, scale, shift, mean, var, True, 0.1, 1e-5)
    _, batch_mean, batch_scale = norm()
    two, one, none = [2, 2], [1, 1], [0, 0]
    return {
        "relu/fwd": lambda: F.relu(x),
        "relu/bwd": lambda: aten.threshold_backward(g, y, 0.0),
        "add/fwd": lambda: x + g,
        "maxpool2/fwd": lambda: F.max_pool2d(x, 2),
        "avgpool2/fwd": lambda: F.avg_pool2d(x, 2),
        "maxpool2/bwd": lambda: aten.max_pool2d_with_indices_backward(half, x, two, two, none, one, False, places),
        "avgpool2/bwd": lambda: aten.avg_pool2d_backward(half, x, two, two, none, False, True, None),
        "batchnorm/fwd": norm,
        "batchnorm/bwd": lambda: aten.native_batch_norm_backward(g, x, scale, mean, var, batch_mean, batch_scale, True,
                                                                 1e-5, [True] * 3),
    }[op]


def differentiate(loss, leaves, optimizer=None):
    def step():
        for leaf in leaves:
            leaf.grad = None
        loss().backward()
        if optimizer:
            optimizer.step()
    return step


def triplet_loss(a, p, n):
    return F.relu((a - p).pow(2).sum(1) - (a - n).pow(2).sum(1) + 0.2).mean()


def gatys(name, numbers, layout):
    size, filters, inputs = numbers[0], [], 3
    channels = [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512]  # 0: average pooling
    for c in filter(None, channels):
        w, = channels_last(layout, torch.randn(c, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5)
        filters.append((w, torch.zeros(c)))
        inputs = c

    def features(x):
        grams, content, i = [], None, 0
        for c in channels:
            if c == 0:
                x = F.avg_pool2d(x, 2)
                continue
            x = F.relu(F.conv2d(x, *filters[i], padding=1))
            if i in (0, 2, 4, 8, 12):
                f = x.reshape(c, -1)
                grams.append(f @ f.t() / f.numel())
            if i == 9:
                content = x
            i += 1
        return grams, content

    def image():
        return channels_last(layout, torch.rand(1, 3, size, size))[0]
    with torch.no_grad():
        styles, content = features(image())[0], features(image())[1]
    x = image().requires_grad_()

    def loss():
        grams, y = features(x)
        return F.mse_loss(y, content) + sum(1e3 * F.mse_loss(g, t) for g, t in zip(grams, styles))
    return differentiate(loss, [x], torch.optim.Adam([x], lr=0.02))


def facenet(name, numbers, layout):
    def unit(inputs, outputs, kernel, stride=1):
        return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.BatchNorm2d(outputs),
                             nn.ReLU(inplace=True))

    class Root(nn.Module):  # of the sum of squares in a 3x3 window
        def __init__(self, stride):
            super().__init__()
            self.stride = stride

        def forward(self, x):
            return (F.avg_pool2d(x * x, 3, self.stride, 1) * 9 + 1e-8).sqrt()

    class Inception(nn.Module):
        def __init__(self, inputs, three, five, pool, pooled, one, stride=1):
            super().__init__()
            branches = [nn.Sequential(unit(inputs, three[0], 1), unit(three[0], three[1], 3, stride))]
            if five:
                branches.append(nn.Sequential(unit(inputs, five[0], 1), unit(five[0], five[1], 5, stride)))
            pool = Root(stride) if pool == "root" else nn.MaxPool2d(3, stride, 1)
            branches.append(nn.Sequential(pool, unit(inputs, pooled, 1)) if pooled else pool)
            if one:
                branches.append(unit(inputs, one, 1))
            self.branches = nn.ModuleList(branches)

        def forward(self, x):
            return torch.cat([b(x) for b in self.branches], 1)
    net = nn.Sequential(
        unit(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), nn.LocalResponseNorm(5, 1e-4), unit(64, 64, 1), unit(64, 192, 3),
        nn.LocalResponseNorm(5, 1e-4), nn.MaxPool2d(3, 2, 1),
        Inception(192, (96, 128), (16, 32), "max", 32, 64), Inception(256, (96, 128), (32, 64), "root", 64, 64),
        Inception(320, (128, 256), (32, 64), "max", 0, 0, 2), Inception(640, (96, 192), (32, 64), "root", 128, 256),
        Inception(640, (160, 256), (64, 128), "max", 0, 0, 2), Inception(1024, (96, 384), None, "root", 96, 256),
        Inception(736, (96, 384), None, "max", 96, 256), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(736, 128))
    x, = channels_last(layout, torch.rand(48, 3, 96, 96))
    if layout == "channels-last":
        net = net.to(memory_format=torch.channels_last)
    p = list(net.parameters())
    sgd = torch.optim.SGD(p, lr=0.01, momentum=0.9)
    return differentiate(lambda: triplet_loss(*F.normalize(net(x)).split(16)), p, sgd)


def small(name, numbers, layout):
    if name.startswith("T3"):
        net = nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
                            nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))
        x, y = torch.rand(64, 1, 28, 28), torch.arange(64) % 10
    elif name.startswith("T4"):
        axes = 3 if "ct3d" in name else 1
        conv = nn.Conv3d if axes == 3 else nn.Conv1d
        net = nn.Sequential(conv(1, 16, 5), nn.ReLU(), conv(16, 32, 5), nn.ReLU(), nn.Flatten(),
                            nn.Linear(32 * 6 ** axes, 2))
        x, y = torch.rand(32, 1, *[14] * axes), torch.arange(32) % 2
    else:
        net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
        x, y = torch.tensor([[0., 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([[0.], [1], [1], [0]])
    criterion = F.binary_cross_entropy_with_logits if name.startswith("O") else F.cross_entropy
    p = list(net.parameters())
    return differentiate(lambda: criterion(net(x), y), p, torch.optim.SGD(p, lr=1e-3))


FAMILIES = {"G": product, "C1": convolution, "C2": convolution, "C3": convolution, "P": memory,
            "T1": gatys, "T2": facenet, "T3": small, "T4": small, "O": small}


def median_call(function, budget):
    start, warm = time.perf_counter(), 0
    while warm < 1 or warm < 2 and time.perf_counter() - start < 0.5:
        function()
        warm += 1
    seconds, start, now = [], time.perf_counter(), 0.0
    while len(seconds) < MOST_CALLS and now < MOST_SECONDS and (len(seconds) < LEAST_CALLS or now < budget):
        begin = time.perf_counter()
        function()
        end = time.perf_counter()
        seconds.append(end - begin)
        now = end - start
    return statistics.median(seconds)


def serve(threads):
    """Reads "name layout budget numbers..." lines, answers each with "seconds megabytes" ("" if it failed)."""
    torch.empty(7 << 20)  # once a block of this size was freed, glibc keeps them: no page faults in each call
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        name, layout, budget, *numbers = line.split()
        child = os.fork()
        if child == 0:
            torch.set_num_threads(threads)
            torch.manual_seed(1)
            function = FAMILIES[name.split("-")[0]](name, [int(n) for n in numbers], layout)
            with torch.set_grad_enabled(name[0] in "TO" or name.endswith("+bwd")):
                seconds = median_call(function, float(budget))
            print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            print(flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
