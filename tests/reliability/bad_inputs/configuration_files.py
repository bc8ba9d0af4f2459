"""Configurations that cannot be used."""

from __future__ import annotations

from tests.reliability.bad_inputs.cells import DEEP, ESC, LAUGHS, Bad, Cell, Content, Impossible, folder, unreadable


def configurations() -> list[Cell]:
    """Configuration files and settings, read by `fit --dry-run`."""
    cells: list[Cell] = []

    def bad(fault: str, content: Content | None, *says: str, options: str = "", subject: str = "config file") -> None:
        files: dict[str, Content] = {} if content is None else {"c.yaml": content}
        cells.append(Bad(subject, fault, files, f"fit c.yaml --dry-run {options}", says))

    bad("missing", None, "c.yaml: there is no such configuration file.", "tf-tokclf init")
    bad("empty", b"", "no training data: give --train-file", "--output-dir")
    bad("truncated", b"data: {train_file: [", "c.yaml, line 1: not valid YAML", "Correct that line")
    bad("wrong type", b"- a\n- b\n", "c.yaml: is not a mapping of sections", "tf-tokclf init")
    bad("wrong type", b"training: 5\n", "c.yaml, line 1: training: 5 is not", "a section of settings")
    bad("wrong type", b"1: 2\n", "c.yaml", "there is no setting 1")
    bad("wrong type", b"seed: 2024-99-99\n", "c.yaml", "not valid YAML")
    bad("wrong type", b"seed: !!bool maybe\n", "c.yaml", "not valid YAML")
    bad("wrong encoding", b"task: Jos\xe9\n", "c.yaml: not UTF-8 text (byte 9).", "Save it as UTF-8")
    bad(
        "wrong length",
        b"training: {report_to: tensorboard}\n",
        "c.yaml, line 1: training.report_to: 'tensorboard' is not",
        "a list",
    )
    bad(
        "out of range",
        b"training: {num_train_epochs: 0}\n",
        "c.yaml, line 1: training.num_train_epochs: 0 is not",
        "greater than 0",
    )
    bad("duplicated", b"training: {seed: 1, seed: 2}\n", "c.yaml, line 1", "duplicate key seed", "Correct that line")
    bad(
        "hostile",
        b"seed: !!python/object/apply:os.system [id]\n",
        "c.yaml, line 1: not valid YAML",
        "Correct that line",
    )
    bad(
        "hostile",
        f'"{ESC.encode("unicode_escape").decode()}": 1\n'.encode(),
        "c.yaml, line 1: there is no setting \ufffd]0;owned",
        "tf-tokclf config",
    )
    bad("hostile", DEEP, "c.yaml: not valid YAML", "nested")
    bad("hostile", b"data: &a {train_file: *a}\n", "c.yaml, line 1: data.train_file: ", "is not a valid string")
    bad(
        "hostile",
        b'data: {train_file: "a\\0b", validation_file: b}\n',
        "a",
        "no such file",
        options="--model-name-or-path {encoder} --output-dir o",
    )
    bad("huge", LAUGHS, "c.yaml: ", "there is no setting")
    bad("huge", LAUGHS + b"training: {seed: *j}\n", "c.yaml: ", "training.seed: [[[")
    bad("huge", b"training: {seed: " + b"9" * 5000 + b"}\n", "c.yaml", "not valid YAML")
    bad("unreadable", unreadable, "c.yaml: cannot be read", "Check its permissions")
    bad("unreadable", folder, "c.yaml: ", "configuration file")

    def setting(section: str, fault: str, assignment: str, *says: str, dry: bool = True) -> None:
        ready = ("data.train_file={train}", "model.name_or_path={encoder}", "output_dir=o", assignment)
        args = "fit --dry-run" if dry else "fit"
        args += "".join(f" --set {one}" for one in ready)
        cells.append(Bad(f"settings: {section}", fault, {}, args, says))

    def none(section: str, fault: str, why: str) -> None:
        cells.append(Impossible(f"settings: {section}", fault, why))

    setting("data", "missing", "data.train_file=null", "no training data", "--train-file")
    setting("data", "empty", "data.format='\"\"'", "there is no format ''", "Known formats")
    setting("data", "wrong type", "data.header=maybe", "data.header: 'maybe' is not", "boolean")
    setting(
        "data", "out of range", "data.validation_fraction=1.5", "data.validation_fraction: 1.5 is not", "less than 1"
    )
    setting("data", "out of range", "data.format=conl", "there is no format 'conl'", "Known formats")
    setting("data", "duplicated", "data.label_names=[a,a]", "data: label_names contains a more than once")
    setting("data", "hostile", "data.train_file=[[[", "the value is not valid YAML", "Quote it")
    setting("data", "huge", "data.max_train_samples=1e30", "data.max_train_samples: '1e30' is not", "a valid integer")
    setting("data", "wrong encoding", "data.encoding=rot13", "rot13", "Use a Python encoding")
    setting("data", "wrong length", "data.separator=::", "data.separator: {':': None} is not", "a valid string")
    setting("data", "truncated", "data.header", "there is no '='", "section.key=value")
    setting("data", "unreadable", "data.validation_file=/proc/self/mem", "/proc/self/mem: cannot be read", "Check")
    setting("model", "missing", "model.name_or_path=null", "no encoder", "--model-name-or-path")
    setting("model", "empty", "model.name_or_path=''", "no encoder", "--model-name-or-path")
    setting("model", "wrong type", "model.trust_remote_code=maybe", "model.trust_remote_code: 'maybe'", "boolean")
    setting("model", "hostile", "model.name_or_path=package:tf_tokclf/../../..", "leads out of the package", "inside")
    setting("model", "truncated", "model.name_or_path=package:/", "no installed package", "Check the name")
    setting("model", "wrong length", "model.name_or_path=a/b/c/d", "there is no model folder a/b/c/d", "Give a folder")
    setting("model", "huge", f"model.name_or_path=/{'x' * 5000}", "there is no such file (File name too long)", "Check")
    none("model", "wrong encoding", "names are text")
    none("model", "out of range", "it has no numbers")
    none("model", "duplicated", "see config file")
    setting("model", "unreadable", "model.name_or_path=/proc/self/mem", "/proc/self/mem: is a file", "Give a folder")
    setting("alignment", "wrong type", "alignment.max_length=long", "alignment.max_length: 'long' is not", "integer")
    setting("alignment", "out of range", "alignment.max_length=2", "leaves no room for words beside 2", "Increase it")
    setting(
        "alignment", "out of range", "alignment.overlap=-1", "alignment.overlap: -1 is not", "greater than or equal"
    )
    setting("alignment", "huge", "alignment.max_length=1000000000000", "is more than the model reads", "Give at most")
    setting("alignment", "huge", "alignment.overlap=1000000000000", "is too large for windows", "Give an overlap below")
    setting("alignment", "missing", "alignment.strategy=null", "alignment.strategy: None is not", "first")
    setting("alignment", "empty", "alignment.strategy='\"\"'", "alignment.strategy: '' is not", "first")
    setting("alignment", "duplicated", "alignment.overlap=[1,1]", "alignment.overlap: [1, 1] is not", "integer")
    setting("alignment", "hostile", "alignment.__class__=1", "no setting alignment.__class__", "Did you mean alignment")
    none("alignment", "wrong length", "it has no lists")
    none("alignment", "truncated", "see data: an assignment without its value")
    none("alignment", "wrong encoding", "it has no text of the user's")
    none("alignment", "unreadable", "it names no file")
    setting("optimizer", "wrong type", "optimizer.learning_rate=fast", "optimizer.learning_rate: 'fast'", "number")
    setting("optimizer", "out of range", "optimizer.warmup_ratio=1", "optimizer.warmup_ratio: 1 is not", "less than 1")
    setting("optimizer", "out of range", "optimizer.learning_rate=-1", "optimizer.learning_rate: -1", "greater than 0")
    setting("optimizer", "huge", "optimizer.learning_rate=.inf", "optimizer.learning_rate: inf is not", "finite")
    setting(
        "optimizer", "hostile", "optimizer.weight_decay=.nan", "optimizer.weight_decay: nan is not", "a finite number"
    )
    setting("optimizer", "missing", "optimizer.learning_rate=null", "optimizer.learning_rate: None", "number")
    setting("optimizer", "duplicated", "optimizer.learning_rate=[1,1]", "optimizer.learning_rate: [1, 1]", "number")
    setting("optimizer", "empty", "optimizer.learning_rate='\"\"'", "optimizer.learning_rate: '' is not", "number")
    for fault in ("truncated", "wrong encoding", "wrong length", "unreadable"):
        none("optimizer", fault, "it has numbers only")
    setting("training", "wrong type", "training.seed=1.5", "training.seed: 1.5 is not", "integer")
    setting("training", "out of range", "training.seed=-1", "training.seed: -1 is not", "greater than or equal to 0")
    setting(
        "training", "out of range", "training.per_device_train_batch_size=0", "batch_size: 0 is not", "greater than 0"
    )
    setting("training", "huge", "training.seed=1e40", "training.seed: '1e40' is not", "a valid integer")
    setting(
        "training",
        "huge",
        "training.num_train_epochs=1000000000000",
        "num_train_epochs: 1000000000000 is not",
        "less than or equal to 1000000",
    )
    setting(
        "training",
        "huge",
        "training.per_device_train_batch_size=1000000000000",
        "batch_size: 1000000000000 is not",
        "less than or equal to 1000000",
    )
    setting("training", "wrong length", "training.report_to=[none]", "training.report_to", "tensorboard")
    setting("training", "missing", "training.seed=null", "training.seed: None is not", "integer")
    setting("training", "empty", "training.precision='\"\"'", "training.precision: '' is not", "float32")
    setting(
        "training", "hostile", "training.sead=1", "there is no setting training.sead.", "Did you mean training.seed?"
    )
    setting("training", "duplicated", "training.report_to=[csv,csv]", "training: report_to contains csv more than once")
    none("training", "truncated", "see data")
    none("training", "wrong encoding", "it has no text of the user's")
    none("training", "unreadable", "it names no file")
    setting("evaluation", "wrong type", "evaluation.mode=7", "evaluation.mode: 7 is not", "conlleval")
    setting(
        "evaluation",
        "out of range",
        "evaluation.per_device_eval_batch_size=0",
        "batch_size: 0 is not",
        "greater than 0",
    )
    setting(
        "evaluation",
        "huge",
        "evaluation.per_device_eval_batch_size=1000000000000",
        "batch_size: 1000000000000 is not",
        "less than or equal to 1000000",
    )
    setting("evaluation", "missing", "evaluation.decoding=null", "evaluation.decoding: None is not", "argmax")
    setting("evaluation", "empty", "evaluation=", "evaluation: None is not", "a section of settings")
    setting("evaluation", "hostile", "evaluation.a.b.c=1", "no setting evaluation.a", "Did you mean evaluation")
    for fault in ("truncated", "wrong encoding", "wrong length", "duplicated", "unreadable"):
        none("evaluation", fault, "it has choices and one number")
    setting("hub", "wrong type", "hub.push=maybe", "hub.push: 'maybe' is not", "boolean")
    setting("hub", "out of range", "hub.tries=0", "hub.tries: 0 is not", "greater than 0")
    setting(
        "hub",
        "missing",
        "hub.card.template=nothing.jinja",
        "nothing.jinja: this template does not exist.",
        "Correct hub.card.template",
        dry=False,
    )
    setting("hub", "wrong length", "hub.card.tags=ner", "hub.card.tags: 'ner' is not", "a list")
    setting(
        "hub", "hostile", "hub.card.token=hf_x", "there is no setting hub.card.token", "Did you mean hub.card.tags?"
    )
    setting("hub", "empty", "hub.strategy='\"\"'", "hub.strategy: '' is not", "every_save")
    setting(
        "hub",
        "unreadable",
        "hub.card.template=/proc/self/mem",
        "mem: cannot be read",
        "Correct hub.card.template",
        dry=False,
    )
    for fault in ("truncated", "wrong encoding", "duplicated", "huge"):
        none("hub", fault, "names are checked by the Hub: see the tests of publishing")
    return cells
