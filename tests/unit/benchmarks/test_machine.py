"""Where a figure was measured, in words."""

from __future__ import annotations

from benchmarks.machine import described_processor, machine

CPUINFO = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni rdpid

processor\t: 1
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni rdpid
"""


def test_the_generation_of_a_processor_is_told() -> None:
    assert described_processor(CPUINFO) == "AMD EPYC (family 26, model 2, avx2, avx512f, avx512_vnni)"


def test_other_processors_have_a_name_or_none() -> None:
    assert described_processor("processor : 0\nmodel name : Neoverse-N1\n") == "Neoverse-N1"
    assert described_processor("processor : 0\nBogoMIPS : 50.00\n") == "unknown CPU"


def test_the_machine_is_stated_with_its_libraries() -> None:
    assert " cores; Python 3" in machine()
