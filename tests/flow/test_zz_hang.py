import random, signal, subprocess, time
import psutil, pytest
from tests.flow.conftest import LimitedJob
from tests.flow.test_releaser_stops import REMAPPED
from tests.flow.test_steering import SELDOM

@pytest.mark.parametrize("n", range(400))
def test_hang(place, sandbox, n):
    dice = random.Random(n)
    place.env |= SELDOM | REMAPPED
    job = LimitedJob(place, sandbox, requests=60)
    worker = place.worker()
    job.submit()
    job.reaches(3, within_s=40)
    time.sleep(dice.random() * 4)
    worker.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    try:
        worker.wait(timeout=60)
    except subprocess.TimeoutExpired:
        out = ""
        try:
            p = psutil.Process(worker.pid)
            for one in [p, *p.children(recursive=True)]:
                out += f"\n##### {one.pid} {one.status()}\n" + subprocess.run(["py-spy", "dump", "--pid", str(one.pid)], capture_output=True, text=True).stdout
        except psutil.Error as e:
            out += repr(e)
        open(f"/tmp/wt/hangfound.{n}", "w").write(out + "\n" + place.worker_log)
        raise AssertionError(out)
    print("ended in", time.monotonic() - begun)
