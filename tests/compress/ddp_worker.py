"""Run by torchrun: a few steps of distributed training, each rank on its own data.

Arguments: folder for the results; whether the pruner attaches before or after DDP wraps the model.
"""

import sys
from pathlib import Path

import torch
from compress.networks import adamw, batch, make_net
from torch import distributed
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from penstock.compress import Cubic, Pruner

STEPS = 8


def main(folder: Path, when: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    model = make_net(seed=rank)  # DDP is to make them the same
    schedule = Cubic(1, STEPS - 2, 2)
    if when == "before":
        pruner = Pruner(model, "pe_balanced", 0.125, schedule, pes=4)
        model = DistributedDataParallel(model)
    else:
        model = DistributedDataParallel(model)
        pruner = Pruner(model, "pe_balanced", 0.125, schedule, pes=4)
    optimizer = adamw(model)
    for step in range(STEPS):
        x, y = batch(10 * step + rank)
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        if rank == 1 and step == 1:  # as if its arithmetic had gone astray: rank 0 must rule
            with torch.no_grad():
                model.module.fc.parametrizations.weight.original.flip(0)
        pruner.step()
    masks = {matrix.name: matrix.mask.clone() for matrix in pruner.matrices}
    torch.save([masks, pruner.finalize().state_dict()], folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
