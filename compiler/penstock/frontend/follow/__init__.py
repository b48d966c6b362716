"""Following a computation: from what a model does with its arrays to a RecurrentModel.

A front end runs the model's operations on *labels* (``labels.py``) in place of numbers: every
element of an array knows which element of which value of the network it is, at which step of which
sequence. Whatever only moves elements (reshape, permute, slice, concatenate, flip, pack) is then
simply done, and what computes (``builder.py``) looks at the labels that it is given: a Linear layer
wants a whole frame in every row, a mean over the steps wants all of them and nothing else. What
fits becomes a layer; everything else is refused by name.
"""
