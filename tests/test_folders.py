"""What a killed test run leaves behind, the next one removes; what another run uses stays."""

import subprocess
import sys
from pathlib import Path

from tests.folders import left_over, own_folder

HOLDING = """
import sys
from pathlib import Path
from tests.folders import own_folder
print(own_folder("tried", Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_a_folder_is_kept_as_long_as_its_process_lives_and_removed_by_who_comes_after_it(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        mine = own_folder("tried", tmp_path)
        assert {*tmp_path.iterdir()} == {theirs, mine}
        other.kill()
        other.wait()
    another = own_folder("tried", tmp_path)
    assert {*tmp_path.iterdir()} == {mine, another}
    assert [*left_over("tried", tmp_path)] == []
