"""Known answers of the losses. Triplets are mined here by looking at all of them."""
import itertools

import torch
import torch.nn.functional as F

import common

torch.manual_seed(52)
store = {}


def case(name, fn, *inputs, **more):
    common.case(store, name, fn, *inputs, **more)


y, target = torch.randn(4, 5), torch.randn(4, 5)
for reduction in ("mean", "sum"):
    case("mse_" + reduction, lambda y, t: F.mse_loss(y, t, reduction=reduction), y, target)
    case("l1_" + reduction, lambda y, t: F.l1_loss(y, t, reduction=reduction), y, target)
    case("huber_" + reduction, lambda y, t: F.huber_loss(y, t, reduction=reduction, delta=0.7), y, target)

z, labels = torch.randn(6, 11), torch.tensor([0., 10., 3., 3., 7., 1.])
for reduction in ("mean", "sum"):
    case("entropy_" + reduction, lambda z, t: F.cross_entropy(z, t.long(), reduction=reduction), z, labels,
         differentiate=[0])
    case("entropy_smooth_" + reduction,
         lambda z, t: F.cross_entropy(z, t.long(), ignore_index=3, label_smoothing=0.2, reduction=reduction), z, labels,
         differentiate=[0])
    case("entropy_shares_" + reduction, lambda z, t: F.cross_entropy(z, t, label_smoothing=0.1, reduction=reduction), z,
         torch.rand(6, 11), differentiate=[0])
case("entropy_many_axes", lambda z, t: F.cross_entropy(z.reshape(-1, 5), t.long().reshape(-1)), torch.randn(2, 3, 5),
     torch.randint(0, 5, (2, 3)).double(), differentiate=[0])
case("entropy_far", lambda z, t: F.cross_entropy(z, t.long()), torch.tensor([[1e30, 0., -1e30], [1000., 999., -1000.]]),
     torch.tensor([0., 1.]), differentiate=[0])

far = torch.tensor([-1e30, -200., -3., 0., 2., 90., 1e30])
case("bce", F.binary_cross_entropy_with_logits, torch.randn(3, 5), torch.rand(3, 5), differentiate=[0])
case("bce_far", F.binary_cross_entropy_with_logits, far, torch.tensor([0., 0., 1., 1., 0., 1., 1.]), differentiate=[0])


def contrastive(a, b, same):
    d = (a - b).square().sum(1).sqrt()
    return (same * d ** 2 + (1 - same) * (1.5 - d).clamp(min=0) ** 2).mean()


case("contrastive", contrastive, torch.randn(8, 3), torch.randn(8, 3), torch.tensor([0., 1., 1., 0., 0., 0., 1., 0.]),
     differentiate=[0, 1])

MARGIN = 0.4


def distances(e):
    return (e[:, None] - e[None]).square().sum(2)


def loss(d, triplets, reduction):
    terms = [torch.relu(d[a, p] - d[a, n] + MARGIN) for a, p, n in triplets]
    if not terms:
        return 0 * d.sum()
    return torch.stack(terms).sum() if reduction == "sum" else torch.stack(terms).mean()


def valid(labels):
    rows = range(len(labels))
    return [t for t in itertools.product(rows, rows, rows)
            if t[0] != t[1] and labels[t[0]] == labels[t[1]] and labels[t[0]] != labels[t[2]]]


def semi_hard(d, labels):
    best = {}
    for a, p, n in valid(labels):
        if d[a, p] < d[a, n] < d[a, p] + MARGIN and ((a, p) not in best or d[a, n] < d[a, best[a, p]]):
            best[a, p] = n
    return [(a, p, n) for (a, p), n in best.items()]


def hardest(d, labels):
    best = {}
    for a, p, n in valid(labels):
        now = best.setdefault(a, (p, n))
        best[a] = (p if d[a, p] > d[a, now[0]] else now[0], n if d[a, n] < d[a, now[1]] else now[1])
    return [(a, p, n) for a, (p, n) in best.items()]


miners = {"semi_hard": semi_hard, "hardest": hardest, "all": lambda d, labels: valid(labels)}
batches = {"some": (torch.randint(0, 5, (20,)).double(), 5), "wide": (torch.arange(34).fmod(9), 17),
           "lone": (torch.tensor([4., 4., 2., -1., 0.5]), 3)}
for batch, (labels, width) in batches.items():
    e = F.normalize(torch.randn(len(labels), width), dim=1)
    d = distances(e)
    same = labels[:, None] == labels[None]
    others = same & ~torch.eye(len(labels), dtype=torch.bool)
    for name, miner in miners.items():
        triplets = miner(d, labels.tolist())
        active = sum(float(d[a, p] - d[a, n] + MARGIN) > 0 for a, p, n in triplets)
        store[f"triplet_{batch}_{name}.report"] = torch.tensor(
            [len(triplets), active, d[others].mean().item(), d[~same].mean().item()])
        for reduction in ("mean", "sum"):
            case(f"triplet_{batch}_{name}_{reduction}",
                 lambda e, labels: loss(distances(e), triplets, reduction), e, labels, differentiate=[0])

given = [(0, 1, 2), (1, 0, 3), (2, 3, 0), (5, 4, 2), (0, 0, 1), (3, 1, 4), (3, 1, 4)]
for reduction in ("mean", "sum"):
    case("triplet_given_" + reduction, lambda e, t: loss(distances(e), given, reduction),
         F.normalize(torch.randn(6, 9), dim=1), torch.tensor(given).double(), differentiate=[0])


def variation(x):
    return (x[:, 1:] - x[:, :-1]).square().sum() + (x[:, :, 1:] - x[:, :, :-1]).square().sum()


case("variation", variation, torch.randn(2, 4, 5, 3))

common.save("loss.safetensors", store)
