"""Sweeps that cannot be run."""

from __future__ import annotations

from functools import partial

from tests.reliability.bad_inputs.cells import ESC, PNG, Cell, Cells, Content, folder, unreadable


def sweeps() -> list[Cell]:
    """Values for `fit --sweep`, and the folder in which a sweep continues."""
    cells = Cells("fit --train-file {train} --model-name-or-path {encoder} --output-dir o")
    bad = partial(cells.bad, "sweeps")
    rate = "optimizer.learning_rate"
    good = f"--sweep {rate}=1e-5,3e-5"
    bad("missing", "--sweep", "Option '--sweep' requires an argument")
    bad("missing", f"--sweep {rate}=nothing,1e-5", f"{rate}: 'nothing' is not", "a valid number")
    bad("empty", f"--sweep {rate}=", "is not SECTION.KEY=V,V,...", "such as")
    bad("empty", f"--sweep {rate}=[]", f"{rate} has no values", "invalid sweep")
    bad("truncated", f"--sweep {rate}", "is not SECTION.KEY=V,V,...", "such as")
    bad("truncated", f"--sweep {rate}=[1e-5,", "the values are not valid YAML", "Quote them")
    bad("wrong type", f"--sweep {rate}=fast,slow", f"{rate}: 'fast' is not", "a valid number")
    bad("wrong type", "--sweep training.report_to=[[csv],[wandb]]", "sweep.training.report_to", "is not")
    bad("wrong type", "--sweep training.seed=2024-99-99,1", "the values are not valid YAML", "Quote them")
    bad("wrong type", "--set sweep=5", "sweep: 5 is not", "a mapping")
    bad("wrong type", f"--sweep {rate}=[[1],[2]]", "sweep", "is not")
    bad("wrong encoding", f"--sweep {rate}=\u00b2,1", f"{rate}: '\u00b2' is not", "a valid number")
    bad("wrong length", f"--sweep {rate}=1e-5", "needs 2 to 10,000 combinations of values, not 1", "For example")
    bad("out of range", f"--sweep {rate}=1e-5,-1", f"{rate}: -1 is not", "greater than 0")
    bad("out of range", f"--sweep-trials 0 {good}", "sweep_trials: 0 is not", "greater than 0")
    bad("out of range", "--sweep training.seed=1,2", "training.seed must be the same in all trials", "--seeds 1,2,3")
    bad("duplicated", f"--sweep {rate}=1e-5,0.00001", f"{rate} has a value more than once", "1e-05")
    bad("duplicated", f"{good} --sweep {rate}=5e-5", f"{rate} is given twice", "List its values separated by commas")
    bad("duplicated", f"{good} --seeds 1,2", "--seeds and a sweep cannot be combined", "Sweep first")
    bad("hostile", f"--sweep {ESC}=1,2", "no setting \ufffd]0;owned", "config schema")
    bad("hostile", "--sweep sweep.x=1,2", "no setting sweep.x", "Did you mean sweep?")
    bad("hostile", "--sweep output_dir=a,b", "output_dir must be the same in all", "Each trial gets its own folder")
    bad("hostile", f"--sweep {rate}={'[' * 3000}", "the values are not valid YAML", "Quote them")
    bad("hostile", f"--sweep {rate}=!!python/object/apply:os.system,1", "the values are not valid YAML", "Quote them")
    many = ",".join(str(one) for one in range(1, 102))
    huge = f"--sweep training.num_train_epochs={many} --sweep training.logging_steps={many}"
    bad("huge", huge, "2 to 10,000 combinations of values, not 10,201", "For example")
    bad("huge", f"--sweep training.num_train_epochs=1,{'9' * 5000}", "the values are not valid YAML", "Quote them")

    def begun(content: Content) -> dict[str, Content]:
        return {"o": folder, "o/config.yaml": b"task: ner\noutput_dir: o\n", "o/sweep.db": content}

    says = ("o/sweep.db: the sweep's database cannot be used", "start the sweep in another")
    bad("unreadable", f"{good} --resume", *says, **begun(unreadable))
    bad("truncated", f"{good} --resume", *says, **begun(PNG))
    return cells
