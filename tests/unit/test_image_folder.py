"""A folder of images: which class each has, what is calibrated on, how files become pixels, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_dwsep.datasets import image_files
from edge_dwsep.datasets.evaluation import open_evaluation
from edge_dwsep.datasets.image_files import read_images
from edge_dwsep.datasets.sources import image_input, open_data
from edge_dwsep.errors import InvalidData


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def picture(path: Path, value: int | tuple[int, ...] = 0, size: tuple[int, int] = (8, 8)) -> Path:
    """A file of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(value, int) else "RGB", size, value).save(path)
    return path


def laid_out(folder: Path, names: list[str]) -> Path:
    """Files of different greys, by their paths below a folder."""
    for index, name in enumerate(names):
        picture(folder / name, index * 5 + 3)
    return folder


LAYOUTS = {
    "alphabetical": (["dog/a.png", "cat/b.png", "cat/c.png"], "", {3: 1, 8: 0, 13: 0}, ("cat", "dog")),
    "numbers": (["7/a.png", "12/b.png", "007/c.png"], "", {3: 7, 8: 12, 13: 7}, ()),
    "labels.txt": (["dog/a.png", "cat/b.png"], "bird\ndog\ncat\n\n", {3: 1, 8: 2}, ("bird", "dog", "cat")),
    "numbers and labels.txt": (["1/a.png", "0/b.png"], "cat\ndog", {3: 1, 8: 0}, ("cat", "dog")),
    "labels.txt of numbers": (["7/a.png", "3/b.png"], "7\n3", {3: 0, 8: 1}, ("7", "3")),
    "flat, numbered": (["0012_tench.jpg", "3-x.PNG"], "", {3: 12, 8: 3}, ()),
    "hostile": (["<b>'\n$(x)/a b.png", "-rf/ü.png"], "", {3: 1, 8: 0}, ("-rf", "<b>'\n$(x)")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_classes_are_told_by_folders_files_and_labels(tmp_path: Path, layout: str):
    names, labels, expected, class_names = LAYOUTS[layout]
    folder = laid_out(tmp_path / "photos", names)
    if labels:
        (folder / "labels.txt").write_text(labels)
    source = open_data(str(folder), channels=1)
    whole = source.calibration_pool
    assert source.labelled
    assert whole.class_names == class_names
    assert {int(image[0, 0, 0]): int(label) for image, label in zip(whole.images, whole.labels, strict=True)} == (
        expected
    )


@pytest.mark.parametrize(
    "names",
    [["a.png", "b.png"], ["1_a.png", "b.png"], ["2024-05-17.png", "2024-05-18.png"], ["20240517_1.png", "2_b.png"]],
)
def test_files_in_one_folder_without_numbers_have_no_classes(tmp_path: Path, names: list[str]):
    folder = laid_out(tmp_path, names)
    assert not open_data(str(folder)).labelled
    assert open_evaluation(str(folder)).labels is None


def test_images_kept_apart_serve_the_purpose_that_their_folder_says(tmp_path: Path):
    names = ["evaluation/b/1.png", "evaluation/a/2.png", "calibration/3.png", "calibration/4.png"]
    source = open_data(str(laid_out(tmp_path, names)), channels=1)
    assert source.evaluation.images[:, 0, 0, 0].tolist() == [8, 3]
    assert source.evaluation.labels.tolist() == [0, 1]
    assert source.evaluation.class_names == ("a", "b")
    assert source.calibration.images[:, 0, 0, 0].tolist() == [13, 18]
    assert source.labelled


def test_an_image_that_is_evaluated_is_never_calibrated_on(tmp_path: Path):
    laid_out(tmp_path, ["evaluation/1.png", "evaluation/2.png", "calibration/3.png"])
    (tmp_path / "calibration" / "copy.png").write_bytes((tmp_path / "evaluation" / "1.png").read_bytes())
    assert open_data(str(tmp_path), channels=1).calibration.images[:, 0, 0, 0].tolist() == [13]


def test_without_folders_of_their_own_at_most_half_are_for_calibration(tmp_path: Path):
    source = open_data(str(laid_out(tmp_path, [f"{index}_x.png" for index in range(9)])), channels=1)
    calibrated, evaluated = (set(one.labels.tolist()) for one in (source.calibration, source.evaluation))
    assert (len(calibrated), len(evaluated)) == (4, 5)
    assert not calibrated & evaluated


def test_the_shorter_side_is_fitted_and_the_middle_taken(tmp_path: Path):
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 15:65] = (200, 100, 50)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (image,) = read_images([tmp_path / "a.png"], sides=(10, 10), channels=3, cache=None)
    assert image.shape == (10, 10, 3)
    assert (image == (200, 100, 50)).all()


def test_scaling_down_averages_what_it_leaves_out(tmp_path: Path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "a.png")
    (image,) = read_images([tmp_path / "a.png"], sides=(8, 8), channels=1, cache=None)
    assert abs(image.astype(int) - 100).max() <= 4


def test_an_image_is_turned_as_its_camera_was_held(tmp_path: Path):
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:, 16:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=100)
    (image,) = read_images([tmp_path / "a.jpg"], sides=None, channels=1, cache=None)
    assert image.shape == (32, 16, 1)
    assert image[4].max() < 10
    assert image[28].min() > 245


