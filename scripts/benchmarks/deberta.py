"""Compare the steps of a DeBERTa v3 with those of transformers' classes for TensorFlow and PyTorch.

    scripts/benchmark deberta --torch-python VENV/bin/python [--rounds 3] [--steps 10] [--layers 6]

The model has the shape of DeBERTa-v3-small: 6 layers, 768 wide, 12 heads, 256 buckets of distances. Its weights are
random, and it knows 8,000 subword tokens instead of 128,100, so that it needs little memory. A batch has 16 rows of 64
or 128 tokens without padding. A training step contains dropout, clipping and AdamW; a forward pass only the logits.
The systems take turns, each in a separate process. Without --torch-python, only TensorFlow is measured. Run this on a
machine that does nothing else. It prints a Markdown table of milliseconds: the median over the rounds, with the
smallest and largest value in brackets, where a round counts with the median of its steps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from measuring import BASELINES, machine, markdown_table, run, spread, told

SYSTEMS = {
    "tf-tokclf": ("tf", "deberta_ours.py"),
    "transformers, TensorFlow": ("tf", "deberta_tensorflow.py"),
    "transformers, PyTorch": ("torch", "deberta_pytorch.py"),
}
PRECISIONS = ("float32", "bfloat16")
WIDTHS = (64, 128)
COLUMNS = {f"{kind} {width}": f"{kind}, 16 x {width}" for kind in ("training", "forward") for width in WIDTHS}


def main() -> None:
    """Run all systems in turn and print the table."""
    options = parse_options()
    pythons = {"tf": sys.executable, "torch": options.torch_python}
    cases = [(name, precision) for name in SYSTEMS if pythons[SYSTEMS[name][0]] for precision in PRECISIONS]
    measured: dict[tuple[str, str], list[dict]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), options.layers)
        for turn in range(options.rounds):
            for name, precision in cases:
                kind, script = SYSTEMS[name]
                command = [pythons[kind], str(BASELINES / script), folder, "--precision", precision]
                command += ["--steps", str(options.steps), "--widths", *map(str, WIDTHS)]
                measured[name, precision].append(run(command))
                told(f"round {turn + 1}, {name}, {precision}: {measured[name, precision][-1]}")
    rows = [
        [f"{name}, {precision}", *(spread(found, key, 0) for key in COLUMNS), spread(found, "peak_gb", 2)]
        for (name, precision), found in measured.items()
    ]
    print(f"{options.layers} layers, {options.rounds} rounds of {options.steps} steps, ms; {machine()}\n")
    print(markdown_table(["system", *COLUMNS.values(), "peak GB"], rows))


def write_model(folder: Path, n_layers: int) -> None:
    """Write a token classifier with random weights, which all systems load."""
    import transformers

    from tf_tokclf.model.backend import keras
    from tf_tokclf.model.portable_weights import save_portable_weights
    from tf_tokclf.model.saving import save_config

    keras.utils.set_random_seed(1)
    config = transformers.DebertaV2Config(
        vocab_size=8000,
        hidden_size=768,
        num_hidden_layers=n_layers,
        num_attention_heads=12,
        intermediate_size=3072,
        type_vocab_size=0,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_buckets=256,
        position_biased_input=False,
        num_labels=9,
    )
    model = transformers.TFDebertaV2ForTokenClassification(config)
    model.build_in_name_scope()
    save_config(model, folder)
    save_portable_weights(model, folder / "model.safetensors")


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", help="interpreter of an environment with torch and transformers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--layers", type=int, default=6)
    return parser.parse_args()


if __name__ == "__main__":
    main()
