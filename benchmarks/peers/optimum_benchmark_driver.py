"""Run by the peer's own Python, never imported by Joulefleet: one action of optimum-benchmark.

Called as ``python -I optimum_benchmark_driver.py JSON``, where ``JSON`` holds ``action`` and the
arguments of that action (below, by name). Writes exactly one JSON line to stdout; everything the
peer prints goes to stderr.

``-I`` matters: without it this folder comes first on the import path, and ``optimum_benchmark``
would be the module beside this file instead of the installed peer.
"""

import importlib
import json
import os
import sys
import time


def make_bert_base(folder: str, seed: int) -> dict[str, float]:
    """Write ``config.json`` and ``model.safetensors`` of a BERT-base classifier (2 labels).

    The weights are random, drawn with ``seed``; no tokenizer is written, as the peer generates its
    own input ids. Returns the number of ``parameters``.
    """
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    torch.manual_seed(seed)
    # The default BertConfig is BERT-base: 12 layers, hidden size 768, vocabulary 30,522.
    model = transformers.BertForSequenceClassification(transformers.BertConfig(num_labels=2))
    model.save_pretrained(folder)
    return {"parameters": float(model.num_parameters())}


def launch(model: str, duration_s: float, iterations: int, warmup: int, sequence_length: int) -> dict[str, float]:
    """Launch one inference benchmark (CPU, batch of 1) through the peer's process launcher.

    Returns ``start_s`` and ``end_s`` of ``Benchmark.launch`` on the machine-wide monotonic clock,
    and ``forward_total_s``, the sum of the measured forward passes that the peer reports; all in
    seconds.
    """
    peer = importlib.import_module("optimum_benchmark")
    logging_utils = importlib.import_module("optimum_benchmark.logging_utils")
    logging_utils.setup_logging(level="INFO", prefix="MAIN-PROCESS")
    config = peer.BenchmarkConfig(
        name="peer",
        launcher=peer.ProcessConfig(),
        backend=peer.PyTorchConfig(model=model, task="text-classification", library="transformers", device="cpu"),
        scenario=peer.InferenceConfig(
            duration=duration_s,
            iterations=iterations,
            warmup_runs=warmup,
            input_shapes={"batch_size": 1, "sequence_length": sequence_length},
            latency=True,
            memory=False,
            energy=False,
        ),
    )
    start_s = time.monotonic()
    report = peer.Benchmark.launch(config)
    end_s = time.monotonic()
    forward_total_s = float(report.forward.latency.total)
    return {"start_s": start_s, "end_s": end_s, "forward_total_s": forward_total_s}


def main() -> None:
    """Run the action named in the first argument."""
    # The peer and its child process log to stdout: give them stderr, keep stdout for the answer.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    arguments = json.loads(sys.argv[1])
    action = launch if arguments.pop("action") == "launch" else make_bert_base
    result: dict[str, float] = action(**arguments)
    print(json.dumps(result), file=answer, flush=True)


if __name__ == "__main__":  # the peer's child process imports this file again
    main()