@pytest.mark.parametrize(
    ("mode", "value", "channels", "expected"),
    [
        ("L", 100, 3, [100, 100, 100]),
        ("RGB", (255, 0, 0), 1, [76]),
        ("RGBA", (200, 100, 50, 255), 3, [200, 100, 50]),
        ("RGBA", (200, 100, 50, 0), 3, [0, 0, 0]),
        ("LA", (200, 0), 1, [0]),
        ("1", 1, 1, [255]),
        ("P", 0, 3, [0, 0, 0]),
        ("I;16", 257 * 77, 1, [77]),
        ("I;16", 257 * 77, 3, [77, 77, 77]),
    ],
)
def test_every_kind_of_pixel_becomes_grey_or_colour(
    tmp_path: Path, mode: str, value: int | tuple[int, ...], channels: int, expected: list[int]
):
    Image.new(mode, (4, 4), value).save(tmp_path / "a.png")
    (image,) = read_images([tmp_path / "a.png"], sides=None, channels=channels, cache=None)
    assert image[0, 0].tolist() == expected


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".PNG"])
def test_formats_by_their_suffix(tmp_path: Path, suffix: str):
    (image,) = read_images([picture(tmp_path / f"a{suffix}", (90, 90, 90))], sides=None, channels=3, cache=None)
    assert abs(image.astype(int) - 90).max() <= 2


def test_an_unchanged_folder_is_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = laid_out(tmp_path / "photos", ["1_a.png", "2_b.png"])
    first = open_data(str(folder), side=4)
    decoded: list[Path] = []
    read = image_files._read

    def noted(file: Path, **how: Any) -> Any:
        decoded.append(file)
        return read(file, **how)

    monkeypatch.setattr(image_files, "_read", noted)
    assert open_data(str(folder), side=4).evaluation.sha256 == first.evaluation.sha256
    assert not decoded
    open_data(str(folder), side=5)
    assert len(decoded) == 2
    picture(folder / "2_b.png", 99)
    os.utime(folder / "2_b.png", ns=(1, 1))
    assert open_data(str(folder), side=4).evaluation.sha256 != first.evaluation.sha256
    assert len(decoded) == 4


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_damaged_pixels_of_the_cache_are_made_again(tmp_path: Path, damage: bytes | None):
    folder, cache = laid_out(tmp_path / "photos", ["1_a.png", "2_b.png"]), tmp_path / "cache"
    files = sorted(folder.iterdir())
    first = read_images(files, sides=None, channels=1, cache=cache)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-5] if damage is None else damage)
    assert (read_images(files, sides=None, channels=1, cache=cache) == first).all()


def test_pixels_before_a_change_are_not_kept(tmp_path: Path):
    file, cache = picture(tmp_path / "photos" / "1_a.png"), tmp_path / "cache"
    for value in (1, 2, 3):
        picture(file, value)
        os.utime(file, ns=(value, value))
        read_images([file], sides=None, channels=1, cache=cache)
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path):
    (tmp_path / "file").write_text("")
    picture(tmp_path / "1_a.png")
    assert len(read_images([tmp_path / "1_a.png"], sides=None, channels=1, cache=tmp_path / "file" / "cache")) == 1


