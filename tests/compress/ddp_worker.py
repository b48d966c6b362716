"""Run by torchrun: a few steps of distributed training, each rank on its own data.

Arguments: folder for the results; rank 1's idea of the pattern, which must not matter; whether DDP
keeps buffers the same, as it does unless told otherwise.
"""

import os
import sys
import warnings
from pathlib import Path

import torch
from compress.networks import adamw, batch, make_net
from torch import distributed
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from penstock.compress import Cubic, Pruner

STEPS = 8


def main(folder: Path, astray: str, broadcast_buffers: bool) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of empty rows
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    model = make_net(seed=rank)  # DDP is to make them the same
    pattern = astray if rank == 1 else "pe_balanced"
    pruner = Pruner(model, pattern, 0.125, Cubic(1, STEPS - 2, 2), pes=4)
    parallel = DistributedDataParallel(model, broadcast_buffers=broadcast_buffers)
    optimizer = adamw(parallel)
    for step in range(STEPS):
        x, y = batch(10 * step + rank)
        optimizer.zero_grad()
        functional.cross_entropy(parallel(x), y).backward()
        optimizer.step()
        pruner.step()
    masks = {matrix.name: matrix.mask.clone() for matrix in pruner.matrices}
    torch.save([masks, pruner.finalize().state_dict()], folder / f"{rank}.pt")
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "True")
    os._exit(0)  # a worker once aborted on its way out, under load; why was not found
