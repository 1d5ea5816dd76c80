"""Files are whole or not there; broken ones are told from good ones."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recgym.errors import BadData
from recgym.storage import read_arrays, read_json, whole_file, write_arrays, write_json, write_text

ARRAYS: dict[str, np.ndarray] = {
    "a": np.arange(500, dtype=np.int32).reshape(50, 10),
    "b": np.array([0.5, -np.inf, np.nan], np.float32),
}


def test_arrays_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "arrays.npz"
    write_arrays(path, ARRAYS)
    back = read_arrays(path, ["a", "b"])
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        assert back[name].tobytes() == array.tobytes()
        assert back[name].shape == array.shape


def test_empty_and_strided_arrays_come_back(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray] = {
        "empty": np.zeros((0, 2), np.float32),
        "strided": np.arange(12).reshape(3, 4)[:, ::2],
    }
    write_arrays(tmp_path / "x.npz", arrays)
    for name, array in read_arrays(tmp_path / "x.npz", list(arrays)).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_json_comes_back_and_text_is_utf_8(tmp_path: Path) -> None:
    value = {"ü": [1, 2.5, None, True], "nested": {"x": "快手"}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value
    write_text(tmp_path / "x.txt", "快手\n")
    assert (tmp_path / "x.txt").read_bytes() == "快手\n".encode()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def fail_half_way() -> None:
        with whole_file(path) as partial:
            partial.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_first_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "new.json", {"not json": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_json_does_not_have(tmp_path: Path, number: float) -> None:
    path = tmp_path / "x.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"x": number})
    assert read_json(path) == 1


def test_arrays_of_python_objects_are_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    write_arrays(path, ARRAYS)
    with pytest.raises(ValueError, match=r"[Oo]bject arrays"):
        write_arrays(path, {"a": np.array([object()], dtype=object)})
    np.testing.assert_array_equal(read_arrays(path, ["a"])["a"], ARRAYS["a"])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99, 0.9999])
def test_a_truncated_npz_is_bad_data(tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.npz"
    write_arrays(path, ARRAYS)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(int(len(whole) * share), len(whole) - 1)])
    with pytest.raises(BadData, match=r"cut\.npz: not a complete npz file"):
        read_arrays(path, ["a", "b"])


def test_a_flipped_byte_is_bad_data_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "flipped.npz"
    write_arrays(path, ARRAYS)
    whole = path.read_bytes()
    noticed = 0
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            back = read_arrays(path, ["a", "b"])
        except BadData:
            noticed += 1
        else:
            assert all(back[name].tobytes() == ARRAYS[name].tobytes() for name in ARRAYS)
    assert noticed > len(whole) / 3 * 0.8


def test_a_missing_array_is_named_with_what_there_is(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", ARRAYS)
    with pytest.raises(BadData, match=r"x\.npz: lacks c, d; it holds a, b\."):
        read_arrays(tmp_path / "x.npz", ["a", "c", "d"])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"x\.npz: no such file"):
        read_arrays(tmp_path / "x.npz", ["a"])
    with pytest.raises(BadData, match=r"x\.json: no such file"):
        read_json(tmp_path / "x.json")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    with open(path, "wb") as file:
        np.savez(file, a=np.array([{"any": "object"}], dtype=object), allow_pickle=True)
    with pytest.raises(BadData, match="allow_pickle"):
        read_arrays(path, ["a"])


def test_other_kinds_of_file_are_bad_data(tmp_path: Path) -> None:
    single = io.BytesIO()
    np.save(single, ARRAYS["a"])
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("a.npy", "not an array")
    for content in (single.getvalue(), zipped.getvalue(), b"plain text", b"\x80\x04N."):
        (tmp_path / "other.npz").write_bytes(content)
        with pytest.raises(BadData, match=r"other\.npz"):
            read_arrays(tmp_path / "other.npz", ["a"])


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"{'single': 1}"])
def test_what_is_not_json_is_bad_data(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(BadData, match=r"x\.json: not JSON"):
        read_json(tmp_path / "x.json")
