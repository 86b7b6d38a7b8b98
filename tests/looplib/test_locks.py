import subprocess
import sys
from pathlib import Path

import pytest

from looplib.errors import UserError
from looplib.locks import exclusive

HOLD = """
import sys
from pathlib import Path
from looplib.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["folder", "file"])
def test_a_lock_refuses_other_processes_until_its_holder_dies(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="in use"), exclusive(path, UserError("in use")):
            pass
        holder.kill()
    with exclusive(path, UserError("in use")):
        pass
