#!/usr/bin/env bash
# The benchmark at real size, on one GPU of 80 GB, in under ten minutes: random weights in the shape of Qwen2.5-VL-7B,
# NF4, bfloat16; 1,024 and 7,744 visual tokens per clip. Without a GPU it runs the same at toy size, to show that it runs.
#   bash tools/bench/gpu.sh [FILE.json]
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
out="${1:-tools/bench/results_gpu.json}"
python="$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)"
"$python" -c 'import torch' 2>/dev/null || { echo "gpu.sh: $python has no torch: run make setup first" >&2; exit 1; }
peers=(video)
"$python" -c 'import trl' 2>/dev/null || { peers=(); echo "TRL isn't installed: savi alone"; }
if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())'; then
    exec "$python" -m tools.bench --shape 7b --tokens 1024 7744 --checkpointing on --peers "${peers[@]}" --turns batched \
        --repeats 1 --loss-steps 4 --budget 420 --out "$out"
fi
echo "no GPU: toy size, which says nothing about speed"
exec "$python" -m tools.bench --shape toy --tokens 64 --checkpointing on --peers "${peers[@]}" --turns batched --repeats 1 \
    --loss-steps 4 --out "$out"
