"""Sparse formats: how the non-zeros of a phase become entries, and how a PE reads them.

``protocol.Format`` says what a format owes. A new one is a module here, a folder of templates, a
name in ``known.AnyFormat`` and a line in ``tests/packing/test_formats.py``; ``schedule.encode``
chooses among formats by price. Its folder ``templates/hls/formats/<name>/`` holds what a PE does:

* ``tables.h.j2``: ``tables`` as constants;
* ``types.h.j2``, ``state.h.j2``, ``start.h.j2``: what a PE remembers between two words;
* ``advance.h.j2``: from an entry's fields, variables of their names, to ``next``, the slot, and
  ``here``, the column. ``weight`` is what the PE multiplies by.

The struct of a word and its unpacking are the same for every format: they follow from ``fields``.

There are three:

* **The gap code** (``gap``), for PEs in lock step: an entry says how far it is from the last.
* **The relative index** (``relative``; Han et al. 2017), for the broadcast dataflow: an entry says
  how many zeros are before it in its column, and whether it ends the column; ESE has pointers in
  place of that bit. A PE counts no columns: it takes the next activation from its queue. That one
  always comes is the words' own doing (``columns``), and proven of them (``prove_entries``).
  Skipping columns (temporal sparsity) needs true pointers: a second struct, (columns, pes), that
  ``pack_words`` packs in front of the words as it packs any ``Entries``; the format then gives its
  fields as well, and ``Manifest.beat_offsets`` adds its beats.
* **The bank-balanced code** (``bank``; Cao et al. 2019), for the bank dataflow: an entry says where
  its weight's activation is in the bank that its multiplier reads. It needs no PE's templates: its
  multipliers are the kernel's own.
"""

from penstock.formats.bank import Bank
from penstock.formats.gap import Gap
from penstock.formats.layout import Layout
from penstock.formats.phase import PhaseCode
from penstock.formats.protocol import Entries, Field, Format, NonZeros
from penstock.formats.relative import Relative

__all__ = ["Bank", "Entries", "Field", "Format", "Gap", "Layout", "NonZeros", "PhaseCode",
           "Relative"]  # fmt: skip
