"""How true the fixed-point graph is to the float network: both run on the same frames.

trial.py: on which frames. comparison.py: the run. errors.py: what is added up. decisions.py: what
outputs decide. verdict.py: the result, and when it warns.
"""

from penstock.fidelity.comparison import measure
from penstock.fidelity.trial import Trial, Validation, trial_of
from penstock.fidelity.verdict import Fidelity

__all__ = ["Fidelity", "Trial", "Validation", "measure", "trial_of"]
