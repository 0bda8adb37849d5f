"""Opening picture files of every kind."""

from __future__ import annotations

import hashlib
import os
import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from pcclip.data.pictures import REASONS, PictureError, open_picture, picture_digest
from pcclip.errors import DataError


def reason_of(path) -> str:
    with pytest.raises(PictureError) as caught:
        open_picture(path)
    assert isinstance(caught.value, DataError)
    assert caught.value.reason in REASONS
    assert repr(str(path)) in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("mode", "value", "suffix", "expected_mode", "expected"),
    [
        ("1", 1, "png", "RGB", (255, 255, 255)),
        ("L", 100, "png", "RGB", (100, 100, 100)),
        ("LA", (100, 7), "png", "RGBA", (100, 100, 100, 7)),
        ("RGB", (1, 2, 3), "png", "RGB", (1, 2, 3)),
        ("RGB", (1, 2, 3), "bmp", "RGB", (1, 2, 3)),
        ("RGBA", (1, 2, 3, 4), "png", "RGBA", (1, 2, 3, 4)),
        ("RGBA", (1, 2, 3, 4), "tiff", "RGBA", (1, 2, 3, 4)),
        ("CMYK", (0, 255, 255, 0), "tiff", "RGB", (255, 0, 0)),
        ("I;16", 0x8080, "png", "RGB", (128, 128, 128)),
        ("I;16", 0x8080, "tiff", "RGB", (128, 128, 128)),
        ("I;16B", 0x8080, "tiff", "RGB", (128, 128, 128)),
        ("I", 200, "tiff", "RGB", (200, 200, 200)),
        ("I", 257 * 60, "tiff", "RGB", (60, 60, 60)),
        ("F", 0.2, "tiff", "RGB", (51, 51, 51)),
        ("F", 77.0, "tiff", "RGB", (77, 77, 77)),
    ],
)
def test_every_mode_becomes_rgb_or_rgba(tmp_path, mode, value, suffix, expected_mode, expected):
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (5, 3), value).save(path)
    opened = open_picture(path)
    assert (opened.mode, opened.size) == (expected_mode, (5, 3))
    assert opened.getpixel((2, 1)) == pytest.approx(expected, abs=1)


def test_transparency_of_palettes_and_of_colour_keys_is_kept(tmp_path):
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=b"\x00\xff")
    opened = open_picture(tmp_path / "p.png")
    assert opened.mode == "RGBA"
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30, 0), (40, 50, 60, 255)]
    palette.save(tmp_path / "o.png")
    assert open_picture(tmp_path / "o.png").mode == "RGB"
    Image.new("RGB", (2, 1), (9, 9, 9)).save(tmp_path / "k.png", transparency=(9, 9, 9))
    assert open_picture(tmp_path / "k.png").getpixel((0, 0)) == (9, 9, 9, 0)


def test_pictures_are_turned_upright(tmp_path):
    image = Image.new("RGB", (40, 20), "red")
    image.paste((0, 0, 255), (0, 0, 20, 20))  # blue on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    image.save(tmp_path / "a.png", exif=exif)
    opened = open_picture(tmp_path / "a.png")
    assert opened.size == (20, 40)
    assert opened.getpixel((10, 5)) == (0, 0, 255)
    assert opened.getpixel((10, 35)) == (255, 0, 0)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_gives_its_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=50, lossless=True)
    opened = open_picture(tmp_path / f"a.{suffix}").convert("RGB")
    assert opened.getpixel((4, 4)) == (255, 0, 0)


def test_files_that_are_no_pictures_have_their_reason(tmp_path):
    assert reason_of(tmp_path / "gone.png") == "missing-file"
    assert reason_of(tmp_path) == "not-a-file"
    (tmp_path / "zero.png").touch()
    assert reason_of(tmp_path / "zero.png") == "empty-file"
    (tmp_path / "text.png").write_text("no picture at all")
    assert reason_of(tmp_path / "text.png") == "not-a-picture"
    assert reason_of(tmp_path / ("x" * 300)) == "missing-file"  # longer than a name may be


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "p.png")
    assert reason_of(tmp_path / "p.png") == "not-a-file"


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_cut_off_files_are_found_at_every_length(tmp_path, suffix):
    whole = tmp_path / f"whole.{suffix}"
    noise = Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(64 * 64 * 3))
    noise.save(whole)
    content = whole.read_bytes()
    found = set()
    for share in (0.02, 0.3, 0.6, 0.9):
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(content[: int(len(content) * share)])
        found.add(reason_of(cut))
    assert found <= {"truncated", "undecodable", "not-a-picture"}
    assert open_picture(whole).size == (64, 64)


def test_damaged_files_never_raise_anything_else(tmp_path):
    rng = random.Random(2)
    noise = Image.frombytes("RGB", (32, 32), rng.randbytes(32 * 32 * 3))
    outcomes = set()
    for suffix in ("png", "jpg", "gif", "tiff", "webp", "bmp"):
        path = tmp_path / f"a.{suffix}"
        noise.save(path)
        content = path.read_bytes()
        for _ in range(40):
            damaged = bytearray(content)
            for _ in range(8):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path.write_bytes(damaged)
            try:
                outcomes.add(open_picture(path).mode)
            except PictureError as error:
                outcomes.add(error.reason)
    assert "RGB" in outcomes
    assert outcomes & {"undecodable", "truncated", "not-a-picture"}


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    Image.new("1", (2000, 2000)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3_999_999)  # Pillow itself would only warn
    assert reason_of(tmp_path / "a.png") == "too-large"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)  # Pillow raises
    assert reason_of(tmp_path / "a.png") == "too-large"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_000_000)
    assert open_picture(tmp_path / "a.png").size == (2000, 2000)


def warning_picture(path):
    """Write a JPEG whose EXIF block announces five entries and ends: Pillow warns when it looks for the orientation."""
    Image.new("RGB", (4, 4)).save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0")
    return path


def test_warnings_of_pillow_do_not_come_through_and_others_do(tmp_path):
    path = warning_picture(tmp_path / "a.jpg")
    with pytest.warns(UserWarning, match="EXIF"), Image.open(path) as image:
        image.getexif()
    filters = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(8) as pool:
            sizes = list(pool.map(lambda _: open_picture(path).size, range(64)))
    assert sizes == [(4, 4)] * 64
    assert caught == []
    assert warnings.filters == filters
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)


def test_the_file_can_be_deleted_and_the_picture_still_be_used(tmp_path, picture):
    path = picture(tmp_path / "a.png", 3)
    opened = open_picture(path)
    path.unlink()
    assert opened.resize((2, 2)).getpixel((0, 0)) == (111, 17, 3)


def test_digest_is_of_the_whole_content(tmp_path):
    content = random.Random(0).randbytes(3 * (1 << 20) + 17)
    (tmp_path / "a").write_bytes(content)
    assert picture_digest(tmp_path / "a") == hashlib.blake2b(content, digest_size=32).digest()
    with pytest.raises(PictureError, match="missing-file"):
        picture_digest(tmp_path / "b")
