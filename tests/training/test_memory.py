"""Peak memory of a process that trains, as Linux counts it.

Not by `resource.getrusage`: its peak is handed down to a new process by the one that starts it.
"""

import json
import subprocess
import sys

import pytest

# Of CIFAR-10's form and a third of its size. Prints what the process took in MiB at its peak: at first, with the data
# set, after students, after a measure of activations.
WORK = """
import json, re
import numpy as np, sklearn.model_selection, torch, kdlib
from kdlib.training.measures import within_between_scatter

peaks = []
def note():
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 2**10)

def load(root):
    order = np.random.default_rng(0)
    return tuple(
        part for n in (20000, 2000) for part in (order.integers(0, 256, (n, 3, 32, 32), np.uint8), np.arange(n) % 10)
    )

kdlib.configure_cpu(1)
kdlib.register_dataset("noise", load, family="cifar10", title="Noise")
kdlib.build_model("general_student")
note()
noise = kdlib.load_dataset("noise")
note()
teacher = kdlib.Teacher("small_teacher", 0, 1, 128)
students = [kdlib.Student(teacher, 1, t, steps=3, epochs=1, precision="bf16") for t in (3.0, 6.0, 9.0, 12.0)]
kdlib.distill(students, noise, torch.zeros(len(noise.labels), 10), engine="stacked")
note()
activations = torch.zeros(4000, 20000)
note()
within_between_scatter(activations + torch.randn(20000), torch.arange(4000) % 10)
note()
print(json.dumps(peaks))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process's own peak is told by Linux alone")


@pytest.fixture(scope="module")
def peaks():
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


IMAGES = 22000 * 3 * 32 * 32 * 4 / 2**20  # MiB in fp32


def test_a_data_set_stays_in_the_bytes_that_were_read_without_a_second_copy(peaks):
    assert IMAGES / 4 * 0.9 < peaks[1] - peaks[0] < 1.9 * IMAGES / 4


def test_students_need_little_memory_beside_their_data_set(peaks):
    assert peaks[2] - peaks[1] < 0.6 * IMAGES


def test_a_measure_of_activations_takes_no_copies_of_them_all(peaks):
    assert peaks[4] - peaks[3] < 2 * 4000 * 20000 * 4 / 2**20
