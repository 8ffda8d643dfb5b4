"""The same net in PyTorch, on the batches that curve.c has left: do the losses follow each other, and how long does a step
take?    curve.py FOLDER LOSSES.csv"""
import csv
import json
import struct
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

PEOPLE, PICTURES, MARGIN, SOFTMAX_MARGIN, SCALE = 16, 4, 0.2, 0.3, 24.0


def safetensors(path):
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        values = file.read()
    return {name: torch.from_numpy(np.frombuffer(values[slice(*t["data_offsets"])], np.float32).reshape(t["shape"]).copy())
            for name, t in header.items() if name != "__metadata__"}


class Medium(nn.Module):
    def __init__(self):
        super().__init__()
        width = 1
        for i in range(4):
            block = nn.Module()
            for half in "ab":
                part = nn.Module()
                part.conv = nn.Conv2d(width, 32 * (i + 1), 3, padding=1, bias=False)
                part.bn = nn.BatchNorm2d(32 * (i + 1))
                width = 32 * (i + 1)
                setattr(block, half, part)
            setattr(self, f"block{i + 1}", block)
        self.dropout = nn.Dropout(0.4)
        self.embedding = nn.Linear(2048, 128)
        self.centre = nn.BatchNorm1d(128, affine=False)
        self.classes = nn.Module()

    def forward(self, x):
        for i in range(4):
            block = getattr(self, f"block{i + 1}")
            for half in "ab":
                part = getattr(block, half)
                x = F.relu(part.bn(part.conv(x)))
            x = F.max_pool2d(x, 2)
        return F.normalize(self.centre(self.embedding(self.dropout(x).flatten(1))), dim=1)


def semi_hard(e):
    """The loss of Schroff et al. 2015 with semi-hard negatives: the mean over the triplets that there are."""
    d = ((e[:, None] - e[None]) ** 2).sum(2)
    label = torch.arange(PEOPLE).repeat_interleave(PICTURES)
    same = label[:, None] == label[None]
    far = d.detach().masked_fill(same, np.inf)
    losses = []
    for k in range(1, PICTURES):  # the k-th other picture of each anchor's person
        positive = torch.arange(len(e)) // PICTURES * PICTURES + (torch.arange(len(e)) % PICTURES + k) % PICTURES
        near = d[torch.arange(len(e)), positive]
        candidates = far.masked_fill(far <= near.detach()[:, None], np.inf)
        distance, negative = candidates.min(1)
        chosen = distance < near.detach() + MARGIN
        losses.append((near - d[torch.arange(len(e)), negative] + MARGIN)[chosen])
    losses = torch.cat(losses)
    return F.relu(losses).mean() if len(losses) else d.sum() * 0


def main():
    folder, log = sys.argv[1:]
    torch.manual_seed(1)
    net = Medium()
    state = safetensors(f"{folder}/begin.safetensors")
    net.classes.weight = nn.Parameter(torch.empty_like(state["classes.weight"]))
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected and all("num_batches" in name for name in missing)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.5)
    rows = list(csv.DictReader(open(log)))
    theirs, seconds = [], []
    for i, row in enumerate(rows):
        x = torch.from_numpy(np.load(f"{folder}/x{i}.npy")).permute(0, 3, 1, 2).contiguous()
        y = torch.from_numpy(np.load(f"{folder}/y{i}.npy")).long()
        start = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = float(row["lr"])
        optimizer.zero_grad()
        e = net(x)
        if i < len(rows) // 2:
            cosines = e @ F.normalize(net.classes.weight, dim=1).T
            loss = F.cross_entropy(SCALE * (cosines - SOFTMAX_MARGIN * F.one_hot(y, len(net.classes.weight))), y)
        else:
            loss = semi_hard(e)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        theirs.append(loss.item())
    ours = np.array([float(row["loss"]) for row in rows])
    theirs = np.array(theirs)
    print("steps        ours    PyTorch   ratio")
    for begin in range(0, len(rows), max(len(rows) // 10, 1)):
        part = slice(begin, begin + max(len(rows) // 10, 1))
        a, b = ours[part].mean(), theirs[part].mean()
        print(f"{begin:5d} ..  {a:9.4f}  {b:9.4f}  {a / b:6.3f}")
    mine = np.median([float(row["seconds"]) for row in rows])
    print(f"first step: {ours[0]:.5f} and {theirs[0]:.5f}; median seconds of a step: {mine:.4f} and {np.median(seconds):.4f}, "
          f"{np.median(seconds) / mine:.2f} times")


main()
