"""The wheel's pytest plug-in in a user's project, whose own modules have the names that ours once had."""

from __future__ import annotations

import subprocess

from marketfetch.settings import unrelated_environment

THEIRS = {
    "tasks.py": "NAME = 'theirs'",
    "celeryconfig.py": "broker_url = 'amqp://theirs.invalid'",
    "settings.py": "NAME = 'theirs'",
    "test_shop.py": (
        "import marketfetch\nimport settings\nimport tasks\n\n"
        "def test_an_order_is_fetched(marketfetch_sandbox):\n"
        "    job = marketfetch.submit('polygon', ['AAPL'], start='2024-01-02', end='2024-01-05')\n"
        "    assert marketfetch.wait(job.job_id, timeout_s=5).rows == 4\n"
        "    assert (tasks.NAME, settings.NAME) == ('theirs', 'theirs')\n"
    ),
}


def test_the_fixture_is_there_once_the_wheel_is(installed, tmp_path):
    for name, text in THEIRS.items():
        (tmp_path / name).write_text(text)
    command = [str(installed.python), "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, env=unrelated_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
