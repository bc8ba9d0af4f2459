"""Time and memory of a training step of ModernBERT by the length of its windows, a process for each length.

    scripts/benchmark windows                                 128 to 8,192 tokens, layers as in ModernBERT-base
    scripts/benchmark windows --layers 4 --every 100          one global layer and three local ones
    scripts/benchmark windows --tokens 512 --tokens 1024
    scripts/benchmark windows --gradient-checkpointing        layers are computed again for the gradients

The weights are random, because the time does not depend on them. Each step reads one window. Shown are the median and
the range of the time of a step after two others, and the peak memory of the process. "before" is the peak before the
first step: the program, the weights and the state of the optimizer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from baselines.peak_memory import peak_gb
from measuring import ROOT, machine, markdown_table, run, spread, told

LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192)
HEADINGS = ("tokens", "step, s", "tokens/s", "peak GB", "before, GB")


def main() -> None:
    """Run all lengths in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, action="append", help="repeatable; default: 128 to 8,192")
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--every", type=int, default=3, help="every n-th layer is global")
    parser.add_argument("--steps", type=int, default=3, help="the steps that are timed")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        sizes = arguments.one, arguments.layers, arguments.every, arguments.steps
        print(json.dumps(measured(*sizes, gradient_checkpointing=arguments.gradient_checkpointing)))
        return
    print(machine())
    rows = []
    for n_tokens in arguments.tokens or LENGTHS:
        options = {"layers": arguments.layers, "every": arguments.every, "steps": arguments.steps, "one": n_tokens}
        switches = ["--gradient-checkpointing"] if arguments.gradient_checkpointing else []
        given = [text for k, v in options.items() for text in (f"--{k}", str(v))]
        found = run([sys.executable, __file__, *switches, *given])
        times = [{"step": seconds} for seconds in found["steps"]]
        middle = sorted(found["steps"])[len(found["steps"]) // 2]
        cells = (f"{n_tokens:,}", spread(times, "step", 2), f"{n_tokens / middle:,.0f}")
        rows.append((*cells, f"{found['peak']:.2f}", f"{found['before']:.2f}"))
        told(" | ".join(rows[-1]))
    print(markdown_table(HEADINGS, rows))


def measured(
    n_tokens: int, n_layers: int, every: int, n_steps: int, *, gradient_checkpointing: bool
) -> dict[str, object]:
    """The times of the steps in seconds, and the peak memory in GB."""
    sys.path.insert(0, str(ROOT))
    from tf_tokclf.config.schema import OptimizerConfig
    from tf_tokclf.model.architectures.modernbert import TFModernBertForTokenClassification
    from tf_tokclf.model.backend import tf, transformers
    from tf_tokclf.model.fast_gelu import use_fast_gelu
    from tf_tokclf.training.dropout import SeededDropout
    from tf_tokclf.training.optimizer import create_slots, defer_embedding, make_optimizer
    from tf_tokclf.training.schedule import Schedule
    from tf_tokclf.training.step import TrainingStep

    config = transformers.ModernBertConfig(num_hidden_layers=n_layers, global_attn_every_n_layers=every, num_labels=9)
    model = TFModernBertForTokenClassification(config)
    model.build_in_name_scope()
    use_fast_gelu(model)
    n_all = n_steps + 2
    optimizer = make_optimizer(OptimizerConfig(), Schedule(n_all, 0), loss_scaling=False)
    create_slots(optimizer, model.trainable_variables)
    defer_embedding(optimizer, model, n_steps=n_all)
    step = TrainingStep(
        model,
        optimizer,
        clip_norm=1.0,
        dropout=SeededDropout(model, seed=1),
        gradient_checkpointing=gradient_checkpointing,
    )
    ids = tf.random.uniform((1, n_tokens), 5, 50_000, tf.int64, seed=1)
    batch = {"input_ids": ids, "attention_mask": tf.ones_like(ids), "labels": ids % 9}
    before, times = peak_gb(), []
    for _ in range(n_all):
        begun = time.perf_counter()
        float(step([batch]))
        times.append(time.perf_counter() - begun)
    return {"steps": times[2:], "peak": peak_gb(), "before": before}


if __name__ == "__main__":
    main()
