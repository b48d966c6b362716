"""When masks are computed, and to which density."""

from __future__ import annotations

import pytest

from penstock import PenstockError
from penstock.compress import Cubic, OneShot


def test_one_shot_prunes_once():
    schedule = OneShot(at=3)
    assert [step for step in range(10) if schedule.is_due(step)] == [3]
    assert [schedule.density(step, 0.1) for step in (2, 3, 4)] == [1.0, 0.1, 0.1]


def test_the_cubic_ramp_is_that_of_zhu_and_gupta():
    schedule = Cubic(start=10, end=20, every=4)
    assert [step for step in range(40) if schedule.is_due(step)] == [10, 14, 18, 20]
    assert schedule.density(10, 0.2) == 1.0
    assert schedule.density(15, 0.2) == pytest.approx(0.2 + 0.8 / 8, abs=1e-15)
    assert schedule.density(20, 0.2) == 0.2
    assert schedule.last == 20


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Cubic(5, 5), "end is 5, but must be an int of at least 6"),
        (lambda: Cubic(-1, 5), "start is -1, but must be an int of at least 0"),
        (lambda: Cubic(0, 5, 0), "every is 0, but must be an int of at least 1"),
        (lambda: Cubic(0, 5.5), "end is 5.5, but must be an int of at least 1"),
        (lambda: OneShot(-2), "at is -2, but must be an int of at least 0"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(make, what):
    with pytest.raises(PenstockError) as caught:
        make()
    assert caught.value.what == what
