"""The pictures of the matrices, pixel by pixel, and the figures beside them."""

import struct
import zlib
from base64 import b64decode

import numpy as np
import pytest

from penstock.ir.matrix import Matrix
from penstock.report.drawing.matrices import LARGEST, matrix_charts
from penstock.report.png import png
from penstock.report.sparsity import (
    HUES,
    PALETTE,
    PIXELS,
    Placed,
    pictures,
    placed_matrices,
    sparsity_section,
)

ESE = [(1024, 153)] * 4 + [(1024, 512)] * 4 + [(512, 1024)]


def read_png(content):
    """(rows, columns) palette indices, as the standard says."""
    chunks, at = {}, 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            kind + body
        )
        chunks[kind] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (content[:8], depth, colour) == (b"\x89PNG\r\n\x1a\n", 4, 3)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return np.stack([lines[:, 1:] >> 4, lines[:, 1:] & 15], axis=2).reshape(height, -1)[:, :width]


def placed(shape, pes=32, density=0.1, seed=0, shared=0, name="W"):
    """A random matrix whose rows are on PEs by number; the last few are shared."""
    generator = np.random.default_rng(seed)
    dense = (generator.random(shape) < density).astype(np.int64)
    pe = np.arange(shape[0]) % pes
    pe[shape[0] - shared :] = pes
    order = np.argsort(pe, kind="stable")
    line = np.empty_like(order)
    line[order] = np.arange(len(order))
    return dense, Placed(name, "phase", Matrix.of(dense), pes, line, pe[order])


def test_a_pixel_is_set_where_a_weight_is_and_has_its_pe_s_colour():
    dense, found = placed((50, 33), pes=7, shared=3)
    pixels = read_png(b64decode(pictures([found])["W"].content))
    assert pixels.shape == dense.shape
    hue, level = np.divmod(pixels.astype(int) - 1, 3)
    for row in range(50):
        line = found.line[row]
        assert ((pixels[line] > 0) == (dense[row] > 0)).all()
        wanted = len(HUES) if row >= 47 else row % 7 % len(HUES)  # a PE has more lines than BAND
        assert (hue[line][dense[row] > 0] == wanted).all()
    assert (level[pixels > 0] == 2).all()


def test_rows_stand_pe_after_pe_and_shared_ones_last():
    _, found = placed((50, 33), pes=7, shared=3)
    assert (np.diff(found.pe_of_line) >= 0).all() and (found.pe_of_line[-3:] == 7).all()


def test_of_a_coarse_picture_a_pixel_tells_how_many_of_its_elements_are_there():
    dense, found = placed((1500, 1501), density=0.4, pes=3)
    picture = pictures([found])["W"]
    side = picture.side
    pixels = read_png(b64decode(picture.content))
    assert side == 2 and pixels.shape == (750, 751)
    sorted_rows = dense[np.argsort(found.line)]
    block = sorted_rows[100:102, 600:602].sum()
    counts = np.pad(sorted_rows, ((0, 0), (0, 1))).reshape(750, 2, 751, 2).sum(axis=(1, 3))
    assert counts[50, 300] == block
    level = np.where(pixels > 0, (pixels.astype(int) - 1) % 3 + 1, 0)
    assert (level == np.ceil(counts * 3 / 4)).all()


def test_all_pictures_together_keep_to_their_pixels_and_small_ones_stay_sharp():
    shapes = [(2048, 512)] * 8 + [(10, 256), (10, 257), (512, 512)]
    found = [placed(shape, name=str(k))[1] for k, shape in enumerate(shapes)]
    shown = list(pictures(found).values())
    sizes = [read_png(b64decode(picture.content)).size for picture in shown]
    assert sum(sizes) <= PIXELS
    assert [picture.side for picture in shown] == [3] * 8 + [1, 2, 2]


def test_a_huge_network_is_no_reason_to_show_nothing():
    found = [placed((300, 300), name=str(k))[1] for k in range(100)]
    shown = pictures(found)
    assert {picture.side for picture in shown.values()} == {2}
    assert read_png(b64decode(shown["7"].content)).shape == (150, 150)


