"""Run by torchrun: quantization-aware training, each rank calibrated and trained on its own data.

Argument: folder for the results.
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from support import random_model
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from penstock import Precision
from penstock.compress import calibrate
from penstock.compress.qat import QuantizedNetwork


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    model = random_model(cells=(8,), outputs=4, head=3, density=0.5, seed=rank)
    x = (1 + 3 * rank) * np.random.default_rng(rank).normal(0, 1, (8, 6, 5))
    mine = calibrate(model, x)
    network = QuantizedNetwork(model, mine, Precision(weights=4), learn_ranges=True)
    parallel = DistributedDataParallel(network)
    optimizer = torch.optim.Adam(network.parameter_groups(0.02))
    for _ in range(8):
        optimizer.zero_grad()
        (parallel(torch.tensor(x)) - 1.0).square().mean().backward()
        optimizer.step()
    network(torch.tensor(x))  # moves the binary points to where the last step asks for
    types = {node.name: str(node.tensor.type) for node in network.graph.nodes()}
    torch.save([mine.peak, network.ranges.peak, types, network.state_dict()],
               folder / f"{rank}.pt")  # fmt: skip
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)  # a worker once aborted on its way out, under load; why was not found
