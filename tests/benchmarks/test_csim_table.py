"""The table of C simulation's figures."""


def test_every_recorded_figure_stands_in_the_table(module):
    csim = module("csim")
    rows = module("children").load(csim.NAME)["rows"]
    table = csim.table(rows)
    for row in rows:
        for key in csim.TITLES:
            assert f" {row[key]:.2f} " in table
    assert table.count("\n") == 1 + len(csim.TITLES)
