"""Optimizers and schedules: trajectories of torch.optim over 20 steps."""
import torch

import common

torch.manual_seed(11)
store = {}
N, STEPS = 7, 20
START = torch.randn(N)
GRADIENTS = torch.randn(STEPS, N)
store["start"], store["gradients"] = START, GRADIENTS


def trajectory(name, make):
    p = START.clone().requires_grad_(True)
    optimizer, path = make([p]), []
    for g in GRADIENTS:
        p.grad = g.clone()
        optimizer.step()
        path.append(p.detach().clone())
    store[name] = torch.stack(path)


o = torch.optim
trajectory("sgd", lambda p: o.SGD(p, lr=0.1))
trajectory("sgd_decay", lambda p: o.SGD(p, lr=0.1, weight_decay=0.05))
trajectory("sgd_momentum", lambda p: o.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01))
trajectory("sgd_nesterov", lambda p: o.SGD(p, lr=0.1, momentum=0.8, nesterov=True))
trajectory("adagrad", lambda p: o.Adagrad(p, lr=0.05))
trajectory("adagrad_decay", lambda p: o.Adagrad(p, lr=0.05, weight_decay=0.1, eps=1e-3))
trajectory("rmsprop", lambda p: o.RMSprop(p, lr=0.02))
trajectory("rmsprop_momentum", lambda p: o.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-4, momentum=0.7, weight_decay=0.02))
trajectory("adam", lambda p: o.Adam(p, lr=0.01))
trajectory("adam_decay", lambda p: o.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1))
trajectory("adamw", lambda p: o.AdamW(p, lr=0.05))
trajectory("adamw_decay", lambda p: o.AdamW(p, lr=0.05, betas=(0.8, 0.95), weight_decay=0.3))


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def lbfgs(name, steps, **options):
    x = torch.tensor([-1.2, 1.0, 0.7, -0.4, 1.5]).requires_grad_(True)
    optimizer = o.LBFGS([x], line_search_fn="strong_wolfe", **options)
    path, losses = [], []

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(x)
        loss.backward()
        return loss

    for _ in range(steps):
        losses.append(float(optimizer.step(closure)))
        path.append(x.detach().clone())
    store[name], store[name + ".losses"] = torch.stack(path), torch.tensor(losses)


lbfgs("lbfgs", 20, history_size=10, max_iter=1)
lbfgs("lbfgs_short", 20, history_size=2, max_iter=2, lr=0.5)
lbfgs("lbfgs_long", 3, history_size=5, max_iter=20)


def schedule(name, make, steps=20, lr=0.4):
    p = torch.zeros(1, requires_grad=True)
    optimizer = o.SGD([p], lr=lr)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    store[name] = torch.tensor(rates)


s = o.lr_scheduler
schedule("lr_step", lambda x: s.StepLR(x, 3, 0.5))
schedule("lr_multi_step", lambda x: s.MultiStepLR(x, [2, 7, 11], 0.1))
schedule("lr_exponential", lambda x: s.ExponentialLR(x, 0.9))
schedule("lr_cosine", lambda x: s.CosineAnnealingLR(x, 20, eta_min=0.01))

p = torch.zeros(1, requires_grad=True)
optimizer = o.SGD([p], lr=0.4)
plateau = s.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=1e-2, min_lr=0.06, eps=0)
metrics = torch.tensor([5, 4, 4, 3.99, 3.98, 3.97, 3.5, 3.6, 3.6, 3.6, 3.6, 3.6, 3.6, 3.6, 3.6, 3.6, 3.6, 3.6, 3.0, 3.0])
rates = []
for m in metrics:
    plateau.step(m)
    rates.append(optimizer.param_groups[0]["lr"])
store["plateau.metrics"], store["plateau"] = metrics, torch.tensor(rates)

gradients = [torch.randn(3, 4), torch.randn(5)]
params = [torch.zeros_like(g).requires_grad_(True) for g in gradients]
for p, g in zip(params, gradients):
    p.grad = g.clone()
store["clip.in0"], store["clip.in1"] = gradients
store["clip.norm"] = torch.nn.utils.clip_grad_norm_(params, 1.5)
store["clip.out0"], store["clip.out1"] = params[0].grad, params[1].grad

common.save("optim.safetensors", store)
