"""Where picture and status line are, in windows of all sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcemu.frontends.window.layout import Rect, fitting_scale, lay_out, window_size

sizes = st.tuples(st.integers(1, 4000), st.integers(1, 3000))
pictures = st.sampled_from([(720, 400), (640, 400), (640, 350), (720, 350), (640, 200), (1188, 400)])


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_new_window_is_filled(scale: int) -> None:
    window = window_size(scale)
    layout = lay_out(window, (720, 400))
    assert layout.scale == layout.ui_scale == scale
    assert layout.picture == Rect(0, 0, 720 * scale, 400 * scale)
    assert layout.status == Rect(0, 400 * scale, 720 * scale, 16 * scale)
    assert window == (720 * scale, 416 * scale)


@given(sizes, pictures, st.booleans())
def test_nothing_sticks_out_of_the_window(
    window: tuple[int, int], picture: tuple[int, int], four_by_three: bool
) -> None:
    layout = lay_out(window, picture, four_by_three)
    x, y, width, height = layout.picture
    status = layout.status
    assert x >= 0
    assert x + width <= window[0]
    assert status.y + status.height == window[1]
    assert y + height <= max(status.y, 1)
    assert width >= 1
    assert height >= 1


@given(sizes, pictures)
def test_a_picture_that_fits_is_scaled_by_the_largest_whole_number(
    window: tuple[int, int], picture: tuple[int, int]
) -> None:
    layout = lay_out(window, picture)
    room = window[0], layout.status.y
    if picture[0] > room[0] or picture[1] > room[1]:
        assert layout.scale == 0
        return
    assert layout.picture[2:] == (picture[0] * layout.scale, picture[1] * layout.scale)
    larger = layout.scale + 1
    assert picture[0] * larger > room[0] or picture[1] * larger > room[1]
    assert abs(room[0] - 2 * layout.picture.x - layout.picture.width) <= 1


@pytest.mark.parametrize("picture", [(720, 400), (640, 400), (640, 350)])
def test_the_old_shape_is_four_by_three(picture: tuple[int, int]) -> None:
    layout = lay_out((1920, 1080), picture, four_by_three=True)
    assert layout.picture.width * 3 == pytest.approx(layout.picture.height * 4, abs=4)
    assert layout.picture.width % picture[0] == 0
    assert layout.scale == 0
    assert window_size(2, four_by_three=True)[1] > 1080


@pytest.mark.parametrize(
    ("desktop", "scale"),
    [((800, 600), 1), ((1366, 768), 1), ((1920, 1080), 2), ((2560, 1440), 2), ((3840, 2160), 4)],
)
def test_a_new_window_suits_the_desktop(desktop: tuple[int, int], scale: int) -> None:
    assert fitting_scale(desktop) == scale


def test_the_cell_under_the_mouse() -> None:
    layout = lay_out((1500, 900), (720, 400))
    x, y, _, _ = layout.picture
    assert layout.cell_at((x, y), 25, 80) == (0, 0)
    assert layout.cell_at((x + 17, y + 31), 25, 80) == (0, 0)
    assert layout.cell_at((x + 18, y + 32), 25, 80) == (1, 1)
    assert layout.cell_at((x + 1439, y + 799), 25, 80) == (24, 79)
    assert layout.cell_at((-5, 2000), 25, 80) == (24, 0)
    assert layout.shows((x, y))
    assert not layout.shows((x - 1, y))
    assert not layout.shows((x, layout.status.y))
