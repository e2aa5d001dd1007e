"""Sequence classification and regression with any such architecture of transformers."""

from __future__ import annotations

import inspect
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from agent.host.cgroup import usable_cpus
from agent.workloads.base import LoadedModel, PassCounts, WorkSpec
from agent.workloads.synthetic import synthetic_items
from agent.workloads.texts import Label, read_texts, text_columns

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Batch = dict[str, torch.Tensor]


class SequenceClassification:
    """The work of SST-2, STS-B, MNLI and similar tasks: one forward pass a batch, in a fixed order."""

    def __init__(self, spec: WorkSpec) -> None:
        self._spec = spec
        self._config = transformers.AutoConfig.from_pretrained(
            spec.weights_folder, local_files_only=True, trust_remote_code=False
        )
        if self._config.pad_token_id is None:
            # GPT-2 has no padding token, but its head needs one to find the last real token.
            self._config.pad_token_id = self._config.eos_token_id or 0
        self._batches: list[Batch] = []
        self._outputs: list[torch.Tensor] = []
        self._labels: list[Label] | None = None
        self._model: Any = None

    def make_items(self) -> PassCounts:
        """See `Workload`."""
        task, repeats = self._spec.protocol.task, self._spec.protocol.item_repeats
        encoded = self._synthetic() if task.items.synthetic is not None else self._texts()
        size = self._spec.cell.batch_size
        accepted = self._accepted_inputs()
        groups = [encoded[start : start + size] for start in range(0, len(encoded), size)]
        batches = [_collate(group, pad=int(self._config.pad_token_id), accepted=accepted) for group in groups]
        # The 2x arm processes every batch twice, so that the padding doubles together with the items.
        self._batches = [batch for batch in batches for _ in range(repeats)]
        return PassCounts(
            items=len(encoded),
            tokens=repeats * sum(len(item["input_ids"]) for item in encoded),
            padded_tokens=sum(batch["input_ids"].numel() for batch in self._batches),
            batches=len(self._batches),
        )

    def load(self) -> LoadedModel:
        """See `Workload`."""
        threads = self._spec.cell.threads or usable_cpus()
        torch.set_num_threads(threads)
        self._model = transformers.AutoModelForSequenceClassification.from_pretrained(
            self._spec.weights_folder,
            config=self._config,
            dtype=DTYPES[self._spec.cell.dtype],
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        ).eval()
        return LoadedModel(
            parameters=sum(parameter.numel() for parameter in self._model.parameters()),
            model_class=type(self._model).__name__,
            attention=str(getattr(self._model.config, "_attn_implementation", "unknown")),
            threads=torch.get_num_threads(),
            blas=_blas(),
        )

    def run_pass(self, latencies_ns: memoryview) -> None:
        """See `Workload`."""
        model, clock = self._model, time.perf_counter_ns
        outputs: list[torch.Tensor] = []
        with torch.inference_mode():
            before = clock()
            for index, batch in enumerate(self._batches):
                outputs.append(model(**batch).logits)
                after = clock()
                latencies_ns[index] = after - before
                before = after
        self._outputs = outputs

    def predictions(self) -> list[float]:
        """See `Workload`."""
        logits = torch.cat([output.float() for output in self._outputs[:: self._spec.protocol.item_repeats]])
        if self._spec.protocol.task.labels == 1:
            return [float(value) for value in logits[:, 0]]
        return [float(value) for value in logits.argmax(dim=1)]

    def labels(self) -> list[float] | None:
        """See `Workload`. A label that is a name is looked up in the model's configuration."""
        if self._labels is None:
            return None
        by_name = {str(name).lower(): int(index) for index, name in dict(self._config.id2label).items()}
        numbers = []
        for label in self._labels:
            if isinstance(label, str) and label.lower() not in by_name:
                raise ValueError(f"the model has no label {label!r} (it has {', '.join(by_name)})")
            numbers.append(float(by_name[label.lower()]) if isinstance(label, str) else float(label))
        return numbers

    def _synthetic(self) -> list[dict[str, list[int]]]:
        task = self._spec.protocol.task
        requested = task.items.synthetic
        assert requested is not None
        if requested.lengths is None:
            raise ValueError("a resolved task has its lengths")
        config = self._config
        special = {getattr(config, f"{name}_token_id", None) for name in ("pad", "bos", "eos", "cls", "sep", "unk")}
        items = synthetic_items(
            requested,
            requested.lengths,
            pair=task.inputs == "pair",
            max_length=task.max_length,
            vocabulary=int(config.vocab_size),
            avoid={int(token) for token in special if token is not None},
        )
        result = []
        for item in items:
            encoded = {"input_ids": list(item.ids), "attention_mask": [1] * len(item.ids)}
            # BERT distinguishes the two texts of a pair; RoBERTa has the same input, but only one type.
            if getattr(config, "type_vocab_size", 0) >= 2:
                second = len(item.ids) - item.first_segment
                encoded["token_type_ids"] = [0] * item.first_segment + [1] * second
            result.append(encoded)
        return result

    def _texts(self) -> list[dict[str, list[int]]]:
        task, spec = self._spec.protocol.task, self._spec
        if spec.items_file is None:
            raise ValueError("the items have no file on this machine")
        items = read_texts(Path(spec.items_file), text_columns(task.items))
        if any(item.label is not None for item in items):
            self._labels = [item.label for item in items if item.label is not None]
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            spec.tokenizer_folder or spec.weights_folder, local_files_only=True, trust_remote_code=False
        )
        result = []
        for item in items:
            encoded = tokenizer(item.text, item.text_pair, truncation=True, max_length=task.max_length)
            result.append({key: list(encoded[key]) for key in encoded})
        return result

    def _accepted_inputs(self) -> set[str]:
        known: Any = transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
        return set(inspect.signature(known[type(self._config)].forward).parameters)


def _collate(group: list[dict[str, list[int]]], *, pad: int, accepted: set[str]) -> Batch:
    width = max(len(item["input_ids"]) for item in group)
    batch: Batch = {}
    for key in group[0]:
        if key in accepted:
            filler = pad if key == "input_ids" else 0
            batch[key] = torch.tensor([item[key] + [filler] * (width - len(item[key])) for item in group])
    return batch


def _blas() -> str:
    config = torch.__config__.show()
    names = [name for name in ("MKL", "OpenBLAS", "Eigen") if name.lower() in config.lower()]
    return ", ".join([*names[:1], *(["oneDNN"] if torch.backends.mkldnn.is_available() else [])]) or "unknown"