@pytest.mark.parametrize(("rows", "pes", "together"), [
    (1024, 32, 1), (1024, 128, 1), (1024, 1024, 8), (96, 16, 1), (8, 8, 8), (20, 1, 1)
])  # fmt: skip
def test_a_colour_is_a_band_that_can_be_seen(rows, pes, together):
    _, found = placed((rows, 64), pes=pes)
    picture = pictures([found])["W"]
    assert picture.pes == together
    pixels = read_png(b64decode(picture.content))
    level = (pixels.astype(int) - 1) // 3
    hues = [(level[y][pixels[y] > 0]).max(initial=-1) for y in range(len(pixels))]
    pe_of_pixel = found.pe_of_line[:: picture.side]
    for hue, pe in zip(hues, pe_of_pixel, strict=True):
        assert hue in (-1, pe // together % len(HUES))


def test_pictures_of_ese_s_layer_take_a_quarter_of_a_megabyte():
    found = [placed(shape, seed=k, name=str(k))[1] for k, shape in enumerate(ESE)]
    assert sum(len(picture.content) for picture in pictures(found).values()) < 250_000


def test_a_matrix_of_1024_by_1024_has_a_pixel_for_each_element():
    _, found = placed((1024, 1024), pes=1024)
    picture = pictures([found])["W"]
    assert picture.side == 1 and len(picture.content) < 250_000
    (chart,) = matrix_charts(sparsity_section([found]), {"W": picture})
    assert (chart["width"], chart["height"]) == (LARGEST, LARGEST)
    assert chart["told"] == "a colour for 8 PEs"
    labels = [tick["label"] for tick in chart["y"]]
    assert labels[0] == "PE 0" and 4 <= len(labels) <= 8


def test_png_holds_odd_and_even_widths():
    for width in (1, 2, 7):
        pixels = np.arange(3 * width, dtype=np.uint8).reshape(3, width) % 16
        assert (read_png(png(pixels, PALETTE)) == pixels).all()


def test_every_matrix_of_the_network_is_shown_with_the_loads_of_its_phase(compiled, report):
    rows = report["sparsity"]
    matrices = [node for node in compiled.graph.of_kind("const") if len(node.tensor.shape) == 2]
    assert sorted(row["name"] for row in rows) == sorted(node.name for node in matrices)
    for phase in report["phases"]:
        mine = [row for row in rows if row["phase"] == phase["name"]]
        assert sum(row["nonzeros"] for row in mine) == phase["nonzeros"]
    page = compiled.files["report.html"].decode()
    for row in rows:
        assert f'alt="Non-zeros of {row["name"]}, ' in page


def test_figures_are_those_of_the_matrix(compiled):
    for found, row in zip(
        placed_matrices(compiled.machine), compiled.report["sparsity"], strict=True
    ):
        dense = np.asarray(found.matrix) != 0
        by_row, by_column = dense.sum(axis=1), dense.sum(axis=0)
        for key, counts in (("by_row", by_row), ("by_column", by_column)):
            assert row[key]["least"] == counts.min() and row[key]["most"] == counts.max()
            assert row[key]["mean"] == pytest.approx(counts.mean())
            assert row[key]["empty"] == (counts == 0).sum()
        pe = found.pe_of_line[found.line]
        own = [by_row[pe == k].sum() for k in range(found.pes)]
        assert (row["by_pe"]["least"], row["by_pe"]["most"]) == (min(own), max(own))
        assert row["shared_rows"] == (pe == found.pes).sum()


def test_lines_of_the_network_stand_pe_after_pe_and_slot_after_slot(compiled):
    for found in placed_matrices(compiled.machine):
        (product,) = (p for p in compiled.plan.products if p.code.name == found.phase)
        pe, slot = compiled.plan.layouts[product.code.rows].place(
            np.arange(len(found.line)), found.pes
        )
        pe[list(product.code.shared)] = found.pes
        lines = np.argsort(found.line)
        assert (found.pe_of_line == pe[lines]).all()
        assert (np.diff(found.pe_of_line) >= 0).all()
        same = np.diff(found.pe_of_line) == 0
        assert (np.diff(slot[lines])[same] >= 0).all()


def test_a_row_s_pe_is_the_one_that_the_words_give_it(compiled):
    for product in compiled.plan.products:
        if product.code.shared:
            continue
        found = [p for p in placed_matrices(compiled.machine) if p.phase == product.code.name]
        by_pe = sum(
            np.bincount(p.pe_of_line[p.line], p.matrix.row_counts, p.pes)[: p.pes] for p in found
        )
        (row,) = (r for r in compiled.report["phases"] if r["name"] == product.code.name)
        assert by_pe.tolist() == row["pe_nonzeros"]
