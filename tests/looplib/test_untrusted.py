"""Files of others: regular ones are read, within their bounds."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looplib.errors import UserError
from looplib.files import sha256_file
from looplib.untrusted import open_untrusted, read_untrusted


class RefusedError(UserError):
    """The reader's own error."""


STRANGE: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "nothing": lambda _: None,
    "a name that no file can have\0": lambda _: None,
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    STRANGE[kind](tmp_path / kind)
    with pytest.raises(RefusedError, match=f"{kind}: cannot be read"):
        open_untrusted(tmp_path / kind, error=RefusedError)


def test_a_link_is_followed_within_the_folder_only(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "deeper").mkdir(parents=True)
    (inside / "file").write_text("text")
    (inside / "deeper" / "link").symlink_to("../file")
    (inside / "out").symlink_to("../outside")
    assert read_untrusted(inside / "deeper" / "link", 9, within=inside) == b"text"
    assert read_untrusted(inside / "out", 9) == b"secret"
    with pytest.raises(UserError, match="out: a link that leads out of"):
        read_untrusted(inside / "out", 9, within=inside)


@settings(max_examples=40)
@given(
    content=st.binary(max_size=50),
    longest=st.integers(0, 50),
    is_known=st.booleans(),
    changed=st.booleans(),
)
def test_bytes_and_digest_are_what_was_allowed(
    tmp_path_factory: pytest.TempPathFactory,
    content: bytes,
    longest: int,
    is_known: bool,
    changed: bool,
) -> None:
    file = tmp_path_factory.getbasetemp() / "file"
    file.write_bytes(content)
    sha256 = sha256_file(file) if is_known else None
    file.write_bytes(content + b"!" if changed else content)
    size, fits = len(content) + changed, len(content) + changed <= longest
    allowed = fits if not is_known else (size == longest and not changed)
    try:
        with open_untrusted(file, longest, sha256=sha256) as opened:
            assert opened.read() == file.read_bytes()
            assert allowed
    except UserError:
        assert not allowed