def damaged(folder: Path) -> None:
    """A photo that ends in the middle."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(folder / "9_a.jpg")
    content = (folder / "9_a.jpg").read_bytes()
    (folder / "9_a.jpg").write_bytes(content[: len(content) // 2])


REFUSED = {
    "damaged": (damaged, "9_a.jpg cannot be read as an image"),
    "no image": (lambda folder: (folder / "3_x.png").write_text("<html>"), "3_x.png cannot be read as an image"),
    "empty file": (lambda folder: (folder / "3_x.png").write_bytes(b""), "3_x.png cannot be read as an image"),
    "other size": (
        lambda folder: picture(folder / "3_x.png", 1, (9, 8)),
        "is 8x8 and .*3_x.png 9x8",
    ),
    "both": (lambda folder: picture(folder / "dog" / "a.png"), "both images and folders"),
    "one part": (lambda folder: picture(folder / "evaluation" / "a.png"), "has evaluation/ and no calibration/"),
    "name twice": (lambda folder: (folder / "labels.txt").write_text("a\nb\na"), "has 'a' twice"),
    "labels no text": (lambda folder: (folder / "labels.txt").write_bytes(b"\xff\xfe"), "cannot be read as UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_named(tmp_path: Path, case: str):
    laid_out(tmp_path, ["1_a.png", "2_b.png"])
    spoil, message = REFUSED[case]
    spoil(tmp_path)
    with pytest.raises(InvalidData, match=message):
        open_data(str(tmp_path))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no images; their names end in .bmp, .jpeg"),
        (["a.txt"], "holds no images"),
        (["1_a.png"], "holds 1 image; at least 2"),
        (["cat/a.png", "dog/b.txt"], "dog holds no images; in .* each folder is a class"),
        (["train/cat/a.png", "train/dog/b.png"], "train holds no images"),
        (["calibration/a.png", "evaluation/b.txt"], "evaluation holds no images"),
    ],
)
def test_folders_without_the_images_they_should_have(tmp_path: Path, names: list[str], message: str):
    for name in names:
        if name.endswith(".png"):
            picture(tmp_path / name)
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("")
    with pytest.raises(InvalidData, match=message):
        open_data(str(tmp_path))


def test_a_number_of_no_output_is_refused(tmp_path: Path):
    with pytest.raises(InvalidData, match="is no number of an output"):
        open_data(str(laid_out(tmp_path / "d", ["1/a.png", f"{'9' * 20}/b.png"])))


def test_a_class_that_labels_txt_does_not_have_is_suggested(tmp_path: Path):
    laid_out(tmp_path, ["cats/a.png", "dog/b.png"])
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(InvalidData, match=r"unknown class by labels.txt 'cats': did you mean 'cat'\?"):
        open_data(str(tmp_path))


def test_copies_of_one_image_cannot_be_parted(tmp_path: Path):
    for index in range(4):
        picture(tmp_path / f"{index}_a.png", 5)
    with pytest.raises(InvalidData, match="all the same"):
        open_data(str(tmp_path))


def test_as_many_channels_as_no_image_has(tmp_path: Path):
    picture(tmp_path / "1_a.png")
    with pytest.raises(InvalidData, match=r"1 or 3 channels, and 4 are wanted; give an \.npz"):
        open_data(str(tmp_path), channels=4)


def test_a_name_with_a_newline_is_one_line_of_a_message(tmp_path: Path):
    folder = tmp_path / "a\nb"
    folder.mkdir()
    with pytest.raises(InvalidData) as caught:
        open_data(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "told"), [((96, 128, 3), {"side": (96, 128), "channels": 3}), ((10,), {}), ((), {}), ((4, 5, 6, 1), {})]
)
def test_images_are_brought_to_the_input_of_a_network(tmp_path: Path, shape: tuple[int, ...], told: dict[str, Any]):
    assert image_input(shape) == told
    if told:
        laid_out(tmp_path, ["1_a.png", "2_b.png"])
        assert open_data(str(tmp_path), **told).evaluation.images.shape == (1, *shape)
