#!/bin/sh
# What one GPU does: `benchmarks/gpu.sh [--device cpu --tiny] [--output FILE]`, at most eight minutes.
# Needs torch for CUDA and the extra `train`; no network. PYTHON names the interpreter.
cd "$(dirname "$0")/.." && exec "${PYTHON:-python3}" -m benchmarks.gpu "$@"
