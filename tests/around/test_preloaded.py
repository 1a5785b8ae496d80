"""What the tests start is a process as `python` starts it: environment, folder, session, files, and how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from tests.flow.conftest import ROOT
from tests.preloaded import preloaded

ENVIRONMENT = {"PYTHONPATH": str(ROOT), "ONLY": "this"}
CODE = """
import json, os, sys
print(json.dumps([sorted(os.environ), os.getcwd(), os.getpid(), sys.argv, sys.path[:2], sys.stdin.read()]))
print(os.path.basename(sys.modules['__main__'].__name__), file=sys.stderr)
sys.exit(3)
"""


def test_a_process_has_what_it_was_given_and_its_output_and_code_come_back(tmp_path):
    done = preloaded().run("-c", CODE, "more", cwd=tmp_path, env=ENVIRONMENT, timeout=300, stdin=b"said")
    variables, folder, pid, argv, path, said = json.loads(done.stdout)
    assert (variables, folder, argv, said) == (["ONLY", "PYTHONPATH"], str(tmp_path), ["-c", "more"], "said")
    assert path == ["", str(ROOT)]
    assert pid != os.getpid()
    assert (done.returncode, done.stderr) == (3, "__main__\n")


def test_what_a_library_reads_when_it_is_imported_is_read(tmp_path):
    code = "from billiard.common import REMAP_SIGTERM; print(REMAP_SIGTERM)"
    given = ENVIRONMENT | {"REMAP_SIGTERM": "SIGQUIT"}
    assert preloaded().run("-c", code, cwd=tmp_path, env=given, timeout=300).stdout == "SIGQUIT\n"


def test_no_setting_and_no_celery_app_is_loaded_before_it_begins(tmp_path):
    code = "import sys; from marketfetch import settings as s; print('tasks' in sys.modules, s.get_settings.cache_info()[3])"
    assert preloaded().run("-c", code, cwd=tmp_path, env=ENVIRONMENT, timeout=300).stdout == "False 0\n"


def test_a_killed_process_says_by_which_signal_and_a_late_one_is_ended(tmp_path):
    with (tmp_path / "out").open("wb") as file:
        process = preloaded().start(
            "-c", "import signal; signal.pause()",
            cwd=tmp_path, env=ENVIRONMENT, stdout=file.fileno(), stderr=file.fileno(), start_new_session=True,
        )  # fmt: skip
        assert process.poll() is None
        assert os.getsid(process.pid) == process.pid
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(timeout=300) == -signal.SIGKILL
    with pytest.raises(subprocess.TimeoutExpired):
        preloaded().run("-c", "import signal; signal.pause()", cwd=tmp_path, env=ENVIRONMENT, timeout=0.2)


def test_a_module_and_a_file_run_as_the_main_program(tmp_path):
    (tmp_path / "mine.py").write_text("import sys; print(__name__, sys.argv[1:], sys.path[0])")
    for arguments in (("-m", "mine"), ("mine.py",)):
        done = preloaded().run(*arguments, "a", cwd=tmp_path, env=ENVIRONMENT, timeout=300)
        assert done.stdout == f"__main__ ['a'] {tmp_path}\n", done.stderr
    assert "No module named mine" in preloaded().run("-P", "-m", "mine", cwd=tmp_path, env=ENVIRONMENT, timeout=300).stderr
