"""Networks of very many layers."""

from itertools import pairwise

from penstock.layers.relu import Relu
from penstock.model import INPUT, Place, RecurrentModel


def test_a_network_may_be_deeper_than_python_recurses():
    names = [INPUT, *(f"p{k}" for k in range(3000))]
    places = tuple(Place(name, Relu(2), (source,)) for source, name in pairwise(names))
    model = RecurrentModel(2, places, (names[-1],))
    assert not model.is_once(names[-1]) and model.place(names[-1]) is places[-1]
